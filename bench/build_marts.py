"""A full build of the marts by dbt against the same by hand, a day that is merged, and what readers wait meanwhile.

Usage: `make bench-marts`, or `python bench/build_marts.py --rows 10000000`. With `--before COMMIT` (`BEFORE=COMMIT`
for make) the dbt project of that commit builds in turns with this one.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from statistics import median
from unittest.mock import patch

import psycopg
from machine import describe_machine
from merge_a_day import HEADER, load
from server import running_server

from audited_load.marts import mart_changes, mart_sets
from audited_load.marts.mart_manifest import read_marts
from audited_load.marts.mart_sets import publish_marts, roll_back_marts
from audited_load.warehouse.connection import connect
from customer_pipeline.feed import MARTS
from customer_pipeline.runtime.installation import Runtime

PROJECT = Path(__file__).parents[1] / "dbt"
LOOK = """
    select f.units_sold, c.customer_tier from analytics.fact_transactions as f
    inner join analytics.dim_customers as c using (customer_id) where f.transaction_id = 7
"""
# What the contracts promise, by the quickest way: keys after the rows, statistics after each table.
FINISH = {
    "dim_customers": ("alter table {t} add primary key (customer_id)",),
    "dim_products": ("alter table {t} add primary key (product_id)",),
    "dim_dates": ("alter table {t} add primary key (date_day)",),
    "fact_transactions": (
        "alter table {t} add primary key (transaction_id)",
        "create index on {t} (customer_id, transaction_date)",
        "create index on {t} (product_id)",
        "alter table {t} add foreign key (customer_id) references by_hand.dim_customers (customer_id)",
        "alter table {t} add foreign key (product_id) references by_hand.dim_products (product_id)",
        "alter table {t} add foreign key (transaction_date) references by_hand.dim_dates (date_day)",
    ),
    "agg_monthly_sales": ("alter table {t} add primary key (customer_id, transaction_month)",),
}


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000, help="rows of the fact")
    parser.add_argument("--day", type=int, default=100_000, help="rows of the day, half of them corrections")
    parser.add_argument("--rounds", type=int, default=2, help="how often each way builds")
    parser.add_argument("--before", help="a commit, whose dbt project builds all marts in turns with this one")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="customer-pipeline-bench-") as name, running_server() as runtime:
        folder = Path(name)
        print(describe_machine(), flush=True)
        write_history(folder / "all.csv", range(arguments.rows), 0, known=arguments.rows)
        replaced = load(folder / "all.csv", "replace", 1, runtime).load
        with psycopg.connect(runtime.dsn("loader"), autocommit=True) as connection:
            connection.execute("grant usage on schema cleaned_data to transformer")
            connection.execute("grant select on all tables in schema cleaned_data to transformer")
        run_dbt(runtime, folder, "compile")
        taken: dict[str, list[float]] = {"by hand": [], "dbt": [], "tests": [], "publish": [], "sums": []}
        days: dict[str, list[float]] = {"load": [], "dbt": [], "tests": [], "publish": [], "sums": []}
        before = check_out(arguments.before, folder) if arguments.before else None
        waits, sums = [0.0], list[float]()
        for _ in range(arguments.rounds):
            taken["by hand"].append(build_by_hand(runtime, folder))
            if before:
                taken.setdefault("before", []).append(run_dbt(runtime, folder, "run", project=before))
            taken["dbt"].append(run_dbt(runtime, folder, "run"))
            taken["tests"].append(run_tests(runtime, folder))
            taken["publish"].append(publish(runtime, folder, waits, sums))
            taken["sums"].append(sums.pop())
            print({way: f"{seconds[-1]:.1f} s" for way, seconds in taken.items()}, flush=True)
        for day in range(1, arguments.rounds + 1):
            chance = random.Random(day)
            corrected = chance.sample(range(arguments.rows), arguments.day // 2)
            new = range(arguments.rows * (day + 1), arguments.rows * (day + 1) + arguments.day // 2)
            write_history(folder / "day.csv", [*corrected, *new], day, known=arguments.rows)
            days["load"].append(load(folder / "day.csv", "merge", 1 + day, runtime).load)
            days["dbt"].append(run_dbt(runtime, folder, "run"))
            days["tests"].append(run_tests(runtime, folder))
            days["publish"].append(publish(runtime, folder, waits, sums))
            days["sums"].append(sums.pop())
            print({way: f"{seconds[-1]:.1f} s" for way, seconds in days.items()}, flush=True)
        back = undo(runtime)
    report(arguments, replaced, taken, days, back)
    print(f"| longest wait of a reader while they are published | {1000 * max(waits):.0f} ms |")


def report(
    arguments: argparse.Namespace,
    replaced: float,
    taken: dict[str, list[float]],
    days: dict[str, list[float]],
    back: float,
) -> None:
    """Print the ratios as a table in Markdown; `replaced` and `back` are seconds."""
    full, day = ({step: median(seconds) for step, seconds in steps.items()} for steps in (taken, days))
    both = full["dbt"] + full["publish"]
    whole, in_a_day = replaced + both, day["load"] + day["dbt"] + day["publish"]
    of_day = f"a merged day of {arguments.day} rows"
    rows = [
        (f"all marts by hand, {arguments.rows} facts", f"1.00 ({full['by hand']:.1f} s)"),
        ("`dbt run` of the project", f"{full['dbt'] / full['by hand']:.2f}"),
        ("the data tests", f"{full['tests'] / full['by hand']:.2f}"),
        ("`publish_marts`", f"{full['publish'] / full['by hand']:.3f}"),
        ("adding up what the page shows, a part of it", f"{full['sums'] / full['by hand']:.3f}"),
        (f"{of_day}: `dbt run` and publishing, against both", f"{(day['dbt'] + day['publish']) / both:.3f}"),
        ("its data tests, against the same", f"{day['tests'] / both:.2f}"),
        ("loading it, `dbt run` and publishing, against the same of all rows", f"{in_a_day / whole:.3f}"),
        ("with the data tests", f"{(in_a_day + day['tests']) / (whole + full['tests']):.3f}"),
        ("publishing it, against loading all rows", f"{day['publish'] / replaced:.3f}"),
        (
            "changing what the page shows, against publishing the day, of which it is a part",
            f"{day['sums'] / day['publish']:.2f}",
        ),
        ("rollback of such a day's marts, against `dbt run` and publishing", f"{back / both:.3f}"),
    ]
    if arguments.before:
        rows.append((f"`dbt run` against that of {arguments.before}", f"{full['dbt'] / full['before']:.2f}"))
    print("\n| what | figure |\n|---|---|")
    for what, figure in rows:
        print(f"| {what} | {figure} |")


def write_history(path: Path, keys: range | list[int], day: int, known: int) -> None:
    """Write clean records of two years. Of a later day, those from `known` on are new; others get another price."""
    with path.open("w") as file:
        file.write(HEADER)
        for key in keys:
            mixed = key * 2_654_435_761 % 2**32  # as good as random, and the same each time
            age = timedelta(days=mixed // 7 % 730)
            when = date(2025, 1, day) if key >= known else date(2024, 12, 31) - age
            product = mixed // 11 % 5000
            price = f"{product % 300 + 1}.{(mixed // 13 + day) % 100:02}"
            file.write(f"{key},{mixed % 200_000},{when},{product},Thing {product},{mixed % 5 + 1},{price},0.1\n")


def undo(runtime: Runtime) -> float:
    """Take the last day's marts back; gives the seconds."""
    with psycopg.connect(runtime.dsn("loader")) as connection:
        (before,) = connection.execute("select changes_since from cleaned_data.published_load").fetchone() or (0,)
    with connect(runtime.dsn("transformer")) as connection:
        started = time.monotonic()
        done = roll_back_marts(connection, MARTS, before)
        if done is None or not done.changed:
            raise SystemExit("The marts were not taken back.")
        return time.monotonic() - started


def check_out(commit: str, folder: Path) -> Path:
    """Write the dbt project of a commit into the folder; gives where it is."""
    archive = ["git", "-C", str(PROJECT.parent), "archive", commit, "dbt"]
    packed = subprocess.run(archive, capture_output=True, check=True).stdout
    (folder / commit).mkdir()
    subprocess.run(["tar", "-x", "-C", str(folder / commit)], input=packed, check=True)
    return folder / commit / "dbt"


def run_dbt(runtime: Runtime, folder: Path, *command: str, project: Path = PROJECT) -> float:
    """Run dbt; gives the seconds that its nodes took, without its start."""
    target = folder / "target" if project == PROJECT else project / "target"
    environment = os.environ | {
        "POSTGRES_PORT": str(runtime.postgres_port),
        "TRANSFORMER_PASSWORD": runtime.secrets["transformer"],
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    }
    places = [
        "--project-dir",
        str(project),
        "--profiles-dir",
        str(project),
        "--target-path",
        str(target),
    ]
    line = [sys.executable, "-m", "dbt.cli.main", "--quiet", *command, *places]
    done = subprocess.run(line, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    return float(json.loads((target / "run_results.json").read_text())["elapsed_time"])


def run_tests(runtime: Runtime, folder: Path) -> float:
    """Run the data tests; gives the seconds that they took."""
    return run_dbt(runtime, folder, "test", "--exclude", "test_type:unit")


def build_by_hand(runtime: Runtime, folder: Path) -> float:
    """Run the models' statements with the keys after the rows, the dimensions at a time; gives the seconds."""
    compiled = {path.stem: path.read_text() for path in (folder / "target" / "compiled").rglob("*.sql")}

    def build(mart: str) -> None:
        with psycopg.connect(runtime.dsn("transformer"), autocommit=True) as connection:
            table = f"by_hand.{mart}"
            statement = compiled[mart].replace('"analytics_dbt_staging"', "by_hand")
            connection.execute(f"create table {table} as {statement}")  # type: ignore[call-overload]
            for finish in (*FINISH[mart], "analyze {t}"):
                connection.execute(finish.format(t=table))  # type: ignore[call-overload]

    with psycopg.connect(runtime.dsn("postgres"), autocommit=True) as connection:
        connection.execute("drop schema if exists by_hand cascade")
        connection.execute("create schema by_hand authorization transformer")
    with psycopg.connect(runtime.dsn("transformer"), autocommit=True) as connection:
        view = compiled["stg_customer_transactions"]
        connection.execute(f"create view by_hand.stg_customer_transactions as {view}")  # type: ignore[call-overload]
    started = time.monotonic()
    order = (("dim_customers", "dim_products", "dim_dates"), ("fact_transactions",), ("agg_monthly_sales",))
    for marts in order:
        with ThreadPoolExecutor() as threads:
            list(threads.map(build, marts))
    return time.monotonic() - started


def publish(runtime: Runtime, folder: Path, waits: list[float], sums: list[float] | None = None) -> float:
    """Publish what dbt built, with a reader that looks all along; gives the seconds, notes those of the sums."""
    done = threading.Event()

    def look_all_along() -> None:
        with psycopg.connect(runtime.dsn("reader"), autocommit=True) as connection:
            while not done.wait(0.002):
                started = time.monotonic()
                connection.execute(LOOK).fetchone()
                waits.append(time.monotonic() - started)

    models = read_marts(folder / "target" / "manifest.json")
    with connect(runtime.dsn("transformer")) as connection:
        exists = connection.execute("select to_regclass('analytics.fact_transactions')").fetchone() != (None,)
        reader = threading.Thread(target=look_all_along)
        if exists:
            reader.start()
        started = time.monotonic()
        with timed_sums([] if sums is None else sums):
            publish_marts(connection, MARTS, models)
        seconds = time.monotonic() - started
        done.set()
        if exists:
            reader.join()
    return seconds


@contextmanager
def timed_sums(taken: list[float]) -> Iterator[None]:
    """Note how long what is published adds up for the page, in seconds."""

    def timed(add_up: Callable[..., list[str]]) -> Callable[..., list[str]]:
        def run(*arguments: object) -> list[str]:
            started = time.monotonic()
            made = add_up(*arguments)
            taken.append(time.monotonic() - started)
            return made

        return run

    with (
        patch.object(mart_sets, "make_sums", timed(mart_sets.make_sums)),
        patch.object(mart_changes, "change_sums", timed(mart_changes.change_sums)),
    ):
        yield


if __name__ == "__main__":
    main()
