"""The page's views over a large warehouse: the first look after publishing, and the next.

Usage: `make bench-page`, or `python bench/page_views.py --rows 10000000`.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import psycopg
from build_marts import publish, run_dbt, run_tests
from fastapi.testclient import TestClient
from machine import describe_machine
from merge_a_day import HEADER, TABLES, load
from server import running_server

from audited_load.warehouse.connection import connect
from audited_load.warehouse.operations import create_operations
from pipeline_page.web import create_app

VIEWS = ("today", "quality", "tests", "sales", "sales?first=2023-02&last=2024-11", "month?month=2023-07", "loads")


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000, help="rows of the fact")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="customer-pipeline-bench-") as name, running_server() as runtime:
        folder = Path(name)
        print(describe_machine(), flush=True)
        write_rows(folder / "all.csv", arguments.rows)
        load(folder / "all.csv", "replace", 1, runtime)
        with connect(runtime.dsn("loader")) as connection:
            connection.execute("grant usage on schema cleaned_data to transformer")
            connection.execute("grant select on all tables in schema cleaned_data to transformer")
            create_operations(connection, TABLES, ("reader",), ("transformer",))
        run_dbt(runtime, folder, "run")
        run_tests(runtime, folder)
        publish(runtime, folder, [0.0])
        with psycopg.connect(runtime.dsn("reader")) as reader:
            row = reader.execute("select count(*) from analytics.agg_monthly_sales").fetchone()
        months = row[0] if row else 0
        print(f"\n| view, {arguments.rows} facts, {months} customer-months | first | next |\n|---|---|---|")
        app = create_app(lambda: runtime.dsn("reader"), lambda: None, lambda: None)
        client = TestClient(app)
        for view in VIEWS:
            first, following = (time_view(client, view) for _ in range(2))
            print(f"| {view} | {first:.2f} s | {following:.2f} s |", flush=True)


def write_rows(path: Path, rows: int) -> None:
    """Write clean records of 200,000 customers over two years."""
    with path.open("w") as file:
        file.write(HEADER)
        for key in range(rows):
            month = f"{2023 + (key // 24) % 2}-{(key * 31) // 11 % 12 + 1:02}"
            file.write(f"{key},{key * 7919 % 200_003},{month}-01,{key % 5000},Thing,2,{1 + key % 900}.25,0.1\n")


def time_view(client: TestClient, view: str) -> float:
    """Ask the page for a view; gives the seconds."""
    started = time.monotonic()
    client.get(f"/{view}").raise_for_status()
    return time.monotonic() - started


if __name__ == "__main__":
    main()
