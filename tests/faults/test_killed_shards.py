"""Shards whose copies are killed, while others of the run are written and the server goes on for the dead.

What must hold at the end of each test stands in the fixture `run`: all is as after a load in one piece.
"""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from audited_load.clean_report import CleanReport
from faults.conftest import Run, Server, wait_until
from faults.driver import SHARD, TERMINAL
from faults.test_faults import COPIES, WAITING, blocked, holds
from integration.loading import in_shards

SHARDS = 4
INCOMING = "lock table cleaned_data.customer_transactions_incoming in share mode"
STOP = """
    create function cleaned_data.stop() returns trigger language plpgsql as
        'begin perform pg_advisory_xact_lock_shared(4711); return null; end';
    create constraint trigger stops after insert on cleaned_data.copied_pieces deferrable initially deferred
        for each row execute function cleaned_data.stop()
"""
LEASE = "select count(*) from cleaned_data.lease where holder = 'run'"


@pytest.fixture
def sharded(run: Run) -> Iterator[Run]:
    """The run with its file cut in shards, whose incoming table was made."""
    state = run.work / "run.json"
    whole = state.read_text()
    state.write_text(
        json.dumps(in_shards(CleanReport.from_dict(json.loads(whole)).within(run.work), SHARDS).to_dict())
    )
    shards = tuple(f"{SHARD}{number}" for number in range(SHARDS))
    run.steps = ("create", "truncate", *shards, "load", "validate")
    for step in run.steps[:2]:
        assert run.start(step).wait(timeout=60) == 0
    yield run
    state.write_text(whole)
    for folder in (run.work / "run-out").glob("shard-*"):
        shutil.rmtree(folder)


@contextmanager
def stopped_at_commit(server: Server) -> Iterator[None]:
    """Let transactions that copy a piece stop when they commit, for as long as the block runs."""
    with server.admin() as admin:
        admin.execute(STOP)
        admin.execute("select pg_advisory_lock(4711)")
        yield
        admin.execute("select pg_advisory_unlock(4711)")


def test_killed_in_the_middle_of_the_copy_of_a_shard(sharded: Run) -> None:
    with holds(sharded.server, COPIES) as copies:
        sharded.kill_when("shard-0", copies)
    sharded.finish("shard-0")


def test_killed_while_its_siblings_are_written(sharded: Run) -> None:
    with holds(sharded.server, WAITING, 3) as all_wait, blocked(sharded.server, INCOMING):
        victim, *siblings = [sharded.start(f"{SHARD}{number}") for number in range(3)]
        wait_until(all_wait)
        victim.send_signal(signal.SIGKILL)
        victim.wait()
    assert [sibling.wait(timeout=60) for sibling in siblings] == [0, 0]
    with holds(sharded.server, LEASE) as is_held:
        assert is_held()
    sharded.finish("shard-0")


def test_the_server_commits_for_one_that_was_killed(sharded: Run) -> None:
    with stopped_at_commit(sharded.server), holds(sharded.server, WAITING) as waits:
        sharded.kill_when("shard-0", waits)
        again = sharded.start("shard-0")
        with holds(sharded.server, WAITING, 2) as both_wait:
            wait_until(both_wait, again)
    assert again.wait(timeout=60) == 0
    sharded.finish("shard-1")


def test_the_server_commits_for_one_that_was_killed_when_the_table_is_made_anew(sharded: Run) -> None:
    assert sharded.start("shard-1").wait(timeout=60) == 0
    with stopped_at_commit(sharded.server), holds(sharded.server, WAITING) as waits:
        sharded.kill_when("shard-0", waits)
        anew = sharded.start("truncate")
        with holds(sharded.server, WAITING, 2) as both_wait:
            wait_until(both_wait, anew)
    assert anew.wait(timeout=60) == 0
    sharded.finish("shard-0")


def test_killed_while_it_gathers(sharded: Run) -> None:
    for number in range(SHARDS):
        assert sharded.start(f"{SHARD}{number}").wait(timeout=60) == 0
    lock = "lock table cleaned_data.customer_transactions_rejected_by_load in access exclusive mode"
    with holds(sharded.server, WAITING) as is_waiting, blocked(sharded.server, lock):
        sharded.kill_when("load", is_waiting)
    sharded.finish("load")


def test_a_shard_that_is_missing_is_noticed(sharded: Run) -> None:
    for number in (0, 2, 3):
        assert sharded.start(f"{SHARD}{number}").wait(timeout=60) == 0
    for step in ("load", "validate"):
        code, message = sharded.fail(step)
        assert (code, "1 of 4 pieces were not copied: 2." in message) == (TERMINAL, True)
    sharded.finish("shard-1")
