"""Raw records → the same without one person: no id, and no columns that nobody asked for.

Whose record it is, the feed's own rules decide: `C501` and `501.0` are 501. What can't be split into fields loses
every word that means the id, or all of its text if its file had columns that nobody asked for. All other records
stay as they are.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from audited_load.columns import SOURCE_RECORD, Column, Feed
from audited_load.form import UNDECLARED, Form
from audited_load.reading.dialect import normalise_name
from audited_load.values import clean_column

BATCH = 20_000
"""Texts at a time."""
ERASED = "[erased]"
_COMMA = Form(decimal="comma")
_WORD = re.compile(r"[^\s\"',;|]+")


@dataclass(frozen=True)
class RawLayout:
    """How the fields lie in raw records: the header's names, and what is between them."""

    header: tuple[str, ...]
    delimiter: str


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


def scrub_texts(
    raws: Sequence[str], layouts: Sequence[RawLayout], feed: Feed, ids: frozenset[int]
) -> list[str | None]:
    """Scrub raw records.

    Args:
        raws: The records, without line ends.
        layouts: How their fields may lie. Of those that fit, the first by which the record is of the person counts:
            which one the record's file had, can't be told.
        feed: Its columns, and which of them is the subject.
        ids: Who is to be erased.

    Returns:
        For each the new text; None if it stays as it is.
    """
    split = [_split(raw, layouts) for raw in raws]
    named = [
        [cell for fit in fits for cell in _subject(fit, feed)] if fits else _WORD.findall(raw)
        for raw, fits in zip(raws, split, strict=True)
    ]
    words = sorted({word for row in named for word in row})
    meant = {word for word, read in zip(words, read_ids(words, feed), strict=True) if read in ids}
    return [
        _scrub(
            raw, next((fit for fit in fits if meant.intersection(_subject(fit, feed))), None), layouts, feed, meant
        )
        if meant.intersection(row)
        else None
        for raw, fits, row in zip(raws, split, named, strict=True)
    ]


def _split(raw: str, layouts: Sequence[RawLayout]) -> list[tuple[list[str], RawLayout]]:
    csv.field_size_limit(2**31 - 1)
    fits = []
    for layout in layouts:
        try:
            rows = list(csv.reader(io.StringIO(raw, newline=""), delimiter=layout.delimiter, strict=True))
        except csv.Error:
            continue
        if len(rows) == 1 and len(rows[0]) == len(layout.header):
            fits.append((rows[0], layout))
    return fits


def _subject(fit: tuple[list[str], RawLayout], feed: Feed) -> list[str]:
    """Give the subject's id, if there is a column of it."""
    cells, layout = fit
    return [cell for cell, name in zip(cells, layout.header, strict=True) if normalise_name(name) == feed.subject][
        :1
    ]


def _scrub(
    raw: str, found: tuple[list[str], RawLayout] | None, layouts: Sequence[RawLayout], feed: Feed, meant: set[str]
) -> str:
    kept = {*feed.names, SOURCE_RECORD}
    if found is None:
        # In which of its words an address may be, nobody can tell.
        if any(normalise_name(name) not in kept for layout in layouts for name in layout.header):
            return ERASED
        return _WORD.sub(lambda word: "" if word[0] in meant else word[0], raw)
    cells, layout = found
    kept -= {feed.subject}
    blanked = [
        cell if normalise_name(name) in kept else "" for cell, name in zip(cells, layout.header, strict=True)
    ]
    text = io.StringIO()
    csv.writer(text, delimiter=layout.delimiter, lineterminator="").writerow(blanked)
    return text.getvalue()
