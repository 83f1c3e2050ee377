"""The environment in which every process of the pipeline runs without Docker: Airflow, dbt and the steps."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from customer_pipeline.names import DATABASE, LOADER, READER, STORAGE_ROOT, TRANSFORMER
from customer_pipeline.runtime.installation import HOST, MADE, Runtime, operators_environment, read_port

_OURS = {"AIRFLOW_HOME", "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC"}
_NO_BYTE_CODE = "PYTHONDONTWRITEBYTECODE"
STATSD_PORT = 9125
_AUTH_MANAGER = "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager"


def process_environment(runtime: Runtime, more: Mapping[str, str] = MappingProxyType({})) -> dict[str, str]:
    """Return the environment of the services and of every command that works beside them.

    Args:
        runtime: The settings.
        more: Variables beside the pipeline's, which its commands don't take over either.

    Returns:
        The caller's environment with the pipeline's variables in it. A variable of Airflow that the caller
        sets wins, so that one setting can be tried without an edit.
    """
    secrets, home = runtime.secrets, runtime.home
    postgres = f"{HOST}:{runtime.postgres_port}"
    pipeline = {
        "PIPELINE_HOME": str(home),
        "PIPELINE_DATA": str(runtime.data),
        STORAGE_ROOT: runtime.storage,
        "PIPELINE_DBT": str(home / "dbt"),
        "DBT_PROFILES_DIR": str(home / "dbt"),
        "POSTGRES_HOST": HOST,
        "POSTGRES_PORT": str(runtime.postgres_port),
        "POSTGRES_DB": DATABASE,
        "TRANSFORMER_USER": TRANSFORMER,
        "TRANSFORMER_PASSWORD": secrets[TRANSFORMER],
        "READER_USER": READER,
        "READER_PASSWORD": secrets[READER],
        "AIRFLOW_CONN_POSTGRES_DEFAULT": f"postgresql://{LOADER}:{secrets[LOADER]}@{postgres}/{DATABASE}",
        "ERASURE_KEY": secrets["erasure"],
    }
    given = operators_environment(os.environ)
    airflow = shared_settings() | _airflow(runtime, postgres) | metrics_settings(given)
    pipeline |= alert_connections(given)
    programs = f"{Path(sys.executable).parent}{os.pathsep}{given.get('PATH', os.defpath)}"
    # Another Airflow of this machine is no setting of this one.
    airflow |= {name: value for name, value in given.items() if name in airflow and name not in _OURS}
    # Without byte code, a service compiles for half a minute at each start, and a task whatever it imports.
    python = {"PYTHONPYCACHEPREFIX": str(runtime.folder / "pycache")} if given.pop(_NO_BYTE_CODE, "") else {}
    made = {**airflow, **pipeline, **python, **more}
    # `steps` is that of the DAGs' folder, whatever clone this command is installed from.
    modules = os.pathsep.join(filter(None, (str(home / "airflow" / "dags"), given.get("PYTHONPATH"))))
    return {**given, **made, "PATH": programs, "PYTHONPATH": modules, MADE: " ".join(made)}


def shared_settings() -> dict[str, str]:
    """Return the settings of Airflow and dbt that both runtimes have; compose reads the same file."""
    lines = Path(__file__).with_name("airflow.env").read_text().splitlines()
    settings = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    return settings | {"AIRFLOW__CORE__PARALLELISM": str(min(8, max(4, os.cpu_count() or 1)))}


def metrics_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the settings by which Airflow sends metrics to `STATSD_HOST`, if that is set."""
    host = environment.get("STATSD_HOST")
    if not host:
        return {}
    port = read_port(environment, "STATSD_PORT") or STATSD_PORT
    settings = {"STATSD_ON": "True", "STATSD_HOST": host, "STATSD_PORT": str(port)}
    return {f"AIRFLOW__METRICS__{name}": value for name, value in settings.items()}


def alert_connections(environment: Mapping[str, str]) -> dict[str, str]:
    """Return Airflow's connection to the Slack webhook `SLACK_WEBHOOK_URL`, if that is set."""
    webhook = environment.get("SLACK_WEBHOOK_URL")
    if not webhook:
        return {}
    return {"AIRFLOW_CONN_SLACK_ALERTS": json.dumps({"conn_type": "slackwebhook", "password": webhook})}


def write_airflow_users(runtime: Runtime) -> None:
    """Write the password of the developer's user `airflow` where Airflow looks for it."""
    path = _passwords_file(runtime)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.parent.chmod(0o700)
    path.touch(mode=0o600)
    path.write_text(json.dumps({"airflow": "airflow"}))


def _passwords_file(runtime: Runtime) -> Path:
    return runtime.folder / "airflow" / "passwords.json"


def _airflow(runtime: Runtime, postgres: str) -> dict[str, str]:
    secrets, home = runtime.secrets, runtime.home
    database = f"airflow:{secrets['airflow']}@{postgres}/airflow"
    settings = {
        "CORE__DAGS_FOLDER": str(home / "airflow" / "dags"),
        "CORE__PLUGINS_FOLDER": str(home / "airflow" / "plugins"),
        "CORE__FERNET_KEY": secrets["fernet"],
        # Every task reports here; the default port is another one.
        "CORE__EXECUTION_API_SERVER_URL": f"{runtime.url}/execution/",
        "CORE__AUTH_MANAGER": _AUTH_MANAGER,
        "CORE__SIMPLE_AUTH_MANAGER_USERS": "airflow:admin",
        "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(_passwords_file(runtime)),
        "DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://{database}",
        "DATABASE__SQL_ALCHEMY_CONN_ASYNC": f"postgresql+asyncpg://{database}",
        "API__HOST": HOST,
        "API__PORT": str(runtime.api_port),
        "API__BASE_URL": runtime.url,
        "API__SECRET_KEY": secrets["api"],
        "API_AUTH__JWT_SECRET": secrets["jwt"],
        "LOGGING__BASE_LOG_FOLDER": str(home / "airflow" / "logs"),
        # Made by `make dbt-docs`.
        "COSMOS__DBT_DOCS_PROJECTS": json.dumps(
            {DATABASE: {"dir": str(home / "dbt" / "target"), "index": "index.html", "name": "dbt: star schema"}}
        ),
        # The default is one folder in /tmp for all users of the machine.
        "COSMOS__CACHE_DIR": str(runtime.folder / "cosmos"),
    }
    named = {f"AIRFLOW__{name}": value for name, value in settings.items()}
    return {"AIRFLOW_HOME": str(runtime.folder / "airflow"), **named}
