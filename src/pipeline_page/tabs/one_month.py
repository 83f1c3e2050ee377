"""The published fact → one month of *Sales*: its days, and its products."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from customer_pipeline.feed import DAYS, PRODUCT_MONTHS
from pipeline_page.tabs.groups import Product
from pipeline_page.tabs.sales import Month, Newest, find_months, mark_not_over
from pipeline_page.texts import YearMonth
from pipeline_page.warehouse import Connection, Kept, PublishedMarts, ask, find_published, source_of

SHOWN_PRODUCTS = 25
_DAYS = """
    select extract(day from transaction_date)::integer as day, to_char(transaction_date, 'FMDay') as day_name,
        number_of_rows as transactions, number_of_rows - known_gross_amount as without_amount, units_sold as units,
        gross_amount as revenue, tax_amount as tax
    from {days}
    where extract(year from transaction_date) = %(year)s and extract(month from transaction_date) = %(number)s
    order by 1
"""
_PRODUCTS = """
    select m.product_id, p.product_name, p.revenue_segment, m.units_sold as units, m.gross_amount as revenue,
        count(*) over () as products
    from (select * from {products} where transaction_month = make_date(%(year)s, %(number)s, 1)) as m
    inner join analytics.dim_products as p using (product_id)
    order by revenue desc nulls last, product_id limit %(limit)s
"""


@dataclass(frozen=True)
class Day:
    """A day with transactions. The figures are as those of `Month`."""

    day: int
    day_name: str
    transactions: int
    without_amount: int
    units: int | None
    revenue: Decimal | None
    tax: Decimal | None


@dataclass(frozen=True)
class OneMonth:
    """A month.

    Attributes:
        marts: Which marts this is read from.
        month: Its sums.
        before: The month before that has sales, if there is one.
        after: The one after, alike.
        days: Its days with transactions, in order.
        products: Those with the highest revenue in it.
        sold: How many products were sold or returned in it.
        newest: The day up to which there are data.
    """

    marts: PublishedMarts
    month: Month
    before: YearMonth | None
    after: YearMonth | None
    days: list[Day]
    products: list[Product]
    sold: int
    newest: Newest | None


def find_one_month(
    connection: Connection,
    kept: Kept,
    wanted: YearMonth,
    limit: int | None = SHOWN_PRODUCTS,
    today: date | None = None,
) -> OneMonth | None:
    """Read everything of a month.

    Args:
        connection: Of `reading`.
        kept: Answers about the marts from earlier views.
        wanted: The month.
        limit: Products to read; None for all.
        today: The day, if it is another.

    Returns:
        It; None if no marts are published yet, or it has no sales.
    """
    marts = find_published(connection)
    if marts is None:
        return None
    months, newest = find_months(connection, kept, marts)
    places = [place for place, each in enumerate(months) if each.month == wanted]
    if not places:
        return None
    place, now = places[0], today or datetime.now(UTC).date()
    words = {"year": wanted.year, "number": wanted.number, "limit": limit}

    def find() -> tuple[list[Any], list[Any]]:
        return (
            ask(connection, _DAYS.format(days=source_of(connection, DAYS)), words),
            ask(connection, _PRODUCTS.format(products=source_of(connection, PRODUCT_MONTHS)), words),
        )

    days, products = kept.get(marts, f"month {wanted.key}", find) if limit == SHOWN_PRODUCTS else find()
    return OneMonth(
        marts=marts,
        month=mark_not_over([months[place]], newest, YearMonth(now.year, now.month))[0],
        before=months[place - 1].month if place else None,
        after=months[place + 1].month if place + 1 < len(months) else None,
        days=[Day(**row) for row in days],
        products=[Product(**{name: row[name] for name in Product.__dataclass_fields__}) for row in products],
        sold=products[0]["products"] if products else 0,
        newest=newest,
    )
