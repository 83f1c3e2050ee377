"""Parts of a file → the cleaned file and the rejected file, without the records that gave way to later ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import islice, pairwise
from pathlib import Path
from typing import BinaryIO, TypeAlias

import numpy as np
from numpy.typing import NDArray

from audited_load.clean_report import add_exact
from audited_load.cleaning.blocks import PLACE, scrub_rejects, sum_totals
from audited_load.cleaning.layout import Layout, Reject
from audited_load.cleaning.masking import mask_rejects
from audited_load.cleaning.parts import PartFiles
from audited_load.cleaning.rejects import HEADER, format_rejects
from audited_load.columns import SOURCE_RECORD, Feed
from audited_load.reading.source import Source, read_chunks

BATCH = 1_000
"""Superseded records at a time."""


REJECTED_HEADER = ",".join(HEADER).encode() + b"\n"


def cleaned_header(feed: Feed) -> bytes:
    """Return the first line of a cleaned file."""
    return ",".join([*feed.names, SOURCE_RECORD]).encode() + b"\n"


@dataclass
class Dropped:
    """What the records that gave way came to.

    Attributes:
        duplicates: How many were the same as their winner.
        superseded: How many were not.
        totals: Control totals of both.
    """

    duplicates: int = 0
    superseded: int = 0
    totals: dict[str, Decimal] = field(default_factory=dict)


def assemble_parts(
    folder: Path,
    parts: int,
    losers: NDArray[np.void],
    source: Source,
    layout: Layout,
    cleaned: Path,
    rejected: Path,
) -> Dropped:
    """Put the parts together, and remove them as they are used up.

    Args:
        folder: Where the parts lie.
        parts: How many there are.
        losers: The records that gave way, an array of `LOSER`.
        source: The file; the raw text of superseded records is read from it.
        layout: Its columns, and who was erased.
        cleaned: The cleaned file to write.
        rejected: The rejected file to write: refused records in order, then superseded ones in order.

    Returns:
        What was dropped.
    """
    feed, superseded = layout.feed, losers[losers["superseded"]]
    places = _find_places(folder, parts, superseded["part"], superseded["row"])
    winner_lines = _find_places(folder, parts, superseded["winner_part"], superseded["winner_row"])["line"]
    dropped = Dropped(len(losers) - len(superseded), len(superseded))
    with cleaned.open("wb") as accepted, rejected.open("wb") as refused:
        accepted.write(cleaned_header(feed))
        refused.write(REJECTED_HEADER)
        for part in range(parts):
            files = PartFiles(folder, part)
            first, last = np.searchsorted(losers["part"], [part, part + 1])
            lines = files.csv.read_bytes()
            kept, gone = split_lines(files.read_places, losers["row"][first:last], 0, len(lines))
            accepted.writelines(lines[start:end] for start, end in kept)
            if gone:
                add_exact(dropped.totals, sum_totals(b"".join([lines[start:end] for start, end in gone]), feed))
            refused.write(files.rejected.read_bytes())
            files.remove()
        chunks = read_chunks(source) if len(places) else iter(())
        write_superseded(refused, places, winner_lines, chunks, source.body_offset, layout)
    return dropped


Spans: TypeAlias = list[tuple[int, int]]


def split_lines(
    read_places: Callable[[], NDArray[np.void]], rows: NDArray[np.uint32], first: int, end: int
) -> tuple[Spans, Spans]:
    """Split lines of a cleaned file into those that stay and those of some rows.

    Args:
        read_places: Gives where each of them ends, as an array of `PLACE`; asked only if there are such rows.
        rows: Of those that go, in order.
        first: First byte of the lines.
        end: First byte after them.

    Returns:
        From where to where those are that stay, and those that go.
    """
    if not len(rows):
        return [(first, end)], []
    ends = read_places()["csv_end"].astype(np.int64)
    cuts = np.empty(2 * len(rows) + 2, np.int64)
    cuts[0], cuts[-1] = first, end
    cuts[1:-1:2] = np.where(rows > 0, ends[rows.astype(np.int64) - 1], first)
    cuts[2:-1:2] = ends[rows]
    spans = list(pairwise(cuts.tolist()))
    return spans[::2], spans[1::2]


def write_superseded(
    refused: BinaryIO,
    places: NDArray[np.void],
    winner_lines: NDArray[np.uint64],
    chunks: Iterator[bytes],
    start: int,
    layout: Layout,
) -> None:
    """Write superseded records to a rejected file, in the order of the file.

    Args:
        refused: The rejected file.
        places: Of the records, an array of `PLACE`.
        winner_lines: The line of the record that each gave way to.
        chunks: Bytes of records of the source, which hold all of them.
        start: Where in the source these begin.
        layout: Its columns, and who was erased.
    """
    rejects = _superseded_rejects(chunks, start, places, winner_lines)
    while batch := list(islice(rejects, BATCH)):
        refused.write(format_rejects(scrub_rejects(mask_rejects(batch, layout), layout)[0]).encode())


def _find_places(folder: Path, parts: int, part: NDArray[np.uint32], row: NDArray[np.uint32]) -> NDArray[np.void]:
    """Look up the places of records, in the given order."""
    order = np.argsort(part, kind="stable")
    cuts = np.searchsorted(part[order], np.arange(parts + 1))
    found = [
        PartFiles(folder, number).read_places()[row[order[start:end]]]
        for number, (start, end) in enumerate(pairwise(cuts.tolist()))
        if end > start
    ]
    places = np.concatenate(found) if found else np.empty(0, PLACE)
    back = np.empty(len(order), np.int64)
    back[order] = np.arange(len(order))
    return places[back]


def _superseded_rejects(
    chunks: Iterator[bytes], start: int, places: NDArray[np.void], winner_lines: NDArray[np.uint64]
) -> Iterator[Reject]:
    """Read superseded records from the source again, in order, in one pass."""
    window = b""
    for place, winner in zip(places.tolist(), winner_lines.tolist(), strict=True):
        record, line, offset, length, _ = place
        while start + len(window) < offset + length and (chunk := next(chunks, None)) is not None:
            keep = max(0, min(len(window), offset - start))
            window, start = window[keep:] + chunk, start + keep
        raw = window[offset - start : offset - start + length].rstrip(b"\r\n")
        reason = f"record:superseded: line {winner} has the same key and came later"
        yield Reject(record, line, offset, (reason,), raw)
