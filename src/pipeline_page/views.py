"""Frozen results → what the templates of the views need."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from audited_load.cleaning.limits import DEFAULT_RATIO, Limits, describe_superseded
from pipeline_page.missed import describe_missed_runs
from pipeline_page.tabs.loads import KEY, Load
from pipeline_page.tabs.quality import Quality
from pipeline_page.tabs.sales import Group, Sales
from pipeline_page.tabs.today import Today
from pipeline_page.texts import show_moment, show_month, show_number, show_percent, show_share

SHOWN_LOADS = 100
Rows = list[tuple[str, ...]]


def today_context(today: Today, limits: Limits) -> dict[str, Any]:
    """Return what the template of *Today* needs."""
    return {
        "view": today,
        "limits": limits,
        "missed": describe_missed_runs(today.missed),
        "superseded": _describe_superseded(today.loads),
        "guessed": [load for load in today.loads if load.encoding_is_guessed],
    }


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


def loads_context(loads: list[Load], visible: int | None) -> dict[str, Any]:
    """Return what the template of *Loads* needs."""
    return {"loads": loads, "visible": visible, "shown": SHOWN_LOADS}


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
