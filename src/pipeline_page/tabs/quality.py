"""Ledger, shapes and dbt's results → *Quality*: what was refused, why, since when, and which tests passed."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from audited_load.cleaning.limits import Limits, read_limits
from audited_load.errors import RefusedError
from audited_load.shown import most_frequent
from customer_pipeline.usual import Compared, compare_with_usual
from pipeline_page.tabs.dbt_tests import TestRun, find_test_runs
from pipeline_page.tabs.loads import Load, add_reasons, find_loads
from pipeline_page.warehouse import Connection, ask

RECENT = 90
"""Loads that the trends show."""
SHAPES = 40
RECORDS = 100
LOST = ("refused", "failed")
"""What the ledger says of loads that readers never saw."""

_SHAPES = """
    select column_name, refusal, shape, records from operations.rejected_shapes
    where load_id = %(load_id)s
        and (%(reason)s::text is null or %(reason)s::text in (column_name || ':' || refusal, column_name))
    order by records desc, column_name, refusal, shape limit %(limit)s
"""
_RECORDS = """
    select source_line, source_record, reject_id, column_name, refusal, shape from operations.refused_records
    where load_id = %(load_id)s and %(reason)s::text in (column_name || ':' || refusal, column_name)
    order by source_record, column_name limit %(limit)s
"""
# Of a file that was refused as a whole there are counts in the ledger, and no records in the quarantine.
_WITH_RECORDS = """
    select load_id from unnest(%(load_ids)s::bigint[]) as given (load_id)
    where exists (select from operations.refused_records as r where r.load_id = given.load_id)
    order by load_id desc limit 1
"""


@dataclass(frozen=True)
class Shape:
    """How many refused values of a column look alike: letters shown as a, digits as 9."""

    column_name: str
    refusal: str
    shape: str
    records: int


@dataclass(frozen=True)
class RefusedRecord:
    """Where a refused record lies, and what the value that it was refused for looks like.

    Attributes:
        source_line: Its first line in the file.
        source_record: Its number in the file.
        reject_id: The first characters of its id, by which `quarantine list` names it.
        column_name: The column, or `record`.
        refusal: Why.
        shape: Of the value; empty for a record that is broken as a whole.
    """

    source_line: int | None
    source_record: int
    reject_id: str
    column_name: str
    refusal: str
    shape: str


@dataclass(frozen=True)
class Quality:
    """What was refused.

    Attributes:
        reason: What the view is narrowed to: a column, a reason, or None.
        limits: MAX_REJECTED_RATIO and MAX_SUPERSEDED_RATIO.
        loads: The newest loads, newest first.
        last: The newest of them that refused something, and of which the quarantine has the records.
        reasons: Why, over `loads`.
        by_day: Day of the run, column, number of refusals.
        shapes: Of the newest refusals.
        records: Where those of `reason` lie, of `last`; none without a reason.
        in_last: How many refusals of `reason` that load has.
        rules: What rules changed, over `loads`, the most frequent first.
        usual: The newest load beside what is usual; None if there is nothing to compare.
        test_runs: dbt's tests, newest first.
    """

    reason: str | None
    limits: Limits
    loads: list[Load]
    last: Load | None
    reasons: list[tuple[str, int]]
    by_day: list[tuple[date, str, int]]
    shapes: list[Shape]
    records: list[RefusedRecord]
    in_last: int
    rules: list[tuple[str, int]]
    usual: Compared | None
    test_runs: list[TestRun]

    @property
    def newest(self) -> Load | None:
        """The newest load of which any record could be read."""
        return next((load for load in self.loads if load.read), None)

    @property
    def lost(self) -> list[Load]:
        """The loads that were refused or failed."""
        return [load for load in self.loads if load.status in LOST]


def read_thresholds(environment: Mapping[str, str] = os.environ) -> Limits:
    """Read the limits as the cleaning step does; where it would refuse one, the defaults are shown."""
    try:
        return read_limits(environment)
    except RefusedError:
        return Limits()


def find_quality(connection: Connection, reason: str | None = None, records: int | None = RECORDS) -> Quality:
    """Read everything of *Quality*.

    Args:
        connection: Of `reading`.
        reason: A column such as `price`, or a reason such as `price:exponent`, to look at alone.
        records: Refused records to read at most; None for all.

    Returns:
        It.
    """
    loads = find_loads(connection, RECENT)
    last = _find_last(connection, [load for load in loads if _matching(load, reason)])
    parameters = {"load_id": last.load_id if last else None, "reason": reason}
    newest = next((load for load in loads if load.read), None)
    compared = compare_with_usual(connection, [newest.load_id] if newest else [])
    found = ask(connection, _RECORDS, parameters | {"limit": records}) if reason else []
    return Quality(
        reason=reason,
        limits=read_thresholds(),
        loads=loads,
        last=last,
        reasons=[item for item in add_reasons(loads) if _is(item[0], reason)],
        by_day=_count_by_day(loads, reason),
        shapes=[Shape(**row) for row in ask(connection, _SHAPES, parameters | {"limit": SHAPES})],
        records=[RefusedRecord(**row) for row in found],
        in_last=sum(_matching(last, reason).values()) if last else 0,
        rules=_add_rules(loads),
        usual=compared[0] if compared else None,
        test_runs=find_test_runs(connection),
    )


def _find_last(connection: Connection, matching: list[Load]) -> Load | None:
    """Find the newest load of which the quarantine has the records; without any, the newest."""
    for row in ask(connection, _WITH_RECORDS, {"load_ids": [load.load_id for load in matching]}):
        return next(load for load in matching if load.load_id == row["load_id"])
    return matching[0] if matching else None


def _add_rules(loads: list[Load]) -> list[tuple[str, int]]:
    counts: Counter[str] = Counter()
    for load in loads:
        counts.update(load.rule_counts)
    return most_frequent(counts)


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
