"""The published marts against a full build, every week: what days have merged must not drift."""

from __future__ import annotations

import logging

from airflow.sdk import CronTriggerTimetable, dag, task

from customer_pipeline.names import CHECK_DAG_ID
from customer_pipeline.settings import read_run_settings
from customer_pipeline.tasks.alerts import alerted_tasks
from customer_pipeline.tasks.drift_check import check_published_marts, describe
from customer_pipeline.tasks.task_errors import reported_errors

log = logging.getLogger(__name__)
run_settings = read_run_settings()
cron = run_settings.check_schedule


@dag(
    dag_id=CHECK_DAG_ID,
    description="The published marts are what a full build gives, cell by cell",
    # With a start date, Airflow would make up for last Sunday at the first start, beside the first load.
    schedule=CronTriggerTimetable(cron, timezone="UTC", run_immediately=False) if cron else None,
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=False,
    default_args=alerted_tasks(run_settings),
    tags=["dbt", "quality"],
)
def check_marts() -> None:
    """Build all marts beside those that readers see, and compare."""

    @task(task_id="compare_with_full_build")
    def compare() -> None:
        with reported_errors(CHECK_DAG_ID):
            log.info("[%s] %s", CHECK_DAG_ID, describe(check_published_marts()))

    compare()


dag_instance = check_marts()
