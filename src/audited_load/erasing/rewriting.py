"""One file → its content without one person, and how many records that changes; nothing of the file itself."""

from __future__ import annotations

import codecs
import gzip
import re
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

import numpy as np
import zstandard

from audited_load.cleaning.blocks import read_texts
from audited_load.cleaning.layout import Layout
from audited_load.cleaning.rejects import HEADER
from audited_load.columns import Feed
from audited_load.erasing.quoting import rewrite_quoting
from audited_load.erasing.raw_texts import Doubts, scrub_texts
from audited_load.erasing.spellings import Meaning, shows_digits
from audited_load.erasing.splitting import RawLayout, Reading, find_readings, masked_columns, to_bytes, to_text
from audited_load.errors import UnusableFileError
from audited_load.form import Form
from audited_load.reading.compression import NoDigest, expand_file, find_compression
from audited_load.reading.encoding import encode_text, swap_quotes
from audited_load.reading.formats import name_binary_format
from audited_load.reading.records import Block, cut_blocks, find_records
from audited_load.reading.source import Source, inspect_file, read_chunks, read_head

Out = Callable[[str | None], AbstractContextManager[IO[bytes] | None]]
"""Opens what is written to, for a compression."""
RAW = HEADER[-1]
_TEXT = bytes({*range(32, 127), *b"\t\r\n\0"})
_LEAST_TEXT = 0.6
"""Of the bytes of a text, so many at least are ASCII, whatever its encoding."""


def NOWHERE(_: str | None) -> AbstractContextManager[None]:  # noqa: N802 - it stands for a place
    """Write nothing."""
    return nullcontext()


@dataclass(frozen=True)
class Wanted:
    """Who is to be erased.

    Attributes:
        feeds: The table's own feed, and those of other suppliers' files for it: whose files these may be.
        ids: Whose.
        encodings: Those that files were declared to have, by a contract or when they were loaded.
    """

    feeds: tuple[Feed, ...]
    ids: frozenset[int]
    encodings: tuple[str, ...] = ()

    @property
    def masked(self) -> list[str]:
        """The columns of which only hashes are kept: they go with the id."""
        return masked_columns(self.feeds)

    @property
    def digits(self) -> re.Pattern[bytes]:
        """The digits of an id, in any text."""
        members = b"|".join(str(number).encode() for number in self.ids)
        return re.compile(rb"(?<![0-9])0*(?:%s)(?![0-9])" % members)


@dataclass(frozen=True)
class Rewritten:
    """What writing a file anew came to.

    Attributes:
        records: How many records changed.
        lookalikes: How many of the others hold the digits of the id where it may stand.
        is_title: Whether a line above the header holds the digits of the id.
    """

    records: int
    lookalikes: int = 0
    is_title: bool = False


class UnsureError(Exception):
    """Whose the records of a file are, can't be told; its text says why."""


def rewrite(path: Path, wanted: Wanted, layouts: Sequence[RawLayout], out: Out) -> Rewritten:
    """Write a delivery, a cleaned file, a rejected file or an export anew; compression and encoding stay.

    Args:
        path: The file.
        wanted: Who is to be erased.
        layouts: How the fields of rejected records may lie.
        out: Where to.

    Raises:
        UnusableFileError: It can't be read as records with the subject's column.
        UnsureError: Whose its records are, can't be told.
    """
    source = _inspect(path, wanted)
    dialect = source.dialect
    header = tuple(to_text(swap_quotes(to_bytes(name), dialect.quote)) for name in dialect.header)
    own = RawLayout(header, dialect.delimiter, quote=dialect.quote)
    head = read_head(source)
    title = head.rstrip(b"\r\n").rpartition(source.newline.encode())[0]

    with out(source.compression) as file:

        def write(text: bytes) -> None:
            if file is not None:
                encoded = text.replace(b"\n", b"\r") if source.newline == "\r" else text
                file.write(encode_text(encoded, source.encoding))

        if file is not None:
            file.write(source.encoding.mark)
        write(head)
        doubts = Doubts()
        if own.place_of(RAW) is not None:
            changed = rewrite_quoting(read_chunks(source), own, wanted.feeds, wanted.ids, layouts, doubts, write)
        else:
            changed = _rewrite_delivery(source, own, wanted, doubts, write)
    if doubts.unsure:
        raise UnsureError(f"how {doubts.unsure} of its records were laid out, nothing says for certain")
    return Rewritten(changed, doubts.lookalikes, wanted.digits.search(title) is not None)


def _inspect(path: Path, wanted: Wanted) -> Source:
    """Find out how to read a file: as one of the feeds does; else as any that knows its subject."""
    with suppress(UnusableFileError):
        return inspect_file(path, HEADER, HEADER[0], is_for_people=False)
    encodings, own = (None, *wanted.encodings), wanted.feeds[0]
    # How its fields are quoted, no header says, nor how many lines above are none of it.
    forms = {feed: Form(quote=feed.form.quote, skip_lines=feed.form.skip_lines) for feed in wanted.feeds}
    tries = [(own, forms[own]), *((feed, feed.form) for feed in wanted.feeds if feed.form.encoding)]
    tries += [(feed, replace(form, encoding=one)) for one in encodings for feed, form in forms.items()]
    for feed, form in tries:
        required = [name for name in feed.names if name not in feed.optional]
        with suppress(UnusableFileError):
            return inspect_file(path, feed.names, feed.key, required, form, feed.aliases, is_for_people=False)
    aliases = [alias for feed in wanted.feeds for alias in feed.aliases]
    # Where a word means two columns, the last one counts.
    aliases.sort(key=lambda alias: alias[1] == own.subject)
    failed: list[UnusableFileError] = []
    for form in dict.fromkeys(replace(form, encoding=one) for one in encodings for form in forms.values()):
        try:
            return inspect_file(path, own.names, own.key, [own.subject], form, tuple(aliases), is_for_people=False)
        except UnusableFileError as error:
            failed.append(error)
    raise failed[0]


def compressed(path: Path, compression: str | None) -> IO[bytes]:
    """Open a file to be written with a compression."""
    if compression == "gzip":
        return gzip.GzipFile(path, "wb", mtime=0)  # type: ignore[return-value]
    if compression == "zstd":
        return zstandard.open(path, "wb")  # type: ignore[no-any-return]
    return path.open("wb")


def is_opaque(path: Path, wanted: Wanted) -> bool:
    """Tell of a file that is none of records whether it holds the digits of an id, or can't be looked into."""
    before = b""
    try:
        with path.open("rb") as file:
            head = file.read(4096)
        size = path.stat().st_size
        for chunk in expand_file(path, find_compression(head), size, NoDigest()):
            if not before and (name_binary_format(chunk) or not _is_text(chunk[:4096])):
                return True
            # Text of two bytes a character shows its digits, too.
            if wanted.digits.search((before + chunk).replace(b"\0", b"")):
                return True
            before = chunk[-64:]
    except UnusableFileError:
        return True
    except OSError:
        return path.exists()
    return False


def _is_text(chunk: bytes) -> bool:
    """Return whether bytes are text in which digits would show: not so in EBCDIC."""
    if len(chunk.translate(None, _TEXT)) <= (1 - _LEAST_TEXT) * len(chunk):
        return True
    try:
        codecs.getincrementaldecoder("utf-8")().decode(chunk)
    except UnicodeDecodeError:
        return False
    return True


def _rewrite_delivery(
    source: Source, own: RawLayout, wanted: Wanted, doubts: Doubts, write: Callable[[bytes], object]
) -> int:
    """Write a file of records anew; give the number of those that changed."""
    readings = find_readings(own, wanted.feeds)
    layout = Layout(wanted.feeds[0], source.dialect, ())
    changed = 0
    for block in cut_blocks(
        read_chunks(source), source.dialect, offset=source.body_offset, first_line=source.body_line
    ):
        position, spans = 0, _suspects(block, layout, readings, wanted)
        lines = [block.data[start:end] for start, end in spans]
        raws = [to_text(line.rstrip(b"\r\n")) for line in lines]
        texts = scrub_texts(raws, [own], wanted.feeds, wanted.ids.intersection, doubts)
        for (start, end), line, text in zip(spans, lines, texts, strict=True):
            if text is not None:
                write(block.data[position:start] + to_bytes(text) + line[len(line.rstrip(b"\r\n")) :])
                position, changed = end, changed + 1
        write(block.data[position:])
    return changed


def _suspects(block: Block, layout: Layout, readings: Sequence[Reading], wanted: Wanted) -> list[tuple[int, int]]:
    """Find the records that are the subject's, and all of which that can't be told yet."""
    records = find_records(block, layout.dialect)
    good = np.flatnonzero(records.faults == 0)
    columns, meaning = read_texts(block, records, good, layout), Meaning(wanted.feeds, wanted.ids.intersection)
    chosen = np.zeros(len(good), bool)
    for place, by in {(place, reading.feeds) for reading in readings for place in reading.persons}:
        texts = columns.to_series(place).fill_null("")
        distinct = texts.unique().to_list()
        meaning.read(distinct)
        suspect = [
            text
            for text in distinct
            if meaning.is_chosen(text, by) or (meaning.number(text, by) is None and shows_digits(text))
        ]
        chosen |= texts.is_in(suspect).to_numpy()
    rows = sorted([*good[chosen].tolist(), *np.flatnonzero(records.faults).tolist()])
    return [(int(records.starts[row]), int(records.ends[row])) for row in rows]
