"""`customer-pipeline status`: services, runs, why the last one failed, and the age of the data, on one screen."""

from __future__ import annotations

import re
import sys
import time
from dataclasses import asdict
from datetime import UTC, datetime
from textwrap import wrap
from typing import Any

from rich.console import Console

from audited_load.command import command
from audited_load.shown import show_json
from customer_pipeline.names import DAG_ID, DATABASE, MODEL_TASKS, TRANSFORM_GROUP, ExitCode
from customer_pipeline.runtime import compose
from customer_pipeline.runtime.compose import read_containers
from customer_pipeline.runtime.installation import DOCKER, EMBEDDED, HOST, Runtime
from customer_pipeline.runtime.supervisor import SERVICES, Service, processes_of, read_services
from customer_pipeline.watching.stack_status import Airflow, RunNow, Warehouse, ask_airflow, ask_warehouse
from pipeline_page.missed import describe_missed_runs

INDENT = 15
QUEUED_SHOWN = 1
MOST_LINES = 3
"""Of what happened, and of what to do: all of it has to fit a screen."""
_RUNNING = {"RUNNING", "STARTING"}
_GOOD = ("running", "up")
"""How the supervisor and Docker begin to say that a service runs."""
_PID = re.compile(r" pid \d+")
_STYLES = {"success": "green", "failed": "red"}


def print_status(runtime: Runtime, *, as_json: bool = False) -> int:
    """Print the state of everything.

    Args:
        runtime: What to look at.
        as_json: For programs.

    Returns:
        1 if a service is down or can't be asked, 4 if the run that ended last failed, 5 if what readers see is
        too old or the marts are behind it, else 0; the first that holds.
    """
    described, is_up = _describe_stack(runtime) if runtime.kind == DOCKER else _describe_services(runtime)
    airflow = ask_airflow(runtime) if described else Airflow()
    warehouse = ask_warehouse(runtime, airflow.schedule) if described else Warehouse()
    code = judge(airflow, warehouse, is_up=bool(described) and is_up)
    if as_json:
        sys.stdout.write(show_json(_as_json(runtime, described, airflow, warehouse, code), indent=2) + "\n")
        return code
    console = Console(highlight=False, soft_wrap=True, markup=False)
    if not described:
        _print_when_down(runtime, console)
        return code
    print_services(described, console)
    _print(console, "UI", f"{runtime.url} (user {runtime.user})")
    _print(console, "PostgreSQL", f"{HOST}:{runtime.postgres_port}, database {DATABASE}")
    print_airflow(airflow, console)
    print_warehouse(warehouse, airflow, console)
    return code


def judge(airflow: Airflow, warehouse: Warehouse, *, is_up: bool) -> ExitCode:
    """Say in one number how things are.

    Args:
        airflow: What Airflow says.
        warehouse: What the warehouse says.
        is_up: Whether all services run.
    """
    if not is_up or airflow.error or warehouse.error:
        return ExitCode.FAILED
    if airflow.last_run and airflow.last_run.state == "failed":
        return ExitCode.RUN_FAILED
    # While a run goes on, the marts may be on their way.
    goes_on = any(run.state == "running" for run in airflow.runs)
    is_behind = not goes_on and warehouse.marts is not None and not warehouse.marts.is_current
    return ExitCode.STALE if is_behind or (warehouse.load and warehouse.load.is_stale) else ExitCode.OK


def _as_json(
    runtime: Runtime, described: dict[str, str], airflow: Airflow, warehouse: Warehouse, code: ExitCode
) -> dict[str, Any]:
    """Return what programs get; its keys are documented."""
    return {
        "exit_code": int(code),
        "runtime": runtime.kind,
        "ui": runtime.url,
        "services": {
            name: {"is_up": text.lower().startswith(_GOOD), "words": " ".join(text.split())}
            for name, text in described.items()
        },
        "airflow": asdict(airflow),
        "warehouse": asdict(warehouse) | {"missed_runs": [moment.isoformat() for moment in warehouse.missed_runs]},
    }


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
    found = {name: containers.get(service) for name, service in compose.services_of(runtime).items()}
    is_up = all(container is not None and container.state == "running" for container in found.values())
    return {name: container.status if container else "absent" for name, container in found.items()}, is_up


def _print(console: Console, name: str, text: str, style: str | None = None, most_lines: int = 0) -> None:
    """Print a name and a text beside it, broken between words where the terminal ends."""
    width = max(console.width - INDENT, 20)
    lines = wrap(text, width, break_long_words=False, break_on_hyphens=False) or [""]
    if most_lines and len(lines) > most_lines:
        lines = [*lines[: most_lines - 1], f"{lines[most_lines - 1][: width - 2]} …"]
    for number, line in enumerate(lines):
        console.print(f"{'' if number else name:<{INDENT - 1}} ", end="")
        console.print(line, style=style)


def _describe(service: Service | None) -> str:
    if service is None or not service.pid:
        return (service.state if service else "UNKNOWN").lower()
    state = "running" if service.state in _RUNNING else service.state.lower()
    return f"{state:<10} pid {service.pid:<8} for {_age(time.time() - service.started)}"


def print_services(described: dict[str, str], console: Console) -> None:
    """Print how the services are: those of which the same is said together."""
    together: dict[str, list[str]] = {}
    for name, text in described.items():
        together.setdefault(_PID.sub("", " ".join(text.split())), []).append(name)
    for number, (text, names) in enumerate(together.items()):
        style = "green" if text.lower().startswith(_GOOD) else "red"
        who = "all" if len(together) == 1 else ", ".join(names)
        _print(console, "" if number else "Services", f"{who}: {text}", style)


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


def print_airflow(airflow: Airflow, console: Console) -> None:
    """Print which runs go on, why the last one failed, and when the next one begins."""
    if airflow.error:
        _print(console, "Last run", f"unknown. {airflow.error}", "red", MOST_LINES)
        return
    if not airflow.is_parsed:
        _print(console, "Last run", "none yet. The DAG is being read.")
        return
    going_on = [run for run in airflow.runs if run.state == "running"]
    queued = [run for run in airflow.runs if run.state != "running"]
    for run in going_on:
        _print_going_on(run, console)
    for run in queued[:QUEUED_SHOWN]:
        since = f"for {_since(run.queued_at)}, " if run.queued_at else ""
        waits = run.waits.replace(f"run {going_on[0].run_id}", "the run above") if going_on else run.waits
        _print(console, "Queued", f"{run.run_id}, {since}{waits}", "cyan")
    if queued[QUEUED_SHOWN:]:
        _print(console, "", f"and {len(queued) - QUEUED_SHOWN} more are queued")
    _print_last(airflow.last_run, console, MOST_LINES - 1 if airflow.runs else MOST_LINES)
    paused = " (paused: the first `make run` starts the schedule)" if airflow.is_paused else ""
    planned = _until(airflow.next_run) if airflow.next_run else "not planned"
    _print(console, "Next run", f"{planned}{paused}")


def _print_going_on(run: RunNow, console: Console) -> None:
    words = f"{run.run_id}, for {_since(run.started_at)}: {_describe_tasks(run)}"
    words += f"; now {', '.join(run.running)}" if run.running else ""
    _print(console, "Running", words + (f"; {run.waits}" if run.waits else ""), "cyan")
    for failure in run.failures[:1]:
        _print(console, f"  try {failure.attempt}", f"failed: {failure.what}", "yellow", 2)


def _print_last(run: RunNow | None, console: Console, most_lines: int) -> None:
    if run is None:
        _print(console, "Last run", "none yet")
        return
    words = run.state
    if run.ended_at:
        words += f" {_since(run.ended_at)} ago"
        if run.started_at:
            taken = datetime.fromisoformat(run.ended_at) - datetime.fromisoformat(run.started_at)
            words += f", after {_age(taken.total_seconds())}"
    if run.state != "success":
        words += f": {_describe_tasks(run)}"
    _print(console, "Last run", f"{words}, {run.run_id}", _STYLES.get(run.state))
    for failure in run.failures[:1]:
        _print(console, "  task", f"{failure.task} (try {failure.attempt})", "red")
        _print(console, "  what", failure.what, None, MOST_LINES - 1)
        _print(console, "  what to do", failure.remedy, None, most_lines)
        index = "" if failure.index is None else f" --index {failure.index}"
        name = failure.task_id.removeprefix(MODEL_TASKS).removeprefix(f"{failure.task_id.partition('.')[0]}.")
        # Not broken into lines, so that it can be copied whole.
        console.print(f"{'  log':<{INDENT}}{command(f'logs --task {name} --run {run.run_id}{index}')}")
    if run.failures[1:]:
        _print(console, "  failed, too", ", ".join(failure.task for failure in run.failures[1:]), None, 2)


def _describe_tasks(run: RunNow) -> str:
    words = f"{run.done} of {run.tasks} tasks done"
    words += f", {run.failed} failed" if run.failed else ""
    return words + (f", {run.not_run} not run" if run.not_run else "")


def print_warehouse(warehouse: Warehouse, airflow: Airflow, console: Console) -> None:
    """Print what readers see, how old it is, whether the marts are of it, and what was taken back or missed."""
    if warehouse.error:
        _print(console, "Newest load", f"unknown: {warehouse.error}", "red", MOST_LINES)
        return
    if warehouse.lease_holder and warehouse.lease_holder not in {run.run_id for run in airflow.runs}:
        _print(console, "Loading", f"{warehouse.lease_holder}; runs wait for it", "cyan")
    load, marts = warehouse.load, warehouse.marts
    if load is None:
        _print(console, "Newest load", "none yet. `make run` brings the first.")
        return
    stale = ": too old, ask the supplier for the next delivery" if load.is_stale else ""
    text = f"{load.load_id}, {load.source}, {load.rows:,} rows, {_old(load.published_at)}{stale}"
    _print(console, "Newest load", text, "red" if load.is_stale else None)
    if taken := warehouse.taken_back:
        _print(
            console,
            "Taken back",
            f"load {taken.load_id}, {taken.source}: readers see load {load.load_id} again",
            "yellow",
        )
    if marts is None:
        _print(console, "Marts", "none yet", "yellow")
    elif marts.is_current:
        _print(console, "Marts", f"of the newest load, {_old(marts.published_at)}")
    else:
        going_on = "a run is on its way"
        remedy = going_on if airflow.runs else f"clear the group {TRANSFORM_GROUP} of the last run"
        text = f"of an earlier load ({marts.load_id}), {_old(marts.published_at)}: {remedy}"
        _print(console, "Marts", text, "yellow")
    if warehouse.missed_runs:
        remedy = "bring them in with a backfill (docs/operations.md)"
        _print(console, "Missed runs", f"{describe_missed_runs(warehouse.missed_runs)}: {remedy}", "yellow", 2)


def _until(moment: str) -> str:
    seconds = (datetime.fromisoformat(moment) - datetime.now(UTC)).total_seconds()
    words = f"in {_age(seconds)}" if seconds > 0 else "due now"
    return f"{words}, {datetime.fromisoformat(moment):%Y-%m-%d %H:%M} UTC"


def _since(moment: str | None) -> str:
    return _age((datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds()) if moment else "a moment"


def _old(moment: str) -> str:
    return f"{_since(moment)} old"


def _age(seconds: float) -> str:
    """Put a duration into words, roughly."""
    for name, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {name}"
    return f"{max(0, seconds):.0f} seconds"
