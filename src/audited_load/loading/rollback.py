"""The load before the last one → what readers see again. Audited before, and entered into the ledger."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from audited_load.command import command
from audited_load.errors import BadDataError, RefusedError
from audited_load.warehouse.create import with_further
from audited_load.warehouse.tables import CONFIRMED_BY, PROVENANCE, Tables

_FIND = """
    select
        p.generation, p.can_roll_back,
        before.load_id, before.generation, before.visible_rows, {totals}
    from {published} as p
    inner join {loads} as l on p.load_id = l.load_id
    left join {loads} as before on l.previous_load = before.load_id and before.status = 'published'
    for update of p
"""
# The files of a run are published, and taken back, together.
_FIND_BATCH = """
    select array_agg(load_id) from {loads}
    where status = 'published' and generation = {number}
        and published_at = (select published_at from {published_load})
"""
_IS_ATTACHED = "select 1 from pg_inherits where inhrelid = to_regclass(%s) and not inhdetachpending"
_UNDO_MERGE = (
    "delete from {partition} as t using {changes} as c where c.sign = 1"
    " and t.generation = {number} and t.{key} = c.{key}",
    "insert into {partition} ({names}) select {names} from {changes} where sign = -1",
    "delete from {changes}",
)
_UNDO = (
    "update {loads} set status = 'rolled_back' where load_id = any({load_ids})",
    "update {published} set generation = {number}, load_id = {previous}, can_roll_back = false,"
    " changes_since = null",
)


# A rollback that was killed after its first step: what readers see is what it led to.
_FIND_DONE = """
    select
        (
            select array_agg(taken.load_id order by taken.load_id) from {loads} as taken
            where taken.status = 'rolled_back' and taken.published_at = (
                select max(published_at) from {loads} where status = 'rolled_back' and previous_load = p.load_id
            )
        ),
        p.load_id, l.visible_rows
    from {published} as p inner join {loads} as l on p.load_id = l.load_id
    where not p.can_roll_back
"""


@dataclass(frozen=True)
class RolledBack:
    """What a rollback did.

    Attributes:
        load_ids: The loads that were taken back.
        visible_load_id: The load that readers see now.
        rows: Rows that readers see now.
    """

    load_ids: list[int]
    visible_load_id: int
    rows: int


def roll_back(connection: psycopg.Connection, tables: Tables) -> RolledBack:
    """Let readers see the load before the last one again, in one transaction.

    Args:
        connection: In autocommit mode, with the lease held.
        tables: Their names.

    Returns:
        What was done.

    Raises:
        RefusedError: Nothing is published, or the load before is no longer kept.
        BadDataError: What is kept differs from the ledger; readers see what they saw before.
    """
    tables = with_further(connection, tables)
    names = (*tables.names, *PROVENANCE, CONFIRMED_BY, "generation")
    totals = [sql.SQL("before.{}").format(sql.Identifier(f"visible_{total.name}")) for total in tables.feed.totals]
    with connection.transaction():
        connection.execute("set local lock_timeout = '10s'")
        found = connection.execute(tables.fill(_FIND, totals=sql.SQL(", ").join(totals))).fetchone()
        generation, can_roll_back, previous, number, *expected = found or (None,) * 5
        name = f"{tables.feed.name}_g{number}"
        if not can_roll_back or previous is None or not _is_kept(connection, tables, name):
            raise RefusedError(
                "There is no load to go back to: only the one before the last is kept, for one rollback.",
                f"Load the file that you want with {command('run FILE')}.",
            )
        batch = tables.fill(_FIND_BATCH, number=sql.Literal(generation))
        (load_ids,) = connection.execute(batch).fetchone() or ([],)
        parts: dict[str, sql.Composable] = {
            "load_ids": sql.Literal(load_ids),
            "previous": sql.Literal(previous),
            "number": sql.Literal(number),
            "names": sql.SQL(", ").join(map(sql.Identifier, names)),
            "partition": sql.Identifier(tables.schema, name),
        }
        if number == generation:
            for statement in _UNDO_MERGE:
                connection.execute(tables.fill(statement, **parts))
        _audit(connection, tables, parts, expected)
        for statement in _UNDO:
            connection.execute(tables.fill(statement, **parts))
    return RolledBack(sorted(load_ids), previous, expected[0])


def find_rolled_back(connection: psycopg.Connection, tables: Tables) -> RolledBack | None:
    """Return whether the last thing that readers saw happen was a rollback, whose marts may yet be to follow.

    Args:
        connection: In autocommit mode.
        tables: Their names.

    Returns:
        What it did; None if there was none, or a load came after it.
    """
    row = connection.execute(tables.fill(_FIND_DONE)).fetchone()
    return RolledBack(row[0], row[1], row[2]) if row and row[0] else None


def _is_kept(connection: psycopg.Connection, tables: Tables, name: str) -> bool:
    return connection.execute(_IS_ATTACHED, (f'"{tables.schema}"."{name}"',)).fetchone() is not None


def _audit(
    connection: psycopg.Connection, tables: Tables, parts: dict[str, sql.Composable], expected: list[Any]
) -> None:
    statement = tables.fill("select count(*), {sums} from {partition}", sums=tables.sums(), **parts)
    row = connection.execute(statement).fetchone() or ()
    if list(row) != expected:
        raise BadDataError(
            f"What is kept of the load before holds {row[0]} rows, the ledger says {expected[0]}, or a total"
            " differs.",
            f"Nothing was changed. Load the file again with {command('run FILE')}.",
        )
