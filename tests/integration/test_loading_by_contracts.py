"""Files of several contracts in one table: further columns, masked ones, and columns that come and go."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from audited_load.clean_report import CleanReport, gather_columns
from audited_load.cleaning.clean_file import clean_file
from audited_load.columns import Feed
from audited_load.errors import RefusedError
from audited_load.loading.batch import Batch, Delivery
from audited_load.loading.drift import find_drift
from audited_load.loading.ledger import register_batch
from audited_load.loading.rollback import roll_back
from audited_load.warehouse.connection import connect
from audited_load.warehouse.create import create_tables
from audited_load.warehouse.lease import held_lease
from integration.loading import HEADER, TABLES, fill, load_file, publish
from steps.data_cleaners import CUSTOMER_TRANSACTIONS
from unit.shop import CONTRACT, KEY, hashed, shop
from unit.shop import HEADER as WIDE

Dsn = Callable[[str], str]
SHOWN = "select transaction_id, quantity, branch, email from cleaned_data.customer_transactions order by 1"


def query(dsn: str, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(dsn) as connection:
        return connection.execute(statement).fetchall()  # type: ignore[call-overload,no-any-return]


def row(number: int, quantity: int = 2, more: str = "") -> str:
    return f"{number},5,2024-01-02,7,Thing,{quantity},1.10,0.05{more}\n"


def clean(folder: Path, name: str, content: str, feed: Feed = CUSTOMER_TRANSACTIONS) -> CleanReport:
    (folder / name).write_text(content)
    report = clean_file(folder / name, feed, folder / f"out-{name}", masking_key=KEY)
    return replace(report, code_version=f"code {feed.contract.sha256}")


def register(dsn: str, reports: list[CleanReport], run: str, *, mode: str = "merge", day: int = 1) -> Batch:
    with connect(dsn) as connection:
        for report in reports:
            create_tables(connection, TABLES, ("transformer", "reader"), dict(report.columns))
        reports = [replace(report, drift=asdict(find_drift(connection, TABLES, report))) for report in reports]
        with held_lease(connection, TABLES, run, 1):
            return register_batch(
                connection, TABLES, reports, Delivery(run, datetime(2025, 12, day, tzinfo=UTC), mode)
            )


def load(dsn: str, reports: list[CleanReport], run: str, *, mode: str = "merge", day: int = 1) -> Batch:
    batch = register(dsn, reports, run, mode=mode, day=day)
    fill(dsn, batch)
    publish(dsn, batch)
    return batch


def test_further_columns_are_loaded_merged_and_taken_back(dsn: Dsn, tmp_path: Path) -> None:
    loader, feed = dsn("loader"), shop(tmp_path)
    load_file(loader, _plain(tmp_path, "first.csv", row(1) + row(2)), "run-1")
    more = row(2, 3, ",North,a@example.com,") + row(3, 4, ",South,,0170")
    load(loader, [clean(tmp_path, "shop.csv", f"{WIDE}\n{more}", feed)], "run-2", day=2)
    before = [(1, 2, None, None), (2, 3, "North", hashed("a@example.com")), (3, 4, "South", None)]
    assert query(dsn("reader"), SHOWN) == before
    # A record is replaced as a whole, by a file without the column, too.
    load(loader, [clean(tmp_path, "late.csv", HEADER + row(2, 9))], "run-3", day=3)
    assert query(dsn("reader"), SHOWN)[1] == (2, 9, None, None)
    with connect(loader) as connection, held_lease(connection, TABLES, "rollback", 1):
        roll_back(connection, TABLES)
    assert query(dsn("reader"), SHOWN) == before
    named = "select contract_id, contract_version, columns from cleaned_data.loads order by load_id"
    assert [(one[0], one[1]) for one in query(loader, named)] == [
        ("customer-transactions", "1.0.0"), ("shop", "1.0.0"), ("customer-transactions", "1.0.0"),
    ]  # fmt: skip
    assert query(loader, named)[1][2] == [*CUSTOMER_TRANSACTIONS.names, "branch", "email"]


def test_files_of_two_contracts_come_in_one_run_and_are_known_again(dsn: Dsn, tmp_path: Path) -> None:
    loader, feed = dsn("loader"), shop(tmp_path)
    reports = [
        clean(tmp_path, "a.csv", HEADER + row(1)),
        clean(tmp_path, "b.csv", f"{WIDE}\n" + row(2, 2, ",North,a@example.com,"), feed),
    ]
    load(loader, reports, "run-1", mode="replace")
    assert [one[2] for one in query(dsn("reader"), SHOWN)] == [None, "North"]
    again = register(loader, reports, "run-2", mode="replace")
    assert again.generation is None
    assert Batch.from_dict(again.to_dict()) == again
    assert not publish(loader, again).changed
    # The same bytes by another contract are another load.
    other = replace(reports[1], code_version="code of another contract")
    assert register(loader, [reports[0], other], "run-3", mode="replace").generation is not None


def test_a_column_of_two_types_is_refused_before_anything_is_written(dsn: Dsn, tmp_path: Path) -> None:
    loader = dsn("loader")
    first = clean(tmp_path, "a.csv", f"{WIDE}\n" + row(1, 2, ",North,,"), shop(tmp_path))
    load(loader, [first], "run-1")
    wrong = shop(
        tmp_path, CONTRACT.replace("name: branch, logicalType: string", "name: branch, logicalType: integer")
    )
    second = clean(tmp_path, "b.csv", f"{WIDE}\n" + row(2, 2, ",7,,"), wrong)
    with pytest.raises(RefusedError, match="branch is text null in the table and integer null in the feed"):
        register(loader, [second], "run-2")
    assert query(loader, "select count(*) from cleaned_data.loads") == [(1,)]


def test_a_column_that_is_new_or_gone_is_told_from_one_that_is_as_before(dsn: Dsn, tmp_path: Path) -> None:
    loader, feed = dsn("loader"), shop(tmp_path)
    load(loader, [clean(tmp_path, "a.csv", f"{WIDE},colour\n" + row(1, 2, ",North,,,red"), feed)], "run-1")
    again = clean(tmp_path, "b.csv", f"{WIDE},colour,size\n" + row(2, 2, ",North,,,red,9"), feed)
    gone = clean(tmp_path, "c.csv", HEADER + row(3), feed)
    with connect(loader) as connection:
        drift = find_drift(connection, TABLES, again)
        assert (drift.unknown, drift.new, drift.vanished) == (("colour", "size"), ("size",), ())
        assert find_drift(connection, TABLES, gone).vanished == ("branch", "email")
    assert query(loader, "select drift -> 'new' from cleaned_data.loads") == [(["colour"],)]


def test_neither_a_replay_nor_a_new_word_in_the_contract_makes_a_column_vanish(dsn: Dsn, tmp_path: Path) -> None:
    loader, feed = dsn("loader"), shop(tmp_path)
    narrow = shop(tmp_path, CONTRACT.replace("      - {name: branch, logicalType: string}\n", ""))
    load(loader, [clean(tmp_path, "a.csv", HEADER + row(1), narrow)], "run-1")
    gone = clean(tmp_path, "c.csv", HEADER + row(3), feed)
    with connect(loader) as connection:
        assert find_drift(connection, TABLES, gone).vanished == ()
    load(loader, [clean(tmp_path, "d.csv", HEADER + row(4), feed)], "run-2")
    repaired = replace(clean(tmp_path, "b.csv", f"{WIDE}\n" + row(2, 2, ",North,,"), feed), source="replayed/b.csv")
    load(loader, [repaired], "run-3")
    with connect(loader) as connection:
        assert find_drift(connection, TABLES, gone).vanished == ()


def test_another_contract_may_require_what_may_be_null_in_the_table(dsn: Dsn, tmp_path: Path) -> None:
    strict = "      - {name: price, logicalType: number, required: true}\n      - {name: branch,"
    feed = shop(tmp_path, CONTRACT.replace("      - {name: branch,", strict))
    report = clean(
        tmp_path, "a.csv", f"{WIDE}\n" + row(1, 2, ",North,,") + row(2).replace("1.10", "").strip() + ",,,\n", feed
    )
    assert report.reasons == {"price:missing": 1}
    load(dsn("loader"), [report], "run-1")
    assert query(dsn("reader"), SHOWN) == [(1, 2, "North", None)]


def test_a_column_of_two_types_in_one_run_is_refused_before_the_table_has_it(tmp_path: Path) -> None:
    wrong = shop(
        tmp_path, CONTRACT.replace("name: branch, logicalType: string", "name: branch, logicalType: integer")
    )
    reports = [clean(tmp_path, f"{name}.csv", f"{WIDE}\n" + row(1, 2, ",7,,"), feed)
               for name, feed in (("a", wrong), ("b", shop(tmp_path)))]  # fmt: skip
    assert gather_columns(reports[:1])["branch"] == "integer null"
    with pytest.raises(
        RefusedError, match="The column branch is integer null in one file of the run and text null"
    ):
        gather_columns(reports)


def test_a_reader_in_the_way_holds_up_a_new_column_and_is_not_held_up(dsn: Dsn, tmp_path: Path) -> None:
    loader = dsn("loader")
    load_file(loader, _plain(tmp_path, "first.csv", row(1)), "run-1")
    report = clean(tmp_path, "shop.csv", f"{WIDE}\n" + row(2, 2, ",North,,"), shop(tmp_path))
    with psycopg.connect(dsn("reader")) as reader, ThreadPoolExecutor(1) as thread:
        reader.execute("select count(*) from cleaned_data.customer_transactions")
        loading = thread.submit(load, loader, [report], "run-2")
        assert wait([loading], timeout=2).not_done
        assert query(dsn("reader"), "select count(*) from cleaned_data.customer_transactions") == [(1,)]
        reader.rollback()
        loading.result()
    assert query(dsn("reader"), SHOWN)[1][2] == "North"


def _plain(folder: Path, name: str, rows: str) -> Path:
    (folder / name).write_text(HEADER + rows)
    return folder / name
