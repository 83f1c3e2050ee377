from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from audited_load.errors import RefusedError
from customer_pipeline.commands.run import let_containers_read
from customer_pipeline.runtime.environment import process_environment, write_airflow_users
from customer_pipeline.runtime.installation import DOCKER, HOST, Runtime, port_is_taken, read_runtime
from customer_pipeline.runtime.postgres_server import Server, clear_stale_pid

CLI = Path(sys.executable).with_name("customer-pipeline")


@pytest.fixture
def runtime(tmp_path: Path) -> Runtime:
    return read_runtime({"PIPELINE_HOME": str(tmp_path), "API_PORT": "18099"})


def test_secrets_are_made_once_kept_private_and_never_shown(runtime: Runtime, tmp_path: Path) -> None:
    path = tmp_path / ".runtime" / "secrets.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_runtime({"PIPELINE_HOME": str(tmp_path)}).secrets == runtime.secrets
    assert len(set(runtime.secrets.values())) == len(runtime.secrets)
    assert not any(secret in repr(runtime) for secret in runtime.secrets.values())


def test_two_clones_have_different_identities_ports_and_secrets(tmp_path: Path) -> None:
    clones = [tmp_path / "a", tmp_path / "b"]
    for clone in clones:
        clone.mkdir()
    first, second = (read_runtime({"PIPELINE_HOME": str(clone)}) for clone in clones)
    assert first.identity != second.identity
    assert first.secrets["loader"] != second.secrets["loader"]


@pytest.mark.parametrize("port", ["0", "99999", "http", "-1"])
def test_a_port_that_is_none_is_named(tmp_path: Path, port: str) -> None:
    with pytest.raises(RefusedError, match="API_PORT"):
        read_runtime({"PIPELINE_HOME": str(tmp_path), "API_PORT": port})


def test_everything_listens_on_this_machine_only_and_tasks_report_to_the_right_port(runtime: Runtime) -> None:
    environment = process_environment(runtime)
    assert environment["AIRFLOW__API__HOST"] == HOST
    assert environment["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] == "http://127.0.0.1:18099/execution/"
    assert environment["AIRFLOW__CORE__LOAD_EXAMPLES"] == "False"
    assert environment["AIRFLOW__COSMOS__ENABLE_TELEMETRY"] == "False"
    assert "loader:" in environment["AIRFLOW_CONN_POSTGRES_DEFAULT"]


def test_the_developers_password_file_is_private(runtime: Runtime) -> None:
    write_airflow_users(runtime)
    path = runtime.folder / "airflow" / "passwords.json"
    assert json.loads(path.read_text()) == {"airflow": "airflow"}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_taken_port_is_seen() -> None:
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        listener.listen()
        assert port_is_taken(listener.getsockname()[1])


def test_the_pid_of_a_stranger_does_not_stop_a_start(tmp_path: Path) -> None:
    (tmp_path / "postmaster.pid").write_text("1\n/elsewhere\n")
    clear_stale_pid(Server(tmp_path, tmp_path, None))
    assert not (tmp_path / "postmaster.pid").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's files are closed to the containers' user")
def test_containers_may_read_what_root_brings_in_and_nothing_else_changes_hands(
    runtime: Runtime, tmp_path: Path
) -> None:
    (tmp_path / ".env").touch(mode=0o600)
    (tmp_path / ".env").write_text("AIRFLOW_UID=50123\n")
    here = replace(runtime, kind=DOCKER)
    for name in ("replayed/a.csv", "incoming/b.csv"):
        path = here.data / name
        path.parent.mkdir(parents=True)
        path.touch(mode=0o600)
        let_containers_read(here, name)
    assert (here.data / "replayed" / "a.csv").stat().st_uid == 50123
    assert (here.data / "incoming" / "b.csv").stat().st_uid == 0


HEADER = "transaction_id,customer_id,transaction_date,product_id,product_name,quantity,price,tax\n"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (HEADER + "1,5,2024-01-02,7,Thing,2,1.10,0.05\n", 0),
        (HEADER + "x,5,2024-01-02,7,Thing,2,1.10,0.05\n", 2),
        ("a,b\n1,2\n", 3),
        (None, 3),
    ],
)
def test_clean_ends_with_the_code_that_says_what_is_wrong(tmp_path: Path, content: str | None, code: int) -> None:
    file, out = tmp_path / "file.csv", tmp_path / "out"
    if content is not None:
        file.write_text(content)
    done = subprocess.run([CLI, "clean", file, "--out", out, "--json"], capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    if code == 0:
        report = json.loads(done.stdout)
        assert report["read"] == report["accepted"] == 1
        assert json.loads((out / "report.json").read_text()) == report
    else:
        assert "What to do:" in done.stderr


@pytest.mark.parametrize("arguments", [["clean"], ["nonsense"], ["run", "--nonsense"]])
def test_wrong_usage_ends_with_64(arguments: list[str]) -> None:
    assert subprocess.run([CLI, *arguments], capture_output=True, check=False).returncode == 64
