"""The values for Kubernetes name what the code reads, no secret, and no volume that pods would share."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from customer_pipeline.runtime.container import SERVICES
from customer_pipeline.runtime.env_file import SECRETS

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "kubernetes"
VALUES = yaml.safe_load((FOLDER / "values.yaml").read_text())
POD = yaml.safe_load(VALUES["podTemplate"])
CELERY = yaml.safe_load((FOLDER / "celery.yaml").read_text())
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())


def settings(path: str) -> dict[str, str]:
    lines = (ROOT / path).read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def secrets_of_readme() -> dict[str, set[str]]:
    rows = re.findall(r"^\| (`pipeline-[^|]*) \| ([^|]*) \|", (FOLDER / "README.md").read_text(), re.MULTILINE)
    return {
        name: set(re.findall(r"`([A-Za-z_-]+)`", keys))
        for names, keys in rows
        for name in re.findall(r"`([\w-]+)`", names)
    }


def references(values: object) -> set[tuple[str, str]]:
    """Return secret and key of each reference to one."""
    if isinstance(values, dict):
        found = values.get("secretKeyRef")
        own = {(found["name"], found["key"])} if found else set()
        return own.union(*(references(value) for value in values.values()))
    if isinstance(values, list):
        return set().union(*(references(value) for value in values))
    return set()


def test_a_task_is_told_what_a_worker_of_the_compose_file_is_told() -> None:
    worker = COMPOSE["services"]["airflow-worker-a"]["environment"]
    needed = {name for name, value in worker.items() if value is not None}
    told = set(settings("deploy/kubernetes/places.env")) | secrets_of_readme()["pipeline-tasks"]
    assert needed <= told
    known = set(worker) | set(COMPOSE["services"]["airflow-scheduler"]["environment"])
    assert told <= known


def test_settings_of_airflow_are_those_of_celery_but_for_the_executors_own() -> None:
    pods, workers = settings("deploy/kubernetes/kubernetes.env"), settings("deploy/celery.env")
    assert pods.pop("AIRFLOW__CORE__EXECUTOR") == VALUES["executor"] == "KubernetesExecutor"
    assert workers["AIRFLOW__CORE__EXECUTOR"] == CELERY["executor"]
    for name in pods.keys() & workers.keys():
        assert pods[name] == workers[name], name
    assert {name for name in pods.keys() - workers.keys() if "KUBERNETES_EXECUTOR" not in name} == {
        "AIRFLOW__CORE__PARALLELISM"
    }


def test_the_pod_of_a_task_has_no_secret_but_those_of_tasks_and_no_volume_of_others() -> None:
    told = [next(iter(one.values()))["name"] for one in POD["spec"]["containers"][0]["envFrom"]]
    assert told == ["pipeline-settings", "pipeline-executor", "pipeline-places", "pipeline-tasks"]
    assert told == [next(iter(one.values()))["name"] for one in yaml.safe_load(VALUES["extraEnvFrom"])]
    assert "env" not in POD["spec"]["containers"][0]
    assert POD["spec"]["volumes"] == [{"name": "private", "emptyDir": {}}]
    assert not VALUES["dags"]["persistence"]["enabled"]
    assert not VALUES["logs"]["persistence"]["enabled"]
    assert (
        POD["spec"]["containers"][0]["image"]
        == f"{VALUES['defaultAirflowRepository']}:{VALUES['defaultAirflowTag']}"
    )


def test_secrets_are_named_and_the_readme_lists_each_key() -> None:
    listed = secrets_of_readme()
    for secret, key in references(VALUES):
        assert key in listed[secret], (secret, key)
    named = {VALUES[f"{what}SecretName"] for what in ("fernetKey", "apiSecretKey", "jwt")} | set(
        VALUES["data"].values()
    )
    assert named <= set(listed)
    job = {one["name"] for one in VALUES["migrateDatabaseJob"]["env"]} | listed["pipeline-tasks"]
    assert set(SECRETS.values()) <= job
    assert {"ADMIN_USER", "ADMIN_PASSWORD"} <= job


def test_commands_and_checks_are_those_of_the_image() -> None:
    parts = {
        "apiServer": "webserver",
        "scheduler": "scheduler",
        "dagProcessor": "dag-processor",
        "triggerer": "triggerer",
    }
    for part, command in {**parts, "workers": "worker"}.items():
        values = CELERY["workers"]["celery"] if part == "workers" else VALUES[part]
        assert values["args"] == [command]
        assert command in SERVICES
        if part != "apiServer":  # the chart asks its address
            assert values["livenessProbe"]["command"][-2:] == ["healthy", command]


def test_tasks_reach_the_api_server_of_the_release_that_the_readme_names() -> None:
    url = settings("deploy/kubernetes/places.env")["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"]
    release = re.search(r"helm -n pipeline install (\S+) ", (FOLDER / "README.md").read_text())
    assert release
    assert url == f"http://{release[1]}-api-server:8080/execution/"


def test_the_version_is_that_of_the_lock() -> None:
    pinned = re.search(r"^apache-airflow==(\S+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    assert pinned
    assert VALUES["airflowVersion"] == pinned[1]
