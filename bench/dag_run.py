"""A run of the whole DAG on the sample, against the same graph with Airflow's stock LocalExecutor and settings.

Beside it `dbt build` of the same models, alone: what the machine can do, and a part of every run.

Usage: `make bench-dag`. It stops and starts the services of this clone.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from machine import describe_machine

CLI = Path(sys.executable).parent / "customer-pipeline"
STOCK = {
    "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
    "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "1",
    "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "5",
}


def main() -> None:
    """Measure in turns, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=2, help="how often each way is started")
    parser.add_argument("--runs", type=int, default=2, help="runs that count after each start; one more warms up")
    arguments = parser.parse_args()
    print(describe_machine(), flush=True)
    ways: dict[str, dict[str, str]] = {"stock": STOCK, "ours": {}}
    taken: dict[str, list[float]] = {name: [] for name in ways}
    alone: list[float] = []
    for _ in range(arguments.rounds):
        for name, variables in ways.items():
            taken[name] += run_dag(variables, arguments.runs, alone)
            print(f"{name}: {taken[name]}, `dbt build`: {[round(seconds, 1) for seconds in alone]}", flush=True)
    stock, ours, built = sorted(taken["stock"]), sorted(taken["ours"]), sorted(alone)
    reference = median(stock)

    def against_stock(seconds: list[float]) -> str:
        middle = median(seconds)
        return f"{middle / reference:.2f} ({middle:.1f} s, {seconds[0]:.1f} to {seconds[-1]:.1f})"

    print("\n| what | figure |\n|---|---|")
    print(f"| the DAG on the sample, stock LocalExecutor and Cosmos | {against_stock(stock)} |")
    print(f"| the same with `WarmLocalExecutor` | {against_stock(ours)} |")
    print(f"| `dbt build` of the same models, alone | {against_stock(built)} |")
    print(f"| a run with `WarmLocalExecutor` against `dbt build` | {median(ours) / median(built):.1f} |")


def run_dag(variables: dict[str, str], runs: int, alone: list[float]) -> list[float]:
    """Start the services with some variables, and run the DAG; gives the seconds of each run but the first.

    Notes those of `dbt build`, as often, while the services are up and no run is.
    """
    environment = {name: value for name, value in os.environ.items() if name not in STOCK} | variables
    call(environment, "down")
    call(environment, "up")
    printed = [call(environment, "run") for _ in range(runs + 1)][1:]
    for _ in range(runs):
        started = time.monotonic()
        call(environment, "dbt", "build")
        alone.append(time.monotonic() - started)
    call(environment, "down")
    return [float(found[1]) for text in printed if (found := re.search(r"Run success after ([\d.]+) s", text))]


def call(environment: dict[str, str], *arguments: str) -> str:
    """Run a command of the pipeline, which must succeed; gives what it printed."""
    done = subprocess.run([CLI, *arguments], env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)}: {done.stdout}{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    main()
