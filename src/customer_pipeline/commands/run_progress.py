"""How far the steps of a run are: what cleaning, PostgreSQL and Airflow say → a bar a step, or plain lines.

It only looks on: whatever goes wrong with it, the run goes on.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import psycopg
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn

from audited_load.progress import Cleaned, read_progress
from audited_load.shown import show_text
from customer_pipeline.feed import TABLES
from customer_pipeline.names import CLEAN_ONE_TASK, CLEAN_TASK, COPY_SHARD_TASK, COPY_TASK, MODEL_TASKS
from customer_pipeline.runtime.installation import Runtime
from customer_pipeline.storing.deliveries import attempt_folder
from customer_pipeline.watching.run_steps import FINISHED

PLAIN_SECONDS = 30
"""Between two lines about one step where there is no terminal."""
_MEBIBYTE = 2**20
_CLEANING, _COPYING = (CLEAN_ONE_TASK, CLEAN_TASK), (COPY_SHARD_TASK, COPY_TASK)
_COPIED = """
    select coalesce(sum(c.rows), 0) + (
        select coalesce(sum(p.tuples_processed), 0) from pg_stat_progress_copy as p
        where p.datname = current_database() and p.relid = to_regclass(%s) and p.command = 'COPY FROM'
    )
    from {copied_pieces} as c inner join {loads} as l using (load_id)
    where l.run_id = %s and l.status = 'loading'
"""
_HOLDER = "select holder from {lease} where holder <> %s and expires_at > now()"
_EXPECTED = "select sum(accepted) from {loads} where run_id = %s and status = 'loading'"


@dataclass(frozen=True)
class Step:
    """How far a step is.

    Attributes:
        name: What it does.
        share: How much of it is done, from 0 to 1; None if nobody can tell.
        detail: In words.
    """

    name: str
    share: float | None
    detail: str


def describe_cleaning(name: str, cleaned: Cleaned) -> Step:
    """Put into words how far a cleaning is."""
    share = min(1.0, cleaned.bytes / cleaned.total) if cleaned.total else None
    if share == 1:
        return Step(name, share, f"{cleaned.records:,} records read; now putting the cleaned file together")
    megabytes = f"{cleaned.bytes / _MEBIBYTE:,.0f} of {cleaned.total / _MEBIBYTE:,.0f} MiB"
    return Step(name, share, f"{megabytes}, {_pace(cleaned.records, cleaned.seconds, share)}")


def look_at_run(runtime: Runtime, run_id: str, tasks: Sequence[dict[str, Any]]) -> list[Step]:
    """Find out how far the running steps of a run are.

    Args:
        runtime: Where to look.
        run_id: The run.
        tasks: Its task instances, as Airflow's API gives them.

    Returns:
        One for each step that something is known of; those of which nothing can be known are left out.
    """
    steps: list[Step] = []
    running = [task for task in tasks if task["state"] == "running"]
    for task in running:
        if task["task_id"] in _CLEANING:
            with suppress(Exception):
                steps += _look_at_cleaning(runtime, run_id, task)
    if any(task["task_id"] in _COPYING for task in running):
        with suppress(Exception):
            steps += _look_at_loading(runtime, run_id, tasks)
    if not steps and running:
        with suppress(Exception):
            steps += _look_at_lease(runtime, run_id)
    models = [task for task in tasks if task["task_id"].startswith(MODEL_TASKS)]
    done = sum(task["state"] in FINISHED for task in models)
    if any(task in running for task in models) or 0 < done < len(models):
        names = [task["task_id"].removeprefix(MODEL_TASKS) for task in models if task["state"] == "running"]
        now = f": {', '.join(names)}" if names else ""
        steps.append(Step("dbt", done / len(models), f"{done} of {len(models)} models and tests done{now}"))
    return steps


def _look_at_cleaning(runtime: Runtime, run_id: str, task: dict[str, Any]) -> Iterator[Step]:
    number = task["map_index"] if task["map_index"] >= 0 else None
    cleaned = read_progress(attempt_folder(runtime.data, run_id, task["try_number"], number))
    if cleaned:
        what = task["rendered_map_index"] or task["map_index"]
        yield describe_cleaning("cleaning" if number is None else f"cleaning {show_text(str(what))}", cleaned)


def _look_at_loading(runtime: Runtime, run_id: str, tasks: Sequence[dict[str, Any]]) -> Iterator[Step]:
    # Only the role that copies may see how far its copies are.
    with psycopg.connect(runtime.dsn("loader"), connect_timeout=2, autocommit=True) as connection:
        copied = connection.execute(TABLES.fill(_COPIED), (TABLES.relation("_incoming"), run_id)).fetchone() or (0,)
        (expected,) = connection.execute(TABLES.fill(_EXPECTED), (run_id,)).fetchone() or (None,)
    if not expected:
        return
    rows = min(int(copied[0]), int(expected))  # a copy that ends now may be seen twice
    share = rows / int(expected)
    began = [task["start_date"] for task in tasks if task["task_id"] in _COPYING and task["start_date"]]
    seconds = (datetime.now(UTC) - min(map(datetime.fromisoformat, began))).total_seconds()
    pace = _pace(rows, seconds, share)
    yield Step("loading", share, f"{rows:,} of {int(expected):,} rows, {pace}")


def _look_at_lease(runtime: Runtime, run_id: str) -> Iterator[Step]:
    """Say who is loading, if it is somebody else: the task that runs may wait for that."""
    with psycopg.connect(runtime.dsn("loader"), connect_timeout=2, autocommit=True) as connection:
        for (holder,) in connection.execute(TABLES.fill(_HOLDER), (run_id,)):
            yield Step("waiting", None, f"{show_text(holder, 200)} is loading; one at a time does")


def _pace(rows: int, seconds: float, share: float | None) -> str:
    if not rows or seconds <= 0:
        return "just begun"
    left = f", {_time(seconds * (1 - share) / share)} left" if share else ""
    return f"{rows / seconds:,.0f} rows/s{left}"


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"  # noqa: PLR2004 - what reads well


class Display:
    """Bars that move in a terminal; elsewhere a plain line about each step now and then.

    Args:
        console: Where to.
    """

    def __init__(self, console: Console) -> None:
        self._console, self._tasks, self._last = console, dict[str, TaskID](), dict[str, float]()
        self._bars: Progress | None = None
        if console.is_terminal:
            columns = (
                SpinnerColumn(),
                TextColumn("{task.description}"),
                BarColumn(20),
                TextColumn("{task.fields[detail]}"),
            )
            self._bars = Progress(*columns, console=console, transient=True)

    @contextmanager
    def shown(self) -> Iterator[Display]:
        """Show it while the block runs; nothing of the bars is left after."""
        if self._bars is None:
            yield self
            return
        with self._bars:
            yield self

    def show(self, steps: Sequence[Step]) -> None:
        """Show how far these steps are, and no others. Never raises."""
        with suppress(Exception):
            if self._bars is None:
                self._print(steps)
            else:
                self._move(self._bars, steps)

    def _print(self, steps: Sequence[Step]) -> None:
        now = time.monotonic()
        # The first is of the whole run: where something is known of a step, that says more.
        for step in steps[1:] or steps:
            # The first word comes late, too: what is quick needs none.
            last = self._last.setdefault(step.name, now)
            if now - last >= PLAIN_SECONDS:
                self._last[step.name] = now
                share = "" if step.share is None else f"{step.share:.0%}, "
                self._console.print(f"     ...    {step.name}: {share}{step.detail}", markup=False)

    def _move(self, bars: Progress, steps: Sequence[Step]) -> None:
        for name in set(self._tasks) - {step.name for step in steps}:
            bars.remove_task(self._tasks.pop(name))
        for step in steps:
            if step.name not in self._tasks:
                self._tasks[step.name] = bars.add_task(escape(step.name), total=None, detail="")
            total = None if step.share is None else 1.0
            bars.update(
                self._tasks[step.name], total=total, completed=step.share or 0.0, detail=escape(step.detail)
            )
