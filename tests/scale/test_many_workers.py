"""Two workers without a common disk do what one machine does, also when one of them, the store or the broker fails.

The tests go on from one another, as days do.
"""

from __future__ import annotations

import re
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from audited_load.errors import PipelineError
from scale.cluster import Cluster, Stack, end
from scale.seaweed import wait_until

CLEAN = "Clean-Transactions.clean_source_file"
CLEAN_ONE = "Clean-Transactions.clean_and_transform_csv"
COPY = "Load-To-Postgres.load_cleaned_csv_to_postgres"
MODEL = "DBT-Transformations.dbt_models.dim_customers.run"
OF_A_RUN = {"run_id", "params"}
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d")
HOLDING = {
    "cleaned": ("cleaned_data.customer_transactions", "transaction_id"),
    "quarantine": ("cleaned_data.customer_transactions_rejected", "load_id, source_record"),
    "loads": ("cleaned_data.loads", "load_id"),
    **{
        mart: (f"analytics.{mart}", "to_jsonb(t)::text")
        for mart in ("dim_customers", "dim_products", "dim_dates", "fact_transactions", "agg_monthly_sales")
    },
}

pytestmark = pytest.mark.timeout(2500)


def holding(stack: Stack) -> dict[str, list[dict[str, Any]]]:
    """Return all that a warehouse holds, but for the moments at which it was loaded."""
    statement = "select to_jsonb(t) from {table} as t order by {order}"
    return {
        name: [of_content(row) for (row,) in stack.ask(statement.format(table=table, order=order))]
        for name, (table, order) in HOLDING.items()
    }


def of_content(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in OF_A_RUN and not MOMENT.match(str(value))}


def require_alike(cluster: Cluster, alone: Stack) -> None:
    one, many = holding(alone), holding(cluster.stack)
    for name, rows in one.items():
        assert rows, name
        assert many[name] == rows, name


def deliver(cluster: Cluster, alone: Stack, days: Path, day: str) -> None:
    """Put a day's files into the store, and into the data folder of the one machine."""
    shutil.copytree(days / day, alone.runtime.data / day)
    for file in sorted((days / day).iterdir()):
        cluster.store.upload(file, f"data/{day}/{file.name}")


def is_cleaning(cluster: Cluster, name: str) -> bool:
    """Return whether a worker has begun to clean a file."""
    worker = next(worker for worker in cluster.workers if worker.name == name)
    return bool(worker.see("tmp/pipeline-task-*/*.csv")) and len(worker.see("tmp/pipeline-task-*")) > 1


def state_of(stack: Stack, run_id: str, task: str) -> set[str]:
    return {state for task_id, _, state, _, _ in stack.tasks(run_id) if task_id == task}


def tries(stack: Stack, run_id: str) -> dict[str, int]:
    """Return how often each task was tried, of those that were."""
    return {
        f"{task}[{number}]": count for task, number, state, count, _ in stack.tasks(run_id) if state != "skipped"
    }


def is_refused(cluster: Cluster) -> bool:
    """Return whether the store answers, and doesn't let us in."""
    try:
        cluster.store.find("")
    except PipelineError as error:
        return "InvalidAccessKeyId" in str(error)
    return False


def require_success(process: Any) -> str:
    code, printed = end(process)
    assert code == 0, printed
    return next(line.removeprefix("Run ") for line in printed.splitlines() if line.startswith("Run manual__"))


def test_two_workers_make_what_one_machine_makes(cluster: Cluster, alone: Stack, days: Path) -> None:
    deliver(cluster, alone, days, "first")
    one, many = (stack.start_run("--source", "first") for stack in (alone, cluster.stack))
    run_id = require_success(many)
    require_success(one)
    ran = [(task, machine) for task, _, state, _, machine in cluster.stack.tasks(run_id) if state == "success"]
    assert {machine for task, machine in ran if task == CLEAN} == {"worker-a", "worker-b"}
    assert {machine for _, machine in ran} <= {"worker-a", "worker-b", ""}
    assert set(tries(cluster.stack, run_id).values()) <= {0, 1}
    require_alike(cluster, alone)
    # Nothing of a delivery is left on a worker, nor on the machine of the services.
    assert not [path for worker in cluster.workers for path in worker.see("tmp/pipeline-task-*")]
    home = cluster.stack.runtime.home
    assert not [path for worker in cluster.workers for path in worker.see(f"{home}/data/*")]
    assert not list(cluster.stack.runtime.data.iterdir())


def test_workers_were_warm_before_they_forked(cluster: Cluster) -> None:
    for worker in cluster.workers:
        said = (cluster.stack.runtime.home / f"{worker.name}.log").read_text()
        assert 0 < said.find("Warm after") < said.find(" ready."), said
        assert "Signal handler" not in said  # how Celery says that a handler failed


def test_wrong_credentials_are_one_clear_error_and_no_retry(cluster: Cluster) -> None:
    before, answers = holding(cluster.stack), cluster.weed.answers
    cluster.weed.stop()
    cluster.weed.let_in("another")
    cluster.weed.answers = lambda: is_refused(cluster)
    cluster.weed.start()
    process = cluster.stack.start_run("--source", "first", "--mode", "merge")
    code, printed = end(process)
    cluster.weed.stop()
    cluster.weed.let_in("known")
    cluster.weed.answers = answers
    cluster.weed.start()
    assert code == 1, printed
    run_id = cluster.stack.newest_run()
    assert tries(cluster.stack, run_id)[f"{CLEAN_ONE}[-1]"] == 1
    assert state_of(cluster.stack, run_id, CLEAN_ONE) == {"failed"}
    places = f"{cluster.stack.runtime.home}/airflow/logs/*/run_id={run_id}/*{CLEAN_ONE}/*.log"
    logs = [path.read_text() for worker in cluster.workers for path in worker.see(places)]
    assert len(logs) == 1
    assert "refuses the credentials of the connection storage (InvalidAccessKeyId)" in logs[0]
    assert "a secret of the tests" not in logs[0]
    assert holding(cluster.stack) == before


def test_a_worker_that_dies_while_it_cleans_costs_a_retry(cluster: Cluster, alone: Stack, days: Path) -> None:
    deliver(cluster, alone, days, "second")
    process = cluster.stack.start_run("--source", "second", "--mode", "merge")
    wait_until(lambda: is_cleaning(cluster, "worker-a"), "worker-a cleans", pause=0.01)
    worker = cluster.workers[0]
    worker.kill()
    run_id = cluster.stack.newest_run()
    lost = [number for task, number, _, _, machine in cluster.stack.tasks(run_id)
            if task == CLEAN and machine == worker.name]  # fmt: skip
    assert len(lost) == 1
    time.sleep(5)
    worker.start()  # a new machine of that name
    assert require_success(process) == run_id
    assert tries(cluster.stack, run_id)[f"{CLEAN}[{lost[0]}]"] == 2


def test_a_store_and_a_broker_that_are_away_for_a_while_cost_no_retry(cluster: Cluster, days: Path) -> None:
    file = days / "third" / "part-0.csv"
    process = cluster.stack.start_run(str(file), "--mode", "merge")
    wait_until(
        lambda: "running" in state_of(cluster.stack, cluster.stack.newest_run(), CLEAN_ONE),
        "the cleaning",
        pause=0.02,
    )
    run_id = cluster.stack.newest_run()
    cluster.weed.stop()
    time.sleep(20)
    assert state_of(cluster.stack, run_id, COPY) != {"success"}  # it needed the store meanwhile
    cluster.weed.start()
    wait_until(lambda: state_of(cluster.stack, run_id, MODEL) & {"queued", "running", "success"}, "the models")
    assert cluster.redis.process
    cluster.redis.process.send_signal(signal.SIGTERM)
    cluster.redis.process.wait()
    time.sleep(3)
    cluster.redis.start()
    assert require_success(process) == run_id
    assert set(tries(cluster.stack, run_id).values()) <= {0, 1}


def test_after_all_that_nothing_is_there_twice_and_nothing_is_lost(
    cluster: Cluster, alone: Stack, days: Path
) -> None:
    require_success(alone.start_run("--source", "second", "--mode", "merge"))
    require_success(alone.start_run(str(days / "third" / "part-0.csv"), "--mode", "merge"))
    require_alike(cluster, alone)


def test_the_store_keeps_the_newest_runs_and_says_which_is_the_newest(cluster: Cluster) -> None:
    keys = [stored.key for stored in cluster.store.find("runs/")]
    runs = {key.split("/")[1] for key in keys} - {"latest.json"}
    newest = cluster.stack.newest_run()
    assert newest.encode() in (cluster.store.read("runs/latest.json") or b"")
    assert len(runs) == 3  # the refused run put nothing there
    manifests = [key for key in keys if key.endswith("/manifest.json")]
    assert all("/shard-0001/attempt-" in key for key in manifests)


def test_an_erased_customer_is_in_no_object(cluster: Cluster, alone: Stack) -> None:
    statement = (
        "select customer_id::text from cleaned_data.customer_transactions where customer_id is not null limit 1"
    )
    ((customer,),) = alone.ask(statement)
    held = [key for key, lines in objects(cluster).items() if names(lines, customer)]
    assert {key.split("/")[0] for key in held} == {"data", "runs"}
    for stack in (cluster.stack, alone):
        done = stack.command("erase-customer", customer)
        assert done.returncode == 0, done.stdout + done.stderr
    assert not [key for key, lines in objects(cluster).items() if names(lines, customer)]
    require_alike(cluster, alone)


def objects(cluster: Cluster) -> dict[str, list[str]]:
    """Return the lines of the files of records in the store."""
    found = [*cluster.store.find("data/"), *cluster.store.find("runs/")]
    csv = [stored.key for stored in found if stored.key.endswith(".csv")]
    return {key: (cluster.store.read(key) or b"").decode(errors="replace").splitlines() for key in csv}


def names(lines: list[str], customer: str) -> bool:
    """Return whether a record of these is the customer's, whose id is the second field of each."""
    return any(line.split(",")[1:2] == [customer] for line in lines)
