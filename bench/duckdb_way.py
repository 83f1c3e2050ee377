"""Another way, as a baseline: DuckDB reads all as text and keeps the lines it can't split, casts, writes, COPY.

It does less than the pipeline: no reasons of values, no duplicates, no number words, no counts; what a cast can't
read becomes NULL.
"""

from __future__ import annotations

import time
from pathlib import Path

import duckdb
import psycopg
from pandas_way import COLUMNS, TABLE

ID = "try_cast(regexp_replace(trim({}), '^[A-Za-z]|\\.0*$', '', 'g') as bigint)"
DATE = (
    "coalesce(try_strptime(left(trim({}), 10), ['%Y-%m-%d', '%d-%m-%Y', '%d/%m/%Y', '%d.%m.%Y', '%Y/%m/%d']))::date"
)
AMOUNT = "try_cast(regexp_replace(trim({}), '^USD|USD$|[$, ]', '', 'g') as decimal(18, 4))"
CASTS = {
    "transaction_date": DATE,
    "product_name": "nullif(regexp_replace(replace(trim({}), chr(0), ''), '\\s+', ' ', 'g'), '')",
    "price": AMOUNT,
    "tax": AMOUNT,
}


def clean_and_copy(dirty: Path, folder: Path, dsn: str) -> float:
    """Clean and load a file.

    Returns:
        Seconds.
    """
    out, rejected = folder / "duckdb.csv", folder / "duckdb_rejected.csv"
    casts = ", ".join(f"{CASTS.get(name, ID).format(name)} as {name}" for name in COLUMNS)
    started = time.monotonic()
    with duckdb.connect() as connection:
        connection.execute("set preserve_insertion_order = false")
        connection.read_csv(
            str(dirty), header=True, sep=",", quotechar='"', escapechar='"', auto_detect=False,
            columns=dict.fromkeys(_header(dirty), "VARCHAR"), store_rejects=True,
        ).create_view("lines")  # fmt: skip
        connection.execute(f"copy (select {casts} from lines) to '{out}' (format csv, header)")  # noqa: S608
        connection.execute(f"copy reject_errors to '{rejected}' (format csv, header)")
    with psycopg.connect(dsn) as connection, connection.cursor() as cursor, out.open("rb") as file:
        cursor.execute(TABLE)
        with cursor.copy("copy cleaned from stdin (format csv, header)") as copy:
            while chunk := file.read(2**16):
                copy.write(chunk)
    return time.monotonic() - started


def _header(dirty: Path) -> list[str]:
    with dirty.open() as file:
        return file.readline().strip().split(",")
