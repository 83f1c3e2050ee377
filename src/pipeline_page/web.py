"""A request of somebody who is logged in → a view, a CSV or a script. The app reads and never writes."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import date
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from pydantic import BeforeValidator

from audited_load.errors import UnavailableError
from pipeline_page.render import documented_models, make_environment, render_view
from pipeline_page.runs import FindRun
from pipeline_page.tabs.ledger_csv import write_ledger
from pipeline_page.tabs.loads import STATUSES, Wanted, find_load, find_loads, find_visible_load
from pipeline_page.tabs.quality import read_thresholds
from pipeline_page.tabs.today import find_today
from pipeline_page.views import SHOWN_LOADS, compare_context, loads_context, today_context
from pipeline_page.warehouse import Kept, NothingLoadedError, reading
from pipeline_page.web_analysis import router as analysis
from pipeline_page.web_assets import ASSETS, HEADERS, VERSION, serve
from pipeline_page.web_errors import PageError, add_error_pages, unknown_parameters

router = APIRouter()


class Site:
    """What every view needs: where to read, whom to ask, how to write.

    Args:
        find_dsn: Gives the connection string of the role `reader`.
        find_run: Gives the newest run of the DAG.
        root: Path under which Airflow is served.
    """

    def __init__(self, find_dsn: Callable[[], str], find_run: FindRun, root: str) -> None:
        self.find_dsn, self.find_run = find_dsn, find_run
        self.kept, self._environment = Kept(), make_environment()
        self._common = {"root": root, "version": VERSION, "report": False}
        self.login = f"{root}/api/v2/auth/login"

    def asked_by(self, request: Request) -> Site:
        """Return the site for a request, whose address may have names in it that nobody knows."""
        own = copy.copy(self)
        # Relative, whatever a proxy makes of the address: up again from a path of several parts.
        depth = request.url.path.removeprefix(_prefix(request)).count("/") - 1
        own._common = self._common | {"ignored": unknown_parameters(request), "here": "../" * depth}
        return own

    def show(self, tab: str, context: dict[str, Any]) -> HTMLResponse:
        """Show a tab."""
        text = render_view(
            self._environment, tab, context | self._common | {"docs": documented_models() if tab == "sales" else ()}
        )
        return HTMLResponse(text, headers=HEADERS)

    def say(self, message: str, remedies: list[str], command: str = "", *, status: int = 200) -> HTMLResponse:
        """Say something in place of a view."""
        is_bad = status >= HTTPStatus.INTERNAL_SERVER_ERROR
        context = {
            "tab": "",
            "title": "Customer pipeline",
            "kind": "bad" if is_bad else "quiet",
            "message": message,
            "remedies": remedies,
            "command": command,
            "run": self.find_run() if status == HTTPStatus.OK else None,
        }
        text = self._environment.get_template("message.html").render(context | self._common)
        return HTMLResponse(text, headers=HEADERS, status_code=status)


def _site(request: Request) -> Site:
    site: Site = request.app.state.site
    return site.asked_by(request)


_A_DAY, _A_LOAD = "a day such as 2025-12-04", "the number of a load"
_LARGEST = 2**63 - 1


SiteDep = Annotated[Site, Depends(_site)]
# A form sends what is left blank, too.
_Day = Annotated[date | None, BeforeValidator(lambda text: text or None)]
_LoadNumber = Annotated[int | None, Query(ge=1, le=_LARGEST, description=_A_LOAD)]


def _wanted(
    first: Annotated[_Day, Query(alias="from", description=_A_DAY)] = None,
    last: Annotated[_Day, Query(alias="to", description=_A_DAY)] = None,
    file: Annotated[str, Query(max_length=1000, description="a part of a file's name")] = "",
    status: Annotated[
        str, Query(pattern=f"^({'|'.join(STATUSES)})?$", description=f"one of {', '.join(STATUSES)}")
    ] = "",
    before: _LoadNumber = None,
) -> Wanted:
    if first and last and first > last:
        first, last = last, first
    # PostgreSQL has no text with such a character, so no name does.
    return Wanted(first, last, file.strip().replace("\0", "\ufffd"), status, before)


WantedDep = Annotated[Wanted, Depends(_wanted)]


def create_app(
    find_dsn: Callable[[], str], find_run: FindRun, guard: Callable[..., Any], root: str = ""
) -> FastAPI:
    """Make the app.

    Args:
        find_dsn: Gives the connection string of the role `reader`.
        find_run: Gives the newest run of the DAG.
        guard: A dependency of FastAPI that refuses who may not see the page; everything stands behind it.
        root: Path under which Airflow is served, such as `/airflow`.

    Returns:
        It, to be mounted under a prefix.
    """
    app = FastAPI(dependencies=[Depends(guard)], docs_url=None, redoc_url=None, openapi_url=None)
    app.state.site = Site(find_dsn, find_run, root)
    app.include_router(analysis)
    app.include_router(router)
    app.add_exception_handler(NothingLoadedError, _say_what_to_run)
    app.add_exception_handler(UnavailableError, _say_what_is_away)
    app.add_exception_handler(401, _send_to_login)
    add_error_pages(app, lambda request: app.state.site.asked_by(request).say)
    return app


@router.get("/")
def _first(request: Request) -> Response:
    return RedirectResponse(f"{_prefix(request)}/today", status_code=302)


@router.get("/today")
def _today(site: SiteDep) -> Response:
    run = site.find_run()
    with reading(site.find_dsn()) as connection:
        return site.show("today", today_context(find_today(connection, site.kept, run), read_thresholds()))


@router.get("/loads")
def _loads(site: SiteDep, wanted: WantedDep) -> Response:
    with reading(site.find_dsn()) as connection:
        loads, visible = find_loads(connection, SHOWN_LOADS, wanted), find_visible_load(connection)
    return site.show("loads", loads_context(loads, visible, wanted))


@router.get("/loads.csv")
def _download_loads(site: SiteDep, wanted: WantedDep) -> Response:
    with reading(site.find_dsn()) as connection:
        text = write_ledger(find_loads(connection, SHOWN_LOADS, wanted))
    more = {"Content-Disposition": 'attachment; filename="loads.csv"'}
    return Response(text, media_type="text/csv; charset=utf-8", headers=HEADERS | more)


@router.get("/compare")
def _compare(site: SiteDep, a: _LoadNumber = None, b: _LoadNumber = None) -> Response:
    with reading(site.find_dsn()) as connection:
        # By default, what readers see with what they saw before.
        latter = find_load(connection, b or find_visible_load(connection))
        former = find_load(connection, a or (latter.previous_load if latter else None))
    if former is None or latter is None:
        which = next((number for number, load in ((a, former), (b, latter)) if number and load is None), None)
        raise PageError(404, f"There is no load {which}" if which else "There are no two loads to compare")
    return site.show("compare", compare_context(former, latter))


@router.get("/{name:path}")
def _asset(name: str) -> Response:
    if name not in ASSETS:
        raise HTTPException(404)
    return serve(name)


def _say_what_to_run(request: Request, _: Exception) -> Response:
    remedies = ["The first run makes the tables, and this page fills itself. Start one in the clone:"]
    return _site(request).say("Nothing is loaded yet", remedies, "make run")


def _say_what_is_away(request: Request, error: Exception) -> Response:
    message, remedy = error.args
    return _site(request).say(message, [remedy], status=HTTPStatus.SERVICE_UNAVAILABLE)


def _send_to_login(request: Request, _: Exception) -> Response:
    if "text/html" not in request.headers.get("accept", ""):
        return Response("Log in first.", status_code=401, headers=HEADERS)
    return RedirectResponse(f"{_site(request).login}?next={_prefix(request)}/today", status_code=302)


def _prefix(request: Request) -> str:
    return str(request.scope.get("root_path", ""))
