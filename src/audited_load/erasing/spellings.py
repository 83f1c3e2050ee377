"""A text → the words in it that may be an id, however it is spelled, where they stand, and what they mean.

What a word means, a feed's rules decide. Here is only how a number may stand among other text: with letters
before it, with thousands marks, in digits of another script, with bytes beside or between its digits that show
nothing.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple

import polars as pl

from audited_load.cleaning.values import clean_column
from audited_load.columns import Column, Feed
from audited_load.form import AUTO, UNDECLARED, Form
from audited_load.shown import INVISIBLE

Choose = Callable[[Iterable[int]], frozenset[int]]
"""Chooses among ids those that are to be erased."""
_COMMA = Form(decimal="comma")

_HIDDEN = "\0"
"""Stands for what shows nothing or is no text."""
_SHOWN_BYTE = re.compile(r"\\x[0-9a-f]{2}")
_DATE = re.compile(r"(?<![0-9])[0-9]{1,4}([-/.])[0-9]{1,2}\1[0-9]{1,4}(?![0-9])")
_LETTERS_BEFORE = re.compile(r"[A-Za-z]{2,}[ _:#-]?([0-9]+)")
_JOINED = re.compile(r"[A-Za-z]?([1-9][0-9]{0,2}([-_])[0-9]{3}(?:\2[0-9]{3})*)")
_AMBIGUOUS = re.compile(r"(?:[A-Za-z]{1,10}[-_/]?)?[0-9]{1,3}[.,]000")
_MAX_DIGITS = 18


class Word(NamedTuple):
    """What may be an id: where it stands, and in plain spelling."""

    start: int
    end: int
    plain: str


class Meaning:
    """What words mean as ids of the subject, to each of some feeds, and whether one of those to be erased.

    Args:
        feeds: Those of one table.
        choose: Chooses who is to be erased.
    """

    def __init__(self, feeds: Sequence[Feed], choose: Choose) -> None:
        self._feeds, self._choose = feeds, choose
        self._columns = [_subject_column(feed) for feed in feeds]
        self._numbers: dict[str, list[int | None]] = {}
        self._chosen: frozenset[int] = frozenset()
        self.all = tuple(range(len(feeds)))

    def read(self, words: Iterable[str]) -> None:
        """Read words, once for all the questions below."""
        new = sorted(set(words) - self._numbers.keys())
        if new:
            # Most feeds have the same ids.
            read = {column: _read_column(new, column) for column in dict.fromkeys(self._columns)}
            for place, word in enumerate(new):
                self._numbers[word] = [read[column][place] for column in self._columns]
            numbers = {number for word in new for number in self._numbers[word]}
            self._chosen |= self._choose(number for number in numbers if number is not None)

    def number(self, word: str, by: Collection[int]) -> int | None:
        """Return the id that a word is to the first of some feeds that reads it; None if it is none."""
        return next((number for one in by if (number := self._numbers[word][one]) is not None), None)

    def is_chosen(self, word: str, by: Collection[int]) -> bool:
        """Return whether a word is to be erased, to any of some feeds."""
        return any(self._numbers[word][one] in self._chosen for one in by)

    def is_chosen_cell(self, cell: str, by: Collection[int]) -> bool:
        """Tell it of the subject's cell: where the rules refuse it, what it shows still names somebody."""
        if self.number(cell, by) is not None:
            return self.is_chosen(cell, by)
        words = find_words_of_cell(cell)
        self.read(words)
        return any(self.is_chosen(word, by) for word in words)

    def is_of_another_column(self, word: str, by: Collection[int]) -> bool:
        """Return whether a word is an id of another column, such as a transaction's, and none of the subject."""
        return self.number(word, by) is None and any(
            _read_column([word], column) != [None]
            for one in by
            for column in self._feeds[one].columns
            if column.kind == self._columns[one].kind and column.name != self._columns[one].name
        )

    def shows_chosen(self, text: str, *, is_cell: bool) -> bool:
        """Return whether the digits of a text may be the id in any spelling."""
        return bool(self._choose(read_digits(text, is_cell=is_cell)))

    def choose(self, numbers: Iterable[int]) -> frozenset[int]:
        """Choose those of some ids that are to be erased."""
        return self._choose(numbers)


def read_ids(texts: Sequence[str], feed: Feed) -> list[int | None]:
    """Read texts as ids of the feed's subject, by its rules; None for what is no id.

    `501,000` and `501.000` are none, unless the feed says what stands before decimals: they may be 501 with
    decimals, and 501 thousand.
    """
    return _read_column(texts, _subject_column(feed))


def _subject_column(feed: Feed) -> Column:
    column = next(column for column in feed.columns if column.name == feed.subject)
    return replace(column, form=Form(decimal=column.form.decimal))


def _read_column(texts: Sequence[str], column: Column) -> list[int | None]:
    # Bytes that are no text stand in it as lone surrogates, which no text may hold.
    clean = [text.encode(errors="ignore").decode() for text in texts]
    sure = ["" if _AMBIGUOUS.fullmatch(text.strip("\"'= ")) else text for text in clean]
    # Where no contract says so, whether their file had decimal commas can't be told any more: `501,0` is 501, too.
    tries = [(sure, UNDECLARED), (sure, _COMMA)]
    if column.form.decimal != AUTO:
        tries.insert(0, (clean, column.form))
    first, *more = (
        clean_column(pl.Series(some, dtype=pl.String), replace(column, form=form)).values for some, form in tries
    )
    for values in more:
        first = first.zip_with(first.is_not_null(), values)
    return first.to_list()


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


def shows_digits(text: str) -> bool:
    """Return whether a text holds a digit, in whatever script: without one it is nobody's id."""
    return any(char.isdigit() for char in text.translate(_FOLDED))


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
    # As long as a prefix of ids may be; whether it is one, a feed says.
    prefixed = r"(?<![^\W_])[A-Za-z]{1,10}[-_/]?\0*[0-9]+(?:\0+[0-9]+)*"
    return (
        (re.compile(rf"{before}[0-9]+{fraction}{after}"), False),
        (re.compile(rf"{prefixed}{fraction}{after}"), False),
        (re.compile(r"(?<![^\W_])[A-Za-z]?\0*[0-9]+(?:\0+[0-9]+)+(?![^\W_])"), False),
        (re.compile(rf"{before}[1-9][0-9]{{0,2}}{group}(?![^\W_])(?!(?P=mark)[0-9]){quoted}"), True),
    )
