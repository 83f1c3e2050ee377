"""UTF-8 bytes → blocks of whole records, with every broken record told apart.

A record is broken when it can't be split into the header's number of fields without a guess: a quote that is
stray or never closed, too few or too many fields, a NUL, bytes that are not UTF-8. A broken record is one
physical line, and reading goes on at the next.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

MAX_RECORD_BYTES = 2**20
"""A quoted field that has not ended after this many bytes counts as never closed."""

BLANK = "blank"
_QUOTED = rb'"(?:[^"]|"")*+"'


@dataclass(frozen=True)
class Record:
    """Where a record lies within its block.

    Attributes:
        start: First byte.
        end: First byte after its line end.
        line: Lines of the block before it.
        fault: Why it is broken (`too_few_fields`, …), `blank` for an empty line, or None.
    """

    start: int
    end: int
    line: int
    fault: str | None


@dataclass(frozen=True)
class Block:
    """Whole records, cut from the file.

    Attributes:
        data: Their bytes; the last line may lack its newline at the end of the file.
        quoted: Records that hold a quote, in order.
        offset: Bytes before it.
        first_line: Line of the file on which it starts, from 1.
    """

    data: bytes
    quoted: tuple[Record, ...]
    offset: int
    first_line: int


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
    """
    rest = b""
    for chunk in chunks:
        data = rest + chunk
        quoted, end = _scan(data, delimiter, fields, final=False)
        rest = data[end:]
        if end:
            block = Block(data[:end], quoted, offset, first_line)
            yield block
            offset += end
            first_line += block.data.count(b"\n")
    if rest:
        quoted, _ = _scan(rest, delimiter, fields, final=True)
        yield Block(rest, quoted, offset, first_line)


def is_tidy(block: Block, delimiter: str, fields: int) -> bool:
    """Tell whether every line of a block is one record, as far as counting can tell.

    The number of delimiters is right in all; a line with too many and one with too few could cancel out,
    which the parser notices.
    """
    data = block.data
    if block.quoted or b"\0" in data or _has_blank_line(data) or not _decodes(data):
        return False
    lines = data.count(b"\n") + (not data.endswith(b"\n"))
    return data.count(delimiter.encode()) == lines * (fields - 1)


def list_records(block: Block, delimiter: str, fields: int) -> Iterator[Record]:
    """List every record of a block, in order, with its place and its fault."""
    data, mark, decodes = block.data, delimiter.encode(), _decodes(block.data)
    quoted = {record.start: record for record in block.quoted}
    position = line = 0
    while position < len(data):
        record = quoted.get(position)
        if record is None:
            newline = data.find(b"\n", position)
            end = len(data) if newline < 0 else newline + 1
            content = data[position:end].rstrip(b"\r\n")
            fault = BLANK if not content else _count_fault(content.count(mark) + 1, fields)
            record = Record(position, end, line, fault)
        content = data[record.start : record.end]
        if b"\0" in content:
            record = Record(record.start, record.end, line, "nul_byte")
        elif not decodes and not _decodes(content):
            record = Record(record.start, record.end, line, "undecodable_bytes")
        elif record.line != line:
            record = Record(record.start, record.end, line, record.fault)
        yield record
        line += content.count(b"\n")
        position = record.end


def _scan(data: bytes, delimiter: str, fields: int, *, final: bool) -> tuple[tuple[Record, ...], int]:
    """Find the records with quotes, and the end of the last whole record."""
    quoted: list[Record] = []
    pattern = _grammar(delimiter)
    position = 0
    while (quote := data.find(b'"', position)) >= 0:
        start = data.rfind(b"\n", position, quote) + 1 or position
        newline = data.find(b"\n", quote)
        line_end = len(data) if newline < 0 else newline + 1
        match = pattern.match(data, start, start + MAX_RECORD_BYTES)
        whole = match is not None and data[match.end() - 1 : match.end()] == b"\n"
        if not whole and not final and len(data) - start < MAX_RECORD_BYTES:
            return tuple(quoted), start
        end = line_end
        fault: str | None = "unclosed_quote" if _quote_is_open(data[start:line_end], delimiter) else "stray_quote"
        if match is not None and (whole or match.end() == len(data)):
            found = _count_fields(match[1], delimiter)
            if found == fields or match.end() <= line_end:
                end, fault = match.end(), _count_fault(found, fields)
        quoted.append(Record(start, end, 0, fault))
        position = end
    end = len(data) if final else data.rfind(b"\n", position) + 1 or position
    return tuple(quoted), end


@lru_cache(maxsize=8)
def _grammar(delimiter: str) -> re.Pattern[bytes]:
    """Compile the pattern of a whole record; group 1 leaves out the line end."""
    mark = re.escape(delimiter.encode())
    value = rb"(?:" + _QUOTED + rb'|[^"\n' + mark + rb"]*+)"
    return re.compile(rb"(" + value + rb"(?:" + mark + value + rb")*+)\r?(?:\n|\Z)")


def _count_fields(record: bytes, delimiter: str) -> int:
    return re.sub(_QUOTED, b"", record).count(delimiter.encode()) + 1


def _quote_is_open(line: bytes, delimiter: str) -> bool:
    """Tell whether a field of the line starts with a quote that the line doesn't close."""
    outside = re.sub(_QUOTED, b"", line)
    return re.search(rb"(?:^|" + re.escape(delimiter.encode()) + rb')"', outside) is not None


def _count_fault(found: int, fields: int) -> str | None:
    return None if found == fields else "too_few_fields" if found < fields else "too_many_fields"


def _has_blank_line(data: bytes) -> bool:
    return data.startswith((b"\n", b"\r\n")) or b"\n\n" in data or b"\n\r\n" in data


def _decodes(data: bytes) -> bool:
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
