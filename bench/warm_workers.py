"""What workers of Celery gain by importing dbt before they fork: a dbt task and a run on the sample, both ways.

Two workers without a common disk, Redis and SeaweedFS, all on this machine, as in `make test-scale`; as root.

Usage: `make bench-workers`, or `python bench/warm_workers.py --rounds 3 --runs 2`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from statistics import median

from machine import describe_machine

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "tests"))  # the cluster is what tests need, too
from customer_pipeline.names import MODEL_TASKS  # noqa: E402
from scale.cluster import Cluster, end, running_cluster  # noqa: E402

SETTING = "AIRFLOW__CELERY__EXTRA_CELERY_CONFIG"
SAMPLE = ROOT / "data" / "customer_transactions.csv"
COLD, WARM = "each dbt task imports dbt", "workers import it before they fork"
_DURATIONS = "select duration from task_instance where run_id = %s and task_id like %s and state = 'success'"
_RUN = "select extract(epoch from end_date - start_date)::float8 from dag_run where run_id = %s"


def main() -> None:
    """Measure in turns, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="how often the workers are started each way")
    parser.add_argument("--runs", type=int, default=2, help="runs that count after each start; one more warms up")
    arguments = parser.parse_args()
    print(describe_machine(), flush=True)
    tasks: dict[str, list[float]] = {COLD: [], WARM: []}
    runs: dict[str, list[float]] = {COLD: [], WARM: []}
    with running_cluster() as cluster:
        warm = dict(cluster.workers[0].environment)
        cold = {name: value for name, value in warm.items() if name != SETTING}
        for number in range(arguments.rounds):
            ways = [(COLD, cold), (WARM, warm)]
            for way, environment in reversed(ways) if number % 2 else ways:
                start_workers(cluster, environment)
                for run in range(arguments.runs + 1):
                    whole, of_dbt = time_run(cluster)
                    if run:
                        runs[way].append(whole)
                        tasks[way] += of_dbt
                print(f"{way}: {runs[way]}", flush=True)
    print("\n| what | a dbt task | a run on the sample |\n|---|---|---|")
    for way in (COLD, WARM):
        print(f"| {way} | {against(tasks[way], tasks[COLD])} | {against(runs[way], runs[COLD])} |")


def start_workers(cluster: Cluster, environment: Mapping[str, str]) -> None:
    """Start both workers anew in an environment, and wait until they are ready."""
    for worker in cluster.workers:
        worker.kill()
        worker.environment = dict(environment)
        worker.start()


def time_run(cluster: Cluster) -> tuple[float, list[float]]:
    """Run the DAG on the sample; give the seconds of the run, and those of each dbt task."""
    code, printed = end(cluster.stack.start_run(str(SAMPLE)))
    if code:
        raise SystemExit(printed)
    run_id = cluster.stack.newest_run()
    ((whole,),) = cluster.stack.ask(_RUN, run_id, database="airflow")
    of_dbt = cluster.stack.ask(_DURATIONS, run_id, f"{MODEL_TASKS}%", database="airflow")
    return float(whole), [float(seconds) for (seconds,) in of_dbt]


def against(own: list[float], reference: list[float]) -> str:
    """Write a median as a ratio to that of the reference, with its range."""
    base = median(reference)
    return f"{median(own) / base:.2f} ({min(own) / base:.2f} to {max(own) / base:.2f}), {median(own):.1f} s"


if __name__ == "__main__":
    main()
