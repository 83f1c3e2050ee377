"""One step, timed: `client.py clean|load|pandas|duckdb FILE FOLDER`, the connection string on standard input."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from audited_load.clean_report import CleanReport
from audited_load.cleaning.clean_file import clean_file
from audited_load.loading.batch import Delivery
from audited_load.loading.copy import copy_cleaned
from audited_load.loading.incoming import empty_incoming
from audited_load.loading.ledger import register_batch
from audited_load.warehouse.connection import connect
from audited_load.warehouse.create import create_tables
from audited_load.warehouse.lease import acquire_lease, release_lease
from customer_pipeline.feed import TABLES


def clean(dirty: Path, folder: Path, _dsn: str) -> float:
    """Clean the file, as the first task does."""
    started = time.monotonic()
    report = clean_file(dirty, TABLES.feed, folder)
    seconds = time.monotonic() - started
    (folder / "report.json").write_text(json.dumps(report.to_dict()))
    return seconds


def load(_dirty: Path, folder: Path, dsn: str) -> float:
    """Copy the cleaned file into the incoming table, as the task does; making the tables doesn't count."""
    report = CleanReport.from_dict(json.loads((folder / "report.json").read_text()))
    with connect(dsn) as connection:
        create_tables(connection, TABLES, ())
        run = f"bench {time.time()}"
        acquire_lease(connection, TABLES, run, 0)
        delivery = Delivery(run, datetime.now(UTC), "replace")
        registered = register_batch(connection, TABLES, [report], delivery)
        empty_incoming(connection, TABLES, registered)
        started = time.monotonic()
        rows, _ = copy_cleaned(connection, dsn, TABLES, registered)
        seconds = time.monotonic() - started
        release_lease(connection, TABLES, run)
    if rows != report.accepted:
        raise SystemExit(f"{rows} rows loaded, {report.accepted} accepted")
    return seconds


def pandas(dirty: Path, folder: Path, dsn: str) -> float:
    """Do it the common way."""
    from pandas_way import clean_and_copy  # noqa: PLC0415 - an import that only this step pays for

    return clean_and_copy(dirty, folder, dsn)


def duckdb(dirty: Path, folder: Path, dsn: str) -> float:
    """Do it with DuckDB."""
    from duckdb_way import clean_and_copy  # noqa: PLC0415 - an import that only this step pays for

    return clean_and_copy(dirty, folder, dsn)


def main() -> None:
    """Run a step, and print its seconds."""
    steps: dict[str, Callable[[Path, Path, str], float]] = {
        "clean": clean,
        "load": load,
        "pandas": pandas,
        "duckdb": duckdb,
    }
    _, step, dirty, folder = sys.argv
    print(steps[step](Path(dirty), Path(folder), sys.stdin.readline().strip()))


if __name__ == "__main__":
    main()
