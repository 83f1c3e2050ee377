"""What can be wrong with a record → its name, and a reason in figures without a word of the record."""

from __future__ import annotations

import codecs
import re
import threading

import polars as pl

from audited_load.reading.dialect import Dialect
from audited_load.reading.odd_records import UNCLOSED_QUOTE, find_bad_quote
from audited_load.shown import count_of

LONE_RETURN = "lone_return"


def describe(fault: str, line: bytes, fields: int, dialect: Dialect) -> str:
    """Say what is wrong with a broken record.

    Args:
        fault: Its name.
        line: The record's bytes, without line end.
        fields: How many fields it has.
        dialect: How lines split into fields.
    """
    return f"{fault}: {_explain(fault, line, fields, dialect)}"


def _explain(fault: str, line: bytes, fields: int, dialect: Dialect) -> str:
    match fault:
        case "too_few_fields" if dialect.blank_last and fields == dialect.named_fields:
            return "the delimiter with which the other records end is missing"
        case "too_few_fields" | "too_many_fields":
            return f"{count_of(fields, 'field')}, the header has {dialect.named_fields}"
        case "nul_byte":
            return f"a NUL at column {_column(line, line.index(0))}"
        case "undecodable_bytes":
            place = find_undecodable(line)[0]
            return f"byte 0x{line[place]:02x} at column {_column(line, place)} is not UTF-8"
        case "lone_return":
            found = re.search(rb"\r(?!\n)", line)
            where = _column(line, found.start() if found else 0)
            return f"a carriage return at column {where}, where a line end may be lost"
        case _:
            return _explain_quote(fault, line, dialect)


def _explain_quote(fault: str, line: bytes, dialect: Dialect) -> str:
    quote = find_bad_quote(line, dialect)
    where = f"the quote at column {quote.column}, in field {quote.field},"
    if fault == UNCLOSED_QUOTE:
        return f"{where} is not closed before the next record"
    return (
        f"{where} {'has a space before it' if quote.is_late else 'closes the field, but more of it comes behind'}"
    )


def _column(line: bytes, place: int) -> int:
    return len(line[:place].decode(errors="replace")) + 1


def find_undecodable(data: bytes) -> list[int]:
    """Find bytes that are no UTF-8, at least one in each line that has any."""
    if data.isascii() or _is_utf8(data):
        return []
    _found.positions = []
    data.decode(errors="note_position")
    return _found.positions  # type: ignore[no-any-return]


def _is_utf8(data: bytes) -> bool:
    """Check without making a text of it, as Python would: that takes ten times as long."""
    try:
        pl.Series([data], dtype=pl.Binary).cast(pl.String)
    except pl.exceptions.PolarsError:
        return False
    return True


_found = threading.local()


def _note_position(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    _found.positions.append(error.start)
    return "", error.end


codecs.register_error("note_position", _note_position)
