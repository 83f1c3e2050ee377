r"""Text from outside → text that a terminal, a log or a page can show: nothing in it acts, nothing hides."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping

SHOWN_CHARACTERS = 60
INVISIBLE = "\u00ad\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff"
"""Characters that show nothing: soft hyphen, zero width, marks of direction, byte order mark."""

DECLARE_ENCODING = "--encoding, or SOURCE_ENCODING for all files (docs/files.md)"
"""Where an encoding is declared."""

NOT_SHOWN = "(not shown)"
MASKED = "[masked]"
"""Stands for a value that must not be written."""
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
_COLUMN_NAME = re.compile(r"[^\W\d_][\w \-./#()%&€$£+:]*")
_ODD_BYTES = re.compile("[\udc80-\udcff]")
"""As what Python shows bytes of a file's name that are no UTF-8."""
_LONG_NUMBER = re.compile(r"\d{5}")


def show_text(text: str, limit: int = SHOWN_CHARACTERS) -> str:
    r"""Escape what a terminal would obey or nobody would see, such as `\x1b` and `\u200b`; cut what is too long.

    Args:
        text: Such as a file's or a column's name.
        limit: Characters at most, before they are escaped.
    """
    cut = text if len(text) <= limit else f"{text[:limit]}…"
    return "".join(_escape(char) for char in cut)


def escape_text(text: str) -> str:
    """Escape a text of any length; its line ends stay."""
    # Most texts need nothing, and this is quick to see.
    return text if text.isprintable() else "".join(char if char == "\n" else _escape(char) for char in text)


def count_of(number: int, noun: str) -> str:
    """Write a number of things: "1 record", "2 records"."""
    return f"{number} {noun}{'s' * (number != 1)}"


def most_frequent(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """Put counts in order, the largest first; equal ones by name."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def show_json(values: object, indent: int | None = None) -> str:
    r"""Write JSON for a terminal: what hides or acts stands there as `\u001b`, and a program reads it as it was."""
    text = json.dumps(values, indent=indent, default=str, ensure_ascii=False)
    return "".join(
        json.dumps(char)[1:-1] if char != "\n" and unicodedata.category(char) in _HIDDEN else char for char in text
    )


def storable_name(name: str) -> str:
    r"""Write a file's name that is not a UTF-8 so that it can be stored and sent: each odd byte as `\xe9`.

    Args:
        name: As Python gives it; one that is UTF-8 stays as it is.
    """
    return "".join(_escape(char) if _ODD_BYTES.fullmatch(char) else char for char in name)


def _escape(char: str) -> str:
    if _ODD_BYTES.fullmatch(char):
        return f"\\x{ord(char) & 0xFF:02x}"
    return char.encode("unicode_escape").decode() if unicodedata.category(char) in _HIDDEN else char


def show_name(name: str) -> str:
    """Show a column's name if it looks like one; a text that may be a person's data is not shown.

    Args:
        name: As found in a header.
    """
    bare = name.strip().strip(INVISIBLE).strip()
    looks_right = _COLUMN_NAME.fullmatch(bare) and not _LONG_NUMBER.search(bare)
    return show_text(name.strip()) if looks_right and len(bare) <= SHOWN_CHARACTERS else NOT_SHOWN
