"""One block of whole records → its accepted records as CSV, its rejects and its share of the accounting.

A pure function of the block's bytes and of how many records came before it: blocks can be cleaned in any
order and in any process.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal

import polars as pl

from audited_load.columns import ControlTotal, Feed
from audited_load.records import BLANK, Block, is_tidy, list_records
from audited_load.values import clean_column

SOURCE_RECORD = "source_record"


@dataclass(frozen=True)
class Layout:
    """How the feed's columns lie in this file.

    Attributes:
        feed: The columns and their rules.
        delimiter: Between fields.
        fields: How many fields a record has.
        positions: Where the feed's columns are among them, in the feed's order.
    """

    feed: Feed
    delimiter: str
    fields: int
    positions: tuple[int, ...]


@dataclass(frozen=True)
class Reject:
    """A record that was refused: where it was, why, and its bytes without the line end."""

    record: int
    line: int
    offset: int
    reasons: tuple[str, ...]
    raw: bytes


@dataclass(frozen=True)
class CleanedBlock:
    """What became of one block.

    Attributes:
        csv: Accepted records: the feed's columns, then the number of the record.
        keys: For each of them `key`, `content` (hash), `record`, `line`, `offset`, `length`.
        rejects: Refused records, in order.
        read: Records in the block.
        blank_lines: Empty lines in the block.
        refused: Refusals by `column:refusal` or `record:fault`.
        changed: Values changed by `column:rule`.
        totals: Control totals over the accepted records.
    """

    csv: bytes
    keys: pl.DataFrame
    rejects: list[Reject]
    read: int
    blank_lines: int
    refused: Counter[str]
    changed: Counter[str]
    totals: dict[str, Decimal]


def clean_block(block: Block, layout: Layout, first_record: int) -> CleanedBlock:
    """Clean one block.

    Args:
        block: Whole records.
        layout: How to read them.
        first_record: Number of its first record in the file, from 1.

    Returns:
        Its accepted records, its rejects and its counts.
    """
    texts, places, broken, blank_lines = _split(block, layout, first_record)
    refused = Counter(reason for reject in broken for reason in reject.reasons)
    changed: Counter[str] = Counter()
    reasons: dict[int, list[str]] = {}
    columns = []
    for column, position in zip(layout.feed.columns, layout.positions, strict=True):
        cleaned = clean_column(texts.to_series(position), column)
        columns.append(cleaned.values)
        refused.update(cleaned.refused)
        changed.update(cleaned.changed)
        if cleaned.reasons is not None:
            for row in cleaned.reasons.is_not_null().arg_true():
                reasons.setdefault(row, []).append(cleaned.reasons[row])
    values = pl.DataFrame(columns)
    rejects = broken + [_reject(block, places, row, why) for row, why in reasons.items()]
    if reasons:
        good = ~pl.int_range(len(values), eager=True).is_in(list(reasons))
        values, places = values.filter(good), places.filter(good)
    keys = places.with_columns(key=values[layout.feed.key], content=values.hash_rows(seed=0))
    out = values.with_columns(places["record"].alias(SOURCE_RECORD))
    return CleanedBlock(
        out.write_csv(include_header=False).encode(),
        keys,
        sorted(rejects, key=lambda reject: reject.record),
        texts.height + len(broken),
        blank_lines,
        refused,
        changed,
        {total.name: _sum(values, total) for total in layout.feed.totals},
    )


def _split(block: Block, layout: Layout, first_record: int) -> tuple[pl.DataFrame, pl.DataFrame, list[Reject], int]:
    """Split a block: texts of the good records, their places, the broken records, blank lines."""
    if is_tidy(block, layout.delimiter, layout.fields):
        texts = _parse(block.data, layout)
        if texts is not None:
            lengths = pl.Series("length", [len(line) for line in block.data.split(b"\n")][: texts.height])
            starts = (lengths.cast(pl.Int64) + 1).cum_sum().shift(1, fill_value=0)
            rows = pl.int_range(texts.height, eager=True)
            places = _places(first_record + rows, block.first_line + rows, block.offset + starts, lengths)
            return texts, places, [], 0
    records = list(list_records(block, layout.delimiter, layout.fields))
    blank_lines = sum(record.fault == BLANK for record in records)
    numbered = list(enumerate((r for r in records if r.fault != BLANK), start=first_record))
    good = [(number, record) for number, record in numbered if record.fault is None]
    raw = [block.data[record.start : record.end] for _, record in good]
    texts = _parse(b"".join(raw), layout)
    if texts is None or texts.height != len(good):
        texts = _parse_one_by_one(raw, layout)
    places = _places(
        pl.Series([number for number, _ in good], dtype=pl.Int64),
        pl.Series([block.first_line + record.line for _, record in good], dtype=pl.Int64),
        pl.Series([block.offset + record.start for _, record in good], dtype=pl.Int64),
        pl.Series([record.end - record.start for _, record in good], dtype=pl.Int64),
    )
    broken = [
        Reject(
            number,
            block.first_line + record.line,
            block.offset + record.start,
            (f"record:{record.fault}",),
            block.data[record.start : record.end].rstrip(b"\r\n"),
        )
        for number, record in numbered
        if record.fault is not None
    ]
    return texts, places, broken, blank_lines


def _places(record: pl.Series, line: pl.Series, offset: pl.Series, length: pl.Series) -> pl.DataFrame:
    columns = {"record": record, "line": line, "offset": offset, "length": length}
    return pl.DataFrame({name: series.cast(pl.Int64) for name, series in columns.items()})


def _parse(data: bytes, layout: Layout) -> pl.DataFrame | None:
    """Parse records into columns of text; None if they don't all have the right number of fields."""
    schema = {str(number): pl.String() for number in range(layout.fields)}
    if not data:
        return pl.DataFrame(schema=schema)
    try:
        return pl.read_csv(
            data,
            has_header=False,
            separator=layout.delimiter,
            quote_char='"' if b'"' in data else None,
            schema=schema,
        )
    except (pl.exceptions.ComputeError, pl.exceptions.SchemaError):
        return None


def _parse_one_by_one(raw: list[bytes], layout: Layout) -> pl.DataFrame:
    schema = {str(number): pl.String() for number in range(layout.fields)}
    csv.field_size_limit(2**31 - 1)
    rows = [
        next(csv.reader(io.StringIO(record.decode(), newline=""), delimiter=layout.delimiter)) for record in raw
    ]
    return pl.DataFrame(rows, schema=schema, orient="row")


def _reject(block: Block, places: pl.DataFrame, row: int, reasons: list[str]) -> Reject:
    record, line, offset, length = places.row(row)
    start = offset - block.offset
    raw = block.data[start : start + length].rstrip(b"\r\n")
    return Reject(record, line, offset, tuple(reasons), raw)


def _sum(values: pl.DataFrame, total: ControlTotal) -> Decimal:
    scale, product = 0, pl.lit(1, dtype=pl.Int128)
    for name in total.factors:
        dtype = values.schema[name]
        if isinstance(dtype, pl.Decimal):
            scale += dtype.scale
        product = product * pl.col(name).to_physical().cast(pl.Int128)
    return Decimal(values.select(product.sum()).item() or 0).scaleb(-scale)
