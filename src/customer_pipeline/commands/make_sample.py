"""`customer-pipeline sample`: a seeded file of dirty transactions, and what a cleaner must find in it."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from audited_load.cleaning.outputs import opened_whole, refuse_existing
from audited_load.errors import UnavailableError
from customer_pipeline.sample.generator import DEFAULT_DIRT, write_sample


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--rows", type=_count, required=True, help="records to write")
    parser.add_argument("--seed", type=int, required=True, help="another seed gives another file")
    parser.add_argument("--out", required=True, type=Path, help="file to write, - for standard output")
    text = "share of records that can't be repaired, from 0 to 1 (default %(default)s)"
    parser.add_argument("--dirt", type=_ratio, default=DEFAULT_DIRT, help=text)
    parser.add_argument("--truth", type=Path, help="write what a cleaner must find to this JSON file")
    parser.add_argument("--force", action="store_true", help="replace the files if they are there")


def run(arguments: argparse.Namespace) -> int:
    """Do what the command line says; gives the exit code."""
    given = arguments
    return make_sample(given.out, given.rows, given.seed, given.dirt, truth_file=given.truth, force=given.force)


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
    try:
        with _opened(out, force=force) as file:
            truth = write_sample(file, rows, seed, dirt)
        if truth_file is not None:
            with _opened(truth_file, force=force) as file:
                file.write((json.dumps(truth, indent=2) + "\n").encode())
    except BrokenPipeError:
        raise
    except OSError as error:
        raise UnavailableError(
            f"{error.filename or out}: can't be written: {error.strerror or error}.",
            "Check the folder, your rights and the free disk space, then run it again.",
        ) from error
    sys.stderr.write(
        f"{out}: {truth['read']:,} records, {truth['accepted']:,} to be accepted, {truth['quarantined']:,} to be"
        f" quarantined ({truth['superseded']:,} superseded), {truth['duplicates']:,} duplicates\n"
    )
    return 0


def _is_regular(path: Path) -> bool:
    """Tell whether a path is, or would be, a file that can be replaced."""
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


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of records")
    return int(text)


def _ratio(text: str) -> float:
    try:
        ratio = float(text)
    except ValueError:
        ratio = -1.0
    if not 0 <= ratio <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a share from 0 to 1")
    return ratio
