"""A file arrives in `incoming/` → one run of the pipeline for it. Only where WATCH_INCOMING says so."""

from __future__ import annotations

import hashlib
from typing import Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG, Asset, AssetWatcher, dag, get_current_context, task

from customer_pipeline.names import ARRIVALS_DAG_ID, DAG_ID
from customer_pipeline.settings import read_run_settings, read_settings
from customer_pipeline.tasks.alerts import alerted_tasks
from customer_pipeline.tasks.arrival_trigger import ArrivalTrigger

run_settings = read_run_settings()


def load_arrivals(mode: str, data: str) -> DAG:
    """Define the DAG.

    Args:
        mode: In which the files are loaded.
        data: The data folder.

    Returns:
        The DAG.
    """
    arrivals = Asset("incoming", watchers=[AssetWatcher(name="incoming", trigger=ArrivalTrigger(data))])

    @dag(
        dag_id=ARRIVALS_DAG_ID,
        description="One run of the pipeline for each file that arrives in incoming/",
        schedule=[arrivals],
        catchup=False,
        max_active_runs=1,
        is_paused_upon_creation=False,
        default_args=alerted_tasks(run_settings),
        tags=["data-pipeline"],
    )
    def define() -> None:
        @task(task_id="find_arrivals")
        def find_arrivals() -> list[dict[str, Any]]:
            """Return what the runs are to be called and to load: told twice, a file has one name."""
            events = get_current_context()["triggering_asset_events"][arrivals]
            return [describe_run(event.extra["payload"], mode) for event in events]

        TriggerDagRunOperator.partial(
            task_id="run_pipeline",
            trigger_dag_id=DAG_ID,
            skip_when_already_exists=True,
            max_active_tis_per_dagrun=1,
        ).expand_kwargs(find_arrivals())

    defined: DAG = define()
    return defined


def describe_run(arrival: dict[str, Any], mode: str) -> dict[str, Any]:
    """Return id and configuration of the run for a file that arrived."""
    identity = hashlib.sha256(repr((arrival["sha256"], list(arrival["identity"]))).encode()).hexdigest()
    return {
        "trigger_run_id": f"arrival__{identity[:24]}",
        "conf": {"source": arrival["source"], "sha256": arrival["sha256"], "mode": mode},
    }


if run_settings.arrivals:
    dag_instance = load_arrivals(run_settings.arrivals, str(read_settings().data))
