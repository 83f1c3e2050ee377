"""The pipeline's page in a real browser, on a real stack."""

from __future__ import annotations

import csv
import io
import re
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import Locator, Page, Request, expect

from browser.stack import FORMULA_NAME, HTML_NAME, Stack

VIEWS = ("today", "quality", "quality?reason=price", "sales", "sales?first=2023-02&last=2023-05", "loads")
BEHIND_THE_LOGIN = (*VIEWS, "sales.csv?table=months", "vega.js", "page.js", "page.css", "icon.svg", "", "nothing")
SUMS = "select count(*), sum(units_sold), sum(gross_amount), sum(tax_amount) from analytics.fact_transactions"


def show(page: Page, stack: Stack, view: str) -> Page:
    """Open a view, and wait until its charts are drawn."""
    page.goto(f"{stack.url}/pipeline/{view}")
    for chart in page.locator("[data-chart]").all():
        expect(page.locator(f"#{chart.get_attribute('data-chart')}")).to_have_attribute("data-drawn", "yes")
    return page


def number(text: str) -> Decimal:
    return Decimal(re.sub(r"[^0-9.-]", "", text.replace("\N{MINUS SIGN}", "-")))


def exact(cell: Locator) -> str:
    """Read a figure with the decimals that are not shown."""
    return str(cell.evaluate("cell => cell.querySelector('data')?.value ?? cell.innerText"))


@pytest.mark.parametrize("view", BEHIND_THE_LOGIN)
def test_a_logged_out_request_gets_no_data(stack: Stack, view: str) -> None:
    url = f"{stack.url}/pipeline/{view}"
    assert httpx.get(url).status_code == 401
    assert httpx.get(url, headers={"Authorization": "Bearer made.up.token"}).status_code in {401, 403}
    asked_by_a_browser = httpx.get(url, headers={"Accept": "text/html"})
    assert asked_by_a_browser.status_code == 302
    assert urlsplit(asked_by_a_browser.headers["location"]).path == "/api/v2/auth/login"
    assert not asked_by_a_browser.text


def test_before_the_first_run_the_page_says_what_to_do(stack: Stack) -> None:
    assert "Nothing is loaded yet" in stack.first_view
    assert "make run" in stack.first_view


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_renders_without_errors_and_asks_no_other_machine(page: Page, stack: Stack, view: str) -> None:
    said: list[str] = []
    asked: list[Request] = []
    page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request))  # noqa: PLW0108 - a built-in has no place for a mark
    show(page, stack, view)
    assert page.locator("h1").count() == 1
    assert page.locator("table, .flow").count() > 0
    assert said == []
    assert {urlsplit(request.url).netloc for request in asked} == {urlsplit(stack.url).netloc}


def test_the_flow_and_the_totals_are_those_of_sql(page: Page, stack: Stack) -> None:
    show(page, stack, "today")
    ((read, accepted, quarantined, duplicates, published),) = stack.ask(
        "select read, accepted, quarantined, duplicates, visible_rows from cleaned_data.published_load"
    )
    ((rows, units, gross, tax),) = stack.ask(SUMS, "transformer")
    figures = {
        name: number(page.locator(f"[data-figure={name}]").inner_text())
        for name in ("read", "accepted", "quarantined", "duplicates", "published", "fact")
    }
    assert figures == {
        "read": read,
        "accepted": accepted,
        "quarantined": quarantined,
        "duplicates": duplicates,
        "published": published,
        "fact": rows,
    }
    cells = [row.locator("td").last.locator("data") for row in page.locator("#totals tbody tr").all()]
    shown = [Decimal(str(cell.get_attribute("value"))) for cell in cells]
    assert shown == [rows, units, gross, tax]
    assert page.locator("#totals .good.tick").count() == 4
    assert "tie out" in page.locator(".tiles").inner_text()


def test_the_months_are_those_of_sql_also_in_a_range(page: Page, stack: Stack) -> None:
    show(page, stack, "sales")
    page.select_option("select[name=first]", "2023-02")
    page.select_option("select[name=last]", "2023-05")
    page.click("button")
    expected = stack.ask(
        "select sum(revenue), sum(tax_amount), sum(units_sold), sum(transactions)"
        " from analytics.agg_monthly_sales where transaction_month between '2023-02-01' and '2023-05-01'"
        " group by transaction_month order by transaction_month",
        "transformer",
    )
    table = page.locator("figure", has_text="Revenue by month")
    table.locator("summary").click()
    rows = [[number(exact(cell)) for cell in row.locator("td").all()] for row in table.locator("tbody tr").all()]
    assert [tuple(row[:4]) for row in rows] == expected
    assert number(exact(page.locator("[data-figure=revenue]"))) == sum(row[0] for row in expected)


def test_html_in_a_product_name_is_text(page: Page, stack: Stack) -> None:
    opened: list[str] = []
    page.on("dialog", lambda dialog: (opened.append(dialog.message), dialog.dismiss()))
    show(page, stack, "sales")
    table = page.locator("figure", has_text="Top products")
    table.locator("summary").click()
    expect(table.get_by_role("rowheader", name=HTML_NAME)).to_be_visible()
    assert page.locator("main img").count() == 0
    table.locator("path[aria-label], .mark-rect path").first.hover()
    assert opened == []


def test_a_formula_in_the_download_is_text_and_a_number_is_a_number(page: Page, stack: Stack) -> None:
    show(page, stack, "sales")
    with page.expect_download() as waiting:
        page.get_by_role("link", name="top products").click()
    text = Path(waiting.value.path()).read_text(encoding="utf-8")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert f"'{FORMULA_NAME}" in [row["product_name"] for row in rows]
    assert not [cell for row in rows for cell in row.values() if cell[:1] in {"=", "+", "@"}]
    total = stack.ask(
        "select sum(revenue) from (select revenue from analytics.dim_products where product_id <> -1"
        " order by revenue desc limit 10) as top",
        "transformer",
    )
    assert [(sum(Decimal(row["revenue"]) for row in rows),)] == total


@pytest.mark.parametrize("view", VIEWS)
def test_a_phone_shows_it_without_scrolling_sideways(page: Page, stack: Stack, view: str) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    show(page, stack, view)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("view", ["today", "quality", "sales", "loads"])
def test_all_text_stands_out_in_light_and_in_dark(page: Page, stack: Stack, view: str, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)
    show(page, stack, view)
    backdrop = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", backdrop))) < 384) == (scheme == "dark")
    weak = page.evaluate((Path(__file__).parent / "contrast.js").read_text())
    assert weak == []


def test_the_keyboard_reaches_everything_and_its_place_is_seen(page: Page, stack: Stack) -> None:
    show(page, stack, "today")
    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_have_text("To the figures")
    for name in ("Today", "Quality"):
        page.keyboard.press("Tab")
        expect(page.locator(":focus")).to_have_text(name)
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("Quality")
    expect(page.locator("nav [aria-current=page]")).to_have_text("Quality")
    for landmark in ("main", "navigation", "banner"):
        assert page.get_by_role(landmark).count() == 1


def test_the_page_is_in_airflows_navigation_and_leads_to_the_task(page: Page, stack: Stack) -> None:
    page.goto(stack.url)
    page.get_by_role("link", name="Pipeline", exact=True).click()
    frame = page.frame_locator("iframe[title=Pipeline]")
    expect(frame.locator("[data-figure=read]")).to_be_visible()
    frame.locator("[data-figure=read] a").click()
    page.wait_for_url("**/dags/pipeline_customer_transaction/runs/**/tasks/**clean_and_transform_csv**")


def test_a_reason_leads_to_its_shapes_and_no_value_is_shown(page: Page, stack: Stack) -> None:
    show(page, stack, "quality?reason=customer_id:not_an_id")
    shapes = page.locator("#shapes code").all_inner_texts()
    assert sorted(shapes) == ["???", "aaa"]
    show(page, stack, "quality")
    # A reason's explanation has examples of its own, of which the sample's values are some.
    page.evaluate("document.querySelectorAll('[role=tooltip]').forEach(each => each.remove())")
    values = {"yesterday", "two or three", "1e999", "01-13-2023", "501.7"}
    assert not [value for value in values if value in page.content()]


def test_a_failed_run_is_said_first(page: Page, stack: Stack) -> None:
    failed = stack.command("run", str(stack.runtime.data / "broken.csv"))
    assert failed.returncode != 0
    show(page, stack, "today")
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("The last run failed")
    expect(alert.get_by_role("link", name="clean_and_transform_csv")).to_be_visible()


def test_the_report_is_one_file_without_scripts_or_personal_data(page: Page, stack: Stack, tmp_path: Path) -> None:
    done = stack.command("report", "--out", str(tmp_path / "report.html"))
    assert done.returncode == 0, done.stderr
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"file://{tmp_path}/report.html")
    assert page.locator("svg").count() > 8
    assert page.locator("script, img, iframe, link[rel=stylesheet], a[href]").count() == 0
    assert len(asked) == 1
    text = page.locator("body").inner_text()
    assert "threshold" in text
    for heading in ("Today", "Quality", "Sales", "Loads"):
        expect(page.get_by_role("heading", name=heading, exact=True)).to_be_visible()
    page.set_viewport_size({"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
