"""`customer-pipeline status`: services, runs and the age of the data at a glance."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import psycopg
from rich.console import Console

from audited_load.errors import PipelineError
from customer_pipeline.airflow_api import AirflowApi
from customer_pipeline.services import SERVICES, control, supervisor_answers
from customer_pipeline.settings import Runtime

_NEWEST = "select source_name, accepted, published_at from cleaned_data.published_load"


def print_status(runtime: Runtime) -> int:
    """Print the state of everything.

    Returns:
        0 if all services run, else 1.
    """
    console = Console(highlight=False, soft_wrap=True)
    if not supervisor_answers(runtime):
        console.print("The pipeline is down. Start it with `make up`, or `make run` to run it too.")
        return 1
    states = control(runtime, "status").replace("airflow:", "")
    console.print(states.rstrip(), markup=False)
    console.print(f"UI: {runtime.url} (user airflow)   PostgreSQL: 127.0.0.1:{runtime.postgres_port}, ebury")
    try:
        _print_runs(AirflowApi(runtime), console)
    except PipelineError as error:
        console.print(f"Runs: unknown. {error}", markup=False)
    try:
        with psycopg.connect(runtime.dsn("reader")) as connection:
            newest = connection.execute(_NEWEST).fetchone()
    except psycopg.Error:
        newest = None
    if newest:
        age = datetime.now(UTC) - newest[2]
        console.print(f"Newest load: {newest[0]}, {newest[1]} rows, {age.total_seconds() / 3600:.1f} hours old")
    else:
        console.print("Newest load: none yet. `make run` brings the first.")
    return 0 if states.count("RUNNING") == len(SERVICES) else 1


def _print_runs(api: AirflowApi, console: Console) -> None:
    run: dict[str, Any] | None = api.latest_run()
    console.print(f"Last run: {run['dag_run_id']}, {run['state']}" if run else "Last run: none yet")
    dag = api.dag()
    paused = " (paused: it starts with the first `make run`)" if dag["is_paused"] else ""
    console.print(f"Next run: {dag.get('next_dagrun_run_after')}{paused}")
