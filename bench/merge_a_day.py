"""A day merged into a large table against a replace of all of it, and how long readers wait meanwhile.

Usage: `make bench-merge`, or `python bench/merge_a_day.py --rows 10000000 --day 100000`.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
from machine import describe_machine
from server import running_server

from audited_load.cleaning.clean_file import clean_file
from audited_load.loading.batch import Delivery
from audited_load.loading.copy import copy_cleaned
from audited_load.loading.incoming import empty_incoming
from audited_load.loading.ledger import register_batch
from audited_load.loading.publish import audit_and_publish
from audited_load.loading.rollback import roll_back
from audited_load.warehouse.connection import connect
from audited_load.warehouse.create import create_tables
from audited_load.warehouse.lease import acquire_lease, release_lease
from customer_pipeline.feed import TABLES
from customer_pipeline.runtime.installation import Runtime

HEADER = "transaction_id,customer_id,transaction_date,product_id,product_name,quantity,price,tax\n"
LOOK = "select price from cleaned_data.customer_transactions where transaction_id = 7"


@dataclass(frozen=True)
class Measured:
    """Seconds of cleaning and of loading, and the longest that a reader of one row waited."""

    clean: float
    load: float
    longest_wait: float


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000, help="rows of the table")
    parser.add_argument("--day", type=int, default=100_000, help="rows of the day, half of them corrections")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="customer-pipeline-bench-") as name, running_server() as runtime:
        folder = Path(name)
        print(describe_machine(), flush=True)
        runs = []
        for number in range(2):
            write_rows(folder / "all.csv", range(arguments.rows), price=number + 1)
            runs.append(load(folder / "all.csv", "replace", number, runtime))
            print(f"replace: {runs[-1]}", flush=True)
        replace = runs[-1]  # the first one had no readers' table to look at
        days = []
        for number in range(2, 5):
            corrected = random.Random(number).sample(range(arguments.rows), arguments.day // 2)
            new = range(arguments.rows * number, arguments.rows * number + arguments.day // 2)
            write_rows(folder / "day.csv", [*corrected, *new], price=number)
            days.append(load(folder / "day.csv", "merge", number, runtime))
            print(f"merge: {days[-1]}", flush=True)
        back = undo(runtime)
    report(arguments, replace, days, back)


def write_rows(path: Path, keys: range | list[int], price: int) -> None:
    """Write clean records."""
    with path.open("w") as file:
        file.write(HEADER)
        for key in keys:
            file.write(
                f"{key},{key % 200_000},2024-{key % 12 + 1:02}-01,{key % 5000},Thing,2,{price}.{key % 97:02},0.1\n"
            )


def load(path: Path, mode: str, number: int, runtime: Runtime) -> Measured:
    """Clean and load a file as the tasks do, with a reader that looks all along."""
    started = time.monotonic()
    loading, waits, done = started, [0.0], threading.Event()
    with tempfile.TemporaryDirectory(dir=path.parent) as out, connect(runtime.dsn("loader")) as connection:
        report = clean_file(path, TABLES.feed, Path(out))
        loading = time.monotonic()
        create_tables(connection, TABLES, ("reader",))
        reader = threading.Thread(target=look_all_along, args=(runtime, waits, done))
        reader.start()
        run = f"run {number}"
        acquire_lease(connection, TABLES, run, 0)
        delivery = Delivery(run, datetime(2025, 1, 1, tzinfo=UTC) + timedelta(days=number), mode)
        batch = register_batch(connection, TABLES, [report], delivery)
        empty_incoming(connection, TABLES, batch)
        copy_cleaned(connection, runtime.dsn("loader"), TABLES, batch)
        audit_and_publish(connection, TABLES, batch, min_row_ratio=0.5, force=False)
        ended = time.monotonic()
        release_lease(connection, TABLES, run)
        done.set()
        reader.join()
    return Measured(loading - started, ended - loading, max(waits))


def look_all_along(runtime: Runtime, waits: list[float], done: threading.Event) -> None:
    """Ask for one row again and again, and note how long each answer took, in seconds."""
    with psycopg.connect(runtime.dsn("reader"), autocommit=True) as connection:
        while not done.wait(0.002):
            started = time.monotonic()
            connection.execute(LOOK).fetchone()
            waits.append(time.monotonic() - started)


def undo(runtime: Runtime) -> float:
    """Take the last merge back; give the seconds."""
    with connect(runtime.dsn("loader")) as connection:
        started = time.monotonic()
        roll_back(connection, TABLES)
        return time.monotonic() - started


def report(arguments: argparse.Namespace, replace: Measured, days: list[Measured], back: float) -> None:
    """Print the ratios as a table in Markdown."""
    day = sorted(days, key=lambda measured: measured.load)[1]
    whole = replace.clean + replace.load
    rows = [
        (f"`replace` of {arguments.rows} rows, from file to visible", f"1.00 ({whole:.1f} s)"),
        (f"`merge` of {arguments.day} rows into them, the same way", f"{(day.clean + day.load) / whole:.3f}"),
        ("loading alone, from the empty incoming table to visible", f"{day.load / replace.load:.3f}"),
        ("rollback of the merge", f"{back / whole:.3f}"),
        ("longest wait of a reader during a replace", f"{1000 * replace.longest_wait:.0f} ms"),
        ("longest wait of a reader during a merge", f"{1000 * max(each.longest_wait for each in days):.0f} ms"),
    ]
    print("\n| what | figure |\n|---|---|")
    for what, figure in rows:
        print(f"| {what} | {figure} |")


if __name__ == "__main__":
    main()
