"""The pipeline's page in Airflow's navigation, for those who may read the DAG."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from airflow.api_fastapi.core_api.security import requires_access_dag
from airflow.configuration import conf
from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.plugins_manager import AirflowPlugin
from airflow.utils.session import create_session
from sqlalchemy import select

from customer_pipeline.names import DAG_ID
from customer_pipeline.settings import reader_dsn
from pipeline_page.runs import Run
from pipeline_page.web import create_app

ROOT = urlsplit(conf.get("api", "base_url", fallback="")).path.rstrip("/")
PREFIX = "/pipeline"


def find_run() -> Run | None:
    """Return the newest run of the DAG, from Airflow's own tables."""
    with create_session() as session:
        newest = select(DagRun).where(DagRun.dag_id == DAG_ID).order_by(DagRun.run_after.desc(), DagRun.id.desc())
        run = session.scalars(newest.limit(1)).first()
        if run is None:
            return None
        of_run = (TaskInstance.dag_id == DAG_ID, TaskInstance.run_id == run.run_id, TaskInstance.state == "failed")
        failed = session.scalars(select(TaskInstance.task_id).where(*of_run).order_by(TaskInstance.end_date))
        schedule = session.scalar(select(DagModel.timetable_summary).where(DagModel.dag_id == DAG_ID))
        return Run(run.run_id, str(run.state), run.start_date, run.end_date, tuple(dict.fromkeys(failed)), schedule)


class PipelinePage(AirflowPlugin):
    """The app, behind Airflow's login and its right to read the DAG, and its place in the navigation."""

    name = "pipeline_page"
    fastapi_apps: list[dict[str, Any]] = [  # noqa: RUF012 - as Airflow declares it
        {
            "name": "pipeline_page",
            "app": create_app(reader_dsn, find_run, requires_access_dag("GET", param_dag_id=DAG_ID), ROOT),
            "url_prefix": PREFIX,
        }
    ]
    external_views: list[dict[str, Any]] = [  # noqa: RUF012
        {
            "name": "Pipeline",
            "href": f"{ROOT}{PREFIX}/today",
            "destination": "nav",
            "url_route": "pipeline",
            "icon": f"{ROOT}{PREFIX}/icon.svg",
            "nav_top_level": True,
        }
    ]
