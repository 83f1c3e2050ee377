"""The commands of the specification's "Operational Commands" and "Troubleshooting", run on running services."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from customer_pipeline.airflow_api import AirflowApi
from customer_pipeline.names import DAG_ID
from customer_pipeline.runtime.installation import read_runtime

ROOT = Path(__file__).parents[2]
CLI = Path(sys.executable).with_name("customer-pipeline")
CLEAN = "Clean-Transactions.clean_and_transform_csv"


def run(*command: str | Path, typed: str = "") -> str:
    done = subprocess.run(
        command,
        input=typed,
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=os.environ | {"SHELL": "/bin/sh"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_next_run_is_planned_and_not_due() -> None:
    assert "Next run       in " in run(CLI, "status")
    # Once, when the schedule begins; not each time that the DAG is read.
    assert run(CLI, "logs", "scheduler", "-n", "100000").count("run already exists") <= 1


@pytest.mark.parametrize(
    ("target", "typed", "said"),
    [
        ("logs-airflow", "", "INFO"),
        ("logs-scheduler", "", "scheduler"),
        ("shell-airflow", "airflow dags list\n", DAG_ID),
        ("shell-postgres", "select 6 * 7;\n", "42"),
        ("dbt-debug", "", "All checks passed"),
        ("up", "", "Up, embedded runtime"),
    ],
)
def test_a_target_of_the_specification_does_what_it_says(target: str, typed: str, said: str) -> None:
    assert said.lower() in run("make", "--no-print-directory", target, typed=typed).lower()


def test_airflows_services_are_shown_together_and_without_requests() -> None:
    printed = run("make", "--no-print-directory", "logs-airflow")
    assert "http.access" not in printed
    services = {line[20:].split()[0] for line in printed.splitlines()}
    assert {"api-server", "scheduler", "triggerer", "dag-processor"} <= services


def test_what_a_task_said_can_be_read() -> None:
    assert "Cleaning " in run(CLI, "logs", "--task", "clean_and_transform_csv")


def test_airflows_own_commands_of_the_specification_work() -> None:
    airflow = (CLI, "exec", "--", "airflow")
    assert DAG_ID in run(*airflow, "dags", "list")
    assert "No data found" in run(*airflow, "dags", "list-import-errors")
    newest = AirflowApi(read_runtime()).latest_run()
    assert newest
    assert "success" in run(*airflow, "tasks", "state", DAG_ID, CLEAN, newest["dag_run_id"])


def test_the_connection_of_the_loads_can_be_looked_at() -> None:
    assert "AIRFLOW_CONN_POSTGRES_DEFAULT=postgresql://loader" in run(CLI, "exec", "--", "env")


def test_a_task_can_be_tried_for_a_day() -> None:
    words = (CLI, "exec", "--", "airflow", "tasks", "test", DAG_ID, CLEAN, "2025-12-04")
    try:
        said = run(*words)
    except AssertionError as error:
        # Airflow's command removes the run that it made while Airflow's scheduler looks at it.
        assert "deadlock detected" in str(error)  # noqa: PT017 - it decides whether to try again
        said = run(*words)
    assert "1000 records" in said or "success" in said.lower()
