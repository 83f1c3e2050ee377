"""No figure is cut off, hidden to the side or broken: on a phone, a small window, a large one and paper."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from playwright.sync_api import Page, expect
from psycopg.rows import dict_row

from browser.stack import Stack
from browser.test_page import show

WIDTHS = (390, 1000, 1280)
PAPER = 718
"""What is left of a sheet of A4 between the margins, in CSS pixels."""
VIEWS = ("today", "loads", "compare?a=1&b=2")
CLIPPED = (Path(__file__).parent / "clipped.js").read_text()
CONTRAST = (Path(__file__).parent / "contrast.js").read_text()
OVER_300_000 = {"rows": 314_159, "amount": "353214563.9817", "tax": "51293846.1234"}
OF_18_DIGITS = {
    "rows": 123_456_789_012_345_678,
    "amount": "123456789012345678.1250",
    "tax": "-98765432109876543.0125",
}
_LARGER = """
    update cleaned_data.loads set
        read = %(rows)s, accepted = %(rows)s, quarantined = 0, duplicates = 0, superseded = 0, inserted = %(rows)s,
        updated = 0, unchanged = 0, outdated = 0, visible_rows = %(rows)s, total_quantity = %(amount)s,
        total_gross = %(amount)s, total_tax = %(tax)s, visible_quantity = %(rows)s, visible_gross = %(amount)s,
        visible_tax = %(tax)s
    where published_at is not null
"""


@pytest.fixture(
    params=[None, OVER_300_000, OF_18_DIGITS], ids=["1,000 rows", "300,000 rows", "18 digits"], scope="module"
)
def figures(stack: Stack, request: pytest.FixtureRequest) -> Iterator[None]:
    """Let the ledger hold larger figures than it has; the fact then is off, which is longer still."""
    if request.param is None:
        yield
        return
    with psycopg.connect(stack.runtime.dsn("loader"), row_factory=dict_row) as connection:
        kept = connection.execute("select * from cleaned_data.loads").fetchall()
        connection.execute(_LARGER, request.param)
    yield
    changed = _LARGER.split("set", 1)[1].split("where", maxsplit=1)[0].split("=")[:-1]
    names = [part.replace(",", " ").split()[-1] for part in changed]
    assignments = ", ".join(f"{name} = %({name})s" for name in names)
    with psycopg.connect(stack.runtime.dsn("loader")) as connection:
        for row in kept:
            statement = f"update cleaned_data.loads set {assignments} where load_id = %(load_id)s"  # noqa: S608
            values = {name: value for name, value in row.items() if name in {*names, "load_id"}}
            connection.execute(statement, values)


def test_a_narrow_table_says_what_each_figure_is_and_a_wide_one_has_a_header(page: Page, stack: Stack) -> None:
    page.set_viewport_size({"width": 390, "height": 900})
    show(page, stack, "today")
    cell = page.locator("#totals tbody tr", has_text="Revenue, USD").locator("td").last
    assert cell.evaluate("each => getComputedStyle(each, '::before').content") == '"Fact"'
    assert cell.evaluate("each => getComputedStyle(each, '::before').display") == "block"
    expect(page.locator("#totals thead")).to_be_hidden()
    page.set_viewport_size({"width": 1280, "height": 900})
    assert cell.evaluate("each => getComputedStyle(each, '::before').display") == "none"
    expect(page.locator("#totals thead")).to_be_visible()
    for role, number in (("table", 1), ("columnheader", 4), ("rowheader", 4), ("cell", 12)):
        assert page.locator("#totals").locator("xpath=..").get_by_role(role).count() == number, role


def test_exact_values_are_at_hand_for_the_keyboard_and_a_finger(page: Page, stack: Stack) -> None:
    ((gross,),) = stack.ask("select visible_gross from cleaned_data.published_load")
    page.set_viewport_size({"width": 390, "height": 900})
    show(page, stack, "today")
    summary = page.locator("section", has=page.locator("#totals")).locator("summary")
    exact = page.get_by_role("region", name="with all decimals").first
    expect(exact).to_be_hidden()
    summary.focus()
    page.keyboard.press("Enter")
    expect(exact).to_contain_text(f"{gross.normalize():,f}")
    page.keyboard.press("Enter")
    expect(exact).to_be_hidden()
    summary.click()
    expect(exact).to_be_visible()
    revenue = page.locator("#totals tbody tr", has_text="Revenue, USD")
    exact_values = [each.get_attribute("value") for each in revenue.locator("data").all()]
    assert exact_values.count(f"{gross}") == 2, "ledger and fact; the file alone holds what was merged last"


@pytest.mark.usefixtures("figures")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("view", VIEWS)
def test_no_figure_is_clipped_or_broken(page: Page, stack: Stack, view: str, width: int, scheme: str) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    show(page, stack, view)
    assert page.evaluate(CLIPPED) == []


@pytest.mark.usefixtures("figures")
@pytest.mark.parametrize("view", VIEWS)
def test_nothing_is_clipped_on_paper(page: Page, stack: Stack, view: str) -> None:
    page.set_viewport_size({"width": PAPER, "height": 1000})
    page.emulate_media(media="print", color_scheme="dark")
    show(page, stack, view)
    assert page.evaluate(CONTRAST) == [], "paper is white"
    assert page.evaluate(CLIPPED) == []
    expect(page.locator("nav")).to_be_hidden()
    expect(page.locator("form:visible")).to_have_count(0)
    overflows = page.locator(".scroll").evaluate_all("all => all.map((each) => getComputedStyle(each).overflowX)")
    assert set(overflows) == {"visible"}


@pytest.mark.usefixtures("figures")
@pytest.mark.parametrize("width", [*WIDTHS, PAPER])
def test_the_mailed_report_fits_too(page: Page, stack: Stack, tmp_path: Path, width: int) -> None:
    done = stack.command("report", "--out", str(tmp_path / "report.html"))
    assert done.returncode == 0, done.stderr
    page.set_viewport_size({"width": width, "height": 900})
    if width == PAPER:
        page.emulate_media(media="print")
    page.goto(f"file://{tmp_path}/report.html")
    assert page.evaluate(CLIPPED) == []
