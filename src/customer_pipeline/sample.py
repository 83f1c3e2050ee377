"""A seed → a dirty file of customer transactions, and the truth that an ideal cleaner must find in it.

The same arguments give the same bytes on every machine. The truth is counted while the records are made, from
the values before they are written down: nothing is parsed.
"""

from __future__ import annotations

import argparse
import json
import os
import stat
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import IO, Any

import polars as pl

from audited_load.errors import PipelineError
from customer_pipeline.sample_dirt import COLUMNS, FAULTS, break_record
from customer_pipeline.sample_styles import draw_texts
from customer_pipeline.sample_values import (
    FIRST_PRODUCT,
    SHOWCASE,
    Catalogue,
    Draws,
    draw_values,
)

DEFAULT_DIRT = 0.025
CHUNK_ROWS = 100_000
MILLION = 1_000_000
FIRST_FAULT, FAULT_STEP = 37, 25
"""Where the showcase has one record of each fault: at most one in 25, also in the shortest sample."""
COPY_PLACE = 90
"""In each hundred records the places 90 to 99 may copy one at places 0 to 9, so that no copy is copied."""
COPIED_PERCENT = 10
CORRECTED, REWRITTEN, EXACT = range(3)


@dataclass
class Truth:
    """What an ideal cleaner must find; the fields are named as in its report.

    Attributes:
        read: Records.
        accepted: Records that are good, the superseded and the doubles left out.
        quarantined: Records that are broken or superseded.
        duplicates: Records equal in every value to a later one.
        superseded: Records with another content than a later one with the same transaction_id.
        reasons: Why records are in quarantine; a record may have several reasons.
        totals: Exact sums over the accepted: of quantity, of quantity x price (`gross`) and of tax.
    """

    read: int = 0
    accepted: int = 0
    quarantined: int = 0
    duplicates: int = 0
    superseded: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    totals: Counter[str] = field(default_factory=Counter)

    def to_dict(self) -> dict[str, Any]:
        """Give plain values; totals as exact decimal text, money with four decimals."""
        scales = {"quantity": 0, "gross": 4, "tax": 4}
        totals = {name: str(Decimal(self.totals[name]).scaleb(-scale)) for name, scale in scales.items()}
        return asdict(self) | {"reasons": dict(sorted(self.reasons.items())), "totals": totals}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `customer-pipeline sample`."""
    parser.add_argument("--rows", type=_count, required=True, help="records to write")
    parser.add_argument("--seed", type=int, required=True, help="another seed gives another file")
    parser.add_argument("--out", required=True, help="file to write, - for standard output")
    parser.add_argument(
        "--dirt",
        type=_ratio,
        default=DEFAULT_DIRT,
        help="share of records that can't be repaired, from 0 to 1 (default %(default)s)",
    )
    parser.add_argument("--truth", type=Path, help="write what a cleaner must find to this JSON file")


def run(args: argparse.Namespace) -> int:
    """Write a sample, and its truth if asked for.

    Returns:
        The exit code.

    Raises:
        PipelineError: A file can't be written.
    """
    truth = Truth()
    try:
        with _open_output(args.out) as out:
            truth = write_sample(out, args.rows, args.seed, args.dirt)
        if args.truth:
            with _open_output(str(args.truth)) as out:
                out.write((json.dumps(truth.to_dict(), indent=2) + "\n").encode())
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains at its exit
        return 1
    except OSError as error:
        raise PipelineError(
            f"{args.out}: can't be written: {error.strerror or error}.",
            "Check the folder, your rights and the free disk space, then run it again.",
        ) from error
    print(
        f"{args.out}: {truth.read:,} records, {truth.accepted:,} to be accepted, {truth.quarantined:,} to be"
        f" quarantined ({truth.superseded:,} superseded), {truth.duplicates:,} duplicates",
        file=sys.stderr,
    )
    return 0


def describe(rows: int, seed: int, dirt: float = DEFAULT_DIRT) -> dict[str, Any]:
    """Tell the truth of a sample without writing it: what `--truth` writes."""
    with Path(os.devnull).open("wb") as nowhere:
        return write_sample(nowhere, rows, seed, dirt).to_dict()


def write_sample(out: IO[bytes], rows: int, seed: int, dirt: float = DEFAULT_DIRT) -> Truth:
    """Write a sample, chunk by chunk, in memory that does not grow with it.

    Args:
        out: Where to.
        rows: Records to write, the header left out.
        seed: Another seed gives another sample.
        dirt: Share of records that can't be repaired, from 0 to 1.

    Returns:
        What an ideal cleaner must find.
    """
    draws = Draws(seed)
    catalogue = Catalogue(rows, draws)
    truth = Truth()
    out.write((",".join(COLUMNS) + "\n").encode())
    for first in range(0, rows, CHUNK_ROWS):
        numbers = pl.DataFrame({"number": pl.int_range(first, min(first + CHUNK_ROWS, rows), eager=True)})
        records = numbers.with_columns(_draw_fate(draws, dirt))
        values = draw_values(records, catalogue, draws)
        lines = _write_lines(values, draw_texts(values, catalogue, draws), truth)
        out.write(("\n".join(lines) + "\n").encode(errors="surrogateescape"))
        _count_copies(values, catalogue, draws, truth)
    truth.accepted = truth.read - truth.quarantined - truth.duplicates
    return truth


def _draw_fate(draws: Draws, dirt: float) -> list[pl.Expr]:
    """Draw what each record is: broken (`fault`), a copy of another (`copy`), or good.

    `source` is the number of the copied record. `key`, `value` and `format` are the numbers of the records
    whose id, other values and styles it has: its own or the source's.
    """
    number = pl.col("number")
    source, kind = _find_source(number), number % 100 - COPY_PLACE
    wanted = (draws.below(100, number, "copy") < COPIED_PERCENT) | (number // 100).is_in([1, 3])  # showcase
    good = _draw_fault(draws, number, dirt).is_null() & _draw_fault(draws, source, dirt).is_null()
    copy = pl.when(wanted & good & source.is_not_null()).then(kind // 2 % 3)
    copied = pl.when(copy.is_not_null()).then(source).otherwise(number)
    return [
        _draw_fault(draws, number, dirt).alias("fault"),
        copy.alias("copy"),
        copied.alias("key"),
        pl.when(copy == CORRECTED).then(number).otherwise(copied).alias("value"),
        pl.when(copy == EXACT).then(copied).otherwise(number).alias("format"),
        (copy == REWRITTEN).fill_null(value=False).cast(pl.Int64).alias("restyle"),
    ]


def _draw_fault(draws: Draws, number: pl.Expr, dirt: float) -> pl.Expr:
    """Draw the place of the fault in `FAULTS`, null for most records."""
    step = number - FIRST_FAULT
    places = (number < SHOWCASE) & (step >= 0) & (step % FAULT_STEP == 0) & (step < len(FAULTS) * FAULT_STEP)
    shown = len(FAULTS) / SHOWCASE
    more = max(0.0, (dirt - shown) / (1 - shown))  # beside those that are always there
    limit = pl.when(number < SHOWCASE).then(round(more * MILLION)).otherwise(round(dirt * MILLION))
    drawn = draws.below(MILLION, number, "broken") < limit
    fault = pl.when(drawn).then(draws.below(len(FAULTS), number, "fault"))
    return pl.when(places & (dirt > 0)).then(step // FAULT_STEP).otherwise(fault)


def _find_source(number: pl.Expr) -> pl.Expr:
    """Find the record that a copy would copy: one to one, near at even places and far at odd ones."""
    place, hundred = number % 100 - COPY_PLACE, number // 100
    near = number - COPY_PLACE
    far = pl.when(hundred % 2 == 1).then(hundred // 2 * 100 + place)
    return pl.when(place >= 0).then(pl.when(place % 2 == 0).then(near).otherwise(far))


def _write_lines(values: pl.DataFrame, fields: pl.DataFrame, truth: Truth) -> list[str]:
    """Write the good records as they are, break the others, and count them."""
    lines: list[str] = fields.select(pl.concat_str(COLUMNS, separator=","))["transaction_id"].to_list()
    broken = values.with_row_index("row").filter(pl.col("fault").is_not_null())
    parts = broken.select("row", "fault", "number", "id", "product"), fields[broken["row"]]
    for (row, fault, number, key, product), good in zip(*(part.iter_rows() for part in parts), strict=True):
        lines[row], reasons = break_record(FAULTS[fault], good, key, product + FIRST_PRODUCT, number // SHOWCASE)
        truth.reasons.update(reasons)
    truth.read += len(lines)
    truth.quarantined += len(broken)
    return lines


def _count_copies(values: pl.DataFrame, catalogue: Catalogue, draws: Draws, truth: Truth) -> None:
    """Count what the copies make of other records, and sum up those that stay."""
    copy = pl.col("copy")
    doubles = copy.is_in([EXACT, REWRITTEN]).fill_null(value=False)
    corrections = values.filter(copy == CORRECTED)
    # The record that a copy doubles or corrects is an earlier one; equal values may be counted at either.
    overruled = draw_values(corrections.select("key", value="key"), catalogue, draws)
    truth.duplicates += values.select(doubles.sum()).item()
    truth.superseded += corrections.height
    truth.quarantined += corrections.height
    if corrections.height:
        truth.reasons["record:superseded"] += corrections.height
    for frame, sign in ((values.filter(pl.col("fault").is_null() & ~doubles), 1), (overruled, -1)):
        sums = frame.select(
            quantity=pl.col("quantity").sum(),
            gross=(pl.col("quantity") * pl.col("price")).sum(),
            tax=pl.col("tax").sum(),
        )
        for name, total in sums.row(0, named=True).items():
            truth.totals[name] += sign * total


@contextmanager
def _open_output(path: str) -> Iterator[IO[bytes]]:
    """Open a file that appears when it is whole; standard output and devices are written directly."""
    if path == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    target = Path(path).resolve()  # the file behind a link, not the link
    if target.exists() and not stat.S_ISREG(target.stat().st_mode):
        with target.open("wb") as out:
            yield out
        return
    partial = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with partial.open("xb") as out:
            yield out
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of records")
    return int(text)


def _ratio(text: str) -> float:
    try:
        ratio = float(text)
    except ValueError:
        ratio = -1.0
    if not 0 <= ratio <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a share from 0 to 1")
    return ratio
