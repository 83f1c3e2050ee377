"""Which day a text means, a second time: slow, plain Python, written from the design and not from the engine."""

from __future__ import annotations

import re
from datetime import date

WHITE_SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
MONTHS = [
    "january", "february", "march", "april", "may", "june",
    "july", "august", "september", "october", "november", "december",
]  # fmt: skip


def is_digits(text: str) -> bool:
    return text != "" and all(char in "0123456789" for char in text)


_CLOCK = re.compile(
    rf"(?P<day>.*[0-9])(?:[Tt]|,?[{WHITE_SPACE}]+)(?P<hour>[0-9]{{1,2}}):(?P<minute>[0-9][0-9])"
    rf"(?::(?P<second>[0-9][0-9])(?:[.,](?P<fraction>[0-9]+))?)?(?:[{WHITE_SPACE}]?(?P<half>[APap]\.?[Mm]\.?))?"
    rf"(?:[{WHITE_SPACE}]?(?P<zone>[Zz]|UTC|GMT|[+-](?P<ahead>[0-9][0-9])(?::?(?P<more>[0-9][0-9]))?))?"
)


def read_date(text: str, *, month_first: bool) -> date | None:
    """Read a day, with or without a time behind it; None if it is none."""
    if clock := _CLOCK.fullmatch(text):
        if int(clock["hour"]) > (12 if clock["half"] else 23) or len(clock["fraction"] or "") > 9:
            return None
        if int(clock["minute"]) > 59 or int(clock["second"] or 0) > 59:
            return None
        if int(clock["ahead"] or 0) > 14 or int(clock["more"] or 0) > 59:
            return None
        text = clock["day"]
    parts = _read_day(text, month_first=month_first)
    try:
        return date(*parts) if parts else None
    except ValueError:
        return None


def _read_day(text: str, *, month_first: bool) -> tuple[int, int, int] | None:
    """Read year, month and day."""
    if is_digits(text):
        whole = len(text) == 8 and text[:2] in {"19", "20"}
        return (int(text[:4]), int(text[4:6]), int(text[6:])) if whole else None
    for mark in "-/.":
        parts = text.split(mark)
        if len(parts) == 3 and all(map(is_digits, parts)):
            lengths = [len(part) for part in parts]
            first, second, third = map(int, parts)
            if lengths[0] == 4 and max(lengths[1:]) <= 2:
                return first, second, third
            if lengths[2] == 4 and max(lengths[:2]) <= 2:
                return (third, first, second) if month_first else (third, second, first)
    return _read_worded_day(text)


def _read_worded_day(text: str) -> tuple[int, int, int] | None:
    """Read a day whose month is a word, piece by piece: digits, letters, and what is between."""
    pieces = re.findall(r"[0-9]+|[A-Za-z]+|[^0-9A-Za-z]+", text)
    values = [piece for piece in pieces if piece[0].isascii() and piece[0].isalnum()]
    ordinal = next((piece for piece in values if piece.lower() in {"st", "nd", "rd", "th"}), None)
    if ordinal is not None:
        values.remove(ordinal)
    if len(values) != 3:
        return None
    kinds = "".join("m" if value.isalpha() else {1: "d", 2: "d", 4: "y"}.get(len(value), "?") for value in values)
    if kinds not in _GAPS or (ordinal is not None and kinds == "ymd"):
        return None
    day = values[kinds.index("d")] + (ordinal or "")
    shown = [day if kind == "d" else value for kind, value in zip(kinds, values, strict=True)]
    spaced = "".join(" " if char in WHITE_SPACE else char for char in text)
    firsts, seconds = _GAPS[kinds]
    if not any(spaced == shown[0] + one + shown[1] + two + shown[2] for one in firsts for two in seconds):
        return None
    word = values[kinds.index("m")].lower()
    months = [number for number, name in enumerate(MONTHS, 1) if word in {name, name[:3]}]
    months += [9] if word == "sept" else []
    return (int(values[kinds.index("y")]), months[0], int(values[kinds.index("d")])) if months else None


def _combine(*choices: str) -> set[str]:
    """Every text of one character, or none (`|`), of each choice."""
    texts = {""}
    for choice in choices:
        texts = {text + char.replace("|", "") for text in texts for char in choice}
    return texts


_GAPS = {
    "dmy": (_combine("|-/. ", "| "), _combine("|.", "|-/, ", "| ")),
    "mdy": (_combine("|.", "|-/ "), _combine("-/, ", "| ")),
    "ymd": (_combine("|-/. "), _combine("|-/. ")),
}
