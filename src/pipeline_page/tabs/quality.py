"""Ledger, shapes and dbt's results → *Quality*: what was refused, why, since when, and which tests passed."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from audited_load.cleaning.limits import Limits, read_limits
from audited_load.errors import RefusedError
from pipeline_page.tabs.loads import Load, add_reasons, find_loads
from pipeline_page.warehouse import Connection, ask

RECENT = 90
"""Loads that the trends show."""
SHAPES = 40
TEST_RUNS = 12

_SHAPES = """
    select column_name, refusal, shape, records from operations.rejected_shapes
    where load_id = %(load_id)s
        and (%(reason)s::text is null or %(reason)s::text in (column_name || ':' || refusal, column_name))
    order by records desc, column_name, refusal, shape limit %(limit)s
"""
_TEST_RUNS = """
    with recent as (
        select coalesce(run_id, invocation_id) as run, max(finished_at) as finished_at
        from operations.dbt_test_results group by 1 order by 2 desc limit %(limit)s
    ),
    -- A test that was tried again counts as it ended.
    last_tries as (
        select distinct on (coalesce(r.run_id, r.invocation_id), r.test_name)
            coalesce(r.run_id, r.invocation_id) as run, r.run_id, r.test_name, r.status, r.failures
        from operations.dbt_test_results as r
        inner join recent on recent.run = coalesce(r.run_id, r.invocation_id)
        order by coalesce(r.run_id, r.invocation_id), r.test_name, r.finished_at desc
    )
    select recent.finished_at, t.run_id, count(*) as tests,
        count(*) filter (where t.status = 'pass') as passed,
        coalesce(
            json_agg(json_build_object('name', t.test_name, 'status', t.status, 'failures', t.failures)
                order by t.test_name) filter (where t.status <> 'pass'), '[]'
        ) as others
    from last_tries as t inner join recent on recent.run = t.run
    group by 1, 2, recent.run order by 1 desc
"""


@dataclass(frozen=True)
class Shape:
    """How many refused values of a column look alike: letters shown as a, digits as 9."""

    column_name: str
    refusal: str
    shape: str
    records: int


@dataclass(frozen=True)
class TestRun:
    """What became of dbt's tests in a run, or in a command by hand, which has no run_id."""

    finished_at: datetime
    run_id: str | None
    tests: int
    passed: int
    others: list[dict[str, Any]]


@dataclass(frozen=True)
class Quality:
    """What was refused.

    Attributes:
        reason: What the view is narrowed to: a column, a reason, or None.
        limits: MAX_REJECTED_RATIO and MAX_SUPERSEDED_RATIO.
        loads: The newest loads, newest first.
        last: The newest of them that refused something.
        reasons: Why, over `loads`.
        by_day: Day of the run, column, number of refusals.
        shapes: Of the newest refusals.
        test_runs: dbt's tests, newest first.
    """

    reason: str | None
    limits: Limits
    loads: list[Load]
    last: Load | None
    reasons: list[tuple[str, int]]
    by_day: list[tuple[date, str, int]]
    shapes: list[Shape]
    test_runs: list[TestRun]


def read_thresholds(environment: Mapping[str, str] = os.environ) -> Limits:
    """Read the limits as the cleaning step does; where it would refuse one, the defaults are shown."""
    try:
        return read_limits(environment)
    except RefusedError:
        return Limits()


def find_quality(connection: Connection, reason: str | None = None) -> Quality:
    """Read everything of *Quality*.

    Args:
        connection: Of `reading`.
        reason: A column such as `price`, or a reason such as `price:exponent`, to look at alone.

    Returns:
        It.
    """
    loads = find_loads(connection, RECENT)
    last = next((load for load in loads if _matching(load, reason)), None)
    parameters = {"load_id": last.load_id if last else None, "reason": reason, "limit": SHAPES}
    return Quality(
        reason=reason,
        limits=read_thresholds(),
        loads=loads,
        last=last,
        reasons=[item for item in add_reasons(loads) if _is(item[0], reason)],
        by_day=_count_by_day(loads, reason),
        shapes=[Shape(**row) for row in ask(connection, _SHAPES, parameters)],
        test_runs=[TestRun(**row) for row in ask(connection, _TEST_RUNS, {"limit": TEST_RUNS})],
    )


def _is(found: str, reason: str | None) -> bool:
    return reason is None or found == reason or found.startswith(f"{reason}:")


def _matching(load: Load, reason: str | None) -> dict[str, int]:
    return {found: number for found, number in load.reason_counts.items() if _is(found, reason)}


def _count_by_day(loads: list[Load], reason: str | None) -> list[tuple[date, str, int]]:
    counts: dict[date, Counter[str]] = defaultdict(Counter)
    for load in loads:
        for found, number in _matching(load, reason).items():
            counts[load.run_date.date()][found.partition(":")[0]] += number
    return [(day, column, number) for day in sorted(counts) for column, number in sorted(counts[day].items())]
