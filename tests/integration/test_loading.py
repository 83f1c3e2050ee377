from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from audited_load.errors import BadDataError, RefusedError, UnavailableError
from audited_load.loading.copy import copy_cleaned
from audited_load.loading.incoming import empty_incoming
from audited_load.warehouse.connection import connect
from customer_pipeline.tasks.freshness import find_stale_load
from integration.loading import TABLES, fill, load_file, prepare, publish, write_csv

Dsn = Callable[[str], str]
VIEW = "select count(*), sum(quantity * price), min(load_id) from cleaned_data.customer_transactions"


def query(dsn: str, statement: str) -> list[tuple]:
    with psycopg.connect(dsn) as connection:
        return connection.execute(statement).fetchall()


def test_a_load_is_visible_with_its_ledger_row_and_quarantine(dsn: Dsn, tmp_path: Path) -> None:
    file = write_csv(tmp_path / "a.csv", range(100))
    file.write_text(file.read_text() + "abc,1,2024-01-02,1,Thing,1,1,1\n")
    assert load_file(dsn("loader"), file, "run-1").rows == 100
    ((rows, gross, _),) = query(dsn("reader"), VIEW)
    assert (rows, str(gross)) == (100, "220.0000")
    ((status, read, accepted, quarantined),) = query(
        dsn("loader"), "select status, read, accepted, quarantined from cleaned_data.loads"
    )
    assert (status, read, accepted, quarantined) == ("published", 101, 100, 1)
    ((reason, raw),) = query(
        dsn("loader"), "select reasons, raw_record from cleaned_data.customer_transactions_rejected_by_load"
    )
    assert reason.startswith("transaction_id:not_an_id")
    assert raw == "abc,1,2024-01-02,1,Thing,1,1,1"


def test_every_step_can_run_again_and_leaves_one_ledger_row(dsn: Dsn, tmp_path: Path) -> None:
    file, loader = write_csv(tmp_path / "a.csv", range(50)), dsn("loader")
    for _ in range(2):
        load = prepare(loader, file, "run-1")
    for _ in range(3):
        fill(loader, load)
    first, second = publish(loader, load), publish(loader, load)
    fill(loader, prepare(loader, file, "run-1"))
    assert (first.changed, second.changed) == (True, False)
    assert query(loader, "select count(*), min(status) from cleaned_data.loads") == [(1, "published")]
    assert query(loader, VIEW)[0][0] == 50


def test_a_failed_copy_leaves_the_visible_load_alone(dsn: Dsn, tmp_path: Path) -> None:
    loader = dsn("loader")
    load_file(loader, write_csv(tmp_path / "a.csv", range(50)), "run-1")
    load = prepare(loader, write_csv(tmp_path / "b.csv", range(80)), "run-2")
    cleaned = Path(load.loads[0].report.cleaned_file)
    cleaned.write_text(cleaned.read_text() + "broken\n")
    with pytest.raises(BadDataError):
        fill(loader, load)
    assert query(loader, VIEW)[0][0] == 50


@pytest.mark.parametrize("damage", ["lost row", "changed cent"])
def test_the_audit_stops_a_table_that_differs_from_its_file(dsn: Dsn, tmp_path: Path, damage: str) -> None:
    loader = dsn("loader")
    load_file(loader, write_csv(tmp_path / "a.csv", range(50)), "run-1")
    load = prepare(loader, write_csv(tmp_path / "b.csv", range(80)), "run-2")
    fill(loader, load)
    statements = {
        "lost row": "delete from cleaned_data.customer_transactions_incoming where transaction_id = 7",
        "changed cent": "update cleaned_data.customer_transactions_incoming set tax = tax + 0.0001"
        " where transaction_id = 7",
    }
    with psycopg.connect(loader) as connection:
        connection.execute(statements[damage])
    with pytest.raises(BadDataError, match="does not tie out"):
        publish(loader, load)
    assert query(loader, VIEW)[0][0] == 50


def test_a_key_that_is_there_twice_is_refused_by_the_table(dsn: Dsn, tmp_path: Path) -> None:
    loader = dsn("loader")
    load = prepare(loader, write_csv(tmp_path / "a.csv", range(10)), "run-1")
    fill(loader, load)
    with psycopg.connect(loader) as connection:
        connection.execute(
            "update cleaned_data.customer_transactions_incoming set transaction_id = 1 where transaction_id = 2"
        )
    with pytest.raises(BadDataError, match="23505"):
        publish(loader, load)


def test_the_same_file_again_publishes_nothing_and_succeeds(dsn: Dsn, tmp_path: Path) -> None:
    file, loader = write_csv(tmp_path / "a.csv", range(50)), dsn("loader")
    load_file(loader, file, "run-1")
    again = load_file(loader, file, "run-2")
    assert not again.changed
    assert query(loader, "select run_id, status from cleaned_data.loads order by run_id") == [
        ("run-1", "published"),
        ("run-2", "unchanged"),
    ]


def test_a_much_smaller_file_of_the_same_source_needs_force(dsn: Dsn, tmp_path: Path) -> None:
    loader = dsn("loader")
    load_file(loader, write_csv(tmp_path / "a.csv", range(100)), "run-1")
    small = write_csv(tmp_path / "a.csv", range(10))
    with pytest.raises(RefusedError, match="MIN_ROW_RATIO"):
        load_file(loader, small, "run-2")
    assert query(loader, VIEW)[0][0] == 100
    load_file(loader, small, "run-3", force=True)
    assert query(loader, VIEW)[0][0] == 10


def test_one_load_before_the_visible_one_is_kept_and_older_ones_go(dsn: Dsn, tmp_path: Path) -> None:
    loader = dsn("loader")
    for number in range(4):
        load_file(loader, write_csv(tmp_path / f"{number}.csv", range(20 + number)), f"run-{number}")
    partitions = query(
        loader, "select count(*) from pg_class where relkind = 'r' and relname like 'customer_transactions_g%'"
    )
    assert partitions == [(2,)]
    assert query(loader, VIEW)[0][0] == 23


def test_readers_see_the_old_load_or_the_new_one_and_never_wait(dsn: Dsn, tmp_path: Path) -> None:
    loader, seen, waits, stop = dsn("loader"), set(), [0.0], threading.Event()
    load_file(loader, write_csv(tmp_path / "0.csv", range(1000)), "run-0")

    def read() -> None:
        with psycopg.connect(dsn("reader"), autocommit=True) as connection:
            while not stop.is_set():
                started = time.monotonic()
                rows, gross, _ = connection.execute(VIEW).fetchone()
                waits[0] = max(waits[0], time.monotonic() - started)
                seen.add((rows, str(gross)))

    thread = threading.Thread(target=read)
    thread.start()
    try:
        with psycopg.connect(dsn("reader")) as analyst:
            for number in range(1, 4):
                analyst.execute(VIEW)  # and leaves the transaction open
                load_file(loader, write_csv(tmp_path / f"{number}.csv", range(1000 + number)), f"run-{number}")
                analyst.rollback()
    finally:
        stop.set()
        thread.join()
    assert seen <= {(1000 + n, f"{2200 + n * 2.2:.4f}") for n in range(4)}
    assert len(seen) == 4
    assert waits[0] < 1  # seconds: a reader that queues behind DDL would wait for the analyst, some 5 s


def test_a_transaction_that_has_not_looked_yet_may_still_look_at_what_it_began_with(
    dsn: Dsn, tmp_path: Path
) -> None:
    loader = dsn("loader")
    for number in range(4):
        load_file(loader, write_csv(tmp_path / f"{number}.csv", range(10 + number)), f"run-{number}")
        if number == 0:
            reader = psycopg.connect(dsn("reader"))
            reader.execute("select 1")
    with reader:
        assert reader.execute(VIEW).fetchone()[0] == 10
    load_file(loader, write_csv(tmp_path / "last.csv", range(20)), "run-last")
    assert query(loader, "select count(*) from pg_class where relname ~ '^customer_transactions_g[0-9]+$'") == [
        (2,)
    ]


def test_a_second_run_waits_for_the_lease_and_then_says_whose_it_is(dsn: Dsn, tmp_path: Path) -> None:
    loader = dsn("loader")
    prepare(loader, write_csv(tmp_path / "a.csv", range(10)), "run-1")
    with pytest.raises(UnavailableError, match="Run run-1 is loading"):
        prepare(loader, write_csv(tmp_path / "b.csv", range(10)), "run-2")


def test_a_refused_run_gives_the_lease_back(dsn: Dsn, tmp_path: Path) -> None:
    loader = dsn("loader")
    load_file(loader, write_csv(tmp_path / "a.csv", range(100)), "run-1")
    with pytest.raises(RefusedError):
        load_file(loader, write_csv(tmp_path / "a.csv", range(10)), "run-2")
    assert load_file(loader, write_csv(tmp_path / "a.csv", range(90)), "run-3").rows == 90


def test_a_table_that_another_run_made_is_not_filled(dsn: Dsn, tmp_path: Path) -> None:
    loader = dsn("loader")
    load = prepare(loader, write_csv(tmp_path / "a.csv", range(10)), "run-1")
    with connect(loader) as connection:
        empty_incoming(connection, TABLES, replace(load, generation=99))
        with pytest.raises(RefusedError, match="Clear the run"):
            copy_cleaned(connection, loader, TABLES, load)


def test_a_server_that_is_away_is_worth_a_retry() -> None:
    with pytest.raises(UnavailableError), connect("host=127.0.0.1 port=1 dbname=ebury user=loader"):
        pass


@pytest.mark.parametrize(
    "statement",
    [
        "select * from cleaned_data.customer_transactions_rejected_by_load",
        "select * from cleaned_data.customer_transactions_generations",
        "delete from cleaned_data.loads",
        "create table public.mine (a int)",
    ],
)
def test_a_reader_sees_the_published_view_only(dsn: Dsn, tmp_path: Path, statement: str) -> None:
    load_file(dsn("loader"), write_csv(tmp_path / "a.csv", range(10)), "run-1")
    assert query(dsn("reader"), VIEW)[0][0] == 10
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        query(dsn("reader"), statement)


def test_a_load_is_stale_when_none_came_after_it_for_too_long(dsn: Dsn, tmp_path: Path) -> None:
    limit, hour = timedelta(hours=72), timedelta(hours=1)
    load_file(dsn("loader"), write_csv(tmp_path / "a.csv", range(9)), "run-1")
    with connect(dsn("loader")) as connection:
        assert find_stale_load(connection, limit) is None
        stale = find_stale_load(connection, limit, datetime.now(UTC) + 80 * hour)
        assert stale is not None
        assert (stale.load_id, round(stale.age / hour), stale.limit) == (1, 80, limit)
        connection.execute("delete from cleaned_data.published")
        assert find_stale_load(connection, limit) is None


def test_no_role_of_the_pipeline_is_a_superuser_or_reads_the_metadata(dsn: Dsn) -> None:
    assert query(dsn("loader"), "select rolname from pg_roles where rolsuper and rolcanlogin") == [("postgres",)]
    for role in ("loader", "transformer", "reader"):
        with pytest.raises(psycopg.OperationalError, match="permission denied"):
            query(dsn(role).replace("dbname=ebury", "dbname=airflow"), "select 1")


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("select 'secret-41'::bigint", "invalid text representation (SQLSTATE 22P02)"),
        ("select 'secret-41'::date", "invalid datetime format (SQLSTATE 22007)"),
        (
            "insert into cleaned_data.lease (holder) values ('secret-41')",
            "not null violation, table lease, column expires_at (SQLSTATE 23502)",
        ),
    ],
)
def test_what_the_database_refuses_is_named_without_its_value(
    dsn: Dsn, tmp_path: Path, statement: str, said: str
) -> None:
    load_file(dsn("loader"), write_csv(tmp_path / "a.csv", range(9)), "run-1")
    with pytest.raises(BadDataError) as caught, connect(dsn("loader")) as connection:
        connection.execute(statement)
    assert said in str(caught.value)
    assert "secret" not in "".join(traceback.format_exception(caught.value))
