"""Lines with quotes that a look at the line alone doesn't explain → the records that start on them, one by one."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from audited_load.reading.dialect import QUOTED, Dialect, Grammar, grammar_of
from audited_load.reading.encoding import swap_quotes
from audited_load.reading.lines import NEWLINE, QUOTE, RETURN, Lines
from audited_load.shown import INVISIBLE

MAX_RECORD_BYTES = 2**20
"""A quoted field that has not ended after this many bytes counts as never closed."""

GOOD, STRAY_QUOTE, UNCLOSED_QUOTE = "", "stray_quote", "unclosed_quote"
PLAIN, QUOTE_IN_FIELD, SPACE_BESIDE_QUOTE = "", "quote_in_field", "space_beside_quote"

_QUOTED = re.compile(QUOTED)
_KEY = re.compile(r"[A-Za-z]?[0-9]+(?:\.0*)?")
_AROUND_KEY = dict.fromkeys(map(ord, "\"'=" + INVISIBLE))


@dataclass(frozen=True)
class OddRecord:
    """A record with quotes that a look at its own line doesn't explain.

    Attributes:
        start: First byte in the block.
        end: First byte after its line end.
        fields: How many fields it has; 0 if it can't be split.
        fault: Why it can't be split, or nothing.
        form: What is beside RFC 4180 in it, though it has one meaning, or nothing.
    """

    start: int
    end: int
    fields: int
    fault: str
    form: str = PLAIN


def looks_like_key(text: bytes) -> bool:
    """Return whether a text may be a record's key: digits, perhaps with a letter before them."""
    return _KEY.fullmatch(text.decode(errors="replace").translate(_AROUND_KEY).strip()) is not None


def judge_odd(data: bytes, lines: Lines, dialect: Dialect, *, final: bool) -> tuple[tuple[OddRecord, ...], int]:
    """Judge the records that start on odd lines, and find the end of the last whole record.

    Args:
        data: Lines, from the start of a record.
        lines: Where they are.
        dialect: How they split into fields.
        final: Whether nothing comes after them.

    Returns:
        The odd records, and the first byte that is of no whole record.
    """
    odd: list[OddRecord] = []
    grammar, position = grammar_of(dialect.delimiter, spaced_quotes=dialect.spaced_quotes), 0
    for line in _odd_lines(data, lines, dialect):
        start, line_end = int(lines.ends[line - 1]) if line else 0, int(lines.ends[line])
        if start < position:
            continue
        text = data[start:line_end].rstrip(b"\r\n")
        record = _whole_line(text, start, line_end, grammar)
        if record is None:
            match = grammar.record.match(data, start, start + MAX_RECORD_BYTES)
            whole = match is not None and data[match.end() - 1 : match.end()] == b"\n"
            if not whole and not final and len(data) - start < MAX_RECORD_BYTES:
                return tuple(odd), start
            record = _over_lines(match, dialect, grammar) if match is not None and whole else None
        if record is None:
            fault = UNCLOSED_QUOTE if find_bad_quote(text, dialect).is_open else STRAY_QUOTE
            record = OddRecord(start, line_end, 0, fault)
        odd.append(record)
        position = record.end
    return tuple(odd), int(lines.ends[-1]) if len(lines.ends) else 0


@dataclass(frozen=True)
class BadQuote:
    """The first quote of a line that breaks it.

    Attributes:
        field: In which field, from 1.
        column: At which character, from 1.
        is_open: Whether it isn't closed on the line.
        is_late: Whether a space is before it. Otherwise something stands behind it, though it closes the field.
    """

    field: int
    column: int
    is_open: bool = False
    is_late: bool = False


def find_bad_quote(line: bytes, dialect: Dialect) -> BadQuote:
    """Find what is wrong with the quotes of a line that is not a record."""
    grammar = grammar_of(dialect.delimiter, spaced_quotes=dialect.spaced_quotes)
    for number, piece in enumerate(grammar.piece.finditer(line), start=1):
        start = piece.start(1) + len(piece[1]) - len(piece[1].lstrip(b" \t"))
        if line[start : start + 1] != b'"' or grammar.field.fullmatch(piece[1]):
            continue
        closed, is_late = _QUOTED.match(line, start), start > piece.start(1)
        place = start if closed is None or is_late else closed.end() - 1
        column = len(line[:place].decode(errors="replace")) + 1
        return BadQuote(number, column, is_open=closed is None, is_late=is_late)
    return BadQuote(1, 1)


def split_record(raw: bytes, dialect: Dialect) -> list[bytes]:
    """Split a whole record without its line end, as `judge_odd` does, and take the quotes off."""
    grammar = grammar_of(dialect.delimiter, spaced_quotes=dialect.spaced_quotes)
    fields = []
    for field in grammar.field.findall(raw):
        bare = field.strip(b" \t")
        is_quoted = bare.startswith(b'"')
        fields.append(bare[1:-1].replace(b'""', b'"') if is_quoted else field)
    return fields


def restore_record(raw: bytes, dialect: Dialect) -> bytes:
    """Write a record as it is kept: with double quotes, whatever its file has; as it was, if it can't be split.

    Args:
        raw: The record without its line end, as it is read.
        dialect: How it splits into fields.
    """
    if dialect.quote == '"':
        return raw
    grammar = grammar_of(dialect.delimiter, spaced_quotes=dialect.spaced_quotes)
    if not grammar.record.fullmatch(raw):
        return swap_quotes(raw, dialect.quote)
    special = b'"\r\n' + dialect.mark
    fields = [swap_quotes(field, dialect.quote) for field in split_record(raw, dialect)]
    return dialect.mark.join(
        b'"' + field.replace(b'"', b'""') + b'"' if any(byte in field for byte in special) else field
        for field in fields
    )


def _whole_line(text: bytes, start: int, end: int, grammar: Grammar) -> OddRecord | None:
    """Read a line as a record by itself, if it is one."""
    if not grammar.line.fullmatch(text):
        return None
    return OddRecord(start, end, len(grammar.field.findall(text)), GOOD, _name_form(text, grammar))


def _over_lines(match: re.Match[bytes], dialect: Dialect, grammar: Grammar) -> OddRecord | None:
    """Read what quotes hold together over lines as a record, if it is one."""
    fields = grammar.field.findall(match[1])
    if len(fields) != dialect.fields:
        return None
    # Stray quotes can't make a record in which each field is quoted.
    trusted = all(field.lstrip(b" \t").startswith(b'"') for field in fields)
    if not trusted and _holds_a_record(match[0], dialect, grammar):
        return None
    return OddRecord(match.start(), match.end(), len(fields), GOOD, _name_form(match[1], grammar))


def _name_form(text: bytes, grammar: Grammar) -> str:
    if grammar.strict.fullmatch(text):
        return PLAIN
    plain = b"".join(field for field in grammar.field.findall(text) if not field.lstrip(b" \t").startswith(b'"'))
    return QUOTE_IN_FIELD if b'"' in plain else SPACE_BESIDE_QUOTE


def _holds_a_record(raw: bytes, dialect: Dialect, grammar: Grammar) -> bool:
    """Return whether one of the lines that quotes make one record is a record by itself.

    It is if it has all fields, give or take one, or what may be a key in the key's place, give or take one: then
    the quotes are stray ones, and what lies between them would be lost. Of a true record over several lines only
    the first line may look so, or the last if the record's first field is the one that goes on.
    """
    first, *others = (grammar.piece.findall(line.rstrip(b"\r\n")) for line in raw.split(b"\n") if line)
    opened = next(number for number, piece in enumerate(first) if _is_open(piece, grammar))
    if len(first) == dialect.fields and opened < dialect.fields - 1:
        return True
    if dialect.key is not None and opened < dialect.key < len(first) and looks_like_key(first[dialect.key]):
        return True
    keys = slice(0, 0)
    if dialect.key is not None:
        # Only where something is before the key can a field more or less move it.
        keys = slice(max(dialect.key - 1, 0), dialect.key + 1 + (dialect.key > 0))
    if opened == 0 and others and len(others[-1]) == dialect.fields:
        others.pop()
    # All that comes behind a note in the second field is a field less than a record.
    counted = others[:-1] if opened == 1 and others and len(others[-1]) == dialect.fields - 1 else others
    if any(len(pieces) >= max(dialect.fields - 1, 2) for pieces in counted):
        return True
    return any(any(map(looks_like_key, pieces[keys])) for pieces in others)


def _is_open(piece: bytes, grammar: Grammar) -> bool:
    return piece.lstrip(b" \t").startswith(b'"') and not grammar.field.fullmatch(piece)


def _odd_lines(data: bytes, lines: Lines, dialect: Dialect) -> list[int]:
    """Tell the lines whose quotes, taken in pairs, don't each open and close a field."""
    quotes, line, array = lines.quotes, lines.quote_lines, np.frombuffer(data, np.uint8)
    if not len(quotes):
        return []
    mark, last = ord(dialect.delimiter), len(array) - 1
    before, after = np.where(quotes > 0, array[quotes - 1], NEWLINE), array[quotes + 1]
    line_ends = (after == RETURN) & (array[np.minimum(quotes + 2, last)] == NEWLINE)
    can_open = (before == mark) | (before == NEWLINE) | (before == QUOTE)
    can_close = (after == mark) | (after == NEWLINE) | (after == QUOTE) | line_ends
    # The last quote of a line closes; if it opens, the line has an odd number of them.
    is_last = np.append(line[1:] != line[:-1], True)
    bad = np.where(lines.opens, ~can_open | is_last, ~can_close)
    return [int(number) for number in np.unique(line[bad])]
