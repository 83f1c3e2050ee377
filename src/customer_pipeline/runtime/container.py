"""A container of docker-compose.yml: its environment → checked, then the part of Airflow that its command names."""

from __future__ import annotations

import importlib
import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from audited_load.errors import PipelineError, RefusedError
from customer_pipeline.runtime.env_file import SECRETS
from customer_pipeline.runtime.environment import alert_connections, metrics_settings, shared_settings
from customer_pipeline.runtime.installation import DOCKER, USUAL_POSTGRES_PORT, Runtime, read_port
from customer_pipeline.runtime.login import refuse_open_login, refuse_weak_secrets

# Logs are read from the volume: nothing needs their HTTP servers.
SERVICES = {
    "webserver": ("airflow", "api-server"),
    "scheduler": ("airflow", "scheduler", "--skip-serve-logs"),
    "dag-processor": ("python", "-m", "customer_pipeline.warming.warm_modules", "dag-processor"),
    "triggerer": ("airflow", "triggerer", "--skip-serve-logs"),
    # They talk with each other of nothing that a task needs, and its log goes to the store.
    "worker": ("airflow", "celery", "worker", "--skip-serve-logs", "--without-gossip", "--without-mingle"),
}
_JOBS = {"scheduler": "SchedulerJob", "dag-processor": "DagProcessorJob", "triggerer": "TriggererJob"}
_LONGEST_SILENCE = "60 seconds"
_HEALTH = "http://127.0.0.1:8080/api/v2/monitor/health"


def main() -> None:
    """Do what the command line says: `init`, `healthy SERVICE`, the name of a service, or any program."""
    command = sys.argv[1:]
    if command[:1] == ["healthy"]:
        sys.exit(0 if _is_healthy(command[1], os.environ) else 1)
    try:
        if command == ["init"]:
            prepare(os.environ)
        elif len(command) == 1 and command[0] in SERVICES:
            if command != ["worker"]:  # it lets nobody in, and has none of the keys
                refuse_open_login(os.environ)
            settings = shared_settings() | metrics_settings(os.environ) | alert_connections(os.environ)
            _become([*SERVICES[command[0]]], settings | dict(os.environ))
        else:
            _become(command or ["bash"], os.environ)
    except PipelineError as error:
        sys.exit(str(error))


def prepare(environment: Mapping[str, str]) -> None:
    """Make databases and roles, Airflow's tables and its administrator, as far as they are absent.

    Args:
        environment: The secrets, under the names of `.env`, and Airflow's settings.

    Raises:
        RefusedError: A secret is empty, known or too short.
        UnavailableError: PostgreSQL does not let us in.
    """
    # Only this job needs it; the services start faster without.
    from customer_pipeline.runtime.postgres_server import wait_for_server  # noqa: PLC0415
    from customer_pipeline.runtime.roles import make_roles_and_databases  # noqa: PLC0415

    runtime = _read_container(environment)
    refuse_open_login(environment)
    refuse_weak_secrets(runtime.secrets, runtime.user, runtime.password)
    wait_for_server(runtime)
    make_roles_and_databases(runtime)
    subprocess.run(["airflow", "db", "migrate"], env=dict(environment), check=True)  # noqa: S607 - the image's
    make_administrator(runtime.user, runtime.password)


def make_administrator(user: str, password: str) -> None:
    """Let the administrator sign in with this password; who was one before under another name stays.

    Raises:
        RefusedError: Airflow does not take the user.
    """
    from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder  # noqa: PLC0415

    with get_application_builder() as builder:
        security = builder.sm
        security.sync_roles()
        known = security.find_user(username=user)
        if known:
            security.reset_password(known.id, password)
        elif not security.add_user(user, user, "", f"{user}@localhost", security.find_role("Admin"), password):
            raise RefusedError(f"Airflow does not take the user {user}.", "Choose another ADMIN_USER in `.env`.")


def _read_container(environment: Mapping[str, str]) -> Runtime:
    """See the stack from inside: there, services are hosts and ports are the usual ones."""
    home = Path(environment.get("AIRFLOW_HOME", "/opt/airflow"))
    return Runtime(
        kind=DOCKER,
        home=home,
        folder=home,
        data=Path(environment.get("PIPELINE_DATA", "/opt/data")),
        api_port=8080,
        postgres_port=read_port(environment, "POSTGRES_PORT") or USUAL_POSTGRES_PORT,
        port_is_fixed=True,
        secrets={secret: environment.get(name, "") for secret, name in SECRETS.items()},
        user=environment.get("ADMIN_USER", ""),
        password=environment.get("ADMIN_PASSWORD", ""),
        postgres_host=environment.get("POSTGRES_HOST", "postgres"),
    )


def _is_healthy(service: str, environment: Mapping[str, str]) -> bool:
    """Return whether the API answers, this container's job has sent a heartbeat of late, or the worker a word.

    `airflow jobs check` says the same for four seconds of processor time each.
    """
    if service == "worker":
        # In images for workers only.
        broker = importlib.import_module("celery").Celery(broker=environment["AIRFLOW__CELERY__BROKER_URL"])
        return bool(broker.control.inspect([f"celery@{socket.gethostname()}"], timeout=10).ping())
    if service == "webserver":
        with urllib.request.urlopen(_HEALTH, timeout=5) as answer:
            return bool(answer.status == 200)  # noqa: PLR2004
    import psutil  # noqa: PLC0415 - the other branch runs without
    import psycopg  # noqa: PLC0415

    # After a kill, the heartbeat of the last one still looks alive.
    question = """
        select latest_heartbeat > greatest(now() - %s::interval, to_timestamp(%s))
        from job
        where job_type = %s and state = 'running' and hostname = any(%s)
        order by latest_heartbeat desc
        limit 1
    """
    names = [socket.gethostname(), socket.getfqdn()]
    dsn = environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].replace("+psycopg2", "")
    with psycopg.connect(dsn, connect_timeout=5) as connection:
        values = (_LONGEST_SILENCE, psutil.Process(1).create_time(), _JOBS[service], names)
        row = connection.execute(question, values).fetchone()
    return bool(row and row[0])


def _become(command: list[str], environment: Mapping[str, str]) -> NoReturn:
    os.execvpe(command[0], command, dict(environment))  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main()
