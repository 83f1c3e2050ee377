"""Merge mode: later days win, whatever the order of arrival; the ledger counts; one rollback gives it all back."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest

from audited_load.errors import RefusedError
from audited_load.loading.batch import Delivery
from audited_load.loading.rollback import RolledBack, roll_back
from audited_load.warehouse.connection import connect
from audited_load.warehouse.lease import held_lease, release_lease
from integration.loading import HEADER, TABLES, fill, load_file, prepare, publish, write_csv

Dsn = Callable[[str], str]
ROWS = "select transaction_id, price, load_id from cleaned_data.customer_transactions order by 1"
COUNTS = "select inserted, updated, unchanged, outdated, visible_rows from cleaned_data.loads order by load_id"


def query(dsn: str, statement: str) -> list[tuple]:
    with psycopg.connect(dsn) as connection:
        return connection.execute(statement).fetchall()


def write(path: Path, prices: dict[int, str]) -> Path:
    rows = (f"{key},1,2024-01-02,1,Thing,1,{price},0.05\n" for key, price in prices.items())
    path.write_text(HEADER + "".join(rows))
    return path


def prices(dsn: str) -> dict[int, Decimal]:
    return {key: price for key, price, _ in query(dsn, ROWS)}


def undo(dsn: str) -> RolledBack:
    with connect(dsn) as connection, held_lease(connection, TABLES, "rollback", 1):
        done = roll_back(connection, TABLES)
        release_lease(connection, TABLES, "rollback")
    return done


def totals_tie(dsn: str) -> bool:
    (ledger,) = query(
        dsn, "select visible_rows, visible_quantity, visible_gross, visible_tax from cleaned_data.published_load"
    )
    (table,) = query(
        dsn,
        "select count(*), sum(quantity), sum(quantity * price), sum(tax) from cleaned_data.customer_transactions",
    )
    return ledger == table


def test_a_merge_adds_and_corrects_and_counts_what_it_did(dsn: Dsn, tmp_path: Path) -> None:
    loader = dsn("loader")
    load_file(loader, write(tmp_path / "a.csv", {1: "1.00", 2: "2.00", 3: "3.00"}), "run-1", day=1)
    load_file(loader, write(tmp_path / "b.csv", {2: "2.50", 3: "3.0", 4: "4.00"}), "run-2", day=2, mode="merge")
    assert prices(loader) == {1: 1, 2: Decimal("2.5"), 3: 3, 4: 4}
    assert [load_id for *_, load_id in query(loader, ROWS)] == [1, 2, 1, 2]
    assert query(loader, COUNTS) == [(3, 0, 0, 0, 3), (1, 1, 1, 0, 4)]
    assert totals_tie(dsn("reader"))


def test_a_value_that_a_later_day_repeated_stays_when_a_day_between_arrives_late(dsn: Dsn, tmp_path: Path) -> None:
    loader = dsn("loader")
    for day, price in ((1, "1.00"), (3, "1.0"), (2, "2.00")):
        load_file(loader, write(tmp_path / f"{day}.csv", {1: price}), f"run-{day}", day=day, mode="merge")
    assert prices(loader) == {1: 1}
    assert query(loader, COUNTS) == [(1, 0, 0, 0, 1), (0, 0, 1, 0, 1), (0, 0, 0, 1, 1)]
    assert query(loader, "select load_id from cleaned_data.customer_transactions") == [(1,)]


def test_a_first_merge_is_a_first_load(dsn: Dsn, tmp_path: Path) -> None:
    loader = dsn("loader")
    assert load_file(loader, write(tmp_path / "a.csv", {1: "1"}), "run-1", mode="merge").rows == 1
    assert query(loader, COUNTS) == [(1, 0, 0, 0, 1)]


def test_an_older_day_adds_but_does_not_overwrite_and_says_what_it_left_out(dsn: Dsn, tmp_path: Path) -> None:
    loader = dsn("loader")
    load_file(loader, write(tmp_path / "b.csv", {1: "9.00"}), "run-2", day=2, mode="merge")
    load_file(loader, write(tmp_path / "a.csv", {1: "1.00", 2: "2.00"}), "run-1", day=1, mode="merge")
    assert prices(loader) == {1: 9, 2: 2}
    assert query(loader, COUNTS)[1] == (1, 0, 0, 1, 2)
    ((reason, raw),) = query(
        loader,
        "select reasons, raw_record from cleaned_data.customer_transactions_rejected_by_load where load_id = 2",
    )
    assert reason.startswith("record:outdated: load 1")
    assert '"price":1.0000' in raw.replace(" ", "")


def test_a_file_that_was_merged_before_is_skipped_also_after_others(dsn: Dsn, tmp_path: Path) -> None:
    loader = dsn("loader")
    first = write(tmp_path / "a.csv", {1: "1.00"})
    load_file(loader, first, "run-1", day=1, mode="merge")
    load_file(loader, write(tmp_path / "b.csv", {1: "2.00"}), "run-2", day=2, mode="merge")
    assert not load_file(loader, first, "run-3", day=3, mode="merge").changed
    assert prices(loader) == {1: 2}
    assert query(loader, "select status from cleaned_data.loads order by load_id")[2] == ("unchanged",)


def test_a_merge_can_run_again_at_every_step(dsn: Dsn, tmp_path: Path) -> None:
    loader = dsn("loader")
    load_file(loader, write(tmp_path / "a.csv", {1: "1.00", 2: "2.00"}), "run-1", day=1)
    file = write(tmp_path / "b.csv", {2: "3.00", 3: "3.00"})
    for _ in range(2):
        load = prepare(loader, file, "run-2", mode="merge", day=2)
        fill(loader, load)
    assert publish(loader, load).changed
    assert not publish(loader, load).changed
    again = prepare(loader, file, "run-2", mode="merge", day=2)
    assert again.generation is None
    assert query(loader, "select load_id, status from cleaned_data.loads order by 1") == [
        (1, "published"),
        (2, "published"),
    ]
    assert query(loader, COUNTS)[1] == (1, 1, 0, 0, 3)


def test_a_merge_is_refused_when_readers_see_another_generation_by_then(dsn: Dsn, tmp_path: Path) -> None:
    loader = dsn("loader")
    load_file(loader, write(tmp_path / "a.csv", {1: "1.00"}), "run-1", day=1)
    load_file(loader, write(tmp_path / "b.csv", {1: "2.00"}), "run-2", day=2)
    load = prepare(loader, write(tmp_path / "c.csv", {3: "3.00"}), "run-3", mode="merge", day=3)
    fill(loader, load)
    with connect(loader) as connection:
        release_lease(connection, TABLES, "run-3")
    undo(loader)
    with pytest.raises(RefusedError, match="no longer see"):
        publish(loader, load)
    assert prices(loader) == {1: 1}


def test_a_rollback_of_a_merge_gives_back_every_row_as_it_was(dsn: Dsn, tmp_path: Path) -> None:
    loader = dsn("loader")
    load_file(loader, write(tmp_path / "a.csv", {1: "1.00", 2: "2.00"}), "run-1", day=1)
    before = query(loader, "select * from cleaned_data.customer_transactions order by 1")
    load_file(loader, write(tmp_path / "b.csv", {2: "2.50", 4: "4.00"}), "run-2", day=2, mode="merge")
    done = undo(loader)
    assert (done.load_ids, done.visible_load_id, done.rows) == ([2], 1, 2)
    assert query(loader, "select * from cleaned_data.customer_transactions order by 1") == before
    assert query(loader, "select load_id, status from cleaned_data.loads order by 1")[1] == (2, "rolled_back")
    assert totals_tie(dsn("reader"))
    with pytest.raises(RefusedError, match="no load to go back to"):
        undo(loader)


def test_a_rollback_of_a_replace_shows_the_load_before_and_the_next_run_goes_on(dsn: Dsn, tmp_path: Path) -> None:
    loader = dsn("loader")
    for day in (1, 2, 3):
        load_file(loader, write_csv(tmp_path / f"{day}.csv", range(10 * day)), f"run-{day}", day=day)
    assert undo(loader).rows == 20
    assert query(loader, "select count(*) from cleaned_data.customer_transactions") == [(20,)]
    with pytest.raises(RefusedError, match="no load to go back to"):
        undo(loader)
    assert load_file(loader, tmp_path / "3.csv", "run-4", day=4).rows == 30
    assert undo(loader).rows == 20


def test_a_first_load_and_an_empty_warehouse_have_nothing_to_go_back_to(dsn: Dsn, tmp_path: Path) -> None:
    loader = dsn("loader")
    load = prepare(loader, write_csv(tmp_path / "a.csv", range(3)), "run-1")
    with connect(loader) as connection:
        release_lease(connection, TABLES, "run-1")
    with pytest.raises(RefusedError):
        undo(loader)
    fill(loader, load)
    publish(loader, load)
    with pytest.raises(RefusedError):
        undo(loader)


def test_a_rollback_to_a_damaged_load_is_refused_and_changes_nothing(dsn: Dsn, tmp_path: Path) -> None:
    loader = dsn("loader")
    load_file(loader, write_csv(tmp_path / "a.csv", range(10)), "run-1", day=1)
    load_file(loader, write_csv(tmp_path / "b.csv", range(20)), "run-2", day=2)
    with psycopg.connect(loader) as connection:
        connection.execute("delete from cleaned_data.customer_transactions_g1 where transaction_id = 5")
    with pytest.raises(Exception, match="ledger says 10"):
        undo(loader)
    assert query(loader, "select count(*) from cleaned_data.customer_transactions") == [(20,)]


def test_an_older_replace_is_refused_unless_forced(dsn: Dsn, tmp_path: Path) -> None:
    loader = dsn("loader")
    load_file(loader, write_csv(tmp_path / "b.csv", range(10)), "run-2", day=2)
    older = write_csv(tmp_path / "a.csv", range(10), price="7.00")
    with pytest.raises(RefusedError, match="newer"):
        load_file(loader, older, "run-1", day=1)
    assert load_file(loader, older, "run-1b", day=1, force=True).changed


def test_a_mode_that_does_not_exist_is_refused_with_those_that_do() -> None:
    from datetime import UTC, datetime  # noqa: PLC0415

    with pytest.raises(RefusedError, match="replace, merge"):
        Delivery("run", datetime.now(UTC), "append")
