"""Logs and artifacts → those that hold the digits of an id; they are nobody's to rewrite, so they are named."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

MAX_LINE_BYTES = 2**20


@dataclass(frozen=True)
class Trace:
    """A file with lines that hold the digits of an id.

    Attributes:
        path: The file.
        lines: How many.
        named: On how many of them the subject's column is named, too.
    """

    path: Path
    lines: int
    named: int


def find_traces(folders: Iterable[Path], ids: Collection[int], subject: str) -> list[Trace]:
    """Find the files below some folders that hold the digits of an id; those that name the column come first.

    Args:
        folders: Where logs and artifacts lie; files, too. What is not there, holds nothing.
        ids: Whose.
        subject: The column that holds the id.
    """
    members = b"|".join(str(number).encode() for number in ids)
    # Not in a time, an address or an amount.
    digits = re.compile(rb"(?<![0-9])(?<![0-9][.:/\-])0*(?:%s)(?:\.0+)?(?![0-9])(?![.:/\-][0-9])" % members)
    found = [
        trace
        for folder in folders
        for path in _files(folder)
        if (trace := _look(path, digits, subject.encode())) is not None
    ]
    return sorted(found, key=lambda trace: (-trace.named, -trace.lines, trace.path))


def _files(folder: Path) -> Iterator[Path]:
    for path in [folder] if folder.is_file() else sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            yield path


def _look(path: Path, digits: re.Pattern[bytes], subject: bytes) -> Trace | None:
    lines = named = 0
    try:
        with path.open("rb") as file:
            while line := file.readline(MAX_LINE_BYTES):
                if digits.search(line):
                    lines, named = lines + 1, named + (subject in line)
    except OSError:
        return None
    return Trace(path, lines, named) if lines else None
