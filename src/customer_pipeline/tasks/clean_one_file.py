"""One file, or one shard of a large one → cleaned, judged, and handed on."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from airflow.sdk import Context, get_current_context

from audited_load.clean_report import CleanReport
from audited_load.cleaning.limits import DECLARE_FORM, check_limits
from audited_load.columns import Feed
from audited_load.command import command
from audited_load.erasing.layout_files import write_layout_beside
from audited_load.erasing.register import find_delivered
from audited_load.errors import BadDataError, RefusedError
from audited_load.loading.drift import Drift, check_drift, find_drift
from audited_load.progress import progress_in_file
from audited_load.shown import DECLARE_ENCODING, show_text
from audited_load.warehouse.connection import connect
from customer_pipeline.feed import TABLES
from customer_pipeline.settings import read_settings
from customer_pipeline.storing.deliveries import delivered_name
from customer_pipeline.storing.run_files import Attempt, RunFiles
from customer_pipeline.tasks.alerts import alert_of_drift, alert_of_rejects
from customer_pipeline.tasks.erased_customers import read_erased_customers
from customer_pipeline.tasks.ledger_notes import note_refused, refusals_noted
from customer_pipeline.tasks.task_warehouse import code_version, feed_of, files_of_runs, warehouse_dsn

log = logging.getLogger(__name__)


def clean_whole(parent_group: str, source: str, files: RunFiles, attempt: Attempt) -> dict[str, Any]:
    """Clean one file, and check that not too much of it was refused.

    Args:
        parent_group: The task group, for the log.
        source: The delivery, as `RunFiles.find` gave it.
        files: Where it lies.
        attempt: Where its files go.

    Returns:
        Its manifest.
    """
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
            drift = _judge(parent_group, noted, feed, context)
    _alert(noted[0], drift, feed, context)
    return attempt.hand_on(noted[0]).to_dict()


def clean_one_shard(parent_group: str, piece: Mapping[str, Any], cut: Mapping[str, Any]) -> dict[str, Any]:
    """Clean one shard of a large file; how much was refused is judged when all of them are there.

    Args:
        parent_group: The task group, for the log.
        piece: Which file, and which shard of it.
        cut: Where the file is cut.

    Returns:
        What it came to.
    """
    from audited_load.sharding.shard import clean_shard  # noqa: PLC0415 - see `clean_whole`
    from customer_pipeline.storing.object_shards import CutFile  # noqa: PLC0415

    settings, context, files = read_settings(), get_current_context(), files_of_runs()
    files.bring_contracts()
    source, number, cut_file = piece["source"], piece["shard"], CutFile.from_dict(cut)
    erased, feed = read_erased_customers(), feed_of(context, source)
    shards, span = files.shards(cut_file, context["run_id"], piece["file"]), cut_file.plan.spans[number]
    log.info("[%s] Cleaning shard %s of %s of %s (%s bytes)", parent_group, number + 1, piece["of"],
             show_text(source, 4096), span.end - span.start)  # fmt: skip
    with shards.cleaning(number, context["ti"].try_number) as attempt:
        result = clean_shard(
            cut_file.plan,
            number,
            shards.read_span(number),
            feed,
            attempt.out,
            attempt.work,
            erased,
            settings.erasure_key,
        )
        report = replace(
            result.report,
            source=delivered_name(source),
            erased_known=0 if erased is None else len(erased.hashes),
            code_version=code_version(feed),
        )
        result = attempt.keep(replace(result, report=report))
    log.info("[%s] Read %s records", parent_group, report.read)
    return result.to_dict()


def gather_file(
    parent_group: str, file: Mapping[str, Any], cut: Mapping[str, Any], results: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Put the accounting of a file's shards together, and check that not too much of it was refused.

    Args:
        parent_group: The task group, for the log.
        file: The first of its pieces.
        cut: Where the file is cut.
        results: What its shards came to.

    Returns:
        Its manifest.
    """
    from audited_load.sharding.gather import gather_shards  # noqa: PLC0415 - see `clean_whole`
    from audited_load.sharding.shard import ShardResult  # noqa: PLC0415
    from customer_pipeline.storing.object_shards import CutFile  # noqa: PLC0415

    settings, context, files = read_settings(), get_current_context(), files_of_runs()
    source, cut_file = file["source"], CutFile.from_dict(cut)
    erased, feed = read_erased_customers(), feed_of(context, source)
    found = [ShardResult.from_dict(result) for result in results]
    if {result.report.code_version for result in found} != {code_version(feed)}:
        raise RefusedError(
            f"Shards of {show_text(source, 200)} were cleaned by other code, rules or contracts than these.",
            "Clear the run from `find_source_files` on, when all workers have the same. Nothing was loaded.",
        )
    shards = files.shards(cut_file, context["run_id"], file["file"]).gathered(found, context["ti"].try_number)
    report = gather_shards(cut_file.plan, found, shards, feed, erased, settings.erasure_key)
    report = replace(
        report,
        source=delivered_name(source),
        # Who was erased while the shards were cleaned is still in some of them.
        erased_known=min(result.report.erased_known or 0 for result in found),
        code_version=code_version(feed),
    )
    shards.note_digest()
    noted = [report.place_files(lambda key: f"{shards.store.root}/{key}")]
    try:
        drift = _judge(parent_group, noted, feed, context)
    except (BadDataError, RefusedError) as error:
        note_refused(context, noted, error)
        raise
    _alert(noted[0], drift, feed, context)
    return replace(report, drift=noted[0].drift).to_dict()


def _judge(parent_group: str, noted: list[CleanReport], feed: Feed, context: Context) -> Drift:
    """Check that a file is what was asked for, and that not too much of it was refused; note how it drifts."""
    (report,) = noted
    _require_content(report, context["params"]["sha256"])
    _log_accounting(parent_group, report)
    with connect(warehouse_dsn()) as connection:
        drift = find_drift(connection, TABLES, report)
    noted[0] = report = replace(report, drift=asdict(drift))
    for sentence in check_drift(report, drift, feed):
        log.warning("[%s] %s", parent_group, sentence)
    check_limits(report, read_settings().limits, feed.key)
    return drift


def _alert(report: CleanReport, drift: Drift, feed: Feed, context: Context) -> None:
    alert_of_rejects(report, context)
    alert_of_drift(report, drift, feed, context)


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
