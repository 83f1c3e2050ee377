"""`customer-pipeline report`: the page as one file to mail."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path

from audited_load.cleaning.outputs import refuse_existing, write_whole
from audited_load.errors import PipelineError, RefusedError
from audited_load.shown import escape_text
from customer_pipeline.airflow_api import AirflowApi
from customer_pipeline.runtime.installation import Runtime, read_runtime
from pipeline_page.runs import Run


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
        schedule = (api.find_dag() or {}).get("timetable_summary")
        failed = {task["task_id"]: None for task in api.tasks(found["dag_run_id"]) if task["state"] == "failed"}
    except PipelineError:
        return None
    started, ended = (
        datetime.fromisoformat(at) if (at := found.get(name)) else None for name in ("start_date", "end_date")
    )
    return Run(found["dag_run_id"], found["state"], started, ended, tuple(failed), schedule)
