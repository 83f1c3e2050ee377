"""A seed → a dirty file, chunk by chunk, and the truth of it, counted before its values are written down."""

from __future__ import annotations

import os
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import IO, Any

import numpy as np
import polars as pl

from customer_pipeline.sample.dirt import COLUMNS, FAULTS, write_lines
from customer_pipeline.sample.styles import ID_STYLES, Writer, draw_styles
from customer_pipeline.sample.true_values import CHUNK_ROWS, SHOWCASE, Catalogue, Chunk, Numbers, draw_values

FIRST_TRANSACTION = 1001
DEFAULT_DIRT = 0.025
FIRST_FAULT, FAULT_STEP = 37, 25
"""Where the showcase has one record of each fault: at most one in 25, also in the shortest sample."""
COPY_PLACE = 90
"""In each hundred records the places 90 to 99 may copy one at places 0 to 9, so that no copy is copied."""
COPIED = 0.1
ORIGINAL, CORRECTED, REWRITTEN, EXACT = range(4)


def describe(rows: int, seed: int, dirt: float = DEFAULT_DIRT) -> dict[str, Any]:
    """Tell the truth of a sample without keeping it."""
    with Path(os.devnull).open("wb") as nowhere:
        return write_sample(nowhere, rows, seed, dirt)


def write_sample(out: IO[bytes], rows: int, seed: int, dirt: float = DEFAULT_DIRT) -> dict[str, Any]:
    """Write a sample, in memory that does not grow with it.

    Args:
        out: Where to.
        rows: Records to write, the header left out.
        seed: Another seed gives another sample.
        dirt: Share of records that can't be repaired, from 0 to 1.

    Returns:
        What an ideal cleaner must find, named as in its report: counts, how often which reason refuses a record,
        and the exact totals of what is accepted, as decimal text (`gross` is quantity x price).
    """
    catalogue = Catalogue(rows, seed)
    writer = Writer(catalogue.products)
    counts, reasons, totals = Counter[str](read=rows), Counter[str](), Counter(quantity=0, gross=0, tax=0)
    out.write((",".join(COLUMNS) + "\n").encode())
    for place, first in enumerate(range(0, rows, CHUNK_ROWS)):
        chunk, row = Chunk(seed, place), np.arange(min(CHUNK_ROWS, rows - first))
        values, styles = draw_values(chunk, catalogue), draw_styles(chunk)
        all_faults = _draw_faults(chunk, dirt, is_first=not place)
        fault, copy, source = (drawn[: len(row)] for drawn in (all_faults, *_draw_copies(chunk, all_faults)))
        ids = pl.Series("transaction_id", FIRST_TRANSACTION + first + source)
        id_styles = (styles["transaction_id"][source] + (copy == REWRITTEN)) % len(ID_STYLES["transaction_id"])
        values = values[np.where(copy > CORRECTED, source, row)].with_columns(ids)
        styles = styles[np.where(copy == EXACT, source, row)].with_columns(id_styles)
        lines, refused = write_lines(writer.write(values, styles), values, fault)
        out.write(lines)
        kept = values.filter((fault < 0) & ~np.isin(row, source[copy > ORIGINAL]))
        kept = kept.with_columns(gross=pl.col("quantity") * pl.col("price"))
        totals.update({name: kept[name].sum() for name in totals})
        reasons.update(refused)
        kinds = np.bincount(copy, minlength=4).tolist()
        counts.update(accepted=kept.height, superseded=kinds[CORRECTED], duplicates=kinds[REWRITTEN] + kinds[EXACT])
    reasons += Counter({"record:superseded": counts["superseded"]})
    counts["quarantined"] = rows - counts["accepted"] - counts["duplicates"]
    exact = {name: str(Decimal(total).scaleb(0 if name == "quantity" else -4)) for name, total in totals.items()}
    names = ("read", "accepted", "quarantined", "duplicates", "superseded")
    return {name: counts[name] for name in names} | {"reasons": dict(sorted(reasons.items())), "totals": exact}


def _draw_faults(chunk: Chunk, dirt: float, *, is_first: bool) -> Numbers:
    """Draw for each record the place of its fault in `FAULTS`, -1 for most; the first records have one of each."""
    shown = FIRST_FAULT + FAULT_STEP * np.arange(len(FAULTS))
    share = np.full(CHUNK_ROWS, dirt)
    if is_first:
        share[:SHOWCASE] = max(0.0, dirt - len(FAULTS) / SHOWCASE)  # beside those that are always there
    fault = np.where(chunk.chance() < share, chunk.between(0, len(FAULTS)), -1)
    if is_first and dirt:
        fault[shown] = np.arange(len(FAULTS))
    return fault


def _draw_copies(chunk: Chunk, fault: Numbers) -> tuple[Numbers, Numbers]:
    """Draw which record is a copy, of what kind and of which other: near at even places, far at odd ones."""
    row = np.arange(CHUNK_ROWS)
    place, hundred = row % 100 - COPY_PLACE, row // 100
    source = np.where(place % 2 == 0, row - COPY_PLACE, hundred // 2 * 100 + place)
    wanted = (chunk.chance() < COPIED) | np.isin(hundred, [1, 3])  # in the showcase all that can be
    wanted &= (place >= 0) & ((place % 2 == 0) | (hundred % 2 == 1)) & (fault < 0) & (fault[source] < 0)
    return np.where(wanted, CORRECTED + place // 2 % 3, ORIGINAL), np.where(wanted, source, row)
