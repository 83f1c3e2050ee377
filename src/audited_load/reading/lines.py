"""Bytes → physical lines and the quotes on them; and which lines are no records: blank ones, the header again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from audited_load.errors import UnusableFileError
from audited_load.reading.dialect import Dialect, grammar_of, normalise_name, split_names
from audited_load.shown import INVISIBLE

NEWLINE, RETURN, QUOTE = 10, 13, 34
_NAMES_OF_A_HEADER = 3
_PREFIX = 3
"""Letters of a name that tell a line that may be a header from others."""

Positions: TypeAlias = NDArray[np.int32]


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


def find_lines(data: bytes) -> Lines:
    """Find the lines of some bytes, and their quotes."""
    array = np.frombuffer(data, np.uint8)
    ends = (np.flatnonzero(array == NEWLINE) + 1).astype(np.int32)
    none = np.empty(0, np.int32)
    if not len(ends) or b'"' not in data:
        return Lines(ends, none, none, none == 0)
    quotes = np.flatnonzero(array[: ends[-1]] == QUOTE).astype(np.int32)
    lines, numbers = np.searchsorted(ends, quotes, "right").astype(np.int32), np.arange(len(quotes))
    is_first = np.append(True, lines[1:] != lines[:-1])[: len(quotes)]
    rank = numbers - np.maximum.accumulate(np.where(is_first, numbers, 0))
    return Lines(ends, quotes, lines, rank % 2 == 0)


@dataclass(frozen=True)
class NoRecords:
    """Lines that are no records, by number in their block.

    Attributes:
        blank: Lines of blank fields only.
        headers: Lines that say the header again.
    """

    blank: Positions
    headers: Positions

    @property
    def all(self) -> Positions:
        """Both."""
        return np.concatenate([self.blank, self.headers])


def find_no_records(
    data: bytes, lines: Lines, own: NDArray[np.bool_], dialect: Dialect, first_line: int
) -> NoRecords:
    """Find the lines that are no records.

    Args:
        data: Their bytes.
        lines: The lines.
        own: For each whether it is a line by itself, and not a part of a record of several lines.
        dialect: How they split into fields.
        first_line: Line of the file on which they start, from 1.

    Returns:
        Their numbers.

    Raises:
        UnusableFileError: A line says the header again, but in another order.
    """
    array, starts, ends = np.frombuffer(data, np.uint8), lines.starts, lines.ends
    if not len(ends):
        return NoRecords(starts, starts)
    first = array[starts]
    # A digit begins most records, and neither a blank line nor a header.
    suspects = np.flatnonzero(own & ~_DIGITS[first]).astype(np.int32)
    blank = grammar_of(dialect.delimiter, spaced_quotes=False).blank
    may_be_blank = suspects[_may_be_blank(array, starts[suspects], ends[suspects], dialect)]
    is_blank = [
        number
        for number in may_be_blank.tolist()
        if blank.fullmatch(
            data, int(starts[number]), _without_line_end(data, int(starts[number]), int(ends[number]))
        )
    ]
    header = [*map(normalise_name, dialect.header[: dialect.named_fields])]
    headers = []
    for number in suspects[_may_be_header(array, starts[suspects], dialect)].tolist():
        found = _names(data[starts[number] : ends[number]], dialect)
        while len(found) > len(header) and not found[-1]:
            found.pop()
        if found == header:
            headers.append(number)
        elif _says_other_order(header, found):
            raise UnusableFileError(
                f"Line {first_line + number} says the header again, but in another order of columns: the file is"
                " several files joined.",
                "Deliver them one by one, or with one order of columns. Nothing was loaded.",
            )
    return NoRecords(np.array(is_blank, np.int32), np.array(headers, np.int32))


def _says_other_order(header: list[str], found: list[str]) -> bool:
    """Tell whether names are a header of other columns, which has some of ours at other places.

    Half of our names, and three of them, make a header: no record says so many.
    """
    ours = set(header) & set(found) - {""}
    is_header = len(ours) >= max(_NAMES_OF_A_HEADER, len(set(header)) / 2)
    return is_header and any(header.index(name) != found.index(name) for name in ours)


def _table(*members: int) -> NDArray[np.bool_]:
    table = np.zeros(256, bool)
    table[list(members)] = True
    return table


_DIGITS = _table(*range(ord("0"), ord("9") + 1))
_THREE_BYTES, _TWO_BYTES, _QUOTES = _table(0xE2, 0xEF), _table(0xC2), _table(QUOTE)
_BEFORE_A_NAME = _table(*b" \t\x1a#'")
# White space, quotes, and the bytes of wide spaces and of what can't be seen.
_BLANK = _table(*b'\t\n\v\f\r\x1a "', *range(0x80, 0xC0), 0xC2, 0xE1, 0xE2, 0xE3, 0xEF)


def _may_be_blank(
    array: NDArray[np.uint8], starts: Positions, ends: Positions, dialect: Dialect
) -> NDArray[np.bool_]:
    """Look at five bytes of each line: a look at them all would cost too much."""
    table = _BLANK.copy()
    table[ord(dialect.delimiter)] = True
    last = ends - starts - 1
    found = np.ones(len(starts), bool)
    for part in range(5):
        found &= table[array[starts + last * part // 4]]
    return found


def _may_be_header(array: NDArray[np.uint8], starts: Positions, dialect: Dialect) -> NDArray[np.bool_]:
    """Compare the first letters of each line with those of every name: the order may be another one."""
    places = starts.copy()
    places += array[starts] == ord(dialect.delimiter)
    last = len(array) - 1
    # A byte order mark, or a space that is wide or can't be seen; a blank name, or what marks a line as none.
    for table, width in ((_THREE_BYTES, 3), (_TWO_BYTES, 2), (_BEFORE_A_NAME, 1), (_QUOTES, 1)):
        places += width * table[array[places]]
        places = np.minimum(places, last)
    names = {normalise_name(name).encode()[:_PREFIX] for name in dialect.header} - {b""}
    found = np.zeros(len(starts), bool)
    for name in names:
        same = np.ones(len(starts), bool)
        for offset, letter in enumerate(name[:_PREFIX]):
            byte = array[np.minimum(places + offset, last)]
            # A hyphen or a space in a name counts as `_`.
            same &= (byte | 0x20 == letter | 0x20) if chr(letter).isalpha() else np.isin(byte, [*b"_- ", letter])
        found |= same
    return found


def _names(line: bytes, dialect: Dialect) -> list[str]:
    text = line.decode(errors="replace").strip("\r\n").lstrip(INVISIBLE)
    return [*map(normalise_name, split_names(text, dialect.delimiter))]


def _without_line_end(data: bytes, start: int, end: int) -> int:
    """Return the end of a line's text."""
    end -= 1
    return end - 1 if end > start and data[end - 1] == RETURN else end
