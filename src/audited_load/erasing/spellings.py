"""A text → the words in it that may be an id, however it is spelled, and where they stand.

What a word means, the feed's rules decide. Here is only how a number may stand among other text: with a letter
before it, with thousands marks, in digits of another script, with bytes beside or between its digits that show
nothing.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from functools import lru_cache
from typing import NamedTuple

from audited_load.shown import INVISIBLE

_HIDDEN = "\0"
"""Stands for what shows nothing or is no text."""
_SHOWN_BYTE = re.compile(r"\\x[0-9a-f]{2}")


class Word(NamedTuple):
    """What may be an id: where it stands, and in plain spelling."""

    start: int
    end: int
    plain: str


def find_words(text: str, delimiters: Collection[str] = ()) -> list[Word]:
    r"""Find the words of a text that may be ids.

    Numbers that are a part of a day, a time or an amount with decimals are none.

    Args:
        text: Such as a raw record. Bytes that are no text are lone surrogates in it, or `\xNN`.
        delimiters: What may stand between its fields, and so is no part of a number.

    Returns:
        The words; some may overlap.
    """
    folded = text.translate(_FOLDED)
    views = [folded]
    if _SHOWN_BYTE.search(folded):
        views.append(_SHOWN_BYTE.sub(lambda shown: _HIDDEN * len(shown[0]), folded))
    words = {
        Word(match.start(), match.end(), _plain(match[0], is_grouped=is_grouped))
        for view in views
        for pattern, is_grouped in _patterns("," in delimiters)
        for match in pattern.finditer(view)
    }
    return sorted(words)


def is_one_number(text: str) -> bool:
    """Tell whether a text is one number with thousands marks, and nothing else."""
    grouped = _patterns(False)[-1][0]
    return grouped.fullmatch(text.translate(_FOLDED).strip("\0\"' \t")) is not None


class _Folded(dict[int, str]):
    """Characters → plain ones, one for one, so that places stay."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        if char == _HIDDEN or char in INVISIBLE or unicodedata.category(char) == "Cs":
            char = _HIDDEN
        elif char.isdecimal():
            char = str(unicodedata.decimal(char))
        elif unicodedata.category(char) == "Zs":
            char = " "
        self[code] = char
        return char


_FOLDED = _Folded()


def _plain(found: str, *, is_grouped: bool) -> str:
    plain = found.replace(_HIDDEN, "")
    return re.sub(r"[ ,.'\u2019]", "", plain) if is_grouped else plain.replace(",", ".")


@lru_cache(2)
def _patterns(comma_divides: bool) -> tuple[tuple[re.Pattern[str], bool], ...]:
    """Build the patterns of a number by itself, one with something hidden inside, and one with thousands marks."""
    marks = "." if comma_divides else ".,"
    before = rf"(?<![^\W_])(?<![0-9][{marks}:/\-])[A-Za-z]?"
    after = rf"(?![^\W_])(?![{marks}:/\-][0-9])"
    fraction = rf"(?:[{marks}]0+(?![0-9]))?"
    group = rf"(?P<mark>[ '\u2019{marks}])[0-9]{{3}}(?:(?P=mark)[0-9]{{3}})*"
    quoted = r"|(?<=\")[A-Za-z]?[1-9][0-9]{0,2}(?:,[0-9]{3})+(?=\")"
    return (
        (re.compile(rf"{before}[0-9]+{fraction}{after}"), False),
        (re.compile(r"(?<![^\W_])[A-Za-z]?\0*[0-9]+(?:\0+[0-9]+)+(?![^\W_])"), False),
        (re.compile(rf"{before}[1-9][0-9]{{0,2}}{group}(?![^\W_])(?!(?P=mark)[0-9]){quoted}"), True),
    )
