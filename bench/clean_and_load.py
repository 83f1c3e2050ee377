"""Cleaning and loading against `psql \\copy` of the clean rows, pandas and DuckDB: ratios, from one run.

Of two files: the generator's, in which a fifth of the lines is dirty, and one in which it is one cell in a hundred.

Usage: `make bench`, or `python bench/clean_and_load.py --rows 10000000 --rounds 3`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import IO

import psycopg
from lightly_dirty import write_lightly_dirty
from machine import describe_machine
from peak import Peak, memory_of
from server import running_server

from audited_load.cleaning.clean_file import clean_file
from customer_pipeline.feed import TABLES
from customer_pipeline.runtime.installation import Runtime
from customer_pipeline.runtime.postgres_server import package_folder
from customer_pipeline.sample.generator import write_sample

COLUMNS = "transaction_id,customer_id,transaction_date,product_id,product_name,quantity,price,tax,source_record"
REFERENCE_TABLE = """
    create table reference (
        transaction_id bigint not null, customer_id bigint, transaction_date date not null,
        product_id bigint not null, product_name text, quantity integer,
        price numeric(18, 4), tax numeric(18, 4), loaded_at timestamptz default now(),
        load_id bigint default 1, generation bigint default 1, source_record bigint not null
    )
"""
HERE = Path(__file__).parent
GENERATED, LIGHT = KINDS = ("a fifth of the lines dirty", "one cell in a hundred dirty")
OURS, ALL = ("clean", "load"), ("clean", "load", "pandas", "duckdb")


@dataclass(frozen=True)
class Timing:
    """A program's wall time in seconds, and the peak of the memory of it and its children in bytes."""

    seconds: float
    peak: int


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000, help="records of the large file")
    parser.add_argument("--small", type=int, default=1_000_000, help="records of the small file")
    parser.add_argument("--rounds", type=int, default=3, help="how often each program runs")
    arguments = parser.parse_args()
    files = {}
    with tempfile.TemporaryDirectory(prefix="customer-pipeline-bench-") as name, running_server() as runtime:
        folder = Path(name)
        folder.chmod(0o755)
        print(describe_machine(), flush=True)
        for kind in KINDS:
            files[kind] = [
                measure(make_file(folder, kind, arguments.rows), folder, runtime, OURS, arguments.rounds),
                measure(make_file(folder, kind, arguments.small), folder, runtime, ALL, arguments.rounds),
            ]
    report(arguments, files)


def make_file(folder: Path, kind: str, rows: int) -> Path:
    """Make a file of a kind; the lightly dirty one from the clean rows of the other."""
    dirty = folder / f"{rows}.csv"
    if kind == GENERATED:
        with dirty.open("wb") as file:
            write_sample(file, rows, seed=7)
        return dirty
    clean_file(dirty, TABLES.feed, folder)
    light = folder / f"{rows}-light.csv"
    write_lightly_dirty(folder / "customer_transactions_cleaned.csv", light)
    dirty.unlink()
    return light


def measure(
    dirty: Path, folder: Path, runtime: Runtime, steps: tuple[str, ...], rounds: int
) -> dict[str, list[Timing]]:
    """Run steps and reference in turn, so that a noisy neighbour meets all of them."""
    timings: dict[str, list[Timing]] = {step: [] for step in (*steps, "copy")}
    for _ in range(rounds):
        for step in steps:
            timings[step].append(run_client(step, dirty, folder, runtime))
        timings["copy"].append(run_copy(folder / "customer_transactions_cleaned.csv", runtime))
        shown = {name: f"{values[-1].seconds:.1f} s" for name, values in timings.items()}
        print(f"{dirty.name}: {shown}", flush=True)
    return timings


def run_client(step: str, dirty: Path, folder: Path, runtime: Runtime) -> Timing:
    """Run one step in a process of its own, as a task does; its start and imports don't count."""
    command = [sys.executable, str(HERE / "client.py"), step, str(dirty), str(folder)]
    with (
        tempfile.TemporaryFile("w+") as stdin,
        subprocess.Popen(
            command, stdin=_filled(stdin, runtime.dsn("loader")), stdout=subprocess.PIPE, text=True
        ) as process,
    ):
        peak = Peak(memory_of(process.pid))
        printed, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"{step} failed")
    return Timing(float(printed), peak.stop())


def _filled(file: IO[str], text: str) -> IO[str]:
    file.write(text + "\n")
    file.seek(0)
    return file


def run_copy(cleaned: Path, runtime: Runtime) -> Timing:
    """Copy the clean file with psql into a table of the same kind, over one connection."""
    dsn = runtime.dsn("loader")
    psql = package_folder() / "pginstall" / "bin" / "psql"
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("drop table if exists cleaned_data.reference")
        connection.execute("set search_path to cleaned_data")
        connection.execute(REFERENCE_TABLE)
    statement = f"\\copy cleaned_data.reference ({COLUMNS}) from '{cleaned}' (format csv, header match)"
    started = time.monotonic()
    subprocess.run([psql, dsn, "--quiet", "--command", statement], check=True)
    return Timing(time.monotonic() - started, 0)


def report(arguments: argparse.Namespace, files: dict[str, list[dict[str, list[Timing]]]]) -> None:
    """Print the ratios as a table in Markdown, with a column for each kind of file."""
    large, small = f"{arguments.rows:,} records", f"{arguments.small:,} records"
    names = (
        f"`psql \\copy` of the clean rows, {large}",
        "cleaning",
        "loading (COPY over two connections)",
        "cleaning plus loading",
        f"pandas' way against cleaning plus loading, {small}",
        f"DuckDB's way against cleaning plus loading, {small}",
        f"peak memory of all processes, {large}",
        f"the same against that at {small}",
        f"peak memory of pandas' way, {small}",
        f"peak memory of DuckDB's way, {small}",
    )
    columns = [list(figures(*runs)) for runs in files.values()]
    print(f"\n| what | {' | '.join(files)} |\n|---|{'---|' * len(files)}")
    for row in zip(names, *columns, strict=True):
        print(f"| {' | '.join(row)} |")


def figures(large: dict[str, list[Timing]], small: dict[str, list[Timing]]) -> Iterator[str]:
    """Return a column of the table."""
    yield f"1.00 ({median(seconds(large['copy'])):.1f} s)"
    for steps in (("clean",), ("load",), OURS):
        yield ratio([sum(times) for times in zip(*(seconds(large[step]) for step in steps), strict=True)], large)
    ours = sum(median(seconds(small[step])) for step in OURS)
    for step in ("pandas", "duckdb"):
        yield f"{median(seconds(small[step])) / ours:.1f}"
    peaks = [max(timing.peak for step in OURS for timing in runs[step]) for runs in (large, small)]
    yield f"{peaks[0] / 2**20:.0f} MiB"
    yield f"{peaks[0] / peaks[1]:.2f}"
    for step in ("pandas", "duckdb"):
        yield f"{max(timing.peak for timing in small[step]) / 2**20:.0f} MiB"


def seconds(timings: list[Timing]) -> list[float]:
    """Return the wall times."""
    return [timing.seconds for timing in timings]


def ratio(ours: list[float], runs: dict[str, list[Timing]]) -> str:
    """Compare round by round, and give the median and the range."""
    ratios = sorted(own / copy for own, copy in zip(ours, seconds(runs["copy"]), strict=True))
    return f"{median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"


if __name__ == "__main__":
    main()
