"""A run in steps: in their order, what failed and what was held up, which try goes on, what is waited for."""

from __future__ import annotations

from typing import Any

import pytest
from still_clock import StillClock, ago

from customer_pipeline.watching import run_steps
from customer_pipeline.watching.run_steps import (
    covered_seconds,
    describe_counts,
    describe_tries,
    describe_wait,
    find_steps,
)

MODELS = "DBT-Transformations.dbt_models"


def task(
    name: str, state: str | None, start: int | None = None, end: int | None = None, **more: Any
) -> dict[str, Any]:
    moments = [None if second is None else f"2026-01-01T00:00:{second:02}Z" for second in (start, end)]
    given = {"map_index": -1, "rendered_map_index": None, "try_number": 1, "max_tries": 1, **more}
    return {"task_id": name, "state": state, "start_date": moments[0], "end_date": moments[1], **given}


FAILED = [
    task("DBT-Transformations.record_history", "upstream_failed"),
    task("DBT-Transformations.publish_marts", "upstream_failed"),
    task("Load-To-Postgres.create_cleaned_table", "success", 4, 5),
    task("Load-To-Postgres.validate_postgres_load", "success", 5, 6),
    task("Clean-Transactions.clean_source_file", "skipped"),
    task("Clean-Transactions.clean_and_transform_csv", "success", 1, 3),
    task(f"{MODELS}.stg.run", "success", 7, 9),
    task(f"{MODELS}.stg.test", "failed", 8, 9),
    task(f"{MODELS}.dim.run", "upstream_failed"),
]


def test_steps_come_in_order_with_what_failed_and_what_was_held_up() -> None:
    assert [(step.name, step.outcome, step.seconds) for step in find_steps(FAILED)] == [
        ("Clean-Transactions", "ok", 2.0),
        ("Load-To-Postgres", "ok", 2.0),
        (MODELS, "failed: stg.test; 1 task not run", 2.0),
        ("DBT-Transformations.publish_marts", "not run", 0.0),
        ("DBT-Transformations.record_history", "not run", 0.0),
    ]
    assert describe_counts(FAILED) == "4 of 9 tasks done, 1 failed, 4 not run"


def test_what_a_good_run_has_no_need_of_counts_as_done() -> None:
    tasks = [task("Clean-Transactions.clean_source_file", "skipped"), task("Clean-Transactions.x", "success", 1, 2)]
    assert describe_counts(tasks) == "2 of 2 tasks done"
    assert [step.has_ended for step in find_steps([*tasks, task("Load-To-Postgres.x", "running")])] == [True, False]


def test_one_of_several_files_that_failed_is_named() -> None:
    several = {"map_index": 1, "rendered_map_index": "b\x1b.csv"}
    (step,) = find_steps([task("Clean-Transactions.clean_source_file", "failed", 1, 2, **several)])
    assert step.outcome == r"failed: clean_source_file [b\x1b.csv]"


def test_seconds_of_tasks_side_by_side_count_once() -> None:
    tasks = [task("A.one", "success", 1, 3), task("B.x", "success", 5, 8), task("B.y", "running", 7)]
    assert covered_seconds([*tasks, task("B.z", "success", 7, 9)]) == 6.0
    assert covered_seconds([]) == 0.0


def run(name: str, state: str, after: int = 0, started: str | None = None) -> dict[str, Any]:
    return {"dag_run_id": name, "state": state, "run_after": f"2026-01-01T00:00:{after:02}Z", "start_date": started}


def test_a_queued_run_names_the_run_that_it_waits_for() -> None:
    others = [
        run("mine", "queued", 5),
        run("backfill__1", "running", 1),
        run("x", "queued", 2),
        run("y", "queued", 9),
    ]
    said = describe_wait(others[0], [], others[1:])
    assert said == "waits for run backfill__1, since one run goes at a time; before it: 1 run more"
    assert describe_wait(others[0], [], []) == "waits for the scheduler to start it"


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_steps, "datetime", StillClock)


@pytest.mark.parametrize(
    ("tasks", "said"),
    [
        ([task("A.x", "running", 1)], ""),
        ([task("A.x", "up_for_retry", 1, 2)], "waits for the next try of A.x (try 1 failed)"),
        ([task("A.x", "success") | {"end_date": ago(seconds=5)}], ""),
        (
            [task("A.x", "success") | {"end_date": ago(seconds=95)}],
            "waits for the scheduler: no task has started for 90 s",
        ),
    ],
)
def test_a_run_says_what_it_waits_for(tasks: list[dict[str, Any]], said: str) -> None:
    assert describe_wait(run("mine", "running", started=ago(seconds=300)), tasks, []) == said


def test_which_try_goes_on_is_told() -> None:
    assert describe_tries(task("A.x", "running", 1, try_number=2)) == "try 2 of 2"
