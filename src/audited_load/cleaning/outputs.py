"""Where a command writes → checked: never over its own input, and over what is there only if that was asked for."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from audited_load.errors import RefusedError


def cleaned_and_rejected(out: Path, name: str) -> tuple[Path, Path]:
    """Name the two files that cleaning a feed of this name writes."""
    return out / f"{name}_cleaned.csv", out / f"{name}_rejected.csv"


def refuse_own_input(path: Path, outputs: Iterable[Path]) -> None:
    """Refuse to write over the file that is read, under whatever name it goes: link, hard link or other case.

    Args:
        path: What is to be read.
        outputs: What is to be written.

    Raises:
        RefusedError: One of them is that file.
    """
    for output in outputs:
        if _is_same(path, output):
            raise RefusedError(
                f"{path} is {output.name} of the output folder: cleaning it would overwrite it.",
                "Give another folder with --out, or move the file. Nothing was read or written.",
            )


def refuse_existing(outputs: Sequence[Path], *, force: bool) -> list[Path]:
    """Refuse to write over files that are there, since somebody may have worked on them.

    Args:
        outputs: What is to be written.
        force: They may be replaced.

    Returns:
        Those that are there, and are to be replaced.

    Raises:
        RefusedError: Some are there.
    """
    there = [output for output in outputs if os.path.lexists(output)]
    if there and not force:
        names = ", ".join(path.name for path in there)
        raise RefusedError(
            f"{names} in {there[0].absolute().parent}: already there.",
            "Name another place with --out, or add --force to replace it. Nothing was written.",
        )
    return there


@contextmanager
def opened_whole(path: Path, *, force: bool, mode: int = 0o600) -> Iterator[IO[bytes]]:
    """Open a file that appears under its name when it is whole, or not at all.

    Args:
        path: The file.
        force: Another one of that name may be replaced.
        mode: Who may read it.

    Raises:
        RefusedError: It is there already, by whoever came first.
        OSError: It can't be written.
    """
    with tempfile.TemporaryDirectory(dir=path.absolute().parent, prefix=".") as folder:
        fresh = Path(folder) / path.name
        fresh.touch(mode=0o600)
        with fresh.open("wb") as out:
            yield out
        fresh.chmod(mode)
        if not force:
            try:
                os.link(fresh, path)
            except OSError:  # it is there, or the disk knows no links
                refuse_existing([path], force=False)
            else:
                return
        fresh.replace(path)


def write_whole(path: Path, content: bytes, *, force: bool, mode: int = 0o600) -> None:
    """Write a file as `opened_whole` does, all of its content at once."""
    with opened_whole(path, force=force, mode=mode) as out:
        out.write(content)


def _is_same(path: Path, output: Path) -> bool:
    try:
        return path.samefile(output)
    except OSError:  # one of them is not there, or not to be seen
        return False
