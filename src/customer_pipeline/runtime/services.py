"""The services of either runtime: start them, wait until they are healthy, stop them."""

from __future__ import annotations

import contextlib
import fcntl
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from importlib.metadata import version

import psycopg

from audited_load.command import command
from audited_load.errors import RefusedError, UnavailableError
from customer_pipeline.runtime.compose import stack_is_up, start_stack, stop_stack
from customer_pipeline.runtime.environment import process_environment, write_airflow_users
from customer_pipeline.runtime.health import wait_until_healthy
from customer_pipeline.runtime.installation import (
    DOCKER,
    EMBEDDED,
    Runtime,
    free_port,
    port_is_taken,
    read_runtime,
    remember_port,
    remember_start,
    remembered_port,
    remembered_storage,
)
from customer_pipeline.runtime.login import refuse_open_login
from customer_pipeline.runtime.postgres_server import (
    clear_stale_pid,
    locate_server,
    make_cluster,
    remove_shared,
    wait_for_server,
)
from customer_pipeline.runtime.roles import make_roles_and_databases
from customer_pipeline.runtime.supervisor import (
    AIRFLOW,
    Service,
    end_processes,
    launch,
    log_marks,
    log_tail,
    processes_of,
    read_services,
    shut_down,
    start_missing,
)

STOP_SECONDS = 90
_GONE = Service("FATAL", 0, 0)


def start_services(runtime: Runtime) -> Runtime:
    """Start what is down, and wait until all of it is healthy.

    Args:
        runtime: The settings.

    Returns:
        The settings, with another port if somebody had taken that of PostgreSQL.

    Raises:
        RefusedError: A port is taken, the services run with other ports or in the other runtime already, or
            strangers could sign in.
        UnavailableError: A service does not become healthy.
    """
    with _alone(runtime):
        _refuse_two_runtimes(runtime)
        if runtime.kind == DOCKER:
            try:
                start_stack(runtime)
            finally:
                # Also one that did not get healthy: `down`, `logs` and `status` are for it, then.
                if stack_is_up(runtime):
                    remember_start(runtime)
            return runtime
        refuse_open_login(process_environment(runtime))
        if read_services(runtime) is None:
            _stop(runtime)  # what an unclean stop left behind
            runtime = _check_ports(runtime)
            server = locate_server(runtime)
            make_cluster(server, runtime.secrets["postgres"])
            clear_stale_pid(server)
            write_airflow_users(runtime)
            remember_port(runtime.folder, "api", runtime.api_port)
            remember_port(runtime.folder, "postgres", runtime.postgres_port)
            marks = log_marks(runtime)
            launch(runtime, server)
        else:
            _refuse_other_ports(runtime)
            _refuse_other_storage(runtime)
            marks = log_marks(runtime)
            start_missing(runtime, ("postgres",))
        remember_start(runtime)
        _wait_for_postgres(runtime, marks)
        make_roles_and_databases(runtime)
        _migrate(runtime)
        start_missing(runtime, tuple(AIRFLOW))
        wait_until_healthy(runtime, marks)
    return runtime


def stop_services(runtime: Runtime, *, with_data: bool = False) -> None:
    """Stop everything that this clone started, also what a killed supervisor left behind.

    Args:
        runtime: The settings.
        with_data: Remove Docker's volumes, too, and what root's PostgreSQL keeps outside the clone.
    """
    with _alone(runtime):
        if runtime.kind == DOCKER:
            stop_stack(runtime, with_data=with_data)
        else:
            _stop(runtime)
            if with_data:
                remove_shared(runtime)


def supervisor_answers(runtime: Runtime) -> bool:
    """Return whether the supervisor of this clone runs."""
    return read_services(runtime) is not None


def is_down(runtime: Runtime) -> bool:
    """Return whether nothing can answer: no container runs, or neither the supervisor nor PostgreSQL does."""
    if runtime.kind == DOCKER:
        return not stack_is_up(runtime)
    services = read_services(runtime)
    return services is None or not services["postgres"].pid


def require_up(runtime: Runtime) -> None:
    """Refuse what can't work while the pipeline is down.

    Raises:
        UnavailableError: It is down.
    """
    if is_down(runtime):
        raise UnavailableError("The pipeline is down.", "Start it with `make up`, then give the command again.")


def _refuse_two_runtimes(runtime: Runtime) -> None:
    """Refuse to start one runtime beside the other: they have the UI's port in common, and the files."""
    other = EMBEDDED if runtime.kind == DOCKER else DOCKER
    if stack_is_up(runtime) if other == DOCKER else supervisor_answers(runtime):
        raise RefusedError(
            f"The {other} runtime is up, and {runtime.kind} is asked for.",
            f"Stop it first, `RUNTIME={other} make down`. Each runtime has a database of its own.",
        )


def _wait_for_postgres(runtime: Runtime, marks: Mapping[str, int]) -> None:
    def has_failed() -> bool:
        return (read_services(runtime) or {"postgres": _GONE})["postgres"].state == "FATAL"

    try:
        wait_for_server(runtime, has_failed=has_failed)
    except UnavailableError as error:
        said = log_tail(runtime, "postgres", since=marks.get("postgres", 0))
        raise UnavailableError(
            f"{error.message}\nThe end of its log since the start:\n{said}", error.remedy
        ) from error


def _stop(runtime: Runtime) -> None:
    shut_down(runtime)
    deadline = time.monotonic() + STOP_SECONDS
    while read_services(runtime) is not None and time.monotonic() < deadline:
        time.sleep(0.1)
    if processes_of(runtime):
        end_processes(runtime)


@contextlib.contextmanager
def _alone(runtime: Runtime) -> Iterator[None]:
    """Let one command at a time start or stop things; a second one waits."""
    with (runtime.folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Waiting for another command that starts or stops the services.", flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _check_ports(runtime: Runtime) -> Runtime:
    if port_is_taken(runtime.api_port):
        raise RefusedError(
            f"Port {runtime.api_port} is taken by another program, so the UI can't have it.",
            "Stop that program, or choose another port: `API_PORT=8090 make up`.",
        )
    if not port_is_taken(runtime.postgres_port):
        return runtime
    if runtime.port_is_fixed:
        raise RefusedError(
            f"Port {runtime.postgres_port} is taken by another program, so PostgreSQL can't have it.",
            "Set POSTGRES_PORT to a free port, or leave it out: then one is chosen.",
        )
    port = free_port()
    print(f"Port {runtime.postgres_port} was taken by another program: PostgreSQL gets {port}.", flush=True)
    remember_port(runtime.folder, "postgres", port)
    return read_runtime()


def _refuse_other_ports(runtime: Runtime) -> None:
    for name, asked in (("api", runtime.api_port), ("postgres", runtime.postgres_port)):
        used = remembered_port(runtime.folder, name)
        if used not in {None, asked}:
            raise RefusedError(
                f"The services run already, with {name.upper()}_PORT {used} and not {asked}.",
                f"Leave {name.upper()}_PORT out, or `make down` first.",
            )


def _refuse_other_storage(runtime: Runtime) -> None:
    """Refuse to work on another store than the tasks do."""
    used = remembered_storage(runtime.folder)
    if used != runtime.storage:
        raise RefusedError(
            f"The services run already, with STORAGE_ROOT {used or 'unset'} and not {runtime.storage or 'unset'}.",
            "Leave STORAGE_ROOT out, or `make restart` with it.",
        )


def _migrate(runtime: Runtime) -> None:
    """Bring Airflow's own tables to this version, if they are not there yet."""
    done = runtime.folder / "airflow" / "migrated"
    if done.exists() and done.read_text() == _schema(runtime):
        return
    migrated = subprocess.run(
        [sys.executable, "-m", "airflow", "db", "migrate"],
        env=process_environment(runtime),
        cwd=runtime.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if migrated.returncode:
        raise UnavailableError(
            f"Airflow could not make its tables: {(migrated.stdout + migrated.stderr)[-2000:]}",
            f"Run {command('up')} again; see {command('logs postgres')}.",
        )
    done.write_text(_schema(runtime))


def _schema(runtime: Runtime) -> str:
    """Name the release of Airflow, and the revision that its database says it has."""
    try:
        with psycopg.connect(runtime.dsn("airflow", "airflow")) as connection:
            row = connection.execute("select version_num from alembic_version").fetchone()
    except psycopg.errors.UndefinedTable:
        row = None
    return f"{version('apache-airflow')} {row[0] if row else 'none'}"
