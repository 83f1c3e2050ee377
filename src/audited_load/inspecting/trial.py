"""A file and the feed that would read it → what its rules would make of every value, without keeping one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import TypeAlias

import polars as pl

from audited_load.cleaning.values import clean_column
from audited_load.columns import Feed, Text
from audited_load.inspecting.column_facts import Distinct, FileFacts, read_tables
from audited_load.reading.source import Source

Value: TypeAlias = int | Decimal | date
MANY_AGAIN = 0.05
"""From this share of records on that share their key with a different one, the key is none."""


@dataclass
class ColumnTrial:
    """What the rules of a column would make of its values.

    Attributes:
        values: How many they read.
        nulls: How many records would have none.
        changed: How many values each rule would change.
        refused: How many values would be refused, by reason.
        least: The least value; None of texts.
        most: The greatest value; None of texts.
    """

    values: int = 0
    nulls: int = 0
    changed: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    least: Value | None = None
    most: Value | None = None


@dataclass(frozen=True)
class Trial:
    """What a feed would make of a file.

    Attributes:
        columns: By the feed's columns, those that the file has.
        key_again: Records that share their key with another, different one.
        pairs: Columns of the file that tell records apart together with the key, where the key alone doesn't.
    """

    columns: dict[str, ColumnTrial]
    key_again: int
    pairs: tuple[str, ...] = ()


def try_feed(source: Source, feed: Feed, places: Mapping[str, int], facts: FileFacts, rows: int | None) -> Trial:
    """Read a file's values by a feed's rules.

    Args:
        source: The file.
        feed: Columns, rules and form.
        places: Where the feed's columns are in the file, from 0.
        facts: What the file holds.
        rows: How many records are looked at; None for all.

    Returns:
        Counts, and the least and the greatest value.
    """
    trials = {column.name: ColumnTrial() for column in feed.columns if column.name in places}
    keys = Distinct()
    for texts, _, _ in read_tables(source, feed, rows):
        for column in feed.columns:
            if column.name not in places:
                continue
            cleaned, trial = clean_column(texts.to_series(places[column.name]), column), trials[column.name]
            known = cleaned.values.drop_nulls()
            refused = sum(cleaned.refused.values())
            trial.values += len(known)
            trial.nulls += texts.height - len(known) - refused
            trial.changed.update(_bare(cleaned.changed))
            trial.refused.update(_bare(cleaned.refused))
            if len(known) and not isinstance(column.kind, Text):
                _extend(trial, known)
            if column.name == feed.key:
                keys.add(known.hash().to_numpy())
    again = max(0, trials[feed.key].values - keys.number - facts.again) if feed.key in trials else 0
    if feed.key not in trials or again <= MANY_AGAIN * max(facts.records, 1):
        return Trial(trials, again)
    return Trial(trials, again, _find_pairs(source, feed, places[feed.key], facts, rows))


def _find_pairs(source: Source, feed: Feed, key: int, facts: FileFacts, rows: int | None) -> tuple[str, ...]:
    """Find the columns that tell records of one key apart."""
    pairs = [Distinct() for _ in facts.columns]
    good = facts.records - sum(facts.broken.values())
    for texts, _, _ in read_tables(source, feed, rows):
        for place, pair in enumerate(pairs):
            if place != key:
                both = pl.DataFrame([texts.to_series(key).alias("key"), texts.to_series(place).alias("other")])
                pair.add(both.hash_rows().to_numpy())
    wanted = (1 - MANY_AGAIN) * (good - facts.again)
    return tuple(
        facts.columns[place].name for place, pair in enumerate(pairs) if place != key and pair.number >= wanted
    )


def _bare(counts: Counter[str]) -> dict[str, int]:
    """Take the column's name off."""
    return {name.partition(":")[2]: number for name, number in counts.items()}


def _extend(trial: ColumnTrial, known: pl.Series) -> None:
    least, most = known.min(), known.max()
    trial.least = least if trial.least is None or least < trial.least else trial.least  # type: ignore[assignment,operator]
    trial.most = most if trial.most is None or most > trial.most else trial.most  # type: ignore[assignment,operator]
