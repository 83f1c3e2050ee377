"""A raw record → its fields, where each of them stands, and whose it is; split as the engine splits it."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from audited_load.reading.dialect import grammar_of, normalise_name

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
    """

    header: tuple[str, ...]
    delimiter: str
    is_guess: bool = False

    @classmethod
    def of_ledger(cls, header: Sequence[str], delimiter: str) -> RawLayout:
        """Read a layout from the ledger, which once named only the first of very many columns."""
        cut = _CUT_HEADER.fullmatch(header[-1]) if header else None
        names = [*header[:-1], *[""] * int(cut[1])] if cut else header
        return cls(tuple(names), delimiter)

    def place_of(self, name: str) -> int | None:
        """Return which field has a name, from 0."""
        names = _plain_names(self.header)
        return names.index(name) if name in names else None


@lru_cache(256)
def _plain_names(header: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(map(normalise_name, header))


@dataclass(frozen=True)
class Fit:
    """A record split as a layout says.

    Attributes:
        layout: The layout.
        cells: The texts of its fields, without quotes.
        subject: That of the subject's.
        spans: Where the fields stand in its bytes, quotes included; empty if its quotes are not where they belong.
    """

    layout: RawLayout
    cells: list[str]
    subject: str
    spans: list[tuple[int, int]]

    @property
    def is_certain(self) -> bool:
        """Whether its quotes are where they belong."""
        return bool(self.spans)


def split_raw(raw: str, layouts: Sequence[RawLayout], subject: str) -> Iterator[Fit]:
    """Split a record as each layout says, if it can be.

    Args:
        raw: The record, without line end; bytes that are no text are lone surrogates.
        layouts: How its fields may lie.
        subject: The name of the field that says whose it is.
    """
    for layout in layouts:
        place = layout.place_of(subject)
        if place is None:
            continue
        data, width = to_bytes(raw), len(layout.header)
        spans = find_fields(data, layout.delimiter)
        if spans is not None and len(spans) == width:
            cells = [to_text(read_field(data[start:end])) for start, end in spans]
            yield Fit(layout, cells, cells[place], spans)
            continue
        for is_spaced in (True, False):
            loose = _read_loosely(raw, layout.delimiter, is_spaced=is_spaced)
            if loose is not None and len(loose) == width:
                yield Fit(layout, loose, loose[place], [])
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


def blank_fields(raw: str, fit: Fit, kept: Collection[str], subject: str, mark: str) -> str:
    """Blank the subject's field of a record and those that nobody asked for.

    Args:
        raw: The record.
        fit: How it was split, for certain.
        kept: The names of the others.
        subject: That of the subject's.
        mark: What comes into the subject's field.
    """
    fields = []
    for span, name in zip(fit.spans, map(normalise_name, fit.layout.header), strict=True):
        if name == subject or name not in kept:
            fields.append((span, mark if name == subject else ""))
    return to_text(put_in(to_bytes(raw), fields))


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
