"""`customer-pipeline status`: services, last run, next run and the age of the data at a glance."""

from __future__ import annotations

import time
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import psycopg
from rich.console import Console

from audited_load.errors import PipelineError
from audited_load.shown import show_text
from customer_pipeline.airflow_api import AirflowApi
from customer_pipeline.names import DAG_ID, DATABASE
from customer_pipeline.runtime import compose
from customer_pipeline.runtime.compose import read_containers
from customer_pipeline.runtime.installation import DOCKER, EMBEDDED, HOST, Runtime
from customer_pipeline.runtime.supervisor import SERVICES, Service, processes_of, read_services
from pipeline_page.missed import describe_missed_runs, find_missed_runs

_NEWEST = "select source_name, visible_rows, published_at from cleaned_data.published_load"
_MARTS = """
    select published_at, load_id = (select load_id from cleaned_data.published_load) from analytics.published_marts
"""
_RUNNING = {"RUNNING", "STARTING"}
_GOOD = ("running", "up")
"""How the supervisor and Docker begin to say that a service runs."""
_STYLES = {"success": "green", "running": "cyan", "queued": "cyan", "failed": "red"}


def print_status(runtime: Runtime) -> int:
    """Print the state of everything.

    Returns:
        0 if all services run, else 1.
    """
    console = Console(highlight=False, soft_wrap=True, markup=False)
    described, is_up = _describe_stack(runtime) if runtime.kind == DOCKER else _describe_services(runtime)
    if not described:
        _print_when_down(runtime, console)
        return 1
    for name, text in described.items():
        _print(console, name, text, "green" if text.lower().startswith(_GOOD) else "red")
    _print(console, "UI", f"{runtime.url} (user {runtime.user})")
    _print(console, "PostgreSQL", f"{HOST}:{runtime.postgres_port}, database {DATABASE}")
    schedule = None
    try:
        schedule = _print_runs(AirflowApi(runtime, patience_seconds=5), console)
    except PipelineError as error:
        _print(console, "Last run", f"unknown. {error}", "red")
    _print_data(runtime, console, schedule)
    return 0 if is_up else 1


def _describe_services(runtime: Runtime) -> tuple[dict[str, str], bool]:
    """Put the embedded services into words, and tell whether all run; nothing if none does."""
    services = read_services(runtime)
    if services is None:
        return {}, False
    # One that was started just now counts as running.
    is_up = all(service.state in _RUNNING for service in services.values())
    return {name: _describe(services.get(name)) for name in SERVICES}, is_up


def _describe_stack(runtime: Runtime) -> tuple[dict[str, str], bool]:
    """The same of Docker's containers, whose status it words itself."""
    containers = read_containers(runtime)
    if not any(container.state in {"running", "restarting"} for container in containers.values()):
        return {}, False
    found = {name: containers.get(service) for name, service in compose.SERVICES.items()}
    is_up = all(container is not None and container.state == "running" for container in found.values())
    return {name: container.status if container else "absent" for name, container in found.items()}, is_up


def _print(console: Console, name: str, text: str, style: str | None = None) -> None:
    console.print(f"{name:<14} ", end="")
    console.print(text, style=style)


def _describe(service: Service | None) -> str:
    if service is None or not service.pid:
        return (service.state if service else "UNKNOWN").lower()
    state = "running" if service.state in _RUNNING else service.state.lower()
    return f"{state:<10} pid {service.pid:<8} for {_age(time.time() - service.started)}"


def _print_when_down(runtime: Runtime, console: Console) -> None:
    left = processes_of(runtime) if runtime.kind == EMBEDDED else []
    if left:
        pids = ", ".join(str(process.pid) for process in left[:10])
        console.print(f"The supervisor is gone, but {len(left)} of its processes are left: {pids}.")
        console.print("`make up` ends them and starts anew; `make down` only ends them.")
    else:
        console.print("The pipeline is down. Start it with `make up`, or `make run` to run it too.")
    runs = list((runtime.home / "airflow" / "logs" / f"dag_id={DAG_ID}").glob("run_id=*"))
    if runs:
        newest = max(runs, key=lambda path: path.stat().st_mtime)
        console.print(f"Last run: {newest.name.removeprefix('run_id=')}, logs in {newest}")


def _print_runs(api: AirflowApi, console: Console) -> str | None:
    """Print the last run and the next one; gives the DAG's schedule."""
    dag = api.find_dag()
    if dag is None:
        _print(console, "Last run", "none yet. The DAG is being read.")
        return None
    run = api.latest_run()
    if run is None:
        _print(console, "Last run", "none yet")
    else:
        state = str(run["state"])
        _print(console, "Last run", f"{state}{_describe_run(api, run)}, {run['dag_run_id']}", _STYLES.get(state))
    paused = " (paused: the first `make run` starts the schedule)" if dag["is_paused"] else ""
    after = dag.get("next_dagrun_run_after")
    _print(console, "Next run", f"{_until(after)}{paused}" if after else f"not planned{paused}")
    schedule: str | None = dag.get("timetable_summary")
    return schedule


def _describe_run(api: AirflowApi, run: dict[str, Any]) -> str:
    """Say how long ago a run ended and how long it took; of one that goes on or failed, how far it came."""
    words = ""
    if run.get("end_date"):
        ended = datetime.fromisoformat(run["end_date"])
        words = f" {_age((datetime.now(UTC) - ended).total_seconds())} ago"
        if run.get("start_date"):
            words += f", after {_age((ended - datetime.fromisoformat(run['start_date'])).total_seconds())}"
    if run["state"] != "success":
        states = Counter(str(task["state"]) for task in api.tasks(run["dag_run_id"]))
        words += f", {states['success']} of {states.total()} tasks done"
        words += f", {states['failed']} failed" if states["failed"] else ""
    return words


def _until(moment: str) -> str:
    seconds = (datetime.fromisoformat(moment) - datetime.now(UTC)).total_seconds()
    words = f"in {_age(seconds)}" if seconds > 0 else "due now"
    return f"{words}, {datetime.fromisoformat(moment):%Y-%m-%d %H:%M} UTC"


def _print_data(runtime: Runtime, console: Console, schedule: str | None) -> None:
    """Print what readers see, how old it is, and which scheduled runs brought nothing."""
    newest, marts, missed = None, None, []
    try:
        with psycopg.connect(runtime.dsn("reader"), connect_timeout=5, autocommit=True) as connection:
            newest = connection.execute(_NEWEST).fetchone()
            missed = find_missed_runs(connection, schedule)
            marts = connection.execute(_MARTS).fetchone()
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName, psycopg.errors.InsufficientPrivilege):
        pass
    except psycopg.Error as error:
        _print(console, "Newest load", f"unknown: {str(error).strip()}", "red")
        return
    if newest is None:
        _print(console, "Newest load", "none yet. `make run` brings the first.")
        return
    source, rows, published_at = newest
    _print(console, "Newest load", f"{show_text(source, 200)}, {rows:,} rows, {_old(published_at)}")
    if marts is None:
        _print(console, "Marts", "none yet", "yellow")
    else:
        of_it = "of the newest load" if marts[1] else "of an earlier load: clear the group {TRANSFORM_GROUP}"
        _print(console, "Marts", f"{of_it}, {_old(marts[0])}", None if marts[1] else "yellow")
    if missed:
        remedy = "bring them in with a backfill (docs/operations.md)"
        _print(console, "Missed runs", f"{describe_missed_runs(missed)}: {remedy}", "yellow")


def _old(moment: datetime) -> str:
    return f"{_age((datetime.now(UTC) - moment).total_seconds())} old"


def _age(seconds: float) -> str:
    """Put a duration into words, roughly."""
    for name, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {name}"
    return f"{max(0, seconds):.0f} seconds"
