"""The services as they run, after a run of the DAG: ports, secrets, logs, what the API gives to whom.

`make test-services` runs these, since `make test` needs no running services.
"""

from __future__ import annotations

import json
import re
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psutil
import psycopg
import pytest

from customer_pipeline.airflow_api import AirflowApi
from customer_pipeline.names import DAG_ID
from customer_pipeline.runtime.installation import HOST, Runtime, read_runtime
from customer_pipeline.runtime.supervisor import processes_of, read_services

CLI = Path(sys.executable).with_name("customer-pipeline")
LARGEST = 50 * 2**20
Answer = TypeVar("Answer")


@pytest.fixture(scope="module")
def runtime() -> Runtime:
    runtime = read_runtime()
    if read_services(runtime) is None:
        pytest.fail("The services don't run: `make run` first.")
    return runtime


@pytest.fixture(scope="module")
def tasks(runtime: Runtime) -> list[dict[str, Any]]:
    api = AirflowApi(runtime)
    run = api.latest_run()
    assert run, "`make run` first"
    return api.tasks(run["dag_run_id"])


def ask(runtime: Runtime, path: str) -> Any:
    api = AirflowApi(runtime)
    return api._call("GET", path)


def logs(runtime: Runtime) -> Iterator[tuple[Path, str]]:
    for folder in (runtime.folder / "logs", runtime.home / "airflow" / "logs", runtime.home / "dbt" / "logs"):
        for path in folder.rglob("*"):
            with suppress(FileNotFoundError):
                if path.is_file():
                    yield path, path.read_bytes()[-LARGEST:].decode(errors="replace")


def secrets_in(runtime: Runtime, text: str) -> list[str]:
    return [name for name, secret in runtime.secrets.items() if secret in text]


def of_each_process(runtime: Runtime, ask: Callable[[psutil.Process], Answer]) -> list[Answer]:
    """Return what every process answers. Some end while they are asked: a session of PostgreSQL, a task."""
    answers = []
    for process in processes_of(runtime):
        with suppress(psutil.NoSuchProcess):
            answers.append(ask(process))
    return answers


def test_every_port_is_one_of_this_machine_only(runtime: Runtime) -> None:
    listening = {
        (connection.laddr.ip, connection.laddr.port)
        for connections in of_each_process(runtime, lambda process: process.net_connections("inet"))
        for connection in connections
        if connection.status == psutil.CONN_LISTEN
    }
    assert {address for address, _ in listening} == {HOST}
    assert {port for _, port in listening} >= {runtime.api_port, runtime.postgres_port}


def test_no_secret_is_in_the_list_of_processes(runtime: Runtime) -> None:
    lines = of_each_process(runtime, lambda process: " ".join(process.cmdline()))
    assert any("postgres" in line for line in lines)
    assert [line for line in lines if secrets_in(runtime, line)] == []


def test_no_secret_is_in_a_log(runtime: Runtime) -> None:
    found = list(logs(runtime))
    assert any("task_id=" in str(path) for path, _ in found)
    assert [str(path) for path, text in found if secrets_in(runtime, text)] == []


def test_no_refused_record_is_in_a_log(runtime: Runtime) -> None:
    with psycopg.connect(runtime.dsn("loader")) as connection:
        rows = connection.execute(
            "select raw_record from cleaned_data.customer_transactions_rejected"
            " where length(raw_record) > 30 limit 500"
        ).fetchall()
    assert rows
    assert [str(path) for path, text in logs(runtime) if any(raw in text for (raw,) in rows)] == []


def test_status_shows_no_secret(runtime: Runtime) -> None:
    done = subprocess.run([CLI, "status"], capture_output=True, text=True, check=True)
    assert "running" in done.stdout
    assert secrets_in(runtime, done.stdout + done.stderr) == []


def test_what_holds_a_secret_is_for_its_owner_only(runtime: Runtime) -> None:
    holders = []
    for path in runtime.folder.rglob("*"):
        is_data_of_postgres = runtime.folder / "postgres" in path.parents
        with suppress(FileNotFoundError):
            if is_data_of_postgres or not path.is_file() or path.stat().st_size > LARGEST:
                continue
            if secrets_in(runtime, path.read_bytes().decode(errors="replace")):
                holders.append(path)
                assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    assert {path.name for path in holders} >= {"secrets.json", "erasure.key"}


def test_under_another_name_nothing_is_answered(runtime: Runtime) -> None:
    for path in ("/", "/api/v2/version", "/api/v2/monitor/health", "/auth/token/login", "/execution/health"):
        codes = [
            httpx.get(f"{runtime.url}{path}", headers={"host": f"{name}:{runtime.api_port}"}).status_code
            for name in ("evil.example", "localhost", HOST)
        ]
        assert codes[0] == httpx.codes.BAD_REQUEST
        assert httpx.codes.BAD_REQUEST not in codes[1:]


def test_without_a_login_there_is_no_data(runtime: Runtime) -> None:
    for path in ("dags", f"dags/{DAG_ID}/dagRuns", "connections", "variables", "config", "eventLogs"):
        answer = httpx.get(f"{runtime.url}/api/v2/{path}", trust_env=False)
        assert answer.status_code == httpx.codes.UNAUTHORIZED, path
    answer = httpx.post(
        f"{runtime.url}/auth/token", json={"username": "airflow", "password": "wrong"}, trust_env=False
    )
    assert answer.status_code == httpx.codes.UNAUTHORIZED


def test_rendered_fields_and_xcoms_hold_no_secret_and_no_place_of_this_machine(
    runtime: Runtime, tasks: list[dict[str, Any]]
) -> None:
    rendered = json.dumps([task.get("rendered_fields") for task in tasks])
    assert secrets_in(runtime, rendered) == []
    for task in tasks:
        path = f"/dags/{DAG_ID}/dagRuns/{task['dag_run_id']}/taskInstances/{task['task_id']}/xcomEntries"
        if task["map_index"] >= 0:
            path += f"?map_index={task['map_index']}"
        for entry in ask(runtime, path)["xcom_entries"]:
            value = str(
                ask(runtime, f"{path.partition('?')[0]}/{entry['key']}?map_index={task['map_index']}")["value"]
            )
            assert secrets_in(runtime, value) == []
            if task["task_id"].startswith(("Clean-", "Load-")):
                assert str(runtime.home) not in value
                assert str(runtime.data) not in value


@pytest.mark.parametrize("conf", [{"mode": "append"}, {"source": ""}, {"force": "perhaps"}])
def test_a_run_with_a_wrong_param_is_not_taken(runtime: Runtime, conf: dict[str, Any]) -> None:
    token = httpx.post(
        f"{runtime.url}/auth/token", json={"username": "airflow", "password": "airflow"}, trust_env=False
    ).json()["access_token"]
    answer = httpx.post(
        f"{runtime.url}/api/v2/dags/{DAG_ID}/dagRuns",
        json={"logical_date": None, "conf": conf}, headers={"Authorization": f"Bearer {token}"}, trust_env=False,
    )  # fmt: skip
    assert answer.is_client_error
    assert re.search("param|Invalid", answer.text, re.IGNORECASE)
