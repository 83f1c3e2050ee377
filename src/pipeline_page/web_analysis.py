"""Requests for *Quality* and *Sales*, for what lies below them, and for their tables → a view, or a CSV."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response

from pipeline_page.download import MONTH_TABLES, QUALITY_TABLES, SALES_TABLES, write_csv
from pipeline_page.tabs.dbt_tests import find_test_history
from pipeline_page.tabs.explained import explain_all
from pipeline_page.tabs.one_month import SHOWN_PRODUCTS, OneMonth, find_one_month
from pipeline_page.tabs.quality import RECORDS, find_quality
from pipeline_page.tabs.sales import Sales, find_sales
from pipeline_page.texts import YearMonth, show_month
from pipeline_page.views import history_context, month_context, quality_context, rules_context, sales_context
from pipeline_page.warehouse import reading
from pipeline_page.web_assets import HEADERS

if TYPE_CHECKING:
    from pipeline_page.web import Site

router = APIRouter()

_MONTH = r"^-?\d{4,6}-(0[1-9]|1[0-2])$"
_NO_MARTS = "No marts are published yet"


def _one_of(tables: dict[str, object]) -> str:
    return f"^({'|'.join(tables)})$"


def _site(request: Request) -> Site:
    site: Site = request.app.state.site
    return site


Reason = Annotated[str | None, Query(pattern="^[a-z0-9_]+(:[a-z0-9_]+)?$")]
AMonth = Annotated[str | None, Query(pattern=_MONTH)]
MonthKey = Annotated[str, Query(pattern=_MONTH)]


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
        return site.show_below("quality", "tests", "dbt tests", history_context(find_test_history(connection)))


@router.get("/rules")
def _rules(request: Request) -> Response:
    site = _site(request)
    return site.show_below("quality", "rules", "Reasons and rules", rules_context(explain_all()))


@router.get("/quality.csv")
def _download_quality(
    request: Request, table: Annotated[str, Query(pattern=_one_of(QUALITY_TABLES))], reason: Reason = None
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
def _download_sales(sales: SalesDep, table: Annotated[str, Query(pattern=_one_of(SALES_TABLES))]) -> Response:
    if sales is None:
        raise HTTPException(404, f"{_NO_MARTS}.")
    return _csv(write_csv(SALES_TABLES[table](sales)), table)


@router.get("/month")
def _show_month(request: Request, month: MonthKey) -> Response:
    site = _site(request)
    found = _month(request, month)
    if found is None:
        return site.say("No sales in this month", ["Choose another on Sales, or there are no marts yet."])
    title = f"Sales in {show_month(found.month.month)}"
    return site.show_below("sales", "month", title, month_context(found))


@router.get("/month.csv")
def _download_month(
    request: Request, month: MonthKey, table: Annotated[str, Query(pattern=_one_of(MONTH_TABLES))]
) -> Response:
    found = _month(request, month, None)
    if found is None:
        raise HTTPException(404, "No sales in this month.")
    return _csv(write_csv(MONTH_TABLES[table](found)), f"{table}_{month}")


def _csv(text: str, name: str) -> Response:
    more = {"Content-Disposition": f'attachment; filename="{name}.csv"'}
    return Response(text, media_type="text/csv; charset=utf-8", headers=HEADERS | more)
