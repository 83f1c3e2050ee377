"""The published marts → *Sales*: months, growth, tiers, products, segments, each over the chosen months."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal, localcontext
from typing import Any, TypeVar

from pipeline_page.texts import EXACT, YearMonth
from pipeline_page.warehouse import Connection, Kept, PublishedMarts, ask, find_published

_N = TypeVar("_N", int, Decimal)

TOP_PRODUCTS = 10
UNKNOWN = "Unknown"
"""The tier and the segment of what names no customer or no product, or of which no amount is known."""
TIERS, VALUES, SEGMENTS = ("Gold", "Silver", "Bronze"), ("High", "Medium", "Low"), ("Top", "Good", "Regular")
_MONTHS = """
    select extract(year from transaction_month)::integer as year,
        extract(month from transaction_month)::integer as number, sum(transactions)::bigint as transactions,
        sum(transactions_without_amount)::bigint as without_amount, sum(units_sold)::bigint as units,
        sum(revenue) as revenue, sum(tax_amount) as tax
    from analytics.agg_monthly_sales group by transaction_month order by transaction_month
"""
_NEWEST = """
    select extract(year from newest)::integer as year, extract(month from newest)::integer as number,
        extract(day from newest)::integer as day,
        newest = (date_trunc('month', newest) + interval '1 month' - interval '1 day')::date as ends_month
    from (select max(last_transaction_date) as newest from analytics.dim_customers) as known
    where newest is not null
"""
_CUSTOMERS = """
    select customer_tier as tier, value_segment as segment, count(*) filter (where customer_id <> -1) as members,
        sum(lifetime_transactions)::bigint as transactions, sum(lifetime_revenue) as revenue
    from analytics.dim_customers group by 1, 2
"""
_CUSTOMERS_BY_MONTH = """
    select extract(year from s.transaction_month)::integer as year,
        extract(month from s.transaction_month)::integer as number,
        c.customer_tier as tier, c.value_segment as segment,
        sum(s.transactions)::bigint as transactions, sum(s.revenue) as revenue
    from analytics.agg_monthly_sales as s inner join analytics.dim_customers as c using (customer_id)
    group by s.transaction_month, c.customer_tier, c.value_segment
"""
_PRODUCTS = """
    select product_id, product_name, revenue_segment, times_sold as transactions, units_sold as units, revenue
    from analytics.dim_products
"""
_PRODUCTS_BETWEEN = """
    select p.product_id, p.product_name, p.revenue_segment, coalesce(s.transactions, 0) as transactions, s.units,
        s.revenue
    from analytics.dim_products as p
    left join (
        select product_id, count(*) as transactions, sum(units_sold)::bigint as units, sum(gross_amount) as revenue
        from analytics.fact_transactions
        where transaction_month between make_date(%(first_year)s, %(first_number)s, 1)
            and make_date(%(last_year)s, %(last_number)s, 1)
        group by product_id
    ) as s on p.product_id = s.product_id
"""
_BY_SEGMENT_AND_TOP = """
    with products as materialized ({products})
    select null::bigint as product_id, null as product_name, revenue_segment,
        count(*) filter (where product_id <> -1) as members, sum(transactions)::bigint as transactions,
        null::bigint as units, sum(revenue) as revenue
    from products group by revenue_segment
    union all
    (
        select product_id, product_name, revenue_segment, 1, transactions, units, revenue from products
        where product_id <> -1 and transactions > 0
        order by revenue desc nulls last, product_id limit %(limit)s
    )
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
class Group:
    """A tier or a segment.

    Attributes:
        name: Which; `Unknown` for what names no customer.
        members: The customers or products that it has, whatever months were chosen.
        transactions: Theirs in the chosen months, returns included.
        revenue: Of these; None if no amount is known.
    """

    name: str
    members: int
    transactions: int
    revenue: Decimal | None


@dataclass(frozen=True)
class Product:
    """A product, its units and its revenue in the chosen months; each None if nothing is known of it."""

    product_id: int
    product_name: str | None
    units: int | None
    revenue: Decimal | None
    revenue_segment: str


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
    is_all = len(chosen) == len(months)
    tiers, values = _find_customers(connection, kept, marts, None if is_all else {each.month for each in chosen})
    segments, products = _find_products(connection, kept, marts, None if is_all else chosen)
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
        rows = ask(connection, _MONTHS)
        months = grow([Month(YearMonth(row.pop("year"), row.pop("number")), growth=None, **row) for row in rows])
        for row in ask(connection, _NEWEST):
            return months, Newest(YearMonth(row["year"], row["number"]), row["day"], row["ends_month"])
        return months, None

    return kept.get(marts, "months", find)


def _find_customers(
    connection: Connection, kept: Kept, marts: PublishedMarts, chosen: set[YearMonth] | None
) -> tuple[list[Group], list[Group]]:
    """Find tiers and value segments, over all months or over some."""
    in_all = kept.get(marts, "customers", lambda: ask(connection, _CUSTOMERS))
    rows: list[Any] = in_all
    if chosen is not None:
        by_month = kept.get(marts, "customers by month", lambda: ask(connection, _CUSTOMERS_BY_MONTH))
        rows = [row for row in by_month if YearMonth(row["year"], row["number"]) in chosen]
    return _group("tier", TIERS, in_all, rows), _group("segment", VALUES, in_all, rows)


def _find_products(
    connection: Connection, kept: Kept, marts: PublishedMarts, chosen: list[Month] | None
) -> tuple[list[Group], list[Product]]:
    """Find revenue segments and the top products, over all months or over some that follow each other."""
    limit: dict[str, Any] = {"limit": TOP_PRODUCTS}
    if chosen is None:
        statement, name, words = _PRODUCTS, "products", limit
    elif chosen:
        first, last = chosen[0].month, chosen[-1].month
        statement, name = _PRODUCTS_BETWEEN, f"products {first.key} {last.key}"
        words = limit | {"first_year": first.year, "first_number": first.number}
        words |= {"last_year": last.year, "last_number": last.number}
    else:
        return [], []
    rows = kept.get(marts, name, lambda: ask(connection, _BY_SEGMENT_AND_TOP.format(products=statement), words))
    segments = [row for row in rows if row["product_id"] is None]
    products = [
        Product(*(row[part] for part in ("product_id", "product_name", "units", "revenue", "revenue_segment")))
        for row in rows
        if row["product_id"] is not None
    ]
    return _group("revenue_segment", SEGMENTS, segments, segments), products


def _group(part: str, names: Sequence[str], in_all: list[Any], rows: list[Any]) -> list[Group]:
    """Add up rows by a tier or a segment, in the order of `names`; the unknown ones last, if there are any."""
    found = []
    for name in (*names, UNKNOWN):
        members = sum(row["members"] for row in in_all if row[part] == name)
        mine = [row for row in rows if row[part] == name]
        transactions = sum(row["transactions"] for row in mine)
        if members or transactions:
            found.append(Group(name, members, transactions, sum_of_known(row["revenue"] for row in mine)))
    return found


def sum_of_known(values: Iterable[_N | None]) -> _N | None:
    """Add up what is known; None if nothing is."""
    known = [value for value in values if value is not None]
    with localcontext(EXACT):
        return sum(known[1:], known[0]) if known else None


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
