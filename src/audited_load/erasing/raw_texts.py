"""Raw records → the same without one person: no id, and no columns that nobody asked for.

Whose record it is, its subject's column decides, by the rules of the feeds that read such files: `C501` and
`501.0` are 501; the same digits in another column are nobody. What can't be split into fields loses every word that
may mean the id, or all of its text if its file had columns that nobody asked for. All other records stay as they
are; those of which it isn't sure whose they are, stay too, and are counted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from audited_load.columns import Feed
from audited_load.erasing.spellings import Choose, Meaning, Word, find_words, find_words_of_cell, shows_digits
from audited_load.erasing.splitting import (
    ERASED,
    Fit,
    RawLayout,
    Reading,
    find_readings,
    masked_columns,
    split_raw,
    write_fields,
)

BATCH = 20_000
"""Texts at a time."""
_QUOTED_VALUE = re.compile(r"(?<=: ')(.*)(?=' )", re.DOTALL)


@dataclass
class Doubts:
    """Records that were left as they are, though they may be the person's.

    Attributes:
        unsure: Known layouts tell different things of them.
        lookalikes: They hold the digits of the id where it may stand, in no spelling that is known.
    """

    unsure: int = 0
    lookalikes: int = 0


def scrub_texts(
    raws: Sequence[str],
    layouts: Sequence[RawLayout],
    feeds: Sequence[Feed],
    choose: Choose,
    doubts: Doubts | None = None,
) -> list[str | None]:
    """Scrub raw records.

    Args:
        raws: The records, without line ends.
        layouts: How their fields may lie. Where those that fit tell different things, the record stays.
        feeds: Whose they may be: the table's own feed, and those of other suppliers' files.
        choose: Chooses who is to be erased.
        doubts: Counts the records that stay, though they may be the person's.

    Returns:
        For each the new text; None if it stays as it is.
    """
    return _scrub_texts(raws, layouts, feeds, Meaning(feeds, choose), doubts or Doubts())


def scrub_refused(
    raws: Sequence[str],
    reasons: Sequence[Sequence[str]],
    layouts: Sequence[RawLayout],
    feeds: Sequence[Feed],
    choose: Choose,
    doubts: Doubts | None = None,
) -> list[tuple[str, tuple[str, ...]] | None]:
    """Scrub raw records and the reasons of their refusal, which quote them.

    Args:
        raws: As for `scrub_texts`; also what gave way to a later file, which was good, and is kept as JSON.
        reasons: For each record its reasons, such as `price:fraction: '1.5' has a fraction`.
        layouts: As for `scrub_texts`.
        feeds: As for `scrub_texts`.
        choose: As for `scrub_texts`.
        doubts: As for `scrub_texts`.

    Returns:
        For each record its new text and reasons; None if both stay as they are.
    """
    meaning, subject = Meaning(feeds, choose), feeds[0].subject
    kept_values = [_read_json(raw, subject) for raw in raws]
    others = [place for place, values in enumerate(kept_values) if values is None]
    texts: list[str | None] = [None] * len(raws)
    scrubbed = _scrub_texts([raws[place] for place in others], layouts, feeds, meaning, doubts or Doubts())
    for place, text in zip(others, scrubbed, strict=True):
        texts[place] = text
    for place, values in enumerate(kept_values):
        number = values[subject] if values is not None else None
        if isinstance(number, int) and meaning.choose([number]):
            names = "|".join(map(re.escape, [subject, *masked_columns(feeds)]))
            texts[place] = re.sub(rf'("(?:{names})": ?)(?:[0-9]+|"[0-9a-f]+")(?=[,}}])', r"\1null", raws[place])
    return [
        None
        if text is None
        else (
            text,
            tuple(why if values is not None else (_scrub_reason(reason, subject, meaning) for reason in why)),
        )
        for text, why, values in zip(texts, reasons, kept_values, strict=True)
    ]


def split_reasons(reasons: str, feed: Feed) -> list[str]:
    """Split reasons that were joined by semicolons; a quoted value may hold one, too."""
    names = "|".join(map(re.escape, [*feed.names, "record"]))
    return re.split(rf"; (?=(?:{names}):[a-z_]+: )", reasons)


def _read_json(raw: str, subject: str) -> dict[str, object] | None:
    """Read a record that is kept as JSON; None if it is none."""
    if not raw.startswith("{"):
        return None
    try:
        values = json.loads(raw)
    except ValueError:
        return None
    return values if isinstance(values, dict) and subject in values else None


def _scrub_texts(
    raws: Sequence[str], layouts: Sequence[RawLayout], feeds: Sequence[Feed], meaning: Meaning, doubts: Doubts
) -> list[str | None]:
    found = [find_readings(layout, feeds) for layout in layouts]
    readings = [reading for of_one in found for reading in of_one]
    # Where nothing says which field is the subject's, nobody's record may be touched.
    is_guess = any(layout.is_guess for layout in layouts) or not all(found)
    by = meaning.all if is_guess or not readings else sorted({one for reading in readings for one in reading.feeds})
    fits = [list(split_raw(raw, readings)) for raw in raws]
    marks = {layout.delimiter for layout in layouts}
    cells = {cell for of_one in fits for fit in of_one for cell in fit.persons}
    meaning.read(cells)
    meaning.read(word for cell in cells if meaning.number(cell, by) is None for word in find_words_of_cell(cell))
    # What a certain split shows is enough; only then are other words looked at.
    loose = [[] if any(fit.is_certain for fit in of_one) else find_words(raw, marks)
             for raw, of_one in zip(raws, fits, strict=True)]  # fmt: skip
    meaning.read(word.plain for words in loose for word in words)
    texts: list[str | None] = []
    for raw, of_one, words in zip(raws, fits, loose, strict=True):
        certain = [fit for fit in of_one if fit.is_certain]
        if certain and is_guess:
            texts.append(None)
            doubts.unsure += _is_anywhere(certain, meaning)
            continue
        if certain:
            texts.append(_scrub_split(raw, certain, meaning, doubts))
            continue
        is_found = any(meaning.is_chosen_cell(cell, fit.reading.feeds) for fit in of_one for cell in fit.persons)
        if (
            of_one
            and not is_found
            and all(meaning.number(fit.persons[0], fit.reading.feeds) is not None for fit in of_one)
        ):
            texts.append(None)  # its quotes are not in order, but it shows whose it is
            continue
        spans = _find_spans(words, meaning, by)
        doubts.unsure += is_guess and bool(spans or is_found)
        texts.append(_cut_out(raw, spans, readings) if (spans or is_found) and not is_guess else None)
        doubts.lookalikes += texts[-1] is None and meaning.shows_chosen(raw, is_cell=False)
    return texts


def _is_anywhere(fits: Sequence[Fit], meaning: Meaning) -> bool:
    """Return whether any field of a record may be the id: nothing says for certain which one is the subject's."""
    cells = {cell for fit in fits for cell in fit.cells}
    meaning.read(cells)
    return any(meaning.is_chosen(cell, meaning.all) for cell in cells) or any(
        meaning.is_chosen_cell(cell, meaning.all) for fit in fits for cell in fit.persons
    )


def _scrub_split(raw: str, fits: Sequence[Fit], meaning: Meaning, doubts: Doubts) -> str | None:
    """Scrub a record that can be split for certain, in one way or in several."""
    found = [_find_texts(fit, meaning) for fit in fits]
    texts = {write_fields(raw, fit, new) if new else None for fit, new in zip(fits, found, strict=True)}
    if len(texts) > 1:
        doubts.unsure += 1
        return None
    (text,) = texts
    if text is None:
        doubts.lookalikes += any(
            meaning.number(cell, fit.reading.feeds) is None and meaning.shows_chosen(cell, is_cell=True)
            for fit in fits
            for cell in fit.persons
        )
    return text


def _find_texts(fit: Fit, meaning: Meaning) -> dict[int, str]:
    """Find what becomes of fields that mean the id, and in the person's own record of those nobody asked for."""
    by, persons = fit.reading.feeds, fit.reading.persons
    chosen = [place for place in persons if meaning.is_chosen_cell(fit.cells[place], by)]
    whose = next((place for place in persons if shows_digits(fit.cells[place])), None)
    texts = {}
    if whose in chosen:
        texts = {place: "" for place, is_kept in enumerate(fit.reading.kept) if not is_kept}
    # What was refused for its subject must not become good: sums would change if it were read again.
    return texts | {place: "" if meaning.number(fit.cells[place], by) is not None else ERASED for place in chosen}


def _find_spans(words: Sequence[Word], meaning: Meaning, by: Sequence[int]) -> list[tuple[int, int]]:
    """Find where the id stands in a text that can't be split; not within an id of another column."""
    spans = [(word.start, word.end) for word in words if meaning.is_chosen(word.plain, by)]
    if not spans:
        return []
    others = [word for word in words if word.plain[0].isalpha() and meaning.is_of_another_column(word.plain, by)]
    return [
        (start, end) for start, end in spans if not any(one.start <= start and end <= one.end for one in others)
    ]


def _cut_out(raw: str, spans: list[tuple[int, int]], readings: Sequence[Reading]) -> str:
    # In which of its words an address may be, nobody can tell.
    if not spans or not all(is_kept for reading in readings for is_kept in reading.kept):
        return ERASED
    pieces, position = [], 0
    for start, end in sorted(spans):
        pieces.append(raw[position : max(start, position)])
        position = max(position, end)
    return "".join([*pieces, raw[position:]])


def _scrub_reason(reason: str, subject: str, meaning: Meaning) -> str:
    def scrub(value: re.Match[str]) -> str:
        if reason.startswith(f"{subject}:"):
            return ERASED
        words = find_words(value[0])
        meaning.read(word.plain for word in words)
        return ERASED if _find_spans(words, meaning, meaning.all) else value[0]

    return _QUOTED_VALUE.sub(scrub, reason)
