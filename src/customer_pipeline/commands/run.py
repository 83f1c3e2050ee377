"""`customer-pipeline run [FILE]`: trigger the DAG for a file, follow it, tell what became of every record."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from rich.console import Console
from rich.markup import escape

from audited_load.command import command
from audited_load.errors import UnusableFileError
from audited_load.form import read_form
from audited_load.loading.batch import MODES
from audited_load.shown import escape_text, show_text, storable_name
from audited_load.storage import Store
from customer_pipeline.airflow_api import AirflowApi
from customer_pipeline.commands.accounting import print_accounting
from customer_pipeline.commands.given import (
    GIVEN,
    bring_in,
    give_object,
    prune_given,
    prune_given_objects,
    share_contracts,
)
from customer_pipeline.commands.run_progress import Copied, Display, Step, look_at_run, where_time_went
from customer_pipeline.contract_of_run import REPLAYED, bring_contract
from customer_pipeline.names import DAG_ID, MODELS_GROUP, ExitCode
from customer_pipeline.runtime.env_file import CONTAINER_USER, read_env_file
from customer_pipeline.runtime.installation import DOCKER, Runtime, read_runtime
from customer_pipeline.runtime.services import start_services
from customer_pipeline.storing.store_access import read_access

POLL_SECONDS = 0.5
_VISIBLE = """
    select l.sha256 from cleaned_data.loads as l inner join cleaned_data.published_load as p using (generation)
    where l.status = 'published'
"""
BROUGHT_IN = {GIVEN, REPLAYED}
_MARKS = {"success": "[green]ok[/]", "skipped": "[dim]not needed[/]"}
_FINISHED = {"success", "failed", "skipped", "upstream_failed"}


def run_pipeline(
    file: Path | None = None,
    *,
    source: str | None = None,
    mode: str = MODES[0],
    contract: str | None = None,
    force: bool = False,
    full_refresh: bool = False,
    form: Mapping[str, str] | None = None,
) -> int:
    """Run the pipeline once.

    Args:
        file: What to load; one from outside the data folder is copied in.
        source: In its place, a file, folder or pattern inside the data folder. With neither, it is the sample.
        mode: One of `MODES`.
        contract: By which the file is read: a contract's file, or its id; None: by the pattern that the file fits.
        force: Publish even if the guards object.
        full_refresh: Build all marts anew.
        form: Params that say how the file is written; those left out are as the settings of the services say.

    Returns:
        0 if the run succeeded, 2 if bad data failed it, 3 if the file is unusable, else 1.

    Raises:
        RefusedError: A word of the form is unknown, or the contract can't be obeyed.
    """
    read_form(form or {})
    runtime, console = read_runtime(), Console(highlight=False, soft_wrap=True)
    conf: dict[str, Any] = {"mode": mode}
    conf |= {name: True for name, is_set in (("force", force), ("full_refresh", full_refresh)) if is_set}
    conf |= form or {}
    if contract:
        conf["contract"] = bring_contract(contract, runtime.data)
    if source:
        conf["source"] = source
    store = open_store(runtime) if runtime.storage and (file or contract) else None
    if store:
        share_contracts(store, runtime.data)
    if file and store:
        conf["source"], conf["sha256"] = give_object(store, file, runtime.data)
    elif file:
        conf["source"], conf["sha256"] = bring_in(file, runtime.data)
        let_containers_read(runtime, conf["source"])
    _require_utf8(conf.get("source", ""))
    runtime = start_services(runtime)
    api = AirflowApi(runtime)
    api.wait_for_dag()
    run_id = f"manual__{datetime.now(UTC).isoformat()}"
    api.trigger(run_id, conf)
    console.print(f"Run {run_id}")
    if file and store:
        prune_given_objects(store, _needed(runtime, api))
    elif file:
        prune_given(runtime.data, _needed(runtime, api))
    try:
        state = _follow(runtime, api, run_id, console)
    except KeyboardInterrupt:
        console.print(f"\nThe run goes on. Watch it at {runtime.url}/dags/{DAG_ID}/runs/{run_id}")
        console.print(f"or with {command('status')}. `make down` would cut it short.", markup=False)
        return ExitCode.INTERRUPTED
    if state == "success":
        print_accounting(runtime, run_id, console)
        console.print(f"\nLook at it: {runtime.url} ({runtime.sign_in})")
        return 0
    # One refused file of several doesn't keep the others out.
    print_accounting(runtime, run_id, console)
    return _explain_failure(runtime, api, run_id, console)


def open_store(runtime: Runtime) -> Store:
    """Open the store that has the files of runs.

    Raises:
        RefusedError: Nothing says who asks it.
    """
    told = read_env_file(runtime.home / ".env") if runtime.kind == DOCKER else {}
    return Store(runtime.storage, read_access({**told, **os.environ}))


def _require_utf8(source: str) -> None:
    """Refuse a name that can't be sent, before anything is started."""
    if storable_name(source) != source:
        raise UnusableFileError(
            f"The name of {source} is not UTF-8.", "Rename the file, then run again. Nothing was loaded."
        )


def _needed(runtime: Runtime, api: AirflowApi) -> set[str]:
    """Return the files that runs are to read, and the sha256 of those that readers see."""
    needed = {str((one.get("conf") or {}).get("source")) for one in api.find_runs(["queued", "running"])}
    try:
        with psycopg.connect(runtime.dsn("reader")) as connection:
            return needed | {row[0] for row in connection.execute(_VISIBLE)}
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName, psycopg.errors.InsufficientPrivilege):
        return needed


def name_task(task: dict[str, Any]) -> str:
    """Name a task instance; one of several by what it is for."""
    if task["map_index"] < 0:
        return str(task["task_id"])
    return f"{task['task_id']} [{show_text(str(task['rendered_map_index'] or task['map_index']), 200)}]"


def let_containers_read(runtime: Runtime, source: str) -> None:
    """Give a file that root brings in to the containers' user, since no container runs as root."""
    path = runtime.data / source
    if runtime.kind == DOCKER and os.geteuid() == 0 and path.relative_to(runtime.data).parts[0] in BROUGHT_IN:
        user = int(read_env_file(runtime.home / ".env").get("AIRFLOW_UID") or CONTAINER_USER)
        for place in (path, *path.parents):
            if place == runtime.data:
                break
            os.chown(place, user, 0)


def _follow(runtime: Runtime, api: AirflowApi, run_id: str, console: Console) -> str:
    """Print a line for each task as it finishes, and how far the others are; return the run's final state."""
    told: set[tuple[str, int, str]] = set()
    started, copied = time.monotonic(), Copied()
    with Display(console).shown() as display:
        while True:
            state = str(api.run(run_id)["state"])
            tasks = api.tasks(run_id)
            for task in sorted(tasks, key=lambda task: task["end_date"] or ""):
                key = (name_task(task), task["try_number"], task["state"])
                if task["state"] in {*_FINISHED, "up_for_retry"} - {"upstream_failed"} and key not in told:
                    told.add(key)
                    mark = _MARKS.get(task["state"], f"[red]{task['state']}[/]")
                    console.print(f"  {task['duration'] or 0:6.1f} s  {escape(name_task(task))}  {mark}")
            seconds = time.monotonic() - started
            if state in {"success", "failed"}:
                console.print(f"Run {state} after {seconds:.1f} s: {where_time_went(tasks, seconds)}")
                return state
            display.show([_overall(tasks, seconds), *look_at_run(runtime, run_id, tasks, copied)])
            time.sleep(POLL_SECONDS)


def _overall(tasks: Sequence[dict[str, Any]], seconds: float) -> Step:
    """Say how many tasks are done, and which run."""
    done = sum(task["state"] in _FINISHED for task in tasks)
    names = (name_task(task).rpartition(f"{MODELS_GROUP}.")[2] for task in tasks if task["state"] == "running")
    running = ", ".join(names)
    share = done / len(tasks) if tasks else None
    return Step("run", share, f"{done} of {len(tasks)} tasks, {seconds:.0f} s: {running or 'waiting'}")


def _explain_failure(runtime: Runtime, api: AirflowApi, run_id: str, console: Console) -> int:
    """Say which task failed, why and what to do; give the exit code."""
    code = ExitCode.FAILED
    for task in api.tasks(run_id):
        if task["state"] != "failed":
            continue
        kind, message = _last_error(api.log(run_id, task))
        console.print(f"\n[red]Failed:[/] {escape(name_task(task))} (try {task['try_number']})")
        console.print(escape_text(message) or "(its log names no error)", markup=False)
        logs = runtime.home / "airflow" / "logs" / f"dag_id={DAG_ID}" / f"run_id={run_id}"
        place = [
            f"task_id={task['task_id']}",
            *([f"map_index={task['map_index']}"] if task["map_index"] >= 0 else []),
        ]
        console.print(f"Log: {logs.joinpath(*place)}/attempt={task['try_number']}.log", markup=False)
        code = {"UnusableFileError": ExitCode.UNUSABLE_FILE, "BadDataError": ExitCode.BAD_DATA}.get(kind, code)
    return code


def _last_error(events: list[dict[str, Any]]) -> tuple[str, str]:
    """Find the last exception in a log: the type of its root, and its text."""
    for event in reversed(events):
        causes = event.get("error_detail") or []
        if causes:
            root = causes[-1]
            return str(root.get("exc_type", "")), str(causes[0].get("exc_value", ""))
    errors = [event for event in events if event.get("level") in {"error", "critical"}]
    return "", str(errors[-1].get("event", "")) if errors else ""
