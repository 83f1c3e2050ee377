"""A text → the words in it that may be an id, however it is spelled, and where they stand.

What a word means, the feed's rules decide. Here is only how a number may stand among other text: with a letter
before it, with thousands marks, in digits of another script, with bytes beside or between its digits that show
nothing.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple

from audited_load.shown import INVISIBLE

_HIDDEN = "\0"
"""Stands for what shows nothing or is no text."""
_SHOWN_BYTE = re.compile(r"\\x[0-9a-f]{2}")
_DATE = re.compile(r"(?<![0-9])[0-9]{1,4}([-/.])[0-9]{1,2}\1[0-9]{1,4}(?![0-9])")
_LETTERS_BEFORE = re.compile(r"[A-Za-z]{2,}[ _:#-]?([0-9]+)")
_JOINED = re.compile(r"[A-Za-z]?([1-9][0-9]{0,2}([-_])[0-9]{3}(?:\2[0-9]{3})*)")
_AMBIGUOUS = re.compile(r"[A-Za-z]?[0-9]{1,3}[.,]000")
_MAX_DIGITS = 18


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
        for pattern, is_grouped in _patterns(frozenset(delimiters))
        for match in pattern.finditer(view)
        if not _AMBIGUOUS.fullmatch(match[0])
    }
    words |= {
        Word(match.start(), match.end(), plain)
        for match in _exponents(frozenset(delimiters)).finditer(folded)
        if (plain := _whole(match))
    }
    return sorted(words)


def find_words_of_cell(cell: str) -> list[str]:
    """Find the words of the subject's cell that may be ids: there, `CUST501` and `730_519_642` are ids, too."""
    bare = cell.translate(_FOLDED).strip("\0\"'= \t")
    if joined := _JOINED.fullmatch(bare):
        return [re.sub("[-_]", "", joined[1])]
    if named := _LETTERS_BEFORE.fullmatch(bare):
        return [named[1]]
    words = find_words(cell)
    if is_one_number(cell):
        longest = max((word.end - word.start for word in words), default=0)
        words = [word for word in words if word.end - word.start == longest]
    return [word.plain for word in words]


def read_digits(text: str, *, is_cell: bool) -> set[int]:
    """Read all that the digits of a text may be as an id, in whatever spelling; no parts of a day or an amount.

    Args:
        text: The subject's cell, or a record that can't be split.
        is_cell: Whether it is the cell: there, all digits together may be one number.
    """
    bare = _DATE.sub(" ", _SHOWN_BYTE.sub("", text.translate(_FOLDED)).replace(_HIDDEN, ""))
    found = re.findall(r"(?<![0-9])(?<![0-9][.:])[0-9]+(?![0-9])(?![.:][0-9]*[1-9])", bare)
    found += [re.sub("[-_]", "", joined[0]) for joined in _JOINED.findall(bare)]
    if is_cell and not re.fullmatch(r"[^0-9]*[0-9]+[.,][0-9]*[1-9][0-9]*[^0-9]*", bare):
        found.append(re.sub("[^0-9]", "", bare))
    return {int(digits) for digits in found if digits and len(digits.lstrip("0")) <= _MAX_DIGITS}


def is_one_number(text: str) -> bool:
    """Return whether a text is one number with thousands marks, and nothing else."""
    grouped = _patterns(frozenset())[-1][0]
    return grouped.fullmatch(text.translate(_FOLDED).strip("\0\"' \t")) is not None


class _Folded(dict[int, str]):
    """Characters → plain ones, one for one, so that places stay."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        if char == _HIDDEN or char in INVISIBLE or unicodedata.category(char) == "Cs":
            char = _HIDDEN
        elif char.isdecimal():
            char = str(unicodedata.decimal(char))
        elif len(plain := unicodedata.normalize("NFKC", char)) == 1 and plain.isascii() and plain.isalnum():
            char = plain  # a wide letter, a raised digit
        elif unicodedata.category(char) == "Zs":
            char = " "
        self[code] = char
        return char


_FOLDED = _Folded()


def _plain(found: str, *, is_grouped: bool) -> str:
    plain = found.replace(_HIDDEN, "")
    return re.sub(r"[ ,.'\u2019]", "", plain) if is_grouped else plain.replace(",", ".")


def _whole(match: re.Match[str]) -> str | None:
    """Read a number in scientific notation, if all its digits are there: `7.30519642E+08`."""
    digits, exponent = match["digits"].replace(",", "."), int(match["exponent"])
    if len(digits.partition(".")[2]) != exponent:
        return None
    return str(int(Decimal(digits).scaleb(exponent)))


def _marks(delimiters: frozenset[str]) -> str:
    return "." if "," in delimiters else ".,"


@lru_cache(8)
def _exponents(delimiters: frozenset[str]) -> re.Pattern[str]:
    return re.compile(
        rf"(?<![^\W_])(?P<digits>[1-9](?:[{_marks(delimiters)}][0-9]+)?)[eE]\+?(?P<exponent>[0-9]{{1,2}})(?![^\W_])"
    )


@lru_cache(8)
def _patterns(delimiters: frozenset[str]) -> tuple[tuple[re.Pattern[str], bool], ...]:
    """Build the patterns of a number by itself, one with something hidden inside, and one with thousands marks."""
    marks = _marks(delimiters)
    # What divides fields is no part of a day or a time.
    bound = re.escape("".join(char for char in f"{marks}:/-" if char not in delimiters))
    before = rf"(?<![^\W_])(?<![0-9][{bound}])(?<![eE][+\-])[A-Za-z]?"
    after = rf"(?![^\W_])(?![{bound}][0-9])"
    fraction = rf"(?:[{marks}]0+(?![0-9]))?"
    group = rf"(?P<mark>[ '\u2019{marks}])[0-9]{{3}}(?:(?P=mark)[0-9]{{3}})*"
    quoted = r"|(?<=\")[A-Za-z]?[1-9][0-9]{0,2}(?:,[0-9]{3})+(?=\")"
    return (
        (re.compile(rf"{before}[0-9]+{fraction}{after}"), False),
        (re.compile(r"(?<![^\W_])[A-Za-z]?\0*[0-9]+(?:\0+[0-9]+)+(?![^\W_])"), False),
        (re.compile(rf"{before}[1-9][0-9]{{0,2}}{group}(?![^\W_])(?!(?P=mark)[0-9]){quoted}"), True),
    )
