"""Where cleaning writes → checked: never over its own input, and over earlier outputs only with a word."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

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


def find_existing(outputs: Sequence[Path]) -> list[Path]:
    """Give the outputs that are there already."""
    return [output for output in outputs if os.path.lexists(output)]


def _is_same(path: Path, output: Path) -> bool:
    try:
        return path.samefile(output)
    except OSError:  # one of them is not there, or not to be seen
        return False
