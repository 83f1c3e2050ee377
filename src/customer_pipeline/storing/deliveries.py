"""Where files lie: the input inside the data folder, the output of each attempt in a folder of its own."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from audited_load import content
from audited_load.command import command
from audited_load.errors import RefusedError, UnavailableError, UnusableFileError
from audited_load.shown import show_text, storable_name
from audited_load.warehouse.rights import readable

RUNS = "runs"
SHOWN_NAMES = 8
SETTLED_SECONDS = 10
MAX_WAIT_SECONDS = 60

MAX_NAME_BYTES = 255
MAX_PARTS = 32
MAX_SHOWN_SOURCE = 200
"""Characters of a source in a message."""

_PLACEHOLDER = re.compile(r"\{[^{}]*\}")
_GLOB = re.compile(r"[*?\[]")
_ODD_BYTE = re.compile(r"\\x[89a-f][0-9a-f]")
_GIVEN = re.compile(r"^given/[0-9a-f]{12}/")
DELIVERY = re.compile(r"\.(csv|tsv|txt)(\.(gz|zst))?$", re.IGNORECASE)


def find_sources(
    data: Path, source: str, moment: datetime, own: Collection[str] = (), *, is_literal: bool = False
) -> list[str]:
    r"""Find the input files inside the data folder.

    Args:
        data: The data folder.
        source: A path relative to it: a file, a folder or a glob, with `{ds}` (2025-12-31) or `{ds_nodash}`
            (20251231) for the day of the run.
        moment: What the run is for, in UTC.
        own: Names of the pipeline's own files in the data folder, which are no input.
        is_literal: Whether the source is the name of one file as it is, whatever is in it.

    Returns:
        Paths relative to the data folder, in order: where two files have a key, the later one wins. Of a name that
        is no UTF-8, the odd bytes are written as `\xe9`; `locate_source` refuses it.

    Raises:
        RefusedError: A path leads out of the data folder, a placeholder is unknown, or no file has such a name.
        UnusableFileError: There is no such file.
    """
    days = {"{ds}": f"{moment:%Y-%m-%d}", "{ds_nodash}": f"{moment:%Y%m%d}"}
    wanted = source if is_literal else _PLACEHOLDER.sub(lambda found: days.get(found[0], found[0]), source)
    if not is_literal and (unknown := _PLACEHOLDER.findall(wanted)):
        raise RefusedError(
            f"The source {_show(source)} has the unknown placeholder {show_text(unknown[0])}.",
            f"Known are {' and '.join(days)}.",
        )
    if Path(wanted).is_absolute() or ".." in Path(wanted).parts:
        raise _outside(source)
    start = data / wanted
    if not (is_literal and start.exists()):
        _require_possible(wanted)
    with readable(start):
        paths = _choose(data, start, wanted, own)
    if not paths:
        with readable(data):
            there = _list_names(data, start)
        raise UnusableFileError(
            f"No file {_show(wanted)} in the data folder.",
            "Put the delivery there, or name another with the param `source`. Nothing was loaded."
            f" In that place lie: {there}.",
        )
    if not all(path.resolve().is_relative_to(data) for path in paths):
        raise _outside(source)
    names = sorted(storable_name(path.relative_to(data).as_posix()) for path in paths)
    if alike := {before for before, after in pairwise(names) if before == after}:
        raise RefusedError(
            f"Two files have names that can't be told apart when written: {list_few(sorted(alike))}.",
            "Rename one of them. Nothing was loaded.",
        )
    return names


def locate_source(data: Path, source: str) -> Path:
    """Return the place of a file that was found, on this machine.

    Args:
        data: The data folder.
        source: As `find_sources` gave it.

    Raises:
        UnusableFileError: Its name is no UTF-8, so that the ledger can't name it; or it is gone.
    """
    path = data / source
    with readable(path):
        if path.is_file():
            return path
    name = show_text(source, MAX_SHOWN_SOURCE)
    if _ODD_BYTE.search(source):
        raise UnusableFileError(
            f"The name of {name} is not UTF-8: what begins with a backslash and x stands for a byte of it.",
            "Rename the file, then run again. Nothing of it was loaded.",
        )
    raise UnusableFileError(f"{name} is gone: it was there when the run began.", "Put it there, then run again.")


def require_few(sources: Collection[str], most: int) -> None:
    """Check that there are not more files than one run takes.

    Raises:
        RefusedError: There are.
    """
    if len(sources) > most:
        example = command("run --source 'incoming/2025-12-*.csv' --mode merge")
        raise RefusedError(
            f"These are {len(sources)} files, and one run takes {most}.",
            f"Bring them in by parts, as in {example}; or raise AIRFLOW__CORE__MAX_MAP_LENGTH in"
            " src/customer_pipeline/runtime/airflow.env, then `make restart`. Nothing was loaded.",
        )


def _require_possible(wanted: str) -> None:
    """Refuse what no file's name can be, and patterns that can't be followed."""
    parts, shown = Path(wanted).parts, _show(wanted)
    name = "Give a file, a folder or a pattern such as incoming/*.csv. Nothing was loaded."
    if "\0" in wanted or storable_name(wanted) != wanted:
        raise RefusedError(f"The source {shown} holds a character that can't be in a file's name.", name)
    if any(len(os.fsencode(part)) > MAX_NAME_BYTES for part in parts):
        raise RefusedError(f"The source {shown} has a name of more than {MAX_NAME_BYTES} bytes.", name)
    if len(parts) > MAX_PARTS:
        raise RefusedError(
            f"The source {shown} leads through {len(parts)} folders; {MAX_PARTS} are the most.", name
        )
    if any("**" in part and part != "**" for part in parts) or parts.count("**") > 1:
        raise RefusedError(
            f"The source {shown} is no pattern: `**` stands alone between slashes, and once.",
            "Write it as in incoming/**/*.csv. Nothing was loaded.",
        )


def _show(source: str) -> str:
    return f"'{show_text(source, MAX_SHOWN_SOURCE)}'"


def _choose(data: Path, start: Path, wanted: str, own: Collection[str]) -> list[Path]:
    """Find what a path or pattern means.

    Raises:
        RefusedError: It is a file that the pipeline wrote: the next run would write over its own input.
    """
    if start.is_dir():
        paths = [path for path in start.iterdir() if DELIVERY.search(path.name)]
    elif _GLOB.search(wanted) and not start.exists():
        paths = list(data.glob(wanted))
    else:
        paths = [start] if start.exists() else []
    if start.is_file() and _is_own(start.relative_to(data), own):
        raise RefusedError(
            f"The source {_show(wanted)} is a file that the pipeline itself wrote, and writes again.",
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
        f"The source {_show(source)} lies outside the data folder.",
        f"Give a path inside it, or use {command('run FILE')}, which copies the file in.",
    )


def _is_own(path: Path, own: Collection[str]) -> bool:
    return path.parts[0] == RUNS or str(path) in own


def _list_names(data: Path, start: Path) -> str:
    """Name a few files of the folder in which something was looked for."""
    folder = next((path for path in (start, *start.parents) if path.is_dir()), data)
    names = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    return list_few(names)


def list_few(names: Sequence[str]) -> str:
    """Name a few of many, so that a terminal shows them."""
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
                f"{show_text(path.name)} is still being written.", "Run again when the delivery is complete."
            )
        before = now


def delivered_name(source: str) -> str:
    """Return the name by which a delivery is known: what `run FILE` brings in lies in a folder named by content."""
    return _GIVEN.sub("given/", source)


def attempt_folder(data: Path, run_id: str, attempt: int, number: int | None = None) -> Path:
    """Name the folder for the output of one attempt of one run, or of one of its files by number."""
    run = data / RUNS / re.sub(r"[^\w.+-]", "_", run_id)
    return (run if number is None else run / f"file-{number}") / f"attempt-{attempt}"


def hash_file(path: Path) -> str:
    """Return the sha256 of a file, as hexadecimal digits.

    Raises:
        UnusableFileError: It can't be read.
    """
    with readable(path):
        return content.hash_file(path)


def show_latest(out: Path, data: Path, names: Iterable[str]) -> None:
    """Show a run's files under their well-known names in the data folder.

    Args:
        out: Folder of the run's files; if it lacks one, the well-known name goes, too, as it is of another run.
        data: The data folder.
        names: The well-known names.
    """
    for name in names:
        if (out / name).exists():
            _link(out / name, data)
        else:
            (data / name).unlink(missing_ok=True)


def _link(file: Path, data: Path) -> None:
    """Give a run's file the well-known name in the data folder, as a hard link, in one step."""
    fresh = data / f".{file.name}.new"
    fresh.unlink(missing_ok=True)
    os.link(file, fresh)
    fresh.replace(data / file.name)


def remove_old_runs(data: Path, current: Path, kept: int) -> None:
    """Remove the output of all runs but the newest, `kept` of them; `current` is one of those that stay."""
    runs = [path for path in (data / RUNS).iterdir() if path.is_dir()]
    runs.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    for path in runs[kept:]:
        if path not in current.parents:
            shutil.rmtree(path, ignore_errors=True)
