"""*Today* of runs that fail, wait or are taken back, on a real Airflow. The last file: others look at what was."""

from __future__ import annotations

import re
import time
from pathlib import Path

from playwright.sync_api import Page, expect

from browser.stack import Stack
from browser.test_page import show


def test_a_failed_run_names_its_cause_the_remedy_and_the_log(page: Page, stack: Stack) -> None:
    assert stack.command("run", str(stack.runtime.data / "broken.csv")).returncode != 0
    show(page, stack, "today")
    alert = page.get_by_role("alert").filter(has_text="The last run failed")
    expect(alert).to_contain_text("clean_and_transform_csv failed at try 1 of 2: ")
    expect(alert).to_contain_text("no header found")
    expect(alert).to_contain_text("What to do: Put the header")
    alert.get_by_role("link", name="Open its log").click()
    page.wait_for_url("**/tasks/Clean-Transactions.clean_and_transform_csv*")
    show(page, stack, "loads?status=refused")
    expect(page.locator("#ledger .why").first).to_contain_text("no header found")


def test_a_run_that_waits_for_another_says_for_which_and_for_how_long(page: Page, stack: Stack) -> None:
    runs = [stack.start("run", "--force") for _ in range(2)]
    try:
        deadline = time.monotonic() + 120
        waiting = page.get_by_role("status").filter(
            has_text=re.compile("A run waits to be started.*until", re.DOTALL)
        )
        while not waiting.count():
            assert time.monotonic() < deadline, "no run was seen waiting"
            page.goto(f"{stack.url}/pipeline/today")
        text = " ".join(waiting.inner_text().split())
        (waits, other) = re.findall(r"manual__\S+?\+00:00", text)
        assert re.search(r"has waited for \d+ min, until", text)
        assert other < waits
        assert "one run loads at a time" in text
    finally:
        for run in runs:
            run.wait(timeout=300)


def test_a_load_that_was_taken_back_is_told(page: Page, stack: Stack, tmp_path: Path) -> None:
    more = tmp_path / "more.csv"
    more.write_text((stack.runtime.data / "day.csv").read_text().replace("900001", "900009"))
    assert stack.command("run", str(more), "--mode", "merge").returncode == 0
    ((newest, before),) = stack.ask("select load_id, previous_load from cleaned_data.published_load")
    done = stack.command("rollback")
    assert done.returncode == 0, done.stderr
    show(page, stack, "today")
    notice = page.get_by_role("status").filter(has_text=f"Load {newest} was taken back")
    expect(notice).to_contain_text(f"Readers see load {before} again")
    expect(page.locator("#totals-title")).to_have_text(f"Control totals of load {before}")
    expect(page.locator("[data-figure=outcome]")).to_have_text("taken back")
    expect(page.locator("#seen")).to_contain_text(f"Readers see load {before}")
