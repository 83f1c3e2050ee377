"""`customer-pipeline status`: services, runs and the age of the data at a glance."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import psycopg
from rich.console import Console

from audited_load.errors import PipelineError
from customer_pipeline import compose
from customer_pipeline.airflow_api import DAG_ID, AirflowApi
from customer_pipeline.compose import read_containers
from customer_pipeline.settings import DOCKER, EMBEDDED, HOST, Runtime
from customer_pipeline.supervisor import SERVICES, Service, processes_of, read_services

_NEWEST = "select source_name, visible_rows, published_at from cleaned_data.published_load"


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
        console.print(f"{name:<14} {text}")
    console.print(
        f"UI: {runtime.url} (user {runtime.user})   PostgreSQL: {HOST}:{runtime.postgres_port}, database ebury"
    )
    try:
        _print_runs(AirflowApi(runtime, patience_seconds=5), console)
    except PipelineError as error:
        console.print(f"Runs: unknown. {error}")
    console.print(f"Newest load: {_newest_load(runtime)}")
    return 0 if is_up else 1


def _describe_services(runtime: Runtime) -> tuple[dict[str, str], bool]:
    """Put the embedded services into words, and tell whether all run; nothing if none does."""
    services = read_services(runtime)
    if services is None:
        return {}, False
    # One that was started just now counts as running.
    is_up = all(service.state in {"RUNNING", "STARTING"} for service in services.values())
    return {name: _describe(services.get(name)) for name in SERVICES}, is_up


def _describe_stack(runtime: Runtime) -> tuple[dict[str, str], bool]:
    """The same of Docker's containers, whose status it words itself."""
    containers = read_containers(runtime)
    if not any(container.state in {"running", "restarting"} for container in containers.values()):
        return {}, False
    found = {name: containers.get(service) for name, service in compose.SERVICES.items()}
    is_up = all(container is not None and container.state == "running" for container in found.values())
    return {name: container.status if container else "absent" for name, container in found.items()}, is_up


def _describe(service: Service | None) -> str:
    if service is None or not service.pid:
        return (service.state if service else "UNKNOWN").lower()
    state = "running" if service.state in {"RUNNING", "STARTING"} else service.state.lower()
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


def _print_runs(api: AirflowApi, console: Console) -> None:
    dag = api.find_dag()
    if dag is None:
        console.print("Last run: none yet. The DAG is being read.")
        return
    run: dict[str, Any] | None = api.latest_run()
    console.print(f"Last run: {run['dag_run_id']}, {run['state']}" if run else "Last run: none yet")
    paused = " (paused: the first `make run` starts the schedule)" if dag["is_paused"] else ""
    console.print(f"Next run: {dag.get('next_dagrun_run_after') or 'not planned'}{paused}")


def _newest_load(runtime: Runtime) -> str:
    try:
        with psycopg.connect(runtime.dsn("reader"), connect_timeout=5) as connection:
            newest = connection.execute(_NEWEST).fetchone()
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName, psycopg.errors.InsufficientPrivilege):
        newest = None
    except psycopg.Error as error:
        return f"unknown: {str(error).strip()}"
    if newest is None:
        return "none yet. `make run` brings the first."
    return f"{newest[0]}, {newest[1]} rows, {_age((datetime.now(UTC) - newest[2]).total_seconds())} old"


def _age(seconds: float) -> str:
    """Put a duration into words, roughly."""
    for name, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {name}"
    return f"{max(0, seconds):.0f} seconds"
