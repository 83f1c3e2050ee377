"""Where files lie: the input inside the data folder, the output of each attempt in a folder of its own."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import time
from collections.abc import Collection, Iterable
from datetime import datetime
from pathlib import Path

from audited_load.errors import RefusedError, UnavailableError, UnusableFileError
from audited_load.rights import readable
from audited_load.shown import show_text

RUNS = "runs"
KEPT_RUNS = 5
SHOWN_NAMES = 8
SETTLED_SECONDS = 10
MAX_WAIT_SECONDS = 60

_PLACEHOLDER = re.compile(r"\{[^{}]*\}")
_GLOB = re.compile(r"[*?\[]")
_GIVEN = re.compile(r"^given/[0-9a-f]{12}/")
_DELIVERY = re.compile(r"\.(csv|tsv|txt)(\.(gz|zst))?$", re.IGNORECASE)


def find_sources(data: Path, source: str, moment: datetime, own: Collection[str] = ()) -> list[str]:
    """Find the input files inside the data folder.

    Args:
        data: The data folder.
        source: A path relative to it: a file, a folder or a glob, with `{ds}` (2025-12-31) or `{ds_nodash}`
            (20251231) for the day of the run.
        moment: What the run is for, in UTC.
        own: Names of the pipeline's own files in the data folder, which are no input.

    Returns:
        Paths relative to the data folder, in order: where two files have a key, the later one wins.

    Raises:
        RefusedError: A path leads out of the data folder, or a placeholder is unknown.
        UnusableFileError: There is no such file.
    """
    days = {"{ds}": f"{moment:%Y-%m-%d}", "{ds_nodash}": f"{moment:%Y%m%d}"}
    wanted = _PLACEHOLDER.sub(lambda found: days.get(found[0], found[0]), source)
    if unknown := _PLACEHOLDER.findall(wanted):
        raise RefusedError(
            f"The source {source!r} has the unknown placeholder {unknown[0]}.", f"Known are {' and '.join(days)}."
        )
    if Path(wanted).is_absolute() or ".." in Path(wanted).parts:
        raise _outside(source)
    start = data / wanted
    with readable(start):
        paths = _choose(data, start, wanted, own)
    if not paths:
        with readable(data):
            there = _list_names(data, start)
        raise UnusableFileError(
            f"No file {wanted!r} in the data folder.",
            "Put the delivery there, or name another with the param `source`. Nothing was loaded."
            f" In that place lie: {there}.",
        )
    if not all(path.resolve().is_relative_to(data) for path in paths):
        raise _outside(source)
    return sorted(path.relative_to(data).as_posix() for path in paths)


def _choose(data: Path, start: Path, wanted: str, own: Collection[str]) -> list[Path]:
    """Find what a path or pattern means.

    Raises:
        RefusedError: It is a file that the pipeline wrote: the next run would write over its own input.
    """
    if start.is_dir():
        paths = [path for path in start.iterdir() if _DELIVERY.search(path.name)]
    elif _GLOB.search(wanted) and not start.exists():
        paths = list(data.glob(wanted))
    else:
        paths = [start] if start.exists() else []
    if start.is_file() and _is_own(start.relative_to(data), own):
        raise RefusedError(
            f"The source {wanted!r} is a file that the pipeline itself wrote, and writes again.",
            "Name the supplier's file; a copy under another name can be loaded, too. Nothing was loaded.",
        )
    if start.is_file():
        return paths
    parts = {path: path.relative_to(data) for path in paths if path.is_file()}
    return [
        path
        for path, part in parts.items()
        if not _is_own(part, own) and not any(name.startswith(".") for name in part.parts)
    ]


def _outside(source: str) -> RefusedError:
    return RefusedError(
        f"The source {source!r} lies outside the data folder.",
        "Give a path inside it, or use `customer-pipeline run FILE`, which copies the file in.",
    )


def _is_own(path: Path, own: Collection[str]) -> bool:
    return path.parts[0] == RUNS or str(path) in own


def _list_names(data: Path, start: Path) -> str:
    """Name a few files of the folder in which something was looked for."""
    folder = next((path for path in (start, *start.parents) if path.is_dir()), data)
    names = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    more = f" and {len(names) - SHOWN_NAMES} more" if names[SHOWN_NAMES:] else ""
    return ", ".join(map(show_text, names[:SHOWN_NAMES])) + more


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


def delivered_name(source: str) -> str:
    """Give the name by which a delivery is known: what `run FILE` brings in lies in a folder named by content."""
    return _GIVEN.sub("given/", source)


def attempt_folder(data: Path, run_id: str, attempt: int, number: int | None = None) -> Path:
    """Name the folder for the output of one attempt of one run, or of one of its files by number."""
    run = data / RUNS / re.sub(r"[^\w.+-]", "_", run_id)
    return (run if number is None else run / f"file-{number}") / f"attempt-{attempt}"


def hash_file(path: Path) -> str:
    """Give the sha256 of a file, as hexadecimal digits.

    Raises:
        UnusableFileError: It can't be read.
    """
    with readable(path), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def show_latest(out: Path, data: Path, names: Iterable[str]) -> None:
    """Show a run's files under their well-known names in the data folder.

    Args:
        out: Folder of the run's files; if it lacks one, the well-known name goes, too, as it is of another run.
        data: The data folder.
        names: The well-known names.
    """
    for name in names:
        if (out / name).exists():
            _show(out / name, data)
        else:
            (data / name).unlink(missing_ok=True)


def _show(file: Path, data: Path) -> None:
    """Give a run's file the well-known name in the data folder, as a hard link, in one step."""
    fresh = data / f".{file.name}.new"
    fresh.unlink(missing_ok=True)
    os.link(file, fresh)
    fresh.replace(data / file.name)


def remove_old_runs(data: Path, current: Path) -> None:
    """Remove the output of all but the newest runs; `current` is one of those that stay."""
    runs = [path for path in (data / RUNS).iterdir() if path.is_dir()]
    runs.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    for path in runs[KEPT_RUNS:]:
        if path not in current.parents:
            shutil.rmtree(path, ignore_errors=True)
