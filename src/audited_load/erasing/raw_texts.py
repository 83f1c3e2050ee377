"""Raw records → the same without one person: no id, and no columns that nobody asked for.

Whose record it is, its subject's column decides, by the feed's own rules: `C501` and `501.0` are 501; the same
digits in another column are nobody. What can't be split into fields loses every word that may mean the id, or all
of its text if its file had columns that nobody asked for. All other records stay as they are.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from audited_load.columns import SOURCE_RECORD, Column, Feed
from audited_load.erasing.spellings import find_words, is_one_number
from audited_load.form import UNDECLARED, Form
from audited_load.reading.dialect import normalise_name
from audited_load.values import clean_column

BATCH = 20_000
"""Texts at a time."""
ERASED = "[erased]"
Choose = Callable[[Iterable[int]], frozenset[int]]
"""Chooses among ids those that are to be erased."""
_COMMA = Form(decimal="comma")
_CUT_HEADER = re.compile(r"and ([0-9]+) more")
_QUOTED_VALUE = re.compile(r"(?<=: ')(.*)(?=' )", re.DOTALL)


@dataclass(frozen=True)
class RawLayout:
    """How the fields lie in raw records: the header's names, and what is between them."""

    header: tuple[str, ...]
    delimiter: str

    @classmethod
    def of_ledger(cls, header: Sequence[str], delimiter: str) -> RawLayout:
        """Read a layout from the ledger, which once named only the first of very many columns."""
        cut = _CUT_HEADER.fullmatch(header[-1]) if header else None
        names = [*header[:-1], *[""] * int(cut[1])] if cut else header
        return cls(tuple(names), delimiter)

    def place_of(self, name: str) -> int | None:
        """Tell which field has a name, from 0."""
        names = [normalise_name(one) for one in self.header]
        return names.index(name) if name in names else None


@dataclass(frozen=True)
class _Fit:
    """A record split as a layout says; it is certain if its quotes are where they belong."""

    cells: list[str]
    layout: RawLayout
    subject: str
    is_certain: bool


class _Meaning:
    """What words mean as ids of the feed's subject, and whether one of those that are to be erased."""

    def __init__(self, feed: Feed, choose: Choose) -> None:
        self._feed, self._choose = feed, choose
        self._numbers: dict[str, int | None] = {}
        self.chosen: frozenset[int] = frozenset()

    def read(self, words: Iterable[str]) -> None:
        new = sorted(set(words) - self._numbers.keys())
        if new:
            found = read_ids(new, self._feed)
            self._numbers.update(zip(new, found, strict=True))
            self.chosen |= self._choose({number for number in found if number is not None})

    def number(self, word: str) -> int | None:
        return self._numbers[word]

    def is_chosen(self, word: str) -> bool:
        return self._numbers[word] in self.chosen

    def is_chosen_cell(self, cell: str) -> bool:
        """Tell it of the subject's cell: where the rules refuse it, what it shows still names somebody."""
        if self._numbers[cell] is not None:
            return self.is_chosen(cell)
        return any(self.is_chosen(word) for word in _words_of_cell(cell))


def read_ids(texts: Sequence[str], feed: Feed) -> list[int | None]:
    """Read texts as ids of the feed's subject, by its rules; None for what is no id."""
    # Bytes that are no text stand in it as lone surrogates, which no text may hold.
    clean = [text.encode(errors="ignore").decode() for text in texts]
    series = pl.Series(clean, dtype=pl.String)
    # Whether their file had decimal commas can't be told any more: `501,0` is 501, too.
    point, comma = (
        clean_column(series, _subject_column(feed.in_form(form))).values for form in (UNDECLARED, _COMMA)
    )
    return point.zip_with(point.is_not_null(), comma).to_list()


def _subject_column(feed: Feed) -> Column:
    return next(column for column in feed.columns if column.name == feed.subject)


def scrub_texts(raws: Sequence[str], layouts: Sequence[RawLayout], feed: Feed, choose: Choose) -> list[str | None]:
    """Scrub raw records.

    Args:
        raws: The records, without line ends.
        layouts: How their fields may lie. Of those that fit, the first by which the record is of the person counts:
            which one the record's file had, can't be told.
        feed: Its columns, and which of them is the subject.
        choose: Chooses who is to be erased.

    Returns:
        For each the new text; None if it stays as it is.
    """
    return _scrub_texts(raws, layouts, feed, _Meaning(feed, choose))


def scrub_refused(
    raws: Sequence[str], reasons: Sequence[Sequence[str]], layouts: Sequence[RawLayout], feed: Feed, choose: Choose
) -> list[tuple[str, tuple[str, ...]] | None]:
    """Scrub raw records and the reasons of their refusal, which quote them.

    Args:
        raws: As for `scrub_texts`.
        reasons: For each record its reasons, such as `price:fraction: '1.5' has a fraction`.
        layouts: As for `scrub_texts`.
        feed: As for `scrub_texts`.
        choose: As for `scrub_texts`.

    Returns:
        For each record its new text and reasons; None if both stay as they are.
    """
    meaning = _Meaning(feed, choose)
    texts = _scrub_texts(raws, layouts, feed, meaning)
    return [
        None if text is None else (text, tuple(_scrub_reason(reason, feed, meaning) for reason in why))
        for text, why in zip(texts, reasons, strict=True)
    ]


def split_reasons(reasons: str, feed: Feed) -> list[str]:
    """Split reasons that were joined by semicolons; a quoted value may hold one, too."""
    names = "|".join(map(re.escape, [*feed.names, "record"]))
    return re.split(rf"; (?=(?:{names}):[a-z_]+: )", reasons)


def _scrub_texts(
    raws: Sequence[str], layouts: Sequence[RawLayout], feed: Feed, meaning: _Meaning
) -> list[str | None]:
    fits = [list(_split(raw, layouts, feed)) for raw in raws]
    marks = {layout.delimiter for layout in layouts}
    # What a certain split shows is enough; only then are other words looked at.
    meaning.read(fit.subject for of_one in fits for fit in of_one)
    meaning.read(
        word
        for of_one in fits
        for fit in of_one
        if meaning.number(fit.subject) is None
        for word in _words_of_cell(fit.subject)
    )
    loose = [[] if any(fit.is_certain for fit in of_one) else find_words(raw, marks)
             for raw, of_one in zip(raws, fits, strict=True)]  # fmt: skip
    meaning.read(word.plain for words in loose for word in words)
    texts: list[str | None] = []
    for raw, of_one, words in zip(raws, fits, loose, strict=True):
        found = next((fit for fit in of_one if meaning.is_chosen_cell(fit.subject)), None)
        if found is not None and found.is_certain:
            texts.append(_blank(found, feed))
        elif any(fit.is_certain for fit in of_one):
            texts.append(None)
        elif found is None and of_one and all(meaning.number(fit.subject) is not None for fit in of_one):
            texts.append(None)  # its quotes are not in order, but it shows whose it is
        else:
            spans = [(word.start, word.end) for word in words if meaning.is_chosen(word.plain)]
            texts.append(_cut_out(raw, spans, layouts, feed) if spans or found else None)
    return texts


def _split(raw: str, layouts: Sequence[RawLayout], feed: Feed) -> Iterator[_Fit]:
    """Split a record as each layout says, if it can be."""
    csv.field_size_limit(2**31 - 1)
    for layout in layouts:
        place = layout.place_of(feed.subject)
        if place is None:
            continue
        # After a space, a quote may be one or a character: our own parser asks the whole file which.
        for strict, spaced in ((True, False), (True, True), (False, True), (False, False)):
            cells = _read(raw, layout.delimiter, strict=strict, spaced=spaced)
            if cells is not None and len(cells) == len(layout.header):
                yield _Fit(cells, layout, cells[place], strict)
                break


def _read(raw: str, delimiter: str, *, strict: bool, spaced: bool) -> list[str] | None:
    lines = io.StringIO(raw, newline="")
    try:
        rows = list(csv.reader(lines, delimiter=delimiter, strict=strict, skipinitialspace=spaced))
    except csv.Error:
        return None
    return rows[0] if len(rows) == 1 else None


def _words_of_cell(cell: str) -> list[str]:
    words = find_words(cell)
    if is_one_number(cell):
        longest = max(word.end - word.start for word in words)
        words = [word for word in words if word.end - word.start == longest]
    return [word.plain for word in words]


def _kept(feed: Feed) -> set[str]:
    return {*feed.names, SOURCE_RECORD}


def _blank(fit: _Fit, feed: Feed) -> str:
    kept = _kept(feed) - {feed.subject}
    names = map(normalise_name, fit.layout.header)
    blanked = [cell if name in kept else "" for cell, name in zip(fit.cells, names, strict=True)]
    text = io.StringIO()
    csv.writer(text, delimiter=fit.layout.delimiter, lineterminator="").writerow(blanked)
    return text.getvalue()


def _cut_out(raw: str, spans: list[tuple[int, int]], layouts: Sequence[RawLayout], feed: Feed) -> str:
    kept = _kept(feed)
    # In which of its words an address may be, nobody can tell.
    if not spans or any(normalise_name(name) not in kept for layout in layouts for name in layout.header):
        return ERASED
    pieces, position = [], 0
    for start, end in sorted(spans):
        pieces.append(raw[position : max(start, position)])
        position = max(position, end)
    return "".join([*pieces, raw[position:]])


def _scrub_reason(reason: str, feed: Feed, meaning: _Meaning) -> str:
    def scrub(value: re.Match[str]) -> str:
        if reason.startswith(f"{feed.subject}:"):
            return ERASED
        words = find_words(value[0])
        meaning.read(word.plain for word in words)
        spans = [(word.start, word.end) for word in words if meaning.is_chosen(word.plain)]
        return ERASED if spans else value[0]

    return _QUOTED_VALUE.sub(scrub, reason)
