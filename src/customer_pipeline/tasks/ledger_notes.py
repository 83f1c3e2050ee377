"""What fails in a run → the ledger: the files that were refused, and why the loads of a run came to nothing."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psycopg
from airflow.sdk import Context

from audited_load.clean_report import CleanReport
from audited_load.columns import Feed
from audited_load.erasing.register import exists
from audited_load.errors import BadDataError, PipelineError, RefusedError
from audited_load.loading.outcome import Outcome, end_loads, outcome_of, refuse_files
from audited_load.warehouse.connection import connect
from audited_load.warehouse.lease import release_lease
from customer_pipeline.feed import TABLES
from customer_pipeline.storing.deliveries import delivered_name, hash_file
from customer_pipeline.tasks.task_errors import explain_error, find_cause
from customer_pipeline.tasks.task_warehouse import code_version, delivery_of, warehouse_dsn

log = logging.getLogger(__name__)


@contextmanager
def refusals_noted(context: Context, path: Path, source: str, feed: Feed) -> Iterator[list[CleanReport]]:
    """Enter a file into the ledger if the block refuses it.

    Args:
        context: Of the task.
        path: Where the file is.
        source: Its path in the data folder.
        feed: By which it is read.

    Yields:
        A list for its accounting, as soon as there is one: a file that can't be read has none.
    """
    reports: list[CleanReport] = []
    try:
        yield reports
    except (BadDataError, RefusedError) as error:
        with _never_in_the_way():
            note_refused(
                context, reports or [unread_report(source, hash_file(path), path.stat().st_size, feed)], error
            )
        raise


def note_refused(context: Context, reports: Sequence[CleanReport], error: PipelineError) -> None:
    """Enter files into the ledger of which the run loads nothing.

    Args:
        context: Of the task.
        reports: The accounting of each.
        error: Why.
    """
    with _never_in_the_way(), connect(warehouse_dsn()) as connection:
        refuse_files(connection, TABLES, list(reports), delivery_of(context), outcome_of(error))


def note_failure(context: Context) -> None:
    """Say in the ledger why the loads of a run were not published, when a task of it has failed for good.

    Args:
        context: Of the task, as Airflow gives it to a callback.
    """
    error = context.get("exception")
    cause = find_cause(error)
    outcome = outcome_of(cause) if cause else Outcome("failed", *explain_error(error))
    with _never_in_the_way(), connect(warehouse_dsn()) as connection:
        if exists(connection, TABLES, "loads"):
            end_loads(connection, TABLES, context["run_id"], outcome)


def give_lease_back(context: Context) -> None:
    """Release the lease of a run of which a task failed for good, wherever it failed.

    Args:
        context: Of the task, as Airflow gives it to a callback.
    """
    try:
        with connect(warehouse_dsn()) as connection:
            if exists(connection, TABLES, "lease"):
                release_lease(connection, TABLES, context["run_id"])
    except PipelineError as error:
        log.warning("The lease ends by itself: %s", error)


def unread_report(source: str, sha256: str, size: int, feed: Feed) -> CleanReport:
    """Make the accounting of a file that could not be read as records: there are none.

    Args:
        source: Its path in the data folder.
        sha256: Of its bytes.
        size: In bytes.
        feed: By which it is read.
    """
    return CleanReport(
        source=delivered_name(source),
        sha256=sha256,
        bytes=size,
        encoding="",
        delimiter="",
        header=[],
        read=0,
        accepted=0,
        quarantined=0,
        duplicates=0,
        superseded=0,
        blank_lines=0,
        reasons={},
        rules={},
        totals={total.name: "0" for total in feed.totals},
        ignored_columns=[],
        cleaned_file="",
        rejected_file="",
        contract={"id": feed.contract.id, "version": feed.contract.version, "sha256": feed.contract.sha256},
        code_version=code_version(feed),
    )


@contextmanager
def _never_in_the_way() -> Iterator[None]:
    """Log what keeps the ledger from being written: the failure that is to be noted matters more."""
    try:
        yield
    except (PipelineError, psycopg.Error, OSError):
        log.warning("The ledger doesn't say what became of the load", exc_info=True)
