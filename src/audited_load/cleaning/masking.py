"""Values that must not be written → keyed hashes in their place, in what is accepted and in what is refused.

A masked value is hashed with HMAC-SHA256 after its rules, so that all its spellings have one hash. A refused record
shows `masked:` and the hash in place of the value, which the rules take for the value again when the record is
repaired; and `[masked]` in place of a value that was refused itself, or that is dropped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import polars as pl

from audited_load.clean_report import SUPERSEDED
from audited_load.cleaning.layout import Layout, Reject
from audited_load.cleaning.values import CleanedColumn, clean_column, require_values
from audited_load.columns import HASH_CHARACTERS, Column
from audited_load.erasing.splitting import find_fields, put_in, read_field
from audited_load.erasing.subjects import keyed_hash
from audited_load.reading.dialect import Dialect
from audited_load.reading.encoding import swap_quotes
from audited_load.reading.odd_records import restore_record, split_record
from audited_load.shown import MASKED

HASHED = "masked:"
"""Stands before a hash that is shown in place of a value."""
_HASHED = rf"^\s*{HASHED}([0-9a-f]{{{HASH_CHARACTERS}}})\s*$"


def clean_masked(texts: pl.Series, column: Column, key: str) -> CleanedColumn:
    """Read every text of a masked column by its rules, and hash the values.

    Args:
        texts: What the file holds, null or empty for a blank.
        column: The rules.
        key: What to hash with.

    Returns:
        Hashes and reasons in the order of the texts; no reason quotes a value.
    """
    hashed = texts.str.extract(_HASHED)
    is_withheld = (texts.str.strip_chars() == MASKED).fill_null(False)
    plain = texts.zip_with(hashed.is_null() & ~is_withheld, pl.Series([None], dtype=pl.String))
    cleaned = clean_column(plain, replace(column, required=False))
    distinct = cleaned.values.drop_nulls().unique()
    known = {value: keyed_hash(f"{column.name}\0{value}".encode(), key) for value in distinct.cast(pl.String)}
    values = cleaned.values.cast(pl.String).replace_strict(known, default=None, return_dtype=pl.String)
    withheld = is_withheld.arg_true().to_list()
    reason = f"{column.name}:withheld: the value was refused before, and was not kept"
    masked = replace(
        cleaned,
        values=hashed.zip_with(hashed.is_not_null(), values).rename(column.name),
        reasons=[*cleaned.reasons, *((row, reason) for row in withheld)],
        refused=cleaned.refused + Counter({f"{column.name}:withheld": len(withheld)} if withheld else {}),
    )
    return require_values(masked, column) if column.required else masked


def mask_rejects(rejects: list[Reject], layout: Layout) -> list[Reject]:
    """Write refused records as they are kept: in double quotes, and without the values that must not be written.

    Of a record that can't be split into fields nobody can tell where they are: of it only a hash is kept.

    Args:
        rejects: Refused records, as they were read.
        layout: The columns, and which of them are masked or dropped.

    Returns:
        The same records, to be written.
    """
    dialect = layout.dialect
    masked = {place: column for column, place in _placed(layout) if column.masking}
    if not (masked or layout.dropped):
        return [reject._replace(raw=restore_record(reject.raw, dialect)) for reject in rejects]
    split = [_split(reject, dialect) for reject in rejects]
    shown: dict[int, list[str]] = {}
    for place, column in masked.items():
        cells = [swap_quotes(fields[place], dialect.quote) if fields else b"" for fields in split]
        texts = [cell.decode(errors="backslashreplace") for cell in cells]
        shown[place] = _show(texts, column, layout.masking_key)
    for place in layout.dropped:
        shown[place] = [MASKED if fields and fields[place].strip() else "" for fields in split]
    fresh = []
    for row, (reject, fields) in enumerate(zip(rejects, split, strict=True)):
        if fields:
            texts_of_row = {place: of_all[row] for place, of_all in shown.items()}
            raw = restore_record(_write(reject.raw, fields, texts_of_row, dialect), dialect)
        else:
            raw = f"{MASKED} {keyed_hash(reject.raw, layout.masking_key)}".encode()
        fresh.append(reject._replace(raw=raw))
    return fresh


def _placed(layout: Layout) -> list[tuple[Column, int]]:
    pairs = zip(layout.feed.columns, layout.positions, strict=True)
    return [(column, place) for column, place in pairs if place is not None]


def _split(reject: Reject, dialect: Dialect) -> list[bytes]:
    """Split a record into its fields, without quotes; empty if it could not be read as a record."""
    is_broken = any(reason.startswith("record:") and not reason.startswith(SUPERSEDED) for reason in reject.reasons)
    fields = [] if is_broken else split_record(reject.raw, dialect)
    return fields if len(fields) == dialect.fields else []


def _show(cells: Sequence[str], column: Column, key: str) -> list[str]:
    cleaned = clean_masked(pl.Series(cells, dtype=pl.String), replace(column, required=False), key)
    refused = {row for row, _ in cleaned.reasons}
    return [
        f"{HASHED}{value}" if value else MASKED if row in refused else ""
        for row, value in enumerate(cleaned.values.to_list())
    ]


def _write(raw: bytes, fields: Sequence[bytes], texts: dict[int, str], dialect: Dialect) -> bytes:
    """Write a record with other texts in some fields; the rest stays as it is where its quotes are in order."""
    spans = find_fields(raw, dialect.delimiter)
    if spans is None or [read_field(raw[start:end]) for start, end in spans] != list(fields):
        plain = [texts[place].encode() if place in texts else field for place, field in enumerate(fields)]
        return dialect.mark.join(b'"' + field.replace(b'"', b'""') + b'"' for field in plain)
    return put_in(raw, [(spans[place], text) for place, text in sorted(texts.items())])
