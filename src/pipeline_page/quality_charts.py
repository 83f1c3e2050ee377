"""What was refused → Vega-Lite specifications."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from pipeline_page.charts import SERIES, Spec, draw_bars, make_spec
from pipeline_page.tabs.quality import LOST, Quality
from pipeline_page.texts import show_moment

SHOWN_REASONS = 12
SHOWN_COLUMNS = 5


def draw_reasons(reasons: Sequence[tuple[str, int]]) -> Spec:
    """Refusals by reason, as bars with their figures."""
    values = [{"name": name, "records": number} for name, number in reasons[:SHOWN_REASONS]]
    return draw_bars(values, "records", "@warm", ",")


def draw_ratio(quality: Quality) -> Spec:
    """The rejected ratio of each load that was read, with the threshold; those readers never saw are marked."""
    values = [
        {
            "started": show_moment(load.started_at),
            "ratio": load.rejected_ratio,
            "source": load.source_name,
            "load": str(load.load_id),
            "outcome": load.status.replace("_", " "),
            "lost": load.status in LOST,
        }
        for load in reversed(quality.loads)
        if load.read
    ]
    x = {
        "field": "load",
        "type": "ordinal",
        "sort": None,
        "title": "load",
        "axis": {"labelAngle": 0, "labelOverlap": "greedy", "labelSeparation": 8, "ticks": False},
    }
    y = {
        "field": "ratio",
        "type": "quantitative",
        "title": None,
        "scale": {"domainMin": 0},
        "axis": {"format": ".1%", "tickCount": 4},
    }
    tooltip = [
        {"field": "load", "title": "Load"},
        {"field": "source", "title": "File"},
        {"field": "started", "title": "Started"},
        {"field": "ratio", "title": "Rejected", "format": ".2%"},
        {"field": "outcome", "title": "Outcome"},
    ]
    place = {"x": x, "y": y, "tooltip": tooltip}
    is_lost = "datum.lost"
    limit = quality.limits.max_rejected_ratio
    threshold = {"data": {"values": [{"ratio": limit, "text": f"threshold {limit:.1%}"}]}}
    level = {"y": {"field": "ratio", "type": "quantitative"}}
    return make_spec(values, 180) | {
        "layer": [
            {"mark": {"type": "line", "color": "@warm", "strokeWidth": 2}, "encoding": place},
            {
                "mark": {"type": "point", "filled": True, "opacity": 1},
                "encoding": place
                | {
                    "color": {"condition": {"test": is_lost, "value": "@bad"}, "value": "@warm"},
                    "shape": {"condition": {"test": is_lost, "value": "diamond"}, "value": "circle"},
                    "size": {"condition": {"test": is_lost, "value": 130}, "value": 48},
                },
            },
            threshold | {"mark": {"type": "rule", "color": "@bad", "strokeDash": [5, 4]}, "encoding": level},
            threshold
            | {
                "mark": {"type": "text", "color": "@bad", "align": "right", "x": "width", "dy": -7, "fontSize": 11},
                "encoding": level | {"text": {"field": "text"}},
            },
        ]
    }


def draw_days(quality: Quality) -> Spec:
    """Refusals by day, stacked by column; the rarer columns together."""
    totals: Counter[str] = Counter()
    for _, column, number in quality.by_day:
        totals[column] += number
    shown = [column for column, _ in totals.most_common(SHOWN_COLUMNS)]
    counts: Counter[tuple[str, str]] = Counter()
    for day, column, number in quality.by_day:
        counts[day.isoformat(), column if column in shown else "others"] += number
    values = [{"day": day, "column": column, "records": number} for (day, column), number in sorted(counts.items())]
    names = [*shown, *(["others"] if len(totals) > len(shown) else [])]
    return make_spec(values, 180) | {
        "mark": {"type": "bar", "width": {"expr": "min(56, 0.6 * bandwidth('x'))"}},
        "encoding": {
            # As text: a day without a run is no gap of nothing refused.
            "x": {
                "field": "day",
                "type": "ordinal",
                "title": None,
                "axis": {"labelAngle": 0, "labelOverlap": "greedy", "labelSeparation": 8, "ticks": False},
            },
            "y": {
                "field": "records",
                "type": "quantitative",
                "title": None,
                "axis": {"tickCount": 4, "format": "~s"},
            },
            "color": {
                "field": "column",
                "type": "nominal",
                "scale": {"domain": names, "range": list(SERIES[: len(names)])},
                "legend": {"columns": 3},
            },
            "tooltip": [
                {"field": "day", "title": "Day"},
                {"field": "column", "title": "Column"},
                {"field": "records", "title": "Refusals", "format": ","},
            ],
        },
    }
