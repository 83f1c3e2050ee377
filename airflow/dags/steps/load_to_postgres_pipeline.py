"""Task group Load-To-Postgres: the cleaned files → the incoming table → audited → visible to readers.

Each shard of a large file is copied by a task of its own, `copy_shard`; if there is none, none of these runs.
"""

from __future__ import annotations

import logging
from typing import Any

import psycopg
from airflow.sdk import Context, get_current_context, task

from audited_load.clean_report import CleanReport, gather_columns
from audited_load.errors import PipelineError
from audited_load.loading.batch import Batch
from audited_load.loading.copy import copy_cleaned, copy_shard
from audited_load.loading.incoming import empty_incoming
from audited_load.loading.ledger import register_batch
from audited_load.loading.pieces import Piece
from audited_load.loading.publish import Published, audit_and_publish
from audited_load.loading.quarantine import remove_expired
from audited_load.shown import show_text
from audited_load.warehouse.operations import remove_old_results
from customer_pipeline.feed import TABLES
from customer_pipeline.settings import read_run_settings, read_settings
from customer_pipeline.tasks.alerts import alert_of_failure, alert_of_stale_source, alert_of_unusual
from customer_pipeline.tasks.assets import CLEANED_TABLE, report_lineage
from customer_pipeline.tasks.freshness import find_stale_load, read_error_after
from customer_pipeline.tasks.ledger_notes import note_failure
from customer_pipeline.tasks.metrics import send_load_figures
from customer_pipeline.tasks.task_errors import reported_errors
from customer_pipeline.tasks.task_warehouse import delivery_of, files_of_runs, leased_connection, make_tables
from customer_pipeline.usual import describe_unusual

log = logging.getLogger(__name__)


def load_to_postgres_pipeline(parent_group: str, cleaned: Any) -> Any:
    """Define the tasks of the group, in order.

    Args:
        parent_group: Id of the task group, for the log.
        cleaned: Output of Clean-Transactions, a list of manifests.

    Returns:
        The last task; its output says what readers see now.
    """

    @task(task_id="create_cleaned_table")
    def create_cleaned_table(manifests: list[dict[str, Any]]) -> dict[str, Any]:
        """Make tables and views if missing, take the lease and enter the files into the ledger."""
        context = get_current_context()
        run_id = context["run_id"]
        reports = [CleanReport.from_dict(manifest) for manifest in manifests]
        with reported_errors(parent_group):
            brought = gather_columns(reports)
        make_tables(parent_group, brought)
        with leased_connection(parent_group, run_id) as (connection, _):
            batch = register_batch(connection, TABLES, reports, delivery_of(context))
        log.info("[%s] Loads %s, generation %s", parent_group, batch.load_ids, batch.generation)
        return batch.to_dict()

    @task(task_id="truncate_cleaned_table")
    def truncate_cleaned_table(upstream_output: dict[str, Any]) -> list[dict[str, int]]:
        """Empty the incoming table; what readers see is another one. List the shards that are to be copied."""
        batch = Batch.from_dict(upstream_output)
        with leased_connection(parent_group, batch.run_id) as (connection, _):
            if batch.generation is None:
                return []
            empty_incoming(connection, TABLES, batch)
        return [
            {"load_id": load.load_id, "number": number}
            for load in batch.loads
            for number in range(len(load.report.shards))
        ]

    @task(
        task_id="copy_shard",
        max_active_tis_per_dagrun=read_run_settings().parallel_shards,
        map_index_template="{{ shard_name }}",
        # Not the lease: other shards of the run may still be written.
        on_failure_callback=[note_failure, alert_of_failure],
    )
    def copy_one_shard(upstream_output: dict[str, Any], shard: dict[str, int]) -> None:
        """Copy one shard of a large file into the incoming table."""
        _copy_one_shard(parent_group, Batch.from_dict(upstream_output), shard, get_current_context())

    @task(task_id="load_cleaned_csv_to_postgres", trigger_rule="none_failed")
    def load_cleaned_csv_to_postgres(upstream_output: dict[str, Any]) -> dict[str, Any]:
        """Copy what is not cut in shards, and the rejects into the quarantine; then nothing may be missing."""
        batch = Batch.from_dict(upstream_output)
        with leased_connection(parent_group, batch.run_id) as (connection, dsn):
            if batch.generation is None:
                log.info("[%s] The same content is visible already: nothing to load", parent_group)
                return upstream_output
            with files_of_runs().fetched(batch) as fetched:
                rows, seconds = copy_cleaned(connection, dsn, TABLES, fetched)
        rate = rows / seconds if seconds else 0
        log.info("[%s] Loaded %s rows in %.2f s (%.0f rows/s)", parent_group, rows, seconds, rate)
        return upstream_output

    @task(task_id="validate_postgres_load", outlets=[CLEANED_TABLE])
    def validate_postgres_load(upstream_output: dict[str, Any]) -> dict[str, Any]:
        """Audit the incoming table against the accounting of its files, then publish it."""
        context = get_current_context()
        published = _publish(parent_group, Batch.from_dict(upstream_output), context)
        word = "Published" if published.changed else "Unchanged:"
        log.info("[%s] %s generation %s, %s rows", parent_group, word, published.generation, published.rows)
        report_lineage(context, (), [CLEANED_TABLE.name])
        context["outlet_events"][CLEANED_TABLE].extra = {"load_id": published.load_id, "changed": published.changed}
        return {
            "load_id": published.load_id,
            "generation": published.generation,
            "rows": published.rows,
            "changed": published.changed,
        }

    created: Any = create_cleaned_table(cleaned)
    shards: Any = truncate_cleaned_table(created)
    loaded: Any = load_cleaned_csv_to_postgres(created)
    copy_one_shard.partial(upstream_output=created).expand(shard=shards) >> loaded
    return validate_postgres_load(loaded)


def _copy_one_shard(parent_group: str, batch: Batch, shard: dict[str, int], context: Context) -> None:
    report = next(load.report for load in batch.loads if load.load_id == shard["load_id"])
    piece = Piece(shard["load_id"], shard["number"], len(report.shards))
    name = f"{show_text(report.source, 200)} (shard {piece.number + 1} of {piece.of})"
    context["shard_name"] = name  # type: ignore[typeddict-unknown-key]
    with (
        leased_connection(parent_group, batch.run_id, gives_back=False) as (_, dsn),
        files_of_runs().cleaned_shard(report.shards[piece.number]) as path,
    ):
        rows = copy_shard(dsn, TABLES, batch, piece, path)
    done = "another attempt had copied it" if rows is None else f"{rows} rows"
    log.info("[%s] %s: %s", parent_group, name, done)


def _publish(parent_group: str, batch: Batch, context: Context) -> Published:
    settings = read_settings()
    with leased_connection(parent_group, batch.run_id) as (connection, _):
        published = audit_and_publish(
            connection,
            TABLES,
            batch,
            min_row_ratio=settings.min_row_ratio,
            force=bool(context["params"]["force"]),
        )
        expired = remove_expired(connection, TABLES, settings.quarantine_days)
        remove_old_results(connection, settings.test_results_days)
        send_load_figures(connection, batch.run_id)
        if published.changed:
            _tell_if_unusual(parent_group, connection, context)
        else:
            _tell_if_stale(parent_group, connection, context)
    if expired:
        log.info("[%s] %s refused records went, after QUARANTINE_DAYS", parent_group, expired)
    return published


def _tell_if_unusual(parent_group: str, connection: psycopg.Connection, context: Context) -> None:
    """Alert if the files are not as those before them; what readers see must not fail for it."""
    try:
        unusual = describe_unusual(connection, context["run_id"])
    except (PipelineError, psycopg.Error):
        log.warning("[%s] Nobody knows whether the files are as usual", parent_group, exc_info=True)
        return
    if unusual:
        alert_of_unusual(unusual, context)


def _tell_if_stale(parent_group: str, connection: psycopg.Connection, context: Context) -> None:
    """Alert if there was no new load for too long; what readers see must not fail for it."""
    try:
        stale = find_stale_load(connection, read_error_after())
    except (PipelineError, psycopg.Error):
        log.warning("[%s] Nobody knows whether the source is stale", parent_group, exc_info=True)
        return
    if stale:
        alert_of_stale_source(stale, context)
