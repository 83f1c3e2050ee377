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
from audited_load.errors import SAYS_REMEDY, UnusableFileError
from audited_load.form import read_form
from audited_load.loading.batch import MODES
from audited_load.shown import storable_name
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
from customer_pipeline.commands.run_progress import Display, Step, look_at_run
from customer_pipeline.contract_of_run import REPLAYED, bring_contract
from customer_pipeline.interrupts import leave
from customer_pipeline.names import DAG_ID, MODELS_GROUP, ExitCode
from customer_pipeline.runtime.env_file import CONTAINER_USER, read_env_file
from customer_pipeline.runtime.installation import DOCKER, Runtime, read_runtime
from customer_pipeline.runtime.services import start_services
from customer_pipeline.runtime.store import open_store
from customer_pipeline.watching.run_steps import (
    FINISHED,
    Task,
    covered_seconds,
    describe_counts,
    describe_tries,
    describe_wait,
    find_steps,
    name_task,
)
from customer_pipeline.watching.task_logs import find_cause, place_of_log

POLL_SECONDS = 0.5
_VISIBLE = """
    select l.sha256 from cleaned_data.loads as l inner join cleaned_data.published_load as p using (generation)
    where l.status = 'published'
"""
_CODES = {"UnusableFileError": ExitCode.UNUSABLE_FILE, "BadDataError": ExitCode.BAD_DATA}
BROUGHT_IN = {GIVEN, REPLAYED}


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
    leave(
        f"The run goes on, unless it was not asked for yet: {runtime.url}/dags/{DAG_ID}/runs/{run_id}, or"
        f" {command('status')}. `make down` would cut it short."
    )
    api.trigger(run_id, conf)
    console.print(f"Run {run_id}")
    if file and store:
        prune_given_objects(store, _needed(runtime, api))
    elif file:
        prune_given(runtime.data, _needed(runtime, api))
    leave(
        f"The run goes on. Watch it at {runtime.url}/dags/{DAG_ID}/runs/{run_id}, or with {command('status')}."
        " `make down` would cut it short."
    )
    state = _follow(runtime, api, run_id, console)
    leave(f"The run has ended: {command('accounting')} says what became of its records.")
    if state == "success":
        print_accounting(runtime, run_id, console)
        console.print(f"\nLook at it: {runtime.url} ({runtime.sign_in})")
        return 0
    # One refused file of several doesn't keep the others out.
    print_accounting(runtime, run_id, console)
    return _explain_failure(runtime, api, run_id, console)


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
    """Print a line for each step as it ends, what the run waits for, and how far it is; return its final state."""
    told: set[str] = set()
    started = time.monotonic()

    def tell(line: str) -> None:
        if line not in told:
            told.add(line)
            console.print(line, markup=False)

    with Display(console).shown() as display:
        while True:
            run = api.run(run_id)
            tasks = api.tasks(run_id)
            state, seconds = str(run["state"]), time.monotonic() - started
            for task in tasks:
                if task["state"] == "up_for_retry":
                    tell(f"     ...    {name_task(task)} failed, {describe_tries(task)}; the next one follows")
            has_ended = state in {"success", "failed"}
            for step in find_steps(tasks):
                if step.has_ended and (step.has_run or has_ended):
                    time_taken = f"{step.seconds:6.1f} s" if step.has_run else " " * 8
                    tell(f"  {time_taken}  {step.name}  {step.outcome}")
            if has_ended:
                idle = f"{max(seconds - covered_seconds(tasks), 0):.1f} s of them between tasks"
                words = describe_counts(tasks) if state == "failed" else idle
                console.print(f"Run {state} after {seconds:.1f} s, {words}", markup=False)
                return state
            others = api.find_runs(["queued", "running"]) if state == "queued" else []
            others = [other for other in others if other["dag_run_id"] != run_id]
            if wait := describe_wait(run, tasks, others):
                tell(f"     ...    {wait}")
            display.show([_overall(tasks, seconds, wait), *look_at_run(runtime, run_id, tasks)])
            time.sleep(POLL_SECONDS)


def _overall(tasks: Sequence[Task], seconds: float, wait: str) -> Step:
    """Say how many tasks are done, and which run."""
    done = sum(task["state"] in FINISHED for task in tasks)
    running = [
        name_task(task).rpartition(f"{MODELS_GROUP}.")[2]
        + (f" ({describe_tries(task)})" if task["try_number"] > 1 else "")
        for task in tasks
        if task["state"] == "running"
    ]
    share = done / len(tasks) if tasks else None
    return Step(
        "run", share, f"{describe_counts(tasks)}, {seconds:.0f} s: {', '.join(running) or wait or 'waiting'}"
    )


def _explain_failure(runtime: Runtime, api: AirflowApi, run_id: str, console: Console) -> int:
    """Say which task failed, why and what to do; give the exit code."""
    code = ExitCode.FAILED
    for task in api.tasks(run_id):
        if task["state"] != "failed":
            continue
        cause = find_cause(api.log(run_id, task))
        console.print(f"\n[red]Failed:[/] {escape(name_task(task))} (try {task['try_number']})")
        console.print(f"{cause.message}{SAYS_REMEDY}{cause.remedy}", markup=False)
        console.print(f"Log: {place_of_log(runtime, run_id, task, task['try_number'])}", markup=False)
        code = _CODES.get(cause.kind, code)
    return code
