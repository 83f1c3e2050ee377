"""Where files lie: the input inside the data folder, the output of each attempt in a folder of its own."""

from __future__ import annotations

import os
import re
import shutil
import time
from pathlib import Path

from audited_load.errors import RefusedError, UnavailableError, UnusableFileError

KEPT_RUNS = 5
SETTLED_SECONDS = 10
MAX_WAIT_SECONDS = 60


def resolve_source(data: Path, source: str) -> Path:
    """Find the input file inside the data folder.

    Args:
        data: The data folder.
        source: A path relative to it.

    Returns:
        The path, with symbolic links resolved.

    Raises:
        RefusedError: The path leads out of the data folder.
        UnusableFileError: There is no such file.
    """
    path = (data / source).resolve()
    if not path.is_relative_to(data):
        raise RefusedError(
            f"The source {source!r} lies outside the data folder.",
            "Give a path inside it, or use `customer-pipeline run FILE`, which copies the file in.",
        )
    if not path.exists():
        raise UnusableFileError(
            f"No file {source!r} in the data folder.",
            "Put the delivery there, or name another with the param `source`. Nothing was loaded.",
        )
    return path


def wait_until_settled(path: Path) -> None:
    """Wait while a file is still being written.

    Raises:
        UnavailableError: It still grows after a minute.
    """
    deadline = time.monotonic() + MAX_WAIT_SECONDS
    before = path.stat()
    if time.time() - before.st_mtime > SETTLED_SECONDS:
        return
    while True:
        time.sleep(1)
        now = path.stat()
        if (now.st_size, now.st_mtime_ns) == (before.st_size, before.st_mtime_ns):
            return
        if time.monotonic() > deadline:
            raise UnavailableError(
                f"{path.name} is still being written.", "Run again when the delivery is complete."
            )
        before = now


def attempt_folder(data: Path, run_id: str, attempt: int) -> Path:
    """Name the folder for the output of one attempt of one run."""
    return data / "runs" / re.sub(r"[^\w.+-]", "_", run_id) / f"attempt-{attempt}"


def show_latest(file: Path, data: Path) -> None:
    """Give a run's file the well-known name in the data folder, as a hard link, in one step."""
    fresh = data / f".{file.name}.new"
    fresh.unlink(missing_ok=True)
    os.link(file, fresh)
    fresh.replace(data / file.name)


def remove_old_runs(data: Path, current: Path) -> None:
    """Remove the output of all but the newest runs; `current` is one of those that stay."""
    runs = [path for path in (data / "runs").iterdir() if path.is_dir()]
    runs.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    for path in runs[KEPT_RUNS:]:
        if path not in current.parents:
            shutil.rmtree(path, ignore_errors=True)
