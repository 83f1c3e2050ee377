"""A rejected file, or an export of the quarantine, which quotes raw records → the same without one person.

These files are written by our own writer, so quotes in them close; a raw record within one may be anything.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from audited_load.cleaning.rejects import HEADER, guard_formula, unguard_formula
from audited_load.columns import Feed
from audited_load.erasing.raw_texts import BATCH, Doubts, scrub_refused, scrub_texts, split_reasons
from audited_load.erasing.splitting import RawLayout, find_fields, put_in, read_field, to_bytes, to_text
from audited_load.reading.dialect import normalise_name

REASONS, RAW = HEADER[-2:]


class _Row(NamedTuple):
    """A row: its bytes without the line end, this, and where its fields stand; None if it can't be split."""

    data: bytes
    ending: bytes
    spans: list[tuple[int, int]] | None

    def cell(self, place: int | None) -> str:
        if place is None or self.spans is None:
            return ""
        start, end = self.spans[place]
        return to_text(read_field(self.data[start:end]))


def rewrite_quoting(
    chunks: Iterable[bytes],
    own: RawLayout,
    feeds: Sequence[Feed],
    ids: Collection[int],
    layouts: Sequence[RawLayout],
    doubts: Doubts,
    write: Callable[[bytes], object],
) -> int:
    """Write the rows of a file anew that quotes raw records in a column.

    Args:
        chunks: Its bytes behind the header, as UTF-8.
        own: How its own fields lie.
        feeds: Whose the raw records may be, and which of their columns is the subject.
        ids: Who is to be erased.
        layouts: How the fields of the raw records may lie.
        doubts: Counts the records that stay, though they may be the person's.
        write: Takes the new bytes.

    Returns:
        How many rows changed.
    """
    changed, batch = 0, list[_Row]()
    choose = frozenset(ids).intersection

    def finish() -> int:
        found = 0
        for row, data in zip(batch, _scrub_rows(batch, own, feeds, choose, layouts, doubts), strict=True):
            found += data is not None
            write((row.data if data is None else data) + row.ending)
        batch.clear()
        return found

    for row in _rows(chunks, own):
        batch.append(row)
        if len(batch) == BATCH:
            changed += finish()
    return changed + finish()


def _scrub_rows(
    rows: Sequence[_Row],
    own: RawLayout,
    feeds: Sequence[Feed],
    choose: Callable[[Iterable[int]], frozenset[int]],
    layouts: Sequence[RawLayout],
    doubts: Doubts,
) -> list[bytes | None]:
    raw_place, why_place = own.place_of(RAW), own.place_of(REASONS)
    fresh: list[bytes | None] = [None] * len(rows)
    broken = [to_text(row.data) for row in rows if row.spans is None]
    seen, feed = Doubts(), feeds[0]
    doubts.unsure += sum(text is not None for text in scrub_texts(broken, [], feeds, choose, seen))
    doubts.unsure += seen.lookalikes
    if own.place_of(feed.subject) is not None:
        # Its own columns are called as the table's, whatever a supplier calls so.
        shown = replace(own, read_as=tuple(map(normalise_name, own.header)))
        whole = [row if row.spans is not None else _Row(b"", b"", None) for row in rows]
        for place, text in enumerate(
            scrub_texts([to_text(row.data) for row in whole], [shown], feeds, choose, doubts)
        ):
            fresh[place] = None if text is None or rows[place].spans is None else to_bytes(text)
    # A row with values of its own shows itself whose it is.
    values = [place for place in map(own.place_of, feed.names) if place is not None]
    places = [
        place
        for place, row in enumerate(rows)
        if row.spans is not None and fresh[place] is None and not any(row.cell(one).strip() for one in values)
    ]
    raws = [unguard_formula(rows[place].cell(raw_place)) for place in places]
    reasons = [split_reasons(rows[place].cell(why_place), feed) for place in places]
    scrubbed = scrub_refused(raws, reasons, layouts, feeds, choose, doubts)
    for place, new in zip(places, scrubbed, strict=True):
        if new is not None:
            fields = [(raw_place, guard_formula(new[0])), (why_place, "; ".join(new[1]))]
            spans = rows[place].spans or []
            named = [(spans[one], text) for one, text in fields if one is not None]
            fresh[place] = put_in(rows[place].data, sorted(named))
    return fresh


def _rows(chunks: Iterable[bytes], own: RawLayout) -> Iterator[_Row]:
    """Cut bytes into rows: a row ends with the line on which all its quotes are closed."""
    row, quotes = list[bytes](), 0
    for line in _lines(chunks):
        row.append(line)
        quotes += line.count(b'"')
        if quotes % 2 == 0:
            yield _read_row(b"".join(row), own)
            row, quotes = [], 0
    if row:
        yield _read_row(b"".join(row), own)


def _read_row(line: bytes, own: RawLayout) -> _Row:
    data = line.rstrip(b"\r\n")
    spans = find_fields(data, own.delimiter)
    return _Row(data, line[len(data) :], spans if spans is not None and len(spans) == len(own.header) else None)


def _lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line + b"\n"
    if rest:
        yield rest
