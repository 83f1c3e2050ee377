"""Frozen results → what the templates of the views need."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from audited_load.cleaning.limits import DEFAULT_RATIO, Limits, describe_superseded
from pipeline_page.missed import describe_missed_runs
from pipeline_page.tabs.compare import compare_loads
from pipeline_page.tabs.loads import EVERYTHING, KEY, STATUSES, Load, Wanted
from pipeline_page.tabs.quality import Quality
from pipeline_page.tabs.sales import Group, Sales
from pipeline_page.tabs.today import Today
from pipeline_page.tabs.totals import TotalsTable, table_of_change, table_of_totals
from pipeline_page.texts import fit_class, show_moment, show_month, show_number, show_percent, show_share

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


def quality_context(quality: Quality) -> dict[str, Any]:
    """Return what the template of *Quality* needs."""
    return {
        "view": quality,
        "superseded": _describe_superseded(quality.loads[:1]),
        "guessed": [load for load in quality.loads[:1] if load.encoding_is_guessed],
        "ratio_rows": [_ratio_row(load) for load in quality.loads],
        "day_rows": [(day.isoformat(), column, show_number(number)) for day, column, number in quality.by_day],
        "reason_rows": [(reason, show_number(number)) for reason, number in quality.reasons],
    }


def sales_context(sales: Sales) -> dict[str, Any]:
    """Return what the template of *Sales* needs."""
    return {
        "view": sales,
        "month_rows": [
            (
                show_month(each.month),
                show_number(each.revenue),
                show_number(each.tax),
                show_number(each.units),
                show_number(each.transactions),
                show_number(each.without_amount),
                show_percent(each.growth),
            )
            for each in sales.months
        ],
        "growth_rows": [(show_month(each.month), show_percent(each.growth)) for each in sales.months],
        "tier_rows": _group_rows(sales.tiers),
        "value_rows": _group_rows(sales.value_segments),
        "segment_rows": _group_rows(sales.revenue_segments),
        "product_rows": [
            (
                f"{each.product_name or 'no name'} · {each.product_id}",
                show_number(each.revenue),
                show_number(each.units),
            )
            for each in sales.products
        ],
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
        show_number(load.read),
        show_number(load.quarantined - load.superseded),
        show_share(load.rejected_ratio),
        show_number(load.superseded),
        show_share(load.superseded_ratio),
    )


def _group_rows(groups: Iterable[Group]) -> Rows:
    return [(group.name, show_number(group.members), show_number(group.revenue)) for group in groups]
