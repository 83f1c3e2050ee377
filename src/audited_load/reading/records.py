"""UTF-8 bytes → blocks of whole records, with every broken record told apart.

A record is broken when it can't be split into the header's number of fields without a guess: a quote that is
never closed or has text behind it, too few or too many fields, a NUL, bytes that are not UTF-8. A broken record is
one physical line, and reading goes on at the next. So is what the quotes make one record of several lines, if one
of these is a record by itself: otherwise two stray quotes would swallow all that lies between them.

Whole blocks are looked at as arrays. A line whose quotes are well-formed by themselves is a record wherever
it stands; only the other lines with quotes (the odd ones) are looked at one by one.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audited_load.errors import UnusableFileError
from audited_load.reading.dialect import Dialect, grammar_of
from audited_load.reading.faults import LONE_RETURN, describe, find_undecodable
from audited_load.reading.lines import Lines, Positions, find_lines, find_no_records
from audited_load.reading.odd_records import (
    GOOD,
    STRAY_QUOTE,
    UNCLOSED_QUOTE,
    OddRecord,
    judge_odd,
    split_record,
)

MAX_LINE_BYTES = 2**26
"""A line longer than this is no line of a CSV."""

HEADER_AGAIN, END_MARK = "record:header_again", "file:end_mark"
_FAULTS = (
    GOOD,
    "nul_byte",
    "undecodable_bytes",
    STRAY_QUOTE,
    UNCLOSED_QUOTE,
    "too_few_fields",
    "too_many_fields",
    LONE_RETURN,
)
_CODE = {fault: code for code, fault in enumerate(_FAULTS)}
_END_MARK = re.compile(rb"(?<=[^\r\n\x1a])\x1a+[\r\n]*\Z")


@dataclass(frozen=True)
class Block:
    """Whole records, cut from the file.

    Attributes:
        data: Their bytes; a line end is added if the file's last line has none.
        lines: Its lines.
        odd: The odd records among them, in order.
        skipped: Numbers of the lines that are no records.
        blank_lines: How many of these are blank.
        notes: What was left out beside blank lines, by name.
        offset: Bytes before it.
        first_line: Line of the file on which it starts, from 1.
        first_record: Number of its first record in the file, from 1.
    """

    data: bytes
    lines: Lines
    odd: tuple[OddRecord, ...]
    skipped: Positions
    blank_lines: int
    notes: Counter[str]
    offset: int
    first_line: int
    first_record: int


@dataclass(frozen=True)
class Records:
    """The records of a block, in order; blank lines are none.

    Attributes:
        starts: First byte of each.
        ends: First byte after its line end.
        lines: Lines of the block before it.
        faults: Codes of `name_fault`; 0 for a good record.
        fields: How many fields each has.
        odd: The odd records that are good but not written by RFC 4180, by row.
    """

    starts: Positions
    ends: Positions
    lines: Positions
    faults: NDArray[np.int8]
    fields: Positions
    odd: dict[int, OddRecord]


def name_fault(code: int) -> str:
    """Name the fault that has a code, such as `too_few_fields`."""
    return _FAULTS[code]


def cut_blocks(
    chunks: Iterable[bytes],
    dialect: Dialect,
    *,
    offset: int,
    first_line: int,
    first_record: int = 1,
    ends_file: bool = True,
) -> Iterator[Block]:
    """Cut a stream of bytes between records.

    Args:
        chunks: The bytes after the header, cut anywhere.
        dialect: How lines split into fields.
        offset: Bytes of the file before the first chunk.
        first_line: Line of the file on which the first chunk starts.
        first_record: Number in the file of the first record of the first chunk.
        ends_file: Whether the last chunk ends the file; else other records follow.

    Yields:
        Blocks that join up to the whole input, but for the mark at the end of an old file.

    Raises:
        UnusableFileError: A line is longer than 64 MiB, or says the header again in another order.
    """
    rest = b""
    for chunk, final in _mark_last(chunks):
        data, notes = rest + chunk, Counter[str]()
        if final and ends_file and (mark := _END_MARK.search(data[-64:])):
            data, notes = data[: len(data) - len(mark[0])], Counter({END_MARK: 1})
        if final and data and not data.endswith(b"\n"):
            data += b"\n"
        lines = find_lines(data)
        odd, end = judge_odd(data, lines, dialect, final=final)
        rest = data[end:]
        lines = lines.until(end)
        if len(rest) > MAX_LINE_BYTES:
            raise UnusableFileError(
                f"Line {first_line + len(lines.ends)} is longer than {MAX_LINE_BYTES // 2**20} MiB.",
                "This is no CSV, or its line ends were lost: fetch it again. Nothing was loaded.",
            )
        if end:
            own, starts_record = _own_lines(lines, odd)
            skipped = find_no_records(data[:end], lines, own, dialect, first_line)
            if len(skipped.headers):
                notes[HEADER_AGAIN] += len(skipped.headers)
            block = Block(
                data[:end], lines, odd, skipped.all, len(skipped.blank), notes, offset, first_line, first_record
            )
            yield block
            offset, first_line = offset + end, first_line + len(lines.ends)
            first_record += int(starts_record.sum()) - len(block.skipped)


def find_records(block: Block, dialect: Dialect) -> Records:
    """Find every record of a block, in order, with its place and its fault."""
    _, is_record = _own_lines(block.lines, block.odd)
    is_record[block.skipped] = False
    numbers = np.flatnonzero(is_record).astype(np.int32)
    starts, ends = block.lines.starts[numbers], block.lines.ends[numbers]
    fields = _count_fields(block, dialect)[numbers]
    faults = np.zeros(len(starts), np.int8)
    forms = {}
    skipped = set(block.lines.starts[block.skipped].tolist())
    odd_records = [odd for odd in block.odd if odd.start not in skipped]
    for place, odd in zip(np.searchsorted(starts, [odd.start for odd in odd_records]), odd_records, strict=True):
        ends[place] = odd.end
        fields[place], faults[place] = odd.fields or dialect.fields, _CODE[odd.fault]
        if odd.form:
            forms[int(place)] = odd
    faults[fields < dialect.fields] = _CODE["too_few_fields"]
    faults[fields > dialect.fields] = _CODE["too_many_fields"]
    if dialect.blank_last:
        full = np.flatnonzero(fields == dialect.fields)
        faults[full[~_ends_blank(block.data, starts[full], ends[full], dialect)]] = _CODE["too_many_fields"]
    for row in _rows_at(_lone_returns(block.data), starts, ends):
        if not faults[row] and _breaks_a_field(block.data[starts[row] : ends[row]], dialect):
            faults[row] = _CODE[LONE_RETURN]
    faults[_rows_at(find_undecodable(block.data), starts, ends)] = _CODE["undecodable_bytes"]
    if b"\0" in block.data:
        nuls = [match.start() for match in re.finditer(b"\0", block.data)]
        faults[_rows_at(nuls, starts, ends)] = _CODE["nul_byte"]
    return Records(starts, ends, numbers, faults, fields, forms)


def _rows_at(places: list[int], starts: Positions, ends: Positions) -> NDArray[np.intp]:
    """Return in which records some bytes are; those in lines that are no records are in none."""
    found = np.asarray(places, np.int64)
    rows = np.searchsorted(ends, found, "right")
    inside = rows < len(ends)
    rows, found = rows[inside], found[inside]
    return np.unique(rows[starts[rows] <= found])


def _lone_returns(data: bytes) -> list[int]:
    """Find carriage returns without a line feed."""
    if b"\r" not in data or data.count(b"\r") == data.count(b"\r\n"):
        return []
    return [match.start() for match in re.finditer(rb"\r(?!\n)", data)]


def _breaks_a_field(record: bytes, dialect: Dialect) -> bool:
    """Return whether a carriage return stands in a field without quotes, where a line end may be lost."""
    grammar = grammar_of(dialect.delimiter, spaced_quotes=dialect.spaced_quotes)
    pieces = grammar.field.findall(record.rstrip(b"\r\n"))
    return any(b"\r" in piece and not piece.lstrip(b" \t").startswith(b'"') for piece in pieces)


def describe_fault(block: Block, records: Records, row: int, dialect: Dialect) -> str:
    """Say what is wrong with a broken record, in figures and without a word of it."""
    line = block.data[records.starts[row] : records.ends[row]].rstrip(b"\r\n")
    return describe(name_fault(records.faults[row]), line, int(records.fields[row]), dialect)


def _mark_last(chunks: Iterable[bytes]) -> Iterator[tuple[bytes, bool]]:
    before: bytes | None = None
    for chunk in chunks:
        if before is not None:
            yield before, False
        before = chunk
    if before is not None:
        yield before, True


def _own_lines(lines: Lines, odd: tuple[OddRecord, ...]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Tell the lines that are no part of a record of several lines, and those on which a record starts."""
    own = np.ones(len(lines.ends), bool)
    if not odd:
        return own, own.copy()
    starts = lines.starts
    first = np.searchsorted(starts, [record.start for record in odd])
    after = np.searchsorted(starts, [record.end for record in odd])
    steps = np.zeros(len(own) + 1, np.int64)
    np.add.at(steps, first + 1, 1)
    np.subtract.at(steps, after, 1)
    is_first = np.cumsum(steps)[:-1] == 0
    own = is_first.copy()
    own[first] = after - first == 1
    return own, is_first


def _count_fields(block: Block, dialect: Dialect) -> Positions:
    """Count the fields of every line; a delimiter between two quotes doesn't count."""
    lines = block.lines
    marks = np.flatnonzero(np.frombuffer(block.data, np.uint8) == ord(dialect.delimiter)).astype(np.int32)
    found = np.diff(np.searchsorted(marks, lines.ends), prepend=0) + 1
    if len(lines.quotes):
        before = np.searchsorted(marks, lines.quotes)
        np.subtract.at(found, lines.quote_lines, np.where(lines.opens, -before, before))
    return found.astype(np.int32)


def _ends_blank(data: bytes, starts: Positions, ends: Positions, dialect: Dialect) -> NDArray[np.bool_]:
    """Tell the records whose last field is blank."""
    array = np.frombuffer(data, np.uint8)
    last = np.maximum(ends - 2, starts)
    last -= array[last] == ord("\r")
    good: NDArray[np.bool_] = array[np.maximum(last, 0)] == ord(dialect.delimiter)
    for place in np.flatnonzero(~good):
        text = data[starts[place] : ends[place]].rstrip(b"\r\n")
        good[place] = not split_record(text, dialect)[-1].strip()
    return good
