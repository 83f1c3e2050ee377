"""The profile celery on a real engine: workers that share nothing, one of which is killed in a run."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest
from docker_images import images_of_workers
from docker_stack import CLI, container, copied_clone, inside, project, run

from customer_pipeline.commands.make_sample import make_sample
from customer_pipeline.names import DAG_ID
from customer_pipeline.runtime.compose import docker_answers, read_containers
from customer_pipeline.runtime.env_file import read_env_file
from customer_pipeline.runtime.installation import DOCKER, Runtime, free_port, read_runtime

WORKERS = ("airflow-worker-a", "airflow-worker-b")
OF_AIRFLOW = ("SQL_ALCHEMY_CONN", "JWT_SECRET", "API__SECRET_KEY", "FERNET_KEY", "AIRFLOW_DB_PASSWORD")

pytestmark = [
    pytest.mark.skipif(not docker_answers(), reason="no Docker engine answers, or it has no compose"),
    pytest.mark.timeout(1500),
]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runtime]:
    more = {**images_of_workers(), "STORE_PORT": str(free_port()), "RETRY_DELAY_SECONDS": "5"}
    with copied_clone(tmp_path_factory.mktemp("celery") / "clone", more) as runtime:
        path = runtime.home / ".env"
        lines = path.read_text().splitlines()
        # What docs/scale-out.md tells a person to do.
        taken = [line.removeprefix("# ") if "=" in line else line for line in lines]
        assert len(taken) - sum(a == b for a, b in zip(lines, taken, strict=True)) == 5
        path.write_text("\n".join(taken) + "\n")
        done = run(runtime, "up", RUNTIME=DOCKER)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr
        deadline = time.monotonic() + 180
        while not all(read_containers(runtime)[name].is_healthy for name in WORKERS):
            assert time.monotonic() < deadline, read_containers(runtime)
            time.sleep(1)
        yield read_runtime({"PIPELINE_HOME": str(runtime.home), "RUNTIME": DOCKER})


def tasks(runtime: Runtime, run_id: str) -> list[tuple[str, str, int, str]]:
    """Return id, state, tries and container of each task of a run."""
    statement = "select task_id, state, try_number, hostname from task_instance where run_id = %s order by 1"
    with psycopg.connect(runtime.dsn("postgres", "airflow")) as connection:
        return connection.execute(statement, (run_id,)).fetchall()  # type: ignore[return-value]


def newest_run(runtime: Runtime) -> str:
    with psycopg.connect(runtime.dsn("postgres", "airflow")) as connection:
        row = connection.execute("select run_id from dag_run order by id desc limit 1").fetchone()
    assert row
    return str(row[0])


def log_of(runtime: Runtime, run_id: str, task_id: str, attempt: int) -> str:
    """Ask the API for a log, as the UI does."""
    login = {"username": runtime.user, "password": runtime.password}
    with httpx.Client(base_url=runtime.url, timeout=60, trust_env=False) as client:
        token = client.post("/auth/token", json=login).json()["access_token"]
        path = f"/api/v2/dags/{DAG_ID}/dagRuns/{run_id}/taskInstances/{task_id}/logs/{attempt}"
        told = client.get(path, headers={"Authorization": f"Bearer {token}", "Accept": "application/json"})
    assert told.status_code == 200
    return json.dumps(told.json())


def test_a_worker_mounts_nothing_and_has_no_key_of_airflow(stack: Runtime) -> None:
    secrets = read_env_file(stack.home / ".env")
    for worker in WORKERS:
        told = ["docker", "inspect", "--format", "{{json .Mounts}}", container(stack, worker)]
        assert json.loads(subprocess.run(told, capture_output=True, text=True, check=True).stdout) == []
        environment = inside(stack, worker, "env")
        assert "AIRFLOW__CORE__EXECUTOR=CeleryExecutor" in environment
        for name in OF_AIRFLOW:
            assert name not in environment
        for name in ("AIRFLOW_DB_PASSWORD", "JWT_SECRET", "API_SECRET_KEY", "FERNET_KEY", "POSTGRES_PASSWORD"):
            assert secrets[name] not in environment
        assert inside(stack, worker, "id -u").strip() not in {"", "0"}


def test_nobody_reaches_broker_or_store_without_a_password(stack: Runtime) -> None:
    code = (
        "import redis, urllib.request, urllib.error\n"
        "try: redis.Redis('redis').ping()\n"
        "except redis.AuthenticationError: print('no password, no broker')\n"
        "try: urllib.request.urlopen('http://store:8333/pipeline/')\n"
        "except urllib.error.HTTPError as error: print(error.code)\n"
        "for port in (8888, 9333, 8080):\n"
        "    try: urllib.request.urlopen(f'http://store:{port}/', timeout=5)\n"
        "    except urllib.error.URLError: print('closed')\n"
    )
    told = inside(stack, WORKERS[0], f'python -c "{code}"')
    assert told.split("\n")[:5] == ["no password, no broker", "403", "closed", "closed", "closed"]
    listed = [
        "docker",
        "ps",
        "--filter",
        f"label=com.docker.compose.project={project(stack)}",
        "--format",
        "{{.Ports}}",
    ]
    ports = subprocess.run(listed, capture_output=True, text=True, check=True).stdout.replace("\n", ", ")
    published = [port for port in ports.split(", ") if "->" in port]
    assert len(published) == 3
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_the_sample_comes_through_on_workers_that_share_no_folder(stack: Runtime) -> None:
    done = run(stack, "run", str(stack.data / "customer_transactions.csv"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ties out to the last decimal" in done.stdout
    found = tasks(stack, newest_run(stack))
    hosts = {host for _, state, _, host in found if state == "success" and host}
    assert hosts <= {container(stack, worker)[:12] for worker in WORKERS}
    assert len(hosts) == 2
    assert not list((stack.home / "airflow" / "logs").rglob("attempt=*.log"))


def test_a_worker_that_is_killed_in_a_run_is_made_up_for_and_its_logs_are_there(
    stack: Runtime, tmp_path: Path
) -> None:
    make_sample(tmp_path / "large.csv", 400_000, 7, 0.025)
    environment = os.environ | {"PIPELINE_HOME": str(stack.home)}
    for name in ("API_PORT", "POSTGRES_PORT", "RUNTIME"):
        environment.pop(name, None)
    before = newest_run(stack)
    command = subprocess.Popen(
        [CLI, "run", str(tmp_path / "large.csv"), "--force"],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    loading, deadline = "Load-To-Postgres.load_cleaned_csv_to_postgres", time.monotonic() + 300
    while True:
        run_id = newest_run(stack)
        now = {task: (state, host) for task, state, _, host in tasks(stack, run_id)} if run_id != before else {}
        if now.get(loading, ("", ""))[0] == "running":
            break
        assert command.poll() is None, command.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    killed = now[loading][1]
    subprocess.run(["docker", "kill", killed], capture_output=True, check=True)
    printed, _ = command.communicate(timeout=900)
    assert command.returncode == 0, printed
    assert "ties out to the last decimal" in printed
    ended = {task: (state, attempt, host) for task, state, attempt, host in tasks(stack, run_id)}
    assert {state for state, _, _ in ended.values()} <= {"success", "skipped"}
    assert ended[loading][1] == 2
    assert ended[loading][2] != killed
    # Of what had ended on the dead one, the log is there; its container is gone.
    gone = [task for task, (_, _, host) in ended.items() if host == killed]
    for task in gone:
        assert "s3://pipeline/customers/logs/" in log_of(stack, run_id, task, 1)
    assert "s3://pipeline/customers/logs/" in log_of(stack, run_id, loading, 2)
