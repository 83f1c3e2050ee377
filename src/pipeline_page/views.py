"""Frozen results → what the templates of the views need."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from markupsafe import Markup

from audited_load.cleaning.limits import DEFAULT_RATIO, Limits, describe_superseded
from pipeline_page.missed import describe_missed_runs
from pipeline_page.tabs.compare import compare_loads
from pipeline_page.tabs.dbt_tests import TEST_RUNS, TestHistory
from pipeline_page.tabs.explained import Explained, explain
from pipeline_page.tabs.groups import Group, Product, sum_of_known
from pipeline_page.tabs.loads import EVERYTHING, KEY, STATUSES, Load, Wanted
from pipeline_page.tabs.one_month import OneMonth
from pipeline_page.tabs.quality import Quality
from pipeline_page.tabs.sales import Month, Newest, Sales
from pipeline_page.tabs.today import Today
from pipeline_page.tabs.totals import TotalsTable, table_of_change, table_of_totals
from pipeline_page.texts import (
    YearMonth,
    fit_class,
    is_rounded,
    show_moment,
    show_money,
    show_month,
    show_number,
    show_percent,
    show_share,
)

SHOWN_LOADS = 100
LEDGER_COUNTS = {
    "read": "Read",
    "accepted": "Accepted",
    "quarantined": "Quarantined",
    "duplicates": "Duplicates",
    "visible_rows": "Visible rows",
}
"""Columns of the ledger that *Loads* shows as numbers, and their names."""
Rows = list[tuple[str, ...]]


def today_context(today: Today, limits: Limits) -> dict[str, Any]:
    """Return what the template of *Today* needs."""
    return {
        "totals": table_of_totals(
            [check.name for check in today.checks], [(check.totals, check.off) for check in today.checks]
        ),
        "change": _change_of(today),
        "view": today,
        "limits": limits,
        "missed": describe_missed_runs(today.missed),
        "superseded": _describe_superseded(today.loads),
        "guessed": [load for load in today.loads if load.encoding_is_guessed],
        "unusual": today.unusual,
        "explain": explain,
    }


def _change_of(today: Today) -> TotalsTable | None:
    """Compare what readers see with what they saw before."""
    before, after = today.previous, today.visible
    if not (before and after and before.visible_totals and after.visible_totals):
        return None
    names = (f"Load {before.load_id}", f"Load {after.load_id}")
    table = table_of_change(names, before.visible_totals, after.visible_totals)
    table.rows.append(("Refused", [show_share(before.rejected_ratio), show_share(after.rejected_ratio), ""]))
    table.rows.append(("Superseded", [show_share(before.superseded_ratio), show_share(after.superseded_ratio), ""]))
    return table


def quality_context(quality: Quality, *, linked: bool = False) -> dict[str, Any]:
    """Return what the template of *Quality* needs; with links to what lies below it, if there is something."""
    return {
        "view": quality,
        "superseded": _describe_superseded(quality.loads[:1]),
        "guessed": [load for load in quality.loads[:1] if load.encoding_is_guessed],
        "unusual": quality.usual.unusual if quality.usual and not quality.reason else [],
        "ratio_rows": [_ratio_row(load) for load in quality.loads],
        "day_rows": [(day.isoformat(), column, show_number(number)) for day, column, number in quality.by_day],
        "reason_rows": [
            (_link(f"quality?reason={reason}", reason) if linked else reason, show_number(number))
            for reason, number in quality.reasons
        ],
        "explain": explain,
    }


def history_context(history: list[TestHistory]) -> dict[str, Any]:
    """Return what the template of dbt's tests by name needs."""
    return {"history": history, "failing": [each for each in history if each.failing_since], "shown": TEST_RUNS}


def rules_context(known: dict[tuple[bool, str], Explained]) -> dict[str, Any]:
    """Return what the template of all reasons and rules needs: by column, the reasons first."""
    columns: dict[str, dict[bool, list[Explained]]] = {}
    for (is_refusal, name), one in known.items():
        columns.setdefault(name.partition(":")[0], {True: [], False: []})[is_refusal].append(one)
    return {"columns": columns}


def sales_context(sales: Sales, *, linked: bool = False) -> dict[str, Any]:
    """Return what the template of *Sales* needs; with links to each month, if they lead somewhere."""
    return {
        "view": sales,
        "revenue": _money(sales.total.revenue) if sales.months else "",
        "not_over": _describe_not_over(sales.not_over, sales.newest),
        "month_rows": [
            (
                _month_cell(each, linked=linked),
                _money(each.revenue),
                _money(each.tax),
                show_number(each.units),
                show_number(each.transactions),
                show_number(each.without_amount),
                show_percent(each.growth),
            )
            for each in sales.months
        ],
        "growth_rows": [(_month_cell(each, linked=linked), show_percent(each.growth)) for each in sales.months],
        "tier_rows": _group_rows(sales.tiers),
        "value_rows": _group_rows(sales.value_segments),
        "segment_rows": _group_rows(sales.revenue_segments),
        "product_rows": _product_rows(sales.products),
    }


def month_context(month: OneMonth) -> dict[str, Any]:
    """Return what the template of a month needs."""
    return {
        "title": f"Sales in {show_month(month.month.month)}",
        "view": month,
        "revenue": _money(month.month.revenue),
        "not_over": _describe_not_over([] if month.month.is_over else [month.month.month], month.newest),
        "day_rows": [
            (
                f"{each.day} {each.day_name[:3]}",
                _money(each.revenue),
                _money(each.tax),
                show_number(each.units),
                show_number(each.transactions),
                show_number(each.without_amount),
            )
            for each in month.days
        ],
        "product_rows": _product_rows(month.products),
    }


def loads_context(loads: list[Load], visible: int | None, wanted: Wanted = EVERYTHING) -> dict[str, Any]:
    """Return what the template of *Loads* needs."""
    header = ("Load", "File", *LEDGER_COUNTS.values(), "Published", "Run")
    shown = [[str(load.load_id), *(show_number(getattr(load, name)) for name in LEDGER_COUNTS)] for load in loads]
    # A status, a name that may break, a day and a run take their places, whatever stands in them.
    cells = [("9999 rolled back", "a name of a file", *counts, "2025-01-01", "scheduled") for _, *counts in shown]
    newest = [load.load_id for load in loads]
    return {
        "loads": loads,
        "visible": visible,
        "shown": SHOWN_LOADS,
        "header": header,
        "counts": LEDGER_COUNTS,
        "fit": fit_class(header, cells),
        "wanted": wanted,
        "statuses": STATUSES,
        "query": _query_of(wanted),
        "older": _query_of(replace(wanted, before=newest[-1])) if newest else "",
        "pair": (newest[1] if len(newest) > 1 else "", newest[0] if newest else ""),
    }


def compare_context(a: Load, b: Load) -> dict[str, Any]:
    """Return what the template of the comparison of two loads needs."""
    header = ("What", f"Load {a.load_id}", f"Load {b.load_id}", "Difference")
    return {"a": a, "b": b, "header": header, "sections": compare_loads(a, b)}


def _query_of(wanted: Wanted) -> str:
    """Write a search as the query of an address."""
    given = {
        "from": wanted.first and wanted.first.isoformat(),
        "to": wanted.last and wanted.last.isoformat(),
        "file": wanted.file,
        "status": wanted.status,
        "before": wanted.before,
    }
    query = urlencode({name: value for name, value in given.items() if value})
    return f"?{query}" if query else ""


def _describe_superseded(loads: list[Load]) -> list[str]:
    """Ask about the files of which a later record replaces more than usually happens, allowed or not."""
    many = [load for load in loads if load.superseded_ratio > DEFAULT_RATIO]
    return [f"{load.source_name}: {describe_superseded(load.superseded, load.read, KEY)}" for load in many]


def _ratio_row(load: Load) -> tuple[str, ...]:
    return (
        str(load.load_id),
        show_moment(load.started_at),
        load.status.replace("_", " "),
        show_number(load.read),
        show_number(load.quarantined - load.superseded),
        show_share(load.rejected_ratio),
        show_number(load.superseded),
        show_share(load.superseded_ratio),
    )


def _group_rows(groups: Iterable[Group]) -> Rows:
    """Write groups, and their sum last."""
    listed = list(groups)
    members, transactions = (sum(getattr(group, name) for group in listed) for name in ("members", "transactions"))
    total = Group("All", members, transactions, sum_of_known(group.revenue for group in listed))
    return [
        (each.name, show_number(each.members), show_number(each.transactions), _money(each.revenue))
        for each in ([*listed, total] if listed else [])
    ]


def _product_rows(products: Iterable[Product]) -> Rows:
    return [
        (
            f"{each.product_name or 'no name'} · {each.product_id}",
            _money(each.revenue),
            show_number(each.units),
        )
        for each in products
    ]


def _month_cell(month: Month, *, linked: bool) -> str:
    name = show_month(month.month)
    cell = _link(f"month?month={month.month.key}", name) if linked else name
    return cell if month.is_over else cell + ", not over"


def _describe_not_over(months: list[YearMonth], newest: Newest | None) -> str:
    """Say which months go on, and up to where there are data; nothing if all are over."""
    if not months:
        return ""
    names = " and ".join(map(show_month, months))
    until = f": the newest transaction is of {newest.key}" if newest else ""
    return f"{names} {'is' if len(months) == 1 else 'are'} not over{until}."


def _money(value: Decimal | None) -> str:
    """Write an amount in cents, with all of its decimals at hand."""
    if not is_rounded(value):
        return show_money(value)
    exact = show_number(value)
    return Markup('<data value="{}" title="exactly {}">{}</data>').format(value, exact, show_money(value))


def _link(address: str, text: str) -> Markup:
    return Markup('<a href="{}">{}</a>').format(address, text)
