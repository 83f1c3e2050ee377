"""Frozen results → HTML, with every text escaped."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from audited_load.errors import RefusedError
from audited_load.marts.mart_manifest import read_models
from audited_load.shown import DECLARE_ENCODING, escape_text
from pipeline_page import charts, quality_charts, texts
from pipeline_page.runs import TASKS, run_address, task_address

TABS = (("today", "Today"), ("quality", "Quality"), ("sales", "Sales"), ("loads", "Loads"))


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
    environment.filters |= texts.FILTERS
    environment.globals |= {
        "charts": charts,
        "quality_charts": quality_charts,
        "declare_encoding": DECLARE_ENCODING,
        "chart_config": charts.CONFIG,
        "tabs": TABS,
        "tasks": TASKS,
        "run_address": run_address,
        "task_address": task_address,
    }
    return environment


def _escape(value: object) -> object:
    """Show what a browser would hide or obey in a text from outside; what is HTML by now stays as it is."""
    return escape_text(value) if type(value) is str else value


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
        tab: Name of the view, one of `TABS`.
        context: What its template needs.

    Returns:
        HTML.
    """
    return environment.get_template(f"{tab}.html").render(tab=tab, title=dict(TABS)[tab], **context)


def render_below(environment: Environment, tab: str, name: str, title: str, context: dict[str, Any]) -> str:
    """Render a view that a tab leads to.

    Args:
        environment: Of `make_environment`.
        tab: Name of the tab, one of `TABS`.
        name: Of its template.
        title: What it is called.
        context: What its template needs.

    Returns:
        HTML.
    """
    return environment.get_template(f"{name}.html").render(tab=tab, title=title, **context)
