"""The accounting of a run's cleaned files → one row per file in the ledger.

Can be killed anywhere and called again.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import psycopg
from psycopg import sql

from audited_load.clean_report import CleanReport
from audited_load.erasing.register import find_delivered, require_known
from audited_load.loading.batch import Batch, Content, Delivery, Load, name_files
from audited_load.loading.replays import close_replayed_again
from audited_load.warehouse.tables import Tables

_COPIED_TO_LEDGER = (
    "sha256",
    "bytes",
    "read",
    "accepted",
    "quarantined",
    "duplicates",
    "superseded",
    "encoding",
    "delimiter",
)
# A row that was published stays as it is: readers' rows, later merges and a rollback go by it.
_FIND_LOAD = """
    select load_id from {loads}
    where run_id = %(run_id)s and source_name = %(source_name)s and sha256 = %(sha256)s
        and code_version = %(code_version)s and (status in ('loading', 'refused', 'failed') or not %(is_new)s and (
            status = 'unchanged'
            or status = 'published' and generation = (select generation from {published})
        ))
    order by status = 'published' desc, load_id desc limit 1
"""
# A file that could not be read then may be readable now.
_ENTER_AGAIN = """
    update {loads} set ({names}) = ({values})
    where load_id = %(load_id)s and status in ('loading', 'refused', 'failed')
"""
_ENTER_LOAD = (
    "insert into {loads} ({names}, started_at, status) values ({values}, now(), 'loading') returning load_id"
)
# What readers see was made by these very files in this order, and by nothing else.
_IS_VISIBLE = """
    select p.generation from {published} as p where (
        select array_agg(l.sha256 || ' ' || l.code_version order by l.source_name collate "C")
        from {loads} as l where l.generation = p.generation and l.status = 'published'
        having count(distinct l.published_at) = 1
    ) = %s
"""
_FIND_MERGED = """
    select l.sha256, l.code_version from {loads} as l
    inner join {published} as p on l.generation = p.generation
    where l.status = 'published' and (l.sha256, l.code_version) in (select * from unnest(%s::text[], %s::text[]))
"""
_MARK_UNCHANGED = """
    update {loads} set
        status = 'unchanged', mode = %(mode)s, run_date = %(run_date)s,
        failure = null, remedy = null, ended_at = null
    where load_id = any(%(load_ids)s) and status <> 'published'
"""
# As if all of it had come again on the later day: a file from the days between comes too late.
_CONFIRM = """
    update {loads} set confirmed_for = greatest(run_date, confirmed_for, %s)
    where status = 'published' and generation = (select generation from {published})
"""
# Whoever holds the lease is the only one that loads, so these came to nothing.
_END_LEFT_BEHIND = """
    update {loads} set status = 'failed', ended_at = now(),
        failure = 'The run ended before it published anything, without a word; then another one began.'
    where run_id <> %s and status = 'loading'
"""
_MARK_LOADING = """
    update {loads} set
        status = 'loading', failure = null, remedy = null, ended_at = null,
        mode = %(mode)s, run_date = %(run_date)s, started_at = now(), visible_rows = null,
        inserted = null, updated = null, unchanged = null, outdated = null
    where load_id = any(%(load_ids)s)
"""


def register_batch(
    connection: psycopg.Connection, tables: Tables, reports: Sequence[CleanReport], delivery: Delivery
) -> Batch:
    """Enter a run's files into the ledger; a retry finds its own rows again.

    Args:
        connection: In autocommit mode, with the run's lease held.
        tables: Where the ledger lies.
        reports: The accounting of each file.
        delivery: What the run is.

    Returns:
        The batch; without a generation if readers see all of its content already. A `replace` that they see
        already confirms it for its day.

    Raises:
        RefusedError: Somebody was erased since the files were cleaned.
    """
    ordered = sorted(reports, key=lambda report: report.source)
    contents = list(map(_content_of, ordered))
    marks: dict[str, Any] = {"mode": delivery.mode, "run_date": delivery.run_date}
    with connection.transaction():
        require_known(connection, tables, (report.erased_known for report in reports))
        connection.execute(tables.fill(_END_LEFT_BEHIND), (delivery.run_id,))
        visible = connection.execute(tables.fill("select generation from {published}")).fetchone()
        merges = visible is not None and delivery.mode == "merge"
        if merges:
            seen = find_merged(connection, tables, contents)
        else:
            seen = set(contents if are_visible(connection, tables, contents) else ())
            if seen:
                connection.execute(tables.fill(_CONFIRM), (delivery.run_date,))
        left_out = tuple(content for content in contents if content in seen)
        loads = [
            Load(enter_load(connection, tables, report, delivery, is_new=_content_of(report) not in seen), report)
            for report in ordered
        ]
        new = [load for load in loads if _content_of(load.report) not in seen]
        old = [load.load_id for load in loads if _content_of(load.report) in seen]
        connection.execute(tables.fill(_MARK_UNCHANGED), marks | {"load_ids": old})
        close_replayed_again(connection, tables, [sha256 for sha256, _ in left_out])
        batch = Batch(delivery.run_id, None, False, tuple(new), delivery.mode, left_out, name_files(new))
        if not new:
            return batch
        connection.execute(tables.fill(_MARK_LOADING), marks | {"load_ids": batch.load_ids})
        if visible and merges:
            return replace(batch, generation=visible[0], merges=True)
        (generation,) = _one(
            connection.execute(tables.fill("select nextval({sequence})", sequence=_sequence(tables)))
        )
    return replace(batch, generation=generation)


def are_visible(connection: psycopg.Connection, tables: Tables, contents: Sequence[Content]) -> bool:
    """Return whether what readers see was made by these files, in order of their names, and by nothing else."""
    delivered = find_delivered(connection, tables, [sha256 for sha256, _ in contents])
    words = [f"{delivered[sha256]} {version}" for sha256, version in contents]
    return connection.execute(tables.fill(_IS_VISIBLE), (words,)).fetchone() is not None


def find_merged(connection: psycopg.Connection, tables: Tables, contents: Sequence[Content]) -> set[Content]:
    """Find out which files went into what readers see now, under the same code, rules and contract.

    Args:
        connection: Any.
        tables: Where the ledger lies.
        contents: Of the files.

    Returns:
        Those of `contents` that did.
    """
    delivered = find_delivered(connection, tables, [sha256 for sha256, _ in contents])
    sought = {(name, version) for sha256, version in contents for name in (sha256, delivered[sha256])}
    columns = ([sha256 for sha256, _ in sought], [version for _, version in sought])
    found = set(connection.execute(tables.fill(_FIND_MERGED), columns).fetchall())
    return {(sha256, version) for sha256, version in contents
            if not found.isdisjoint({(sha256, version), (delivered[sha256], version)})}  # fmt: skip


def _content_of(report: CleanReport) -> Content:
    return report.sha256, report.code_version


def enter_load(
    connection: psycopg.Connection, tables: Tables, report: CleanReport, delivery: Delivery, *, is_new: bool
) -> int:
    """Find or make a file's row in the ledger.

    Args:
        connection: In a transaction.
        tables: Where the ledger lies.
        report: The accounting of the file.
        delivery: What the run is.
        is_new: Whether readers don't see the file's content already.

    Returns:
        The load's id.
    """
    row: dict[str, Any] = {
        "run_id": delivery.run_id,
        "run_date": delivery.run_date,
        "mode": delivery.mode,
        "source_name": report.source,
        **{f"total_{name}": value for name, value in report.totals.items()},
        "rule_counts": json.dumps(report.rules),
        "reason_counts": json.dumps(report.reasons),
        "header": json.dumps(report.header),
        "code_version": report.code_version,
        "columns": json.dumps([name for name, _ in report.columns]),
        "drift": json.dumps(report.drift),
        "started_by": delivery.started_by,
        "params": json.dumps(delivery.params, default=str),
        "run_started_at": delivery.started_at,
    }
    row |= {name: getattr(report, name) for name in _COPIED_TO_LEDGER}
    row |= {f"contract_{name}": value for name, value in report.contract.items()}
    names = sql.SQL(", ").join(map(sql.Identifier, row))
    values = sql.SQL(", ").join(map(sql.Placeholder, row))
    # Not `on conflict`, which would use up a number at each retry.
    found = connection.execute(tables.fill(_FIND_LOAD), row | {"is_new": is_new}).fetchone()
    if found:
        statement = tables.fill(_ENTER_AGAIN, names=names, values=values)
        connection.execute(statement, row | {"load_id": found[0]})
    (load_id,) = found or _one(connection.execute(tables.fill(_ENTER_LOAD, names=names, values=values), row))
    return int(load_id)


def _sequence(tables: Tables) -> sql.Literal:
    return sql.Literal(f"{tables.schema}.generation_numbers")


def _one(cursor: psycopg.Cursor[Any]) -> tuple[Any, ...]:
    row = cursor.fetchone()
    if row is None:
        raise AssertionError("the statement gave no row")
    return tuple(row)
