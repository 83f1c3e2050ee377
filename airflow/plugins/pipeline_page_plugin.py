"""The pipeline's page in Airflow's navigation, for those who may read the DAG."""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from airflow.api_fastapi.core_api.security import requires_access_dag
from airflow.configuration import conf
from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.plugins_manager import AirflowPlugin
from airflow.utils.log.log_reader import TaskLogReader
from airflow.utils.session import create_session
from sqlalchemy import select
from sqlalchemy.orm import Session

from customer_pipeline.failures import NO_WORD, NOT_READ, Reason, find_reason_in_log
from customer_pipeline.names import DAG_ID
from customer_pipeline.settings import reader_dsn
from pipeline_page.runs import GOING_ON, MOST_FAILED, OtherRun, Run, TaskTry
from pipeline_page.web import create_app

log = logging.getLogger(__name__)
ROOT = urlsplit(conf.get("api", "base_url", fallback="")).path.rstrip("/")
PREFIX = "/pipeline"


def find_run() -> Run | None:
    """Return the newest run of the DAG, from Airflow's own tables."""
    with create_session() as session:
        newest = select(DagRun).where(DagRun.dag_id == DAG_ID).order_by(DagRun.run_after.desc(), DagRun.id.desc())
        run = session.scalars(newest.limit(1)).first()
        if run is None:
            return None
        failed = _find_tries(session, run, ("failed",))
        dag = session.scalars(select(DagModel).where(DagModel.dag_id == DAG_ID)).first()
        is_queued = run.state == "queued"
        return Run(
            run.run_id,
            str(run.state),
            run.start_date,
            run.end_date,
            tuple(_describe(ti, explain=number < MOST_FAILED) for number, ti in enumerate(failed)),
            dag.timetable_summary if dag else None,
            tuple(_describe(ti, explain=ti.state == "up_for_retry") for ti in _find_tries(session, run, GOING_ON)),
            run.queued_at if is_queued else None,
            _find_running(session, run) if is_queued else (),
            bool(dag and dag.is_paused),
        )


def _find_tries(session: Session, run: DagRun, states: tuple[str, ...]) -> list[TaskInstance]:
    of_run = (TaskInstance.dag_id == DAG_ID, TaskInstance.run_id == run.run_id, TaskInstance.state.in_(states))
    return list(session.scalars(select(TaskInstance).where(*of_run).order_by(TaskInstance.end_date)))


def _find_running(session: Session, waiting: DagRun) -> tuple[OtherRun, ...]:
    # The one that waits may have been started in this moment.
    others = (DagRun.dag_id == DAG_ID, DagRun.state == "running", DagRun.id != waiting.id)
    running = select(DagRun).where(*others).order_by(DagRun.start_date)
    return tuple(OtherRun(run.run_id, run.start_date) for run in session.scalars(running))


def _describe(ti: TaskInstance, *, explain: bool = False) -> TaskTry:
    reason = _read_reason(ti.run_id, ti.task_id, ti.map_index, ti.try_number) if explain else None
    tries = ti.max_tries + 1
    return TaskTry(ti.task_id, str(ti.state), ti.try_number, tries, ti.start_date, ti.map_index, reason)


def _read_reason(run_id: str, task_id: str, map_index: int, number: int) -> Reason:
    """Say why a task failed, by its log; of one that can't be read, only that."""
    try:
        reason = _find_reason(run_id, task_id, map_index, number)
    except Exception:
        log.exception("The log of %s, %s could not be read", run_id, task_id)
        return NOT_READ
    if reason == NO_WORD:  # its log may come late, or from another machine
        _find_reason.cache_clear()
    return reason


@lru_cache(maxsize=64)  # a task that has failed writes no more
def _find_reason(run_id: str, task_id: str, map_index: int, number: int) -> Reason:
    with create_session() as session:
        which = (TaskInstance.dag_id == DAG_ID, TaskInstance.run_id == run_id, TaskInstance.task_id == task_id)
        found = session.scalars(select(TaskInstance).where(*which, TaskInstance.map_index == map_index)).one()
        events, _ = TaskLogReader().read_log_chunks(found, number, {"end_of_log": False})
        return find_reason_in_log(event.model_dump() for event in events)


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
