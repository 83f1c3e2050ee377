"""Which runtime a command works on, and what compose is told."""

from __future__ import annotations

import os
import re
import shutil
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from airflow.models.connection import Connection

from audited_load.errors import RefusedError
from customer_pipeline.runtime import postgres_server
from customer_pipeline.runtime.compose import INIT, PROFILES, SERVICES, compose_command, docker_answers, services_of
from customer_pipeline.runtime.env_file import SECRETS, read_env_file
from customer_pipeline.runtime.environment import metrics_settings, process_environment, shared_settings
from customer_pipeline.runtime.installation import DOCKER, EMBEDDED, Runtime, read_runtime, remember_start
from customer_pipeline.storing.store_access import read_access

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
WORKERS = ["airflow-worker-a", "airflow-worker-b"]
AIRFLOW = [name for name in COMPOSE["services"] if name.startswith("airflow-") and name not in WORKERS]


def test_the_image_gets_what_airflow_is_to_ignore_and_no_other_hidden_file() -> None:
    """The last pattern that fits decides."""
    patterns = (ROOT / ".dockerignore").read_text().split("\n")
    hidden = patterns.index("**/.*")
    assert (ROOT / "airflow" / "dags" / ".airflowignore").exists()
    assert patterns.index("!airflow/dags/.airflowignore") > hidden
    assert all(hidden > patterns.index(pattern) for pattern in ("!src", "!airflow/dags", "!contracts", "!dbt"))


def test_no_name_is_in_the_compose_file_twice() -> None:
    """Compose 2 refuses such a file, where compose 1 and PyYAML take the last one."""

    def find_twice(node: yaml.Node) -> list[str]:
        if isinstance(node, yaml.MappingNode):
            names = [str(key.value) for key, _ in node.value if key.value != "<<"]
            below = [name for _, value in node.value for name in find_twice(value)]
            return [*sorted({name for name in names if names.count(name) > 1}), *below]
        return [name for value in node.value for name in find_twice(value)] if isinstance(node.value, list) else []

    assert find_twice(yaml.compose((ROOT / "docker-compose.yml").read_text())) == []
    assert find_twice(yaml.compose("a: {b: 1, c: 2, b: 3}")) == ["b"]


def read(home: Path, **environment: str) -> Runtime:
    return read_runtime({"PIPELINE_HOME": str(home), **environment})


def test_without_a_choice_and_a_past_the_runtime_needs_no_docker(tmp_path: Path) -> None:
    assert read(tmp_path).kind == EMBEDDED


def test_up_may_choose_at_first_and_never_again(tmp_path: Path) -> None:
    environment = {"PIPELINE_HOME": str(tmp_path)}
    first = read_runtime(environment, kind_at_first=lambda: DOCKER)
    assert first.kind == DOCKER
    remember_start(first)
    assert read(tmp_path).kind == DOCKER
    assert read(tmp_path, RUNTIME=EMBEDDED).kind == EMBEDDED

    def ask() -> str:
        raise AssertionError("Docker is asked although the choice is made")

    assert read_runtime(environment, kind_at_first=ask).kind == DOCKER


def test_a_clone_that_ran_before_there_was_a_choice_keeps_its_database(tmp_path: Path) -> None:
    read(tmp_path)  # writes the port
    assert read_runtime({"PIPELINE_HOME": str(tmp_path)}, kind_at_first=lambda: DOCKER).kind == EMBEDDED


def test_a_runtime_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="podman"):
        read(tmp_path, RUNTIME="podman")


def test_env_file_is_made_once_private_and_decides(tmp_path: Path) -> None:
    first = read(tmp_path, RUNTIME=DOCKER, API_PORT="18097")
    path = tmp_path / ".env"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    again = read(tmp_path, RUNTIME=DOCKER)
    assert (again.secrets, again.password, again.api_port) == (first.secrets, first.password, 18097)
    assert first.password not in repr(first)
    with pytest.raises(RefusedError, match=r"API_PORT is 18096, but `\.env` says 18097"):
        read(tmp_path, RUNTIME=DOCKER, API_PORT="18096")


def test_two_clones_have_different_projects_and_secrets(tmp_path: Path) -> None:
    told = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        read(tmp_path / name, RUNTIME=DOCKER)
        told.append(read_env_file(tmp_path / name / ".env"))
    for name in ("COMPOSE_PROJECT_NAME", "ADMIN_PASSWORD", *SECRETS.values()):
        assert told[0][name] != told[1][name]


def test_an_env_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    read(tmp_path, RUNTIME=DOCKER)
    (tmp_path / ".env").chmod(0o644)
    with pytest.raises(RefusedError, match="chmod 600"):
        read(tmp_path, RUNTIME=DOCKER)


@pytest.mark.parametrize("line", ["JWT_SECRET='quoted'", "ADMIN_PASSWORD=pa$$word", "no equals", "A=b # comment"])
def test_a_line_that_releases_of_compose_read_differently_is_refused(tmp_path: Path, line: str) -> None:
    path = tmp_path / ".env"
    path.touch(mode=0o600)
    path.write_text(f"# fine\nA=b c\n{line}\n")
    with pytest.raises(RefusedError, match="Line 3"):
        read_env_file(path)


def test_every_variable_of_the_example_is_one_that_is_made_or_optional(tmp_path: Path) -> None:
    read(tmp_path, RUNTIME=DOCKER)
    made = set(read_env_file(tmp_path / ".env"))
    example = (ROOT / ".env.example").read_text()
    assert set(re.findall(r"^([A-Z_]+)=", example, re.MULTILINE)) == made
    used = set(re.findall(r"\$\{([A-Z_]+)", (ROOT / "docker-compose.yml").read_text()))
    assert used <= set(re.findall(r"^#? ?([A-Z_]+)=", example, re.MULTILINE))


def test_ports_are_open_on_this_machine_only() -> None:
    ports = [port for service in COMPOSE["services"].values() for port in service.get("ports", [])]
    assert len(ports) == 5
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_every_service_of_the_stack_is_ours_and_has_a_health_check_and_a_restart_policy() -> None:
    assert {*SERVICES.values(), INIT} == {"postgres", *AIRFLOW}
    for name in SERVICES.values():
        assert COMPOSE["services"][name]["restart"] == "unless-stopped"
        assert "healthcheck" in COMPOSE["services"][name]


def test_workers_have_to_be_there_where_the_env_file_has_their_profile(tmp_path: Path) -> None:
    assert services_of(read(tmp_path, RUNTIME="embedded")) == SERVICES  # no `.env` yet
    runtime = read(tmp_path, RUNTIME=DOCKER)
    assert services_of(runtime) == SERVICES
    file = tmp_path / ".env"
    file.write_text(file.read_text().replace("# COMPOSE_PROFILES=celery", "COMPOSE_PROFILES=monitoring,celery"))
    of_workers = {name for name, service in COMPOSE["services"].items() if service.get("profiles") == ["celery"]}
    assert set(services_of(runtime).values()) - set(SERVICES.values()) == of_workers
    assert all("healthcheck" in COMPOSE["services"][name] for name in of_workers)


def test_no_secret_is_written_into_the_compose_file() -> None:
    for service in COMPOSE["services"].values():
        for name, value in service.get("environment", {}).items():
            if re.search(r"PASSWORD|SECRET|KEY$|SQL_ALCHEMY|CONN_", name):
                assert value is None or str(value).count("${") == 1, name


def test_only_the_init_job_is_superuser_or_makes_the_administrator() -> None:
    for name in ("POSTGRES_PASSWORD", "ADMIN_PASSWORD"):
        holders = {key for key, service in COMPOSE["services"].items() if name in service.get("environment", {})}
        assert holders - {"postgres"} == {INIT}


def test_a_worker_mounts_nothing_and_is_told_nothing_of_airflows_own() -> None:
    service = COMPOSE["services"]["airflow-scheduler"]
    for name in WORKERS:
        worker = COMPOSE["services"][name]
        assert not worker.get("volumes")
        assert worker["profiles"] == ["celery"]
        assert set(worker["environment"]) < set(service["environment"])
        assert not re.search(r"AIRFLOW_DB|JWT_SECRET|API_SECRET|FERNET|READER", yaml.safe_dump(worker))
        assert worker["env_file"] == ["src/customer_pipeline/runtime/airflow.env", "deploy/celery.env"]


def test_without_the_profile_no_setting_of_celery_is_read() -> None:
    shared = "src/customer_pipeline/runtime/airflow.env"
    for name in AIRFLOW:
        assert COMPOSE["services"][name]["env_file"] == [shared, f"${{EXECUTOR_SETTINGS:-./{shared}}}"]
    for name in (*WORKERS, "redis", "store"):
        assert COMPOSE["services"][name]["profiles"] == ["celery"]
    for service in COMPOSE["services"].values():
        if "celery" not in service.get("profiles", []):
            assert not {*WORKERS, "redis", "store"} & set(service.get("depends_on", {}))


def test_the_lines_for_workers_need_only_be_uncommented(tmp_path: Path) -> None:
    read(tmp_path, RUNTIME=DOCKER)
    path = tmp_path / ".env"
    assert read(tmp_path, RUNTIME=DOCKER).storage == ""
    path.write_text("\n".join(re.sub(r"^# (?=[A-Z_]+=)", "", line) for line in path.read_text().splitlines()))
    told = read_env_file(path)
    assert told["COMPOSE_PROFILES"] == "celery"
    assert (ROOT / told["EXECUTOR_SETTINGS"]).exists()
    assert (ROOT / told["EXTRA_LOCK"]).exists()
    runtime = read(tmp_path, RUNTIME=DOCKER)
    assert runtime.storage == "s3://pipeline/customers"
    access = read_access(told)
    assert (access.key_id, access.secret) == ("pipeline", told["STORE_SECRET"])
    assert access.endpoint == "http://store:8333"
    # Airflow reads it by rules of its own, and takes no second `://` in it.
    connection = Connection(uri=told["AIRFLOW_CONN_STORAGE"])
    assert (connection.conn_type, connection.extra_dejson) == ("aws", {"endpoint_url": access.endpoint})


def test_postgres_has_the_settings_of_the_other_runtime() -> None:
    told = dict(re.findall(r"-c (\w+)=(\S+)", COMPOSE["services"]["postgres"]["command"]))
    assert told == postgres_server._SETTINGS


def test_volumes_are_those_of_the_specification_and_the_contracts() -> None:
    for name in AIRFLOW:
        assert COMPOSE["services"][name]["volumes"] == [
            "./airflow/dags:/opt/airflow/dags",
            "./airflow/logs:/opt/airflow/logs",
            "./airflow/plugins:/opt/airflow/plugins",
            "./contracts:/opt/contracts:ro",
            "./dbt:/opt/dbt",
            "${PIPELINE_DATA:-./data}:/opt/data",
        ]


def test_airflow_has_the_same_settings_in_both_runtimes_but_for_places_and_login(tmp_path: Path) -> None:
    embedded = {name for name in process_environment(read(tmp_path)) if name.startswith("AIRFLOW__")}
    for name in AIRFLOW:
        in_container = set(COMPOSE["services"][name]["environment"]) | set(shared_settings())
        differing = {setting for setting in embedded - in_container if "SIMPLE_AUTH" not in setting}
        assert differing <= {"AIRFLOW__COSMOS__CACHE_DIR"}, name  # a container has a /tmp of its own


def test_settings_that_the_docs_name_reach_the_containers() -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    named = set(re.findall(r"^\| `([A-Z_]+)` \|", page, re.MULTILINE))
    in_env_file = {"RUNTIME", "API_PORT", "POSTGRES_PORT"}
    assert len(named) > len(in_env_file)
    assert named - in_env_file <= set(COMPOSE["services"]["airflow-scheduler"]["environment"])


def test_metrics_are_sent_only_where_a_host_is_named() -> None:
    assert metrics_settings({}) == {}
    told = metrics_settings({"STATSD_HOST": "statsd-exporter"})
    assert told["AIRFLOW__METRICS__STATSD_ON"] == "True"
    assert told["AIRFLOW__METRICS__STATSD_PORT"] == "9125"


def test_the_shell_decides_nothing_that_the_env_file_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "docker-compose").write_text("#!/bin/sh\nexit 0\n")
    (programs / "docker-compose").chmod(0o755)
    runtime = read(tmp_path, RUNTIME=DOCKER)
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setenv("LOADER_PASSWORD", "from-the-shell")
    monkeypatch.setenv("MAX_REJECTED_RATIO", "0.1")
    command, environment = compose_command(runtime, "ps")
    assert command[0] == "docker-compose"
    assert command[-1] == "ps"
    assert "LOADER_PASSWORD" not in environment
    assert environment["MAX_REJECTED_RATIO"] == "0.1"


def test_without_an_engine_up_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not docker_answers()
    done = subprocess.run(
        [Path(sys.executable).with_name("customer-pipeline"), "up"],
        env={"PIPELINE_HOME": str(tmp_path), "RUNTIME": DOCKER, "PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "RUNTIME=embedded make up" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(shutil.which("docker-compose") is None, reason="docker-compose is not installed")
def test_compose_takes_the_file(tmp_path: Path) -> None:
    shutil.copy(ROOT / "docker-compose.yml", tmp_path)
    shared = tmp_path / "src" / "customer_pipeline" / "runtime"
    shared.mkdir(parents=True)
    shutil.copy(ROOT / "src" / "customer_pipeline" / "runtime" / "airflow.env", shared)
    read(tmp_path, RUNTIME=DOCKER)
    transport = '{"type": "http", "url": "https://lineage.example"}'
    with (tmp_path / ".env").open("a") as file:
        file.write(f"AIRFLOW__OPENLINEAGE__TRANSPORT='{transport}'\n")
    runtime = read(tmp_path, RUNTIME=DOCKER)
    (tmp_path / "deploy").mkdir()
    shutil.copy(ROOT / "deploy" / "celery.env", tmp_path / "deploy")
    command, environment = compose_command(runtime, *PROFILES, "config")
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = yaml.safe_load(done.stdout)["services"]["airflow-scheduler"]["environment"]
    assert told["AIRFLOW__OPENLINEAGE__TRANSPORT"] == transport
    assert read_env_file(tmp_path / ".env")["AIRFLOW__OPENLINEAGE__TRANSPORT"] == transport


def test_airflow_sends_its_metrics_to_that_host(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.settimeout(30)
        told = metrics_settings({"STATSD_HOST": "127.0.0.1", "STATSD_PORT": str(listener.getsockname()[1])})
        environment = os.environ | told | {"AIRFLOW_HOME": str(tmp_path)}
        code = (
            "from airflow._shared.observability.metrics import stats\n"
            "from airflow.observability.metrics import stats_utils\n"
            "stats.initialize(factory=stats_utils.get_stats_factory(), export_legacy_names=True)\n"
            "stats.incr('scheduler_heartbeat')"
        )
        subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True)
        while listener.recv(1024) != b"airflow.scheduler_heartbeat:1|c":
            pass  # others come before it; if it doesn't come at all, the socket times out
