"""Airflow's API and the warehouse → the state of runs and data at one moment: what an operator and a script ask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import yaml  # type: ignore[import-untyped]

from audited_load.errors import PipelineError
from audited_load.shown import escape_text, show_text
from customer_pipeline.airflow_api import AirflowApi
from customer_pipeline.failures import find_reason_in_log
from customer_pipeline.feed import TABLES
from customer_pipeline.runtime.installation import Runtime
from customer_pipeline.watching.run_steps import (
    NEVER_RAN,
    Task,
    describe_tries,
    describe_wait,
    name_task,
)
from customer_pipeline.watching.task_logs import place_of_log
from pipeline_page.missed import find_missed_runs

_LOAD = "select load_id, source_name, visible_rows, published_at from cleaned_data.published_load"
_MARTS = "select load_id, published_at from analytics.published_marts"
_TAKEN_BACK = """
    select l.load_id, l.source_name from cleaned_data.loads as l, cleaned_data.published_load as p
    where l.status = 'rolled_back' and l.load_id > p.load_id order by l.load_id desc limit 1
"""
_HOLDER = "select holder from {lease} where expires_at > now()"
_MISSING = (
    psycopg.errors.UndefinedTable,
    psycopg.errors.InvalidSchemaName,
    psycopg.errors.InsufficientPrivilege,
)


@dataclass(frozen=True)
class FailedTask:
    """A task that failed.

    Attributes:
        task: Its name: the id, and of one of several what it is for.
        task_id: Its id.
        index: Of one of several, which; None of any other.
        attempt: The try that was its last.
        what: What happened, in one line and without any value of a record.
        remedy: What to do.
        log: Its log's path.
    """

    task: str
    task_id: str
    index: int | None
    attempt: int
    what: str
    remedy: str
    log: str


@dataclass(frozen=True)
class RunNow:
    """A run.

    Attributes:
        run_id: Its id.
        state: As Airflow names it: queued, running, success, failed.
        queued_at: When it was asked for, as ISO 8601; as all other times.
        started_at: When it began; None before.
        ended_at: When it ended; None before.
        tasks: How many tasks it has.
        done: How many of them succeeded, or were not needed.
        failed: How many failed.
        not_run: How many a failure held up.
        running: Those that run, with the try if it is not the first.
        waits: What it waits for, in words; empty if for nothing.
        failures: Of a run that failed: its failed tasks. Of one that goes on: those that are tried again.
    """

    run_id: str
    state: str
    queued_at: str | None
    started_at: str | None
    ended_at: str | None
    tasks: int = 0
    done: int = 0
    failed: int = 0
    not_run: int = 0
    running: tuple[str, ...] = ()
    waits: str = ""
    failures: tuple[FailedTask, ...] = ()


@dataclass(frozen=True)
class LoadNow:
    """The load that readers see.

    Attributes:
        load_id: Its number.
        source: The file.
        rows: Rows that readers see.
        published_at: When it was published.
        is_stale: Whether that is longer ago than `error_after` of the dbt project allows.
    """

    load_id: int
    source: str
    rows: int
    published_at: str
    is_stale: bool


@dataclass(frozen=True)
class MartsNow:
    """The marts that readers see.

    Attributes:
        load_id: The load that they were built from.
        published_at: When they were published.
        is_current: Whether that load is the one that readers see.
    """

    load_id: int
    published_at: str
    is_current: bool


@dataclass(frozen=True)
class TakenBack:
    """A load that was taken back and that no later one has replaced.

    Attributes:
        load_id: Its number.
        source: Its file.
    """

    load_id: int
    source: str


@dataclass(frozen=True)
class Airflow:
    """What Airflow's API says.

    Attributes:
        runs: The runs that go on or are queued, those that go on first.
        last_run: The run that ended last; None before the first.
        next_run: When the next scheduled one begins; None if none is planned.
        is_paused: Whether the schedule is paused.
        schedule: The DAG's schedule, as Airflow words it.
        is_parsed: Whether Airflow has read the DAG.
        error: Why the API could not be asked; empty if it could.
    """

    runs: tuple[RunNow, ...] = ()
    last_run: RunNow | None = None
    next_run: str | None = None
    is_paused: bool = False
    schedule: str | None = None
    is_parsed: bool = True
    error: str = ""


@dataclass(frozen=True)
class Warehouse:
    """What the warehouse says.

    Attributes:
        load: The load that readers see; None before the first.
        marts: The marts that they see; None before the first.
        taken_back: A load that was taken back, if it is the newest.
        missed_runs: When scheduled runs were due of late that brought nothing.
        lease_holder: Who is loading, if anybody is.
        error: Why it could not be asked; empty if it could.
    """

    load: LoadNow | None = None
    marts: MartsNow | None = None
    taken_back: TakenBack | None = None
    missed_runs: list[datetime] = field(default_factory=list)
    lease_holder: str = ""
    error: str = ""


def ask_airflow(runtime: Runtime) -> Airflow:
    """Ask Airflow's API for the runs that go on, the last one and the next."""
    api = AirflowApi(runtime, patience_seconds=5)
    try:
        dag = api.find_dag()
        if dag is None:
            return Airflow(is_parsed=False)
        now = api.find_runs(["running", "queued"])
        # Those that go on first, and then those that come next.
        now.sort(key=lambda run: (run["state"] != "running", run["run_after"]))
        ended = api.last_ended_run()
        return Airflow(
            runs=tuple(_describe_run(runtime, api, run, now) for run in now),
            last_run=_describe_run(runtime, api, ended, ()) if ended else None,
            next_run=dag.get("next_dagrun_run_after"),
            is_paused=bool(dag["is_paused"]),
            schedule=dag.get("timetable_summary"),
        )
    except PipelineError as error:
        return Airflow(error=str(error))


def _describe_run(runtime: Runtime, api: AirflowApi, run: dict[str, Any], now: Sequence[dict[str, Any]]) -> RunNow:
    run_id = run["dag_run_id"]
    found = RunNow(run_id, run["state"], run.get("queued_at"), run.get("start_date"), run.get("end_date"))
    others = [other for other in now if other["dag_run_id"] != run_id]
    if run["state"] == "queued":
        return _with(found, waits=describe_wait(run, (), others))
    tasks = api.tasks(run_id)
    states = [task["state"] for task in tasks]
    has_failed = "failed" in states
    told = [task for task in tasks if _is_told(task, run["state"])]
    return _with(
        found,
        tasks=len(tasks),
        done=states.count("success") + (0 if has_failed else states.count("skipped")),
        failed=states.count("failed"),
        not_run=sum(state in NEVER_RAN for state in states) if has_failed else 0,
        running=tuple(map(_name_running, (task for task in tasks if task["state"] == "running"))),
        waits=describe_wait(run, tasks, others) if run["state"] == "running" else "",
        failures=tuple(_describe_failure(runtime, api, run_id, task) for task in told),
    )


def _is_told(task: Task, state: str) -> bool:
    """Return whether a failure of a task is told: the last one, or one after which it goes on."""
    goes_on = task["state"] == "up_for_retry" or (task["state"] == "running" and task["try_number"] > 1)
    return bool(task["state"] == "failed" or (state == "running" and goes_on))


def _name_running(task: Task) -> str:
    return name_task(task) + (f" ({describe_tries(task)})" if task["try_number"] > 1 else "")


def _describe_failure(runtime: Runtime, api: AirflowApi, run_id: str, task: Task) -> FailedTask:
    attempt = task["try_number"] - (1 if task["state"] == "running" else 0)
    reason = find_reason_in_log(api.log(run_id, task | {"try_number": attempt}))
    return FailedTask(
        task=name_task(task),
        task_id=task["task_id"],
        index=task["map_index"] if task["map_index"] >= 0 else None,
        attempt=attempt,
        what=escape_text(reason.what),
        remedy=escape_text(reason.remedy),
        log=place_of_log(runtime, run_id, task, attempt),
    )


def _with(run: RunNow, **more: Any) -> RunNow:  # noqa: ANN401 - of the types of its attributes
    return RunNow(**{**vars(run), **more})


def ask_warehouse(runtime: Runtime, schedule: str | None) -> Warehouse:
    """Ask the warehouse what readers see, how old it is, and which scheduled runs brought nothing.

    Args:
        runtime: Where it is.
        schedule: The DAG's schedule.
    """
    load = marts = taken_back = None
    missed: list[datetime] = []
    holder = ""
    try:
        with psycopg.connect(runtime.dsn("reader"), connect_timeout=5) as connection:
            try:  # all of one moment: the role reads in one snapshot
                if row := connection.execute(_LOAD).fetchone():
                    load_id, source, rows, moment = row
                    is_stale = _is_stale(runtime, moment)
                    load = LoadNow(load_id, show_text(source, 200), rows, moment.isoformat(), is_stale)
                missed = find_missed_runs(connection, schedule)
                if row := connection.execute(_TAKEN_BACK).fetchone():
                    taken_back = TakenBack(row[0], show_text(row[1], 200))
                if row := connection.execute(_MARTS).fetchone():
                    marts = MartsNow(row[0], row[1].isoformat(), load is not None and row[0] == load.load_id)
            except _MISSING:
                pass  # nothing was loaded yet, or no mart was published
        with psycopg.connect(runtime.dsn("loader"), connect_timeout=5, autocommit=True) as connection:
            try:
                row = connection.execute(TABLES.fill(_HOLDER)).fetchone()
                holder = show_text(row[0], 200) if row else ""
            except _MISSING:
                pass
    except psycopg.Error as error:
        return Warehouse(error=escape_text(str(error).strip()))
    return Warehouse(load, marts, taken_back, missed, holder)


def _is_stale(runtime: Runtime, published_at: datetime) -> bool:
    limit = read_limit(runtime.home / "dbt")
    return limit is not None and datetime.now(UTC) - published_at > limit


def read_limit(project: Path) -> timedelta | None:
    """Read how old the load that readers see may be: `error_after` of the dbt project's source `published_load`.

    Args:
        project: The dbt project's folder.

    Returns:
        None if the project says nothing of it.
    """
    for path in sorted((project / "models").rglob("*.yml")):
        described = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        for source in described.get("sources") or ():
            for table in source.get("tables") or ():
                limit = ((table.get("config") or {}).get("freshness") or {}).get("error_after") or {}
                if table["name"] == "published_load" and limit.get("count"):
                    return timedelta(**{f"{limit['period']}s": limit["count"]})
    return None
