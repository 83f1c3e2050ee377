"""Sales and Quality in a real browser: the chosen months, what lies below a figure, what a reason means, CSV."""

from __future__ import annotations

import csv
import io
import re
from decimal import Decimal
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from browser.stack import Stack
from browser.test_page import show

BELOW = ("month?month=2023-07", "tests", "rules")
ALL = ("quality", "quality?reason=customer_id", "sales", "sales?first=2023-02&last=2023-05", *BELOW)
CLIPPED = (Path(__file__).parent / "clipped.js").read_text()
BAD = "transaction_id,customer_id,transaction_date,product_id,product_name,quantity,price,tax\n" + "".join(
    f"{910000 + n},501,2024-01-05,9001,Desk,2,{'abc' if n % 4 == 0 else '3.50'},0.05\n" for n in range(40)
)


def rows_of(figure: Locator) -> list[list[str]]:
    """Open a chart's figures, and read them: what is rounded for people, exactly."""
    figure.locator("summary").click()
    exact = "cells => cells.map(cell => cell.querySelector('data')?.value ?? cell.innerText)"
    return [row.locator("th, td").evaluate_all(exact) for row in figure.locator("tbody tr").all()]


def amount(text: str) -> Decimal:
    return Decimal(text.replace(",", "").replace("\N{MINUS SIGN}", "-"))


@pytest.mark.parametrize(
    "title", ["Revenue by customers' tier", "Revenue by customers' value", "Revenue by product"]
)
@pytest.mark.parametrize("view", ["sales", "sales?first=2023-02&last=2023-05"])
def test_each_chart_of_sales_adds_up_to_the_revenue_of_the_chosen_months(
    page: Page, stack: Stack, view: str, title: str
) -> None:
    show(page, stack, view)
    *groups, total = rows_of(page.locator("figure", has_text=title))
    assert total[0] == "All"
    assert sum(amount(row[-1]) for row in groups) == amount(total[-1])
    between = "'2023-02-01' and '2023-05-31'" if "first" in view else "'-infinity' and 'infinity'"
    ((expected,),) = stack.ask(
        f"select sum(gross_amount) from analytics.fact_transactions where transaction_date between {between}",  # noqa: S608
        "transformer",
    )
    assert amount(total[-1]) == expected
    if view == "sales" and "customers" in title:
        assert groups[-1][0] == "Unknown"


def test_a_month_that_is_not_over_says_so_in_tile_table_and_chart(page: Page, stack: Stack) -> None:
    show(page, stack, "sales")
    expect(page.locator(".tile", has_text="Last month, not over")).to_contain_text("Jan 2024")
    revenue = page.locator("figure", has_text="Revenue by month")
    expect(revenue).to_contain_text("Jan 2024 is not over: the newest transaction is of 2024-01-06.")
    assert rows_of(revenue)[-1][0] == "Jan 2024, not over"
    bars = revenue.locator(".mark-rect.role-mark path")
    faint = bars.evaluate_all("paths => paths.map(path => path.getAttribute('opacity'))")
    assert faint[-1] == "0.45"
    assert set(faint[:-1]) == {"1"}


def test_a_month_leads_to_its_days_and_products(page: Page, stack: Stack) -> None:
    show(page, stack, "sales")
    page.locator("#months").get_by_role("link", name="Jul 2023").click()
    expect(page.locator("h1")).to_have_text("Sales in Jul 2023")
    expect(page.locator("nav [aria-current=page]")).to_have_text("Sales")
    days = rows_of(page.locator("figure", has_text="Revenue by day"))
    expected = stack.ask(
        "select extract(day from transaction_date)::int, count(*) from analytics.fact_transactions"
        " where transaction_month = '2023-07-01' group by 1 order by 1",
        "transformer",
    )
    assert [(int(row[0].split()[0]), int(row[4])) for row in days] == expected
    page.get_by_role("link", name="Aug 2023").click()
    expect(page.locator("h1")).to_have_text("Sales in Aug 2023")


def test_a_reason_leads_to_its_records_by_the_ids_of_the_quarantine(page: Page, stack: Stack) -> None:
    show(page, stack, "quality?reason=customer_id:not_an_id")
    ids = page.locator("#records td[data-label=Id]").all_inner_texts()
    known = "select left(reject_id::text, 8) from cleaned_data.customer_transactions_rejected"
    assert ids
    assert set(ids) <= {row[0] for row in stack.ask(known)}
    assert page.locator("#records td[data-label=Shape]").all_inner_texts() == ["aaa", "???"]
    expect(page.locator("#meaning")).to_contain_text("Refused because the value is not an id. Such as: abc")
    expect(page.locator("pre").first).to_contain_text("--reason customer_id:not_an_id --raw")


def test_what_a_reason_means_is_shown_with_the_focus_and_with_the_pointer(page: Page, stack: Stack) -> None:
    show(page, stack, "quality")
    for name, words in (("price:exponent", "scientific notation"), ("quantity:whole_float", "501.0 → 501")):
        chip = page.get_by_role("link", name=re.compile(f"^{name} "))
        tip = page.locator(f"[id='{chip.get_attribute('aria-describedby')}']")
        expect(tip).to_be_hidden()
        chip.focus()
        expect(tip).to_be_visible()
        expect(tip).to_contain_text(words)
        page.locator("h1").click()
        expect(tip).to_be_hidden()
        chip.hover()
        expect(tip).to_be_visible()
        expect(chip).to_have_accessible_description(re.compile(re.escape(words)))
        page.mouse.move(0, 0)
    page.get_by_role("link", name=re.compile("^quantity:whole_float ")).click()
    expect(page.locator("tr:target")).to_contain_text("quantity:whole_float")


def test_each_test_of_dbt_is_there_by_name(page: Page, stack: Stack) -> None:
    show(page, stack, "quality")
    page.get_by_role("link", name="Each test by name").click()
    names = page.locator("#history th code").all_inner_texts()
    expected = stack.ask("select distinct test_name from operations.dbt_test_results order by 1", "transformer")
    assert [(name,) for name in names] == expected


@pytest.mark.parametrize("view", ALL)
def test_every_table_can_be_downloaded(page: Page, stack: Stack, view: str) -> None:
    show(page, stack, view)
    for link in page.locator("a[download]").all():
        with page.expect_download() as waiting:
            link.click()
        header, *rows = csv.reader(io.StringIO(Path(waiting.value.path()).read_text(encoding="utf-8")))
        assert header
        assert rows, link.get_attribute("href")
    assert page.locator("a[download]").count() or view == "rules", "its tables are no figures"


@pytest.mark.parametrize("width", [390, 1000, 1280])
@pytest.mark.parametrize("view", ALL)
def test_no_figure_is_clipped_or_broken(page: Page, stack: Stack, view: str, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    show(page, stack, view)
    assert page.evaluate(CLIPPED) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("view", BELOW)
def test_all_text_below_stands_out_in_light_and_in_dark(page: Page, stack: Stack, view: str, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    show(page, stack, view)
    assert page.evaluate((Path(__file__).parent / "contrast.js").read_text()) == []


def test_charts_follow_the_system_into_the_dark_and_are_light_on_paper(page: Page, stack: Stack) -> None:
    def colours() -> set[str]:
        bars = page.locator("figure .mark-rect.role-mark path")
        expect(bars.first).to_be_visible()
        return set(bars.evaluate_all("paths => paths.map(path => getComputedStyle(path).fill)"))

    light, dark = "rgb(37, 99, 168)", "rgb(110, 168, 230)"
    page.emulate_media(color_scheme="dark")
    show(page, stack, "sales")
    assert dark in colours()
    page.emulate_media(color_scheme="light")
    assert light in colours()
    page.emulate_media(media="print", color_scheme="dark")
    assert light in colours(), "nothing is drawn anew for paper"
    assert dark not in colours()


def test_a_file_over_the_threshold_is_marked_in_the_trend(page: Page, stack: Stack) -> None:
    file = stack.runtime.data / "bad.csv"
    file.write_text(BAD)
    assert stack.command("run", str(file), "--mode", "merge").returncode == 2
    show(page, stack, "quality")
    trend = page.locator("figure", has_text="Share of refused records")
    expect(trend).to_contain_text("A large red mark is a load that readers never saw.")
    marks = trend.locator(".mark-symbol.role-mark path")
    fills = marks.evaluate_all("paths => paths.map(path => path.getAttribute('fill'))")
    assert len(set(fills)) == 2
    assert fills.count(fills[-1]) == 1
    newest = rows_of(trend)[0]
    assert (newest[2], newest[5]) == ("refused", "25.0 %")
    limit = trend.locator(".mark-rule.role-mark line").bounding_box()
    mark = marks.last.bounding_box()
    assert limit
    assert mark
    assert mark["y"] < limit["y"], "it is above the threshold"
