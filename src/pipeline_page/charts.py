"""Frozen results → Vega-Lite specifications; colours are names, such as `@accent`, until they are drawn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from pipeline_page.tabs.quality import Quality
from pipeline_page.tabs.sales import Group, Month, Product
from pipeline_page.texts import show_moment, show_month

Spec = dict[str, Any]

SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
SHOWN_REASONS = 12
SHOWN_COLUMNS = 5
BAR_PIXELS = 26
SERIES = ("@accent", "@warm", "@plum", "@moss", "@rose", "@faint")
# The report is read as a letter is, so it is always light; the page takes its own from page.css.
LIGHT = {
    "@ink": "#1d2733",
    "@faint": "#8b96a3",
    "@line": "#e3e7ec",
    "@accent": "#2563a8",
    "@warm": "#c2762b",
    "@bad": "#b3362f",
    "@good": "#2c7a4b",
    "@plum": "#77579c",
    "@moss": "#5d8a3c",
    "@rose": "#b65479",
}
_FIT = {"type": "fit-x", "contains": "padding"}
CONFIG: Spec = {
    "background": None,
    "font": "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif",
    "view": {"stroke": None},
    "axis": {
        "labelColor": "@faint",
        "titleColor": "@faint",
        "gridColor": "@line",
        "domainColor": "@line",
        "tickColor": "@line",
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "labelPadding": 6,
    },
    "legend": {
        "labelColor": "@ink",
        "labelFontSize": 12,
        "orient": "bottom",
        "title": None,
        "symbolType": "square",
    },
    "text": {"color": "@ink", "fontSize": 12},
}


def _figure(value: Decimal | None) -> float | None:
    """What is unknown has no bar."""
    return None if value is None else float(value)


def draw_months(months: Sequence[Month]) -> Spec:
    """Revenue by month, as bars."""
    values = [
        {"month": show_month(month.month), "revenue": _figure(month.revenue), "transactions": month.transactions}
        for month in months
    ]
    return _spec(values, 220) | {
        "mark": {"type": "bar", "color": "@accent", "cornerRadiusEnd": 3, "width": {"band": 0.72}},
        "encoding": {
            "x": _month_axis(),
            "y": {"field": "revenue", "type": "quantitative", "title": None, "axis": _money_axis()},
            "tooltip": [
                {"field": "month", "title": "Month"},
                {"field": "revenue", "title": "Revenue", "format": ",.2f"},
                {"field": "transactions", "title": "Transactions", "format": ","},
            ],
        },
    }


def draw_growth(months: Sequence[Month]) -> Spec:
    """Growth against the previous calendar month, as bars up and down."""
    values = [
        {"month": show_month(month.month), "growth": float(month.growth) / 100}
        for month in months
        if month.growth is not None
    ]
    return _spec(values, 150) | {
        "mark": {"type": "bar", "cornerRadiusEnd": 3, "width": {"band": 0.72}},
        "encoding": {
            "x": _month_axis(),
            "y": {
                "field": "growth",
                "type": "quantitative",
                "title": None,
                "axis": {"format": "+.0%", "tickCount": 4},
            },
            "color": {"condition": {"test": "datum.growth < 0", "value": "@bad"}, "value": "@good"},
            "tooltip": [
                {"field": "month", "title": "Month"},
                {"field": "growth", "title": "Growth", "format": "+.2%"},
            ],
        },
    }


def draw_groups(groups: Sequence[Group], field: str, colour: str = "@accent") -> Spec:
    """Members or revenue of tiers or segments, as bars with their figures."""
    values = [{"name": group.name, "members": group.members, "revenue": _figure(group.revenue)} for group in groups]
    return _bars(values, field, colour, ",.3s" if field == "revenue" else ",")


def draw_products(products: Sequence[Product]) -> Spec:
    """Products by revenue, as bars with their figures."""
    # Two products may have one name.
    values = [
        {"name": f"{product.product_name or 'no name'} · {product.product_id}", "revenue": _figure(product.revenue)}
        for product in products
    ]
    return _bars(values, "revenue", "@accent", ",.3s")


def draw_reasons(reasons: Sequence[tuple[str, int]]) -> Spec:
    """Refusals by reason, as bars with their figures."""
    values = [{"name": name, "records": number} for name, number in reasons[:SHOWN_REASONS]]
    return _bars(values, "records", "@warm", ",")


def draw_ratio(quality: Quality) -> Spec:
    """The rejected ratio of each load, with the threshold."""
    values = [
        {
            "started": show_moment(load.started_at),
            "ratio": load.rejected_ratio,
            "source": load.source_name,
            "load": str(load.load_id),
        }
        for load in reversed(quality.loads)
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
    line = {
        "type": "line",
        "color": "@warm",
        "point": {"color": "@warm", "size": 48, "filled": True},
        "strokeWidth": 2,
    }
    tooltip = [
        {"field": "load", "title": "Load"},
        {"field": "source", "title": "File"},
        {"field": "started", "title": "Started"},
        {"field": "ratio", "title": "Rejected", "format": ".2%"},
    ]
    limit = quality.limits.max_rejected_ratio
    threshold = {"data": {"values": [{"ratio": limit, "text": f"threshold {limit:.1%}"}]}}
    level = {"y": {"field": "ratio", "type": "quantitative"}}
    return _spec(values, 180) | {
        "layer": [
            {"mark": line, "encoding": {"x": x, "y": y, "tooltip": tooltip}},
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
    return _spec(values, 180) | {
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


def draw_as_svg(spec: Spec, width: int) -> str:
    """Draw a chart without a browser, in the light colours, some pixels wide, as a piece of HTML."""
    fixed = _with_colours(spec | {"config": CONFIG, "width": width, "autosize": _FIT}, LIGHT)
    import vl_convert  # noqa: PLC0415 - a browser's engine, which only the report needs

    svg: str = vl_convert.vegalite_to_svg(fixed)
    return svg


def _spec(values: list[Spec], height: int) -> Spec:
    return {"$schema": SCHEMA, "width": "container", "height": height, "data": {"values": values}}


def _bars(values: list[Spec], field: str, colour: str, number_format: str) -> Spec:
    """Draw named values as bars, in their order, each with its figure at its end."""
    y = {
        "field": "name",
        "type": "nominal",
        "sort": None,
        "title": None,
        "axis": {"domain": False, "ticks": False, "labelLimit": 210, "labelColor": "@ink"},
    }
    # Room for the figure at the end of the longest bar.
    longest = max((value[field] or 0 for value in values), default=0)
    x = {"field": field, "type": "quantitative", "axis": None, "scale": {"domainMax": 1.2 * longest or 1}}
    tooltip = [
        {"field": "name", "title": "Name"},
        {"field": field, "title": field.capitalize(), "format": ",.2f" if field == "revenue" else ","},
    ]
    encoding = {"x": x, "y": y, "tooltip": tooltip}
    bar = {"type": "bar", "color": colour, "cornerRadiusEnd": 3, "height": {"band": 0.7}}
    figure = {"text": {"field": field, "format": number_format}}
    return _spec(values, BAR_PIXELS * max(len(values), 1)) | {
        "layer": [
            {"mark": bar, "encoding": encoding},
            {"mark": {"type": "text", "align": "left", "dx": 6}, "encoding": encoding | figure},
        ],
    }


def _month_axis() -> Spec:
    axis = {
        "grid": False,
        "labelAngle": 0,
        "labelOverlap": "greedy",
        "labelSeparation": 12,
        "ticks": False,
    }
    # As text: not every date that a table may hold is one to a browser.
    return {"field": "month", "type": "ordinal", "sort": None, "title": None, "axis": axis}


def _money_axis() -> Spec:
    return {"labelExpr": "datum.value === 0 ? '0' : format(datum.value, '~s')", "tickCount": 4}


def _with_colours(part: Any, colours: dict[str, str]) -> Any:  # noqa: ANN401 - any part of JSON
    match part:
        case dict():
            return {key: _with_colours(value, colours) for key, value in part.items()}
        case list():
            return [_with_colours(value, colours) for value in part]
        case str():
            return colours.get(part, part)
    return part
