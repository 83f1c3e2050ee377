"""Refused records are kept, known again, repaired and closed."""

from __future__ import annotations

import csv
import hashlib
import os
import signal
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest

from audited_load.errors import UnusableFileError
from audited_load.loading import merge
from audited_load.loading.quarantine import (
    STATUSES,
    Quarantined,
    count_closed,
    find_rejects,
    is_made,
    remove_expired,
)
from audited_load.loading.replays import enter_replay
from audited_load.loading.rollback import roll_back
from audited_load.warehouse.connection import connect
from audited_load.warehouse.lease import held_lease, release_lease
from customer_pipeline.commands.refused_records import export
from customer_pipeline.commands.replay import clean_export, find_copies, find_repaired, format_records
from customer_pipeline.sample.generator import write_sample
from integration.loading import HEADER, TABLES, fill, load_file, prepare, publish

Dsn = Callable[[str], str]
GOOD = "1,1,2024-01-02,1,Thing,2,1.10,0.05\n"
BAD = "2,1,2024-01-02,1,Thing,2,abc,0.05\n"
ALSO_BAD = "3,1,32-01-2024,1,=Thing,2,-1.10,0.05\n"
BROKEN = '4,1,2024-01-02,1,"a,b",2\n'


def write(path: Path, *lines: str) -> Path:
    path.write_text(HEADER + "".join(lines))
    return path


def found(dsn: str, statuses: tuple[str, ...] = STATUSES, reason: str = "") -> list[Quarantined]:
    with connect(dsn) as connection:
        return find_rejects(connection, TABLES, statuses, reason)


def execute(dsn: str, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        cursor = connection.execute(statement)  # type: ignore[call-overload]
        return cursor.fetchall() if cursor.description else []


def replay(dsn: str, repaired: Path, run: str, day: int) -> tuple[int, int]:
    """Replay as the command does, but without Airflow; gives how many were closed, and are still refused."""
    good, refused = clean_export(repaired, TABLES.feed)
    content, ids = format_records((values for _, values in good), TABLES.feed), find_repaired(good, refused)
    (repaired.parent / f"{run}.csv").write_bytes(content)
    with connect(dsn) as connection:
        enter_replay(connection, TABLES, hashlib.sha256(content).hexdigest(), find_copies(good, ids, TABLES.feed))
        before = count_closed(connection, TABLES, ids)
        load_file(dsn, repaired.parent / f"{run}.csv", run, mode="merge", day=day)
        return count_closed(connection, TABLES, ids) - before, len(refused)


def test_a_record_that_comes_again_is_the_same_one(dsn: Dsn, tmp_path: Path) -> None:
    loader = dsn("loader")
    load_file(loader, write(tmp_path / "a.csv", GOOD, BAD, BAD), "run-1")
    (first,) = found(loader)
    assert (first.status, first.times_seen, first.load_id, first.source_record) == ("open", 2, 1, 3)
    load_file(loader, write(tmp_path / "b.csv", GOOD, "\n", ALSO_BAD, BAD), "run-2", day=2)
    by_id = {record.reject_id: record for record in found(loader)}
    assert len(by_id) == 2
    seen = by_id[first.reject_id]
    assert (seen.times_seen, seen.load_id, seen.source_line, seen.first_seen) == (3, 2, 5, first.first_seen)
    assert seen.last_seen > first.last_seen


def test_a_load_that_is_tried_again_counts_nothing_twice(dsn: Dsn, tmp_path: Path) -> None:
    loader = dsn("loader")
    batch = prepare(loader, write(tmp_path / "a.csv", GOOD, BAD, ALSO_BAD), "run-1")
    for _ in range(3):
        fill(loader, batch)
    publish(loader, batch)
    assert sorted(record.times_seen for record in found(loader)) == [1, 1]


def test_what_is_no_fault_of_the_record_is_not_open(dsn: Dsn, tmp_path: Path) -> None:
    loader = dsn("loader")
    load_file(loader, write(tmp_path / "a.csv", GOOD, GOOD.replace("Thing", "Other"), BAD), "run-2", day=2)
    load_file(loader, write(tmp_path / "b.csv", GOOD.replace("2,1.10", "3,1.10")), "run-1", day=1, mode="merge")
    assert sorted(record.status for record in found(loader)) == ["open", "outdated", "superseded"]
    load_file(loader, write(tmp_path / "c.csv", GOOD), "run-3", day=3)
    assert sorted(record.status for record in found(loader)) == ["gone", "outdated", "superseded"]


def test_an_export_can_be_repaired_and_replayed(dsn: Dsn, tmp_path: Path) -> None:
    loader = dsn("loader")
    load_file(loader, write(tmp_path / "a.csv", GOOD, BAD, ALSO_BAD, BROKEN), "run-1")
    out = tmp_path / "export.csv"
    export(found(loader, ("open",)), TABLES.feed, out)
    assert out.stat().st_mode & 0o777 == 0o600
    with out.open(newline="") as file:
        header, *rows = csv.reader(file)
    cells = {row[1].split(":")[0]: dict(zip(header, row, strict=True)) for row in rows}
    assert cells["price"]["price"] == "abc"
    assert cells["transaction_date"]["product_name"] == "'=Thing"  # no formula
    assert cells["transaction_date"]["price"] == "'-1.10"
    assert cells["record"]["raw_record"] == BROKEN.strip()
    assert cells["record"]["transaction_id"] == ""
    cells["price"]["price"] = "5.50"
    cells["transaction_date"]["transaction_date"] = "31-01-2024"
    # As a spreadsheet of another country writes it.
    with out.open("w", newline="", encoding="windows-1252") as file:
        writer = csv.DictWriter(file, header, delimiter=";")
        writer.writeheader()
        writer.writerows(cells.values())
    assert replay(loader, out, "run-2", day=2) == (2, 1)
    values = (
        "select transaction_id, product_name, price, transaction_date::text from cleaned_data.customer_transactions"
    )
    assert execute(loader, f"{values} where transaction_id > 1 order by 1") == [
        (2, "Thing", Decimal("5.5"), "2024-01-02"),
        (3, "=Thing", Decimal("-1.1"), "2024-01-31"),
    ]
    assert {record.status: record.closed_by for record in found(loader)} == {"closed": 2, "open": None}
    assert replay(loader, out, "run-3", day=3) == (0, 1)  # again: loaded once, closed once


def test_a_closed_record_that_comes_again_is_open_again(dsn: Dsn, tmp_path: Path) -> None:
    loader = dsn("loader")
    load_file(loader, write(tmp_path / "a.csv", GOOD, BAD), "run-1")
    export(found(loader), TABLES.feed, tmp_path / "export.csv")
    text = (tmp_path / "export.csv").read_text().replace('"abc"', '"1"')
    (tmp_path / "export.csv").write_text(text)
    assert replay(loader, tmp_path / "export.csv", "run-2", day=2) == (1, 0)
    load_file(loader, write(tmp_path / "b.csv", BAD, GOOD.replace("1,1,", "9,1,", 1)), "run-3", day=3, mode="merge")
    assert [(record.status, record.load_id) for record in found(loader)] == [("open", 3)]


def test_nothing_that_nobody_repaired_gets_in(dsn: Dsn, tmp_path: Path) -> None:
    """All the generator's faults: shown bytes, such as \\xe9, must not pass for a text."""
    loader, out = dsn("loader"), tmp_path / "export.csv"
    with (tmp_path / "a.csv").open("wb") as file:
        write_sample(file, 3000, seed=5)
    load_file(loader, tmp_path / "a.csv", "run-1")
    records = found(loader, ("open",))
    assert len({record.reasons.split(":")[1] for record in records}) > 20
    export(records, TABLES.feed, out)
    good, refused = clean_export(out, TABLES.feed)
    assert (good, len(refused)) == ([], len(records))


def test_an_id_that_was_made_up_is_refused(tmp_path: Path) -> None:
    columns = "reject_id," + HEADER
    (tmp_path / "export.csv").write_text(columns + "nonsense," + GOOD + "," + GOOD.replace("1,", "5,", 1))
    good, refused = clean_export(tmp_path / "export.csv", TABLES.feed)
    assert not good
    assert len(refused) == 2


def test_old_rejects_go_but_not_those_of_the_visible_load(dsn: Dsn, tmp_path: Path) -> None:
    loader = dsn("loader")
    for day in (1, 2):
        load_file(
            loader, write(tmp_path / f"{day}.csv", GOOD, BAD.replace("abc", f"abc{day}")), f"run-{day}", day=day
        )
    execute(loader, "update cleaned_data.loads set started_at = started_at - interval '400 days'")
    with connect(loader) as connection:
        assert remove_expired(connection, TABLES, 0) == 0
        assert remove_expired(connection, TABLES, 500) == 0
        assert remove_expired(connection, TABLES, 365) == 1
    assert [record.load_id for record in found(loader)] == [2]


def test_readers_see_counts_and_no_raw_text(dsn: Dsn, tmp_path: Path) -> None:
    load_file(dsn("loader"), write(tmp_path / "a.csv", GOOD, BAD, ALSO_BAD), "run-1")
    counts = execute(dsn("reader"), "select status, reason, records from cleaned_data.quarantine_counts order by 2")
    assert counts == [("open", "price:not_an_amount", 1), ("open", "transaction_date:not_in_calendar", 1)]
    for statement in (
        "select * from cleaned_data.customer_transactions_rejected",
        "select * from cleaned_data.customer_transactions_rejected_by_load",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            execute(dsn("reader"), statement)


def export_as_good(dsn: str, folder: Path) -> Path:
    """Export what is open, and repair the price `abc`."""
    out = folder / "export.csv"
    export(found(dsn, ("open",)), TABLES.feed, out, force=True)
    out.write_text(out.read_text().replace('"abc"', '"1"'))
    return out


def ids(dsn: str) -> list[int]:
    rows = execute(dsn, "select transaction_id from cleaned_data.customer_transactions order by 1")
    return [number for (number,) in rows]


def test_a_file_of_several_in_one_run_does_not_make_the_rejects_of_another_gone(dsn: Dsn, tmp_path: Path) -> None:
    loader = dsn("loader")
    files = [
        write(tmp_path / "a.csv", GOOD, BAD),
        write(tmp_path / "b.csv", GOOD.replace("1,", "9,", 1), ALSO_BAD),
    ]
    load_file(loader, files, "run-1")
    assert [record.status for record in found(loader)] == ["open", "open"]


def test_a_rollback_of_the_replay_opens_its_records_again(dsn: Dsn, tmp_path: Path) -> None:
    loader = dsn("loader")
    load_file(loader, write(tmp_path / "a.csv", GOOD, BAD), "run-1")
    out = export_as_good(loader, tmp_path)
    assert replay(loader, out, "run-2", day=2) == (1, 0)
    with connect(loader) as connection, held_lease(connection, TABLES, "rollback", 1):
        roll_back(connection, TABLES)
        release_lease(connection, TABLES, "rollback")
    assert (ids(loader), [record.status for record in found(loader)]) == ([1], ["open"])
    assert replay(loader, out, "run-3", day=3) == (1, 0)
    assert (ids(loader), [record.status for record in found(loader)]) == ([1, 2], ["closed"])


def test_a_replay_whose_copies_a_later_file_swept_away_closes_nothing_that_came_with_it(
    dsn: Dsn, tmp_path: Path
) -> None:
    loader = dsn("loader")
    load_file(loader, write(tmp_path / "a.csv", GOOD, BAD), "run-1")
    out = export_as_good(loader, tmp_path)
    assert replay(loader, out, "run-2", day=2) == (1, 0)
    load_file(loader, write(tmp_path / "b.csv", GOOD.replace("Thing", "Other"), BAD), "run-3", day=3)
    assert (ids(loader), [record.status for record in found(loader)]) == ([1], ["open"])
    assert replay(loader, out, "run-4", day=4) == (1, 0)
    assert (ids(loader), [record.status for record in found(loader)]) == ([1, 2], ["closed"])


def test_a_record_can_be_repaired_into_two_and_is_closed_when_both_are_good(dsn: Dsn, tmp_path: Path) -> None:
    loader = dsn("loader")
    load_file(loader, write(tmp_path / "a.csv", GOOD, BAD), "run-1")
    out = export_as_good(loader, tmp_path)
    header, line = out.read_text().splitlines()
    second = line.replace('"2","1","2024', '"77","1","2024')
    out.write_text("\n".join([header, line, second.replace('"2024-01-02"', '"never"')]) + "\n")
    assert replay(loader, out, "run-2", day=2) == (0, 1)
    assert (ids(loader), [record.status for record in found(loader)]) == ([1, 2], ["open"])
    out.write_text("\n".join([header, line, second]) + "\n")
    assert replay(loader, out, "run-3", day=3) == (1, 0)
    assert (ids(loader), [record.status for record in found(loader)]) == ([1, 2, 77], ["closed"])


@pytest.mark.parametrize("name", ["'=x", "''=x", "'x", "=1+1", "@a", "\uff1dx", "it's", "-", "'", "Caf\xe9"])
def test_a_name_that_looks_like_a_formula_comes_back_as_it_was(dsn: Dsn, tmp_path: Path, name: str) -> None:
    loader, encoding = dsn("loader"), "utf-8" if "\uff1d" in name else "windows-1252"
    bad = BAD.replace("Thing", name)
    text = HEADER + GOOD + bad + bad.replace("2,", "3,", 1).replace("abc", "1")
    (tmp_path / "a.csv").write_bytes(text.encode(encoding))
    load_file(loader, tmp_path / "a.csv", "run-1")
    assert [record.raw_record for record in found(loader)] == [bad.strip()]
    assert replay(loader, export_as_good(loader, tmp_path), "run-2", day=2) == (1, 0)
    statement = "select distinct product_name from cleaned_data.customer_transactions where transaction_id > 1"
    assert len(execute(loader, statement)) == 1
    assert ids(loader) == [1, 2, 3]


def test_a_failed_export_leaves_no_personal_data_behind(dsn: Dsn, tmp_path: Path) -> None:
    load_file(dsn("loader"), write(tmp_path / "a.csv", GOOD, BAD), "run-1")
    (tmp_path / "to" / "folder").mkdir(parents=True)
    with pytest.raises(UnusableFileError):
        export(found(dsn("loader")), TABLES.feed, tmp_path / "to" / "folder", force=True)
    assert [path.name for path in (tmp_path / "to").iterdir()] == ["folder"]


def test_retention_keeps_the_first_sight_of_what_still_comes_and_forgets_the_rest(dsn: Dsn, tmp_path: Path) -> None:
    loader = dsn("loader")
    load_file(loader, write(tmp_path / "a.csv", GOOD, BAD, ALSO_BAD), "run-1")
    assert replay(loader, export_as_good(loader, tmp_path), "run-2", day=2) == (1, 1)
    execute(loader, "update cleaned_data.loads set started_at = started_at - interval '400 days' where load_id = 1")
    load_file(loader, write(tmp_path / "b.csv", GOOD, GOOD.replace("1,", "9,", 1), ALSO_BAD), "run-3", day=3)
    before = {record.reject_id: record.first_seen for record in found(loader, ("open",))}
    with connect(loader) as connection:
        assert remove_expired(connection, TABLES, 365) == 1
        assert remove_expired(connection, TABLES, 365) == 0
    assert {record.reject_id: record.first_seen for record in found(loader)} == before
    assert execute(loader, "select * from cleaned_data.customer_transactions_rejected_closed") == []


@pytest.mark.parametrize("end", ["raises", "is killed"])
def test_a_replay_is_published_and_closed_at_once_or_not_at_all(
    dsn: Dsn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    """Whatever ends the load where it closes its records: after the pointer was moved, before the commit."""
    loader = dsn("loader")
    load_file(loader, write(tmp_path / "a.csv", GOOD, BAD), "run-1")
    good, refused = clean_export(export_as_good(loader, tmp_path), TABLES.feed)
    content = format_records((values for _, values in good), TABLES.feed)
    (tmp_path / "run-2.csv").write_bytes(content)
    with connect(loader) as connection:
        copies = find_copies(good, find_repaired(good, refused), TABLES.feed)
        enter_replay(connection, TABLES, hashlib.sha256(content).hexdigest(), copies)
    batch = prepare(loader, tmp_path / "run-2.csv", "run-2", mode="merge", day=2)
    fill(loader, batch)

    def die(*_: object) -> None:
        if end == "is killed":
            os.kill(os.getpid(), signal.SIGKILL)
        os._exit(1)

    if not (child := os.fork()):
        monkeypatch.setattr(merge, "close_replayed", die)
        publish(loader, batch)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert status == (signal.SIGKILL if end == "is killed" else 1 << 8)
    assert (ids(loader), [record.status for record in found(loader)]) == ([1], ["open"])
    publish(loader, batch)
    assert (ids(loader), [record.status for record in found(loader)]) == ([1, 2], ["closed"])


def test_the_repair_of_a_record_that_came_again_closes_it_though_nothing_is_loaded(
    dsn: Dsn, tmp_path: Path
) -> None:
    """Nobody but the load itself closes: its rows are seen already, so it does so where it finds that out."""
    loader = dsn("loader")
    load_file(loader, write(tmp_path / "a.csv", GOOD, BAD), "run-1")
    out = export_as_good(loader, tmp_path)
    assert replay(loader, out, "run-2", day=2) == (1, 0)
    load_file(loader, write(tmp_path / "b.csv", BAD, GOOD.replace("1,", "9,", 1)), "run-3", day=3, mode="merge")
    assert replay(loader, out, "run-4", day=4) == (1, 0)
    assert [record.status for record in found(loader)] == ["closed"]
    statuses = execute(loader, "select status from cleaned_data.loads order by load_id")
    assert statuses[-1] == ("unchanged",)
    assert execute(loader, "select * from cleaned_data.customer_transactions_rejected_replays") == []


def test_there_is_no_quarantine_before_the_first_load(dsn: Dsn, tmp_path: Path) -> None:
    with connect(dsn("loader")) as connection:
        assert not is_made(connection, TABLES)
        load_file(dsn("loader"), write(tmp_path / "a.csv", GOOD), "run-1")
        assert is_made(connection, TABLES)
