"""What the columns of a file hold and are called → which columns of the table they probably are, and how sure."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from audited_load.columns import Amount, CalendarDate, Column, Feed, WholeNumber
from audited_load.inspecting.column_facts import DAYS, NUMBERS, ColumnFacts
from audited_load.reading.dialect import normalise_name

SURE, LIKELY, GUESS = "sure", "likely", "a guess"
BY_VALUES = "no other column holds such values"
_KNOWN, _LIKE, _MOSTLY = 0.95, 0.8, 0.9
_LEAST_VALUES = 0.5
_LETTERS = str.maketrans({"\u00df": "ss", "\u00f8": "o", "\u0142": "l", "\u00b0": "o"})
_MAIL = "mail address"


@dataclass(frozen=True)
class Match:
    """A column of a file that is probably one of the table's.

    Attributes:
        place: Which column of the file, from 0.
        column: The table's column.
        how_sure: `SURE`, `LIKELY` or `GUESS`.
        why: What says so.
    """

    place: int
    column: str
    how_sure: str
    why: str


def match_columns(
    facts: Sequence[ColumnFacts], feed: Feed, known: Mapping[str, Collection[str]]
) -> dict[str, Match]:
    """Find out which columns of a file are which of the table's: by name, then by what is left.

    Args:
        facts: What the file's columns hold.
        feed: The table's.
        known: What columns of the table are called elsewhere, in one word and without accents.

    Returns:
        By the table's columns; those that weren't found are left out.
    """
    found: list[tuple[float, int, Match]] = []
    names = Counter(normalise_name(one.name) for one in facts)
    # What has no name, or one that is there twice, can't be told from the others.
    taken = {place for place, one in enumerate(facts) if names[normalise_name(one.name)] > 1 or not one.name}
    for place, one in enumerate(facts):
        for column in feed.columns:
            name, why = _judge_name(one.name, column.name, known.get(column.name, ()))
            values = fits(one, column)
            if name >= _KNOWN or (name and values >= _LEAST_VALUES):
                sure, note = _judge(name, values, one)
                # What is called as the table's column, is read as that: nothing else may be.
                worth = name if name == 1 else name * (0.4 + 0.6 * values)
                found.append((worth, place, Match(place, column.name, sure, why + note)))
    matches: dict[str, Match] = {}
    for _, place, match in sorted(found, key=lambda one: (-one[0], one[1])):
        if match.column not in matches and place not in taken:
            matches[match.column] = match
            taken.add(place)
    # What is called like a column that was found, isn't another one.
    taken |= {place for _, place, match in found if match.column in matches}
    _match_by_values(facts, feed, matches, taken)
    return matches


def _judge(name: float, values: float, facts: ColumnFacts) -> tuple[str, str]:
    """Return how sure a match is by name and values, and what is to be said of it beside the name."""
    if not facts.filled:
        return GUESS, "; it holds no value"
    if values < _LEAST_VALUES:
        return GUESS, "; most of its values are of another kind"
    return (SURE if name >= _KNOWN and values >= _MOSTLY else LIKELY if name >= _LIKE else GUESS), ""


def _match_by_values(facts: Sequence[ColumnFacts], feed: Feed, matches: dict[str, Match], taken: set[int]) -> None:
    """Match what is left where only one column of a type is left on both sides."""
    kinds = [type(column.kind) for column in feed.columns if column.name not in matches]
    for column in feed.columns:
        if column.name in matches or kinds.count(type(column.kind)) > 1:
            continue
        fitting = [
            place
            for place, one in enumerate(facts)
            if place not in taken and not is_mail(one) and fits(one, column) >= _MOSTLY
        ]
        if len(fitting) == 1:
            matches[column.name] = Match(fitting[0], column.name, GUESS, BY_VALUES)
            taken.add(fitting[0])


def find_candidates(facts: Sequence[ColumnFacts], column: Column, matches: Mapping[str, Match]) -> list[str]:
    """Return the names of a file's columns that may be one of the table's that wasn't found."""
    taken = {match.place for match in matches.values()}
    return [
        one.name
        for place, one in enumerate(facts)
        if place not in taken and one.name and (not one.filled or fits(one, column) >= _LEAST_VALUES)
    ]


def fits(facts: ColumnFacts, column: Column) -> float:
    """Return which share of a column's values may be of a type, from 0 to 1."""
    match column.kind:
        case CalendarDate():
            eight_digits = facts.kinds["integer"] if set(facts.masks) == {"9" * 8} else 0
            return min(1.0, facts.share(DAYS) + (eight_digits / facts.filled if facts.filled else 0))
        case Amount():
            return facts.share(NUMBERS)
        case WholeNumber():
            return facts.share((*NUMBERS, "code"))
        case _:
            # A name may be all digits, but seldom is; it is no day.
            return facts.share(("text", "code")) + 0.4 * facts.share(NUMBERS)


def is_mail(facts: ColumnFacts) -> bool:
    """Return whether a column holds addresses of mail."""
    return facts.share((_MAIL,)) > _LEAST_VALUES


def header_is_a_record(facts: Sequence[ColumnFacts], matches: Mapping[str, Match]) -> bool:
    """Return whether the header looks like the records below it, and none of its names is known."""
    known = [one for one in matches.values() if one.why != BY_VALUES]
    alike = [_outline(one.name) in {_outline(mask) for mask in one.masks} for one in facts]
    return not known and sum(alike) * 2 > len(alike)


def _outline(text: str) -> str:
    """Write how a text looks, whatever its length: `Max Mustermann` and `Xxxxx Xxx` are `Xx Xx`."""
    masked = re.sub(r"[^\W\d_]", lambda letter: "X" if letter[0].isupper() else "x", re.sub(r"\d", "9", text))
    return re.sub(r"(.)\1+", r"\1", masked)


def looks_personal(facts: ColumnFacts, words: Collection[str]) -> bool:
    """Return whether a column holds personal data, by its name or its values; that it doesn't, is not certain.

    Args:
        facts: What it holds.
        words: Words that stand in names of such columns.
    """
    name = in_one_word(facts.name)
    return is_mail(facts) or any(word in name for word in words)


def in_one_word(name: str) -> str:
    """Write a name small, without accents and without what stands between its words: `Kunden-Nr.` is `kundennr`."""
    plain = unicodedata.normalize("NFKD", name.lower().translate(_LETTERS))
    return re.sub(r"[\W_]|[^\x00-\x7f]", "", plain)


def _judge_name(name: str, column: str, known: Collection[str]) -> tuple[float, str]:
    """Return how well a name fits a column, from 0 to 1, and why."""
    if normalise_name(name) == column:
        return 1.0, "it is called so"
    word = in_one_word(name)
    if not word:
        return 0.0, ""
    if word in known or word == in_one_word(column):
        return _KNOWN, "such a column is often called so"
    like = max((SequenceMatcher(None, word, other).ratio() for other in (*known, in_one_word(column))), default=0)
    if like >= 0.85:  # noqa: PLR2004 - a letter or two
        return _LIKE, "its name is nearly one that is known"
    inside = [other for other in known if len(other) > 3 and (word.startswith(other) or word.endswith(other))]  # noqa: PLR2004
    return (0.6, "its name holds one that is known") if inside else (0.0, "")
