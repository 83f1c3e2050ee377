"""UTF-8 bytes → blocks of whole records, with every broken record told apart.

A record is broken when it can't be split into the header's number of fields without a guess: a quote that is
stray or never closed, too few or too many fields, a NUL, bytes that are not UTF-8. A broken record is one
physical line, and reading goes on at the next.

Whole blocks are looked at as arrays. A line whose quotes are well-formed by themselves is a record wherever
it stands; only the other lines with quotes (the odd ones) are looked at one by one.
"""

from __future__ import annotations

import codecs
import re
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from audited_load.errors import UnusableFileError

MAX_RECORD_BYTES = 2**20
"""A quoted field that has not ended after this many bytes counts as never closed."""

MAX_LINE_BYTES = 2**26
"""A line longer than this is no line of a CSV."""

GOOD = ""
_FAULTS = (
    GOOD,
    "nul_byte",
    "undecodable_bytes",
    "stray_quote",
    "unclosed_quote",
    "too_few_fields",
    "too_many_fields",
)
_CODE = {fault: code for code, fault in enumerate(_FAULTS)}
_NEWLINE, _RETURN, _QUOTE = 10, 13, 34
_QUOTED = rb'"(?:[^"]|"")*+"'

Positions: TypeAlias = NDArray[np.int32]


@dataclass(frozen=True)
class OddRecord:
    """A record with quotes that a look at its own line doesn't explain.

    Attributes:
        start: First byte in the block.
        end: First byte after its line end.
        fields: How many fields it has; 0 if it can't be split.
        fault: Why it can't be split, or nothing.
    """

    start: int
    end: int
    fields: int
    fault: str


@dataclass(frozen=True)
class Lines:
    """The physical lines of some bytes; what follows the last line end is left out.

    Attributes:
        ends: First byte after each line's end.
        quotes: Where the quotes are.
        quote_lines: On which line each of them is.
        opens: Whether it opens a quoted part of its line, when they are taken in pairs.
    """

    ends: Positions
    quotes: Positions
    quote_lines: Positions
    opens: NDArray[np.bool_]

    @property
    def starts(self) -> Positions:
        """First byte of each line."""
        return np.concatenate([np.zeros(1, self.ends.dtype), self.ends])[:-1]

    def until(self, end: int) -> Lines:
        """Leave out the lines that start at `end` or later."""
        lines, quotes = np.searchsorted(self.ends, end, "right"), np.searchsorted(self.quotes, end)
        return Lines(self.ends[:lines], self.quotes[:quotes], self.quote_lines[:quotes], self.opens[:quotes])


@dataclass(frozen=True)
class Block:
    """Whole records, cut from the file.

    Attributes:
        data: Their bytes; a line end is added if the file's last line has none.
        lines: Its lines.
        odd: The odd records among them, in order.
        offset: Bytes before it.
        first_line: Line of the file on which it starts, from 1.
        first_record: Number of its first record in the file, from 1.
    """

    data: bytes
    lines: Lines
    odd: tuple[OddRecord, ...]
    offset: int
    first_line: int
    first_record: int


@dataclass(frozen=True)
class Records:
    """The records of a block, in order; empty lines are none.

    Attributes:
        starts: First byte of each.
        ends: First byte after its line end.
        lines: Lines of the block before it.
        faults: Codes of `name_fault`; 0 for a good record.
        blank_lines: How many empty lines were left out.
    """

    starts: Positions
    ends: Positions
    lines: Positions
    faults: NDArray[np.int8]
    blank_lines: int


def name_fault(code: int) -> str:
    """Name the fault that has a code, such as `too_few_fields`."""
    return _FAULTS[code]


def cut_blocks(
    chunks: Iterable[bytes], delimiter: str, fields: int, *, offset: int, first_line: int
) -> Iterator[Block]:
    """Cut a stream of bytes between records.

    Args:
        chunks: The bytes after the header, cut anywhere.
        delimiter: Between fields.
        fields: How many fields a record has.
        offset: Bytes of the file before the first chunk.
        first_line: Line of the file on which the first chunk starts.

    Yields:
        Blocks that join up to the whole input.

    Raises:
        UnusableFileError: A line is longer than 64 MiB.
    """
    rest, first_record = b"", 1
    for chunk, final in _mark_last(chunks):
        data = rest + chunk
        if final and data and not data.endswith(b"\n"):
            data += b"\n"
        lines = _find_lines(data)
        odd, end = _judge_odd(data, lines, delimiter, fields, final=final)
        rest = data[end:]
        lines = lines.until(end)
        if len(rest) > MAX_LINE_BYTES:
            raise UnusableFileError(
                f"Line {first_line + len(lines.ends)} is longer than {MAX_LINE_BYTES // 2**20} MiB.",
                "This is no CSV, or its line ends were lost: fetch it again. Nothing was loaded.",
            )
        if end:
            block = Block(data[:end], lines, odd, offset, first_line, first_record)
            yield block
            offset, first_line = offset + end, first_line + len(lines.ends)
            first_record += len(_unite(block)[0])


def find_records(block: Block, delimiter: str, fields: int) -> Records:
    """Find every record of a block, in order, with its place and its fault."""
    numbers, ends, blank_lines = _unite(block)
    starts, found = block.lines.starts[numbers], _count_fields(block, delimiter)[numbers]
    faults = np.zeros(len(starts), np.int8)
    for place, odd in zip(np.searchsorted(starts, [odd.start for odd in block.odd]), block.odd, strict=True):
        found[place], faults[place] = odd.fields or fields, _CODE[odd.fault]
    faults[found < fields] = _CODE["too_few_fields"]
    faults[found > fields] = _CODE["too_many_fields"]
    faults[np.searchsorted(ends, _undecodable(block.data), "right")] = _CODE["undecodable_bytes"]
    nuls = [match.start() for match in re.finditer(b"\0", block.data)]
    faults[np.searchsorted(ends, nuls, "right")] = _CODE["nul_byte"]
    return Records(starts, ends, numbers, faults, blank_lines)


def _mark_last(chunks: Iterable[bytes]) -> Iterator[tuple[bytes, bool]]:
    before: bytes | None = None
    for chunk in chunks:
        if before is not None:
            yield before, False
        before = chunk
    if before is not None:
        yield before, True


def _find_lines(data: bytes) -> Lines:
    array = np.frombuffer(data, np.uint8)
    ends = (np.flatnonzero(array == _NEWLINE) + 1).astype(np.int32)
    none = np.empty(0, np.int32)
    if not len(ends) or b'"' not in data:
        return Lines(ends, none, none, none == 0)
    quotes = np.flatnonzero(array[: ends[-1]] == _QUOTE).astype(np.int32)
    lines, numbers = np.searchsorted(ends, quotes, "right").astype(np.int32), np.arange(len(quotes))
    is_first = np.append(True, lines[1:] != lines[:-1])[: len(quotes)]
    rank = numbers - np.maximum.accumulate(np.where(is_first, numbers, 0))
    return Lines(ends, quotes, lines, rank % 2 == 0)


def _judge_odd(
    data: bytes, lines: Lines, delimiter: str, fields: int, *, final: bool
) -> tuple[tuple[OddRecord, ...], int]:
    """Judge the records that start on odd lines, and find the end of the last whole record."""
    odd: list[OddRecord] = []
    pattern, position = _grammar(delimiter), 0
    for line in _odd_lines(data, lines, delimiter):
        start, line_end = int(lines.ends[line - 1]) if line else 0, int(lines.ends[line])
        if start < position:
            continue
        match = pattern.match(data, start, start + MAX_RECORD_BYTES)
        whole = match is not None and data[match.end() - 1 : match.end()] == b"\n"
        if not whole and not final and len(data) - start < MAX_RECORD_BYTES:
            return tuple(odd), start
        text = data[start:line_end]
        record = OddRecord(
            start, line_end, 0, "unclosed_quote" if _quote_is_open(text, delimiter) else "stray_quote"
        )
        if match is not None and whole:
            found = re.sub(_QUOTED, b"", match[1]).count(delimiter.encode()) + 1
            if found == fields or match.end() <= line_end:
                record = OddRecord(start, match.end(), found, GOOD)
        odd.append(record)
        position = record.end
    return tuple(odd), int(lines.ends[-1]) if len(lines.ends) else 0


def _odd_lines(data: bytes, lines: Lines, delimiter: str) -> list[int]:
    """Tell the lines whose quotes, taken in pairs, don't each open and close a field."""
    quotes, line, array = lines.quotes, lines.quote_lines, np.frombuffer(data, np.uint8)
    if not len(quotes):
        return []
    mark, last = ord(delimiter), len(array) - 1
    before, after = np.where(quotes > 0, array[quotes - 1], _NEWLINE), array[quotes + 1]
    line_ends = (after == _RETURN) & (array[np.minimum(quotes + 2, last)] == _NEWLINE)
    can_open = (before == mark) | (before == _NEWLINE) | (before == _QUOTE)
    can_close = (after == mark) | (after == _NEWLINE) | (after == _QUOTE) | line_ends
    # The last quote of a line closes; if it opens, the line has an odd number of them.
    is_last = np.append(line[1:] != line[:-1], True)
    bad = np.where(lines.opens, ~can_open | is_last, ~can_close)
    return [int(number) for number in np.unique(line[bad])]


def _count_fields(block: Block, delimiter: str) -> Positions:
    """Count the fields of every line; a delimiter between two quotes doesn't count."""
    lines = block.lines
    marks = np.flatnonzero(np.frombuffer(block.data, np.uint8) == ord(delimiter)).astype(np.int32)
    found = np.diff(np.searchsorted(marks, lines.ends), prepend=0) + 1
    if len(lines.quotes):
        before = np.searchsorted(marks, lines.quotes)
        np.subtract.at(found, lines.quote_lines, np.where(lines.opens, -before, before))
    return found.astype(np.int32)


def _unite(block: Block) -> tuple[Positions, Positions, int]:
    """Make records of lines: their first lines' numbers, their ends, and how many lines are empty."""
    starts, ends, odd = block.lines.starts, block.lines.ends, block.odd
    lengths = ends - starts
    array = np.frombuffer(block.data, np.uint8)
    blank = (lengths == 1) | ((lengths == 2) & (array[starts] == _RETURN))  # noqa: PLR2004 - \r\n
    kept = ~blank
    if odd:
        first = np.searchsorted(starts, [record.start for record in odd])
        steps = np.zeros(len(ends) + 1, np.int64)
        steps[first + 1] += 1
        np.subtract.at(steps, np.searchsorted(starts, [record.end for record in odd]), 1)
        own = np.cumsum(steps)[:-1] == 0
        ends = ends.copy()
        ends[first] = [record.end for record in odd]
        blank, kept = blank & own, kept & own
    numbers = np.flatnonzero(kept)
    return numbers.astype(np.int32), ends[numbers], int(blank.sum())


def _undecodable(data: bytes) -> list[int]:
    """Find bytes that are no UTF-8, at least one in each line that has any."""
    if data.isascii():
        return []
    _found.positions = []
    data.decode(errors="note_position")
    return _found.positions  # type: ignore[no-any-return]


_found = threading.local()


def _note_position(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    _found.positions.append(error.start)
    return "", error.end


codecs.register_error("note_position", _note_position)


@lru_cache(maxsize=8)
def _grammar(delimiter: str) -> re.Pattern[bytes]:
    """Compile the pattern of a whole record; group 1 leaves out the line end."""
    mark = re.escape(delimiter.encode())
    value = rb"(?:" + _QUOTED + rb'|[^"\n' + mark + rb"]*+)"
    return re.compile(rb"(" + value + rb"(?:" + mark + value + rb")*+)\r?(?:\n|\Z)")


def _quote_is_open(line: bytes, delimiter: str) -> bool:
    """Tell whether a field of the line starts with a quote that the line doesn't close."""
    outside = re.sub(_QUOTED, b"", line)
    return re.search(rb"(?:^|" + re.escape(delimiter.encode()) + rb')"', outside) is not None
