"""Task group Clean-Transactions: the dirty files → cleaned and rejected files, and a manifest of each."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import Context, get_current_context, task

from audited_load.clean_report import CleanReport
from audited_load.errors import BadDataError, RefusedError, UnavailableError, UnusableFileError
from audited_load.loading.batch import Content
from audited_load.loading.ledger import find_merged
from audited_load.shown import show_text
from audited_load.warehouse.connection import connect
from customer_pipeline.feed import TABLES
from customer_pipeline.settings import read_run_settings, read_settings
from customer_pipeline.storing.deliveries import delivered_name, list_few, require_few
from customer_pipeline.storing.run_files import RunFiles
from customer_pipeline.tasks.clean_one_file import clean_one_shard, clean_whole, gather_file
from customer_pipeline.tasks.ledger_notes import note_refused, unread_report
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
CHOSEN, CUTS = "chosen", "cuts"
LABEL = 250
"""Characters that Airflow keeps of a mapped task's label."""


def clean_transactions_pipeline(parent_group: str) -> Any:
    """Define the tasks of the group.

    One file is cleaned by `clean_and_transform_csv` itself. Of several, each is cleaned by a task of its own, and
    so is each shard of a large one in a store; `clean_and_transform_csv` gathers what they came to.

    Args:
        parent_group: Id of the task group, for the log.

    Returns:
        The task whose output is the list of manifests.
    """

    @task(task_id="find_source_files")
    def find_source_files() -> list[dict[str, Any]]:
        """Choose the files of the run, and cut large ones; list the pieces if there are several."""
        context = get_current_context()
        with reported_errors(parent_group):
            try:
                chosen = _choose(parent_group, context)
                pieces, cuts = _cut(parent_group, context, chosen)
            except (BadDataError, RefusedError) as error:
                # `clean_and_transform_csv` meets the same fault, and fails where people look for it.
                log.info("[%s] %s", parent_group, error)
                return []
        context["ti"].xcom_push(key=CHOSEN, value=chosen)
        context["ti"].xcom_push(key=CUTS, value=cuts)
        return pieces if len(pieces) > 1 else []

    @task(
        task_id="clean_source_file",
        # Each takes several processors by itself if it is large.
        max_active_tis_per_dagrun=read_run_settings().parallel_shards,
        map_index_template="{{ piece }}",
    )
    def clean_source_file(piece: dict[str, Any]) -> dict[str, Any]:
        """Clean one of several files, or one shard of a large one."""
        context = get_current_context()
        with reported_errors(parent_group):
            _require_pieces([piece])
            context["piece"] = _label(piece)  # type: ignore[typeddict-unknown-key]
            if "shard" in piece:
                cut = _cuts(parent_group, context)[piece["source"]]
                return {"piece": piece, "shard": clean_one_shard(parent_group, piece, cut)}
            files = files_of_runs()
            with files.attempt(context["run_id"], context["ti"].try_number, piece["file"]) as attempt:
                return {"piece": piece, "file": clean_whole(parent_group, piece["source"], files, attempt)}

    @task(task_id="clean_and_transform_csv", trigger_rule="all_done")
    def clean_and_transform_csv(pieces: list[dict[str, Any]], manifests: Any) -> list[dict[str, Any]]:
        """Read the CSV as text, apply the column rules, write both files and account for every record."""
        context = get_current_context()
        run_id = context["run_id"]
        attempt_number = context["ti"].try_number
        with reported_errors(parent_group):
            settings, files = read_settings(), files_of_runs()
        make_tables(parent_group)
        with leased_connection(parent_group, run_id):
            if pieces:
                cleaned = _gather(parent_group, pieces, manifests, context)
            else:
                chosen = context["ti"].xcom_pull(task_ids=f"{parent_group}.find_source_files", key=CHOSEN)
                source, *others = chosen or _choose(parent_group, context)
                if others:
                    raise UnavailableError(
                        "It is not known which files to clean: `find_source_files` failed.",
                        "Clear the run from there on.",
                    )
                with files.attempt(run_id, attempt_number) as attempt:
                    cleaned = [clean_whole(parent_group, source, files, attempt)]
            reports = [CleanReport.from_dict(manifest) for manifest in cleaned]
            files.conclude(run_id, attempt_number, reports, OUTPUTS, settings.kept_runs)
        return cleaned

    found: Any = find_source_files()
    cleaned_one_by_one: Any = clean_source_file.expand(piece=found)
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


def _cut(
    parent_group: str, context: Context, sources: list[str]
) -> tuple[list[dict[str, Any]], dict[str, dict[str, Any]]]:
    """Cut the large files; give the pieces of all, and where each large one is cut."""
    files, settings = files_of_runs(), read_settings()
    pieces, cuts = list[dict[str, Any]](), dict[str, dict[str, Any]]()
    room = settings.max_files - len(sources)
    # When a run is cleared, Airflow keeps what its mapped tasks came to until each starts again.
    found = secrets.token_hex(4)
    for number, source in enumerate(sources):
        piece = {"source": source, "file": number, "found": found}
        cut = files.cut(source, lambda source=source: feed_of(context, source), settings.shard_bytes, 1 + room)  # type: ignore[misc]
        if cut is None:
            pieces.append(piece)
            continue
        spans = len(cut.plan.spans)
        room -= spans - 1
        cuts[source] = cut.to_dict()
        pieces += [piece | {"shard": shard, "of": spans} for shard in range(spans)]
        log.info("[%s] %s is cleaned in %s shards", parent_group, show_text(source, 4096), spans)
    return pieces, cuts


def _require_pieces(pieces: Iterable[Any]) -> None:
    """Check that pieces are of this release.

    Raises:
        RefusedError: An earlier one listed them.
    """
    if not all(isinstance(piece, dict) and "found" in piece for piece in pieces):
        raise RefusedError(
            "An earlier release of the pipeline listed the files of this run.",
            "Clear the run from `find_source_files` on. Nothing was loaded.",
        )


def _cuts(parent_group: str, context: Context) -> dict[str, dict[str, Any]]:
    """Return where the large files of the run are cut."""
    found = context["ti"].xcom_pull(task_ids=f"{parent_group}.find_source_files", key=CUTS)
    return dict(found or {})


def _label(piece: dict[str, Any]) -> str:
    """Name a piece for people."""
    shard = f" (shard {piece['shard'] + 1} of {piece['of']})" if "shard" in piece else ""
    return show_text(piece["source"], LABEL)[: LABEL - len(shard)] + shard


def _gather(
    parent_group: str, pieces: list[dict[str, Any]], manifests: Any, context: Context
) -> list[dict[str, Any]]:
    """Gather the manifests of several files, or of the shards of large ones.

    Raises:
        BadDataError: Files were refused, and in this mode no part of a delivery will do; or all were.
        RefusedError: An earlier release listed them.
    """
    _require_pieces(pieces)
    firsts = {piece["source"]: piece for piece in pieces if not piece.get("shard")}
    whole, shards = dict[str, dict[str, Any]](), dict[str, list[dict[str, Any]]]()
    for result in manifests or ():
        piece = result.get("piece") if result else None
        if piece not in pieces:
            continue
        if "shard" in piece:
            shards.setdefault(piece["source"], []).append(result["shard"])
        else:
            whole[piece["source"]] = result["file"]
    there = [
        source
        for source, piece in firsts.items()
        if source in whole or ("shard" in piece and len(shards.get(source, ())) == piece["of"])
    ]
    cuts = _cuts(parent_group, context) if any("shard" in piece for piece in pieces) else {}
    refused = sorted(delivered_name(source) for source in firsts if source not in there)
    if refused and (context["params"]["mode"] == "replace" or not there):
        error = BadDataError(
            f"{len(refused)} of {len(firsts)} files can't be used: {list_few(refused)}.",
            "The task `clean_source_file` of each says why. Nothing was loaded."
            + (" In mode `merge` the others would have been." if there else ""),
        )
        reports = [CleanReport.from_dict(manifest) for manifest in whole.values()]
        # A whole file that was refused, its own task has noted.
        reports += [
            unread_report(source, cut["plan"]["sha256"], cut["plan"]["source"]["bytes"], feed_of(context, source))
            for source, cut in cuts.items()
            if source not in there
        ]
        note_refused(context, reports, error)
        raise error
    gathered = [
        whole[source]
        if source in whole
        else gather_file(parent_group, firsts[source], cuts[source], shards[source])
        for source in there
    ]
    log.info("[%s] %s of %s files are clean", parent_group, len(gathered), len(firsts))
    return gathered
