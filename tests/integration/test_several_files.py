"""A run of several files is seen as one: together, or not at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from audited_load.errors import BadDataError
from audited_load.loading.incoming import audit_incoming
from audited_load.loading.rollback import roll_back
from audited_load.warehouse.connection import connect
from audited_load.warehouse.lease import held_lease
from integration.loading import HEADER, TABLES, fill, load_file, prepare, publish

Dsn = Callable[[str], str]
LEDGER = (
    "select source_name, status, accepted, inserted, updated, unchanged, outdated, visible_rows"
    " from cleaned_data.loads order by load_id"
)
PRICES = (
    "select transaction_id, price::int, l.source_name from cleaned_data.customer_transactions as t"
    " inner join cleaned_data.loads as l using (load_id) order by 1"
)


def write(path: Path, prices: dict[int, int]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(HEADER + "".join(f"{key},1,2024-01-02,1,Thing,1,{price},0\n" for key, price in prices.items()))
    return path


def query(dsn: str, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(dsn) as connection:
        return connection.execute(statement).fetchall()  # type: ignore[call-overload,no-any-return]


def test_later_files_win_and_what_gives_way_is_kept(dsn: Dsn, tmp_path: Path) -> None:
    loader = dsn("loader")
    files = [
        write(tmp_path / "c.csv", {3: 30, 4: 41}),
        write(tmp_path / "a.csv", {1: 10, 2: 20, 3: 30}),
        write(tmp_path / "b.csv", {2: 20, 4: 40}),
    ]
    assert load_file(loader, files, "run-1").rows == 4
    assert query(loader, PRICES) == [(1, 10, "a.csv"), (2, 20, "b.csv"), (3, 30, "c.csv"), (4, 41, "c.csv")]
    assert query(loader, LEDGER) == [
        ("a.csv", "published", 3, 1, 0, 2, 0, 4),
        ("b.csv", "published", 2, 1, 0, 0, 1, 4),
        ("c.csv", "published", 2, 2, 0, 0, 0, 4),
    ]
    ((reasons, raw),) = query(
        loader, "select reasons, raw_record from cleaned_data.customer_transactions_rejected_by_load"
    )
    assert reasons.startswith("record:outdated: load 3 is of a later file")
    assert '"price":40.0000' in raw
    ((gross,),) = query(loader, "select visible_gross from cleaned_data.published_load")
    assert gross == 10 + 20 + 30 + 41


def test_the_same_files_again_change_nothing_and_one_of_them_alone_does(dsn: Dsn, tmp_path: Path) -> None:
    loader = dsn("loader")
    files = [write(tmp_path / "a.csv", {1: 10}), write(tmp_path / "b.csv", {2: 20})]
    load_file(loader, files, "run-1")
    again = load_file(loader, files, "run-2", day=2)
    assert (again.changed, again.rows) == (False, 2)
    alone = load_file(loader, files[1], "run-3", day=3)
    assert (alone.changed, alone.rows) == (True, 1)


def test_a_replace_by_the_file_that_was_merged_last_is_no_repetition(dsn: Dsn, tmp_path: Path) -> None:
    loader = dsn("loader")
    load_file(loader, write(tmp_path / "a.csv", {1: 10, 2: 20}), "run-1")
    correction = write(tmp_path / "b.csv", {2: 21})
    load_file(loader, correction, "run-2", mode="merge", day=2)
    replaced = load_file(loader, correction, "run-3", day=3)
    assert (replaced.changed, query(loader, PRICES)) == (True, [(2, 21, "b.csv")])


def test_several_files_are_merged_together_and_taken_back_together(dsn: Dsn, tmp_path: Path) -> None:
    loader = dsn("loader")
    load_file(loader, write(tmp_path / "a.csv", {1: 10, 2: 20, 3: 30}), "run-1")
    before = query(loader, PRICES)
    files = [write(tmp_path / "b.csv", {1: 11, 2: 20, 4: 40}), write(tmp_path / "c.csv", {1: 12, 5: 50})]
    assert load_file(loader, files, "run-2", mode="merge", day=2).rows == 5
    assert query(loader, PRICES) == [
        (1, 12, "c.csv"), (2, 20, "a.csv"), (3, 30, "a.csv"), (4, 40, "b.csv"), (5, 50, "c.csv"),
    ]  # fmt: skip
    assert query(loader, LEDGER)[1:] == [
        ("b.csv", "published", 3, 1, 0, 1, 1, 5),
        ("c.csv", "published", 2, 1, 1, 0, 0, 5),
    ]
    with connect(loader) as connection, held_lease(connection, TABLES, "rollback", 1):
        done = roll_back(connection, TABLES)
    assert (done.load_ids, done.visible_load_id, done.rows) == ([2, 3], 1, 3)
    assert query(loader, PRICES) == before
    assert [row[1] for row in query(loader, LEDGER)] == ["published", "rolled_back", "rolled_back"]


def test_files_that_were_merged_before_are_skipped_one_by_one(dsn: Dsn, tmp_path: Path) -> None:
    loader = dsn("loader")
    old = write(tmp_path / "a.csv", {1: 10, 2: 20})
    load_file(loader, old, "run-1")
    new = write(tmp_path / "b.csv", {2: 21})
    batch = prepare(loader, [old, new], "run-2", mode="merge", day=2)
    assert [load.report.source for load in batch.loads] == ["b.csv"]
    fill(loader, batch)
    publish(loader, batch)
    assert [row[1] for row in query(loader, LEDGER)] == ["published", "unchanged", "published"]
    corrected = write(tmp_path / "b.csv", {2: 22})  # the same name with new content
    load_file(loader, corrected, "run-3", mode="merge", day=3)
    assert query(loader, PRICES) == [(1, 10, "a.csv"), (2, 22, "b.csv")]


def test_the_audit_tells_the_files_apart(dsn: Dsn, tmp_path: Path) -> None:
    """Two faults that cancel out in the sum of both files."""
    loader = dsn("loader")
    batch = prepare(loader, [write(tmp_path / "a.csv", {1: 10}), write(tmp_path / "b.csv", {2: 20})], "run-1")
    fill(loader, batch)
    with psycopg.connect(loader) as connection:
        connection.execute("update cleaned_data.customer_transactions_incoming set price = 30 - price")
    with pytest.raises(BadDataError, match=r"a\.csv .load 1.: gross: 20.0000 in the table, 10.0000 in the file"):
        publish(loader, batch)


def test_a_publish_that_was_killed_after_the_audit_can_go_on(dsn: Dsn, tmp_path: Path) -> None:
    loader = dsn("loader")
    files = [write(tmp_path / "a.csv", {1: 10, 2: 20}), write(tmp_path / "b.csv", {2: 21})]
    batch = prepare(loader, files, "run-1")
    fill(loader, batch)
    with connect(loader) as connection:
        assert audit_incoming(connection, TABLES, batch) == 2
    assert publish(loader, batch).rows == 2
    assert [row[3:7] for row in query(loader, LEDGER)] == [(1, 0, 0, 1), (1, 0, 0, 0)]


def test_the_audit_after_a_kill_is_as_strict(dsn: Dsn, tmp_path: Path) -> None:
    loader = dsn("loader")
    files = [write(tmp_path / "a.csv", {1: 10, 2: 20}), write(tmp_path / "b.csv", {2: 21})]
    batch = prepare(loader, files, "run-1")
    fill(loader, batch)
    with connect(loader) as connection:
        audit_incoming(connection, TABLES, batch)
        connection.execute(
            "update cleaned_data.customer_transactions_incoming set tax = 1 where transaction_id = 1"
        )
    with pytest.raises(BadDataError, match=r"tax: 1.0000 in the table, 0.0000 in the file"):
        publish(loader, batch)
