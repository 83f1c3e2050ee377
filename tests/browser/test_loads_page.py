"""*Loads* and what leads from it, by mouse and by keyboard; errors as pages."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from browser.stack import Stack
from browser.test_page import show


def test_run_and_publishing_are_seen_without_scrolling(page: Page, stack: Stack) -> None:
    page.set_viewport_size({"width": 1280, "height": 900})
    show(page, stack, "loads")
    row = page.locator("#ledger tbody tr.visible")
    for cell in (row.get_by_role("link", name="manual"), row.locator("time")):
        box = cell.bounding_box()
        assert box is not None
        assert box["x"] + box["width"] <= 1280
    expect(row).to_contain_text("airflow")
    row.locator("summary").click()
    expect(row).to_contain_text("mode=merge")
    expect(row).to_contain_text("source=day.csv")


def test_the_keyboard_alone_searches_compares_and_comes_back(page: Page, stack: Stack) -> None:
    show(page, stack, "loads")
    page.get_by_label("File").focus()
    page.keyboard.type("DAY.csv")
    page.keyboard.press("Enter")
    page.wait_for_url("**/loads?*file=DAY.csv*")
    expect(page.locator("#ledger tbody tr:not(.why)")).to_have_count(1)
    expect(page.get_by_label("File")).to_have_value("DAY.csv")
    page.get_by_role("link", name="All loads").press("Enter")
    page.wait_for_url("**/loads")
    page.get_by_label("Compare load").fill("1")
    page.get_by_label("with load").fill("2")
    page.get_by_label("with load").press("Enter")
    page.wait_for_url("**/compare?a=1&b=2")
    expect(page.locator("h1")).to_have_text("Two loads")
    expect(page.locator("nav [aria-current=page]")).to_have_text("Loads")
    table = page.get_by_role("region", name="Totals of the cleaned file", exact=True)
    expect(table.get_by_role("columnheader")).to_have_text(["Total", "Load 1", "Load 2", "Change"])


def test_the_ledger_as_shown_is_a_download(page: Page, stack: Stack) -> None:
    show(page, stack, "loads?status=published")
    with page.expect_download() as waiting:
        page.get_by_role("link", name="This table as CSV").click()
    rows = list(csv.DictReader(io.StringIO(Path(waiting.value.path()).read_text(encoding="utf-8"))))
    shown = page.locator("#ledger tbody tr:not(.why) th").all_inner_texts()
    assert [row["load_id"] for row in rows] == [text.split()[0] for text in shown]
    assert {row["status"] for row in rows} == {"published"}


@pytest.mark.parametrize(
    ("address", "status", "said"),
    [
        ("nothing/at/all", 404, "There is no such view"),
        ("loads?from=yesterday", 422, "“from” can't be used: it has to be a day such as 2025-12-04."),
        ("compare?a=1&b=999999", 404, "There is no load 999999"),
        ("loads?form=x", 200, "“form” in the address is a name that this view doesn't know"),
    ],
)
def test_errors_are_pages_in_the_frame(page: Page, stack: Stack, address: str, status: int, said: str) -> None:
    answer = page.goto(f"{stack.url}/pipeline/{address}")
    assert answer is not None
    assert answer.status == status
    expect(page.locator("main")).to_contain_text(said)
    assert page.evaluate("document.styleSheets[0].cssRules.length") > 50
    page.get_by_role("link", name="Today").click()
    expect(page.locator("h1")).to_have_text("Today")
