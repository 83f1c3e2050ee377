r"""The rejected file: one line per refused record, with its place, every reason and its raw text.

It opens safely in a spreadsheet: a raw text that starts like a formula has an apostrophe before it.
Bytes that are no UTF-8, and NUL, are written as `\\xNN`.
"""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from audited_load.cleaning.layout import Reject

HEADER = ("source_record", "source_line", "byte_offset", "reasons", "raw_record")
_FORMULA_STARTS = (*"=+-@＝＋－＠", "\t", "\r", "'")  # noqa: RUF001 - spreadsheets take the wide ones, too


def format_rejects(rejects: Iterable[Reject]) -> str:
    """Format rejects as lines of a rejected file."""
    text = io.StringIO()
    # All text in quotes: a lone carriage return would end the line otherwise.
    csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC).writerows(
        (
            reject.record,
            reject.line,
            reject.offset,
            "; ".join(reject.reasons),
            guard_formula(show_bytes(reject.raw)),
        )
        for reject in rejects
    )
    return text.getvalue()


def read_rejects(path: Path) -> Iterator[Reject]:
    """Read a rejected file again, in order; the raw text is the shown one."""
    csv.field_size_limit(sys.maxsize)
    with path.open(newline="", encoding="utf-8") as file:
        rows = csv.reader(file)
        next(rows)
        for record, line, offset, reasons, raw in rows:
            shown = raw[1:] if raw.startswith("'") else raw
            yield Reject(int(record), int(line), int(offset), (reasons,), shown.encode())


def show_bytes(raw: bytes) -> str:
    r"""Decode a record's bytes; what is not text becomes `\\xNN`."""
    return raw.decode(errors="backslashreplace").replace("\0", "\\x00")


def guard_formula(text: str) -> str:
    """Put an apostrophe before a text that a spreadsheet would take for a formula."""
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text


def unguard_formula(text: str) -> str:
    """Take the apostrophe of `guard_formula` away again."""
    return text[1:] if text.startswith("'") and text[1:].startswith(_FORMULA_STARTS) else text
