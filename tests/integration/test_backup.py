"""A warehouse that was backed up can be made again: to the row, with its rights, and with who was erased."""

from __future__ import annotations

import json
import stat
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from audited_load.erasing.register import enter_erasure, finish_erasure, list_erasures
from audited_load.erasing.subjects import hash_subject
from audited_load.errors import BadDataError, RefusedError, UnavailableError, UnusableFileError
from audited_load.loading.rollback import roll_back
from audited_load.warehouse.connection import connect
from audited_load.warehouse.lease import acquire_lease, release_lease
from audited_load.warehouse.operations import create_operations
from customer_pipeline.names import DATABASE
from customer_pipeline.runtime.installation import DOCKER, Runtime
from customer_pipeline.upkeep import restore as restoring
from customer_pipeline.upkeep.backup import DUMP, KEY, NOTE, describe, write_backup
from customer_pipeline.upkeep.restore import BESIDE, restore_backup
from integration.loading import TABLES, load_file, write_csv

Dsn = Callable[[str], str]
ROWS = "select transaction_id, customer_id, price::text from cleaned_data.customer_transactions order by 1"


def ask(dsn: str, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        return connection.execute(statement).fetchall()  # type: ignore[call-overload,no-any-return]


def databases(runtime: Runtime) -> set[object]:
    rows = ask(runtime.dsn("postgres", "postgres"), "select datname from pg_database where datname ~ '^ebury'")
    return {row[0] for row in rows}


@pytest.fixture(autouse=True)
def only_one_warehouse(runtime: Runtime) -> Iterator[None]:
    key = (runtime.folder / KEY).read_text()
    yield
    (runtime.folder / KEY).write_text(key)
    with psycopg.connect(runtime.dsn("postgres", "postgres"), autocommit=True) as admin:
        for name in databases(runtime) - {DATABASE}:
            admin.execute(f'drop database "{name}" with (force)')  # type: ignore[call-overload]


def load(dsn: Dsn, tmp_path: Path, run_id: str, rows: range, *, price: str = "1.10", day: int = 1) -> None:
    load_file(dsn("loader"), write_csv(tmp_path / f"{run_id}.csv", rows, price), run_id, day=day, force=True)
    with connect(dsn("loader")) as connection:
        create_operations(connection, TABLES, ("transformer", "reader"), ("transformer",))


def test_what_was_backed_up_is_what_readers_see_after_and_a_rollback_goes_on(
    dsn: Dsn, runtime: Runtime, tmp_path: Path
) -> None:
    load(dsn, tmp_path, "run-1", range(30))
    load(dsn, tmp_path, "run-2", range(40), price="2.20", day=2)
    before = ask(dsn("reader"), ROWS)
    backup = write_backup(runtime, tmp_path / "backup")
    assert (backup.holding.load_id, backup.holding.rows, backup.holding.ties_out) == (2, 40, True)
    assert "load 2, 40 rows, as the ledger says" in describe(backup)
    load(dsn, tmp_path, "run-3", range(3), day=3)
    restored = restore_backup(runtime, tmp_path / "backup", force=True)
    assert ask(dsn("reader"), ROWS) == before
    assert restored.kept in databases(runtime)
    assert ask(runtime.dsn("postgres", str(restored.kept)), "select max(load_id) from cleaned_data.loads") == [(3,)]
    with connect(dsn("loader")) as connection:
        roll_back(connection, TABLES)
    assert len(ask(dsn("reader"), ROWS)) == 30
    load(dsn, tmp_path, "run-4", range(50), day=4)
    assert len(ask(dsn("reader"), ROWS)) == 50


def test_an_empty_warehouse_takes_a_backup_without_force_and_nothing_is_left_beside(
    dsn: Dsn, runtime: Runtime, tmp_path: Path
) -> None:
    load(dsn, tmp_path, "run-1", range(30))
    write_backup(runtime, tmp_path / "backup")
    with pytest.raises(RefusedError, match="holds 1 loads"):
        restore_backup(runtime, tmp_path / "backup", force=False)
    with psycopg.connect(dsn("postgres"), autocommit=True) as admin:
        admin.execute("drop schema cleaned_data cascade")
    assert restore_backup(runtime, tmp_path / "backup", force=False).kept is None
    assert databases(runtime) == {DATABASE}
    assert len(ask(dsn("reader"), ROWS)) == 30


def test_the_rights_are_those_of_a_fresh_warehouse(dsn: Dsn, runtime: Runtime, tmp_path: Path) -> None:
    rights = """
        select n.nspname, n.nspacl::text, c.relname, c.relacl::text, r.rolname
        from pg_namespace as n left join pg_class as c on c.relnamespace = n.oid and c.relkind in ('r', 'v', 'p')
            left join pg_roles as r on c.relowner = r.oid
        where n.nspname ~ '^(cleaned_data|operations|analytics|administration|public)'
            and c.relname is distinct from 'customer_transactions_incoming'
        order by 1, 3
    """
    functions = """
        select p.oid::regprocedure::text, p.proacl::text from pg_proc as p
        where p.proname ~ '^(lo_|pg_advisory|end_old_readers|oldest_transaction)' order by 1
    """
    database = "select datacl::text from pg_database where datname = current_database()"
    load(dsn, tmp_path, "run-1", range(30))
    write_backup(runtime, tmp_path / "backup")
    before = [ask(dsn("postgres"), statement) for statement in (rights, functions, database)]
    restore_backup(runtime, tmp_path / "backup", force=True)
    assert [ask(dsn("postgres"), statement) for statement in (rights, functions, database)] == before
    for statement in ("select raw_record from cleaned_data.customer_transactions_rejected", "create schema mine"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            ask(dsn("reader"), statement)


def test_who_was_erased_since_the_backup_stays_erased_and_is_named_if_it_brought_them_back(
    dsn: Dsn, runtime: Runtime, tmp_path: Path
) -> None:
    load(dsn, tmp_path, "run-1", range(30))
    write_backup(runtime, tmp_path / "backup")
    with connect(dsn("loader")) as connection:
        for number in (5, 999):
            subject = hash_subject(number, runtime.secrets["erasure"])
            finish_erasure(connection, TABLES, enter_erasure(connection, TABLES, subject, "me"), {"rows": 4})
        register = list_erasures(connection, TABLES)
    restored = restore_backup(runtime, tmp_path / "backup", force=True)
    assert (restored.back_again, restored.erased_since) == ({5}, 2)
    with connect(dsn("loader")) as connection:
        assert list_erasures(connection, TABLES) == register
    assert restore_backup(runtime, tmp_path / "backup", force=True).back_again == {5}
    with connect(dsn("loader")) as connection:
        assert list_erasures(connection, TABLES) == register


def test_the_key_of_the_backup_comes_with_it_unless_somebody_was_erased_with_another(
    dsn: Dsn, runtime: Runtime, tmp_path: Path
) -> None:
    load(dsn, tmp_path, "run-1", range(30))
    write_backup(runtime, tmp_path / "backup")
    (runtime.folder / KEY).write_text("another")
    other = replace(runtime, secrets={**runtime.secrets, "erasure": "another"})
    restore_backup(other, tmp_path / "backup", force=True)
    assert (runtime.folder / KEY).read_text() == runtime.secrets["erasure"]
    assert stat.S_IMODE((runtime.folder / KEY).stat().st_mode) == 0o600
    (kept,) = runtime.folder.glob(f"{KEY}.before-*")
    assert kept.read_text() == "another"
    kept.unlink()
    with connect(dsn("loader")) as connection:
        enter_erasure(connection, TABLES, hash_subject(5, "another"), "me")
    with pytest.raises(RefusedError, match="another key"):
        restore_backup(other, tmp_path / "backup", force=True)
    with pytest.raises(RefusedError, match="ERASURE_KEY in"):
        restore_backup(replace(other, kind=DOCKER), tmp_path / "backup", force=True)


def test_a_restore_that_does_not_tie_out_is_not_seen(dsn: Dsn, runtime: Runtime, tmp_path: Path) -> None:
    load(dsn, tmp_path, "run-1", range(30))
    write_backup(runtime, tmp_path / "backup")
    note = json.loads((tmp_path / "backup" / NOTE).read_text())
    note["holding"]["totals"]["gross"] = "65.9999"
    (tmp_path / "backup" / NOTE).write_text(json.dumps(note))
    load(dsn, tmp_path, "run-2", range(3), day=2)
    with pytest.raises(BadDataError, match="not what the backup says"):
        restore_backup(runtime, tmp_path / "backup", force=True)
    assert len(ask(dsn("reader"), ROWS)) == 3


@pytest.mark.parametrize(
    "point", ["run_client", "make_warehouse", "_audit", "carry_erasures", "_take_key", "_swap"]
)
def test_a_restore_that_is_killed_leaves_readers_what_they_saw_and_the_next_finishes_it(
    dsn: Dsn, runtime: Runtime, tmp_path: Path, point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(dsn, tmp_path, "run-1", range(30))
    write_backup(runtime, tmp_path / "backup")
    load(dsn, tmp_path, "run-2", range(3), day=2)

    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(restoring, point, die)
        with pytest.raises(KeyboardInterrupt):
            restore_backup(runtime, tmp_path / "backup", force=True)
    assert len(ask(dsn("reader"), ROWS)) == 3
    restore_backup(runtime, tmp_path / "backup", force=True)
    assert len(ask(dsn("reader"), ROWS)) == 30
    assert BESIDE not in databases(runtime)


def test_readers_who_come_again_and_again_see_one_warehouse_or_the_other(
    dsn: Dsn, runtime: Runtime, tmp_path: Path
) -> None:
    load(dsn, tmp_path, "run-1", range(30))
    write_backup(runtime, tmp_path / "backup")
    load(dsn, tmp_path, "run-2", range(3), day=2)
    seen, done = set[int](), threading.Event()

    def read() -> None:
        while not done.is_set():
            try:
                seen.add(len(ask(dsn("reader"), ROWS)))
            except psycopg.OperationalError:  # ended, or in the moment between
                continue

    thread = threading.Thread(target=read)
    thread.start()
    try:
        restore_backup(runtime, tmp_path / "backup", force=True)
        seen.add(len(ask(dsn("reader"), ROWS)))
    finally:
        done.set()
        thread.join()
    assert seen == {3, 30}


def test_a_backup_beside_a_load_is_of_one_moment_and_keeps_nobody_waiting(
    dsn: Dsn, runtime: Runtime, tmp_path: Path
) -> None:
    load(dsn, tmp_path, "run-1", range(3000))
    failed: list[BaseException] = []

    def write() -> None:
        try:
            for number in range(3):
                write_backup(runtime, tmp_path / f"backup-{number}")
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=write)
    thread.start()
    day = 2
    while thread.is_alive():
        load(dsn, tmp_path, f"run-{day}", range(3000 + day), day=min(day, 28))
        day += 1
    thread.join()
    assert failed == []
    assert day > 2
    for number in range(3):
        backup = restore_backup(runtime, tmp_path / f"backup-{number}", force=True).backup
        assert backup.holding.ties_out
        assert len(ask(dsn("reader"), ROWS)) == backup.holding.rows


def test_a_backup_takes_no_notice_of_a_generation_that_is_dropped_while_it_begins(
    dsn: Dsn, runtime: Runtime, tmp_path: Path
) -> None:
    for day in (1, 2):
        load(dsn, tmp_path, f"run-{day}", range(day), day=day)
    waits = "select count(*) from pg_locks where not granted and mode = 'AccessShareLock'"
    with ThreadPoolExecutor(1) as pool, psycopg.connect(dsn("loader")) as loader:
        loader.execute("drop table cleaned_data.customer_transactions_g1")
        backup = pool.submit(write_backup, runtime, tmp_path / "backup")
        while not backup.done() and ask(runtime.dsn("postgres"), waits) == [(0,)]:
            time.sleep(0.01)
        loader.commit()
        assert backup.result(60).holding.rows == 2
    restore_backup(runtime, tmp_path / "backup", force=True)
    assert len(ask(dsn("reader"), ROWS)) == 2


def test_what_is_no_backup_is_refused(dsn: Dsn, runtime: Runtime, tmp_path: Path) -> None:
    load(dsn, tmp_path, "run-1", range(30))
    write_backup(runtime, tmp_path / "backup")
    with pytest.raises(RefusedError, match="there already"):
        write_backup(runtime, tmp_path / "backup")
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "empty", tmp_path / "absent", tmp_path / "run-1.csv"):
        with pytest.raises(UnusableFileError, match="is not a backup"):
            restore_backup(runtime, folder, force=True)
    with (tmp_path / "backup" / DUMP).open("ab") as dump:
        dump.write(b"x")
    with pytest.raises(UnusableFileError, match="it was changed"):
        restore_backup(runtime, tmp_path / "backup", force=True)


def test_only_its_owner_may_look_into_a_backup_and_one_cut_short_is_none(
    dsn: Dsn, runtime: Runtime, tmp_path: Path
) -> None:
    load(dsn, tmp_path, "run-1", range(3))
    away = replace(runtime, postgres_port=1)
    with pytest.raises((UnavailableError, psycopg.OperationalError)):
        write_backup(away, tmp_path / "backup")
    assert not (tmp_path / "backup").exists()
    write_backup(runtime, tmp_path / "backup")
    assert stat.S_IMODE((tmp_path / "backup").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "backup" / KEY).stat().st_mode) == 0o600


def test_a_backup_with_erasures_goes_into_a_clone_that_has_run_with_a_key_of_its_own(
    dsn: Dsn, runtime: Runtime, tmp_path: Path
) -> None:
    load(dsn, tmp_path, "run-1", range(30))
    with connect(dsn("loader")) as connection:
        subject = hash_subject(999, runtime.secrets["erasure"])
        finish_erasure(connection, TABLES, enter_erasure(connection, TABLES, subject, "me"), {})
    write_backup(runtime, tmp_path / "backup")
    with psycopg.connect(dsn("loader"), autocommit=True) as connection:
        connection.execute("delete from cleaned_data.erasures")
    (runtime.folder / KEY).write_text("another")
    other = replace(runtime, secrets={**runtime.secrets, "erasure": "another"})
    assert restore_backup(other, tmp_path / "backup", force=True).back_again == set()
    for kept in runtime.folder.glob(f"{KEY}.before-*"):
        kept.unlink()


def test_no_number_of_a_load_or_a_generation_is_given_out_twice(dsn: Dsn, runtime: Runtime, tmp_path: Path) -> None:
    load(dsn, tmp_path, "run-1", range(30))
    write_backup(runtime, tmp_path / "backup")
    for day in (2, 3):
        load(dsn, tmp_path, f"run-{day}", range(30 + day), day=day)
    newest = ask(dsn("loader"), "select max(load_id), max(generation) from cleaned_data.loads")
    restore_backup(runtime, tmp_path / "backup", force=True)
    load(dsn, tmp_path, "run-4", range(40), day=4)
    (mine,) = ask(dsn("loader"), "select load_id, generation from cleaned_data.loads where run_id = 'run-4'")
    assert all(int(str(one)) > int(str(before)) for one, before in zip(mine, newest[0], strict=True))


def test_the_lease_of_a_run_that_was_on_its_way_is_not_restored(dsn: Dsn, runtime: Runtime, tmp_path: Path) -> None:
    load(dsn, tmp_path, "run-1", range(30))
    with connect(dsn("loader")) as connection:
        acquire_lease(connection, TABLES, "run-2", 0)
        write_backup(runtime, tmp_path / "backup")
        release_lease(connection, TABLES, "run-2")
    restore_backup(runtime, tmp_path / "backup", force=True)
    load(dsn, tmp_path, "run-3", range(3), day=3)
    assert len(ask(dsn("reader"), ROWS)) == 3


def test_nobody_but_the_administrator_reads_what_was_replaced_and_no_run_loads_meanwhile(
    dsn: Dsn, runtime: Runtime, tmp_path: Path
) -> None:
    load(dsn, tmp_path, "run-1", range(30))
    write_backup(runtime, tmp_path / "backup")
    with connect(dsn("loader")) as connection:
        acquire_lease(connection, TABLES, "run-2", 0)
        with pytest.raises(UnavailableError, match="Run run-2 is loading"):
            restore_backup(runtime, tmp_path / "backup", force=True)
        release_lease(connection, TABLES, "run-2")
    kept = restore_backup(runtime, tmp_path / "backup", force=True).kept
    for role in ("reader", "loader", "transformer"):
        with pytest.raises(psycopg.OperationalError, match="permission denied"):
            psycopg.connect(runtime.dsn(role, str(kept)))
