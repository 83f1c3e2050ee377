"""A stack of the tests' own, in a temporary home: nothing of the clone's is read or changed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from playwright.sync_api import Browser, BrowserContext, Page

from customer_pipeline.runtime.installation import Runtime, free_port, read_runtime
from customer_pipeline.runtime.postgres_server import locate_server

ROOT = Path(__file__).parents[2]
COMMAND = Path(sys.executable).with_name("customer-pipeline")
HTML_NAME, FORMULA_NAME = '<img src=x onerror="alert(1)">', "=1+1"
DAY = f"""transaction_id,customer_id,transaction_date,product_id,product_name,quantity,price,tax
900001,501,2024-01-05,9001,"{HTML_NAME.replace('"', '""')}",2,90000.10,0.05
900002,502,2024-01-06,9002,{FORMULA_NAME},-1,70000.00,0.05
900003,502,2024-01-06,9002,{FORMULA_NAME},3,70000.00,0.05
"""
NOT_CSV = "no,header,that,is,known\n1,2,3,4,5\n"


@dataclass(frozen=True)
class Stack:
    """A stack that was started empty, ran the sample, and merged a day with hostile product names.

    Attributes:
        runtime: Its settings.
        first_view: What the page said before anything was loaded.
    """

    runtime: Runtime
    first_view: str

    @property
    def url(self) -> str:
        """Address of Airflow."""
        return self.runtime.url

    def ask(self, statement: str, role: str = "loader") -> list[tuple]:
        """Ask the warehouse."""
        with psycopg.connect(self.runtime.dsn(role)) as connection:
            return connection.execute(statement).fetchall()

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `customer-pipeline`."""
        return _command(self.runtime, *arguments)

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start `customer-pipeline`, and go on."""
        line, quiet = [COMMAND, *arguments], subprocess.DEVNULL
        return subprocess.Popen(line, env=_environment(self.runtime), stdout=quiet, stderr=quiet)


@contextmanager
def running_stack(browser: Browser) -> Iterator[Stack]:
    """Start it, and remove all of it afterwards."""
    home = Path(tempfile.mkdtemp(prefix="customer-pipeline-browser-"))
    home.chmod(0o755)
    for name in ("airflow/dags", "airflow/plugins", "contracts", "dbt"):
        shutil.copytree(ROOT / name, home / name, ignore=shutil.ignore_patterns("__pycache__", "target", "logs"))
    (home / "data").mkdir()
    shutil.copy(ROOT / "data" / "customer_transactions.csv", home / "data")
    (home / "data" / "day.csv").write_text(DAY)
    (home / "data" / "broken.csv").write_text(NOT_CSV)
    runtime = read_runtime(
        {"PIPELINE_HOME": str(home), "API_PORT": str(free_port()), "POSTGRES_PORT": str(free_port())}
    )
    server = locate_server(runtime)
    try:
        _require(_command(runtime, "up"))
        context = browser.new_context()
        first_view = log_in(context, runtime.url).locator("main").inner_text()
        context.close()
        _require(_command(runtime, "run"))
        _require(_command(runtime, "run", str(home / "data" / "day.csv"), "--mode", "merge"))
        yield Stack(runtime, first_view)
    finally:
        _command(runtime, "down")
        shutil.rmtree(home, ignore_errors=True)
        if os.geteuid() == 0 and server.data.parent.name == runtime.identity:
            shutil.rmtree(server.data.parent, ignore_errors=True)


def log_in(context: BrowserContext, url: str) -> Page:
    """Ask for the page, be sent to Airflow's login, and come back."""
    page = context.new_page()
    page.goto(f"{url}/pipeline/today")
    page.fill("input[name=username]", "airflow")
    page.fill("input[name=password]", "airflow")
    page.keyboard.press("Enter")
    page.wait_for_url("**/pipeline/today")
    return page


def _environment(runtime: Runtime) -> dict[str, str]:
    return os.environ | {
        "PIPELINE_HOME": str(runtime.home),
        "API_PORT": str(runtime.api_port),
        "POSTGRES_PORT": str(runtime.postgres_port),
    }


def _command(runtime: Runtime, *arguments: str) -> subprocess.CompletedProcess[str]:
    line = [COMMAND, *arguments]
    return subprocess.run(line, env=_environment(runtime), capture_output=True, text=True, check=False, timeout=300)


def _require(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 0, done.stdout + done.stderr
