"""Requests for *Quality* and *Sales*, for what lies below them, and for their tables → a view, or a CSV."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response

from pipeline_page.download import MONTH_TABLES, QUALITY_TABLES, SALES_TABLES, write_csv
from pipeline_page.tabs.dbt_tests import find_test_history
from pipeline_page.tabs.explained import explain_all
from pipeline_page.tabs.one_month import SHOWN_PRODUCTS, OneMonth, find_one_month
from pipeline_page.tabs.quality import RECORDS, find_quality
from pipeline_page.tabs.sales import Sales, find_sales
from pipeline_page.texts import YearMonth
from pipeline_page.views import history_context, month_context, quality_context, rules_context, sales_context
from pipeline_page.warehouse import reading
from pipeline_page.web_assets import HEADERS
from pipeline_page.web_errors import PageError

if TYPE_CHECKING:
    from pipeline_page.web import Site

router = APIRouter()

_MONTH = r"^-?[0-9]{4,6}-(0[1-9]|1[0-2])$"
_A_MONTH = "a month such as 2023-07"
_NO_MARTS, _NO_SALES = "No marts are published yet", "No sales in this month"


def _one_of(tables: Iterable[str]) -> Any:  # noqa: ANN401 - as FastAPI declares it
    names = list(tables)
    return Query(pattern=f"^({'|'.join(names)})$", description=f"one of {', '.join(names)}")


def _site(request: Request) -> Site:
    site: Site = request.app.state.site
    return site.asked_by(request)


Reason = Annotated[
    str | None, Query(pattern="^[a-z0-9_]+(:[a-z0-9_]+)?$", description="a reason such as price:exponent")
]
AMonth = Annotated[str | None, Query(pattern=_MONTH, description=_A_MONTH)]
MonthKey = Annotated[str, Query(pattern=_MONTH, description=_A_MONTH)]


def _sales(request: Request, first: AMonth = None, last: AMonth = None) -> Sales | None:
    site = _site(request)
    with reading(site.find_dsn()) as connection:
        chosen = (YearMonth.read(text) if text else None for text in (first, last))
        return find_sales(connection, site.kept, *chosen)


def _month(request: Request, month: MonthKey, limit: int | None = SHOWN_PRODUCTS) -> OneMonth | None:
    site = _site(request)
    with reading(site.find_dsn()) as connection:
        return find_one_month(connection, site.kept, YearMonth.read(month), limit)


SalesDep = Annotated[Sales | None, Depends(_sales)]


@router.get("/quality")
def _quality(request: Request, reason: Reason = None) -> Response:
    site = _site(request)
    with reading(site.find_dsn()) as connection:
        return site.show("quality", quality_context(find_quality(connection, reason), linked=True))


@router.get("/tests")
def _tests(request: Request) -> Response:
    site = _site(request)
    with reading(site.find_dsn()) as connection:
        return site.show("tests", history_context(find_test_history(connection)))


@router.get("/rules")
def _rules(request: Request) -> Response:
    site = _site(request)
    return site.show("rules", rules_context(explain_all()))


@router.get("/quality.csv")
def _download_quality(
    request: Request, table: Annotated[str, _one_of(QUALITY_TABLES)], reason: Reason = None
) -> Response:
    site = _site(request)
    with reading(site.find_dsn()) as connection:
        if table == "tests":
            rows = QUALITY_TABLES[table](find_test_history(connection))
        else:
            everything = None if table == "records" else RECORDS
            rows = QUALITY_TABLES[table](find_quality(connection, reason, everything))
        return _csv(write_csv(rows), table)


@router.get("/sales")
def _show_sales(request: Request, sales: SalesDep) -> Response:
    site = _site(request)
    if sales is None:
        remedy = "They are published when all tests of a run have passed."
        return site.say(_NO_MARTS, [remedy, "Run the pipeline in the clone:"], "make run")
    return site.show("sales", sales_context(sales, linked=True))


@router.get("/sales.csv")
def _download_sales(sales: SalesDep, table: Annotated[str, _one_of(SALES_TABLES)]) -> Response:
    if sales is None:
        raise PageError(404, _NO_MARTS)
    return _csv(write_csv(SALES_TABLES[table](sales)), table)


@router.get("/month")
def _show_month(request: Request, month: MonthKey) -> Response:
    site = _site(request)
    found = _month(request, month)
    if found is None:
        raise PageError(404, _NO_SALES)
    return site.show("month", month_context(found))


@router.get("/month.csv")
def _download_month(request: Request, month: MonthKey, table: Annotated[str, _one_of(MONTH_TABLES)]) -> Response:
    found = _month(request, month, None)
    if found is None:
        raise PageError(404, _NO_SALES)
    return _csv(write_csv(MONTH_TABLES[table](found)), f"{table}_{month}")


def _csv(text: str, name: str) -> Response:
    more = {"Content-Disposition": f'attachment; filename="{name}.csv"'}
    return Response(text, media_type="text/csv; charset=utf-8", headers=HEADERS | more)
