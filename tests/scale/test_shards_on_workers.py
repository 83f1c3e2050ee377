"""A million records in shards, on two workers that die in between: what one machine makes of them in one piece.

The tests go on from one another, as days do.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from customer_pipeline.commands.make_sample import make_sample
from customer_pipeline.names import COPY_SHARD_TASK
from scale.cluster import Cluster, Stack, Worker
from scale.seaweed import wait_until
from scale.test_many_workers import CLEAN, HOLDING, OF_A_RUN, require_success, tries

ROWS, FEWEST_SHARDS = 1_000_000, 4
DIGEST = """
    select count(*), sum(hashtextextended((to_jsonb(t) - %s::text[])::text, 0)::numeric) from {table} as t
"""
"""How many rows a table has, and a sum of what they hold: one row more, or another, changes it."""
MOMENTS = """
    select column_name from information_schema.columns
    where table_schema || '.' || table_name = %s and data_type like 'timestamp%%'
"""
"""The columns that differ from load to load."""

pytestmark = pytest.mark.timeout(2500)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("large")
    paths = {name: folder / f"{name}.csv" for name in ("calm", "rough")}
    for seed, path in enumerate(paths.values()):
        make_sample(path, ROWS, 40 + seed, 0.025)
    return paths


def digest(stack: Stack) -> dict[str, tuple[Any, ...]]:
    """Sum up all that a warehouse holds, but for the moments at which it was loaded."""
    found = {}
    for name, (table, _) in HOLDING.items():
        left_out = [*OF_A_RUN, *(column for (column,) in stack.ask(MOMENTS, table))]
        (found[name],) = stack.ask(DIGEST.format(table=table), left_out)
    return found


def require_same(cluster: Cluster, alone: Stack) -> None:
    one, many = digest(alone), digest(cluster.stack)
    assert one["cleaned"][0] > ROWS / 2
    assert one["quarantine"][0] > ROWS / 100
    assert many == one


def machines(cluster: Cluster, run_id: str, task: str) -> dict[int, str]:
    """Return where each shard of a run was, by its number."""
    found = cluster.stack.tasks(run_id)
    return {number: machine for name, number, _, _, machine in found if name == task and number >= 0}


def kill(cluster: Cluster, worker: Worker, task: str, is_at_work: Callable[[], object]) -> list[int]:
    """Let a worker die in a shard, and start a new machine of that name; give the shards that it had."""

    def lost() -> list[int]:
        found = cluster.stack.tasks(cluster.stack.newest_run())
        return [
            number
            for name, number, state, _, machine in found
            if (name, state, machine) == (task, "running", worker.name)
        ]

    wait_until(lambda: lost() and is_at_work(), f"{worker.name} at {task}", pause=0.01)
    had = lost()
    worker.kill()
    time.sleep(5)
    worker.start()
    return had


def test_shards_on_two_workers_make_what_one_machine_makes_of_the_whole(
    cluster: Cluster, alone: Stack, files: dict[str, Path]
) -> None:
    run_id = require_success(cluster.stack.start_run(str(files["calm"])))
    of_one_machine = require_success(alone.start_run(str(files["calm"])))
    for task in (CLEAN, COPY_SHARD_TASK):
        ran = machines(cluster, run_id, task)
        assert len(ran) >= FEWEST_SHARDS
        assert set(ran.values()) == {"worker-a", "worker-b"}
        assert max(number for name, number, *_ in alone.tasks(of_one_machine) if name == task) < 1
    assert set(tries(cluster.stack, run_id).values()) <= {0, 1}
    require_same(cluster, alone)


def test_a_worker_that_dies_in_a_shard_costs_that_shard_a_retry(
    cluster: Cluster, alone: Stack, files: dict[str, Path]
) -> None:
    process = cluster.stack.start_run(str(files["rough"]))
    first, second = cluster.workers
    lost = {CLEAN: kill(cluster, first, CLEAN, lambda: first.see("tmp/pipeline-task-*/out/*"))}
    copying = "select 1 from pg_stat_progress_copy where tuples_processed > 0"
    lost[COPY_SHARD_TASK] = kill(cluster, second, COPY_SHARD_TASK, lambda: cluster.stack.ask(copying))
    run_id = require_success(process)
    tried = tries(cluster.stack, run_id)
    assert {f"{task}[{number}]": 2 for task, numbers in lost.items() for number in numbers}.items() <= tried.items()
    assert [count for count in tried.values() if count > 1] == [2, 2]
    require_success(alone.start_run(str(files["rough"])))
    require_same(cluster, alone)
