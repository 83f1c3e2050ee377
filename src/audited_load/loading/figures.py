"""The ledger → the figures of one run, as numbers by name."""

from __future__ import annotations

import psycopg

from audited_load.warehouse.tables import Tables

_SUMS = """
    select
        sum(read)::bigint, sum(accepted)::bigint, sum(quarantined)::bigint, sum(duplicates)::bigint,
        coalesce(sum(quarantined - superseded)::float / nullif(sum(read), 0), 0)::float,
        extract(epoch from max(coalesce(published_at, started_at)) - min(started_at))::float
    from {loads} where run_id = %s and status <> 'refused' having count(*) > 0
"""
_NAMES = ("read", "accepted", "quarantined", "duplicates", "rejected_ratio", "load_seconds")
# A reason that was seen once and is gone today is 0: a gauge that nobody sets keeps its last value.
_REASONS = """
    select reason, coalesce(sum((reason_counts ->> reason)::bigint) filter (where run_id = %s), 0)::bigint
    from (select run_id, reason_counts, jsonb_object_keys(reason_counts) as reason from {loads}) as counted
    group by reason
"""
_VISIBLE = "select visible_rows, extract(epoch from published_at)::float from {published_load}"


def read_figures(connection: psycopg.Connection, tables: Tables, run_id: str) -> dict[str, float]:
    """Read what a run did, and what readers see after it.

    Args:
        connection: As a role that may read the ledger.
        tables: Names of the tables.
        run_id: The run.

    Returns:
        Records `read`, `accepted`, `quarantined`, `duplicates`; `quarantined_by_reason.<column>:<refusal>`, 0 for
        those of earlier runs; `rejected_ratio` from 0 to 1; `load_seconds` from the ledger's entry to publishing;
        `visible_rows`; `published_timestamp` of what readers see, in seconds since 1970. Empty if the run has no
        row in the ledger.
    """
    sums = connection.execute(tables.fill(_SUMS), (run_id,)).fetchone()
    if sums is None:
        return {}
    figures: dict[str, float] = dict(zip(_NAMES, sums, strict=True))
    for reason, count in connection.execute(tables.fill(_REASONS), (run_id,)):
        figures[f"quarantined_by_reason.{reason}"] = count
    visible = connection.execute(tables.fill(_VISIBLE)).fetchone()
    if visible is not None:
        figures |= dict(zip(("visible_rows", "published_timestamp"), visible, strict=True))
    return figures
