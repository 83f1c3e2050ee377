"""Ledger and marts → one HTML file to mail: no script, nothing to fetch, no customer and no raw value."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from markupsafe import Markup

from audited_load.errors import RefusedError
from pipeline_page.render import TABS, make_environment
from pipeline_page.runs import Run
from pipeline_page.tabs.loads import find_loads, find_visible_load
from pipeline_page.tabs.quality import find_quality, read_thresholds
from pipeline_page.tabs.sales import find_sales
from pipeline_page.tabs.today import find_today
from pipeline_page.views import loads_context, quality_context, sales_context, today_context
from pipeline_page.warehouse import Connection, Kept, NothingLoadedError, reading
from pipeline_page.web_assets import read_asset

REPORTED_LOADS = 20


def render_report(dsn: str, run: Run | None) -> str:
    """Write the report.

    Args:
        dsn: Connection string of the role `reader`.
        run: The newest run of the DAG, if known.

    Returns:
        HTML.

    Raises:
        RefusedError: Nothing is loaded yet.
        UnavailableError: The database can't be reached.
    """
    try:
        with reading(dsn) as connection:
            contexts, made_at = _find(connection, run)
    except NothingLoadedError:
        raise RefusedError("Nothing is loaded yet.", "Run the pipeline first: `make run`.") from None
    environment = make_environment()

    def render_body(tab: str, context: dict[str, Any]) -> Markup:
        body = environment.get_template(f"{tab}_body.html")
        return Markup(body.render(report=True, root="", docs=False, **context))  # noqa: S704 - escaped by Jinja

    return environment.get_template("report.html").render(
        made_at=made_at,
        render_body=render_body,
        sections=[(tab, title, contexts[tab]) for tab, title in TABS if tab in contexts],
        stylesheet=Markup(read_asset("page.css")),  # noqa: S704 - a file of ours
    )


def _find(connection: Connection, run: Run | None) -> tuple[dict[str, dict[str, Any]], datetime]:
    kept = Kept()
    today, sales = find_today(connection, kept, run), find_sales(connection, kept)
    contexts = {
        "today": today_context(today, read_thresholds()),
        "quality": quality_context(find_quality(connection)),
        "loads": loads_context(find_loads(connection, REPORTED_LOADS), find_visible_load(connection)),
    }
    if sales:
        contexts["sales"] = sales_context(sales)
    return contexts, today.asked_at
