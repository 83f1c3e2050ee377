"""The page's views over a large warehouse: the first look after publishing, and the next.

Usage: `make bench-page`, or `python bench/page_views.py --rows 10000000`.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
from build_marts import publish, run_dbt, run_tests
from machine import describe_machine
from merge_a_day import HEADER, TABLES, load
from server import running_server

from audited_load.warehouse.connection import connect
from audited_load.warehouse.operations import create_operations
from pipeline_page.render import make_environment, render_view
from pipeline_page.tabs.loads import find_loads, find_visible_load
from pipeline_page.tabs.quality import find_quality, read_thresholds
from pipeline_page.tabs.sales import find_sales
from pipeline_page.tabs.today import find_today
from pipeline_page.views import loads_context, quality_context, sales_context, today_context
from pipeline_page.warehouse import Connection, Kept, reading

ENVIRONMENT = make_environment()


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
        kept = Kept()
        for view, find in VIEWS.items():
            first, following = (time_view(runtime.dsn("reader"), view, find, kept) for _ in range(2))
            print(f"| {view} | {first:.2f} s | {following:.2f} s |", flush=True)


def write_rows(path: Path, rows: int) -> None:
    """Write clean records of 200,000 customers over two years."""
    with path.open("w") as file:
        file.write(HEADER)
        for key in range(rows):
            month = f"{2023 + (key // 24) % 2}-{(key * 31) // 11 % 12 + 1:02}"
            file.write(f"{key},{key * 7919 % 200_003},{month}-01,{key % 5000},Thing,2,{1 + key % 900}.25,0.1\n")


def time_view(dsn: str, view: str, find: Callable[[Connection, Kept], dict[str, Any]], kept: Kept) -> float:
    """Connect, ask and render; gives the seconds."""
    started = time.monotonic()
    with reading(dsn) as connection:
        context = find(connection, kept)
    render_view(ENVIRONMENT, view, context | {"root": "", "version": "", "report": False, "docs": True})
    return time.monotonic() - started


VIEWS: dict[str, Callable[[Connection, Kept], dict[str, Any]]] = {
    "today": lambda connection, kept: today_context(find_today(connection, kept, None), read_thresholds()),
    "quality": lambda connection, _: quality_context(find_quality(connection)),
    "sales": lambda connection, kept: sales_context(find_sales(connection, kept)),  # type: ignore[arg-type]
    "loads": lambda connection, _: loads_context(find_loads(connection, 100), find_visible_load(connection)),
}


if __name__ == "__main__":
    main()
