"""Files → the same without one person: deliveries, cleaned files, rejected files, exports, whatever their names.

Each is replaced whole. A file that doesn't hold the person isn't touched, nor is one that is still being written,
nor one with records that may be somebody else's. What is wrong with one file stops none of the others.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from audited_load.content import hash_file
from audited_load.erasing.found_files import find_files
from audited_load.erasing.rewriting import (
    NOWHERE,
    Out,
    Rewritten,
    UnsureError,
    Wanted,
    compressed,
    is_opaque,
    rewrite,
)
from audited_load.erasing.settled import Identity, identify, is_being_written, wait_for_settled
from audited_load.erasing.splitting import RawLayout
from audited_load.errors import UnusableFileError

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
        failed: Files and folders that could not be dealt with, and why.
        named: Those of which something else stays to be looked at, and what.
    """

    files: int = 0
    records: int = 0
    held: list[Path] = field(default_factory=list)
    unread: list[Path] = field(default_factory=list)
    unsettled: list[Path] = field(default_factory=list)
    failed: dict[Path, str] = field(default_factory=dict)
    named: dict[Path, str] = field(default_factory=dict)

    def note(self, paths: Sequence[Path], done: Rewritten) -> None:
        """Note what is to be named of a file that was read."""
        if done.is_title:
            self.add_name(paths[0], "a line above its header holds these digits")
        if done.lookalikes:
            text = f"{done.lookalikes} of its refused records hold these digits in a spelling that may be another's"
            self.add_name(paths[0], text)

    def add_name(self, path: Path, what: str) -> None:
        """Name something of a file."""
        self.named[path] = f"{self.named[path]}; {what}" if path in self.named else what


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
    linked = _find_linked(folder, wanted, done)
    settled = wait_for_settled((paths[0] for paths in linked), seconds)
    for paths in linked:
        identity = settled.get(paths[0])
        if identity is None:
            if paths[0].exists():
                done.unsettled.append(paths[0])
            continue
        links = _count_links(paths[0])
        with _collected(paths[0], wanted, done):
            file = scrub_file(paths, identity, wanted, layouts_of(paths), note)
            if file is not None:
                done.files, done.records = done.files + len(file.paths), done.records + file.records
                if links > len(paths):
                    done.add_name(
                        paths[0], "it had another name outside of the folder, under which it is as it was"
                    )
    return done


@contextmanager
def _collected(path: Path, wanted: Wanted, done: Folder) -> Iterator[None]:
    """Note what is wrong with a file, and let the others go on."""
    try:
        yield
    except UnusableFileError:
        if not os.access(path, os.R_OK):
            done.failed[path] = "it can't be read: its rights don't allow it"
        elif is_opaque(path, wanted):
            done.unread.append(path)
    except _ChangedError:
        done.unsettled.append(path)
    except (UnsureError, _OddFileError) as error:
        done.failed[path] = str(error)
    except OSError as error:
        if path.exists():
            done.failed[path] = f"{error.strerror or error}"


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
    for paths in _find_linked(folder, wanted, found):
        with _collected(paths[0], wanted, found):
            done = _rewrite(paths[0], wanted, layouts_of(paths), NOWHERE)
            found.note(paths, done)
            if done.records:
                found.files, found.records = found.files + len(paths), found.records + done.records
                found.held.append(paths[0])
        if found.held and is_one_enough:
            break
    return found


def _rewrite(path: Path, wanted: Wanted, layouts: Sequence[RawLayout], out: Out) -> Rewritten:
    """Rewrite one file; whatever happens that nobody thought of, says so of this file."""
    try:
        return rewrite(path, wanted, layouts, out)
    except (UnusableFileError, UnsureError, OSError):
        raise
    except Exception as error:
        raise _OddFileError(f"it can't be read: {type(error).__name__}") from error


class _OddFileError(Exception):
    """A file that nobody thought of."""


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
    if not _rewrite(path, wanted, layouts, NOWHERE).records:
        return None
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".erasing-") as folder:
        fresh = Path(folder) / path.name
        records = _rewrite(path, wanted, layouts, lambda compression: compressed(fresh, compression)).records
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


def _find_linked(folder: Path, wanted: Wanted, done: Folder) -> list[list[Path]]:
    """Find all files below a folder, the names of one file together, and note what else is to be looked at."""
    found = find_files(folder, wanted.digits)
    done.failed |= found.unread
    for path, what in found.named.items():
        done.add_name(path, what)
    return found.linked


def _count_links(path: Path) -> int:
    """Count a file's names, wherever they are."""
    try:
        return path.stat().st_nlink
    except OSError:
        return 0


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
