"""Files → the same without one person: deliveries, cleaned files, rejected files, exports, whatever their names.

Each is replaced whole. A file that doesn't hold the person isn't touched, nor is one that is still being written.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from audited_load.erasing.raw_texts import RawLayout
from audited_load.erasing.rewriting import NOWHERE, Wanted, compressed, is_opaque, rewrite
from audited_load.erasing.settled import Identity, identify, is_being_written, wait_for_settled
from audited_load.errors import UnusableFileError
from audited_load.reading.source import hash_file

_LEFT_FOLDERS = (".cleaning-*", ".erasing-*")


@dataclass(frozen=True)
class ScrubbedFile:
    """A file that held somebody who is erased.

    Attributes:
        paths: Its names; several if it is hard-linked.
        records: How many records were scrubbed.
        before: Its sha256 as it was.
        after: Its sha256 now.
    """

    paths: tuple[Path, ...]
    records: int
    before: str
    after: str


@dataclass
class Folder:
    """What became of the files of a folder.

    Attributes:
        files: How many of them held the person.
        records: How many of their records.
        held: Those that hold the person now, by their first names.
        unread: Those that nobody can read as records, and that hold the digits of an id or can't be looked into.
        unsettled: Those that were left alone, since somebody is writing them.
    """

    files: int = 0
    records: int = 0
    held: list[Path] = field(default_factory=list)
    unread: list[Path] = field(default_factory=list)
    unsettled: list[Path] = field(default_factory=list)


Note = Callable[[ScrubbedFile], object]


def scrub_folder(
    folder: Path,
    wanted: Wanted,
    layouts_of: Callable[[Sequence[Path]], Sequence[RawLayout]],
    note: Note,
    seconds: float,
) -> Folder:
    """Scrub all files below a folder, whatever they are called, and remove what was killed on its way.

    Can be killed anywhere and called again: each file is replaced whole.

    Args:
        folder: The data folder.
        wanted: Who is to be erased.
        layouts_of: How the fields of rejected records may lie in a file of these names.
        note: Called for each file that is scrubbed, before it takes the place of the other.
        seconds: For how long a file must stay as it is, so that it counts as whole.

    Returns:
        What was done, and what was not.
    """
    done = Folder(unsettled=_remove_left(folder))
    linked = find_linked(folder)
    settled = wait_for_settled((paths[0] for paths in linked), seconds)
    for paths in linked:
        identity = settled.get(paths[0])
        if identity is None:
            if paths[0].exists():
                done.unsettled.append(paths[0])
            continue
        try:
            file = scrub_file(paths, identity, wanted, layouts_of(paths), note)
        except UnusableFileError:
            if is_opaque(paths[0], wanted):
                done.unread.append(paths[0])
            continue
        except _ChangedError:
            done.unsettled.append(paths[0])
            continue
        if file is not None:
            done.files, done.records = done.files + len(file.paths), done.records + file.records
    return done


def look_into_folder(
    folder: Path,
    wanted: Wanted,
    layouts_of: Callable[[Sequence[Path]], Sequence[RawLayout]],
    *,
    is_one_enough: bool = False,
) -> Folder:
    """Find the files of a folder that hold the person, and change nothing.

    Args:
        folder: As for `scrub_folder`.
        wanted: As for `scrub_folder`.
        layouts_of: As for `scrub_folder`.
        is_one_enough: Stop at the first one.
    """
    found = Folder()
    for paths in find_linked(folder):
        try:
            records = rewrite(paths[0], wanted, layouts_of(paths), NOWHERE)
        except UnusableFileError:
            if is_opaque(paths[0], wanted):
                found.unread.append(paths[0])
            continue
        if records:
            found.files, found.records = found.files + len(paths), found.records + records
            found.held.append(paths[0])
            if is_one_enough:
                break
    return found


class _ChangedError(Exception):
    """The file is no longer the one that was read."""


def scrub_file(
    paths: Sequence[Path],
    identity: Identity,
    wanted: Wanted,
    layouts: Sequence[RawLayout],
    note: Note = lambda _: None,
) -> ScrubbedFile | None:
    """Scrub one file: a delivery, a cleaned file, a rejected file or an export; compression and encoding stay.

    A file without these ids isn't touched.

    Args:
        paths: Its names; several if it is hard-linked.
        identity: What it was when it was found to be settled.
        wanted: Who is to be erased.
        layouts: How the fields of rejected records may lie.
        note: Called with what is about to be done.

    Returns:
        What was done; None if the file doesn't hold them.

    Raises:
        UnusableFileError: It can't be read as records with the subject's column.
    """
    path = paths[0]
    if not rewrite(path, wanted, layouts, NOWHERE):
        return None
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".erasing-") as folder:
        fresh = Path(folder) / path.name
        records = rewrite(path, wanted, layouts, lambda compression: compressed(fresh, compression))
        done = ScrubbedFile(tuple(paths), records, hash_file(path), hash_file(fresh))
        _require_same(paths, identity)
        note(done)
        shutil.copystat(path, fresh)
        if os.geteuid() == 0:
            os.chown(fresh, path.stat().st_uid, path.stat().st_gid)
        links = [Path(folder) / str(number) for number in range(len(paths))]
        for link in links:
            os.link(fresh, link)
        _require_same(paths, identity)
        for link, name in zip(links, paths, strict=True):
            link.replace(name)
    return done


def _require_same(paths: Sequence[Path], identity: Identity) -> None:
    """Look once more, right before the scrubbed copy takes the file's place."""
    if is_being_written(paths[0]) or any(identify(path) != identity for path in paths):
        raise _ChangedError


def find_linked(folder: Path) -> list[list[Path]]:
    """Find all files below a folder; the names of one file together."""
    linked: dict[tuple[int, int], list[Path]] = {}
    for path in sorted(folder.rglob("*")):
        with suppress(FileNotFoundError):
            if path.is_file() and not path.is_symlink():
                status = path.stat()
                linked.setdefault((status.st_dev, status.st_ino), []).append(path)
    return list(linked.values())


def _remove_left(folder: Path) -> list[Path]:
    """Remove the folders that killed processes left behind; give those that one still works in."""
    busy = []
    for left in _find_left(folder):
        lock = left / "lock"
        if lock.exists():
            with lock.open("a") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    busy.append(left)
                    continue
        shutil.rmtree(left, ignore_errors=True)
    return busy


def _find_left(folder: Path) -> Iterable[Path]:
    return [left for pattern in _LEFT_FOLDERS for left in folder.rglob(pattern) if left.is_dir()]
