"""*Sales* → CSV that opens safely in a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from pipeline_page.tabs.sales import Group, Sales

Rows = Iterable[Sequence[Any]]


def _months(sales: Sales) -> Rows:
    yield "month", "transactions", "transactions_without_amount", "units", "revenue", "tax", "growth_percent"
    for each in sales.months:
        counts = each.transactions, each.without_amount
        yield each.month.key, *counts, each.units, each.revenue, each.tax, each.growth


def _products(sales: Sales) -> Rows:
    yield "product_id", "product_name", "units", "revenue", "revenue_segment"
    for each in sales.products:
        yield each.product_id, each.product_name, each.units, each.revenue, each.revenue_segment


def _groups(choose: Callable[[Sales], Iterable[Group]], name: str, members: str) -> Callable[[Sales], Rows]:
    def rows(sales: Sales) -> Rows:
        yield name, members, "revenue"
        for each in choose(sales):
            yield each.name, each.members, each.revenue

    return rows


TABLES: dict[str, Callable[[Sales], Rows]] = {
    "months": _months,
    "products": _products,
    "tiers": _groups(lambda sales: sales.tiers, "customer_tier", "customers"),
    "value_segments": _groups(lambda sales: sales.value_segments, "value_segment", "customers"),
    "revenue_segments": _groups(lambda sales: sales.revenue_segments, "revenue_segment", "products"),
}


def write_csv(sales: Sales, table: str) -> str:
    """Write one table of *Sales*.

    Args:
        sales: What the page shows.
        table: One of `TABLES`.

    Returns:
        CSV. A text that a spreadsheet would take for a formula has an apostrophe before it; a number is a number,
        also below zero.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    for row in TABLES[table](sales):
        writer.writerow(["" if cell is None else _cell(cell) for cell in row])
    return text.getvalue()


def _cell(value: Any) -> Any:  # noqa: ANN401 - what a column holds
    # It brings Polars and numpy; every process of Airflow imports this module, and most of them fork.
    from audited_load.cleaning.rejects import guard_formula  # noqa: PLC0415

    return guard_formula(value) if isinstance(value, str) else value
