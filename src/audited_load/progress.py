"""How far a cleaning is → a small file beside its output, for whoever looks on from another process.

It is for people: whatever goes wrong with it, the cleaning goes on.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

Progress = Callable[[int, int], None]
"""Called with the bytes of the file that were cleaned, and with their records."""

PROGRESS_FILE = ".progress.json"
WRITE_SECONDS = 0.3


@dataclass(frozen=True)
class Cleaned:
    """How far a cleaning is.

    Attributes:
        bytes: Of the file, as it lies on the disk, that were cleaned.
        total: Bytes of the file.
        records: That were cleaned.
        seconds: Since it began.
    """

    bytes: int
    total: int
    records: int
    seconds: float


def measured(total: int, show: Callable[[Cleaned], object]) -> Progress:
    """Make a callback that shows how far it is, now and then.

    Args:
        total: Bytes of the file.
        show: Takes what is to be shown. What it raises is forgotten.
    """
    started, last = time.monotonic(), float("-inf")

    def progress(done: int, records: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= WRITE_SECONDS or done >= total:
            last = now
            with suppress(Exception):
                show(Cleaned(done, total, records, now - started))

    return progress


@contextmanager
def progress_in_file(out: Path, source: Path) -> Iterator[Progress]:
    """Keep a file in a folder while the block runs, which says how far the cleaning of another file is."""
    path = out / PROGRESS_FILE
    fresh = path.with_suffix(".new")

    def write(cleaned: Cleaned) -> None:
        out.mkdir(parents=True, exist_ok=True)
        fresh.write_text(json.dumps(asdict(cleaned)))
        fresh.replace(path)

    total = 0
    with suppress(OSError):
        total = source.stat().st_size
    try:
        yield measured(total, write)
    finally:
        for left in (path, fresh):
            with suppress(OSError):
                left.unlink(missing_ok=True)


def read_progress(out: Path) -> Cleaned | None:
    """Read how far the cleaning into a folder is; None if it has not begun, or has ended."""
    try:
        return Cleaned(**json.loads((out / PROGRESS_FILE).read_text()))
    except (OSError, ValueError, TypeError):
        return None
