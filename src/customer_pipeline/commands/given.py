"""`run FILE`: a file from outside → `given/DIGEST/NAME` in data folder or store, which names its content."""

from __future__ import annotations

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
from audited_load.storage import Store, Stored
from audited_load.warehouse.rights import CORRECT_RIGHTS, readable
from customer_pipeline.contract_of_run import BROUGHT, PATTERN, REPLAYED
from customer_pipeline.storing.folder_lock import locked_folder
from customer_pipeline.storing.kept_objects import DATA

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


def plain_name(path: Path) -> str:
    """Return a file's name without what a shell, a pattern or a page could stumble over."""
    return re.sub(r"[^\w.-]+", "_", path.name).lstrip(".-") or "file"


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


def give_object(store: Store, file: Path, data: Path) -> tuple[str, str]:
    """Copy a file of this machine to the deliveries in a store, under a key that names its content.

    Args:
        store: The store.
        file: The file.
        data: The data folder of this machine: repaired records keep their path below it.

    Returns:
        Its path among the deliveries, and its sha256.

    Raises:
        UnusableFileError: It is no regular file, or can't be read.
        UnavailableError: It changes meanwhile, or the store is away.
    """
    with readable(file, OSError):
        path = file.resolve()
        if not path.is_file():
            problem = "not a regular file" if path.exists() else "no such file"
            raise UnusableFileError(f"{file}: {problem}.", "Check the path. Nothing was loaded.")
        before, digest = path.stat(), hash_file(path)
        if path.is_relative_to(data / REPLAYED):
            source = path.relative_to(data).as_posix()
        else:
            source = f"{GIVEN}/{digest[:DIGITS]}/{plain_name(path)}"
        # Put again if it is there: what counts as old is found by its time.
        store.upload(path, f"{DATA}/{source}")
        after = path.stat()
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise UnavailableError(
            f"{file} is still being written.", "Run again when it is complete. Nothing was loaded."
        )
    return source, digest


def prune_given_objects(store: Store, needed: Collection[str]) -> None:
    """Remove what was given before, as `prune_given` does in a folder.

    Args:
        store: The store.
        needed: Paths that runs are to read, or full sha256 of what readers see.
    """
    given: dict[str, list[Stored]] = {}
    for stored in store.find(f"{DATA}/{GIVEN}/"):
        given.setdefault(stored.key.split("/")[2], []).append(stored)
    kept = {path.split("/")[1] for path in needed if path.startswith(f"{GIVEN}/")}
    kept |= {path[:DIGITS] for path in needed}
    times = {
        name: max(one.modified.timestamp() for one in given[name]) for name in given if _DIGEST.fullmatch(name)
    }
    for name in sorted(times, key=lambda name: times[name], reverse=True)[KEPT_GIVEN:]:
        if name not in kept and time.time() - times[name] > KEPT_SECONDS:
            store.delete([stored.key for stored in given[name]])


def share_contracts(store: Store, data: Path) -> None:
    """Copy the contracts that were brought to this machine into the store, for those who clean."""
    for path in sorted((data / BROUGHT).glob(PATTERN)):
        store.put_if_absent(f"{DATA}/{BROUGHT}/{path.name}", path.read_bytes())


def _copy(path: Path, data: Path) -> tuple[str, str]:
    folder = data / GIVEN
    folder.mkdir(parents=True, exist_ok=True)
    name = plain_name(path)
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
    with locked_folder(folder):
        for path in folder.iterdir():
            if path.is_dir() and (path.name.startswith(_PARTIAL) or _OLD_PARTIAL.fullmatch(path.name)):
                shutil.rmtree(path, ignore_errors=True)
        yield
