"""The stack on a real Docker engine: up from nothing, a run, every verb, a killed container, down and up again."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from docker_images import images_of_monitoring
from docker_stack import CLI, copied_clone, inside, project, run

from customer_pipeline.runtime.compose import SERVICES, compose_command, docker_answers, read_containers
from customer_pipeline.runtime.installation import DOCKER, Runtime

AIRFLOW = [service for service in SERVICES.values() if service != "postgres"]

pytestmark = [
    pytest.mark.skipif(not docker_answers(), reason="no Docker engine answers, or it has no compose"),
    pytest.mark.timeout(1500),
]


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runtime]:
    settings = {**images_of_monitoring(), "STATSD_HOST": "statsd-exporter"}
    with copied_clone(tmp_path_factory.mktemp("stack") / "clone", settings) as runtime:
        yield runtime


@pytest.fixture(scope="module")
def stack(runtime: Runtime) -> Runtime:
    done = run(runtime, "up", RUNTIME=DOCKER)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    return runtime


@pytest.fixture(scope="module")
def prometheus(stack: Runtime) -> str:
    """Return the address of a Prometheus that has what Airflow and the pipeline send from now on."""
    for line in (
        ("--profile", "monitoring", "up", "-d", "--no-deps", "statsd-exporter", "prometheus"),
        # Each looks the exporter up once, when it starts.
        ("restart", "airflow-scheduler", "airflow-dag-processor", "airflow-triggerer"),
    ):
        command, environment = compose_command(stack, *line)
        subprocess.run(command, env=environment, cwd=stack.home, check=True, capture_output=True)
    assert run(stack, "up").returncode == 0
    return "http://127.0.0.1:9090"


def test_up_brings_every_service_up_healthy(stack: Runtime) -> None:
    found = read_containers(stack)
    assert all(found[service].is_healthy for service in SERVICES.values())
    status = run(stack, "status")
    assert status.returncode == 0
    services = json.loads(run(stack, "status", "--json").stdout)["services"]
    assert len(services) == len(SERVICES)
    assert all(service["is_up"] and "(healthy)" in service["words"] for service in services.values())
    assert stat.S_IMODE((stack.home / ".env").stat().st_mode) == 0o600


def test_nothing_runs_as_root_or_could_install_packages(stack: Runtime) -> None:
    for service in AIRFLOW:
        assert inside(stack, service, "id -u").strip() not in {"", "0"}
        assert inside(stack, service, "python -m pip --version || echo none").strip() == "none"
        assert inside(stack, service, "grep CapEff /proc/1/status").split()[1].strip("0") == ""


def test_ports_are_open_on_this_machine_only(stack: Runtime) -> None:
    command = [
        "docker",
        "ps",
        "--filter",
        f"label=com.docker.compose.project={project(stack)}",
        "--format",
        "{{.Ports}}",
    ]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    published = [port for port in told.replace("\n", ", ").split(", ") if "->" in port]
    assert len(published) == 2
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_login_is_needed_and_airflow_airflow_is_none(stack: Runtime) -> None:
    def code(user: str, password: str) -> int:
        login = {"username": user, "password": password}
        return httpx.post(f"{stack.url}/auth/token", json=login, timeout=30, trust_env=False).status_code

    assert httpx.get(f"{stack.url}/api/v2/dags", timeout=30, trust_env=False).status_code == 401
    assert code("airflow", "airflow") == 401
    assert code(stack.user, stack.password) == 201


@pytest.mark.usefixtures("prometheus")
def test_the_dag_runs_to_success_and_ties_out(stack: Runtime) -> None:
    done = run(stack, "run")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Run success" in done.stdout
    assert "ties out to the last decimal" in done.stdout
    assert list((stack.home / "airflow" / "logs").rglob("attempt=1.log"))


def test_every_question_of_the_dashboard_has_an_answer(stack: Runtime, prometheus: str) -> None:
    dashboard = json.loads((stack.home / "monitoring" / "grafana" / "dashboards" / "pipeline.json").read_text())
    waiting = {target["expr"] for panel in dashboard["panels"] for target in panel["targets"]}
    assert len(waiting) > 10
    deadline = time.monotonic() + 180  # a rate needs two looks of Prometheus, a heartbeat as well
    while waiting and time.monotonic() < deadline:
        for expression in sorted(waiting):
            told = httpx.get(
                f"{prometheus}/api/v1/query", params={"query": expression}, timeout=30, trust_env=False
            )
            assert told.status_code == 200, told.text
            if found := told.json()["data"]["result"]:
                print(f"{expression}: {[one['value'][1] for one in found][:3]}", flush=True)
                waiting.discard(expression)
        time.sleep(2)
    assert not waiting


@pytest.mark.parametrize(
    ("verb", "answer"),
    [
        (["logs", "api-server"], "[http.access]"),
        (["logs", "scheduler", "-n", "500"], "[airflow.jobs.scheduler_job_runner"),
        (["logs"], "postgres"),
        (["exec", "--", "airflow", "dags", "list"], "pipeline_customer_transaction"),
        (["psql", "-Atc", "select 'rows', count(*) from cleaned_data.customer_transactions"], "rows|941"),
        (
            ["psql", "--role", "reader", "-Atc", "select 'facts', count(*) from analytics.fact_transactions"],
            "facts|941",
        ),
        (["dbt", "--", "debug", "--connection"], "OK connection ok"),
        (["dbt", "--", "compile"], "6 models"),
        (["dbt", "--", "run"], "ERROR=0"),
        (["dbt", "--", "test"], "ERROR=0"),
        (["quarantine", "list"], "customer_transactions.csv"),
        (["tidy", "--dry-run"], "0 log files of before"),
    ],
    ids=" ".join,
)
def test_every_verb_works_on_the_stack(stack: Runtime, verb: list[str], answer: str) -> None:
    done = run(stack, *verb)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert answer in done.stdout


def test_a_backup_takes_the_place_of_what_was_loaded_since(stack: Runtime, tmp_path: Path) -> None:
    assert run(stack, "backup", str(tmp_path / "backup")).returncode == 0
    small = tmp_path / "small.csv"
    lines = (stack.data / "customer_transactions.csv").read_bytes().splitlines(keepends=True)
    small.write_bytes(b"".join(lines[:20]))
    assert run(stack, "run", str(small), "--force").returncode == 0
    refused = run(stack, "restore", str(tmp_path / "backup"))
    assert refused.returncode == 1
    assert "holds" in refused.stderr
    restored = run(stack, "restore", str(tmp_path / "backup"), "--force")
    assert restored.returncode == 0, restored.stdout + restored.stderr
    assert "941 rows, as the ledger says" in restored.stdout
    done = run(stack, "run", "--mode", "merge")
    assert done.returncode == 0, done.stdout + done.stderr
    told = run(stack, "psql", "--role", "reader", "-Atc", "select count(*) from analytics.fact_transactions")
    assert told.stdout.strip() == "941"


def test_a_customer_is_erased_and_the_files_stay_the_containers(stack: Runtime) -> None:
    def facts() -> dict[str, int]:
        query = "select customer_id, count(*) from analytics.fact_transactions group by customer_id"
        rows = run(stack, "psql", "--role", "reader", "-Atc", query).stdout.split()
        return {customer: int(count) for customer, count in (row.split("|") for row in rows)}

    owners = {path: path.stat().st_uid for path in stack.data.rglob("*.csv")}
    before = facts()
    busiest = max(before.keys() - {"-1"}, key=before.__getitem__)
    done = run(stack, "erase-customer", busiest)
    assert done.returncode == 0, done.stdout + done.stderr
    after = facts()
    assert busiest not in after
    assert after["-1"] == before["-1"] + before[busiest]
    assert {path: path.stat().st_uid for path in owners} == owners


def test_a_shell_of_airflow_opens(stack: Runtime) -> None:
    environment = os.environ | {"PIPELINE_HOME": str(stack.home)}
    done = subprocess.run(
        [CLI, "shell"],
        input="airflow version; exit\n",
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip().splitlines()[-1].startswith("3.3")


def test_the_specifications_connection_is_in_the_webservers_environment(stack: Runtime) -> None:
    told = inside(stack, "airflow-webserver", "env | grep AIRFLOW_CONN")
    assert told.startswith("AIRFLOW_CONN_POSTGRES_DEFAULT=postgresql://loader:")
    assert told.strip().endswith("@postgres:5432/ebury")


@pytest.mark.parametrize("service", AIRFLOW)
def test_a_killed_service_starts_again_by_itself(stack: Runtime, service: str) -> None:
    inside(stack, service, "kill -9 -1")
    deadline = time.monotonic() + 20
    while read_containers(stack)[service].is_healthy and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not read_containers(stack)[service].is_healthy
    deadline = time.monotonic() + 180
    while not read_containers(stack)[service].is_healthy and time.monotonic() < deadline:
        time.sleep(1)
    assert read_containers(stack)[service].is_healthy


def test_a_run_succeeds_after_the_kills(stack: Runtime) -> None:
    done = run(stack, "run")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_other_runtime_does_not_start_beside_it(stack: Runtime) -> None:
    done = run(stack, "up", RUNTIME="embedded")
    assert done.returncode == 1
    assert "docker runtime is up" in done.stderr


def test_down_stops_all_and_up_finds_the_data_again(stack: Runtime) -> None:
    assert run(stack, "down").returncode == 0
    assert read_containers(stack) == {}
    assert run(stack, "status").returncode == 1
    assert run(stack, "up").returncode == 0
    told = run(stack, "psql", "-Atc", "select count(*) from cleaned_data.customer_transactions")
    assert told.stdout.strip() == "941"


def test_a_known_password_stops_a_start(stack: Runtime) -> None:
    assert run(stack, "down").returncode == 0
    path = stack.home / ".env"
    before = path.read_text()
    path.write_text(before.replace(f"ADMIN_PASSWORD={stack.password}", "ADMIN_PASSWORD=airflow"))
    try:
        done = run(stack, "up")
    finally:
        path.write_text(before)
    assert done.returncode == 1
    assert "ADMIN_PASSWORD" in done.stderr
    assert read_containers(stack) == {}
