"""`customer-pipeline report`: the page as one file to mail."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from audited_load.cleaning.outputs import refuse_existing, write_whole
from audited_load.errors import PipelineError, RefusedError
from audited_load.shown import escape_text
from customer_pipeline.airflow_api import AirflowApi
from customer_pipeline.failures import NOT_READ, find_reason_in_log
from customer_pipeline.runtime.installation import Runtime, read_runtime
from pipeline_page.runs import GOING_ON, MOST_FAILED, OtherRun, Run, TaskTry


def write_report(out: Path, *, force: bool = False) -> int:
    """Write the report.

    Args:
        out: The file.
        force: Replace it if it is there.

    Returns:
        0.

    Raises:
        RefusedError: Nothing is loaded yet, the file is there already, or it can't be written.
        UnavailableError: PostgreSQL is not up.
    """
    from pipeline_page.report import render_report  # noqa: PLC0415 - charts take a second that other commands save

    runtime = read_runtime()
    refuse_existing([out], force=force)
    text = render_report(runtime.dsn("reader"), _find_run(runtime))
    try:
        # Whoever mails the file finds a whole one, or the last.
        write_whole(out, text.encode(), force=force, mode=0o644)
    except OSError as error:
        raise RefusedError(
            f"{out} can't be written: {error.strerror}.", "Name a file in a folder of yours."
        ) from None
    size = len(text.encode()) // 1024
    sys.stdout.write(f"Written: {escape_text(str(out))}, {size} KiB. It holds no customer and no raw value.\n")
    return 0


def _find_run(runtime: Runtime) -> Run | None:
    """Ask Airflow for the newest run; without it, the report says nothing of it."""
    try:
        api = AirflowApi(runtime, patience_seconds=0)
        found = api.latest_run()
        if found is None:
            return None
        dag, tasks = api.find_dag() or {}, api.tasks(found["dag_run_id"])
        running = api.find_runs(["running"]) if found["state"] == "queued" else []
        failed = [task for task in tasks if task["state"] == "failed"]
        failed.sort(key=lambda task: task["end_date"] or "")
        return Run(
            found["dag_run_id"],
            found["state"],
            _moment(found.get("start_date")),
            _moment(found.get("end_date")),
            tuple(_describe(api, found, task, explain=number < MOST_FAILED) for number, task in enumerate(failed)),
            dag.get("timetable_summary"),
            tuple(_describe(api, found, task) for task in tasks if task["state"] in GOING_ON),
            _moment(found.get("queued_at")) if found["state"] == "queued" else None,
            tuple(
                OtherRun(run["dag_run_id"], _moment(run.get("start_date")))
                for run in running
                if run["dag_run_id"] != found["dag_run_id"]
            ),
            bool(dag.get("is_paused")),
        )
    except PipelineError:
        return None


def _describe(api: AirflowApi, run: dict[str, Any], task: dict[str, Any], *, explain: bool = False) -> TaskTry:
    reason = None
    if explain:
        try:
            reason = find_reason_in_log(api.log(run["dag_run_id"], task))
        except PipelineError:
            reason = NOT_READ
    tries, since = task["max_tries"] + 1, _moment(task.get("start_date"))
    return TaskTry(task["task_id"], task["state"], task["try_number"], tries, since, task["map_index"], reason)


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
