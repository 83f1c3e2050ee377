"""The records of a file → what each of its columns holds: kinds of values, blanks, how many differ, masks.

No value is kept: what goes on is counts, hashes and masks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray

from audited_load.cleaning.blocks import read_texts
from audited_load.cleaning.evidence import COMMA_ONLY, POINT_ONLY, weigh_distinct
from audited_load.cleaning.layout import Layout
from audited_load.columns import CalendarDate, Column, Feed
from audited_load.reading.records import cut_blocks, find_records, name_fault
from audited_load.reading.source import Source, read_chunks
from audited_load.shown import show_text

MAX_DISTINCT = 1_000_000
"""So many different values of a column are told apart."""
SHOWN_MASKS, MASK_CHARACTERS, MAX_MASKS = 3, 32, 2000
_NUMBER = r"[-+(\u2212]*[\p{Sc}A-Za-z]{0,4}\.?\s?[-+]?[0-9][0-9.,'\u2019\p{Zs}]*\s?[\p{Sc}A-Za-z]{0,4}[-)]?"
_DAY = r"[0-9]{1,2}(?:st|nd|rd|th|\.)?"
KINDS = {
    "integer": r"^[-+]?[0-9]+$",
    "day, year first": r"^[0-9]{4}([-/.])[0-9]{1,2}([-/.])[0-9]{1,2}([T\s].*)?$",
    "day, year last": r"^[0-9]{1,2}([-/.])\s?[0-9]{1,2}([-/.])\s?[0-9]{4}([T\s,].*)?$",
    "day, year of two digits": r"^[0-9]{1,2}([-/.])[0-9]{1,2}([-/.])[0-9]{2}([T\s,].*)?$",
    "day, month in words": (
        rf"^({_DAY}[-/.\s]{{1,2}})?\p{{L}}{{3,10}}\.?[-/,.\s]{{0,2}}({_DAY}[-/,\s]{{1,2}})?[0-9]{{4}}$"
    ),
    "mail address": r"^[^@\s]+@[^@\s]+\.[^@\s]+$",
    "decimals after a point": POINT_ONLY,
    "decimals after a comma": COMMA_ONLY,
    "one point, thousands or decimals": r"^[^0-9]*[1-9][0-9]{0,2}\.[0-9]{3}[^0-9]*$",
    "one comma, thousands or decimals": r"^[^0-9]*[1-9][0-9]{0,2},[0-9]{3}[^0-9]*$",
    "code": r"^\p{L}{1,10}[-_/ ]?[0-9]+$",
    "number": rf"^{_NUMBER}$",
}
"""Kinds of values, the first that matches; all else is text."""
DAYS = tuple(name for name in KINDS if name.startswith("day"))
NUMBERS = tuple(name for name in KINDS if name.startswith(("integer", "decimals", "one ", "number")))
_PREFIX = r"^(\p{L}{1,10}[-_/]?)[0-9]+(?:\.0+)?$"


class Distinct:
    """Counts how many values differ, by their hashes, up to a number."""

    def __init__(self) -> None:
        self._hashes: NDArray[np.uint64] = np.empty(0, np.uint64)

    @property
    def number(self) -> int:
        """How many differ; `MAX_DISTINCT` stands for so many or more."""
        return min(len(self._hashes), MAX_DISTINCT)

    def add(self, hashes: NDArray[np.uint64]) -> None:
        """Add values."""
        if len(self._hashes) < MAX_DISTINCT:
            self._hashes = np.union1d(self._hashes, hashes)


@dataclass
class ColumnFacts:
    """What a column of a file holds.

    Attributes:
        name: As in the header.
        filled: Values that are neither blank nor a null token.
        blanks: Blank values.
        tokens: Null tokens, of those that are known.
        kinds: Values by kind, `text` being all other.
        prefixes: What stands before the digits of ids, and how often.
        days: Dates by what they say of their order: `for` the day first, `against` it, or `undecided`.
        masks: How values look, and how often; digits are 9, letters x or X.
        distinct: Counts the values that differ.
    """

    name: str
    filled: int = 0
    blanks: int = 0
    tokens: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    prefixes: Counter[str] = field(default_factory=Counter)
    days: Counter[str] = field(default_factory=Counter)
    masks: Counter[str] = field(default_factory=Counter)
    distinct: Distinct = field(default_factory=Distinct)

    def share(self, kinds: Collection[str]) -> float:
        """Return which share of the values is of some kinds, from 0 to 1; 0 if there is no value."""
        return sum(self.kinds[kind] for kind in kinds) / self.filled if self.filled else 0.0

    def examples(self) -> list[str]:
        """Return how most values look."""
        return [show_text(mask, MASK_CHARACTERS) for mask, _ in self.masks.most_common(SHOWN_MASKS)]


@dataclass
class FileFacts:
    """What a file holds.

    Attributes:
        columns: In the header's order.
        records: How many records were looked at.
        broken: Those that can't be split, by fault.
        is_whole: Whether these are all of the file's records.
        again: Records that are the same as another one, byte for byte.
    """

    columns: list[ColumnFacts]
    records: int = 0
    broken: Counter[str] = field(default_factory=Counter)
    is_whole: bool = True
    again: int = 0


def read_tables(source: Source, feed: Feed, rows: int | None) -> Iterator[tuple[pl.DataFrame, Counter[str], bool]]:
    """Read the records of a file as columns of text, block by block.

    Args:
        source: The file.
        feed: Any feed; its rules aren't used.
        rows: How many records at most; None for all.

    Yields:
        The texts, the broken records by fault, and whether the file goes on behind them though no more is read.
    """
    dialect, left = source.dialect, rows
    blocks = cut_blocks(read_chunks(source), dialect, offset=source.body_offset, first_line=source.body_line)
    for block in blocks:
        records = find_records(block, dialect)
        number = len(records.starts) if left is None else min(left, len(records.starts))
        faults = records.faults[:number]
        broken = Counter(name_fault(int(code)) for code in faults[faults != 0])
        texts = read_texts(block, records, np.flatnonzero(records.faults == 0), Layout(feed, dialect, ()))
        left = None if left is None else left - number
        is_cut = number < len(records.starts) or (left == 0 and next(blocks, None) is not None)
        yield texts.head(number - sum(broken.values())), broken, is_cut
        if left == 0:
            return


def gather_facts(source: Source, feed: Feed, rows: int | None, words: Collection[str] = ()) -> FileFacts:
    """Find out what the columns of a file hold.

    Args:
        source: The file.
        feed: The table's: its null tokens, and how its dates are read.
        rows: How many records are looked at; None for all.
        words: Texts, in lower case, that mean "no value" elsewhere.

    Returns:
        Counts, and no value.
    """
    tokens = frozenset(words).union(*(column.null_tokens for column in feed.columns))
    day = next((column for column in feed.columns if isinstance(column.kind, CalendarDate)), None)
    names = source.dialect.header[: source.dialect.named_fields]
    facts = FileFacts([ColumnFacts(name.strip()) for name in names])
    rows_seen = Distinct()
    for texts, broken, is_cut in read_tables(source, feed, rows):
        facts.records += texts.height + sum(broken.values())
        facts.broken.update(broken)
        facts.is_whole &= not is_cut
        rows_seen.add(texts.hash_rows().to_numpy())
        for column, series in zip(facts.columns, texts, strict=False):
            _add(column, series, tokens, day)
    good = facts.records - sum(facts.broken.values())
    facts.again = good - rows_seen.number if rows_seen.number < MAX_DISTINCT else 0
    return facts


def _add(facts: ColumnFacts, texts: pl.Series, tokens: Collection[str], day: Column | None) -> None:
    """Add the texts of a block to what is known of a column; each distinct one is looked at once."""
    counted = texts.fill_null("").str.strip_chars().alias("text").value_counts(name="count")
    blanks = counted.filter(pl.col("text") == "")["count"].sum()
    is_token = pl.col("text").str.to_lowercase().is_in(list(tokens))
    found = counted.filter(pl.col("text") != "").with_columns(is_token.alias("is_token"))
    known = found.filter("is_token")
    found = found.filter(~pl.col("is_token"))
    facts.blanks += int(blanks)
    facts.filled += int(found["count"].sum())
    _count(facts.tokens, known.select(pl.col("text").str.to_lowercase(), "count"))
    facts.distinct.add(found["text"].hash().to_numpy())
    kind: pl.Expr = pl.lit("text")
    for name, pattern in reversed(KINDS.items()):
        kind = pl.when(pl.col("text").str.contains(pattern)).then(pl.lit(name)).otherwise(kind)
    _count(facts.kinds, found.select(kind.alias("kind"), "count"))
    _count(
        facts.prefixes, found.select(pl.col("text").str.extract(_PREFIX, 1).alias("prefix"), "count").drop_nulls()
    )
    if day is not None:
        for (_, side), sign in weigh_distinct(
            found["text"], found["count"], found["text"].is_not_null(), day
        ).items():
            facts.days[side] += sign.number
    if len(facts.masks) < MAX_MASKS:
        _count(facts.masks, found.select(mask(pl.col("text")).alias("mask"), "count").head(MAX_MASKS))


def mask(text: pl.Expr) -> pl.Expr:
    """Write 9 for every digit, X for every capital, x for every other letter."""
    return (
        text.str.slice(0, MASK_CHARACTERS + 1)
        .str.replace_all(r"\p{N}", "9")
        .str.replace_all(r"[[\p{L}\p{M}]--[\p{Lu}\p{Lt}]]", "x")
        .str.replace_all(r"[\p{Lu}\p{Lt}]", "X")
    )


def _count(counts: Counter[str], found: pl.DataFrame) -> None:
    name = found.columns[0]
    grouped = found.group_by(name).agg(pl.col("count").sum())
    counts.update(dict(grouped.iter_rows()))
