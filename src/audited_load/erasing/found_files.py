"""A folder → its files, those with several names together; and what can't be looked into, or only looked at."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class FoundFiles:
    """What is below a folder.

    Attributes:
        linked: Its files; the names of one file together.
        unread: Folders that can't be looked into, and files of which nothing can be told, and why.
        named: Names that hold the digits of an id, and links that lead out of the folder.
    """

    linked: list[list[Path]] = field(default_factory=list)
    unread: dict[Path, str] = field(default_factory=dict)
    named: dict[Path, str] = field(default_factory=dict)


def find_files(folder: Path, digits: re.Pattern[bytes]) -> FoundFiles:
    """Find all files below a folder.

    Args:
        folder: Where to look.
        digits: What names are looked through for.
    """
    found, linked = FoundFiles(), dict[tuple[int, int], list[Path]]()
    root = folder.resolve()
    for path in sorted(_walk(folder, found)):
        if digits.search(os.fsencode(path.name)):
            found.named[path] = "its name holds these digits"
        if path.is_symlink():
            target = path.resolve()
            if target != root and root not in target.parents:
                found.named[path] = "it leads out of the folder, and what is there was not looked at"
            continue
        try:
            status = path.stat()
        except FileNotFoundError:
            continue
        except OSError as error:
            found.unread[path] = error.strerror or str(error)
            continue
        if stat.S_ISREG(status.st_mode):
            linked.setdefault((status.st_dev, status.st_ino), []).append(path)
    found.linked = list(linked.values())
    return found


def _walk(folder: Path, found: FoundFiles) -> Iterator[Path]:
    def note(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            found.unread[Path(os.fsdecode(error.filename))] = error.strerror or str(error)

    for above, folders, files in os.walk(folder, onerror=note):
        for name in [*folders, *files]:
            yield Path(above) / name
