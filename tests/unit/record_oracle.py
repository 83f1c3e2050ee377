"""Where the records of a file are, a second time: slow, plain Python, from the design and not from the engine.

Bytes of a UTF-8 file with a plain header and commas → its records. It knows `csv` by its grammar only, goes from
character to character, and uses nothing of `audited_load`.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

RECORD_LIMIT = 2**20


@dataclass(frozen=True)
class Piece:
    """What stands between two delimiters of a line: its text, and "quoted", "plain" or "broken"."""

    text: str
    kind: str


def split_records(content: bytes, fields: int, key: int = 0) -> list[tuple[bytes, list[str] | str]]:
    """Split the records after the header: for each its bytes without line end, and its fields or its fault.

    Args:
        content: The file.
        fields: How many fields its header has.
        key: Which of them, from 0, identifies a record.
    """
    found: list[tuple[bytes, list[str] | str]] = []
    header, _, body = content.decode(errors="surrogateescape").partition("\n")
    position = 0
    while position < len(body):
        line_end = body.find("\n", position) + 1 or len(body)
        line = body[position:line_end].rstrip("\r\n")
        pieces = split_line(line)
        end = line_end
        if any(piece.kind == "broken" for piece in pieces):
            whole = _read_over_lines(body, position)
            several = body[position:whole].rstrip("\r\n") if whole else ""
            if several and _is_one_record(several, fields, key):
                line, end, pieces = several, whole or 0, split_line(several)
        position = end
        if _is_blank(pieces) or [piece.text for piece in pieces] == header.split(","):
            continue
        found.append((line.encode(errors="surrogateescape"), _judge(line, pieces, fields)))
    return found


def split_line(text: str) -> list[Piece]:
    """Split a text at the commas that no quotes hold; a quote that doesn't end its field is a character."""
    pieces, start = [], 0
    while start <= len(text):
        end = _end_of_quoted(text, start)
        if end is not None and text[end : end + 1] in {"", ","}:
            inner = text[start:end].rstrip(" \t")[1:-1]
            pieces.append(Piece(inner.replace('""', '"'), "quoted"))
        else:
            end = text.find(",", start)
            end = len(text) if end < 0 else end
            plain = text[start:end]
            pieces.append(Piece(plain, "broken" if plain.lstrip(" \t").startswith('"') else "plain"))
        start = end + 1
    return pieces


def _end_of_quoted(text: str, start: int) -> int | None:
    """Find where a quoted field and the blanks behind it end; None if none starts here, or it never closes."""
    if text[start : start + 1] != '"':
        return None
    place = start + 1
    while place < len(text):
        if text[place] != '"':
            place += 1
        elif text[place + 1 : place + 2] == '"':
            place += 2
        else:
            place += 1
            while text[place : place + 1] in {" ", "\t"}:
                place += 1
            return place
    return None


def _read_over_lines(body: str, start: int) -> int | None:
    """Find the end of a record that starts here and may go on over lines; None if its quotes break the grammar."""
    place = start
    while True:
        end = _end_of_quoted(body, place)
        if end is None:
            if body[place:].lstrip(" \t").startswith('"'):
                return None
            match = re.compile(r"[,\n]|\Z").search(body, place)
            end = match.start() if match else len(body)
            end -= body[end - 1 : end] == "\r" and body[end : end + 1] == "\n" and end > place
        if end - start > RECORD_LIMIT:
            return None
        rest = body[end : end + 2]
        if rest in {"", "\r"} or rest[:1] == "\n" or rest == "\r\n":
            return min(len(body), end + (2 if rest == "\r\n" else 1))
        if rest[:1] != ",":
            return None
        place = end + 1


def _is_one_record(text: str, fields: int, key: int) -> bool:  # noqa: PLR0911 - one for each reason
    """Return whether the lines that quotes hold together are one record, and none of them one by itself."""
    whole = split_line(text)
    if len(whole) != fields or any(piece.kind == "broken" for piece in whole):
        return False
    if all(piece.kind == "quoted" for piece in whole):
        return True
    lines = [split_line(line.removesuffix("\r")) for line in text.split("\n") if line]
    opened = next(number for number, piece in enumerate(lines[0]) if piece.kind == "broken")
    if len(lines[0]) == fields and opened < fields - 1:
        return False
    if opened < key < len(lines[0]) and _may_be_key(lines[0][key].text):
        return False
    keys = {key} if key == 0 else {key - 1, key, key + 1}
    for number, line in enumerate(lines[1:], start=1):
        is_last = number == len(lines) - 1
        if is_last and opened == 0 and len(line) == fields:
            continue
        is_rest = is_last and opened == 1 and len(line) == fields - 1
        if len(line) >= max(fields - 1, 2) and not is_rest:
            return False
        if any(_may_be_key(piece.text) for place, piece in enumerate(line) if place in keys):
            return False
    return True


def _bare(text: str) -> str:
    return "".join(char for char in text if char not in "\"'=" and not _shows_nothing(char))


def _may_be_key(text: str) -> bool:
    return re.fullmatch(r"[A-Za-z]?[0-9]+(\.0*)?", _bare(text)) is not None


def _shows_nothing(char: str) -> bool:
    return char.isspace() or char == "\x1a" or unicodedata.category(char) in {"Cf", "Zs", "Zl", "Zp"}


def _is_blank(pieces: list[Piece]) -> bool:
    return all(piece.kind != "broken" and all(map(_shows_nothing, piece.text)) for piece in pieces)


def _judge(line: str, pieces: list[Piece], fields: int) -> list[str] | str:
    if "\0" in line:
        return "nul"
    if any(piece.kind == "plain" and "\r" in piece.text for piece in pieces):
        return "return"
    try:
        line.encode()
    except UnicodeEncodeError:
        return "undecodable"
    if any(piece.kind == "broken" for piece in pieces):
        return "quotes"
    return [piece.text for piece in pieces] if len(pieces) == fields else "fields"
