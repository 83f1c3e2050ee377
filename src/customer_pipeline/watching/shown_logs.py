"""`customer-pipeline logs`: what services said, which errors tasks ended with, or all that one task said."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from audited_load.errors import PipelineError, RefusedError
from audited_load.shown import escape_text
from audited_load.storage import WAIT_SECONDS
from customer_pipeline.runtime.installation import DOCKER, Runtime, read_runtime
from customer_pipeline.runtime.store import open_store
from customer_pipeline.runtime.supervisor import log_file
from customer_pipeline.watching.service_logs import (
    LOOKED_AT,
    NO_LOGS,
    Entry,
    GrowingContainers,
    GrowingFile,
    has_log,
    keep_last,
    last_entries,
    last_lines,
    make_entries,
)
from customer_pipeline.watching.task_logs import (
    Event,
    TaskLog,
    as_event,
    choose_task_log,
    describe_event,
    find_stored_logs,
    find_task_logs,
    read_events,
    tell_errors,
)

POLL_SECONDS = 0.5
_RECENT_LOGS = 500
"""Logs of tasks in which errors are looked for: some twenty runs."""
_TASK = "task"
_DOCKER_STARTS_SECONDS = 2.0
"""Without a line for so long, Docker has handed on what containers had said; the first may take five times that."""
_STORE_WAITS_SECONDS = 5.0
"""Where there are other logs to look at."""


def show_together(names: Sequence[str], lines: int, *, follow: bool) -> int:
    """Print the last lines of services in order of time, without requests to the API, and the last errors of tasks.

    Args:
        names: The services.
        lines: How many of each.
        follow: Go on until somebody interrupts.

    Returns:
        0.

    Raises:
        RefusedError: There are no logs yet.
    """
    runtime = read_runtime()
    width = max(map(len, [*names, _TASK]))
    if follow:
        _follow(runtime, names, lines, width)
    entries = [entry for name in names for entry in last_entries(runtime, name, lines)]
    entries += _last_errors(runtime, lines)
    if not entries:
        raise RefusedError(NO_LOGS, "Start it with `make up`.")
    _print_in_order(entries, width)
    return 0


def show_service(service: str, lines: int, *, follow: bool) -> int:
    """Print the last lines of one service's log, requests to the API and all else.

    Args:
        service: Which.
        lines: How many.
        follow: Go on until somebody interrupts.

    Returns:
        0.

    Raises:
        RefusedError: There is none yet.
    """
    runtime = read_runtime()
    if not follow:
        said = last_lines(runtime, service, lines)
        if lines and not said and not has_log(runtime, service):
            raise RefusedError(NO_LOGS, "Start it with `make up`.")
        _print_lines(said)
        return 0
    with _growing(runtime, [service], lines) as new_lines:
        while True:
            for _, new in new_lines():
                _print_lines(new)
            sys.stdout.flush()
            time.sleep(POLL_SECONDS)


def show_task(
    task: str, run: str, attempt: int | None, index: int | None, lines: int | None, *, follow: bool
) -> int:
    """Print what a task said.

    Args:
        task: Its id, with or without its groups.
        run: The run; empty for the newest with such a task.
        attempt: The try; None for the last.
        index: Which one of a mapped task; None for the one that was written to last.
        lines: How many events from the end; None for all.
        follow: Go on until somebody interrupts.

    Returns:
        0.

    Raises:
        RefusedError: There is no such log.
        UnavailableError: The store, which may have it, does not answer.
    """
    log = choose_task_log(_logs_anywhere(read_runtime(), run), task, run, attempt, index)
    sys.stdout.write(f"{log.name}, run {log.run_id}, try {log.attempt}\n")
    growing = GrowingFile(log.path, from_start=True)
    is_growing = follow and log.store is None
    events = [as_event(line) for line in growing.new_lines()] if is_growing else read_events(log.path, log.store)
    _print_events(events if lines is None else events[-lines:] if lines else [])
    if follow and log.store:
        sys.stderr.write("This log is in the store, where it comes when a try ends or waits: it is not followed.\n")
    while is_growing:
        sys.stdout.flush()
        time.sleep(POLL_SECONDS)
        _print_events(map(as_event, growing.new_lines()))
    return 0


def _logs_anywhere(runtime: Runtime, run: str) -> list[TaskLog]:
    """Find logs of tasks in the folder, and in the store if there is one: while it is away, those will do."""
    found = find_task_logs(runtime, run)
    if runtime.storage:
        try:
            store = open_store(runtime, _STORE_WAITS_SECONDS if found else WAIT_SECONDS)
            found += find_stored_logs(store, run)
        except PipelineError as error:
            if not found:
                raise
            sys.stderr.write(f"Logs of other machines were not looked for. {error}\n\n")
    return found


def _print_lines(lines: Iterable[str]) -> None:
    sys.stdout.writelines(f"{escape_text(line.expandtabs())}\n" for line in lines)


def _print_events(events: Iterable[Event]) -> None:
    for event in events:
        time_and_level = f"{_short(str(event.get('timestamp', ''))):<19} {str(event.get('level', '')).upper():<8}"
        for line in describe_event(event, with_frames=True):
            sys.stdout.write(f"{time_and_level} {line}\n")


def _print_in_order(entries: Iterable[Entry], width: int) -> None:
    for entry in sorted(entries, key=lambda entry: entry.time):
        _print(entry, width)


def _print(entry: Entry, width: int) -> None:
    for line in entry.lines:
        sys.stdout.write(f"{_short(entry.time):<19} {entry.source:<{width}} {line}\n")


def _short(stamp: str) -> str:
    """Cut a time to seconds."""
    return stamp[:19].replace("T", " ")


def _last_errors(runtime: Runtime, lines: int) -> list[Entry]:
    """Return the last errors of tasks, the newest at the end."""
    found: list[Entry] = []
    for log in find_task_logs(runtime)[-_RECENT_LOGS:]:
        found += [_error(stamp, told) for stamp, told in tell_errors(log, read_events(log.path))]
    found.sort(key=lambda entry: entry.time)
    return found[-lines:] if lines > 0 else []


def _error(stamp: str, lines: list[str]) -> Entry:
    return Entry(stamp.removesuffix("Z"), _TASK, [f"{'ERROR':<8} {line}" for line in lines])


def _follow(runtime: Runtime, names: Sequence[str], lines: int, width: int) -> NoReturn:
    """Print the last lines, and go on with those that come: a service's are of one reading, so none is lost."""
    tasks = _NewErrors(runtime)
    errors = _last_errors(runtime, lines)
    with _growing(runtime, names, LOOKED_AT) as new_lines:
        said = _read_all_at_hand(new_lines, _DOCKER_STARTS_SECONDS if runtime.kind == DOCKER else 0)
        entries = [entry for name, new in said.items() for entry in keep_last(make_entries(name, new), lines)]
        _print_in_order([*entries, *errors], width)
        while True:
            sys.stdout.flush()
            time.sleep(POLL_SECONDS)
            for name, new in new_lines():
                for entry in make_entries(name, new):
                    _print(entry, width)
            for entry in tasks.find():
                _print(entry, width)


def _read_all_at_hand(new_lines: Callable[[], list[tuple[str, list[str]]]], seconds: float) -> dict[str, list[str]]:
    """Read what services have said, by name, until none says more for so long."""
    said: dict[str, list[str]] = {}
    until, latest = time.monotonic() + 5 * seconds, 0.0  # Docker takes its time
    while True:
        try:
            new = new_lines()
        except RefusedError:
            if said:
                return said
            raise
        for name, lines in new:
            said.setdefault(name, []).extend(lines)
        now = time.monotonic()
        if new:
            latest = latest or now + 15 * seconds  # some service may never be quiet
            until = min(now + seconds, latest)
        if now >= until:
            return said
        if not new:
            time.sleep(POLL_SECONDS)


@contextmanager
def _growing(
    runtime: Runtime, names: Sequence[str], last: int = 0
) -> Iterator[Callable[[], list[tuple[str, list[str]]]]]:
    """Give a function that returns what services said since it was asked last; at first, their last lines."""
    if runtime.kind == DOCKER:
        containers = GrowingContainers(runtime, names, last)

        def read_containers() -> list[tuple[str, list[str]]]:
            said: dict[str, list[str]] = {}
            has_ended = containers.has_ended  # before what it said last is read
            for service, line in containers.new_lines():
                said.setdefault(service, []).append(line)
            if has_ended and not said:
                raise RefusedError(
                    "No container writes a log any more: the stack is down.", "Start it with `make up`."
                )
            return list(said.items())

        try:
            yield read_containers
        finally:
            containers.close()
    else:
        files = [(name, GrowingFile(log_file(runtime, name), from_start=last > 0)) for name in names]
        first = [(name, file.new_lines()[-last:]) for name, file in files] if last else []

        def read_files() -> list[tuple[str, list[str]]]:
            found = [*first, *((name, file.new_lines()) for name, file in files)]
            first.clear()
            return [(name, lines) for name, lines in found if lines]

        yield read_files


class _NewErrors:
    """Errors of tasks from now on."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._files: dict[Path, GrowingFile] = {}
        for log in find_task_logs(runtime):
            self._files[log.path] = GrowingFile(log.path)

    def find(self) -> list[Entry]:
        found: list[Entry] = []
        for log in find_task_logs(self._runtime)[-_RECENT_LOGS:]:
            file = self._files.setdefault(log.path, GrowingFile(log.path, from_start=True))
            events = [as_event(line) for line in file.new_lines()]
            found += [_error(stamp, told) for stamp, told in tell_errors(log, events)]
        return found
