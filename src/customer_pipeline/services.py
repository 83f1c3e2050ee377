"""The services of the runtime, under supervisord: start, stop, state, logs."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
import psutil

from audited_load.errors import RefusedError, UnavailableError
from customer_pipeline.environment import process_environment, write_airflow_users
from customer_pipeline.postgres_server import (
    clear_stale_pid,
    locate_server,
    make_cluster,
    make_roles_and_databases,
    server_command,
    wait_for_server,
)
from customer_pipeline.settings import Runtime, free_port, port_is_taken, read_runtime, remember_port

MARK = "CUSTOMER_PIPELINE_SERVICES_OF"
"""Environment variable by which the processes of one clone are told from all others."""

AIRFLOW = {
    "api-server": "api-server",
    "scheduler": "scheduler --skip-serve-logs",
    "dag-processor": "dag-processor",
    "triggerer": "triggerer --skip-serve-logs",
}
SERVICES = ("postgres", *AIRFLOW)
START_SECONDS = 150


def start_services(runtime: Runtime) -> Runtime:
    """Start what is down, and wait until all of it is healthy.

    Args:
        runtime: The settings.

    Returns:
        The settings, with another port if somebody had taken that of PostgreSQL.

    Raises:
        RefusedError: The port of the UI is taken.
        UnavailableError: A service does not become healthy.
    """
    if not supervisor_answers(runtime):
        stop_services(runtime)  # what an unclean stop left behind
        runtime = _check_ports(runtime)
        server = locate_server(runtime)
        make_cluster(server, runtime.secrets["postgres"])
        clear_stale_pid(server)
        _write_configuration(runtime, server_command(server, runtime.postgres_port), server.user)
        write_airflow_users(runtime)
        subprocess.run(
            [
                sys.executable,
                "-W",
                "ignore",
                "-m",
                "supervisor.supervisord",
                "-c",
                str(_configuration(runtime)),
            ],
            env=process_environment(runtime) | {MARK: str(runtime.home)},
            check=True,
        )
    wait_for_server(runtime)
    make_roles_and_databases(runtime)
    _migrate(runtime)
    control(runtime, "start", "airflow:*")
    wait_until_healthy(runtime)
    return runtime


def stop_services(runtime: Runtime) -> None:
    """Stop everything that this clone started, also what a killed supervisor left behind."""
    if supervisor_answers(runtime):
        control(runtime, "shutdown")
    deadline = time.monotonic() + 60
    while (found := processes_of(runtime)) and time.monotonic() < deadline:
        if not supervisor_answers(runtime):
            _end(found)
        time.sleep(0.2)
    for process in found:
        process.kill()
    psutil.wait_procs(found, timeout=10)


def processes_of(runtime: Runtime) -> list[psutil.Process]:
    """Find the running processes of this clone's services."""
    found = []
    for process in psutil.process_iter():
        try:
            marked = process.environ().get(MARK) == str(runtime.home)
            if marked and process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def supervisor_answers(runtime: Runtime) -> bool:
    """Tell whether the supervisor of this clone runs."""
    if not _configuration(runtime).exists() or not _socket(runtime).exists():
        return False
    return "refused" not in (said := control(runtime, "pid")) and said.strip().isdecimal()


def control(runtime: Runtime, *command: str) -> str:
    """Give the supervisor a command, and return what it says."""
    line = [
        sys.executable,
        "-W",
        "ignore",
        "-m",
        "supervisor.supervisorctl",
        "-c",
        str(_configuration(runtime)),
    ]
    done = subprocess.run([*line, *command], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def wait_until_healthy(runtime: Runtime) -> None:
    """Wait until the API says that every part of Airflow is healthy.

    Raises:
        UnavailableError: A part is not, in time; the message ends with its log.
    """
    deadline = time.monotonic() + START_SECONDS
    waiting = set(AIRFLOW)
    while waiting and time.monotonic() < deadline:
        waiting = _unhealthy(runtime)
        if waiting:
            time.sleep(0.25)
    if waiting:
        name = sorted(waiting)[0]
        raise UnavailableError(
            f"{name} is not healthy after {START_SECONDS} s. The end of its log:\n{log_tail(runtime, name)}",
            f"See `customer-pipeline logs {name}`, then `customer-pipeline restart`.",
        )


def log_file(runtime: Runtime, service: str) -> Path:
    """Name the log of a service."""
    return runtime.folder / "logs" / f"{service}.log"


def log_tail(runtime: Runtime, service: str, lines: int = 20) -> str:
    """Give the last lines of a service's log."""
    path = log_file(runtime, service)
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else "(none)"


def _unhealthy(runtime: Runtime) -> set[str]:
    try:
        health = httpx.get(f"{runtime.url}/api/v2/monitor/health", timeout=5).json()
    except (httpx.HTTPError, ValueError):
        return set(AIRFLOW)
    names = {"scheduler": "scheduler", "dag-processor": "dag_processor", "triggerer": "triggerer"}
    return {name for name, key in names.items() if (health.get(key) or {}).get("status") != "healthy"}


def _check_ports(runtime: Runtime) -> Runtime:
    if port_is_taken(runtime.api_port):
        raise RefusedError(
            f"Port {runtime.api_port} is taken by another program.",
            "Stop that program, or choose another port: `API_PORT=8090 make up`.",
        )
    if not port_is_taken(runtime.postgres_port):
        return runtime
    if os.environ.get("POSTGRES_PORT"):
        raise RefusedError(
            f"Port {runtime.postgres_port} is taken by another program.", "Set POSTGRES_PORT to a free one."
        )
    remember_port(runtime.folder, free_port())
    print(f"Port {runtime.postgres_port} was taken by another program: PostgreSQL gets another one.")
    return read_runtime()


def _migrate(runtime: Runtime) -> None:
    """Bring Airflow's own tables to this version, if they are not there yet."""
    from airflow import __version__ as version  # noqa: PLC0415 - a slow import that a warm start avoids

    done = runtime.folder / "airflow" / "migrated"
    if done.exists() and done.read_text() == version:
        return
    migrated = subprocess.run(
        [sys.executable, "-m", "airflow", "db", "migrate"],
        env=process_environment(runtime),
        capture_output=True,
        text=True,
        check=False,
    )
    if migrated.returncode:
        raise UnavailableError(
            f"Airflow could not make its tables: {(migrated.stdout + migrated.stderr)[-2000:]}",
            "Run `customer-pipeline up` again; see `customer-pipeline logs postgres`.",
        )
    done.write_text(version)


def _end(processes: list[psutil.Process]) -> None:
    for process in processes:
        try:
            # PostgreSQL's parent process takes an interrupt for "stop now, cleanly".
            process.send_signal(2 if process.name() == "postgres" else 15)
        except psutil.Error:
            continue


def _configuration(runtime: Runtime) -> Path:
    return runtime.folder / "supervisord.conf"


def _socket(runtime: Runtime) -> Path:
    """The path of a Unix socket may have some 100 characters only."""
    return Path(tempfile.gettempdir()) / f"customer-pipeline-{os.geteuid()}-{runtime.identity}.sock"


def _write_configuration(runtime: Runtime, postgres: list[str], user: str | None) -> None:
    logs = runtime.folder / "logs"
    logs.mkdir(exist_ok=True)

    def program(name: str, command: list[str], *more: str) -> str:
        lines = [
            f"[program:{name}]",
            "command=" + shlex.join(command).replace("%", "%%"),
            f"stdout_logfile={log_file(runtime, name)}",
            "stdout_logfile_maxbytes=20MB",
            "stdout_logfile_backups=2",
            "redirect_stderr=true",
            "stopasgroup=false",
            *more,
        ]
        return "\n".join(lines)

    stop_all = ("autostart=false", "stopsignal=TERM", "stopwaitsecs=20", "killasgroup=true", "startsecs=0")
    programs = [program("postgres", postgres, "stopsignal=INT", "priority=1", *([f"user={user}"] if user else []))]
    programs += [
        program(name, [sys.executable, "-m", "airflow", *command.split()], *stop_all)
        for name, command in AIRFLOW.items()
    ]
    socket = _socket(runtime)
    head = f"""[unix_http_server]
file={socket}
chmod=0700
[supervisord]
logfile={logs}/supervisord.log
pidfile={runtime.folder}/supervisord.pid
silent=true
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix://{socket}
[group:airflow]
programs={",".join(AIRFLOW)}
"""
    _configuration(runtime).write_text("\n".join([head, *programs]) + "\n")
