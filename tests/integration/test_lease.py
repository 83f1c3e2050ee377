"""The lease of a run: who waits, for how long, and what becomes of it when a step fails."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest

from audited_load.errors import BadDataError, RefusedError, UnavailableError
from audited_load.loading.rollback import roll_back
from audited_load.warehouse import lease
from audited_load.warehouse.connection import connect
from audited_load.warehouse.create import create_tables
from audited_load.warehouse.lease import LEASE_SECONDS, WAIT_SECONDS, acquire_lease, held_lease, kept_lease
from integration.loading import TABLES, fill, load_file, prepare, publish, write_csv

Dsn = Callable[[str], str]
HOLDERS = "select holder from cleaned_data.lease"


@pytest.fixture
def loader(dsn: Dsn) -> str:
    with connect(dsn("loader")) as connection:
        create_tables(connection, TABLES, ("transformer", "reader"))
    return dsn("loader")


def holders(dsn: str) -> list[str]:
    with psycopg.connect(dsn) as connection:
        return [row[0] for row in connection.execute(HOLDERS)]


def give(dsn: str, holder: str, lasts: str) -> None:
    with psycopg.connect(dsn) as connection:
        statement = "insert into cleaned_data.lease (holder, expires_at) values (%s, now() + %s::interval)"
        connection.execute(statement, (holder, lasts))


@pytest.mark.parametrize(
    "error",
    [
        UnavailableError("x", "y"), BadDataError("x", "y"), RefusedError("x", "y"), RuntimeError("x"),
        KeyboardInterrupt(), SystemExit(1),
    ],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
def test_a_step_that_fails_for_any_reason_gives_the_lease_back(loader: str, error: BaseException) -> None:
    with (
        suppress(type(error)),
        connect(loader) as connection,
        held_lease(connection, TABLES, "run-1", 0),
        kept_lease(loader, TABLES, "run-1"),
    ):
        raise error
    assert holders(loader) == []


def test_a_step_whose_connection_broke_gives_the_lease_back(loader: str, dsn: Dsn) -> None:
    with (
        suppress(UnavailableError),
        connect(loader) as connection,
        held_lease(connection, TABLES, "run-1", 0),
        psycopg.connect(dsn("postgres"), autocommit=True) as admin,
    ):
        admin.execute("select pg_terminate_backend(%s)", (connection.info.backend_pid,))
        connection.execute("select 1")
        pytest.fail("the connection holds")
    assert holders(loader) == []


def test_a_step_that_waited_in_vain_leaves_the_others_lease_alone(loader: str) -> None:
    give(loader, "run-1", "30 seconds")
    with (
        pytest.raises(UnavailableError, match="Run run-1 is loading"),
        connect(loader) as connection,
        held_lease(connection, TABLES, "run-2", 0),
    ):
        pass
    assert holders(loader) == ["run-1"]


def test_a_step_that_succeeds_keeps_the_lease_for_the_next_one(loader: str) -> None:
    with connect(loader) as connection, held_lease(connection, TABLES, "run-1", 0):
        pass
    assert holders(loader) == ["run-1"]


@pytest.mark.parametrize("lasts", ["1 day", "100 years", "-1 second"])
def test_a_lease_of_a_clock_that_was_ahead_counts_as_expired(loader: str, lasts: str) -> None:
    give(loader, "dead-run", lasts)
    with connect(loader) as connection:
        acquire_lease(connection, TABLES, "run-2", 0)
    assert holders(loader) == ["run-2"]


def test_a_run_waits_longer_than_the_lease_of_a_dead_run_lasts(
    loader: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert WAIT_SECONDS > LEASE_SECONDS + lease.HEARTBEAT_SECONDS
    monkeypatch.setitem(lease._TIMES, "seconds", 1)
    with connect(loader) as connection:
        acquire_lease(connection, TABLES, "dead-run", 0)
        acquire_lease(connection, TABLES, "run-2", WAIT_SECONDS)
    assert holders(loader) == ["run-2"]


def test_a_run_whose_step_is_tried_again_after_another_run_came_between_loses_nothing(
    loader: str, dsn: Dsn, tmp_path: Path
) -> None:
    """The failed step gave its lease back, so another run may come first."""
    load_file(loader, write_csv(tmp_path / "a.csv", range(50)), "run-1")
    late = prepare(loader, write_csv(tmp_path / "b.csv", range(60)), "run-2")
    fill(loader, late)
    with suppress(UnavailableError), connect(loader) as connection, held_lease(connection, TABLES, "run-2", 0):
        raise UnavailableError("x", "y")
    load_file(loader, write_csv(tmp_path / "c.csv", range(70)), "run-3")
    with pytest.raises(RefusedError, match="Clear the run"):
        publish(loader, late)
    with psycopg.connect(dsn("reader")) as reader:
        assert reader.execute("select count(*) from cleaned_data.customer_transactions").fetchone() == (70,)
    # What it says to do helps.
    again = prepare(loader, tmp_path / "b.csv", "run-2")
    fill(loader, again)
    assert publish(loader, again).rows == 60


def test_a_run_that_found_its_files_visible_looks_again_before_it_says_so(loader: str, tmp_path: Path) -> None:
    file = write_csv(tmp_path / "a.csv", range(50))
    load_file(loader, file, "run-1")
    unchanged = prepare(loader, file, "run-2")
    assert unchanged.generation is None
    with connect(loader) as connection:
        lease.release_lease(connection, TABLES, "run-2")
    load_file(loader, write_csv(tmp_path / "c.csv", range(70)), "run-3")
    with pytest.raises(RefusedError, match="taken for visible"):
        publish(loader, unchanged)
    again = prepare(loader, file, "run-2")
    fill(loader, again)
    assert publish(loader, again).rows == 50


def test_a_merge_that_left_a_file_out_as_merged_notices_that_it_was_taken_back(loader: str, tmp_path: Path) -> None:
    files = [write_csv(tmp_path / f"{name}.csv", rows) for name, rows in (("a", range(9)), ("b", range(9, 20)))]
    load_file(loader, write_csv(tmp_path / "base.csv", range(50, 60)), "run-1")
    load_file(loader, files[0], "run-2", mode="merge")
    batch = prepare(loader, files, "run-3", mode="merge")
    assert len(batch.loads) == 1
    fill(loader, batch)
    with connect(loader) as connection:
        roll_back(connection, TABLES)
    with pytest.raises(RefusedError, match="taken for visible"):
        publish(loader, batch)


def test_a_run_waits_for_one_that_is_alive_for_as_long_as_that_is_and_says_for_which(
    loader: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    give(loader, "backfill-1", "2 seconds")
    beats = 6

    def live() -> None:
        with psycopg.connect(loader, autocommit=True) as holder:
            for _ in range(beats):
                time.sleep(0.5)
                holder.execute("update cleaned_data.lease set expires_at = now() + interval '2 seconds'")
            holder.execute("delete from cleaned_data.lease")

    thread = threading.Thread(target=live)
    thread.start()
    started = time.monotonic()
    with connect(loader) as connection:
        acquire_lease(connection, TABLES, "daily", 1.5, longest_seconds=60)
    thread.join()
    assert time.monotonic() - started > beats * 0.5 - 0.1
    assert holders(loader) == ["daily"]
    said = [record.getMessage() for record in caplog.records if "Waiting for run" in record.getMessage()]
    assert said == ["Waiting for run backfill-1, which is loading or building marts (for 0 s)"]


def test_it_waits_no_longer_than_that_and_a_command_not_at_all(loader: str) -> None:
    give(loader, "backfill-1", "40 seconds")
    done = threading.Event()

    def live() -> None:
        with psycopg.connect(loader, autocommit=True) as holder:
            while not done.wait(0.2):
                holder.execute("update cleaned_data.lease set expires_at = now() + interval '40 seconds'")

    thread = threading.Thread(target=live)
    thread.start()
    try:
        with connect(loader) as connection:
            for waits, longest, least in ((1.0, 3.0, 3.0), (0.0, None, 0.0)):
                started = time.monotonic()
                with pytest.raises(UnavailableError, match="Run backfill-1 is loading"):
                    acquire_lease(connection, TABLES, "daily", waits, longest)
                assert least <= time.monotonic() - started < least + 3
    finally:
        done.set()
        thread.join()


def test_it_waits_for_a_silent_one_only_for_a_sign_of_life(loader: str) -> None:
    give(loader, "dead", "40 seconds")
    started = time.monotonic()
    with connect(loader) as connection, pytest.raises(UnavailableError):
        acquire_lease(connection, TABLES, "daily", 1, longest_seconds=60)
    assert time.monotonic() - started < 10
