"""What can't be answered → a page in the frame of the others that says why, with its status."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import get_flat_dependant
from fastapi.exceptions import RequestValidationError
from pydantic.fields import FieldInfo
from starlette.exceptions import HTTPException

from audited_load.command import command
from audited_load.shown import show_text

Say = Callable[..., Response]
"""Shows a page with a message, remedies and a status: see `_Site.say`."""

_WORDS = {
    HTTPStatus.FORBIDDEN: ("You may not see this page", "Ask for the right to read the DAG."),
    HTTPStatus.NOT_FOUND: ("There is no such view", "Choose a view in the navigation."),
    HTTPStatus.METHOD_NOT_ALLOWED: ("This page only reads", "Open the view with GET."),
}


def add_error_pages(app: FastAPI, find_say: Callable[[Request], Say]) -> None:
    """Answer errors with pages.

    Args:
        app: The app.
        find_say: Gives what shows a message, for a request.
    """

    def say_http(request: Request, error: Exception) -> Response:
        if not isinstance(error, HTTPException):
            raise error
        status = HTTPStatus(error.status_code)
        message, remedy = _WORDS.get(status, (status.phrase, "Try again, or choose a view."))
        # Ours have words of their own; Airflow's and the framework's are the status' name, or for programs.
        if isinstance(error, PageError):
            message = error.detail
        return find_say(request)(message, [remedy], status=status)

    def say_invalid(request: Request, error: Exception) -> Response:
        if not isinstance(error, RequestValidationError):
            raise error
        fields = known_parameters(request)
        remedies = [_describe_invalid(each, fields) for each in error.errors()]
        return find_say(request)("A parameter of the address can't be used", remedies, status=422)

    def say_broken(request: Request, _: Exception) -> Response:
        remedy = "The cause is in the log of the API server. An operator sees it on the machine:"
        return find_say(request)(
            "This view failed", [remedy], command=command("logs api-server").strip("`"), status=500
        )

    app.add_exception_handler(HTTPException, say_http)
    app.add_exception_handler(RequestValidationError, say_invalid)
    app.add_exception_handler(Exception, say_broken)


class PageError(HTTPException):
    """Something that can't be shown, in words for people."""


def known_parameters(request: Request) -> dict[str, FieldInfo]:
    """Return the query parameters that the view of a request knows, by name."""
    dependant = getattr(request.scope.get("route"), "dependant", None)
    if not isinstance(dependant, Dependant):
        return {}
    return {field.alias: field.field_info for field in get_flat_dependant(dependant).query_params}


def unknown_parameters(request: Request) -> list[str]:
    """Return the names in the address' query that its view doesn't know, each once."""
    known = known_parameters(request)
    return [show_text(name) for name in dict.fromkeys(request.query_params) if name not in known]


def _describe_invalid(error: dict[str, Any], fields: dict[str, FieldInfo]) -> str:
    name = str(error["loc"][-1])
    field = fields.get(name)
    expected = field.description if field else None
    fault = "is missing" if error["type"] == "missing" else "can't be used"
    return f"“{show_text(name)}” {fault}: it has to be {expected}." if expected else f"“{show_text(name)}” {fault}."
