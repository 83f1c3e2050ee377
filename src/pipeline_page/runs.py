"""What the page wants to know of Airflow, and where its pages are: given by whoever mounts the page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

from customer_pipeline.names import CLEAN_TASK, DAG_ID, MODEL_TASKS, PUBLISH_TASK, VALIDATE_TASK

TASKS = {
    "clean": CLEAN_TASK,
    "validate": VALIDATE_TASK,
    "fact": f"{MODEL_TASKS}fact_transactions.run",
    "publish": PUBLISH_TASK,
}


@dataclass(frozen=True)
class Run:
    """The newest run of the DAG.

    Attributes:
        run_id: Its id.
        state: As Airflow names it: queued, running, success, failed.
        started: When, if it has.
        ended: When, if it has.
        failed_tasks: Ids of its failed tasks.
        schedule: The DAG's schedule as a cron expression, if it has one.
    """

    run_id: str
    state: str
    started: datetime | None
    ended: datetime | None
    failed_tasks: tuple[str, ...]
    schedule: str | None = None


FindRun = Callable[[], Run | None]


def run_address(run_id: str) -> str:
    """Return the address of a run's page in Airflow, under its root."""
    return f"/dags/{DAG_ID}/runs/{quote(run_id, safe='')}"


def task_address(run_id: str, task_id: str) -> str:
    """Return the address of a task's page in a run."""
    return f"{run_address(run_id)}/tasks/{quote(task_id, safe='')}"
