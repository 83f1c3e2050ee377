"""The supervisor of this clone's services: its configuration, its commands, its processes."""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from supervisor.xmlrpc import SupervisorTransport

from audited_load.errors import UnavailableError
from customer_pipeline.runtime.environment import process_environment
from customer_pipeline.runtime.installation import Runtime
from customer_pipeline.runtime.postgres_server import Server, server_command

MARK = "CUSTOMER_PIPELINE_SERVICES_OF"
"""Environment variable by which the processes of one clone are told from all others."""

AIRFLOW = {
    # Logs are read from the disk: their HTTP servers would listen on every interface.
    "api-server": "airflow api-server",
    "scheduler": "airflow scheduler --skip-serve-logs",
    "dag-processor": "customer_pipeline.warming.warm_modules dag-processor",
    "triggerer": "airflow triggerer --skip-serve-logs",
}
SERVICES = ("postgres", *AIRFLOW)
_SOCKET = "supervisor.sock"
_LONGEST_SOCKET = 90  # bytes, of the 107 of the kernel: the supervisor adds its number for a while


@dataclass(frozen=True)
class Service:
    """What the supervisor knows of a service.

    Attributes:
        state: `RUNNING`, `STARTING`, `BACKOFF` (it ended too soon and is tried again), `FATAL` (given up), ...
        pid: Its process; 0 if there is none.
        started: When it was started last, in seconds since 1970.
    """

    state: str
    pid: int
    started: int


def read_services(runtime: Runtime) -> dict[str, Service] | None:
    """Ask for the state of all services.

    Returns:
        The services by name; None if the supervisor does not run.
    """
    try:
        with _supervisor(runtime) as supervisor:
            rows: list[dict[str, Any]] = supervisor.getAllProcessInfo()
    except (OSError, xmlrpc.client.Error):
        return None
    return {row["name"]: Service(row["statename"], row["pid"], row["start"]) for row in rows}


def start_missing(runtime: Runtime, names: tuple[str, ...]) -> None:
    """Start those services that don't run, all at once, without waiting for them."""
    states = read_services(runtime) or {}
    with _supervisor(runtime) as supervisor:
        for name in names:
            if name in states and states[name].state in {"STOPPED", "EXITED", "FATAL"}:
                supervisor.startProcess(name if name == "postgres" else f"airflow:{name}", False)


def launch(runtime: Runtime, server: Server) -> None:
    """Write the configuration and start the supervisor; it starts PostgreSQL at once."""
    _write_configuration(runtime, server)
    command = [sys.executable, "-W", "ignore", "-m", "supervisor.supervisord", "-c", str(_configuration(runtime))]
    environment = process_environment(runtime) | {MARK: str(runtime.home)}
    done = subprocess.run(command, env=environment, cwd=runtime.folder, check=False, capture_output=True, text=True)
    deadline = time.monotonic() + 20
    while read_services(runtime) is None:
        if done.returncode or time.monotonic() > deadline:
            raise UnavailableError(
                f"The supervisor did not start: {(done.stdout + done.stderr).strip()[-1000:]}",
                f"See {runtime.folder / 'logs' / 'supervisord.log'}.",
            )
        time.sleep(0.05)


def shut_down(runtime: Runtime) -> None:
    """Ask the supervisor to stop all services, PostgreSQL last, and then itself."""
    with contextlib.suppress(OSError, xmlrpc.client.Error), _supervisor(runtime) as supervisor:
        supervisor.shutdown()


def processes_of(runtime: Runtime) -> list[psutil.Process]:
    """Find the running processes of this clone's services, also those that lost their supervisor.

    Most carry our mark in their environment. Some overwrite it with their title (the api-server does): they are
    known by the supervisor's session together with the folder that they were started in. Children come along.
    """
    session = _session(runtime)
    children: dict[int, list[psutil.Process]] = {}
    found: dict[int, psutil.Process] = {}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            children.setdefault(process.ppid(), []).append(process)
            if process.pid != os.getpid() and _is_ours(process, runtime, session):
                found[process.pid] = process
    new = list(found)
    while new:
        new = [child.pid for pid in new for child in children.get(pid, []) if child.pid not in found]
        found |= {child.pid: child for row in children.values() for child in row if child.pid in new}
    found.pop(os.getpid(), None)
    return [process for process in found.values() if _is_alive(process)]


def end_processes(runtime: Runtime, seconds: float = 10) -> None:
    """End what is left of this clone's services: Airflow first, then PostgreSQL, each kindly, then by force."""
    postgres = {process.pid for process in processes_of(runtime) if _is_postgres(process)}
    for is_turn_of_postgres in (False, True):
        group = [process for process in processes_of(runtime) if (process.pid in postgres) == is_turn_of_postgres]
        roots = [process for process in group if _parent(process) not in {other.pid for other in group}]
        for process in roots:
            with contextlib.suppress(psutil.Error):
                # PostgreSQL takes an interrupt for "roll back, then stop".
                process.send_signal(2 if process.pid in postgres else 15)
        _, alive = psutil.wait_procs(group, timeout=seconds)
        for process in alive:
            with contextlib.suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(alive, timeout=seconds)


def listens(pid: int, port: int) -> bool:
    """Return whether a service, or a child of it, is the one that listens on a port."""
    with contextlib.suppress(psutil.Error):
        parent = psutil.Process(pid)
        for process in (parent, *parent.children(recursive=True)):
            for connection in process.net_connections("tcp"):
                if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port:
                    return True
    return False


def log_file(runtime: Runtime, service: str) -> Path:
    """Name the log of a service."""
    return runtime.folder / "logs" / f"{service}.log"


def log_marks(runtime: Runtime) -> dict[str, int]:
    """Return where the log of each service ends that does not run, in bytes: what follows is of its next start."""
    services = read_services(runtime) or {}
    resting = [name for name in SERVICES if name not in services or not services[name].pid]
    paths = {name: log_file(runtime, name) for name in resting}
    return {name: path.stat().st_size if path.exists() else 0 for name, path in paths.items()}


def log_tail(runtime: Runtime, service: str, lines: int = 20, since: int = 0) -> str:
    """Return the last lines of a service's log.

    Args:
        runtime: The settings.
        service: Its name.
        lines: How many at most.
        since: Where to begin at the earliest, in bytes, unless the log was begun anew since.
    """
    path = log_file(runtime, service)
    size = path.stat().st_size if path.exists() else 0
    start = since if since <= size else 0
    if size == start:
        return "(it has written nothing)"
    with path.open("rb") as file:
        file.seek(max(start, size - 65536))
        return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])


def _is_ours(process: psutil.Process, runtime: Runtime, session: int | None) -> bool:
    with contextlib.suppress(psutil.AccessDenied):
        if process.environ().get(MARK) == str(runtime.home):
            return True
    if session is None or os.getsid(process.pid) != session:
        return False
    return str(process.cwd()) == str(runtime.folder)


def _session(runtime: Runtime) -> int | None:
    """Return the session of the supervisor of the last start, whose number is its own."""
    try:
        return int((runtime.folder / "supervisord.pid").read_text())
    except (FileNotFoundError, ValueError):
        return None


def _is_alive(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return str(process.status()) != str(psutil.STATUS_ZOMBIE)
    return False


def _is_postgres(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return str(process.name()) == "postgres"
    return False


def _parent(process: psutil.Process) -> int:
    with contextlib.suppress(psutil.Error):
        return int(process.ppid())
    return 0


def _configuration(runtime: Runtime) -> Path:
    return runtime.folder / "supervisord.conf"


@contextlib.contextmanager
def _supervisor(runtime: Runtime) -> Iterator[Any]:
    """Open a line to the supervisor."""
    path = runtime.folder / _SOCKET
    folder = os.open(runtime.folder, os.O_RDONLY)
    try:
        if _is_long(path):
            path = Path(f"/proc/self/fd/{folder}") / path.name
        transport = SupervisorTransport(None, None, serverurl=f"unix://{path}")
        with xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport) as proxy:
            yield proxy.supervisor
    finally:
        os.close(folder)


def _is_long(path: Path) -> bool:
    return len(os.fsencode(path)) > _LONGEST_SOCKET


def _write_configuration(runtime: Runtime, server: Server) -> None:
    logs = runtime.folder / "logs"
    logs.mkdir(exist_ok=True)
    logs.chmod(0o700)
    # The supervisor runs in the folder: paths that are relative to it need no quotes and have no limit of length.
    is_long = _is_long(runtime.folder / _SOCKET)
    postgres = ["autostart=true", "startsecs=1", "stopsignal=INT", "stopwaitsecs=60", "priority=1"]
    if server.user:
        postgres.append(f"user={server.user}")
    # One that ends within 15 s has failed to start; after three such tries the supervisor gives it up.
    airflow = ["autostart=false", "startsecs=15", "startretries=2", "stopsignal=TERM", "stopwaitsecs=15"]
    airflow += ["killasgroup=true"]
    programs = [_program("postgres", server_command(server, runtime.postgres_port), postgres)]
    for name, command in AIRFLOW.items():
        programs.append(_program(name, [sys.executable, "-m", *command.split()], airflow))
    head = f"""[unix_http_server]
file={"/proc/self/cwd/" if is_long else ""}{_SOCKET}
chmod=0700
[supervisord]
logfile=logs/supervisord.log
pidfile=supervisord.pid
silent=true
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[group:airflow]
programs={",".join(AIRFLOW)}
"""
    _configuration(runtime).write_text("\n".join([head, *programs]) + "\n")


def _program(name: str, command: list[str], options: list[str]) -> str:
    lines = [
        f"[program:{name}]",
        "command=" + shlex.join(command).replace("%", "%%"),
        f"stdout_logfile=logs/{name}.log",
        "stdout_logfile_maxbytes=20MB",
        "stdout_logfile_backups=2",
        "redirect_stderr=true",
        "autorestart=true",
        *options,
    ]
    return "\n".join(lines)
