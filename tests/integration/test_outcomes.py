"""The ledger says what became of every load: published, refused or failed, why, and who asked for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from audited_load.cleaning.clean_file import clean_file
from audited_load.cleaning.limits import Limits, check_limits
from audited_load.errors import BadDataError, RefusedError, UnavailableError
from audited_load.loading.batch import Batch, Delivery
from audited_load.loading.ledger import register_batch
from audited_load.loading.outcome import end_loads, outcome_of, refuse_files
from audited_load.warehouse.connection import connect
from audited_load.warehouse.create import create_tables
from audited_load.warehouse.lease import release_lease
from integration.loading import HEADER, TABLES, fill, load_file, prepare, publish, write_csv
from steps.data_cleaners import CUSTOMER_TRANSACTIONS

Dsn = Callable[[str], str]
AWAY = UnavailableError("The disk is full.", "Make room, then clear the task.")
GUARD = RefusedError("It holds 1 good record, but readers see 9.", "Run it with `force`.")


def ledger(dsn: str) -> list[dict[str, Any]]:
    with psycopg.connect(dsn, row_factory=dict_row) as connection:
        return connection.execute("select * from cleaned_data.loads order by load_id").fetchall()


def statuses(dsn: str) -> list[tuple[str, str, str | None]]:
    return [(row["run_id"], row["status"], row["failure"]) for row in ledger(dsn)]


def fail(dsn: str, run_id: str, error: UnavailableError | RefusedError = AWAY) -> int:
    with connect(dsn) as connection:
        release_lease(connection, TABLES, run_id)
        return end_loads(connection, TABLES, run_id, outcome_of(error))


def refuse(dsn: str, file: Path, run_id: str) -> None:
    """Clean a file of which too much is lost, as the task does, and enter that."""
    report = replace(clean_file(file, CUSTOMER_TRANSACTIONS, file.parent / run_id), code_version="v1")
    delivery = Delivery(run_id, datetime(2025, 12, 1, tzinfo=UTC), "replace", "somebody", {"source": file.name})
    with pytest.raises(BadDataError) as refused:
        check_limits(report, Limits(), "transaction_id")
    with connect(dsn) as connection:
        create_tables(connection, TABLES, ("transformer", "reader"))
        refuse_files(connection, TABLES, [report], delivery, outcome_of(refused.value))


def bad_file(folder: Path) -> Path:
    path = folder / "bad.csv"
    path.write_text(HEADER + "1,2,2024-01-02,3,Thing,2,1.10,0.05\nx,2,2024-01-02,3,Thing,2,much,0.05\n")
    return path


def test_a_refused_file_has_a_row_with_its_counts_reasons_and_the_remedy(dsn: Dsn, tmp_path: Path) -> None:
    refuse(dsn("loader"), bad_file(tmp_path), "run-1")
    (row,) = ledger(dsn("reader"))
    assert (row["status"], row["read"], row["accepted"], row["quarantined"]) == ("refused", 2, 1, 1)
    assert row["reason_counts"] == {"transaction_id:not_an_id": 1, "price:not_an_amount": 1}
    assert "1 of 2 records was refused" in row["failure"]
    assert "MAX_REJECTED_RATIO" in row["remedy"]
    assert (row["started_by"], row["params"]) == ("somebody", {"source": "bad.csv"})
    assert row["ended_at"] is not None
    assert (row["published_at"], row["generation"], row["visible_rows"]) == (None, None, None)


def test_a_refused_file_that_is_refused_again_in_its_run_has_one_row_and_in_another_run_two(
    dsn: Dsn, tmp_path: Path
) -> None:
    for run_id in ("run-1", "run-1", "run-2"):
        refuse(dsn("loader"), bad_file(tmp_path), run_id)
    assert [(run, status) for run, status, _ in statuses(dsn("loader"))] == [
        ("run-1", "refused"),
        ("run-2", "refused"),
    ]


def test_a_refused_file_that_a_cleared_run_accepts_is_published_in_its_row(dsn: Dsn, tmp_path: Path) -> None:
    loader, file = dsn("loader"), bad_file(tmp_path)
    refuse(loader, file, "run-1")
    load_file(loader, file, "run-1")
    assert statuses(loader) == [("run-1", "published", None)]


def test_readers_and_a_rollback_know_nothing_of_a_refused_file(dsn: Dsn, tmp_path: Path) -> None:
    loader = dsn("loader")
    load_file(loader, write_csv(tmp_path / "a.csv", range(9)), "run-1")
    refuse(loader, bad_file(tmp_path), "run-2")
    load_file(loader, write_csv(tmp_path / "b.csv", range(8)), "run-3", day=2)
    assert [status for _, status, _ in statuses(loader)] == ["published", "refused", "published"]
    assert ledger(loader)[2]["previous_load"] == 1


def test_a_load_whose_task_failed_says_why_until_a_retry_publishes_it(dsn: Dsn, tmp_path: Path) -> None:
    loader, file = dsn("loader"), write_csv(tmp_path / "a.csv", range(9))
    batch = prepare(loader, file, "run-1")
    assert statuses(loader) == [("run-1", "loading", None)]
    assert fail(loader, "run-1") == 1
    assert statuses(loader) == [("run-1", "failed", "The disk is full.")]
    assert ledger(loader)[0]["remedy"] == AWAY.remedy
    assert prepare(loader, file, "run-1").load_ids == batch.load_ids
    assert statuses(loader) == [("run-1", "loading", None)]
    fill(loader, batch)
    publish(loader, batch)
    assert statuses(loader) == [("run-1", "published", None)]
    assert ledger(loader)[0]["ended_at"] is None


def test_a_load_that_is_cleared_from_its_copy_on_is_published_and_not_failed(dsn: Dsn, tmp_path: Path) -> None:
    loader = dsn("loader")
    batch = prepare(loader, write_csv(tmp_path / "a.csv", range(9)), "run-1")
    fail(loader, "run-1")
    fill(loader, Batch.from_dict(batch.to_dict()))
    publish(loader, batch)
    assert statuses(loader) == [("run-1", "published", None)]


def test_what_a_guard_refused_is_refused_and_what_was_published_stays_so(dsn: Dsn, tmp_path: Path) -> None:
    loader = dsn("loader")
    load_file(loader, write_csv(tmp_path / "a.csv", range(9)), "run-1")
    batch = prepare(loader, write_csv(tmp_path / "a.csv", range(1)), "run-2", day=2)
    fill(loader, batch)
    with pytest.raises(RefusedError):
        publish(loader, batch)
    fail(loader, "run-2", GUARD)
    assert fail(loader, "run-1") == 0  # a model of it failed
    assert statuses(loader) == [("run-1", "published", None), ("run-2", "refused", GUARD.message)]
    publish(loader, batch, force=True)
    assert statuses(loader) == [("run-1", "published", None), ("run-2", "published", None)]


def test_the_last_of_two_reasons_stands(dsn: Dsn, tmp_path: Path) -> None:
    loader = dsn("loader")
    prepare(loader, write_csv(tmp_path / "a.csv", range(9)), "run-1")
    fail(loader, "run-1")
    fail(loader, "run-1", GUARD)
    assert statuses(loader) == [("run-1", "refused", GUARD.message)]


def test_what_a_run_left_behind_that_died_without_a_word_is_not_loading_for_ever(dsn: Dsn, tmp_path: Path) -> None:
    loader, first = dsn("loader"), write_csv(tmp_path / "a.csv", range(9))
    batch = prepare(loader, first, "run-1")
    with connect(loader) as connection:
        release_lease(connection, TABLES, "run-1")  # it has expired
    load_file(loader, write_csv(tmp_path / "b.csv", range(8)), "run-2", day=2)
    assert [status for _, status, _ in statuses(loader)] == ["failed", "published"]
    assert "without a word" in str(statuses(loader)[0][2])
    # The old run, cleared, takes its row up again.
    assert prepare(loader, first, "run-1", day=3).load_ids == batch.load_ids
    assert [status for _, status, _ in statuses(loader)] == ["loading", "published"]


def test_what_readers_see_already_is_unchanged_also_after_a_failure(dsn: Dsn, tmp_path: Path) -> None:
    loader, file = dsn("loader"), write_csv(tmp_path / "a.csv", range(9))
    load_file(loader, file, "run-1")
    later = prepare(loader, write_csv(tmp_path / "c.csv", range(8)), "run-2")
    fail(loader, "run-2")
    load_file(loader, tmp_path / "c.csv", "run-3")
    with connect(loader) as connection:
        delivery = Delivery("run-2", datetime(2025, 12, 9, tzinfo=UTC), "replace")
        register_batch(connection, TABLES, [later.loads[0].report], delivery)
    assert [status for _, status, _ in statuses(loader)] == ["published", "unchanged", "published"]


@pytest.mark.parametrize(
    "change",
    [
        "status = 'failed'",
        "status = 'refused', failure = 'x'",
        "failure = 'x', ended_at = now()",
        "status = 'lost'",
    ],
)
def test_a_failure_without_a_reason_or_a_reason_without_a_failure_is_no_row(
    dsn: Dsn, tmp_path: Path, change: str
) -> None:
    prepare(dsn("loader"), write_csv(tmp_path / "a.csv", range(9)), "run-1")
    with psycopg.connect(dsn("loader")) as connection, pytest.raises(psycopg.errors.CheckViolation):
        connection.execute(f"update cleaned_data.loads set {change}")  # type: ignore[call-overload] # noqa: S608


def test_what_stood_in_place_of_a_header_is_not_in_the_ledger() -> None:
    error = BadDataError("It has no header. Found: 5,Ann Smith,2024", "Ask.")
    assert outcome_of(error).what == "It has no header."
