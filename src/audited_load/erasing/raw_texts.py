"""Raw records → the same without one person: no id, and no columns that nobody asked for.

Whose record it is, its subject's column decides, by the feed's own rules: `C501` and `501.0` are 501; the same
digits in another column are nobody. What can't be split into fields loses every word that may mean the id, or all
of its text if its file had columns that nobody asked for. All other records stay as they are; those of which it
isn't sure whose they are, stay too, and are counted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import polars as pl

from audited_load.cleaning.values import clean_column
from audited_load.columns import SOURCE_RECORD, Column, Feed
from audited_load.erasing.spellings import find_words, find_words_of_cell, read_digits
from audited_load.erasing.splitting import ERASED, Fit, RawLayout, blank_fields, split_raw
from audited_load.form import UNDECLARED, Form
from audited_load.reading.dialect import normalise_name

BATCH = 20_000
"""Texts at a time."""
Choose = Callable[[Iterable[int]], frozenset[int]]
"""Chooses among ids those that are to be erased."""
_COMMA = Form(decimal="comma")
_QUOTED_VALUE = re.compile(r"(?<=: ')(.*)(?=' )", re.DOTALL)
_DECIMALS_OR_THOUSANDS = re.compile(r"[A-Za-z]?[0-9]{1,3}[.,]000")


@dataclass
class Doubts:
    """Records that were left as they are, though they may be the person's.

    Attributes:
        unsure: Known layouts tell different things of them.
        lookalikes: They hold the digits of the id where it may stand, in no spelling that is known.
    """

    unsure: int = 0
    lookalikes: int = 0


class _Meaning:
    """What words mean as ids of the feed's subject, and whether one of those that are to be erased."""

    def __init__(self, feed: Feed, choose: Choose) -> None:
        self._feed, self._choose = feed, choose
        self._numbers: dict[str, int | None] = {}
        self._chosen: frozenset[int] = frozenset()

    def read(self, words: Iterable[str]) -> None:
        new = sorted(set(words) - self._numbers.keys())
        if new:
            found = read_ids(new, self._feed)
            self._numbers.update(zip(new, found, strict=True))
            self._chosen |= self._choose({number for number in found if number is not None})

    def number(self, word: str) -> int | None:
        return self._numbers[word]

    def is_chosen(self, word: str) -> bool:
        return self._numbers[word] in self._chosen

    def is_chosen_cell(self, cell: str) -> bool:
        """Tell it of the subject's cell: where the rules refuse it, what it shows still names somebody."""
        if self._numbers[cell] is not None:
            return self.is_chosen(cell)
        return any(self.is_chosen(word) for word in find_words_of_cell(cell))

    def shows_chosen(self, text: str, *, is_cell: bool) -> bool:
        return bool(self._choose(read_digits(text, is_cell=is_cell)))

    def looks_like_json_of_chosen(self, values: dict[str, object]) -> bool:
        number = values[self._feed.subject]
        return isinstance(number, int) and bool(self._choose([number]))


def read_ids(texts: Sequence[str], feed: Feed) -> list[int | None]:
    """Read texts as ids of the feed's subject, by its rules; None for what is no id.

    `501,000` and `501.000` are none: they may be 501 with decimals, and 501 thousand.
    """
    # Bytes that are no text stand in it as lone surrogates, which no text may hold.
    clean = [
        "" if _DECIMALS_OR_THOUSANDS.fullmatch(text.strip("\"'= ")) else text.encode(errors="ignore").decode()
        for text in texts
    ]
    series = pl.Series(clean, dtype=pl.String)
    # Whether their file had decimal commas can't be told any more: `501,0` is 501, too.
    point, comma = (
        clean_column(series, _subject_column(feed.in_form(form))).values for form in (UNDECLARED, _COMMA)
    )
    return point.zip_with(point.is_not_null(), comma).to_list()


def _subject_column(feed: Feed) -> Column:
    return next(column for column in feed.columns if column.name == feed.subject)


def scrub_texts(
    raws: Sequence[str], layouts: Sequence[RawLayout], feed: Feed, choose: Choose, doubts: Doubts | None = None
) -> list[str | None]:
    """Scrub raw records.

    Args:
        raws: The records, without line ends.
        layouts: How their fields may lie. Where those that fit tell different things, the record stays.
        feed: Its columns, and which of them is the subject.
        choose: Chooses who is to be erased.
        doubts: Counts the records that stay, though they may be the person's.

    Returns:
        For each the new text; None if it stays as it is.
    """
    return _scrub_texts(raws, layouts, feed, _Meaning(feed, choose), doubts or Doubts())


def scrub_refused(
    raws: Sequence[str],
    reasons: Sequence[Sequence[str]],
    layouts: Sequence[RawLayout],
    feed: Feed,
    choose: Choose,
    doubts: Doubts | None = None,
) -> list[tuple[str, tuple[str, ...]] | None]:
    """Scrub raw records and the reasons of their refusal, which quote them.

    Args:
        raws: As for `scrub_texts`; also what gave way to a later file, which was good, and is kept as JSON.
        reasons: For each record its reasons, such as `price:fraction: '1.5' has a fraction`.
        layouts: As for `scrub_texts`.
        feed: As for `scrub_texts`.
        choose: As for `scrub_texts`.
        doubts: As for `scrub_texts`.

    Returns:
        For each record its new text and reasons; None if both stay as they are.
    """
    meaning = _Meaning(feed, choose)
    kept_values = [_read_json(raw, feed) for raw in raws]
    others = [place for place, values in enumerate(kept_values) if values is None]
    texts: list[str | None] = [None] * len(raws)
    scrubbed = _scrub_texts([raws[place] for place in others], layouts, feed, meaning, doubts or Doubts())
    for place, text in zip(others, scrubbed, strict=True):
        texts[place] = text
    for place, values in enumerate(kept_values):
        if values is not None and meaning.looks_like_json_of_chosen(values):
            texts[place] = re.sub(rf'("{re.escape(feed.subject)}": ?)[0-9]+(?=[,}}])', r"\1null", raws[place])
    return [
        None
        if text is None
        else (text, tuple(why if values is not None else (_scrub_reason(reason, feed, meaning) for reason in why)))
        for text, why, values in zip(texts, reasons, kept_values, strict=True)
    ]


def split_reasons(reasons: str, feed: Feed) -> list[str]:
    """Split reasons that were joined by semicolons; a quoted value may hold one, too."""
    names = "|".join(map(re.escape, [*feed.names, "record"]))
    return re.split(rf"; (?=(?:{names}):[a-z_]+: )", reasons)


def _read_json(raw: str, feed: Feed) -> dict[str, object] | None:
    """Read a record that is kept as JSON; None if it is none."""
    if not raw.startswith("{"):
        return None
    try:
        values = json.loads(raw)
    except ValueError:
        return None
    return values if isinstance(values, dict) and feed.subject in values else None


def _scrub_texts(
    raws: Sequence[str], layouts: Sequence[RawLayout], feed: Feed, meaning: _Meaning, doubts: Doubts
) -> list[str | None]:
    fits = [list(split_raw(raw, layouts, feed.subject)) for raw in raws]
    marks = {layout.delimiter for layout in layouts}
    # What a certain split shows is enough; only then are other words looked at.
    meaning.read(fit.subject for of_one in fits for fit in of_one)
    unread = [fit.subject for of_one in fits for fit in of_one if meaning.number(fit.subject) is None]
    meaning.read(word for cell in unread for word in find_words_of_cell(cell))
    loose = [[] if any(fit.is_certain for fit in of_one) else find_words(raw, marks)
             for raw, of_one in zip(raws, fits, strict=True)]  # fmt: skip
    meaning.read(word.plain for words in loose for word in words)
    texts: list[str | None] = []
    for raw, of_one, words in zip(raws, fits, loose, strict=True):
        certain = [fit for fit in of_one if fit.is_certain]
        if certain:
            texts.append(_scrub_split(raw, certain, feed, meaning, doubts))
            continue
        is_found = any(meaning.is_chosen_cell(fit.subject) for fit in of_one)
        if of_one and not is_found and all(meaning.number(fit.subject) is not None for fit in of_one):
            texts.append(None)  # its quotes are not in order, but it shows whose it is
            continue
        spans = [(word.start, word.end) for word in words if meaning.is_chosen(word.plain)]
        is_guess = any(layout.is_guess for layout in layouts)
        doubts.unsure += is_guess and bool(spans or is_found)
        texts.append(_cut_out(raw, spans, layouts, feed) if (spans or is_found) and not is_guess else None)
        doubts.lookalikes += texts[-1] is None and meaning.shows_chosen(raw, is_cell=False)
    return texts


def _scrub_split(raw: str, fits: Sequence[Fit], feed: Feed, meaning: _Meaning, doubts: Doubts) -> str | None:
    """Scrub a record that can be split for certain, in one way or in several."""
    texts = {_blank(raw, fit, feed, meaning) if meaning.is_chosen_cell(fit.subject) else None for fit in fits}
    if any(fit.layout.is_guess for fit in fits):
        meaning.read(cell for fit in fits for cell in fit.cells)
        if any(meaning.is_chosen(cell) for fit in fits for cell in fit.cells) or texts != {None}:
            doubts.unsure += 1
        return None
    if len(texts) > 1:
        doubts.unsure += 1
        return None
    (text,) = texts
    if text is None:
        doubts.lookalikes += any(
            meaning.number(fit.subject) is None and meaning.shows_chosen(fit.subject, is_cell=True) for fit in fits
        )
    return text


def _kept(feed: Feed) -> set[str]:
    return {*feed.names, SOURCE_RECORD}


def _blank(raw: str, fit: Fit, feed: Feed, meaning: _Meaning) -> str:
    # What was refused for its subject must not become good: sums would change if it were read again.
    mark = ERASED if meaning.number(fit.subject) is None else ""
    return blank_fields(raw, fit, _kept(feed), feed.subject, mark)


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
