"""The published marts → *Sales*: months, growth, tiers, products, segments. Aggregates only, never the fact."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, localcontext
from typing import TypeVar

from pipeline_page.texts import EXACT, YearMonth
from pipeline_page.warehouse import Connection, Kept, PublishedMarts, ask, find_published

_N = TypeVar("_N", int, Decimal)

TOP_PRODUCTS = 10
_MONTHS = """
    select extract(year from transaction_month)::integer as year,
        extract(month from transaction_month)::integer as number, sum(transactions)::bigint as transactions,
        sum(transactions_without_amount)::bigint as without_amount, sum(units_sold)::bigint as units,
        sum(revenue) as revenue, sum(tax_amount) as tax
    from analytics.agg_monthly_sales group by transaction_month order by transaction_month
"""
_TIERS = """
    select customer_tier as name, count(*) as members, sum(lifetime_revenue) as revenue
    from analytics.dim_customers where customer_id <> -1 group by 1
    order by array_position(array['Gold', 'Silver', 'Bronze'], customer_tier)
"""
_VALUE_SEGMENTS = """
    select value_segment as name, count(*) as members, sum(lifetime_revenue) as revenue
    from analytics.dim_customers where customer_id <> -1 group by 1
    order by array_position(array['High', 'Medium', 'Low'], value_segment)
"""
_REVENUE_SEGMENTS = """
    select revenue_segment as name, count(*) as members, sum(revenue) as revenue
    from analytics.dim_products where product_id <> -1 group by 1
    order by array_position(array['Top', 'Good', 'Regular'], revenue_segment)
"""
_PRODUCTS = """
    select product_id, product_name, units_sold as units, revenue, revenue_segment
    from analytics.dim_products where product_id <> -1
    order by revenue desc nulls last, product_id limit %(limit)s
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
    """

    month: YearMonth
    transactions: int
    without_amount: int
    units: int | None
    revenue: Decimal | None
    tax: Decimal | None
    growth: Decimal | None


@dataclass(frozen=True)
class Group:
    """Members of a tier or a segment, and their revenue over all months; None if no amount is known."""

    name: str
    members: int
    revenue: Decimal | None


@dataclass(frozen=True)
class Product:
    """A product, its units and its revenue over all months; each None if nothing is known of it."""

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
        tiers: Customers by tier.
        value_segments: Customers by value.
        revenue_segments: Products by revenue.
        products: Those with the highest revenue.
    """

    marts: PublishedMarts
    all_months: list[YearMonth]
    months: list[Month]
    tiers: list[Group]
    value_segments: list[Group]
    revenue_segments: list[Group]
    products: list[Product]

    @property
    def total(self) -> Month:
        """The chosen months together; `month` is the first of them."""
        return Month(
            self.months[0].month,
            sum(month.transactions for month in self.months),
            sum(month.without_amount for month in self.months),
            _sum_of_known(month.units for month in self.months),
            _sum_of_known(month.revenue for month in self.months),
            _sum_of_known(month.tax for month in self.months),
            None,
        )


def find_sales(
    connection: Connection, kept: Kept, first: YearMonth | None = None, last: YearMonth | None = None
) -> Sales | None:
    """Read everything of *Sales*.

    Args:
        connection: Of `reading`.
        kept: Answers about the marts from earlier views.
        first: First month, or None for the first there is. In the wrong order, the two change places.
        last: Last month, alike.

    Returns:
        It; None if no marts are published yet.
    """
    marts = find_published(connection)
    if marts is None:
        return None
    whole = kept.get(marts, "sales", lambda: _find_all(connection, marts))
    if first and last and first > last:
        first, last = last, first
    chosen = [
        month for month in whole.months if (not first or month.month >= first) and (not last or month.month <= last)
    ]
    return Sales(
        marts,
        whole.all_months,
        chosen,
        whole.tiers,
        whole.value_segments,
        whole.revenue_segments,
        whole.products,
    )


def _find_all(connection: Connection, marts: PublishedMarts) -> Sales:
    rows = ask(connection, _MONTHS)
    months = grow([Month(YearMonth(row.pop("year"), row.pop("number")), growth=None, **row) for row in rows])
    return Sales(
        marts=marts,
        all_months=[month.month for month in months],
        months=months,
        tiers=_find_groups(connection, _TIERS),
        value_segments=_find_groups(connection, _VALUE_SEGMENTS),
        revenue_segments=_find_groups(connection, _REVENUE_SEGMENTS),
        products=[Product(**row) for row in ask(connection, _PRODUCTS, {"limit": TOP_PRODUCTS})],
    )


def _find_groups(connection: Connection, statement: str) -> list[Group]:
    return [Group(**row) for row in ask(connection, statement)]


def _sum_of_known(values: Iterable[_N | None]) -> _N | None:
    known = [value for value in values if value is not None]
    with localcontext(EXACT):
        return sum(known[1:], known[0]) if known else None


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
