"""Frozen results → HTML, with every text escaped."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup, escape

from audited_load.errors import RefusedError
from audited_load.marts.mart_manifest import read_models
from audited_load.shown import DECLARE_ENCODING, escape_text
from customer_pipeline.feed import FEED
from pipeline_page import charts, quality_charts, texts
from pipeline_page.runs import TASKS, run_address, task_address

_CODE = re.compile("`([^`]+)`")
TABS = (("today", "Today"), ("quality", "Quality"), ("sales", "Sales"), ("loads", "Loads"))
_OF_TAB = {"compare": "loads", "month": "sales", "rules": "quality", "tests": "quality"}
"""Views that no tab of their own leads to."""
_TITLES = dict(TABS) | {
    "compare": "Two loads",
    "month": "A month",
    "rules": "Reasons and rules",
    "tests": "Tests of dbt by name",
}


def make_environment() -> Environment:
    """Return Jinja with the page's templates and the ways to write figures."""
    environment = Environment(
        loader=PackageLoader("pipeline_page"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        finalize=_escape,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= texts.FILTERS | {"code": mark_code}
    environment.globals |= {
        "charts": charts,
        "quality_charts": quality_charts,
        "currency": FEED.currency,
        "declare_encoding": DECLARE_ENCODING,
        "chart_config": charts.CONFIG,
        "tabs": TABS,
        "here": "",
        "ignored": (),
        "tasks": TASKS,
        "run_address": run_address,
        "task_address": task_address,
    }
    return environment


def _escape(value: object) -> object:
    """Show what a browser would hide or obey in a text from outside; what is HTML by now stays as it is."""
    return escape_text(value) if type(value) is str else value


def mark_code(text: str) -> Markup:
    """Return a text as HTML in which what stands between backticks is code."""
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(escape_text(text)))))  # noqa: S704 - escaped just here


def documented_models() -> tuple[str, ...]:
    """Return the models that dbt's documentation describes; none if `make dbt-docs` was not run."""
    target = Path(os.environ.get("PIPELINE_DBT") or "") / "target"
    if not (os.environ.get("PIPELINE_DBT") and (target / "catalog.json").exists()):
        return ()
    try:
        return read_models(target / "manifest.json")
    except RefusedError:  # just being written
        return ()


def render_view(environment: Environment, tab: str, context: dict[str, Any]) -> str:
    """Render a view as a page of its own.

    Args:
        environment: Of `make_environment`.
        tab: Name of the view: one of `TABS`, or one that belongs to a tab.
        context: What its template needs.

    Returns:
        HTML.
    """
    common = {"title": _TITLES[tab]} | context
    return environment.get_template(f"{tab}.html").render(common, tab=_OF_TAB.get(tab, tab))
