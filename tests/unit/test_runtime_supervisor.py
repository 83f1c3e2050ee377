from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from typer._click.exceptions import UsageError

from command_line import parse
from customer_pipeline.runtime.environment import process_environment
from customer_pipeline.runtime.health import _is_healthy
from customer_pipeline.runtime.installation import (
    HOST,
    MADE,
    PORTS,
    Runtime,
    free_port,
    operators_environment,
    read_runtime,
)
from customer_pipeline.runtime.postgres_server import Server
from customer_pipeline.runtime.supervisor import MARK, Service, _write_configuration, listens, processes_of

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


@pytest.fixture
def runtime(tmp_path: Path) -> Runtime:
    return read_runtime({"PIPELINE_HOME": str(tmp_path), "API_PORT": "18099"})


def test_only_the_processes_of_this_clone_are_found(runtime: Runtime) -> None:
    homes = (str(runtime.home), str(runtime.home) + "-other")
    ours, strangers = (subprocess.Popen(SLEEP, env=os.environ | {MARK: home}) for home in homes)
    # In the folder, but in no session of a supervisor: such as an operator's own shell.
    visitor = subprocess.Popen(SLEEP, cwd=runtime.folder)
    try:
        assert [process.pid for process in processes_of(runtime)] == [ours.pid]
    finally:
        for process in (ours, strangers, visitor):
            process.kill()
            process.wait()


def test_a_process_that_lost_its_mark_is_known_by_session_and_folder(runtime: Runtime) -> None:
    process = subprocess.Popen(SLEEP, cwd=runtime.folder, start_new_session=True)
    try:
        assert processes_of(runtime) == []
        (runtime.folder / "supervisord.pid").write_text(f"{process.pid}\n")
        assert [found.pid for found in processes_of(runtime)] == [process.pid]
    finally:
        process.kill()
        process.wait()


def test_a_recycled_session_number_harms_nobody(runtime: Runtime) -> None:
    (runtime.folder / "supervisord.pid").write_text(f"{os.getsid(0)}\n")
    assert processes_of(runtime) == []


def test_only_a_heartbeat_of_this_very_process_counts() -> None:
    beat = {"status": "healthy", "latest_scheduler_heartbeat": "2026-01-01T00:00:10+00:00"}
    started = 1767225600  # 2026-01-01T00:00:00Z
    assert _is_healthy(beat, "scheduler", Service("RUNNING", 7, started))
    assert not _is_healthy(beat, "scheduler", Service("RUNNING", 7, started + 11))
    assert not _is_healthy(beat, "scheduler", Service("BACKOFF", 0, started))
    assert not _is_healthy(beat, "scheduler", None)


def test_a_stranger_on_our_port_is_not_taken_for_our_service() -> None:
    with socket.socket() as listener, subprocess.Popen(SLEEP) as service:
        listener.bind((HOST, 0))
        listener.listen()
        port = listener.getsockname()[1]
        try:
            assert not listens(service.pid, port)
            assert listens(os.getpid(), port)
            assert not listens(os.getpid(), free_port())
        finally:
            service.kill()


def test_the_configuration_survives_a_deep_folder_with_per_cent_signs(tmp_path: Path) -> None:
    home = tmp_path / "100% deep" / ("x" * 100)
    home.mkdir(parents=True)
    runtime = read_runtime({"PIPELINE_HOME": str(home)})
    _write_configuration(runtime, Server(home / "bin", home / "data", None))
    text = (runtime.folder / "supervisord.conf").read_text()
    assert "file=/proc/self/cwd/supervisor.sock" in text
    assert "100%% deep" in text
    assert "--skip-serve-logs" in text
    assert not any(secret in text for secret in runtime.secrets.values())


def test_a_shell_of_another_clone_leads_no_command_astray(tmp_path: Path) -> None:
    homes = [tmp_path / "a", tmp_path / "b"]
    for home in homes:
        home.mkdir()
    other = process_environment(read_runtime({"PIPELINE_HOME": str(homes[0])}))
    assert "POSTGRES_PORT" in other[MADE].split()
    left = operators_environment(other)
    assert not {"PIPELINE_HOME", "POSTGRES_PORT", "AIRFLOW_HOME", MADE} & left.keys()
    assert not any(str(homes[0]) in value for name, value in left.items() if name.startswith("AIRFLOW"))


def test_services_keep_byte_code_in_their_folder_where_the_machine_wants_none(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    monkeypatch.delenv("PYTHONPYCACHEPREFIX", raising=False)
    assert "PYTHONPYCACHEPREFIX" not in process_environment(runtime)
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    environment = process_environment(runtime)
    assert "PYTHONDONTWRITEBYTECODE" not in environment
    assert environment["PYTHONPYCACHEPREFIX"] == str(runtime.folder / "pycache")
    assert "PYTHONPYCACHEPREFIX" not in operators_environment(environment)


def test_another_airflow_of_the_machine_is_left_alone(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "postgresql://elsewhere")
    monkeypatch.setenv("AIRFLOW_HOME", "/elsewhere")
    monkeypatch.setenv("AIRFLOW__CORE__PARALLELISM", "9")
    environment = process_environment(runtime)
    assert str(runtime.postgres_port) in environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]
    assert environment["AIRFLOW_HOME"] == str(runtime.folder / "airflow")
    assert environment["AIRFLOW__CORE__PARALLELISM"] == "9"


def test_the_chosen_port_is_none_that_outgoing_connections_get() -> None:
    assert free_port() in PORTS


@pytest.mark.parametrize(
    ("line", "handed_on"),
    [
        ("exec -- airflow dags list --output json", ["airflow", "dags", "list", "--output", "json"]),
        ("dbt run --select x", ["run", "--select", "x"]),
        ("dbt -- --version", ["--version"]),
        ("dbt --version", ["--version"]),
        ("dbt run --help", ["run", "--help"]),
        ("exec env -- true", ["env", "--", "true"]),
        ("psql --role reader -c 1", ["-c", "1"]),
        ("psql -Atch --role reader -- x", ["-Atch", "x"]),
    ],
)
def test_the_arguments_of_another_program_are_handed_on(line: str, handed_on: list[str]) -> None:
    context = parse(line.split())
    assert context.params.get("arguments", context.args) == handed_on


def test_a_command_that_is_missing_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="Missing"):
        parse(["exec"])
