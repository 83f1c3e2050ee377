"""The folder in which deliveries arrive → those that are whole and new, each told once. Free of Airflow."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from audited_load.content import hash_file
from customer_pipeline.storing.deliveries import DELIVERY, SETTLED_SECONDS

INCOMING = "incoming"
MEMORY = ".arrivals.json"
"""Which files were told already, in the data folder."""
KEPT = 10_000
"""Of files that are gone."""

Identity: TypeAlias = tuple[int, int, int]
"""Number of the file on its disk, bytes, when it was written in nanoseconds: a new name changes none of them."""


@dataclass(frozen=True)
class Arrival:
    """A file that has arrived.

    Attributes:
        source: Its path in the data folder.
        sha256: Of its content.
        identity: What tells it from other files, and from what is written to its place later.
    """

    source: str
    sha256: str
    identity: Identity


@dataclass
class Arrivals:
    """What has arrived in a data folder.

    Attributes:
        data: The data folder; deliveries arrive in `incoming/`, at any depth.
        clock: Seconds, that only grow.
    """

    data: Path
    clock: Callable[[], float] = time.monotonic
    _seen: dict[Identity, float] = field(default_factory=dict)

    def look(self) -> list[Arrival]:
        """Return what is whole and was not told yet, in the order in which it was written.

        A file is whole when it has been the same for some seconds. What lies there at the very first look of all is
        taken for told: whoever turns this on knows of it.
        """
        found = self._find()
        told = self._read()
        if told is None:
            self._write(list(found))
            return []
        now, known = self.clock(), set(told)
        self._seen = {identity: self._seen.get(identity, now) for identity in found}
        arrivals = []
        for identity, path in sorted(found.items(), key=lambda item: (item[0][2], item[1])):
            if identity in known or not identity[1] or now - self._seen[identity] < SETTLED_SECONDS:
                continue
            with suppress(OSError):
                sha256 = hash_file(path)
                if _identify(path) == identity:
                    arrivals.append(Arrival(path.relative_to(self.data).as_posix(), sha256, identity))
        return arrivals

    def note(self, arrival: Arrival) -> None:
        """Note that a file was told. Killed before, it is told again, under the same identity."""
        told = [identity for identity in self._read() or [] if identity != arrival.identity]
        self._write([*told, arrival.identity][-max(KEPT, len(self._seen) + 1) :])

    def _find(self) -> dict[Identity, Path]:
        found: dict[Identity, Path] = {}
        for path in sorted((self.data / INCOMING).rglob("*")):
            parts = path.relative_to(self.data).parts
            if DELIVERY.search(path.name) and not any(part.startswith(".") for part in parts):
                with suppress(OSError):
                    if path.is_file():
                        found[_identify(path)] = path
        return found

    def _read(self) -> list[Identity] | None:
        try:
            return [tuple(one) for one in json.loads((self.data / MEMORY).read_text(encoding="utf-8"))]
        except FileNotFoundError:
            return None
        except ValueError:
            return []  # all are told again, under the ids of the same runs

    def _write(self, told: list[Identity]) -> None:
        fresh = self.data / f"{MEMORY}.new"
        fresh.write_text(json.dumps(told), encoding="utf-8")
        fresh.replace(self.data / MEMORY)


def _identify(path: Path) -> Identity:
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns
