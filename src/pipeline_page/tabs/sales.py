"""The published marts → *Sales*: months, growth, tiers, products, segments, each over the chosen months."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal, localcontext

from customer_pipeline.feed import CUSTOMER_MONTHS, DAYS
from pipeline_page.tabs.groups import Group, Product, Span, find_customers, find_products, sum_of_known
from pipeline_page.texts import EXACT, YearMonth
from pipeline_page.warehouse import Connection, Kept, PublishedMarts, ask, find_published, source_of

_MONTHS = """
    select extract(year from transaction_month)::integer as year,
        extract(month from transaction_month)::integer as number, sum(transactions)::bigint as transactions,
        sum(transactions_without_amount)::bigint as without_amount, sum(units_sold)::bigint as units,
        sum(revenue) as revenue, sum(tax_amount) as tax
    from {months} group by transaction_month order by transaction_month
"""
_NEWEST = """
    select extract(year from newest)::integer as year, extract(month from newest)::integer as number,
        extract(day from newest)::integer as day,
        newest = (date_trunc('month', newest) + interval '1 month' - interval '1 day')::date as ends_month
    from (select max(transaction_date) as newest from {days}) as known
    where newest is not null
"""


@dataclass(frozen=True)
class Month:
    """One month of sales. Sums are of what is known, and None where nothing is (docs/marts.md).

    Attributes:
        month: Which.
        transactions: Returns included.
        without_amount: Those of them that revenue leaves out, since units or price are unknown.
        units: Returns subtracted.
        revenue: Quantity x price, before tax.
        tax: Per line.
        growth: Percent of revenue against the month before in the calendar; None unless that one's is above zero
            and this one's known.
        is_over: Whether the data reach its end, and the calendar has.
    """

    month: YearMonth
    transactions: int
    without_amount: int
    units: int | None
    revenue: Decimal | None
    tax: Decimal | None
    growth: Decimal | None
    is_over: bool = True


@dataclass(frozen=True)
class Newest:
    """The day of the newest transaction, and whether its month ends with it."""

    month: YearMonth
    day: int
    ends_month: bool

    @property
    def key(self) -> str:
        """The day as text: 2023-07-14."""
        return f"{self.month.key}-{self.day:02}"


@dataclass(frozen=True)
class Sales:
    """What was sold.

    Attributes:
        marts: Which marts this is read from.
        all_months: Months to choose from, in order.
        months: Those that were chosen.
        tiers: Customers by tier. As of the segments, the sum over all is that of `months`.
        value_segments: Customers by value.
        revenue_segments: Products by revenue.
        products: Those with the highest revenue.
        newest: The day up to which there are data.
    """

    marts: PublishedMarts
    all_months: list[YearMonth]
    months: list[Month]
    tiers: list[Group]
    value_segments: list[Group]
    revenue_segments: list[Group]
    products: list[Product]
    newest: Newest | None = None

    @property
    def total(self) -> Month:
        """The chosen months together; `month` is the first of them."""
        return Month(
            self.months[0].month,
            sum(month.transactions for month in self.months),
            sum(month.without_amount for month in self.months),
            sum_of_known(month.units for month in self.months),
            sum_of_known(month.revenue for month in self.months),
            sum_of_known(month.tax for month in self.months),
            None,
        )

    @property
    def not_over(self) -> list[YearMonth]:
        """Those of the chosen months that go on."""
        return [month.month for month in self.months if not month.is_over]


def find_sales(
    connection: Connection,
    kept: Kept,
    first: YearMonth | None = None,
    last: YearMonth | None = None,
    *,
    today: date | None = None,
) -> Sales | None:
    """Read everything of *Sales*.

    Args:
        connection: Of `reading`.
        kept: Answers about the marts from earlier views.
        first: First month, or None for the first there is. In the wrong order, the two change places.
        last: Last month, alike.
        today: The day, if it is another.

    Returns:
        It; None if no marts are published yet.
    """
    marts = find_published(connection)
    if marts is None:
        return None
    months, newest = find_months(connection, kept, marts)
    if first and last and first > last:
        first, last = last, first
    chosen = [
        month for month in months if (not first or month.month >= first) and (not last or month.month <= last)
    ]
    day = today or datetime.now(UTC).date()
    span = Span(chosen[0].month, chosen[-1].month) if chosen and len(chosen) < len(months) else None
    tiers, values = find_customers(connection, kept, marts, span)
    segments, products = find_products(connection, kept, marts, span)
    return Sales(
        marts=marts,
        all_months=[each.month for each in months],
        months=mark_not_over(chosen, newest, YearMonth(day.year, day.month)),
        tiers=tiers,
        value_segments=values,
        revenue_segments=segments,
        products=products,
        newest=newest,
    )


def find_months(connection: Connection, kept: Kept, marts: PublishedMarts) -> tuple[list[Month], Newest | None]:
    """Read all months with their growth, and the newest day; `is_over` says nothing yet."""

    def find() -> tuple[list[Month], Newest | None]:
        rows = ask(connection, _MONTHS.format(months=source_of(connection, CUSTOMER_MONTHS)))
        months = grow([Month(YearMonth(row.pop("year"), row.pop("number")), growth=None, **row) for row in rows])
        for row in ask(connection, _NEWEST.format(days=source_of(connection, DAYS))):
            return months, Newest(YearMonth(row["year"], row["number"]), row["day"], row["ends_month"])
        return months, None

    return kept.get(marts, "months", find)


def mark_not_over(months: Iterable[Month], newest: Newest | None, now: YearMonth) -> list[Month]:
    """Mark the months of which more is to come: by the calendar, or since the data end before the month does.

    Args:
        months: Any.
        newest: The day up to which there are data.
        now: The month of today.
    """
    return [
        replace(
            each,
            is_over=each.month < now and not (newest and each.month == newest.month and not newest.ends_month),
        )
        for each in months
    ]


def grow(months: Sequence[Month]) -> list[Month]:
    """Add the growth of each month, as the macro `growth_percent` of the dbt project defines it."""
    revenue = {month.month: month.revenue for month in months}
    return [replace(each, growth=_growth(each, revenue)) for each in months]


def _growth(month: Month, revenue: dict[YearMonth, Decimal | None]) -> Decimal | None:
    before = revenue.get(month.month.before)
    if month.revenue is None or before is None or before <= 0:
        return None
    with localcontext(EXACT):
        return (100 * (month.revenue - before) / before).quantize(Decimal("0.01"))
