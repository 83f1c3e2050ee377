"""Cleaning and loading against `psql \\copy` of the clean file and against pandas: ratios, from one run.

Usage: `make bench`, or `python bench/clean_and_load.py --rows 10000000 --rounds 3`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import IO

import psutil
import psycopg
from machine import describe_machine
from server import running_server

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
    with tempfile.TemporaryDirectory(prefix="customer-pipeline-bench-") as name, running_server() as runtime:
        folder = Path(name)
        folder.chmod(0o755)
        print(describe_machine(), flush=True)
        large = measure(folder, runtime, arguments.rows, arguments.rounds)
        small = measure(folder, runtime, arguments.small, arguments.rounds)
        pandas = [run_client("pandas", folder / f"{arguments.small}.csv", folder, runtime) for _ in range(2)]
    report(arguments, large, small, pandas)


def measure(folder: Path, runtime: Runtime, rows: int, rounds: int) -> dict[str, list[Timing]]:
    """Run reference, cleaning and loading in turn, so that a noisy neighbour meets all of them."""
    dirty = folder / f"{rows}.csv"
    with dirty.open("wb") as file:
        write_sample(file, rows, seed=7)
    timings: dict[str, list[Timing]] = {"clean": [], "load": [], "copy": []}
    for _ in range(rounds):
        timings["clean"].append(run_client("clean", dirty, folder, runtime))
        timings["load"].append(run_client("load", dirty, folder, runtime))
        timings["copy"].append(run_copy(folder / "customer_transactions_cleaned.csv", runtime))
        shown = {name: f"{values[-1].seconds:.1f} s" for name, values in timings.items()}
        print(f"{rows} records: {shown}", flush=True)
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
        peak = Peak(process.pid)
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


class Peak:
    """Watches the memory of a process and its children, shared pages counted once."""

    def __init__(self, pid: int) -> None:
        self._process, self._peak, self._done = psutil.Process(pid), 0, threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def stop(self) -> int:
        """Stop watching, and give the peak in bytes."""
        self._done.set()
        self._thread.join()
        return self._peak

    def _watch(self) -> None:
        while not self._done.wait(0.2):
            total = 0
            try:
                for process in (self._process, *self._process.children(recursive=True)):
                    total += process.memory_full_info().pss
            except psutil.Error:
                continue
            self._peak = max(self._peak, total)


def report(
    arguments: argparse.Namespace,
    large: dict[str, list[Timing]],
    small: dict[str, list[Timing]],
    pandas: list[Timing],
) -> None:
    """Print the ratios as a table in Markdown."""
    peaks = [max(t.peak for step in ("clean", "load") for t in runs[step]) for runs in (large, small)]
    both = [clean + load for clean, load in zip(seconds(large["clean"]), seconds(large["load"]), strict=True)]
    ours = median(seconds(small["clean"])) + median(seconds(small["load"]))
    reference = f"1.00 ({median(seconds(large['copy'])):.1f} s)"
    rows = [
        (f"`psql \\copy` of the clean file, {arguments.rows} records", reference),
        ("cleaning", ratio(seconds(large["clean"]), large)),
        ("loading (COPY over two connections)", ratio(seconds(large["load"]), large)),
        ("cleaning plus loading", ratio(both, large)),
        (
            f"pandas against cleaning plus loading, {arguments.small} records",
            f"{median(seconds(pandas)) / ours:.1f}",
        ),
        (f"peak memory of all processes, {arguments.rows} records", f"{peaks[0] / 2**20:.0f} MiB"),
        (f"the same against that at {arguments.small} records", f"{peaks[0] / peaks[1]:.2f}"),
    ]
    print("\n| what | ratio |\n|---|---|")
    for what, figure in rows:
        print(f"| {what} | {figure} |")


def seconds(timings: list[Timing]) -> list[float]:
    """Give the wall times."""
    return [timing.seconds for timing in timings]


def ratio(ours: list[float], runs: dict[str, list[Timing]]) -> str:
    """Compare round by round, and give the median and the range."""
    ratios = sorted(own / copy for own, copy in zip(ours, seconds(runs["copy"]), strict=True))
    return f"{median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"


if __name__ == "__main__":
    main()
