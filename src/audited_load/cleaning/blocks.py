"""One block of whole records → its accepted records as CSV, its rejects and its share of the accounting.

A pure function of the block: blocks can be cleaned in any order and in any process.
"""

from __future__ import annotations

import io
from codecs import BOM_UTF8
from collections import Counter
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from audited_load.cleaning.evidence import Evidence, Sign
from audited_load.cleaning.layout import Layout, Reject
from audited_load.cleaning.masking import clean_masked, mask_rejects
from audited_load.cleaning.values import CleanedColumn, clean_column
from audited_load.columns import SOURCE_RECORD, Column, ControlTotal, Feed
from audited_load.erasing.raw_texts import Doubts, scrub_refused
from audited_load.erasing.splitting import RawLayout, masked_columns, to_bytes, to_text
from audited_load.erasing.subjects import ErasedSubjects
from audited_load.form import UNDECLARED
from audited_load.reading.dialect import Dialect
from audited_load.reading.encoding import swap_quotes
from audited_load.reading.odd_records import split_record
from audited_load.reading.records import Block, Records, describe_fault, find_records

PLACE = np.dtype([("record", "u8"), ("line", "u8"), ("offset", "u8"), ("length", "u4"), ("csv_end", "u4")])
"""Number and line of an accepted record, its place in the file, and where it ends in the block's CSV."""


@dataclass(frozen=True)
class CleanedBlock:
    """What became of one block.

    Attributes:
        csv: Accepted records: the feed's columns, then the number of the record.
        places: For each of them a `PLACE`.
        keys: For each of them its key.
        contents: For each of them a hash of its values.
        rejects: Refused records, in order.
        read: Records in the block.
        blank_lines: Empty lines in the block.
        refused: Refusals by `column:refusal` or `record:fault`.
        changed: Values changed by `column:rule`, and what was noted beside them.
        totals: Control totals over the accepted records.
        evidence: What the texts show of how their writer writes, with a line of the file each.
    """

    csv: bytes
    places: NDArray[np.void]
    keys: NDArray[np.int64]
    contents: NDArray[np.uint64]
    rejects: list[Reject]
    read: int
    blank_lines: int
    refused: Counter[str]
    changed: Counter[str]
    totals: dict[str, Decimal]
    evidence: Evidence


def clean_block(block: Block, layout: Layout) -> CleanedBlock:
    """Clean one block.

    Args:
        block: Whole records.
        layout: How to read them.

    Returns:
        Its accepted records, its rejects and its counts.
    """
    records = find_records(block, layout.dialect)
    good = np.flatnonzero(records.faults == 0)
    reasons = {
        int(row): [f"record:{describe_fault(block, records, int(row), layout.dialect)}"]
        for row in np.flatnonzero(records.faults)
    }
    refused = Counter(reason.partition(": ")[0] for (reason,) in reasons.values())
    changed = block.notes + Counter(f"record:{odd.form}" for odd in records.odd.values())
    if layout.is_guessed and (wide := _count_wide(block, records)):
        changed["file:guessed_encoding"] = wide
    texts = read_texts(block, records, good, layout)
    columns, evidence = [], Evidence()
    for column, position in zip(layout.feed.columns, layout.positions, strict=True):
        cleaned = _clean(texts, column, position, layout.masking_key)
        columns.append(cleaned.values)
        refused.update(cleaned.refused)
        changed.update(cleaned.changed)
        for (topic, side), (count, row) in cleaned.signs.items():
            line = block.first_line + int(records.lines[good[row]])
            evidence[column.name, topic, side] = Sign(count, line)
        for row, reason in cleaned.reasons:
            reasons.setdefault(int(good[row]), []).append(reason)
    values = pl.DataFrame(columns)
    accepted = good
    if reasons:
        is_good = ~np.isin(good, list(reasons))
        accepted, values = good[is_good], values.filter(pl.Series(is_good))
    rejects = mask_rejects(_rejects(block, records, reasons), layout)
    if layout.erased is not None:
        values, blanked = _blank_erased(values, layout.feed, layout.erased)
        doubts = Doubts()
        rejects, scrubbed = scrub_rejects(rejects, layout, doubts)
        found = {"erased": blanked + scrubbed, "may_be_erased": doubts.lookalikes}
        changed += Counter({f"{layout.feed.subject}:{rule}": count for rule, count in found.items()})
    data = _write_lines(values.with_columns(pl.Series(SOURCE_RECORD, block.first_record + accepted)))
    return CleanedBlock(
        csv=data,
        places=_places(block, records, accepted, data),
        keys=values[layout.feed.key].to_numpy(),
        contents=values.hash_rows(seed=0).to_numpy(),
        rejects=rejects,
        read=len(records.starts),
        blank_lines=block.blank_lines,
        refused=refused,
        changed=changed,
        totals={total.name: _sum(values, total) for total in layout.feed.totals},
        evidence=evidence,
    )


def _clean(texts: pl.DataFrame, column: Column, position: int | None, key: str) -> CleanedColumn:
    """Clean a column; one that the file lacks is null."""
    nothing = pl.repeat(None, texts.height, dtype=pl.String, eager=True)
    found = nothing if position is None else texts.to_series(position)
    return clean_masked(found, column, key) if column.masking else clean_column(found, column)


def _blank_erased(values: pl.DataFrame, feed: Feed, erased: ErasedSubjects) -> tuple[pl.DataFrame, int]:
    """Blank the ids of those who were erased, and hashes of theirs, before anything is written; give how many."""
    subject, masked = feed.subject, masked_columns([feed])
    ids = erased.choose(values[subject].unique().drop_nulls().to_list())
    if not ids:
        return values, 0
    is_erased = values[subject].is_in(list(ids)).fill_null(False)
    blanked = pl.when(is_erased).then(None).otherwise(pl.col(subject, *masked)).name.keep()
    return values.with_columns(blanked), int(is_erased.sum())


def scrub_rejects(rejects: list[Reject], layout: Layout, doubts: Doubts | None = None) -> tuple[list[Reject], int]:
    """Scrub refused records of those who were erased, before anything is written; give how many."""
    if layout.erased is None or not rejects:
        return rejects, 0
    raws, reasons = [to_text(reject.raw) for reject in rejects], [reject.reasons for reject in rejects]
    own = [RawLayout(layout.dialect.header, layout.dialect.delimiter)]
    scrubbed = scrub_refused(raws, reasons, own, [layout.feed], layout.erased.choose, doubts)
    fresh = [
        reject if new is None else reject._replace(raw=to_bytes(new[0]), reasons=new[1])
        for reject, new in zip(rejects, scrubbed, strict=True)
    ]
    return fresh, sum(new is not None for new in scrubbed)


def sum_totals(lines: bytes, feed: Feed) -> dict[str, Decimal]:
    """Add up the control totals of lines of a cleaned file."""
    factors = {name for total in feed.totals for name in total.factors}
    texts = pl.read_csv(
        lines,
        has_header=False,
        new_columns=[*feed.names, SOURCE_RECORD],
        schema_overrides=[pl.String] * (len(feed.names) + 1),
    )
    # Whatever form the source had, a cleaned file has that which needs no telling.
    columns = {column.name: column for column in feed.in_form(UNDECLARED).columns}
    values = pl.DataFrame(
        [clean_column(texts[name], columns[name]).values for name in feed.names if name in factors]
    )
    return {total.name: _sum(values, total) for total in feed.totals}


def read_texts(block: Block, records: Records, good: NDArray[np.int64], layout: Layout) -> pl.DataFrame:
    """Split the good records into columns of text, one for each of the file's."""
    dialect = layout.dialect
    if len(good) == len(records.starts) and not len(block.skipped) and not records.odd:
        data = block.data
    else:
        # Neighbours are cut out together; what is not written by RFC 4180 is written anew.
        odd = np.isin(good, list(records.odd))
        breaks = np.flatnonzero((records.starts[good][1:] != records.ends[good][:-1]) | odd[1:] | odd[:-1]) + 1
        first, last = np.append(0, breaks), np.append(breaks, len(good)) - 1
        runs = zip(good[first], good[last], strict=True) if len(good) else ()
        data = b"".join(
            [
                _write_plainly(block.data[records.starts[start] : records.ends[start]], dialect)
                if int(start) in records.odd
                else block.data[records.starts[start] : records.ends[end]]
                for start, end in runs
            ]
        )
    texts = _parse(data, dialect)
    if texts is None or texts.height != len(good):
        spans = zip(records.starts[good], records.ends[good], strict=True)
        texts = _parse_one_by_one([block.data[start:end] for start, end in spans], dialect)
    if dialect.quote == '"':
        return texts
    swapped = ['"', swap_quotes(b'"', dialect.quote).decode()]
    return texts.with_columns(pl.all().str.replace_many(swapped, swapped[::-1]))


def _write_plainly(raw: bytes, dialect: Dialect) -> bytes:
    """Write a record as RFC 4180 wants it."""
    fields = split_record(raw.rstrip(b"\r\n"), dialect)
    return dialect.mark.join(b'"' + field.replace(b'"', b'""') + b'"' for field in fields) + b"\n"


def _parse(data: bytes, dialect: Dialect) -> pl.DataFrame | None:
    """Parse records into columns of text; None if they don't all have the right number of fields."""
    schema = {str(number): pl.String() for number in range(dialect.fields)}
    if not data:
        return pl.DataFrame(schema=schema)
    # Polars takes one mark at the start for that of a file.
    mark = BOM_UTF8 if data.startswith(BOM_UTF8) else b""
    try:
        return pl.read_csv(
            mark + data,
            has_header=False,
            separator=dialect.delimiter,
            quote_char='"' if b'"' in data else None,
            schema=schema,
        )
    except (pl.exceptions.ComputeError, pl.exceptions.SchemaError):
        return None


def _parse_one_by_one(raw: list[bytes], dialect: Dialect) -> pl.DataFrame:
    schema = {str(number): pl.String() for number in range(dialect.fields)}
    rows = [[field.decode() for field in split_record(record.rstrip(b"\r\n"), dialect)] for record in raw]
    return pl.DataFrame(rows, schema=schema, orient="row")


def _count_wide(block: Block, records: Records) -> int:
    """Count the records with characters beyond ASCII: what they mean hangs on the encoding."""
    wide = np.flatnonzero(np.frombuffer(block.data, np.uint8) >= 0x80)  # noqa: PLR2004
    return len(np.unique(np.searchsorted(records.ends, wide, "right")))


def _write_lines(values: pl.DataFrame) -> bytes:
    """Write values as lines of CSV. Each of the days between is put into words once: Polars does it row by row."""
    for days in values.select(pl.col(pl.Date)):
        first, last = cast("date | None", days.min()), cast("date | None", days.max())
        if first and last and (last - first).days < len(days):
            texts = pl.date_range(first, last, eager=True).dt.to_string("%Y-%m-%d")
            values = values.with_columns(texts.gather((days - first).dt.total_days()).rename(days.name))
    out = io.BytesIO()
    values.write_csv(out, include_header=False)
    return out.getvalue()


def _places(block: Block, records: Records, rows: NDArray[np.int64], data: bytes) -> NDArray[np.void]:
    places = np.empty(len(rows), PLACE)
    places["record"] = block.first_record + rows
    places["line"] = block.first_line + records.lines[rows].astype(np.int64)
    places["offset"] = block.offset + records.starts[rows].astype(np.int64)
    places["length"] = records.ends[rows] - records.starts[rows]
    # No accepted value holds a line end: each line is a record.
    places["csv_end"] = np.flatnonzero(np.frombuffer(data, np.uint8) == ord("\n")) + 1
    return places


def _rejects(block: Block, records: Records, reasons: dict[int, list[str]]) -> list[Reject]:
    rows = np.array(sorted(reasons), np.int64)
    places = zip(
        rows.tolist(),
        (block.first_line + records.lines[rows].astype(np.int64)).tolist(),
        records.starts[rows].tolist(),
        records.ends[rows].tolist(),
        strict=True,
    )
    return [
        Reject(
            block.first_record + row,
            line,
            block.offset + start,
            tuple(reasons[row]),
            block.data[start:end].rstrip(b"\r\n"),
        )
        for row, line, start, end in places
    ]


def _sum(values: pl.DataFrame, total: ControlTotal) -> Decimal:
    scale, product = 0, pl.lit(1, dtype=pl.Int128)
    for name in total.factors:
        dtype = values.schema[name]
        if isinstance(dtype, pl.Decimal):
            scale += dtype.scale
        product = product * pl.col(name).to_physical().cast(pl.Int128)
    return Decimal(values.select(product.sum()).item() or 0).scaleb(-scale)
