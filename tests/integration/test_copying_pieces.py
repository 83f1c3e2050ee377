"""Each piece of a load is copied once, whoever is killed, comes late or comes twice."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from audited_load.errors import BadDataError, RefusedError, UnavailableError
from audited_load.loading import copy
from audited_load.loading.batch import Batch, name_files
from audited_load.loading.copy import copy_cleaned, copy_shard
from audited_load.loading.incoming import empty_incoming
from audited_load.warehouse.connection import connect
from audited_load.warehouse.lease import held_lease
from integration.loading import TABLES, fill, prepare, publish, shards_of, write_csv

Dsn = Callable[[str], str]
FILE = "a.csv"
SHARDS = {FILE: 4}
"""Three with records, and one without."""
ROWS = 300
CONTENT = (
    "select transaction_id, customer_id, transaction_date, product_id, product_name, quantity, price, tax,"
    " source_record, load_id from cleaned_data.customer_transactions order by 1",
    "select load_id, source_record, source_line, byte_offset, reasons, raw_record, reject_id"
    " from cleaned_data.customer_transactions_rejected_by_load order by 1, 2",
    "select to_jsonb(l) - '{run_id,started_at,published_at,generation}'::text[] from cleaned_data.loads as l"
    " order by load_id",
)
PIECES = "select load_id, piece, rows from cleaned_data.copied_pieces order by 1, 2"
INCOMING = "select count(*) from cleaned_data.customer_transactions_incoming"
WAITING = "select count(*) from pg_stat_activity where usename = 'loader' and wait_event_type = 'Lock'"


def query(dsn: str, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        return connection.execute(statement).fetchall()  # type: ignore[call-overload,no-any-return]


def wait_until(dsn: Dsn, statement: str, count: int = 1) -> None:
    deadline = time.monotonic() + 30
    with psycopg.connect(dsn("postgres"), autocommit=True) as admin:
        while admin.execute(statement).fetchone() != (count,):  # type: ignore[call-overload]
            assert time.monotonic() < deadline, statement
            time.sleep(0.01)


def write_dirty(path: Path, rows: range, price: str = "1.10") -> Path:
    """Write a file with a refused record in each third of it."""
    write_csv(path, rows, price)
    header, *lines = path.read_text().splitlines()
    for place in (2, len(lines) // 2, len(lines) - 1):
        lines.insert(place, f'x{place},1,2024-01-02,1,"Two, too",1,1,1')
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


@pytest.fixture
def batch(dsn: Dsn, tmp_path: Path) -> Batch:
    """A load in shards, whose incoming table was made."""
    loader = dsn("loader")
    found = prepare(loader, write_dirty(tmp_path / FILE, range(ROWS)), "run-1", shards=SHARDS)
    empty(loader, found)
    return found


def empty(dsn: str, batch: Batch) -> None:
    with connect(dsn) as connection:
        empty_incoming(connection, TABLES, batch)


def copy_all(dsn: str, batch: Batch) -> list[int | None]:
    return [copy_shard(dsn, TABLES, batch, piece, path) for piece, path in shards_of(batch)]


def gather(dsn: str, batch: Batch) -> int:
    with connect(dsn) as connection:
        return copy_cleaned(connection, dsn, TABLES, batch)[0]


class Paused:
    """The first copy stops when its rows are with the server; those after it don't."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached, self.go_on = threading.Event(), threading.Event()
        self._read = copy._read
        monkeypatch.setattr(copy, "_read", self.read)

    def read(self, span: copy._Span) -> Iterator[bytes]:
        yield from self._read(span)
        if not self.reached.is_set():
            self.reached.set()
            assert self.go_on.wait(30)


@contextmanager
def paused_copy(
    monkeypatch: pytest.MonkeyPatch, loader: str, batch: Batch, threads: ThreadPoolExecutor
) -> Iterator[Future[int | None]]:
    """Let the copy of the first shard stop in the middle while the block runs; then it goes on."""
    paused = Paused(monkeypatch)
    piece, path = next(shards_of(batch))
    copying = threads.submit(copy_shard, loader, TABLES, batch, piece, path)
    try:
        assert paused.reached.wait(30)
        yield copying
    finally:
        paused.go_on.set()


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


@contextmanager
def held_up_at_commit(dsn: Dsn) -> Iterator[None]:
    """Let a transaction that enters a piece stop when it commits, for as long as the block runs."""
    with psycopg.connect(dsn("postgres"), autocommit=True) as admin:
        admin.execute(
            "create function cleaned_data.stop() returns trigger language plpgsql as"
            " 'begin perform pg_advisory_xact_lock_shared(4711); return null; end'"
        )
        admin.execute(
            "create constraint trigger stops after insert on cleaned_data.copied_pieces"
            " deferrable initially deferred for each row execute function cleaned_data.stop()"
        )
        admin.execute("select pg_advisory_lock(4711)")
        yield
        admin.execute("select pg_advisory_unlock(4711)")


def contents(dsn: Dsn) -> list[list[tuple[Any, ...]]]:
    return [query(dsn("postgres"), statement) for statement in CONTENT]


@pytest.mark.parametrize("shards", [{FILE: 4}, {FILE: 2}, {FILE: 3, "b.csv": 4}])
def test_a_load_in_shards_comes_to_what_it_comes_to_in_one_piece(
    dsn: Dsn, tmp_path: Path, shards: dict[str, int]
) -> None:
    """One file, then two of which one is in shards or both are; keys of the first come again in the second."""
    loader, found = dsn("loader"), []
    files = [write_dirty(tmp_path / FILE, range(ROWS)), write_dirty(tmp_path / "b.csv", range(200, 500), "2.20")]
    for chosen in ({}, shards):
        with psycopg.connect(dsn("postgres"), autocommit=True) as admin:
            admin.execute("drop schema cleaned_data cascade")
            admin.execute("create schema cleaned_data authorization loader")
            admin.execute("grant usage on schema cleaned_data to transformer, reader")
        for number, brought in enumerate((files[:1], files), 1):
            batch = prepare(loader, brought, f"run-{number}", day=number, shards=chosen)
            fill(loader, batch)
            publish(loader, batch)
        found.append(contents(dsn))
    assert found[0] == found[1]
    assert [len(rows) for rows in found[0]] == [500, 9 + 100, 3]


def test_a_piece_that_is_copied_twice_is_there_once(dsn: Dsn, batch: Batch) -> None:
    loader = dsn("loader")
    assert copy_all(loader, batch) == [100, 100, 100, 0]
    assert copy_all(loader, batch) == [None] * 4
    assert query(loader, PIECES) == [(1, 0, 100), (1, 1, 100), (1, 2, 100), (1, 3, 0)]
    assert [gather(loader, batch) for _ in range(2)] == [ROWS, ROWS]
    assert publish(loader, batch).rows == ROWS


def test_a_plain_file_that_is_copied_again_is_there_once(
    dsn: Dsn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copy, "BYTES_PER_CONNECTION", 4096)
    loader = dsn("loader")
    batch = prepare(loader, write_dirty(tmp_path / FILE, range(ROWS)), "run-1")
    empty(loader, batch)
    assert [gather(loader, batch) for _ in range(2)] == [ROWS, ROWS]
    assert len(query(loader, PIECES)) == 2
    monkeypatch.setattr(copy, "BYTES_PER_CONNECTION", 2**25)
    with pytest.raises(RefusedError, match="in other pieces before"):
        gather(loader, batch)
    assert publish(loader, batch).rows == ROWS


def test_a_second_attempt_waits_for_the_first_and_does_nothing(
    dsn: Dsn, batch: Batch, monkeypatch: pytest.MonkeyPatch, threads: ThreadPoolExecutor
) -> None:
    loader = dsn("loader")
    with paused_copy(monkeypatch, loader, batch, threads) as first:
        second = threads.submit(copy_all, loader, batch)
        wait_until(dsn, WAITING)
        assert query(loader, INCOMING) == [(0,)]
    assert first.result() == 100
    assert second.result() == [None, 100, 100, 0]
    assert gather(loader, batch) == ROWS


def test_a_second_attempt_copies_what_the_first_one_could_not_commit(
    dsn: Dsn, batch: Batch, monkeypatch: pytest.MonkeyPatch, threads: ThreadPoolExecutor
) -> None:
    loader = dsn("loader")
    with paused_copy(monkeypatch, loader, batch, threads) as first:
        second = threads.submit(copy_all, loader, batch)
        wait_until(dsn, WAITING)
        query(
            dsn("postgres"),
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where usename = 'loader' and query like 'copy %'",
        )
        assert second.result(30) == [100, 100, 100, 0]
    with pytest.raises(UnavailableError):
        first.result()
    assert gather(loader, batch) == ROWS


def test_siblings_do_not_wait_for_each_other(
    dsn: Dsn, batch: Batch, monkeypatch: pytest.MonkeyPatch, threads: ThreadPoolExecutor
) -> None:
    loader = dsn("loader")
    with paused_copy(monkeypatch, loader, batch, threads) as first:
        _, *others = shards_of(batch)
        assert [copy_shard(loader, TABLES, batch, piece, path) for piece, path in others] == [100, 100, 0]
        with pytest.raises(RefusedError, match=r"1 of 4 pieces were not copied: 1\."):
            gather(loader, batch)
    assert first.result() == 100
    assert gather(loader, batch) == ROWS


def test_what_is_copied_while_the_table_is_made_anew_goes_with_the_one_that_was(
    dsn: Dsn, batch: Batch, monkeypatch: pytest.MonkeyPatch, threads: ThreadPoolExecutor
) -> None:
    loader = dsn("loader")
    with paused_copy(monkeypatch, loader, batch, threads) as zombie:
        emptied = threads.submit(empty, loader, batch)
        wait_until(dsn, WAITING)
    assert zombie.result() == 100
    emptied.result()
    assert (query(loader, INCOMING), query(loader, PIECES)) == ([(0,)], [])
    assert copy_all(loader, batch) == [100, 100, 100, 0]
    assert gather(loader, batch) == ROWS
    assert publish(loader, batch).rows == ROWS


def test_what_commits_while_the_table_is_made_anew_goes_with_the_one_that_was(
    dsn: Dsn, batch: Batch, threads: ThreadPoolExecutor
) -> None:
    loader = dsn("loader")
    with held_up_at_commit(dsn):
        zombie = threads.submit(copy_all, loader, batch)
        wait_until(dsn, WAITING)
        twin = threads.submit(copy_all, loader, batch)
        wait_until(dsn, WAITING, 2)
        emptied = threads.submit(empty, loader, batch)
        wait_until(dsn, WAITING, 3)
    emptied.result()
    # Those that had not begun when the table was made anew count, each once.
    counts = [sum(rows or 0 for rows in attempt.result()) for attempt in (zombie, twin)]
    left = sum(rows for _, _, rows in query(loader, PIECES))
    assert query(loader, INCOMING) == [(left,)]
    assert sum(counts) == left + 100
    copy_all(loader, batch)
    assert gather(loader, batch) == ROWS


def test_the_audit_waits_for_a_copy_and_refuses_what_is_missing(
    dsn: Dsn, batch: Batch, monkeypatch: pytest.MonkeyPatch, threads: ThreadPoolExecutor
) -> None:
    loader = dsn("loader")
    with paused_copy(monkeypatch, loader, batch, threads) as first:
        audit = threads.submit(publish, loader, batch)
        wait_until(dsn, WAITING)
        assert not audit.done()
    first.result()
    with pytest.raises(RefusedError, match=r"a\.csv \(load 1\): 3 of 4 pieces were not copied: 2, 3, 4\."):
        audit.result()
    copy_all(loader, batch)
    assert publish(loader, batch).rows == ROWS


@pytest.mark.parametrize("other", ["run", "published"])
def test_a_copy_that_comes_late_is_refused_and_adds_nothing(
    dsn: Dsn, tmp_path: Path, batch: Batch, other: str
) -> None:
    loader = dsn("loader")
    if other == "run":
        query(loader, "delete from cleaned_data.lease returning 1")
        later = prepare(loader, write_dirty(tmp_path / "b.csv", range(50)), "run-2", shards={"b.csv": 2})
        fill(loader, later)
    else:
        later = batch
        copy_all(loader, batch)
        gather(loader, batch)
        publish(loader, batch)
    before = query(loader, PIECES)
    for attempt in (copy_all, gather):
        with pytest.raises(RefusedError, match="Clear the run"):
            attempt(loader, batch)
    assert query(loader, PIECES) == before
    if other != "published":
        publish(loader, later)
    assert len(contents(dsn)[0]) == sum(load.report.accepted for load in later.loads)


def test_a_copy_of_files_that_were_cut_otherwise_since_is_refused(dsn: Dsn, tmp_path: Path, batch: Batch) -> None:
    """A run that is cleared and merges has the same loads and the same generation again."""
    loader = dsn("loader")
    fill(loader, batch)
    publish(loader, batch)
    file = write_dirty(tmp_path / "b.csv", range(ROWS), "2.20")
    zombie, later = (
        prepare(loader, file, "run-2", mode="merge", day=2, shards={"b.csv": count}) for count in (4, 3)
    )
    assert (zombie.generation, zombie.load_ids) == (later.generation, later.load_ids)
    empty(loader, later)
    with pytest.raises(RefusedError, match="The incoming table is not the one"):
        copy_all(loader, zombie)
    assert (query(loader, INCOMING), query(loader, PIECES)[4:]) == ([(0,)], [])
    fill(loader, later)
    assert publish(loader, later).rows == ROWS


def test_a_truncate_that_comes_late_is_refused(dsn: Dsn, tmp_path: Path, batch: Batch) -> None:
    loader = dsn("loader")
    query(loader, "delete from cleaned_data.lease returning 1")
    later = prepare(loader, write_dirty(tmp_path / "b.csv", range(50)), "run-2", shards={"b.csv": 2})
    fill(loader, later)
    with pytest.raises(UnavailableError, match="has lost its lease"):
        empty(loader, batch)
    assert publish(loader, later).rows == 50


@pytest.mark.parametrize("damage", ["shorter", "longer", "other columns"])
def test_a_shard_that_is_not_what_its_accounting_says_leaves_nothing(dsn: Dsn, batch: Batch, damage: str) -> None:
    loader = dsn("loader")
    piece, path = next(shards_of(batch))
    whole = path.read_text()
    changed = {
        "shorter": whole[: whole.rindex("\n", 0, -1) + 1],
        "longer": whole + whole.splitlines(keepends=True)[1],
        "other columns": whole.replace("tax", "duty", 1),
    }
    path.write_text(changed[damage])
    kind, words = (RefusedError, "duty") if damage == "other columns" else (BadDataError, "does not tie out")
    with pytest.raises(kind, match=words):
        copy_shard(loader, TABLES, batch, piece, path)
    assert (query(loader, INCOMING), query(loader, PIECES)) == ([(0,)], [])
    path.write_text(whole)
    assert copy_shard(loader, TABLES, batch, piece, path) == 100


def test_a_plain_file_that_is_not_what_its_accounting_says_is_found_out_before_the_audit(
    dsn: Dsn, tmp_path: Path
) -> None:
    loader = dsn("loader")
    batch = prepare(loader, write_dirty(tmp_path / FILE, range(ROWS)), "run-1")
    path = Path(batch.loads[0].report.cleaned_file)
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(BadDataError, match=r"a\.csv \(load 1\): rows: 299 in the table, 300 in the file"):
        fill(loader, batch)


def test_rows_of_several_loads_say_whose_they_are(dsn: Dsn, tmp_path: Path) -> None:
    loader = dsn("loader")
    files = [write_dirty(tmp_path / f"{name}.csv", range(n, n + 50)) for n, name in enumerate("abc")]
    batch = prepare(loader, files, "run-1", shards={"b.csv": 3})
    fill(loader, batch)
    counts = (
        "select load_id, confirmed_by, count(*)::int from cleaned_data.customer_transactions_incoming"
        " group by 1, 2 order by 1"
    )
    assert query(loader, counts) == [(number, number, 50) for number in (1, 2, 3)]
    assert publish(loader, batch).rows == 52


def test_two_gatherings_at_once_leave_each_reject_once(dsn: Dsn, batch: Batch, threads: ThreadPoolExecutor) -> None:
    loader = dsn("loader")
    copy_all(loader, batch)
    attempts = [threads.submit(gather, loader, batch) for _ in range(4)]
    assert [attempt.result() for attempt in attempts] == [ROWS] * 4
    assert [row[1] for row in contents(dsn)[1]] == [3, 151, 300]


def test_a_shard_that_fails_leaves_its_siblings_the_lease(dsn: Dsn, batch: Batch) -> None:
    loader = dsn("loader")
    holder = "select holder from cleaned_data.lease"
    for gives_back, left in ((False, [("run-1",)]), (True, [])):
        with (
            pytest.raises(RefusedError),
            connect(loader) as connection,
            held_lease(connection, TABLES, batch.run_id, 1, gives_back=gives_back),
        ):
            raise RefusedError("what", "remedy")
        assert query(loader, holder) == left


def test_files_that_are_cut_otherwise_or_lie_elsewhere_have_another_name(batch: Batch) -> None:
    through_xcom = Batch.from_dict(json.loads(json.dumps(batch.to_dict())))
    assert through_xcom.files == name_files(batch.loads) == batch.files
    (load,) = batch.loads
    fewer = replace(load, report=replace(load.report, shards=load.report.shards[:3]))
    elsewhere = replace(load, report=load.report.place_files(lambda place: f"{place}-2"))
    assert len({name_files([load]), name_files([fewer]), name_files([elsewhere])}) == 3
