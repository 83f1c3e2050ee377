"""The tables of the page → CSV that opens safely in a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from pipeline_page.tabs.dbt_tests import TestHistory
from pipeline_page.tabs.groups import Group, Product
from pipeline_page.tabs.one_month import OneMonth
from pipeline_page.tabs.quality import Quality
from pipeline_page.tabs.sales import Sales

Rows = Iterable[Sequence[Any]]


def _months(sales: Sales) -> Rows:
    counts = "month", "is_over", "transactions", "transactions_without_amount", "units"
    yield *counts, "revenue", "tax", "growth_percent"
    for each in sales.months:
        over = "yes" if each.is_over else "no"
        numbers = each.transactions, each.without_amount, each.units
        yield each.month.key, over, *numbers, each.revenue, each.tax, each.growth


def _products(products: Iterable[Product]) -> Rows:
    yield "product_id", "product_name", "units", "revenue", "revenue_segment"
    for each in products:
        yield each.product_id, each.product_name, each.units, each.revenue, each.revenue_segment


def _groups(choose: Callable[[Sales], Iterable[Group]], name: str, members: str) -> Callable[[Sales], Rows]:
    def rows(sales: Sales) -> Rows:
        yield name, f"{members}_in_all", "transactions", "revenue"
        for each in choose(sales):
            yield each.name, each.members, each.transactions, each.revenue

    return rows


def _days(month: OneMonth) -> Rows:
    yield "date", "weekday", "transactions", "transactions_without_amount", "units", "revenue", "tax"
    for each in month.days:
        counts = each.transactions, each.without_amount, each.units
        yield f"{month.month.month.key}-{each.day:02}", each.day_name, *counts, each.revenue, each.tax


def _loads(quality: Quality) -> Rows:
    counts = "read", "accepted", "refused", "refused_share", "superseded", "superseded_share"
    yield "load", "file", "started", "status", *counts
    for each in quality.loads:
        shares = each.quarantined - each.superseded, each.rejected_ratio, each.superseded, each.superseded_ratio
        yield (
            each.load_id,
            each.source_name,
            _moment(each.started_at),
            each.status,
            each.read,
            each.accepted,
            *shares,
        )


def _refusals_by_day(quality: Quality) -> Rows:
    yield "day", "column", "refusals"
    yield from ((day.isoformat(), column, number) for day, column, number in quality.by_day)


def _reasons(quality: Quality) -> Rows:
    yield "reason", "refusals"
    yield from quality.reasons


def _rules(quality: Quality) -> Rows:
    yield "rule", "changed"
    yield from quality.rules


def _shapes(quality: Quality) -> Rows:
    yield "load", "column", "refusal", "shape", "records"
    for each in quality.shapes:
        yield quality.last.load_id if quality.last else "", each.column_name, each.refusal, each.shape, each.records


def _records(quality: Quality) -> Rows:
    yield "load", "line", "record", "reject_id", "column", "refusal", "shape"
    for each in quality.records:
        place = each.source_line, each.source_record, each.reject_id
        yield quality.last.load_id if quality.last else "", *place, each.column_name, each.refusal, each.shape


def _test_runs(quality: Quality) -> Rows:
    yield "ended", "run", "tests", "passed", "not_passed"
    for each in quality.test_runs:
        others = ", ".join(f"{test['name']} {test['status']}" for test in each.others)
        yield _moment(each.finished_at), each.run_id, each.tests, each.passed, others


def _tests(history: Iterable[TestHistory]) -> Rows:
    yield "test", "model", "run", "ended", "status", "rows"
    for each in history:
        for result in each.results:
            yield each.name, each.model, result.run_id, _moment(result.finished_at), result.status, result.failures


SALES_TABLES: dict[str, Callable[[Sales], Rows]] = {
    "months": _months,
    "products": lambda sales: _products(sales.products),
    "tiers": _groups(lambda sales: sales.tiers, "customer_tier", "customers"),
    "value_segments": _groups(lambda sales: sales.value_segments, "value_segment", "customers"),
    "revenue_segments": _groups(lambda sales: sales.revenue_segments, "revenue_segment", "products"),
}
MONTH_TABLES: dict[str, Callable[[OneMonth], Rows]] = {
    "days": _days,
    "products": lambda month: _products(month.products),
}
QUALITY_TABLES: dict[str, Callable[[Any], Rows]] = {
    "loads": _loads,
    "days": _refusals_by_day,
    "reasons": _reasons,
    "rules": _rules,
    "shapes": _shapes,
    "records": _records,
    "test_runs": _test_runs,
    "tests": _tests,
}


def write_csv(rows: Rows) -> str:
    """Write a table.

    Args:
        rows: Of it, the header first.

    Returns:
        CSV. A text that a spreadsheet would take for a formula has an apostrophe before it; a number is a number,
        also below zero.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    for row in rows:
        writer.writerow(["" if cell is None else _cell(cell) for cell in row])
    return text.getvalue()


def _moment(value: datetime) -> str:
    return value.astimezone(UTC).isoformat(timespec="seconds")


def _cell(value: Any) -> Any:  # noqa: ANN401 - what a column holds
    # It brings Polars and numpy; every process of Airflow imports this module, and most of them fork.
    from audited_load.cleaning.rejects import guard_formula  # noqa: PLC0415

    return guard_formula(value) if isinstance(value, str) else value
