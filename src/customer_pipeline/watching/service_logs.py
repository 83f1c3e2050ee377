"""The logs of the services, processes or containers → entries that say something, each with time and service.

Left out is what buries the rest: the API's line about each request, and what tasks said, which has logs of its own.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from audited_load.errors import UnavailableError
from audited_load.shown import escape_text
from customer_pipeline.runtime.compose import SERVICES as CONTAINERS
from customer_pipeline.runtime.compose import compose_command
from customer_pipeline.runtime.installation import DOCKER, Runtime
from customer_pipeline.runtime.supervisor import log_file

NO_LOGS = "There are no logs yet: nothing was started."
READ_BYTES = 32 * 2**20
"""Of a log, at most this is looked at from its end: more than the supervisor lets one grow."""
LOOKED_AT = 20_000
"""So many lines of a log are looked at, since most of the API's are left out."""
_STAMPED = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d(?:\.\d+)?)\S* \[(\w+)\s*\] (.*)")
_POSTGRES = re.compile(r"(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d(?:\.\d+)?) \S+ \[\d+\] (\w+): +(.*)")
_OF_CONTAINER = re.compile(r"(\S+?)[-_]\d+ +\| ?(.*)")
_IS_REQUEST = re.compile(r'\[http\.access\]|"(?:GET|HEAD|POST|PUT|PATCH|DELETE) \S+ HTTP/')
_OF_TASK = re.compile(r" map_index=.* task_id=\S+ ti_id=\S+ try_number=")


@dataclass
class Entry:
    """What a service, or a task, said at one moment.

    Attributes:
        time: As text that sorts by time; empty if it is not known.
        source: Who said it.
        lines: What.
    """

    time: str
    source: str
    lines: list[str] = field(default_factory=list)

    @property
    def says_something(self) -> bool:
        """Whether it is neither about a request nor of a task."""
        return not any(_IS_REQUEST.search(line) or _OF_TASK.search(line) for line in self.lines)


def make_entries(source: str, lines: Iterable[str]) -> Iterator[Entry]:
    """Put the lines of a service together by what it said at one moment: only its first line has a time.

    Args:
        source: The service.
        lines: Of its log, in order.

    Yields:
        What says something, its level in capitals.
    """
    entry: Entry | None = None
    for raw in lines:
        line = escape_text(raw.rstrip("\r\n"))
        if match := _STAMPED.match(line) or _POSTGRES.match(line):
            if entry and entry.says_something:
                yield entry
            day, time, level, text = match.groups()
            entry = Entry(f"{day}T{time}", source, [f"{level.upper():<8} {text}"])
        elif entry:
            entry.lines.append(line)
        elif line.strip():
            entry = Entry("", source, [line])
    if entry and entry.says_something:
        yield entry


def last_entries(runtime: Runtime, service: str, number: int) -> list[Entry]:
    """Return the last entries of a service that say something.

    Args:
        runtime: Where it runs.
        service: Its name.
        number: How many lines at most, but one entry at least.
    """
    return keep_last(make_entries(service, last_lines(runtime, service, LOOKED_AT)), number)


def keep_last(entries: Iterable[Entry], number: int) -> list[Entry]:
    """Keep the last entries: so many lines at most, but one entry at least unless none are wanted."""
    kept: list[Entry] = []
    left = number
    for entry in reversed(list(entries)):
        if left <= 0 or (kept and len(entry.lines) > left):
            break
        left -= len(entry.lines)
        kept.append(entry)
    return kept[::-1]


def last_lines(runtime: Runtime, service: str, number: int) -> list[str]:
    """Return the last lines of a service's log, as they were written.

    Args:
        runtime: Where it runs.
        service: Its name.
        number: How many lines at most.

    Raises:
        UnavailableError: Docker does not tell.
    """
    if number <= 0:
        return []
    if runtime.kind == DOCKER:
        command, environment = compose_command(
            runtime, "logs", "--no-color", f"--tail={number}", CONTAINERS[service]
        )
        done = subprocess.run(command, env=environment, capture_output=True, check=False)
        if done.returncode:
            said = escape_text(done.stderr.decode(errors="replace").strip())
            raise UnavailableError(f"Docker does not tell the log of {service}: {said}", "Correct what it names.")
        lines = done.stdout.decode(errors="replace").splitlines()
        return [match[2] for line in lines if (match := _OF_CONTAINER.match(line))][-number:]
    try:
        with log_file(runtime, service).open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - READ_BYTES))
            return file.read().decode(errors="replace").splitlines()[-number:]
    except FileNotFoundError:
        return []


def has_log(runtime: Runtime, service: str) -> bool:
    """Return whether a service has a log, be it empty; of a container it is not known."""
    return runtime.kind != DOCKER and log_file(runtime, service).exists()


class GrowingFile:
    """A log that goes on: gives what was written since it was asked last, in whole lines.

    Args:
        path: The file; it may not be there yet, and may be begun anew.
        from_start: Give also what is there already.
    """

    def __init__(self, path: Path, *, from_start: bool = False) -> None:
        self._path, self._rest = path, b""
        self._identity, size = self._look()
        self._offset = 0 if from_start else size

    def _look(self) -> tuple[int, int]:
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return 0, 0
        return found.st_ino, found.st_size

    def new_lines(self) -> list[str]:
        """Return the lines that are new."""
        identity, size = self._look()
        if identity != self._identity or size < self._offset:
            self._identity, self._offset, self._rest = identity, 0, b""
        if size == self._offset:
            return []
        with self._path.open("rb") as file:
            file.seek(self._offset)
            text = self._rest + file.read()
            self._offset = file.tell()
        *lines, self._rest = text.split(b"\n")
        return [line.decode(errors="replace") for line in lines]


class GrowingContainers:
    """The logs of containers that go on.

    Args:
        runtime: Where they run.
        services: Our names of them.
        last: How many lines of each are to come first.
    """

    def __init__(self, runtime: Runtime, services: Sequence[str], last: int = 0) -> None:
        names = [CONTAINERS[service] for service in services]
        command, environment = compose_command(runtime, "logs", "--no-color", "--follow", f"--tail={last}", *names)
        self._process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE)
        self._names = {container: service for service, container in CONTAINERS.items()}
        self._rest = b""
        if self._process.stdout:
            os.set_blocking(self._process.stdout.fileno(), False)

    def new_lines(self) -> list[tuple[str, str]]:
        """Return the services and lines that are new."""
        read = (self._process.stdout.read() if self._process.stdout else b"") or b""
        *lines, self._rest = (self._rest + read).split(b"\n")
        matches = [_OF_CONTAINER.match(line.decode(errors="replace")) for line in lines]
        return [(self._service(match[1]), match[2]) for match in matches if match]

    def _service(self, container: str) -> str:
        """Name the service of a container: with its project's name before, under releases that put it there."""
        return next((service for name, service in self._names.items() if container.endswith(name)), container)

    @property
    def has_ended(self) -> bool:
        """Whether compose follows no longer."""
        return self._process.poll() is not None

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait()
