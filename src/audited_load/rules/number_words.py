"""English number words → decimal text, exactly, or nothing. Parsing and spelling are two libraries' work."""

from __future__ import annotations

import re
from functools import lru_cache

from num2words import num2words
from text_to_num import text2num

NUMBER_WORDS = r"(?i)^[a-z][a-z \-,]*$"
"""Texts that are worth a try: letters, spaces, hyphens and commas only."""

_LOOSE_COMMA = re.compile(r"(?i)(?<!thousand)(?<!million)(?<!billion)(?<!trillion),(?!\s+and\b)|,\s*$")
_LOOSE_HYPHEN = re.compile(r"-\s*(?:-|$)")
"""Behind digits it is a minus: what it means behind words is not certain."""
# "And" joins a tail to hundreds or more; anywhere else it is a slip, such as "five hundred and thousand".
_SIZES = "hundred|thousand|million|billion|trillion"
_JOINT = re.compile(rf"\b({_SIZES}) and (?=[a-z])(?!(?:and|{_SIZES})\b)")
_SIGNS = ("minus ", "negative ")
_SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@lru_cache(maxsize=65536)
def read_number_words(text: str) -> str | None:
    """Read an English number, such as "one hundred and five point two five".

    A number is only accepted if spelling it out again gives the same words, so that a half-understood
    text is never taken for a number.

    Args:
        text: The words, in any case, with or without hyphens and "and".

    Returns:
        The number as decimal text ("105.25"), or None if the words are not one number.
    """
    if _LOOSE_COMMA.search(text) or _LOOSE_HYPHEN.search(text):
        return None
    words = _normalise(text)
    sign = "-" if words.startswith(_SIGNS) else ""
    if sign:
        words = words.partition(" ")[2]
    whole_words, point, decimal_words = words.partition(" point ")
    whole_words = re.sub(rf"^a (?={_SIZES})", "one ", _JOINT.sub(r"\1 ", whole_words))
    if "and" in whole_words.split():
        return None
    whole = _read_groups(whole_words.split())
    if whole is None:
        whole = _read_whole(whole_words)
    if whole is None:
        return None
    if not point:
        return f"{sign}{whole}"
    digits = [_DIGITS.index(word) for word in decimal_words.split() if word in _DIGITS]
    if not digits or len(digits) != len(decimal_words.split()):
        return None
    return f"{sign}{whole}.{''.join(map(str, digits))}"


def _read_groups(words: list[str]) -> int | None:
    """Read a number group by group, as "two million", "five thousand" and "six": few groups make very many numbers.

    None for whatever isn't written strictly so, a number below 1000 included.
    """
    number, scale, start = 0, 0, 0
    for place, word in enumerate(words):
        if found := _SCALES.get(word):
            group = _read_group(" ".join(words[start:place]))
            if group is None or (scale and found >= scale):
                return None
            number, scale, start = number + group * found, found, place + 1
    if not scale or start == len(words):
        return number or None
    group = _read_group(" ".join(words[start:]))
    return None if group is None else number + group


@lru_cache(maxsize=4096)
def _read_group(words: str) -> int | None:
    """Read a number from 1 to 999."""
    number = _read_whole(words)
    return number if number and number < 1000 else None  # noqa: PLR2004 - a group of three digits


def _read_whole(words: str) -> int | None:
    try:
        number = int(text2num(words, "en"))
    except ValueError:
        return None
    return number if _skeleton(words) in _spellings(number) else None


@lru_cache(maxsize=65536)
def _spellings(number: int) -> frozenset[str]:
    spellings = {_skeleton(num2words(number, lang="en"))}
    hundreds, rest = divmod(number, 100)
    if 10 < hundreds < 100 and hundreds % 10:  # noqa: PLR2004 - "twelve hundred", "nineteen hundred and five"
        tail = f" {num2words(rest, lang='en')}" if rest else ""
        spellings.add(_skeleton(f"{num2words(hundreds, lang='en')} hundred{tail}"))
    return frozenset(spellings)


def _normalise(text: str) -> str:
    return " ".join(text.lower().replace("-", " ").replace(",", " ").split())


def _skeleton(words: str) -> str:
    return " ".join(word for word in _normalise(words).split() if word != "and")
