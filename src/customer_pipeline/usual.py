"""Earlier loads of the ledger → what is usual of a file, and in words what of it is not.

A band is made of earlier files of the same contract and mode. The most extreme eighth at either end is left out, so
that one odd file moves nothing; a margin is added, since files that hardly differ need not be alike. Days that are
always low, such as Sundays, stay in it.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal, localcontext
from typing import Any

import psycopg
from psycopg.rows import tuple_row

from audited_load.shown import show_text

LOOKED_AT = 30
"""Earlier loads that a band is made of, at most."""
AT_LEAST = 8
"""Fewer say nothing of what is usual."""
_LEFT_OUT = 8
_EXACT = Context(prec=100, rounding=ROUND_HALF_UP)
_LEAST_SHARE = Decimal("0.01")
"""A share of refused records is not unusual for being a hundredth above what it was."""

RECORDS, REVENUE, REFUSED = "records read", "revenue", "share of refused records"
# The column contract_id is there from the first load on that this code brings.
_WITH_EARLIER = """
    select f.load_id, f.source_name, f.read, f.total_gross, f.quarantined - f.superseded,
        e.read, e.total_gross, e.quarantined - e.superseded
    from cleaned_data.loads as f
    left join lateral (
        select * from cleaned_data.loads as l
        where l.load_id < f.load_id and l.status = 'published' and l.mode = f.mode
            and to_jsonb(l) ->> 'contract_id' is not distinct from to_jsonb(f) ->> 'contract_id'
        order by l.load_id desc limit %(limit)s
    ) as e on true
    where f.load_id = any(%(load_ids)s) and f.status <> 'unchanged' and f.read > 0
    order by f.load_id, e.load_id
"""
_OF_RUN = "select load_id from cleaned_data.loads where run_id = %s and status = 'published' order by load_id"


@dataclass(frozen=True)
class Band:
    """What is usual.

    Attributes:
        low: From here,
        high: to here, both included.
        loads: The number of earlier loads that it is made of.
    """

    low: Decimal
    high: Decimal
    loads: int


@dataclass(frozen=True)
class Figure:
    """A figure of a load.

    Attributes:
        name: Such as `records read`.
        value: What the load has.
        band: What is usual; None if there are too few earlier loads.
    """

    name: str
    value: Decimal
    band: Band | None

    @property
    def is_unusual(self) -> bool:
        """Whether it is outside what is usual; that fewer records are refused than usual is no warning."""
        if self.band is None:
            return False
        return self.value > self.band.high or (self.value < self.band.low and self.name != REFUSED)

    def show(self, value: Decimal) -> str:
        """Write a value of this figure."""
        if self.name == REFUSED:
            return f"{100 * value:.1f} %"
        return f"{value:,.0f}" if self.name == RECORDS else f"{value:,.2f}"

    @property
    def usually(self) -> str:
        """What is usual, in words; empty if nobody knows."""
        if self.band is None:
            return ""
        high = self.show(self.band.high)
        return f"at most {high}" if self.name == REFUSED else f"{self.show(self.band.low)} to {high}"


@dataclass(frozen=True)
class Compared:
    """A load beside what is usual.

    Attributes:
        load_id: The load.
        source_name: Its file.
        figures: Records, revenue and the share of refused records.
        earlier: The number of earlier loads of its contract and mode, at most `LOOKED_AT`.
    """

    load_id: int
    source_name: str
    figures: tuple[Figure, ...]
    earlier: int

    @property
    def unusual(self) -> list[str]:
        """What is outside the usual, a sentence each."""
        return [
            f"{show_text(self.source_name, 200)}, load {self.load_id}: {one.name} {one.show(one.value)}; usually"
            f" {one.usually}, by the last {self.earlier} loads of its contract and mode."
            for one in self.figures
            if one.is_unusual
        ]


def find_band(history: Sequence[Decimal], least_margin: Decimal = Decimal(0)) -> Band | None:
    """Find what is usual.

    Args:
        history: The figure of earlier loads, in any order.
        least_margin: What is added at either end at least.

    Returns:
        What remains without the most extreme eighth at either end, and a margin: half of its width, but at least a
        quarter of the middle. None for fewer loads than `AT_LEAST`.
    """
    if len(history) < AT_LEAST:
        return None
    left_out = len(history) // _LEFT_OUT
    with localcontext(_EXACT):
        kept = sorted(history)[left_out : len(history) - left_out]
        low, high = kept[0], kept[-1]
        margin = max((high - low) / 2, abs(statistics.median(kept)) / 4, least_margin)
        return Band(low - margin, high + margin, len(history))


def compare(load: Sequence[Decimal], earlier: Sequence[Sequence[Decimal]]) -> tuple[Figure, ...]:
    """Compare a load with earlier ones.

    Args:
        load: Records read, revenue, and how many records were refused.
        earlier: The same of earlier loads of its contract and mode.

    Returns:
        Its figures, each with what is usual.
    """
    shown = [_figures(*one) for one in earlier]
    bands = [
        find_band([one[place] for one in shown], _LEAST_SHARE if name == REFUSED else Decimal(0))
        for place, name in enumerate((RECORDS, REVENUE, REFUSED))
    ]
    values = _figures(*load)
    return tuple(
        Figure(name, value, band)
        for name, value, band in zip((RECORDS, REVENUE, REFUSED), values, bands, strict=True)
    )


def compare_with_usual(connection: psycopg.Connection[Any], load_ids: Iterable[int]) -> list[Compared]:
    """Compare loads with earlier ones of their contract and mode that were published and stayed.

    Args:
        connection: To the warehouse, as any role that may read the ledger.
        load_ids: Which.

    Returns:
        One for each load, in their order of arrival, but for those whose content was visible already or of which no
        record could be read.
    """
    with connection.cursor(row_factory=tuple_row) as cursor:
        rows = cursor.execute(_WITH_EARLIER, {"load_ids": list(load_ids), "limit": LOOKED_AT}).fetchall()
    found: dict[tuple[Any, ...], list[tuple[Decimal, ...]]] = {}
    for row in rows:
        earlier = found.setdefault(row[:5], [])
        if row[5] is not None:
            earlier.append(row[5:])
    return [
        Compared(load_id, name, compare(figures, earlier), len(earlier))
        for (load_id, name, *figures), earlier in found.items()
    ]


def describe_unusual(connection: psycopg.Connection[Any], run_id: str) -> list[str]:
    """Say what of the loads that a run published is outside the usual.

    Args:
        connection: To the warehouse, as any role that may read the ledger.
        run_id: The run.

    Returns:
        Sentences without a value of any record; none if all is as usual, or there are too few earlier loads.
    """
    with connection.cursor(row_factory=tuple_row) as cursor:
        load_ids = [row[0] for row in cursor.execute(_OF_RUN, (run_id,)).fetchall()]
    return [sentence for one in compare_with_usual(connection, load_ids) for sentence in one.unusual]


def _figures(read: Decimal | int, gross: Decimal, refused: Decimal | int) -> tuple[Decimal, Decimal, Decimal]:
    return Decimal(read), Decimal(gross), Decimal(refused) / read if read else Decimal(0)
