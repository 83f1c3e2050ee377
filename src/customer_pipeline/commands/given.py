"""`run FILE`: a file from outside → `given/DIGEST/NAME` in the data folder, which never holds another content."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import tempfile
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from audited_load.content import hash_file
from audited_load.errors import UnavailableError, UnusableFileError
from audited_load.warehouse.rights import CORRECT_RIGHTS, readable

GIVEN = "given"
"""A folder of its own in the data folder: where deliveries arrive, a later merge takes all files."""
DIGITS = 12
KEPT_GIVEN = 5
KEPT_SECONDS = 3600
"""Between the copy and its run, services may have to start."""
_PARTIAL = ".given-"
_DIGEST = re.compile(rf"[0-9a-f]{{{DIGITS}}}")
# What a killed command of an earlier commit left.
_OLD_PARTIAL = re.compile(r"\.[a-z0-9_]{8}")


def bring_in(file: Path, data: Path) -> tuple[str, str]:
    """Copy a file from outside into the data folder, under a path that names its content.

    Returns:
        Its path inside the data folder, and its sha256.

    Raises:
        UnusableFileError: It is no regular file, or can't be read.
        UnavailableError: It changes meanwhile, or can't be copied.
    """
    with readable(file, OSError):
        path = file.resolve()
        is_file, exists = path.is_file(), path.exists()
    if not is_file:
        problem = "not a regular file" if exists else "no such file"
        raise UnusableFileError(f"{file}: {problem}.", "Check the path. Nothing was loaded.")
    try:
        before = path.stat()
        if path.is_relative_to(data):
            source, digest = str(path.relative_to(data)), hash_file(path)
        else:
            source, digest = _copy(path, data)
        after = path.stat()
    except PermissionError as error:
        raise UnusableFileError(f"{error.filename}: {error.strerror}.", CORRECT_RIGHTS) from error
    except OSError as error:
        raise UnavailableError(
            f"{file} can't be copied to {data / GIVEN}: {error.strerror}.", "Check the disk, then run again."
        ) from error
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise UnavailableError(
            f"{file} is still being written.", "Run again when it is complete. Nothing was loaded."
        )
    return source, digest


def prune_given(data: Path, needed: Collection[str]) -> None:
    """Remove what was given before, but for the newest, those of the last hour, and those that are needed.

    Args:
        data: The data folder.
        needed: Paths in it that runs are to read, or full sha256 of what readers see.
    """
    folder = data / GIVEN
    if not folder.is_dir():
        return
    with _only_one(folder):
        kept = {
            Path(path).parts[1] for path in needed if Path(path).parts[:1] == (GIVEN,) and len(Path(path).parts) > 1
        }
        kept |= {path[:DIGITS] for path in needed}
        own = [path for path in folder.iterdir() if _DIGEST.fullmatch(path.name) and path.is_dir()]
        own.sort(key=lambda path: path.stat().st_mtime, reverse=True)
        for path in own[KEPT_GIVEN:]:
            if path.name not in kept and time.time() - path.stat().st_mtime > KEPT_SECONDS:
                shutil.rmtree(path, ignore_errors=True)


def _copy(path: Path, data: Path) -> tuple[str, str]:
    folder = data / GIVEN
    folder.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"[^\w.-]+", "_", path.name).lstrip(".-") or "file"
    with _only_one(folder), tempfile.TemporaryDirectory(dir=folder, prefix=_PARTIAL) as partial:
        fresh = Path(partial) / name
        shutil.copyfile(path, fresh)
        digest = hash_file(fresh)
        target = folder / digest[:DIGITS] / name
        target.parent.mkdir(exist_ok=True)
        # Another content of that name can only be the same delivery without somebody who was erased.
        if not target.exists() or hash_file(target) != digest:
            fresh.replace(target)
        os.utime(target.parent)
    return str(target.relative_to(data)), digest


@contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    """Keep other commands away; the lock goes with its process, so what lies half there now is of a dead one."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        for path in folder.iterdir():
            if path.is_dir() and (path.name.startswith(_PARTIAL) or _OLD_PARTIAL.fullmatch(path.name)):
                shutil.rmtree(path, ignore_errors=True)
        yield
    finally:
        os.close(descriptor)
