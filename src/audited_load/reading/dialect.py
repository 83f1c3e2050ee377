"""How a file's lines split into fields: the delimiter, the header's names, what its writer does beside RFC 4180."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from audited_load.shown import INVISIBLE

QUOTED = rb'"(?:[^"]|"")*+"'
_NOTHING = dict.fromkeys(map(ord, INVISIBLE))


def normalise_name(name: str) -> str:
    """Fold case, spaces, hyphens and what can't be seen: " Customer ID" is `customer_id`."""
    return re.sub(r"[\s-]+", "_", name.translate(_NOTHING).strip().lower())


def split_names(line: str, delimiter: str) -> list[str]:
    """Split a line as a header."""
    try:
        return next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])
    except csv.Error:
        return [line]


@dataclass(frozen=True)
class Dialect:
    """How a file's lines split into fields.

    Attributes:
        delimiter: Between fields.
        header: A name for each field of a record, as found.
        key: Which of them holds a record's key, from 0; None if that isn't known.
        spaced_quotes: Whether a quoted field may come after spaces: `1, "a, b"`.
        blank_last: Whether each record ends with a delimiter, and so with a blank field that has no name.
        quote: Around the fields of the file. Below, all quotes are `"`: see `Encoding.quote`.
    """

    delimiter: str
    header: tuple[str, ...]
    key: int | None = None
    spaced_quotes: bool = False
    blank_last: bool = False
    quote: str = '"'

    @property
    def fields(self) -> int:
        """How many fields a record has."""
        return len(self.header)

    @property
    def named_fields(self) -> int:
        """How many of them the header names."""
        return self.fields - self.blank_last

    @property
    def mark(self) -> bytes:
        """The delimiter as a byte."""
        return self.delimiter.encode()


class Grammar(NamedTuple):
    """Patterns of a dialect.

    Attributes:
        record: A whole record, over several lines if need be, with its line end; group 1 leaves that out.
        line: A whole line without its line end. A quote inside a field that doesn't begin with one is a character.
        field: One field; group 1 leaves out the delimiter before it.
        piece: The same, but where a quote doesn't close on the line it is a character, too.
        strict: A whole line in which nothing is beside RFC 4180.
        blank: A whole line of blank fields.
    """

    record: re.Pattern[bytes]
    line: re.Pattern[bytes]
    field: re.Pattern[bytes]
    piece: re.Pattern[bytes]
    strict: re.Pattern[bytes]
    blank: re.Pattern[bytes]


@lru_cache(maxsize=16)
def grammar_of(delimiter: str, *, spaced_quotes: bool) -> Grammar:
    """Compile the patterns of a dialect."""
    mark = re.escape(delimiter.encode())
    # A tab may be the delimiter itself.
    space = rb"[ \t]" if delimiter != "\t" else rb"[ ]"
    before = space + rb"*+" if spaced_quotes else b""
    quoted = before + QUOTED + space + rb"*+"
    plain = rb"(?!" + space + rb'*")[^\n' + mark + rb"]*+"
    whole = rb"(?:" + quoted + rb"(?=" + mark + rb"|\r?\n|\r?\Z)|" + plain + rb")"
    exact = rb"(?:" + QUOTED + rb"|[^\"\n" + mark + rb"]*+)"
    nothing = (
        rb"(?:[ \t\v\f\r\x1a]|\xc2[\x85\xa0\xad]|\xe1\x9a\x80|\xe2\x80[\x80-\x8f\xa8-\xaf]"
        rb"|\xe2\x81[\x9f\xa0\xa6-\xa9]|\xe3\x80\x80|\xef\xbb\xbf)*+"
    )
    if delimiter == "\t":
        nothing = nothing.replace(rb"\t", b"", 1)
    blank = nothing + rb'(?:"' + nothing + rb'"' + nothing + rb")?+"
    return Grammar(
        record=re.compile(rb"(" + whole + rb"(?:" + mark + whole + rb")*+)\r?(?:\n|\Z)"),
        line=re.compile(whole + rb"(?:" + mark + whole + rb")*+"),
        field=re.compile(rb"(?:\A|" + mark + rb")(" + whole + rb")"),
        piece=re.compile(
            rb"(?:\A|" + mark + rb")(" + quoted + rb"(?=" + mark + rb"|\r?\n|\r?\Z)|[^" + mark + rb"]*+)"
        ),
        strict=re.compile(exact + rb"(?:" + mark + exact + rb")*+"),
        blank=re.compile(blank + rb"(?:" + mark + blank + rb")*+"),
    )
