"""The published marts → customers by tier and value, products by segment, top products: over some months or all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import Any, NamedTuple, TypeVar

from audited_load.marts.sums import Sums
from customer_pipeline.feed import CUSTOMER_MONTHS, CUSTOMERS, PRODUCT_MONTHS
from pipeline_page.texts import EXACT, YearMonth
from pipeline_page.warehouse import Connection, Kept, PublishedMarts, ask, source_of

_N = TypeVar("_N", int, Decimal)

TOP_PRODUCTS = 10
UNKNOWN = "Unknown"
"""The tier and the segment of what names no customer or no product, or of which no amount is known."""
TIERS, VALUES, SEGMENTS = ("Gold", "Silver", "Bronze"), ("High", "Medium", "Low"), ("Top", "Good", "Regular")
# The unknown customer is nobody, and the only one of the tier `Unknown`.
_CUSTOMERS = """
    select customer_tier as tier, value_segment as segment,
        case when customer_tier <> 'Unknown' then number_of_rows else 0 end as members,
        lifetime_transactions::bigint as transactions, lifetime_revenue as revenue
    from {source}
"""
_BETWEEN = """transaction_month between make_date(%(first_year)s, %(first_number)s, 1)
    and make_date(%(last_year)s, %(last_number)s, 1)"""
_CUSTOMERS_BETWEEN = f"""
    select customer_tier as tier, value_segment as segment, sum(transactions)::bigint as transactions,
        sum(revenue) as revenue
    from {{source}} where {_BETWEEN}
    group by 1, 2
"""  # noqa: S608 - of constants
_PRODUCTS = """
    select product_id, product_name, revenue_segment, times_sold as transactions, units_sold as units, revenue
    from analytics.dim_products
"""
_PRODUCTS_BETWEEN = f"""
    select p.product_id, p.product_name, p.revenue_segment, coalesce(s.transactions, 0) as transactions, s.units,
        s.revenue
    from analytics.dim_products as p
    left join (
        select product_id, sum(number_of_rows)::bigint as transactions, sum(units_sold)::bigint as units,
            sum(gross_amount) as revenue
        from {{source}} where {_BETWEEN}
        group by product_id
    ) as s on p.product_id = s.product_id
"""  # noqa: S608 - of constants
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
        order by revenue desc nulls last, product_id limit {limit}
    )
"""
_ALL_PRODUCTS, _ALL_PRODUCTS_BETWEEN = (
    _BY_SEGMENT_AND_TOP.format(products=products, limit=TOP_PRODUCTS) for products in (_PRODUCTS, _PRODUCTS_BETWEEN)
)


class Span(NamedTuple):
    """Months from the first to the last one, both included."""

    first: YearMonth
    last: YearMonth

    @property
    def words(self) -> dict[str, int]:
        """The months as a statement takes them."""
        return {
            "first_year": self.first.year,
            "first_number": self.first.number,
            "last_year": self.last.year,
            "last_number": self.last.number,
        }


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


def find_customers(
    connection: Connection, kept: Kept, marts: PublishedMarts, span: Span | None
) -> tuple[list[Group], list[Group]]:
    """Find tiers and value segments.

    Args:
        connection: Of `reading`.
        kept: Answers about the marts from earlier views.
        marts: Which marts this is read from.
        span: The months; None for all.

    Returns:
        The tiers, and the segments by value.
    """
    in_all = _ask_once(connection, kept, marts, _CUSTOMERS, CUSTOMERS, None)
    rows = _ask_once(connection, kept, marts, _CUSTOMERS_BETWEEN, CUSTOMER_MONTHS, span) if span else in_all
    return _group("tier", TIERS, in_all, rows), _group("segment", VALUES, in_all, rows)


def find_products(
    connection: Connection, kept: Kept, marts: PublishedMarts, span: Span | None
) -> tuple[list[Group], list[Product]]:
    """Find segments by revenue, and the products with the highest revenue.

    Args:
        connection: Of `reading`.
        kept: Answers about the marts from earlier views.
        marts: Which marts this is read from.
        span: The months; None for all.

    Returns:
        The segments, and the products.
    """
    statement = _ALL_PRODUCTS_BETWEEN if span else _ALL_PRODUCTS
    rows = _ask_once(connection, kept, marts, statement, PRODUCT_MONTHS, span)
    segments = [row for row in rows if row["product_id"] is None]
    products = [
        Product(*(row[part] for part in ("product_id", "product_name", "units", "revenue", "revenue_segment")))
        for row in rows
        if row["product_id"] is not None
    ]
    return _group("revenue_segment", SEGMENTS, segments, segments), products


def _ask_once(
    connection: Connection, kept: Kept, marts: PublishedMarts, statement: str, sums: Sums, span: Span | None
) -> list[Any]:
    """Ask over some months or over all, unless the answer is known; `{source}` of the statement is the sums."""

    def find() -> list[Any]:
        return ask(connection, statement.format(source=source_of(connection, sums)), span.words if span else None)

    return kept.get(marts, f"{statement} {span}", find)


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
