"""The results that dbt's tests left → by run, and by test with its history."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile
from typing import Any

from pipeline_page.warehouse import Connection, ask

TEST_RUNS = 12
"""Runs that a history shows."""
PASSED = "pass"
# A test that was tried again counts as it ended. A command by hand has no run_id.
_LAST_TRIES = """
    with recent as (
        select coalesce(run_id, invocation_id) as run, max(finished_at) as ended_at
        from operations.dbt_test_results group by 1 order by 2 desc limit %(limit)s
    ),
    last_tries as (
        select distinct on (coalesce(r.run_id, r.invocation_id), r.test_name)
            recent.run, recent.ended_at, r.run_id, r.test_name, r.model, r.status, r.failures, r.finished_at
        from operations.dbt_test_results as r
        inner join recent on recent.run = coalesce(r.run_id, r.invocation_id)
        order by coalesce(r.run_id, r.invocation_id), r.test_name, r.finished_at desc
    )
"""
_TEST_RUNS = f"""
    {_LAST_TRIES}
    select ended_at as finished_at, run_id, count(*) as tests, count(*) filter (where status = 'pass') as passed,
        coalesce(
            json_agg(json_build_object('name', test_name, 'status', status, 'failures', failures)
                order by test_name) filter (where status <> 'pass'), '[]'
        ) as others
    from last_tries group by 1, 2, run order by 1 desc
"""  # noqa: S608 - of constants
_HISTORY = f"""
    {_LAST_TRIES}
    select t.test_name as name, t.model, t.run_id, t.status, t.failures, t.finished_at,
        e.first_failed, e.last_failed
    from last_tries as t
    left join (
        select test_name, min(finished_at) as first_failed, max(finished_at) as last_failed
        from operations.dbt_test_results where status <> 'pass' group by 1
    ) as e on t.test_name = e.test_name
    order by t.test_name, t.ended_at desc, t.run desc
"""  # noqa: S608


@dataclass(frozen=True)
class TestRun:
    """What became of dbt's tests in a run, or in a command by hand, which has no run_id."""

    finished_at: datetime
    run_id: str | None
    tests: int
    passed: int
    others: list[dict[str, Any]]


@dataclass(frozen=True)
class Result:
    """How a test ended in a run, and how many rows broke it, if dbt counted them."""

    status: str
    failures: int | None
    finished_at: datetime
    run_id: str | None


@dataclass(frozen=True)
class TestHistory:
    """What became of a test.

    Attributes:
        name: Of the test.
        model: What it tests.
        results: Of the last runs in which it ran, newest first.
        first_failed: When it did not pass for the first time, as far as results are kept; None if it always did.
        last_failed: When it did not for the last time.
    """

    name: str
    model: str | None
    results: list[Result]
    first_failed: datetime | None
    last_failed: datetime | None

    @property
    def passed(self) -> int:
        """How many of `results` passed."""
        return sum(result.status == PASSED for result in self.results)

    @property
    def failing_since(self) -> datetime | None:
        """When it began to fail, if the newest result is a failure; the oldest result that is shown may be it."""
        failing = list(takewhile(lambda result: result.status != PASSED, self.results))
        return failing[-1].finished_at if failing else None


def find_test_runs(connection: Connection) -> list[TestRun]:
    """Return what became of dbt's tests in the newest runs, newest first."""
    return [TestRun(**row) for row in ask(connection, _TEST_RUNS, {"limit": TEST_RUNS})]


def find_test_history(connection: Connection) -> list[TestHistory]:
    """Return each test with its results in the newest runs: those that fail first, then those that did, by name."""
    found: dict[str, TestHistory] = {}
    for row in ask(connection, _HISTORY, {"limit": TEST_RUNS}):
        history = found.setdefault(
            row["name"], TestHistory(row["name"], row["model"], [], row["first_failed"], row["last_failed"])
        )
        history.results.append(Result(row["status"], row["failures"], row["finished_at"], row["run_id"]))
    return sorted(found.values(), key=lambda each: (not each.failing_since, not each.last_failed, each.name))
