"""Files → the same without one person: deliveries, cleaned files, rejected files, exports, whatever their names.

Each is replaced whole; a file that doesn't hold the person isn't touched.
"""

from __future__ import annotations

import csv
import gzip
import io
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import polars as pl
import zstandard

from audited_load.blocks import Layout, read_texts
from audited_load.columns import Feed
from audited_load.erasure import BATCH, RawLayout, read_ids, scrub_texts
from audited_load.errors import UnusableFileError
from audited_load.reading.dialect import normalise_name
from audited_load.reading.encoding import encode_text
from audited_load.reading.records import Block, cut_blocks, find_records
from audited_load.reading.source import Source, hash_file, inspect_file, read_chunks, read_head
from audited_load.rejects import HEADER, guard_formula

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


Note = Callable[[ScrubbedFile], object]


def find_ids(cleaned: Path, rejected: Path, feed: Feed) -> set[int]:
    """Find all ids of the subject that a cleaned file holds, and all that a rejected file may hold."""
    column = pl.scan_csv(cleaned, schema_overrides={feed.subject: pl.Int64}).select(pl.col(feed.subject).unique())
    ids = {number for number in column.collect().to_series() if number is not None}
    for row in _rejected_rows(rejected):
        ids.update(int(digits) for digits in re.findall(r"[0-9]{1,20}", row[-1]))
    return ids


def scrub_folder(
    folder: Path, feed: Feed, layouts: Sequence[RawLayout], ids: frozenset[int], note: Note
) -> list[Path]:
    """Scrub all files below a folder, whatever they are called, and remove what was killed on its way.

    Can be killed anywhere and called again: each file is replaced whole.

    Args:
        folder: The data folder; nobody else may write to it meanwhile.
        feed: The columns.
        layouts: How the fields of rejected records lay in their files.
        ids: Who is to be erased.
        note: Called for each file that is scrubbed, before it takes the place of the other.

    Returns:
        The files that nobody can read as records but that hold the digits of an id.
    """
    for pattern in _LEFT_FOLDERS:
        for left in list(folder.rglob(pattern)):
            shutil.rmtree(left, ignore_errors=True)
    linked: dict[tuple[int, int], list[Path]] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            status = path.stat()
            linked.setdefault((status.st_dev, status.st_ino), []).append(path)
    unread = []
    for paths in linked.values():
        try:
            scrub_file(paths, feed, layouts, ids, note)
        except UnusableFileError:
            if _holds_digits(paths[0], ids):
                unread.append(paths[0])
    return unread


def scrub_file(
    paths: Sequence[Path],
    feed: Feed,
    layouts: Sequence[RawLayout],
    ids: frozenset[int],
    note: Note = lambda _: None,
) -> ScrubbedFile | None:
    """Scrub one file: a delivery, a cleaned file, a rejected file or an export; compression and encoding stay.

    A file without these ids isn't touched.

    Args:
        paths: Its names; several if it is hard-linked.
        feed: The columns.
        layouts: How the fields of rejected records lay in their files.
        ids: Who is to be erased.
        note: Called with what is about to be done.

    Returns:
        What was done; None if the file doesn't hold them.

    Raises:
        UnusableFileError: It can't be read as records with the subject's column.
    """
    path = paths[0]
    try:
        source = inspect_file(path, HEADER, HEADER[0])
    except UnusableFileError:
        source = inspect_file(path, feed.names, feed.key, required=[feed.subject], is_for_people=False)
    names = [normalise_name(name) for name in source.dialect.header]
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".erasing-") as folder:
        fresh = Path(folder) / path.name
        with _compressed(fresh, source.compression) as out:
            if feed.subject in names:
                records = _scrub_delivery(source, feed, ids, out)
            else:
                records = _scrub_rejected(path, feed, layouts, ids, out)
        if not records:
            return None
        done = ScrubbedFile(tuple(paths), records, hash_file(path), hash_file(fresh))
        note(done)
        shutil.copystat(path, fresh)
        if os.geteuid() == 0:
            os.chown(fresh, path.stat().st_uid, path.stat().st_gid)
        for number, name in enumerate(paths):
            link = Path(folder) / str(number)
            os.link(fresh, link)
            link.replace(name)
    return done


def _scrub_delivery(source: Source, feed: Feed, ids: frozenset[int], out: IO[bytes]) -> int:
    """Write a file of records anew; give the number of those that changed."""
    subject = source.positions([feed.subject])[0]
    layout = Layout(feed, source.dialect, ())
    raw_layout = RawLayout(source.dialect.header, source.dialect.delimiter)

    def write(text: bytes) -> None:
        out.write(encode_text(text, source.encoding))

    out.write(source.encoding.mark)
    write(read_head(source))
    changed = 0
    for block in cut_blocks(
        read_chunks(source), source.dialect, offset=source.body_offset, first_line=source.body_line
    ):
        position, spans = 0, _suspects(block, layout, subject, ids)
        lines = [block.data[start:end] for start, end in spans]
        raws = [line.rstrip(b"\r\n") for line in lines]
        texts = scrub_texts([raw.decode(errors="surrogateescape") for raw in raws], [raw_layout], feed, ids)
        for (start, end), line, raw, text in zip(spans, lines, raws, texts, strict=True):
            if text is not None:
                write(block.data[position:start] + text.encode(errors="surrogateescape") + line[len(raw) :])
                position, changed = end, changed + 1
        write(block.data[position:])
    return changed


def _suspects(block: Block, layout: Layout, subject: int, ids: frozenset[int]) -> list[tuple[int, int]]:
    """Find the records that are the subject's, and all that can't be split."""
    records = find_records(block, layout.dialect)
    good = np.flatnonzero(records.faults == 0)
    texts = read_texts(block, records, good, layout).to_series(subject)
    found = read_ids(texts.fill_null("").to_list(), layout.feed)
    rows = [int(row) for row, number in zip(good, found, strict=True) if number in ids]
    rows += np.flatnonzero(records.faults).tolist()
    return [(int(records.starts[row]), int(records.ends[row])) for row in sorted(rows)]


def _scrub_rejected(
    path: Path, feed: Feed, layouts: Sequence[RawLayout], ids: frozenset[int], out: IO[bytes]
) -> int:
    """Write a rejected file anew; give the number of records that changed."""
    changed = 0
    text = io.TextIOWrapper(out, encoding="utf-8", newline="", write_through=True)
    text.write(",".join(HEADER) + "\n")
    writer = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    for rows in _batches(_rejected_rows(path)):
        for row, scrubbed in zip(rows, scrub_texts([row[-1] for row in rows], layouts, feed, ids), strict=True):
            changed += scrubbed is not None
            raw = row[-1] if scrubbed is None else scrubbed
            writer.writerow([*map(int, row[:3]), row[3], guard_formula(raw)])
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


def _compressed(path: Path, compression: str | None) -> IO[bytes]:
    if compression == "gzip":
        return gzip.GzipFile(path, "wb", mtime=0)  # type: ignore[return-value]
    if compression == "zstd":
        return zstandard.open(path, "wb")  # type: ignore[no-any-return]
    return path.open("wb")


def _holds_digits(path: Path, ids: frozenset[int]) -> bool:
    pattern = re.compile(rb"(?<![0-9])(?:%s)(?![0-9])" % b"|".join(str(number).encode() for number in ids))
    before = b""
    with path.open("rb") as file:
        while chunk := file.read(2**20):
            if pattern.search(before + chunk):
                return True
            before = chunk[-32:]
    return False
