"""A raw record → its fields, where each of them stands, and whose it is; split as the engine splits it.

What a field is called, the header of its file says; what that means, the feeds do: the default one, and those of
other suppliers' files, each with other names of its own.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from audited_load.columns import SOURCE_RECORD, Feed
from audited_load.reading.dialect import grammar_of, normalise_name
from audited_load.reading.encoding import swap_quotes

ERASED = "[erased]"
_CUT_HEADER = re.compile(r"and ([0-9]+) more")
_SPACE = b" \t"


@dataclass(frozen=True)
class RawLayout:
    """How the fields lie in raw records.

    Attributes:
        header: The names of the fields.
        delimiter: What is between them.
        is_guess: Whether nothing says that the records' file had this header.
        read_as: Which columns cleaning took them for, so that later contracts may call these otherwise; none if
            that wasn't noted.
        contract: Id and sha256 of the contract by which they were read; blank if that wasn't noted.
        quote: Around the fields of their file; in the records here, a `"` has changed places with it.
    """

    header: tuple[str, ...]
    delimiter: str
    is_guess: bool = False
    read_as: tuple[str, ...] = ()
    contract: tuple[str, str] = ("", "")
    quote: str = '"'

    @classmethod
    def of_ledger(
        cls, header: Sequence[str], delimiter: str, contract_id: str | None = None, sha256: str | None = None
    ) -> RawLayout:
        """Read a layout from the ledger, which once named only the first of very many columns."""
        cut = _CUT_HEADER.fullmatch(header[-1]) if header else None
        names = [*header[:-1], *[""] * int(cut[1])] if cut else header
        return cls(tuple(names), delimiter, contract=(contract_id or "", sha256 or ""))

    def place_of(self, name: str) -> int | None:
        """Return which field has a name, from 0."""
        names = _plain_names(self.header)
        return names.index(name) if name in names else None


@lru_cache(256)
def _plain_names(header: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(map(normalise_name, header))


@dataclass(frozen=True)
class Reading:
    """What the fields of a layout mean to the feeds that read such files.

    Attributes:
        layout: The layout.
        feeds: The numbers of these feeds.
        persons: The fields that name a person; the first that shows a number says whose the record is.
        kept: For each field whether it is a column that somebody asked for, and that isn't masked.
    """

    layout: RawLayout
    feeds: tuple[int, ...]
    persons: tuple[int, ...]
    kept: tuple[bool, ...]


def find_readings(layout: RawLayout, feeds: Sequence[Feed]) -> list[Reading]:
    """Find out what the fields of a layout may mean: to those of the feeds whom its names suit best.

    A name that nothing is to these feeds, and the subject to another, names a person, too.

    Args:
        layout: The layout.
        feeds: Those of one table: of its own contract, and of other suppliers' files.

    Returns:
        What tells different fields from each other as the subject's; nothing if none is.
    """
    subject, plain = feeds[0].subject, _plain_names(layout.header)
    called = [tuple(dict(feed.aliases).get(name, name) for name in plain) for feed in feeds]
    anybody = {place for columns in called for place, name in enumerate(columns) if name == subject}
    suits = [_suits(feed, columns, layout) for feed, columns in zip(feeds, called, strict=True)]
    if len(layout.read_as) == len(plain):
        called = [layout.read_as] * len(feeds)
    found, masked = dict[tuple[int, ...], Reading](), masked_columns(feeds)
    for number, (feed, columns) in enumerate(zip(feeds, called, strict=True)):
        own = [place for place, name in enumerate(columns) if name == subject]
        if suits[number] < max(0, *suits) or not own:
            continue
        own.sort(key=lambda place: plain[place] != subject)
        further = sorted(place for place in anybody.difference(own) if columns[place] not in feed.names)
        names = {*feed.names, SOURCE_RECORD}.difference(masked)
        kept = tuple(name in names for name in columns)
        if (same := found.get(persons := (*own, *further))) is not None:
            either = tuple(one or other for one, other in zip(kept, same.kept, strict=True))
            found[persons] = replace(same, feeds=(*same.feeds, number), kept=either)
        else:
            found[persons] = Reading(layout, (number,), persons, kept)
    return list(found.values())


def masked_columns(feeds: Sequence[Feed]) -> list[str]:
    """Return the columns of some feeds of which only hashes are kept."""
    return sorted({column.name for feed in feeds for column in feed.columns if column.masking})


def _suits(feed: Feed, columns: tuple[str, ...], layout: RawLayout) -> int:
    """Return how well a header suits a feed: best, if its file was read by that, or would be taken by cleaning.

    Below 0, it can't tell what a name means: the file was read by a contract that is gone, and to which it may have
    meant something else.
    """
    known, (contract_id, sha256) = feed.contract, layout.contract
    if contract_id and (known.id, known.sha256) == (contract_id, sha256) and feed.subject in columns:
        return 4
    if layout.read_as:
        return int(columns == layout.read_as)
    if contract_id not in {"", known.id} and feed.subject not in _plain_names(layout.header):
        return -1
    if any(columns.count(name) not in ({0, 1} if name in feed.optional else {1}) for name in feed.names):
        return int(feed.subject in columns)
    return 3 if feed.form.delimiter in {None, layout.delimiter} else 2


@dataclass(frozen=True)
class Fit:
    """A record split as a layout says.

    Attributes:
        reading: The layout, and what its fields mean.
        cells: The texts of its fields, without quotes.
        spans: Where the fields stand in its bytes, quotes included; empty if its quotes are not where they belong.
    """

    reading: Reading
    cells: list[str]
    spans: list[tuple[int, int]]

    @property
    def is_certain(self) -> bool:
        """Whether its quotes are where they belong."""
        return bool(self.spans)

    @property
    def persons(self) -> list[str]:
        """The texts of the fields that name a person."""
        return [self.cells[place] for place in self.reading.persons]


def split_raw(raw: str, readings: Sequence[Reading]) -> Iterator[Fit]:
    """Split a record as each layout says, if it can be.

    Args:
        raw: The record, without line end; bytes that are no text are lone surrogates.
        readings: How its fields may lie, and what they mean.
    """
    data = to_bytes(raw)
    for reading in readings:
        delimiter, width = reading.layout.delimiter, len(reading.layout.header)
        spans = find_fields(data, delimiter)
        if spans is not None and len(spans) == width:
            fields = [swap_quotes(read_field(data[start:end]), reading.layout.quote) for start, end in spans]
            yield Fit(reading, list(map(to_text, fields)), spans)
            continue
        for is_spaced in (True, False):
            loose = _read_loosely(raw, delimiter, is_spaced=is_spaced)
            if loose is not None and len(loose) == width:
                yield Fit(reading, loose, [])
                break


def find_fields(data: bytes, delimiter: str) -> list[tuple[int, int]] | None:
    """Find where the fields of a whole record stand, as the engine does; None if it would refuse the record."""
    # A record that can be split without spaces before quotes, has the same fields with them.
    for is_spaced in (False, True):
        grammar = grammar_of(delimiter, spaced_quotes=is_spaced)
        found = grammar.record.fullmatch(data)
        if found is not None and found.end(1) == len(data):
            return [field.span(1) for field in grammar.field.finditer(data)]
    return None


def read_field(field: bytes) -> bytes:
    """Take the quotes off a field."""
    bare = field.strip(_SPACE)
    return bare[1:-1].replace(b'""', b'"') if bare.startswith(b'"') else field


def put_in(data: bytes, fields: Sequence[tuple[tuple[int, int], str]]) -> bytes:
    """Put other texts into fields; their quotes, the spaces around these, and all else stay as they are.

    Args:
        data: The record.
        fields: Where each field stands, and its new text; in order.
    """
    pieces, position = [], 0
    for (start, end), text in fields:
        old, new = data[start:end], to_bytes(text)
        bare = old.strip(_SPACE)
        if bare.startswith(b'"') or any(mark in new for mark in b'"\r\n,;\t|:'):
            before, after = old[: len(old) - len(old.lstrip(_SPACE))], old[len(old.rstrip(_SPACE)) :]
            if not bare.startswith(b'"'):
                before = after = b""
            new = before + b'"' + new.replace(b'"', b'""') + b'"' + after
        pieces += [data[position:start], new]
        position = end
    return b"".join([*pieces, data[position:]])


def write_fields(raw: str, fit: Fit, texts: Mapping[int, str]) -> str:
    """Put other texts into some fields of a record that was split for certain.

    Args:
        raw: The record.
        fit: How it was split.
        texts: The new texts, by the places of their fields.
    """
    return to_text(put_in(to_bytes(raw), [(fit.spans[place], texts[place]) for place in sorted(texts)]))


def to_bytes(text: str) -> bytes:
    """Encode a text in which bytes that are no text are lone surrogates."""
    return text.encode(errors="surrogateescape")


def to_text(data: bytes) -> str:
    """Decode bytes; those that are no text become lone surrogates."""
    return data.decode(errors="surrogateescape")


def _read_loosely(raw: str, delimiter: str, *, is_spaced: bool) -> list[str] | None:
    csv.field_size_limit(2**31 - 1)
    lines = io.StringIO(raw, newline="")
    try:
        rows = list(csv.reader(lines, delimiter=delimiter, skipinitialspace=is_spaced))
    except csv.Error:
        return None
    return rows[0] if len(rows) == 1 else None
