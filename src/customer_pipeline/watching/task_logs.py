"""The logs of tasks → which there are, what they say, why a task failed.

They lie in `airflow/logs` under either runtime; those of workers that share no disk in the store.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from glob import escape
from pathlib import Path
from typing import Any

from audited_load.errors import SAYS_REMEDY, RefusedError
from audited_load.shown import escape_text
from audited_load.storage import Store
from customer_pipeline.failures import TESTS_REMEDY, describe_failed_tests, own_types
from customer_pipeline.names import DAG_ID
from customer_pipeline.runtime.installation import Runtime
from customer_pipeline.storing.kept_objects import LOGS

Event = dict[str, Any]
WITHOUT_A_WORD = "The task's process ended without a word: it was killed, or the machine was short of memory."
READ_THE_LOG = "Read the log; clear the task when the cause is gone."
_PLACE = re.compile(r"dag_id=(?P<dag>[^/]+)/run_id=(?P<run>[^/]+)/task_id=(?P<task>[^/]+)/"
                    r"(?:map_index=(?P<index>\d+)/)?attempt=(?P<attempt>\d+)\.log")  # fmt: skip
_FAILED = {"error", "critical"}


@dataclass(frozen=True)
class TaskLog:
    """The log of one try of a task.

    Attributes:
        dag_id: Its DAG.
        run_id: Its run.
        task_id: The task, with its groups.
        index: Of a mapped task, which of them; None of any other.
        attempt: The try, from 1.
        written: When it was written to last, in seconds since 1970.
        path: The file; of one in the store, its key.
        store: Where it is, if it is in no folder.
    """

    dag_id: str
    run_id: str
    task_id: str
    index: int | None
    attempt: int
    written: float
    path: Path
    store: Store | None = None

    @property
    def name(self) -> str:
        """The task as people name it: one of several by its index."""
        return self.task_id if self.index is None else f"{self.task_id} [{self.index}]"


@dataclass(frozen=True)
class Cause:
    """Why a task failed.

    Attributes:
        kind: Type of the exception at the root; empty if there was none.
        message: What happened.
        remedy: What to do.
    """

    kind: str
    message: str
    remedy: str


def logs_folder(runtime: Runtime) -> Path:
    """Name the folder of all tasks' logs."""
    return runtime.home / "airflow" / "logs"


def find_task_logs(runtime: Runtime, run: str = "") -> list[TaskLog]:
    """Find the logs of tasks.

    Args:
        runtime: Where.
        run: Of this run only; empty for all.

    Returns:
        Them, the one that was written to last at the end.
    """
    folder = logs_folder(runtime)
    paths = folder.glob(f"dag_id=*/run_id={escape(run) if run else '*'}/task_id=*/**/attempt=*.log")
    found = [_log_of(str(path.relative_to(folder)), _written(path), path) for path in paths]
    return _in_order(log for log in found if log)


def find_stored_logs(store: Store, run: str = "") -> list[TaskLog]:
    """Find the logs of attempts that have ended, in the store; otherwise as `find_task_logs`."""
    under = f"{LOGS}/"
    found = [
        _log_of(stored.key.removeprefix(under), stored.modified.timestamp(), Path(stored.key), store)
        for stored in store.find(under)
    ]
    return _in_order(log for log in found if log and run in {"", log.run_id})


def _log_of(place: str, written: float, path: Path, store: Store | None = None) -> TaskLog | None:
    match = _PLACE.fullmatch(place)
    if match is None or not place.isprintable():  # whoever writes to the store chooses the names there
        return None
    index = None if match["index"] is None else int(match["index"])
    attempt = int(match["attempt"])
    return TaskLog(match["dag"], match["run"], match["task"], index, attempt, written, path, store)


def _in_order(logs: Iterable[TaskLog]) -> list[TaskLog]:
    return sorted(logs, key=lambda log: (log.written, log.attempt))


def place_of_log(runtime: Runtime, run_id: str, task: Mapping[str, Any], attempt: int) -> str:
    """Name where the log of a task's try is: in a file, or in the store if it is in none.

    Args:
        runtime: Whose.
        run_id: The run.
        task: As Airflow's API tells it.
        attempt: The try, from 1.
    """
    place = Path(f"dag_id={DAG_ID}", f"run_id={run_id}", f"task_id={task['task_id']}")
    place = place / (f"map_index={task['map_index']}" if task["map_index"] >= 0 else "") / f"attempt={attempt}.log"
    file = logs_folder(runtime) / place
    return str(file) if file.exists() or not runtime.storage else f"{runtime.storage}/{LOGS}/{place}"


def choose_task_log(
    logs: Iterable[TaskLog], task: str, run: str, attempt: int | None, index: int | None
) -> TaskLog:
    """Choose one log.

    Args:
        logs: Among these.
        task: The task's id, with or without its groups.
        run: The run; empty for the newest one that has such a task.
        attempt: The try; None for the last.
        index: Which one of a mapped task; None for the one that was written to last.

    Returns:
        The log.

    Raises:
        RefusedError: There is none.
    """
    logs = _in_order(log for log in logs if run in {"", log.run_id})
    if not logs:
        what = f"Run {run} has no log of a task." if run else "No task has run yet, so there is no log."
        raise RefusedError(what, "`make status` names the last run; `make run` starts one.")
    there = sorted({log.task_id for log in logs})
    logs = [
        log
        for log in logs
        if task in {log.task_id, log.task_id.rpartition(".")[2]} or log.task_id.endswith(f".{task}")
    ]
    if not logs:
        raise RefusedError(f"No run has a log of a task {task}.", f"These have one: {', '.join(there)}.")
    newest = logs[-1].run_id
    of_run = [log for log in logs if log.run_id == newest]
    if len(named := {log.task_id for log in of_run}) > 1:
        raise RefusedError(f"{task} may be any of {', '.join(sorted(named))}.", "Name it with its group.")
    tries = sorted({log.attempt for log in of_run})
    indexes = sorted({log.index for log in of_run if log.index is not None})
    chosen = [
        log
        for log in of_run
        if (index is None or log.index == index) and (attempt is None or log.attempt == attempt)
    ]
    if not chosen:
        mapped = f", indexes {', '.join(map(str, indexes))}" if indexes else ""
        raise RefusedError(
            f"There is no such log of {of_run[-1].task_id} in run {newest}.",
            f"There are: tries {', '.join(map(str, tries))}{mapped}.",
        )
    return chosen[-1] if attempt else max(chosen, key=lambda log: (log.attempt, log.written))


def read_events(path: Path, store: Store | None = None) -> list[Event]:
    """Read a task's log, from the store if one is given; what is no event of Airflow's becomes one.

    Raises:
        UnavailableError: The store does not answer.
    """
    try:
        content = path.read_bytes() if store is None else store.read(str(path)) or b""
    except FileNotFoundError:
        return []
    text = content.decode(errors="replace")
    return [as_event(line) for line in text.splitlines()]


def as_event(line: str) -> Event:
    """Read one line of a task's log."""
    try:
        event = json.loads(line)
    except ValueError:
        event = None
    return event if isinstance(event, dict) else {"event": line}


def is_error(event: Event) -> bool:
    """Return whether an event says that something failed."""
    return event.get("level") in _FAILED


def describe_event(event: Event, told: str = "", *, with_frames: bool) -> list[str]:
    """Put an event into lines that act on no terminal.

    Args:
        event: As Airflow wrote it.
        told: What needs no telling again.
        with_frames: Say where in the code an exception was raised, too.
    """
    lines = str(event.get("event", "")).splitlines() or [""]
    told += "\n".join(lines)
    for cause in reversed(event.get("error_detail") or []):
        kind, value = str(cause.get("exc_type", "")), str(cause.get("exc_value", ""))
        if with_frames:
            frames = cause.get("frames") or []
            lines += [f"  {frame.get('filename')}:{frame.get('lineno')} in {frame.get('name')}" for frame in frames]
        if value not in told:  # a wrapper repeats the words of what it wraps
            told += value
            lines += f"{kind}: {value}".splitlines()
    return [escape_text(line) for line in lines]


def find_cause(events: Iterable[Event]) -> Cause:
    """Find out from its log why a task failed.

    Args:
        events: Of its last try.

    Returns:
        The pipeline's own words where it has some; of other exceptions the type and the text.
    """
    seen = list(events)
    for event in reversed(seen):
        if causes := event.get("error_detail"):
            kinds = [str(cause.get("exc_type", "")) for cause in causes]
            # A library's error may be behind the pipeline's own.
            kind = next((kind for kind in kinds if kind in own_types()), kinds[-1])
            return _make_cause(kind, str(causes[0].get("exc_value", "")))
    errors = [event for event in seen if is_error(event)]
    if errors:
        return _make_cause("", str(errors[-1].get("event", "")))
    return Cause("", WITHOUT_A_WORD, READ_THE_LOG)


def _make_cause(kind: str, text: str) -> Cause:
    message, found, remedy = text.partition(SAYS_REMEDY)
    if found:
        return Cause(kind, escape_text(message), escape_text(remedy))
    if tests := describe_failed_tests(text):
        return Cause(kind, tests, TESTS_REMEDY)
    return Cause(kind, escape_text(text) or kind or WITHOUT_A_WORD, READ_THE_LOG)


def tell_errors(log: TaskLog, events: Iterable[Event]) -> Iterator[tuple[str, list[str]]]:
    """Yield each error of a task's log: when, and its lines, each with the task, the run and the try."""
    told = ""
    head = f"{log.name}, run {log.run_id}, try {log.attempt}: "
    for event in events:
        if not is_error(event):
            continue
        lines = describe_event(event, told, with_frames=False)
        told += "\n".join(lines)
        yield str(event.get("timestamp", "")), [escape_text(head) + line for line in lines]


def _written(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
