"""Task group Clean-Transactions: the dirty files → cleaned and rejected files, and a manifest of each."""

from __future__ import annotations

import logging
from collections import Counter
from contextlib import suppress
from dataclasses import asdict, replace
from typing import Any

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import Context, get_current_context, task

from audited_load.clean_report import CleanReport
from audited_load.cleaning.limits import DECLARE_FORM, check_limits
from audited_load.command import command
from audited_load.erasing.layout_files import write_layout_beside
from audited_load.erasing.register import find_delivered
from audited_load.errors import BadDataError, RefusedError, UnavailableError, UnusableFileError
from audited_load.loading.batch import Content
from audited_load.loading.drift import check_drift, find_drift
from audited_load.loading.ledger import find_merged
from audited_load.progress import progress_in_file
from audited_load.shown import DECLARE_ENCODING, show_text
from audited_load.warehouse.connection import connect
from customer_pipeline.feed import TABLES
from customer_pipeline.settings import read_settings
from customer_pipeline.storing.run_files import Attempt, RunFiles
from customer_pipeline.tasks.alerts import alert_of_drift, alert_of_rejects
from customer_pipeline.tasks.erased_customers import read_erased_customers
from customer_pipeline.tasks.files import delivered_name, list_few, require_few
from customer_pipeline.tasks.ledger_notes import note_refused, refusals_noted
from customer_pipeline.tasks.params import require_known_params
from customer_pipeline.tasks.task_errors import reported_errors
from customer_pipeline.tasks.task_warehouse import (
    code_version,
    feed_of,
    files_of_runs,
    leased_connection,
    make_tables,
    run_date,
    warehouse_dsn,
)
from steps.data_cleaners import CUSTOMER_TRANSACTIONS

log = logging.getLogger(__name__)

OUTPUTS = tuple(f"{CUSTOMER_TRANSACTIONS.name}_{kind}.csv" for kind in ("cleaned", "rejected"))
CHOSEN = "chosen"
LABEL = 250
"""Characters that Airflow keeps of a mapped task's label."""
PARALLEL_FILES = 2
"""Each takes several processors by itself if it is large."""


def clean_transactions_pipeline(parent_group: str) -> Any:
    """Define the tasks of the group.

    One file is cleaned by `clean_and_transform_csv` itself. Of several, each is cleaned by a task of its own,
    and `clean_and_transform_csv` gathers their manifests.

    Args:
        parent_group: Id of the task group, for the log.

    Returns:
        The task whose output is the list of manifests.
    """

    @task(task_id="find_source_files")
    def find_source_files() -> list[str]:
        """Choose the files of the run; list them if there are several."""
        context = get_current_context()
        with reported_errors(parent_group):
            try:
                chosen = _choose(parent_group, context)
            except (BadDataError, RefusedError) as error:
                # `clean_and_transform_csv` meets the same fault, and fails where people look for it.
                log.info("[%s] %s", parent_group, error)
                return []
        context["ti"].xcom_push(key=CHOSEN, value=chosen)
        return chosen if len(chosen) > 1 else []

    @task(task_id="clean_source_file", max_active_tis_per_dagrun=PARALLEL_FILES, map_index_template="{{ source }}")
    def clean_source_file(source: str) -> dict[str, Any]:
        """Clean one of several files."""
        context = get_current_context()
        context["source"] = show_text(source, LABEL)[:LABEL]  # type: ignore[typeddict-unknown-key]
        ti = context["ti"]
        with reported_errors(parent_group):
            files = files_of_runs()
            with files.attempt(context["run_id"], ti.try_number, ti.map_index) as attempt:
                return _clean(parent_group, source, files, attempt)

    @task(task_id="clean_and_transform_csv", trigger_rule="all_done")
    def clean_and_transform_csv(sources: list[str], manifests: Any) -> list[dict[str, Any]]:
        """Read the CSV as text, apply the column rules, write both files and account for every record."""
        context = get_current_context()
        run_id = context["run_id"]
        attempt_number = context["ti"].try_number
        with reported_errors(parent_group):
            settings, files = read_settings(), files_of_runs()
        make_tables(parent_group)
        with leased_connection(parent_group, run_id):
            if sources:
                cleaned = _gather(parent_group, sources, manifests, context)
            else:
                chosen = context["ti"].xcom_pull(task_ids=f"{parent_group}.find_source_files", key=CHOSEN)
                source, *others = chosen or _choose(parent_group, context)
                if others:
                    raise UnavailableError(
                        "It is not known which files to clean: `find_source_files` failed.",
                        "Clear the run from there on.",
                    )
                with files.attempt(run_id, attempt_number) as attempt:
                    cleaned = [_clean(parent_group, source, files, attempt)]
            reports = [CleanReport.from_dict(manifest) for manifest in cleaned]
            files.conclude(run_id, attempt_number, reports, OUTPUTS, settings.kept_runs)
        return cleaned

    found: Any = find_source_files()
    cleaned_one_by_one: Any = clean_source_file.expand(source=found)
    # A file that was refused fails the run, but only after the others are in.
    cleaned_one_by_one >> EmptyOperator(task_id="every_file_is_cleaned", trigger_rule="none_failed")
    return clean_and_transform_csv(found, cleaned_one_by_one)


def _find(context: Context, files: RunFiles) -> list[str]:
    require_known_params(context["dag_run"].conf, context["dag"].params)
    params = context["params"]
    is_literal = bool(params["sha256"])  # whoever knows the content means one file
    return files.find(params["source"], run_date(context), OUTPUTS, is_literal=is_literal)


def _choose(parent_group: str, context: Context) -> list[str]:
    """Find the files, without those that were merged before; one stays, for a run needs a file.

    Raises:
        RefusedError: There are more than a run takes.
        UnusableFileError: There is none.
    """
    files, settings = files_of_runs(), read_settings()
    sources = _find(context, files)
    if len(sources) > 1:
        make_tables(parent_group)  # each file's own task looks into the ledger
    if len(sources) > 1 and context["params"]["mode"] == "merge":
        sources = _leave_out_merged(parent_group, context, files, sources)
    require_few(sources, settings.max_files)
    return sources


def _leave_out_merged(parent_group: str, context: Context, files: RunFiles, sources: list[str]) -> list[str]:
    contents = dict[str, Content]()
    files.bring_contracts()
    for source in sources:
        with suppress(UnusableFileError):  # its own task says what is wrong with it
            if digest := files.digest(source):
                contents[source] = digest, code_version(feed_of(context, source))
    with connect(warehouse_dsn()) as connection:
        merged = find_merged(connection, TABLES, list(contents.values()))
    new = [source for source in sources if contents.get(source) not in merged]
    log.info("[%s] %s files, %s of them merged before", parent_group, len(sources), len(sources) - len(new))
    return new or sources[-1:]


def _clean(parent_group: str, source: str, files: RunFiles, attempt: Attempt) -> dict[str, Any]:
    """Clean one file, and check that not too much of it was refused; give its manifest."""
    # Polars must not be in a process that is forked, and is of no use to the other tasks.
    from audited_load.cleaning.clean_file import clean_file  # noqa: PLC0415

    settings, context = read_settings(), get_current_context()
    files.bring_contracts()
    with files.opened(source) as path:
        erased, feed = read_erased_customers(), feed_of(context, source)
        log.info("[%s] Cleaning %s (%s bytes) by the contract %s %s", parent_group, show_text(source, 4096),
                 path.stat().st_size, show_text(feed.contract.id), show_text(feed.contract.version))  # fmt: skip
        with refusals_noted(context, path, source, feed) as noted:
            with progress_in_file(attempt.folder, path) as progress:
                report = clean_file(path, feed, attempt.folder, progress, erased, settings.erasure_key)
            write_layout_beside(report)
            report = replace(
                report,
                source=delivered_name(source),
                erased_known=0 if erased is None else len(erased.hashes),
                code_version=code_version(feed),
            )
            report = attempt.keep(report, source)
            noted.append(report)
            _require_content(report, context["params"]["sha256"])
            _log_accounting(parent_group, report)
            with connect(warehouse_dsn()) as connection:
                drift = find_drift(connection, TABLES, report)
            noted[:] = [replace(report, drift=asdict(drift))]
            for sentence in check_drift(report, drift, feed):
                log.warning("[%s] %s", parent_group, sentence)
            check_limits(report, settings.limits, feed.key)
    alert_of_rejects(report, context)
    alert_of_drift(report, drift, feed, context)
    return attempt.hand_on(noted[0]).to_dict()


def _log_accounting(parent_group: str, report: CleanReport) -> None:
    log.info(
        "[%s] Read %s records: %s accepted, %s quarantined, %s duplicates",
        parent_group, report.read, report.accepted, report.quarantined, report.duplicates,
    )  # fmt: skip
    for name, count in {**report.rules, **report.reasons}.items():
        log.info("[%s] %s: %s (%.2f%%)", parent_group, name, count, 100 * count / max(report.read, 1))
    if report.is_guessed:
        log.warning("[%s] Encoding: %s. Declare it: %s", parent_group, report.encoding, DECLARE_ENCODING)
    for hint in report.hints:
        log.warning("[%s] %s %s", parent_group, hint, DECLARE_FORM)


def _require_content(report: CleanReport, sha256: str) -> None:
    """Check that what was read is what the run was asked for, if that was said.

    Raises:
        RefusedError: It is another content; the same without somebody who was erased will do.
    """
    if not sha256 or sha256 == report.sha256:
        return
    with connect(warehouse_dsn()) as connection:
        if find_delivered(connection, TABLES, [report.sha256])[report.sha256] == sha256:
            return
    raise RefusedError(
        f"{show_text(report.source)} holds another content now than when the run was asked for:"
        f" sha256 {report.sha256[:12]}…, and not {sha256[:12]}….",
        f"Run it again: {command('run FILE')}. Nothing was loaded.",
    )


def _gather(parent_group: str, sources: list[str], manifests: Any, context: Context) -> list[dict[str, Any]]:
    """Gather the manifests of several files.

    Raises:
        BadDataError: Files were refused, and in this mode no part of a delivery will do; or all were.
    """
    gathered: list[dict[str, Any]] = [manifest for manifest in manifests or () if manifest]
    clean = Counter(manifest["source"] for manifest in gathered)
    refused = sorted((Counter(map(delivered_name, sources)) - clean).elements())
    if refused and (context["params"]["mode"] == "replace" or not gathered):
        error = BadDataError(
            f"{len(refused)} of {len(sources)} files can't be used: {list_few(refused)}.",
            "The task `clean_source_file` of each says why. Nothing was loaded."
            + (" In mode `merge` the others would have been." if gathered else ""),
        )
        note_refused(context, [CleanReport.from_dict(manifest) for manifest in gathered], error)
        raise error
    log.info("[%s] %s of %s files are clean", parent_group, len(gathered), len(sources))
    return gathered
