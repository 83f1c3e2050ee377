"""Ctrl+C in commands that change what is loaded: no trace, a word on what is left, the same again ends it."""

from __future__ import annotations

import os
import signal
import subprocess
import time

import pytest

from customer_pipeline.commands.make_sample import make_sample
from customer_pipeline.interrupts import INTERRUPTED
from customer_pipeline.names import ExitCode
from end_to_end.conftest import COMMAND, Stack

pytestmark = pytest.mark.timeout(900)
SECONDS = (0.4, 0.8, 1.3)
VISIBLE = "select load_id from cleaned_data.published_load"
VISIBLE_MARTS = """
    select sets.load_id from analytics_sets.published_sets as sets
    inner join analytics_sets.published as published on sets.set_number = published.set_number
"""
OF_CUSTOMER = "select count(*) from cleaned_data.customer_transactions where customer_id = %s"


@pytest.fixture(scope="module", autouse=True)
def _loads(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Load a file, or two, so that there is something to go back to."""
    has_ledger = stack.ask("ebury", "select to_regclass('cleaned_data.loads') is not null")[0][0]
    for seed in (1,) if has_ledger and stack.ask("ebury", VISIBLE) else (1, 2):
        file = tmp_path_factory.mktemp("interrupted") / f"interrupted-{seed}.csv"
        make_sample(file, 2_000, seed, 0.01)
        code, _, printed = stack.run(str(file))
        assert code == 0, printed


def interrupt(stack: Stack, seconds: float, *arguments: str) -> int:
    """Start a command, and send SIGINT to its group as a terminal does; give how it ended as a shell says it."""
    process = subprocess.Popen(
        [COMMAND, *arguments],
        env=stack.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    time.sleep(seconds)
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGINT)
    said, _ = process.communicate(timeout=120)
    assert "Traceback" not in said
    if process.returncode == INTERRUPTED:
        assert "Give the same command again" in said
    if process.returncode == ExitCode.FAILED:
        assert "There is no load to go back to" in said
    return INTERRUPTED if process.returncode == -signal.SIGINT else process.returncode


def end(stack: Stack, *arguments: str) -> tuple[int, str]:
    process = stack.start(*arguments)
    said, _ = process.communicate(timeout=120)
    return process.returncode, said


def test_a_rollback(stack: Stack) -> None:
    ((last,),) = stack.ask("ebury", VISIBLE)
    ((before,),) = stack.ask(
        "ebury", "select max(load_id) from cleaned_data.loads where status = 'published' and load_id < %s", last
    )
    codes = [interrupt(stack, seconds, "rollback") for seconds in SECONDS]
    assert set(codes) <= {0, ExitCode.FAILED, INTERRUPTED}
    assert INTERRUPTED in codes
    code, said = end(stack, "rollback")
    assert code == 0 or "There is no load to go back to" in said
    assert stack.ask("ebury", VISIBLE) == stack.ask("ebury", VISIBLE_MARTS) == [(before,)]


def test_an_erasure(stack: Stack) -> None:
    ((customer,),) = stack.ask("ebury", "select max(customer_id) from cleaned_data.customer_transactions")
    assert stack.ask("ebury", OF_CUSTOMER, customer) > [(0,)]
    codes = [interrupt(stack, seconds, "erase-customer", str(customer)) for seconds in SECONDS]
    assert set(codes) <= {0, INTERRUPTED}
    assert INTERRUPTED in codes
    code, said = end(stack, "erase-customer", str(customer))
    assert code == 0, said
    assert stack.ask("ebury", OF_CUSTOMER, customer) == [(0,)]
