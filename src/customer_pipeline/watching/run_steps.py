"""Task instances of a run, as Airflow's API gives them → its steps in order, how each ended, what it waits for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from audited_load.shown import count_of, show_text
from customer_pipeline.names import CLEAN_GROUP, LOAD_GROUP, MODEL_TASKS, PUBLISH_TASK

Task = dict[str, Any]
FINISHED = {"success", "failed", "skipped", "upstream_failed", "removed"}
_HELD_UP = {"upstream_failed", "removed", None}
NEVER_RAN = {"skipped", *_HELD_UP}
_ORDER = (CLEAN_GROUP, LOAD_GROUP, MODEL_TASKS.rstrip("."), PUBLISH_TASK)
_SILENT_SECONDS = 30
"""After how long without a running task the run is said to wait."""
_SLOW_SECONDS = 10
"""Within these, the scheduler starts a run that waits for no other."""


@dataclass(frozen=True)
class RunStep:
    """A step of a run: a group of tasks, or one that stands alone.

    Attributes:
        name: Of the group or the task.
        tasks: Its task instances.
    """

    name: str
    tasks: tuple[Task, ...]

    @property
    def has_ended(self) -> bool:
        """Whether no task of it is to run any more."""
        return all(task["state"] in FINISHED for task in self.tasks)

    @property
    def has_run(self) -> bool:
        """Whether a task of it ran."""
        return any(task["state"] not in NEVER_RAN for task in self.tasks)

    @property
    def seconds(self) -> float:
        """For how long at least one of its tasks was running."""
        return covered_seconds(self.tasks)

    @property
    def outcome(self) -> str:
        """How it ended, in words."""
        failed = [name_task(task).removeprefix(f"{self.name}.") for task in self.tasks if task["state"] == "failed"]
        if failed:
            rest = sum(task["state"] in _HELD_UP for task in self.tasks)
            return f"failed: {', '.join(failed)}" + (f"; {count_of(rest, 'task')} not run" if rest else "")
        return "ok" if self.has_run else "not run"


def find_steps(tasks: Sequence[Task]) -> list[RunStep]:
    """Put the tasks of a run together to its steps, in their order."""
    found: dict[str, list[Task]] = {}
    for task in tasks:
        found.setdefault(_step_of(task["task_id"]), []).append(task)
    steps = [RunStep(name, tuple(of_step)) for name, of_step in found.items()]
    return sorted(steps, key=lambda step: _ORDER.index(step.name) if step.name in _ORDER else len(_ORDER))


def _step_of(task_id: str) -> str:
    return next((name for name in _ORDER if task_id.startswith(f"{name}.")), task_id)


def name_task(task: Task) -> str:
    """Name a task instance; one of several by what it is for."""
    if task["map_index"] < 0:
        return str(task["task_id"])
    return f"{task['task_id']} [{show_text(str(task['rendered_map_index'] or task['map_index']), 200)}]"


def describe_counts(tasks: Sequence[Task]) -> str:
    """Say how many tasks are done, failed and were held up."""
    states = Counter(task["state"] for task in tasks)
    if not states["failed"]:
        # What the run has no need of is no more to be waited for.
        return f"{states['success'] + states['skipped']} of {len(tasks)} tasks done"
    held_up = sum(states[state] for state in NEVER_RAN)
    words = f"{states['success']} of {len(tasks)} tasks done, {states['failed']} failed"
    return words + (f", {held_up} not run" if held_up else "")


def describe_tries(task: Task) -> str:
    """Say which try a task is at; nothing of its only one."""
    return f"try {task['try_number']} of {task['max_tries'] + 1}"


def covered_seconds(tasks: Sequence[Task]) -> float:
    """Return for how many seconds at least one of some tasks was running."""
    spans = sorted(
        (datetime.fromisoformat(task["start_date"]), datetime.fromisoformat(task["end_date"]))
        for task in tasks
        if task["start_date"] and task["end_date"]
    )
    total, until = 0.0, None
    for start, end in spans:
        begin = start if until is None else max(start, until)
        total += max((end - begin).total_seconds(), 0)
        until = end if until is None else max(until, end)
    return total


def describe_wait(run: dict[str, Any], tasks: Sequence[Task], others: Sequence[dict[str, Any]]) -> str:
    """Say what a run waits for; nothing if a task of it is running.

    Args:
        run: As Airflow's API gives it.
        tasks: Its task instances.
        others: Other runs of the DAG that are queued or running.
    """
    if run["state"] == "queued":
        return _describe_queue(run, others)
    retried = [task for task in tasks if task["state"] == "up_for_retry"]
    if any(task["state"] == "running" for task in tasks):
        return ""
    if retried:
        names = ", ".join(f"{name_task(task)} (try {task['try_number']} failed)" for task in retried)
        return f"waits for the next try of {names}"
    moments = [run["start_date"], *(task["end_date"] for task in tasks)]
    last = max((datetime.fromisoformat(moment) for moment in moments if moment), default=None)
    silent = (datetime.now(UTC) - last).total_seconds() if last else 0.0
    if silent < _SILENT_SECONDS:
        return ""
    rounded = silent // _SILENT_SECONDS * _SILENT_SECONDS
    return f"waits for the scheduler: no task has started for {rounded:.0f} s"


def _describe_queue(run: dict[str, Any], others: Sequence[dict[str, Any]]) -> str:
    going_on = [other for other in others if other["state"] == "running"]
    before = [other for other in others if other["state"] == "queued" and other["run_after"] < run["run_after"]]
    if not going_on:
        waited = (datetime.now(UTC) - datetime.fromisoformat(run["run_after"])).total_seconds()
        return "waits for the scheduler to start it" if waited > _SLOW_SECONDS else ""
    words = f"waits for run {show_text(going_on[0]['dag_run_id'], 200)}, since one run goes at a time"
    return words + (f"; before it: {count_of(len(before), 'run')} more" if before else "")
