"""A load that is killed, cut off or starved at any point can be run again, and then nothing shows that it was.

What must hold at the end of each test stands in the fixture `run`.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from faults.conftest import Run, Server, wait_until
from faults.driver import STEPS, TERMINAL, UNAVAILABLE

COPIES = "select count(*) from pg_stat_progress_copy where tuples_processed > 0"
WAITING = (
    "select count(*) from pg_stat_activity where usename = 'loader' and wait_event_type = 'Lock'"
    " and datname = 'ebury'"
)
SEED = int(os.environ.get("FAULT_SEED") or 20251203)


@contextmanager
def holds(server: Server, statement: str, count: int = 1) -> Iterator[Callable[[], bool]]:
    """Look whether a count is reached, over one connection."""
    with server.admin() as connection:
        yield lambda: (connection.execute(statement).fetchone() or (0,))[0] >= count  # type: ignore[call-overload]


@contextmanager
def blocked(server: Server, statement: str) -> Iterator[None]:
    """Hold a lock in a transaction, so that a step stops exactly where it needs it."""
    with psycopg.connect(server.runtime.dsn("postgres")) as connection:
        connection.execute(statement)  # type: ignore[call-overload]
        yield
        connection.rollback()


@pytest.mark.files
def test_killed_while_cleaning(run: Run) -> None:
    kept = run.files.read()
    run.files.take_away()
    run.kill_when("clean", lambda: bool(run.files.parts()))
    assert run.files.parts()
    assert run.files.read() == {}
    run.finish("clean")
    assert run.files.read() == kept


@pytest.mark.parametrize(
    ("step", "lock"),
    [
        ("create", "lock table cleaned_data.loads in access exclusive mode"),
        ("create", "lock table cleaned_data.published in access exclusive mode"),
        ("truncate", "lock table cleaned_data.customer_transactions_generations in access exclusive mode"),
        pytest.param(
            "load",
            "lock table cleaned_data.customer_transactions_rejected_by_load in access exclusive mode",
            marks=pytest.mark.files,
        ),
        ("validate", "lock table cleaned_data.customer_transactions_generations in share mode"),
        ("validate", "lock table cleaned_data.loads in share mode"),
        ("validate", "select * from cleaned_data.published for update"),
    ],
)
def test_killed_within_a_transaction(run: Run, step: str, lock: str) -> None:
    for before in STEPS[1 : STEPS.index(step)]:
        assert run.start(before).wait(timeout=60) == 0
    with holds(run.server, WAITING) as is_waiting, blocked(run.server, lock):
        run.kill_when(step, is_waiting)
    run.finish(step)


def test_killed_between_attaching_and_showing_and_begun_anew(run: Run) -> None:
    for step in STEPS[1:4]:
        assert run.start(step).wait(timeout=60) == 0
    with (
        holds(run.server, WAITING) as is_waiting,
        blocked(run.server, "select * from cleaned_data.published for update"),
    ):
        run.kill_when("validate", is_waiting)
    run.finish("create")


@pytest.mark.files
@pytest.mark.parametrize("step", STEPS)
def test_killed_after_its_work_before_it_could_say_so(run: Run, step: str) -> None:
    for before in STEPS[1 : STEPS.index(step)]:
        assert run.start(before).wait(timeout=60) == 0
    paused = run.work / "paused"
    run.kill_when(step, paused.exists, FAULT_PAUSE=str(paused))
    paused.unlink()
    run.finish(step)


@pytest.mark.files
def test_killed_in_the_middle_of_the_copy(run: Run) -> None:
    for step in ("create", "truncate"):
        assert run.start(step).wait(timeout=60) == 0
    with holds(run.server, COPIES, 2) as both_copy:
        run.kill_when("load", both_copy)
    run.finish("load")


@pytest.mark.files
def test_the_server_fails_in_the_middle_of_the_copy(run: Run) -> None:
    for step in ("create", "truncate"):
        assert run.start(step).wait(timeout=60) == 0
    process = run.start("load")
    with holds(run.server, COPIES, 2) as both_copy:
        wait_until(both_copy, process)
    run.server.stop(signal.SIGQUIT)
    assert process.wait(timeout=60) == UNAVAILABLE
    run.server.start()
    run.finish("load")


@pytest.mark.parametrize("step", ["load", "validate"])
def test_the_connections_are_cut(run: Run, step: str) -> None:
    for before in STEPS[1 : STEPS.index(step)]:
        assert run.start(before).wait(timeout=60) == 0
    cut = "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'loader'"
    with run.server.admin() as admin:
        if step == "load":
            process = run.start(step)
            with holds(run.server, COPIES, 2) as both_copy:
                wait_until(both_copy, process)
            admin.execute(cut)
        else:
            with (
                holds(run.server, WAITING) as is_waiting,
                blocked(run.server, "select * from cleaned_data.published for update"),
            ):
                process = run.start(step)
                wait_until(is_waiting, process)
                admin.execute(cut)
    assert process.wait(timeout=60) == UNAVAILABLE
    run.finish(step)


@pytest.mark.parametrize("table", ["loads", "published", "lease", "customer_transactions_incoming"])
def test_somebody_else_holds_a_lock(run: Run, table: str) -> None:
    for step in STEPS[1:4]:
        assert run.start(step).wait(timeout=60) == 0
    with run.server.admin() as admin:
        admin.execute("alter role loader set lock_timeout = '300ms'")
        statement = sql.SQL("lock table cleaned_data.{} in access exclusive mode").format(sql.Identifier(table))
        with blocked(run.server, statement.as_string(admin)):
            code, message = run.fail("validate")
        admin.execute("alter role loader set lock_timeout = '60s'")
    assert code == UNAVAILABLE
    assert "lock timeout" in message
    assert "Traceback" not in message
    run.finish("validate")


@contextmanager
def small_disk(server: Server, size: str) -> Iterator[Path]:
    """Let the loader's new tables lie on a disk of their own."""
    disk = server.runtime.home / "small-disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(disk)], check=False).returncode:
        pytest.skip("no small disk can be mounted here")
    try:
        if server.user:
            shutil.chown(disk, server.user)
        with server.admin() as admin:
            admin.execute(sql.SQL("create tablespace small location {}").format(sql.Literal(str(disk))))
            admin.execute("grant create on tablespace small to loader")
            admin.execute("alter role loader set default_tablespace = 'small'")
            yield disk
            admin.execute("alter role loader reset default_tablespace")
            admin.execute("set search_path to cleaned_data")
            on_disk = admin.execute(
                "select c.relname, c.relkind = 'i' from pg_class as c inner join pg_tablespace as t"
                " on c.reltablespace = t.oid"
                " where t.spcname = 'small' and c.relnamespace = 'cleaned_data'::regnamespace"
            ).fetchall()
            for name, is_index in on_disk:
                kind = sql.SQL("index" if is_index else "table")
                move = sql.SQL("alter {} {} set tablespace pg_default")
                admin.execute(move.format(kind, sql.Identifier(name)))
            admin.execute("drop tablespace small")
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=False)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")
def test_the_disk_of_the_server_is_full(run: Run) -> None:
    with small_disk(run.server, "6m") as disk:
        for step in ("create", "truncate"):
            assert run.start(step).wait(timeout=60) == 0
        code, message = run.fail("load")
        assert (code, "No space left" in message) == (UNAVAILABLE, True)
        subprocess.run(["mount", "-o", "remount,size=1g", str(disk)], check=True)
        run.finish("load")


@pytest.mark.parametrize("change", ["truncated", "grown", "replaced"])
def test_the_input_changes_while_it_is_cleaned(run: Run, change: str) -> None:
    path, kept = run.work / "run.csv", run.work / "kept.csv"
    shutil.copyfile(path, kept)
    process = run.start("clean")
    wait_until(lambda: any(run.work.glob("run-out/.cleaning-*/0.csv")), process)
    if change == "truncated":
        os.truncate(path, path.stat().st_size // 2)
    elif change == "grown":
        with path.open("ab") as file:
            file.write(b"1,1,2024-01-02,1,Thing,1,1,1\n")
    else:
        shutil.copyfile(run.work / "before.csv", run.work / "other.csv")
        (run.work / "other.csv").replace(path)
    assert process.wait(timeout=60) == UNAVAILABLE
    kept.replace(path)
    run.finish("clean")


@pytest.mark.files
def test_the_cleaned_file_is_damaged_before_it_is_loaded(run: Run) -> None:
    steps, words = run.files.damage_is_noticed
    for step in ("create", "truncate"):
        assert run.start(step).wait(timeout=60) == 0
    with run.files.damaged("customer_transactions_cleaned.csv"):
        for step in steps:
            code, message = run.fail(step)
            assert (code, words in message) == (TERMINAL, True)
    run.finish("create")


@pytest.mark.files
def test_two_attempts_of_one_step_at_once(run: Run) -> None:
    for step in ("create", "truncate"):
        assert run.start(step).wait(timeout=60) == 0
    attempts = [run.start("load") for _ in range(2)]
    assert [attempt.wait(timeout=60) for attempt in attempts] == [0, 0]
    run.finish("validate")


def test_another_run_meanwhile_is_told_to_wait(run: Run) -> None:
    assert run.start("create").wait(timeout=60) == 0
    shutil.copyfile(run.work / "before.json", run.work / "other.json")
    code, message = Run(run.server, run.work, run.files, "other").fail("create")
    assert code == UNAVAILABLE
    assert "Run run is loading" in message
    run.finish("truncate")


@pytest.mark.files
@pytest.mark.parametrize("number", range(6))
def test_killed_at_a_random_moment(run: Run, number: int) -> None:
    delay = random.Random(SEED + number).uniform(0, 6)
    print(f"FAULT_SEED={SEED}, kill {number} after {delay:.2f} s")
    current: list[subprocess.Popen[str]] = []
    killed = threading.Event()

    def kill() -> None:
        killed.set()
        with suppress(IndexError):
            current[-1].send_signal(signal.SIGKILL)

    timer = threading.Timer(delay, kill)
    timer.start()
    for step in STEPS[1:]:
        current.append(run.start(step))
        if current[-1].wait(timeout=60) != 0:
            assert killed.is_set()
            run.finish(step)
            break
    while timer.is_alive():
        time.sleep(0.01)
