"""`customer-pipeline sample`: a seeded file of dirty transactions, and what a cleaner must find in it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from audited_load.cleaning.outputs import opened_whole, refuse_existing
from audited_load.errors import UnavailableError
from audited_load.shown import escape_text
from customer_pipeline.sample.generator import write_sample


def make_sample(
    out: Path, rows: int, seed: int, dirt: float, *, truth_file: Path | None = None, force: bool = False
) -> int:
    """Write a sample, and its truth if asked for.

    Args:
        out: The file; `-` for standard output. A device or a pipe is written into.
        rows: Records.
        seed: Another seed gives another file.
        dirt: Share of records that can't be repaired, from 0 to 1.
        truth_file: For the truth, as JSON.
        force: Replace files that are there.

    Returns:
        0.

    Raises:
        RefusedError: A file is there already.
        UnavailableError: A file can't be written.
    """
    files = [path for path in (out, truth_file) if path is not None and _is_regular(path)]
    refuse_existing([path.resolve() for path in files], force=force)
    place = out
    try:
        with _opened(place, force=force) as file:
            truth = write_sample(file, rows, seed, dirt)
        if truth_file is not None:
            place = truth_file
            with _opened(place, force=force) as file:
                file.write((json.dumps(truth, indent=2) + "\n").encode())
    except BrokenPipeError:
        raise
    except OSError as error:
        raise UnavailableError(
            f"{place}: can't be written: {error.strerror or error}.",
            "Check the folder, your rights and the free disk space, then run it again.",
        ) from error
    sys.stderr.write(
        f"{escape_text(str(out))}: {truth['read']:,} records, {truth['accepted']:,} to be accepted,"
        f" {truth['quarantined']:,} to be quarantined ({truth['superseded']:,} superseded),"
        f" {truth['duplicates']:,} duplicates\n"
    )
    return 0


def _is_regular(path: Path) -> bool:
    """Return whether a path is, or would be, a file that can be replaced."""
    return str(path) != "-" and (path.is_file() or not path.exists())


@contextmanager
def _opened(path: Path, *, force: bool) -> Iterator[IO[bytes]]:
    if str(path) == "-":
        yield sys.stdout.buffer
    elif _is_regular(path):
        with opened_whole(path.resolve(), force=force, mode=0o644) as out:  # the file behind a link, not the link
            yield out
    else:
        with path.open("wb") as out:
            yield out
