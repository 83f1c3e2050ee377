"""English number words, by a grammar of the tests' own: words → number, and number → words."""

from __future__ import annotations

import itertools
import re
from decimal import Decimal

_UNITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_TEENS = ("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen")
SMALL = [*_UNITS, *_TEENS]
TENS = ("", "", *["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"])
SCALES = ((10**12, "trillion"), (10**9, "billion"), (10**6, "million"), (10**3, "thousand"))

_BELOW_TEN = "(?:" + "|".join(SMALL[1:10]) + ")"
_BELOW_HUNDRED = f"(?:(?:{'|'.join(TENS[2:])})(?: {_BELOW_TEN})?|{'|'.join(reversed(SMALL[1:]))})"
_BELOW_THOUSAND = f"(?:(?:{_BELOW_TEN}|a) hundred(?: {_BELOW_HUNDRED})?|{_BELOW_HUNDRED}|a)"
_WHOLE = (
    "".join(f"(?:({_BELOW_THOUSAND}) {name} ?)?" for _, name in SCALES)
    + f"({_BELOW_THOUSAND.removesuffix('|a)')}))?"
)
_LARGE = "|".join(name for _, name in SCALES)
_HUNDREDS = f"({_BELOW_HUNDRED}) hundred(?: ({_BELOW_HUNDRED}))?"
"""How people say 1905: nineteen hundred and five."""


def spell(number: int) -> str:
    """Spell a whole number as an Englishman does: "one hundred and five"."""
    if number < 0:
        return f"minus {spell(-number)}"
    if number < 20:
        return SMALL[number]
    if number < 100:
        return TENS[number // 10] + (f"-{SMALL[number % 10]}" if number % 10 else "")
    if number < 1000:
        rest = f" and {spell(number % 100)}" if number % 100 else ""
        return f"{SMALL[number // 100]} hundred{rest}"
    size, name = next(scale for scale in SCALES if number >= scale[0])
    rest = number % size
    joint = " and " if 0 < rest < 100 else " "
    return f"{spell(number // size)} {name}" + (f"{joint}{spell(rest)}" if rest else "")


def read_words(text: str) -> Decimal | None:
    """Read number words; None for whatever is not one whole English number."""
    if re.fullmatch(r"[A-Za-z][A-Za-z ,-]*", text) is None or not _commas_fit(text.lower()):
        return None
    words = " ".join(re.sub("[,-]", " ", text.lower()).split())
    sign, words = next(
        ((-1, words.removeprefix(mark)) for mark in ("minus ", "negative ") if words.startswith(mark)), (1, words)
    )
    whole, point, decimals = words.partition(" point ")
    digits = decimals.split()
    if point and (not digits or any(digit not in SMALL[:10] for digit in digits)):
        return None
    # "And" joins a tail to hundreds or more; anywhere else the text is no number.
    whole = re.sub(rf"(?<=dred|sand|lion) and (?=\w)(?!(?:hundred|{_LARGE})\b)", " ", whole)
    number = _read_whole(whole)
    if number is None:
        return None
    return sign * Decimal(
        f"{number}" + ("." + "".join(str(SMALL.index(digit)) for digit in digits) if point else "")
    )


def _commas_fit(text: str) -> bool:
    """A comma stands behind a thousand or more, or before "and", never at the end."""
    pieces = text.split(",")
    return all(
        after.strip() and (re.search(rf"(?:{_LARGE})$", before) or re.match(r"\s+and\b", after))
        for before, after in itertools.pairwise(pieces)
    )


def _read_whole(words: str) -> int | None:
    if words == "zero":
        return 0
    hundreds = re.fullmatch(_HUNDREDS, words)
    if hundreds and 10 < (count := _read_small(hundreds[1])) < 100 and count % 10:
        return count * 100 + _read_small(hundreds[2])
    match = re.fullmatch(_WHOLE, words)
    if match is None or not words or "a" in words.split()[1:]:
        return None
    sizes = [size for size, _ in SCALES] + [1]
    return sum(size * _read_small(group) for size, group in zip(sizes, match.groups(), strict=True))


def _read_small(words: str | None) -> int:
    """Add up words below a thousand."""
    total = 0
    for word in (words or "").split():
        if word == "hundred":
            total *= 100
        elif word in TENS:
            total += 10 * TENS.index(word)
        else:
            total += 1 if word == "a" else SMALL.index(word)
    return total
