"""A request of somebody who is logged in → a view, a CSV or a script. The app reads and never writes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from audited_load.errors import UnavailableError
from pipeline_page.render import documented_models, make_environment, render_below, render_view
from pipeline_page.runs import FindRun
from pipeline_page.tabs.loads import find_loads, find_visible_load
from pipeline_page.tabs.quality import read_thresholds
from pipeline_page.tabs.today import find_today
from pipeline_page.views import SHOWN_LOADS, loads_context, today_context
from pipeline_page.warehouse import Kept, NothingLoadedError, reading
from pipeline_page.web_analysis import router as analysis
from pipeline_page.web_assets import ASSETS, HEADERS, VERSION, serve

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

    def show(self, tab: str, context: dict[str, Any]) -> HTMLResponse:
        """Show a tab."""
        text = render_view(
            self._environment, tab, context | self._common | {"docs": documented_models() if tab == "sales" else ()}
        )
        return HTMLResponse(text, headers=HEADERS)

    def show_below(self, tab: str, name: str, title: str, context: dict[str, Any]) -> HTMLResponse:
        """Show a view that a tab leads to."""
        text = render_below(self._environment, tab, name, title, context | self._common)
        return HTMLResponse(text, headers=HEADERS)

    def say(self, message: str, remedies: list[str], command: str = "", *, is_bad: bool = False) -> HTMLResponse:
        """Say something in place of a view."""
        context = {
            "tab": "",
            "title": "Customer pipeline",
            "kind": "bad" if is_bad else "quiet",
            "message": message,
            "remedies": remedies,
            "command": command,
            "run": None if is_bad else self.find_run(),
        }
        text = self._environment.get_template("message.html").render(context | self._common)
        return HTMLResponse(text, headers=HEADERS, status_code=503 if is_bad else 200)


def _site(request: Request) -> Site:
    site: Site = request.app.state.site
    return site


SiteDep = Annotated[Site, Depends(_site)]


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
def _loads(site: SiteDep) -> Response:
    with reading(site.find_dsn()) as connection:
        loads, visible = find_loads(connection, SHOWN_LOADS), find_visible_load(connection)
    return site.show("loads", loads_context(loads, visible))


@router.get("/{name}")
def _asset(name: str) -> Response:
    if name not in ASSETS:
        raise HTTPException(404, "There is no such view.")
    return serve(name)


def _say_what_to_run(request: Request, _: Exception) -> Response:
    remedies = ["The first run makes the tables, and this page fills itself. Start one in the clone:"]
    return _site(request).say("Nothing is loaded yet", remedies, "make run")


def _say_what_is_away(request: Request, error: Exception) -> Response:
    message, remedy = error.args
    return _site(request).say(message, [remedy], is_bad=True)


def _send_to_login(request: Request, _: Exception) -> Response:
    if "text/html" not in request.headers.get("accept", ""):
        return Response("Log in first.", status_code=401, headers=HEADERS)
    return RedirectResponse(f"{_site(request).login}?next={_prefix(request)}/today", status_code=302)


def _prefix(request: Request) -> str:
    return str(request.scope.get("root_path", ""))
