"""Frozen results → Vega-Lite specifications; colours are names, such as `@accent`, until they are drawn."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from pipeline_page.tabs.groups import Group, Product
from pipeline_page.tabs.one_month import Day
from pipeline_page.tabs.sales import Month
from pipeline_page.texts import show_month

Spec = dict[str, Any]

SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
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
_PALE = {"condition": {"test": "!datum.over", "value": 0.45}, "value": 1}
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
    """Revenue by month, as bars; those of months that are not over are pale."""
    values = [
        _month(month) | {"revenue": _figure(month.revenue), "transactions": month.transactions} for month in months
    ]
    return make_spec(values, 220) | {
        "mark": {"type": "bar", "color": "@accent", "cornerRadiusEnd": 3, "width": {"band": 0.72}},
        "encoding": {
            "x": _label_axis("month"),
            "y": {"field": "revenue", "type": "quantitative", "title": None, "axis": _money_axis()},
            "opacity": _PALE,
            "tooltip": [
                {"field": "label", "title": "Month"},
                {"field": "revenue", "title": "Revenue", "format": ",.2f"},
                {"field": "transactions", "title": "Transactions", "format": ","},
            ],
        },
    }


def draw_growth(months: Sequence[Month]) -> Spec:
    """Growth against the previous calendar month, as bars up and down; pale as those of `draw_months`."""
    values = [_month(month) | {"growth": float(month.growth) / 100} for month in months if month.growth is not None]
    return make_spec(values, 150) | {
        "mark": {"type": "bar", "cornerRadiusEnd": 3, "width": {"band": 0.72}},
        "encoding": {
            "x": _label_axis("month"),
            "y": {
                "field": "growth",
                "type": "quantitative",
                "title": None,
                "axis": {"format": "+.0%", "tickCount": 4},
            },
            "color": {"condition": {"test": "datum.growth < 0", "value": "@bad"}, "value": "@good"},
            "opacity": _PALE,
            "tooltip": [
                {"field": "label", "title": "Month"},
                {"field": "growth", "title": "Growth", "format": "+.2%"},
            ],
        },
    }


def draw_month_days(days: Sequence[Day]) -> Spec:
    """Revenue by day of a month, as bars; a day without transactions is a gap."""
    known = {day.day: day for day in days}
    values = [
        {
            "day": str(number),
            "name": day.day_name if day else "",
            "revenue": _figure(day.revenue) if day else None,
            "transactions": day.transactions if day else 0,
        }
        for number in range(1, max(known, default=0) + 1)
        for day in (known.get(number),)
    ]
    return make_spec(values, 220) | {
        "mark": {"type": "bar", "color": "@accent", "cornerRadiusEnd": 3, "width": {"band": 0.72}},
        "encoding": {
            "x": _label_axis("day"),
            "y": {"field": "revenue", "type": "quantitative", "title": None, "axis": _money_axis()},
            "tooltip": [
                {"field": "day", "title": "Day"},
                {"field": "name", "title": "Weekday"},
                {"field": "revenue", "title": "Revenue", "format": ",.2f"},
                {"field": "transactions", "title": "Transactions", "format": ","},
            ],
        },
    }


def draw_groups(groups: Sequence[Group], colour: str = "@accent") -> Spec:
    """Revenue of tiers or segments, as bars with their figures."""
    values = [{"name": group.name, "revenue": _figure(group.revenue)} for group in groups]
    return draw_bars(values, "revenue", colour, ",.3s")


def draw_products(products: Sequence[Product]) -> Spec:
    """Products by revenue, as bars with their figures."""
    # Two products may have one name.
    values = [
        {"name": f"{product.product_name or 'no name'} · {product.product_id}", "revenue": _figure(product.revenue)}
        for product in products
    ]
    return draw_bars(values, "revenue", "@accent", ",.3s")


def draw_as_svg(spec: Spec, width: int) -> str:
    """Draw a chart without a browser, in the light colours, some pixels wide, as a piece of HTML."""
    fixed = _with_colours(spec | {"config": CONFIG, "width": width, "autosize": _FIT}, LIGHT)
    import vl_convert  # noqa: PLC0415 - a browser's engine, which only the report needs

    svg: str = vl_convert.vegalite_to_svg(fixed)
    return svg


def make_spec(values: list[Spec], height: int) -> Spec:
    """Begin a chart of some values, some pixels high."""
    return {"$schema": SCHEMA, "width": "container", "height": height, "data": {"values": values}}


def draw_bars(values: list[Spec], field: str, colour: str, number_format: str) -> Spec:
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
    x = {"field": field, "type": "quantitative", "axis": None, "scale": {"domainMax": 1.3 * longest or 1}}
    tooltip = [
        {"field": "name", "title": "Name"},
        {"field": field, "title": field.capitalize(), "format": ",.2f" if field == "revenue" else ","},
    ]
    encoding = {"x": x, "y": y, "tooltip": tooltip}
    bar = {"type": "bar", "color": colour, "cornerRadiusEnd": 3, "height": {"band": 0.7}}
    figure = {"text": {"field": field, "format": number_format}}
    return make_spec(values, BAR_PIXELS * max(len(values), 1)) | {
        "layer": [
            {"mark": bar, "encoding": encoding},
            {"mark": {"type": "text", "align": "left", "dx": 6}, "encoding": encoding | figure},
        ],
    }


def _month(month: Month) -> Spec:
    name = show_month(month.month)
    return {"month": name, "label": name if month.is_over else f"{name}, not over", "over": month.is_over}


def _label_axis(field: str) -> Spec:
    axis = {
        "grid": False,
        "labelAngle": 0,
        "labelOverlap": "greedy",
        "labelSeparation": 12,
        "ticks": False,
    }
    # As text: not every date that a table may hold is one to a browser.
    return {"field": field, "type": "ordinal", "sort": None, "title": None, "axis": axis}


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
