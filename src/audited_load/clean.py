"""A dirty file → the cleaned file, the rejected file and the accounting of every record."""

from __future__ import annotations

import csv
import heapq
import shutil
import tempfile
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import polars as pl

from audited_load.blocks import SOURCE_RECORD, CleanedBlock, Layout, Reject, clean_block
from audited_load.columns import ControlTotal, Feed
from audited_load.duplicates import SUPERSEDED, KeyStore
from audited_load.errors import UnavailableError
from audited_load.records import cut_blocks
from audited_load.rejects import read_rejects, write_rejects
from audited_load.report import CleanReport, add_exact
from audited_load.source import Source, hash_file, inspect_file, normalise_name, read_chunks

CLEANED, REJECTED = "cleaned.csv", "rejected.csv"
"""Names in the work folder, until both files are whole."""

Progress = Callable[[int, int], None]
"""Called with the bytes and the records read so far."""


@dataclass
class _Tally:
    """Running sums over the blocks."""

    read: int = 0
    blank_lines: int = 0
    accepted: int = 0
    quarantined: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    changed: Counter[str] = field(default_factory=Counter)
    totals: dict[str, Decimal] = field(default_factory=dict)

    def add(self, block: CleanedBlock) -> None:
        self.read += block.read
        self.blank_lines += block.blank_lines
        self.accepted += block.keys.height
        self.quarantined += len(block.rejects)
        self.refused.update(block.refused)
        self.changed.update(block.changed)
        add_exact(self.totals, block.totals)


@dataclass(frozen=True)
class _Part:
    """Where the accepted records of one block lie in the cleaned file."""

    offset: int
    length: int


def clean_file(path: Path, feed: Feed, out: Path, progress: Progress | None = None) -> CleanReport:
    """Clean a file by the rules of a feed.

    Both files appear under their final names only when they are whole. They are the same bytes however
    often the file is cleaned.

    Args:
        path: The dirty file.
        feed: Its columns and their rules.
        out: Folder for the cleaned and the rejected file; made if absent.
        progress: Told how far it is, block by block.

    Returns:
        The accounting.

    Raises:
        UnusableFileError: The file can't be read as records of this feed.
        UnavailableError: The file changed meanwhile, or the disk has no room.
    """
    source = inspect_file(path, feed.names)
    positions = source.positions(feed.names)
    layout = Layout(feed, source.delimiter, len(source.header), tuple(positions))
    cleaned_name, rejected_name = f"{feed.name}_cleaned.csv", f"{feed.name}_rejected.csv"
    out.mkdir(parents=True, exist_ok=True)
    _check_room(out, source.bytes)
    with tempfile.TemporaryDirectory(prefix=".cleaning-", dir=out) as folder:
        work = Path(folder)
        keys = KeyStore(work, source.bytes)
        tally, parts = _clean_blocks(source, layout, work, keys, progress or (lambda _bytes, _records: None))
        losers = keys.find_losers()
        superseded = losers.filter(pl.col("fate") == SUPERSEDED)
        dropped = _drop_records(work / CLEANED, parts, losers["record"].to_list(), feed.totals)
        _add_superseded(work / REJECTED, source, superseded)
        if hash_file(path) != source.sha256:
            raise UnavailableError(
                f"{path.name}: the file changed while it was read.",
                "Wait until the delivery is complete, then run it again. Nothing was loaded.",
            )
        (work / CLEANED).replace(out / cleaned_name)
        (work / REJECTED).replace(out / rejected_name)
    add_exact(tally.totals, dropped, sign=-1)
    if superseded.height:
        tally.refused["record:superseded"] += superseded.height
    known = set(feed.names)
    return CleanReport(
        source=path.name,
        sha256=source.sha256,
        bytes=source.bytes,
        encoding=source.encoding,
        delimiter=source.delimiter,
        read=tally.read,
        accepted=tally.accepted - losers.height,
        quarantined=tally.quarantined + superseded.height,
        duplicates=losers.height - superseded.height,
        superseded=superseded.height,
        blank_lines=tally.blank_lines,
        reasons=dict(sorted(tally.refused.items())),
        rules=dict(sorted(tally.changed.items())),
        totals={name: str(value) for name, value in tally.totals.items()},
        ignored_columns=[name for name in source.header if normalise_name(name) not in known],
        cleaned_file=str(out / cleaned_name),
        rejected_file=str(out / rejected_name),
    )


def _clean_blocks(
    source: Source, layout: Layout, work: Path, keys: KeyStore, progress: Progress
) -> tuple[_Tally, list[_Part]]:
    tally, parts = _Tally(totals={total.name: Decimal(0) for total in layout.feed.totals}), []
    blocks = cut_blocks(
        read_chunks(source),
        layout.delimiter,
        layout.fields,
        offset=source.body_offset,
        first_line=source.body_line,
    )
    with (work / CLEANED).open("wb") as cleaned, write_rejects(work / REJECTED) as write:
        cleaned.write(",".join([*layout.feed.names, SOURCE_RECORD]).encode() + b"\n")
        for block in blocks:
            done = clean_block(block, layout, tally.read + 1)
            parts.append(_Part(cleaned.tell(), len(done.csv)))
            cleaned.write(done.csv)
            write(done.rejects)
            keys.add(done.keys)
            tally.add(done)
            progress(block.offset + len(block.data), tally.read)
    return tally, parts


def _drop_records(
    path: Path, parts: list[_Part], records: list[int], totals: tuple[ControlTotal, ...]
) -> dict[str, Decimal]:
    """Take records out of the cleaned file, and give their control totals."""
    dropped: dict[str, Decimal] = {}
    if not records:
        return dropped
    thinned = path.with_suffix(".thinned")
    with path.open("rb") as whole, thinned.open("wb") as out:
        header = whole.readline()
        out.write(header)
        names = header.decode().strip().split(",")
        position = 0
        for part in parts:
            whole.seek(part.offset)
            lines = whole.read(part.length).split(b"\n")[:-1]
            here = []
            while position < len(records) and lines and records[position] <= _record_of(lines[-1]):
                here.append(bisect_left(lines, records[position], key=_record_of))
                position += 1
            start = 0
            for index in here:
                out.writelines(line + b"\n" for line in lines[start:index])
                add_exact(dropped, _totals_of(lines[index], names, totals))
                start = index + 1
            out.writelines(line + b"\n" for line in lines[start:])
    thinned.replace(path)
    return dropped


def _record_of(line: bytes) -> int:
    return int(line[line.rfind(b",") + 1 :])


def _totals_of(line: bytes, names: list[str], totals: tuple[ControlTotal, ...]) -> dict[str, Decimal]:
    values = dict(zip(names, next(csv.reader([line.decode()])), strict=True))
    sums = {}
    for total in totals:
        factors = [values[name] for name in total.factors]
        product = Decimal(1)
        for factor in factors:
            product *= Decimal(factor or 0)
        sums[total.name] = product
    return sums


def _add_superseded(path: Path, source: Source, superseded: pl.DataFrame) -> None:
    """Put superseded records, as the file holds them, among the rejects."""
    if superseded.is_empty():
        return
    merged = path.with_suffix(".merged")
    with write_rejects(merged) as write:
        late = _superseded_rejects(source, superseded)
        rows = heapq.merge(read_rejects(path), late, key=lambda reject: reject.record)
        write(rows)
    merged.replace(path)


def _superseded_rejects(source: Source, superseded: pl.DataFrame) -> Iterator[Reject]:
    rows = superseded.select("record", "line", "offset", "length", "winner_line").iter_rows()
    for (record, line, offset, _, winner), raw in _read_spans(source, rows):
        reason = f"record:superseded: line {winner} has the same key and came later"
        yield Reject(record, line, offset, (reason,), raw)


def _read_spans(
    source: Source, rows: Iterable[tuple[int, int, int, int, int]]
) -> Iterator[tuple[tuple[int, int, int, int, int], bytes]]:
    """Read spans of the text, in order, in one pass over the file."""
    chunks = read_chunks(source)
    window, start = b"", source.body_offset
    for row in rows:
        offset, length = row[2], row[3]
        while start + len(window) < offset + length and (chunk := next(chunks, None)) is not None:
            keep = max(0, min(len(window), offset - start))
            window, start = window[keep:] + chunk, start + keep
        yield row, window[offset - start : offset - start + length].rstrip(b"\r\n")


def _check_room(folder: Path, source_bytes: int) -> None:
    needed, free = 3 * source_bytes + 2**24, shutil.disk_usage(folder).free
    if free < needed:
        raise UnavailableError(
            f"{folder}: {free // 2**20} MiB free, {needed // 2**20} MiB needed to clean the file.",
            "Make room on that disk, then run it again.",
        )
