"""A run of the whole DAG on the sample, against the same graph with Airflow's stock LocalExecutor and settings.

Usage: `make bench-dag`. It stops and starts the services of this clone.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
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
    for _ in range(arguments.rounds):
        for name, variables in ways.items():
            taken[name] += run_dag(variables, arguments.runs)
            print(f"{name}: {taken[name]}", flush=True)
    stock, ours = sorted(taken["stock"]), sorted(taken["ours"])
    reference = median(stock)
    of_stock = f"1.00 ({reference:.1f} s, {stock[0]:.1f} to {stock[-1]:.1f})"
    of_ours = f"{median(ours) / reference:.2f} ({median(ours):.1f} s, {ours[0]:.1f} to {ours[-1]:.1f})"
    print("\n| what | figure |\n|---|---|")
    print(f"| the DAG on the sample, stock LocalExecutor and Cosmos | {of_stock} |")
    print(f"| the same with `WarmLocalExecutor` | {of_ours} |")


def run_dag(variables: dict[str, str], runs: int) -> list[float]:
    """Start the services with some variables, and run the DAG; gives the seconds of each run but the first."""
    environment = {name: value for name, value in os.environ.items() if name not in STOCK} | variables
    call(environment, "down")
    call(environment, "up")
    printed = [call(environment, "run") for _ in range(runs + 1)][1:]
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
