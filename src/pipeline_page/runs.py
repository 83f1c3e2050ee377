"""What the page wants to know of Airflow, and where its pages are: given by whoever mounts the page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

from customer_pipeline.failures import Reason
from customer_pipeline.names import CLEAN_TASK, DAG_ID, MODEL_TASKS, PUBLISH_TASK, VALIDATE_TASK

TASKS = {
    "clean": CLEAN_TASK,
    "validate": VALIDATE_TASK,
    "fact": f"{MODEL_TASKS}fact_transactions.run",
    "publish": PUBLISH_TASK,
}


GOING_ON = ("running", "up_for_retry", "restarting", "deferred")
"""States of tasks that run, or are to be tried again, in the words of Airflow."""
MOST_FAILED = 5
"""Failed tasks of which the cause is told."""


@dataclass(frozen=True)
class TaskTry:
    """A try of a task of the run.

    Attributes:
        task_id: Its id.
        state: As Airflow names it: failed, running, up_for_retry.
        number: Which try it is, from 1.
        tries: How many there may be.
        since: When it began, if it has.
        map_index: Which one of several, or -1.
        reason: Of a failed one: why.
    """

    task_id: str
    state: str
    number: int
    tries: int
    since: datetime | None = None
    map_index: int = -1
    reason: Reason | None = None


@dataclass(frozen=True)
class OtherRun:
    """A run that the newest one waits for, and since when it has been running."""

    run_id: str
    started: datetime | None


@dataclass(frozen=True)
class Run:
    """The newest run of the DAG.

    Attributes:
        run_id: Its id.
        state: As Airflow names it: queued, running, success, failed.
        started: When, if it has.
        ended: When, if it has.
        failed: Its failed tasks, in the order in which they failed.
        schedule: The DAG's schedule as a cron expression, if it has one.
        going_on: Its tasks that run, or are to be tried again.
        queued: Since when it waits to be started, if it does.
        waits_for: The runs that have to end before it starts.
        is_paused: Whether the DAG is paused, so that no run is started.
    """

    run_id: str
    state: str
    started: datetime | None
    ended: datetime | None
    failed: tuple[TaskTry, ...]
    schedule: str | None = None
    going_on: tuple[TaskTry, ...] = ()
    queued: datetime | None = None
    waits_for: tuple[OtherRun, ...] = ()
    is_paused: bool = False


FindRun = Callable[[], Run | None]


def run_address(run_id: str) -> str:
    """Return the address of a run's page in Airflow, under its root."""
    return f"/dags/{DAG_ID}/runs/{quote(run_id, safe='')}"


def task_address(run_id: str, task_id: str, map_index: int = -1) -> str:
    """Return the address of a task's page in a run, which shows its log."""
    mapped = f"/mapped/{map_index}" if map_index >= 0 else ""
    return f"{run_address(run_id)}/tasks/{quote(task_id, safe='')}{mapped}"
