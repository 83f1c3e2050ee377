"""One file → its content without one person, and how many records that changes; nothing of the file itself."""

from __future__ import annotations

import csv
import gzip
import io
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import zstandard

from audited_load.blocks import Layout, read_texts
from audited_load.columns import Feed
from audited_load.erasing.raw_texts import BATCH, RawLayout, read_ids, scrub_refused, scrub_texts, split_reasons
from audited_load.errors import UnusableFileError
from audited_load.reading.compression import NoDigest, expand_file, find_compression
from audited_load.reading.dialect import normalise_name
from audited_load.reading.encoding import encode_text
from audited_load.reading.formats import name_binary_format
from audited_load.reading.records import Block, cut_blocks, find_records
from audited_load.reading.source import Source, inspect_file, read_chunks, read_head
from audited_load.rejects import HEADER, guard_formula, unguard_formula

Out = Callable[[str | None], AbstractContextManager[IO[bytes] | None]]
"""Opens what is written to, for a compression."""
REASONS, RAW = HEADER[-2:]


def NOWHERE(_: str | None) -> AbstractContextManager[None]:  # noqa: N802 - it stands for a place
    """Write nothing."""
    return nullcontext()


@dataclass(frozen=True)
class Wanted:
    """Who is to be erased.

    Attributes:
        feed: The columns, and which of them is the subject.
        ids: Whose.
    """

    feed: Feed
    ids: frozenset[int]


def rewrite(path: Path, wanted: Wanted, layouts: Sequence[RawLayout], out: Out) -> int:
    """Write a delivery, a cleaned file, a rejected file or an export anew; compression and encoding stay.

    Args:
        path: The file.
        wanted: Who is to be erased.
        layouts: How the fields of rejected records may lie.
        out: Where to.

    Returns:
        How many records change.

    Raises:
        UnusableFileError: It can't be read as records with the subject's column.
    """
    feed = wanted.feed
    try:
        source = inspect_file(path, HEADER, HEADER[0])
    except UnusableFileError:
        source = inspect_file(path, feed.names, feed.key, required=[feed.subject], is_for_people=False)
    names = [normalise_name(name) for name in source.dialect.header]
    with out(source.compression) as file:
        if feed.subject not in names:
            return _rewrite_rejected(path, wanted, layouts, file)
        return _rewrite_delivery(source, wanted, layouts, file)


def compressed(path: Path, compression: str | None) -> IO[bytes]:
    """Open a file to be written with a compression."""
    if compression == "gzip":
        return gzip.GzipFile(path, "wb", mtime=0)  # type: ignore[return-value]
    if compression == "zstd":
        return zstandard.open(path, "wb")  # type: ignore[no-any-return]
    return path.open("wb")


def is_opaque(path: Path, wanted: Wanted) -> bool:
    """Tell of a file that is none of records whether it holds the digits of an id, or can't be looked into."""
    pattern = re.compile(rb"(?<![0-9])0*(?:%s)(?![0-9])" % b"|".join(str(number).encode() for number in wanted.ids))
    before = b""
    try:
        with path.open("rb") as file:
            head = file.read(4096)
        size = path.stat().st_size
        for chunk in expand_file(path, find_compression(head), size, NoDigest()):
            if not before and name_binary_format(chunk):
                return True
            # Text of two bytes a character shows its digits, too.
            if pattern.search((before + chunk).replace(b"\0", b"")):
                return True
            before = chunk[-64:]
    except UnusableFileError:
        return True
    except OSError:
        return path.exists()
    return False


def _rewrite_delivery(source: Source, wanted: Wanted, layouts: Sequence[RawLayout], out: IO[bytes] | None) -> int:
    """Write a file of records anew; give the number of those that changed."""
    subject = source.positions([wanted.feed.subject])[0]
    layout = Layout(wanted.feed, source.dialect, ())
    own = RawLayout(source.dialect.header, source.dialect.delimiter)
    raw_place = own.place_of(RAW)

    def write(text: bytes) -> None:
        if out is not None:
            out.write(encode_text(text, source.encoding))

    if out is not None:
        out.write(source.encoding.mark)
        write(read_head(source))
    changed = 0
    for block in cut_blocks(
        read_chunks(source), source.dialect, offset=source.body_offset, first_line=source.body_line
    ):
        position, spans = 0, _suspects(block, layout, subject, wanted, is_any=raw_place is not None)
        lines = [block.data[start:end] for start, end in spans]
        raws = [line.rstrip(b"\r\n").decode(errors="surrogateescape") for line in lines]
        texts = scrub_texts(raws, [own], wanted.feed, wanted.ids.intersection)
        if raw_place is not None:
            quoted = _scrub_quoted(raws, own, wanted, layouts)
            texts = [text or more for text, more in zip(texts, quoted, strict=True)]
        for (start, end), line, text in zip(spans, lines, texts, strict=True):
            if text is not None:
                ending = line[len(line.rstrip(b"\r\n")) :]
                write(block.data[position:start] + text.encode(errors="surrogateescape") + ending)
                position, changed = end, changed + 1
        write(block.data[position:])
    return changed


def _suspects(block: Block, layout: Layout, subject: int, wanted: Wanted, *, is_any: bool) -> list[tuple[int, int]]:
    """Find the records that are the subject's, and all of which that can't be told yet."""
    records = find_records(block, layout.dialect)
    rows = range(len(records.starts))
    if not is_any:
        good = np.flatnonzero(records.faults == 0)
        texts = read_texts(block, records, good, layout).to_series(subject).fill_null("")
        distinct = texts.unique()
        found = zip(distinct.to_list(), read_ids(distinct.to_list(), wanted.feed), strict=True)
        suspect = [text for text, number in found if number in wanted.ids or (number is None and text)]
        chosen = texts.is_in(suspect).to_numpy()
        rows = sorted([*good[chosen].tolist(), *np.flatnonzero(records.faults).tolist()])  # type: ignore[assignment]
    return [(int(records.starts[row]), int(records.ends[row])) for row in rows]


def _scrub_quoted(
    raws: Sequence[str], own: RawLayout, wanted: Wanted, layouts: Sequence[RawLayout]
) -> list[str | None]:
    """Scrub the raw records that an export of the quarantine quotes, each in a column of its own."""
    places = [own.place_of(RAW), own.place_of(REASONS)]
    texts: list[str | None] = []
    for raw in raws:
        rows = list(csv.reader(io.StringIO(raw, newline=""), delimiter=own.delimiter))
        if len(rows) != 1 or len(rows[0]) != len(own.header):
            texts.append(None)
            continue
        cells = rows[0]
        inner = unguard_formula(cells[places[0] or 0])
        reasons = split_reasons(cells[places[1]], wanted.feed) if places[1] is not None else []
        (scrubbed,) = scrub_refused([inner], [reasons], layouts, wanted.feed, wanted.ids.intersection)
        if scrubbed is None:
            texts.append(None)
            continue
        cells[places[0] or 0] = guard_formula(scrubbed[0])
        if places[1] is not None:
            cells[places[1]] = "; ".join(scrubbed[1])
        line = io.StringIO()
        csv.writer(line, delimiter=own.delimiter, lineterminator="", quoting=csv.QUOTE_ALL).writerow(cells)
        texts.append(line.getvalue())
    return texts


def _rewrite_rejected(path: Path, wanted: Wanted, layouts: Sequence[RawLayout], out: IO[bytes] | None) -> int:
    """Write a rejected file anew; give the number of records that changed."""
    changed, feed = 0, wanted.feed
    text = io.TextIOWrapper(
        out if out is not None else io.BytesIO(), encoding="utf-8", newline="", write_through=True
    )
    text.write(",".join(HEADER) + "\n")
    writer = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    for rows in _batches(_rejected_rows(path)):
        raws, reasons = [row[-1] for row in rows], [split_reasons(row[3], feed) for row in rows]
        scrubbed = scrub_refused(raws, reasons, layouts, feed, wanted.ids.intersection)
        for row, fresh in zip(rows, scrubbed, strict=True):
            changed += fresh is not None
            raw, why = (row[-1], row[3]) if fresh is None else (fresh[0], "; ".join(fresh[1]))
            if out is not None:
                writer.writerow([*map(int, row[:3]), why, guard_formula(raw)])
    text.detach()
    return changed


def _rejected_rows(path: Path) -> Iterator[list[str]]:
    """Read a rejected file: number, line, offset, reasons and the raw text without its guard."""
    csv.field_size_limit(2**31 - 1)
    with path.open(newline="", encoding="utf-8") as file:
        rows = csv.reader(file)
        next(rows)
        for row in rows:
            yield [*row[:-1], row[-1][1:] if row[-1].startswith("'") else row[-1]]


def _batches(rows: Iterator[list[str]]) -> Iterator[list[list[str]]]:
    batch: list[list[str]] = []
    for row in rows:
        batch.append(row)
        if len(batch) == BATCH:
            yield batch
            batch = []
    yield batch
