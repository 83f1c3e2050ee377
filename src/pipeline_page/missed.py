"""Ledger and schedule → the scheduled runs of late that brought no load."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import psycopg
from croniter import croniter  # type: ignore[import-untyped]

LOOKED_AT = 14
"""Scheduled runs that are looked at, without the one that may still go on."""

_BROUGHT = """
    select run_date, first_value(run_date) over (order by load_id) as first_date from cleaned_data.loads
    where status in ('published', 'unchanged')
"""


def find_missed_runs(
    connection: psycopg.Connection[Any], schedule: str | None, now: datetime | None = None
) -> list[datetime]:
    """Find scheduled runs since the first load that brought nothing: they failed, or nothing was up to start them.

    A load counts for the scheduled run before it, so one by hand or by a backfill makes up for it. One by a
    backfill, of a time before the first load, makes nothing missed of that time.

    Args:
        connection: To the warehouse, as `reader`.
        schedule: The DAG's cron expression, in UTC; of anything else, no run is missed.
        now: The time, if it is another.

    Returns:
        Their times, the oldest first, of the last `LOOKED_AT`.

    Raises:
        psycopg.errors.UndefinedTable: There is no ledger yet.
    """
    if not schedule or not croniter.is_valid(schedule):
        return []
    earlier = croniter(schedule, now or datetime.now(UTC), ret_type=datetime)
    times = [earlier.get_prev() for _ in range(LOOKED_AT + 1)][::-1]
    with connection.cursor(row_factory=psycopg.rows.tuple_row) as cursor:
        brought = cursor.execute(_BROUGHT).fetchall()
    if not brought:
        return []
    first = brought[0][1]
    return [
        time
        for time, following in pairwise(times)
        if time > first and not any(time <= run_date < following for run_date, _ in brought)
    ]


def describe_missed_runs(missed: list[datetime]) -> str:
    """Put them into words, such as `2 of the last 14 (2025-12-05, 2025-12-06)`."""
    times = ", ".join(
        f"{time:%Y-%m-%d}" if time.hour == time.minute == 0 else f"{time:%Y-%m-%d %H:%M}" for time in missed
    )
    return f"{len(missed)} of the last {LOOKED_AT} ({times})"
