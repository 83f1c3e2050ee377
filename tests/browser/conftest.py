"""A browser of the machine, and a stack for it to look at."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from browser.stack import Stack, log_in, running_stack

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    program = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip("There is no Chromium: apt-get install chromium, or name one in CHROMIUM.")
    # As root, Chromium runs only without its sandbox; it sees nothing but our own page.
    arguments = ["--disable-gpu", "--disable-background-networking"]
    arguments += ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=arguments)
        yield started
        started.close()


@pytest.fixture(scope="session")
def stack(browser: Browser) -> Iterator[Stack]:
    with running_stack(browser) as started:
        yield started


@pytest.fixture(scope="session")
def context(browser: Browser, stack: Stack) -> Iterator[BrowserContext]:
    """Somebody who is logged in."""
    opened = browser.new_context(viewport={"width": 1280, "height": 900})
    log_in(opened, stack.url).close()
    yield opened
    opened.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    opened = context.new_page()
    yield opened
    opened.close()
