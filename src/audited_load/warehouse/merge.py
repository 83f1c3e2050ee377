"""The incoming table → the generation that readers see: new and corrected rows, in one transaction.

Of two values for one key that of the later run date wins, then that of the later file name: the order of
arrival doesn't matter. The old values are kept for one rollback.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg import sql

from audited_load.errors import RefusedError
from audited_load.warehouse.load import Load
from audited_load.warehouse.tables import CONFIRMED_BY, PROVENANCE, Tables

log = logging.getLogger(__name__)

MAKE_VISIBLE = (
    "update {loads} set status = 'published', generation = {number}, published_at = now(),"
    " previous_load = (select load_id from {published}) where load_id = {load_id}",
    "insert into {published} (generation, load_id) values ({number}, {load_id})"
    " on conflict (only_row) do update"
    " set generation = excluded.generation, load_id = excluded.load_id, can_roll_back = true",
)
"""The last statements of a transaction that publishes."""

# Each takes a few rows of very many: never by reading all of them.
_BY_INDEX = (
    "set local enable_hashjoin = off",
    "set local enable_mergejoin = off",
    "set local lock_timeout = '10s'",
)
_FIND_NEWER = """
    select coalesce(array_agg(l.load_id), '{{}}') from {loads} as l
    inner join {loads} as own on own.load_id = {load_id}
    where l.generation = {number} and l.status = 'published'
        and (l.run_date, l.source_name) > (own.run_date, own.source_name)
"""
_KEEP_OUTDATED = """
    insert into {rejected} (load_id, source_record, reasons, raw_record)
    select {load_id}, i.source_record,
        format('record:outdated: load %s is for a later day and has another value', t.load_id),
        (select row_to_json(r)::text from (select {incoming_columns}) as r)
    from {incoming} as i
    inner join {partition} as t on t.generation = {number} and t.{key} = i.{key}
    where t.confirmed_by = any({newer}) and ({incoming_columns}) is distinct from ({columns})
"""
_KEEP_REPLACED = """
    insert into {replaced}
    select t.* from {incoming} as i
    inner join {partition} as t on t.generation = {number} and t.{key} = i.{key}
    where t.confirmed_by <> all({newer})
"""
_COUNT_UPDATED = """
    select count(*) from {incoming} as i inner join {replaced} as t on t.{key} = i.{key}
    where ({incoming_columns}) is distinct from ({columns})
"""
_UPSERT = """
    with applied as (
        insert into {partition} as t ({names}, {provenance}, generation)
        select {names}, {provenance}, generation from {incoming}
        on conflict (generation, {key}) do update set
            {assignments},
            (loaded_at, load_id, source_record) = (
                select excluded.loaded_at, excluded.load_id, excluded.source_record
                where ({excluded_columns}) is distinct from ({columns})
                union all
                select t.loaded_at, t.load_id, t.source_record
                where ({excluded_columns}) is not distinct from ({columns})
            ),
            confirmed_by = excluded.confirmed_by
        where t.confirmed_by <> all({newer})
        returning {names}
    )
    select count(*), {sums} from applied
"""
_ENTER_COUNTS = """
    update {loads} as own set
        inserted = {inserted}, updated = {updated}, outdated = {outdated},
        unchanged = own.accepted - {inserted} - {updated} - {outdated},
        visible_rows = before.visible_rows + {inserted},
        {visible_totals}
    from {loads} as before
    where own.load_id = {load_id} and before.load_id = (select load_id from {published})
"""


@dataclass(frozen=True)
class Visible:
    """What readers see.

    Attributes:
        load_id: The load that was published last.
        generation: Its generation.
        rows: Rows of the generation.
        source: Name of the load's file.
        run_date: The day that the load was for.
    """

    load_id: int
    generation: int
    rows: int
    source: str
    run_date: datetime


def find_visible(connection: psycopg.Connection, tables: Tables, *, lock: bool = False) -> Visible | None:
    """Find out what readers see, if anything; with `lock` it stays so until the transaction ends."""
    statement = (
        "select p.load_id, p.generation, l.visible_rows, l.source_name, l.run_date"
        " from {published} as p inner join {loads} as l on p.load_id = l.load_id"
    )
    row = connection.execute(tables.fill(statement + (" for update of p" if lock else ""))).fetchone()
    return Visible(*row) if row else None


def merge_incoming(connection: psycopg.Connection, tables: Tables, load: Load) -> int:
    """Bring the incoming rows into the generation that readers see, and count what they changed.

    Args:
        connection: In autocommit mode.
        tables: Their names.
        load: The load; its incoming table was audited.

    Returns:
        Rows that readers see then.

    Raises:
        RefusedError: Readers see another generation now than when the load was registered.
    """
    with connection.transaction():
        for statement in _BY_INDEX:
            connection.execute(statement)
        visible = find_visible(connection, tables, lock=True)
        if visible is None or visible.generation != load.generation:
            raise RefusedError(
                f"Load {load.load_id} was to be merged into generation {load.generation},"
                " which readers no longer see.",
                "Clear the run from `create_cleaned_table` on.",
            )
        parts = _parts(tables, load)
        (newer,) = connection.execute(tables.fill(_FIND_NEWER, **parts)).fetchone() or ([],)
        parts["newer"] = sql.Literal(newer) + sql.SQL("::bigint[]")
        outdated = connection.execute(tables.fill(_KEEP_OUTDATED, **parts)).rowcount if newer else 0
        connection.execute(tables.fill("delete from {replaced}"))
        replaced = connection.execute(tables.fill(_KEEP_REPLACED, **parts)).rowcount
        (updated,) = connection.execute(tables.fill(_COUNT_UPDATED, **parts)).fetchone() or (0,)
        applied, *new = connection.execute(tables.fill(_UPSERT, sums=tables.sums(), **parts)).fetchone() or (0,)
        old = connection.execute(tables.fill("select {sums} from {replaced}", sums=tables.sums())).fetchone() or ()
        parts["visible_totals"] = sql.SQL(", ").join(
            sql.SQL("{name} = before.{name} + {new} - {old}").format(
                name=sql.Identifier(f"visible_{total.name}"), new=sql.Literal(plus), old=sql.Literal(minus)
            )
            for total, plus, minus in zip(tables.feed.totals, new, old, strict=True)
        )
        inserted = applied - replaced
        counts = {"inserted": inserted, "updated": updated, "outdated": outdated}
        parts |= {name: sql.Literal(count) for name, count in counts.items()}
        for statement in (_ENTER_COUNTS, *MAKE_VISIBLE):
            connection.execute(tables.fill(statement, **parts))
    log.info("Merged: %s inserted, %s updated, %s outdated", inserted, updated, outdated)
    return visible.rows + int(inserted)


def _parts(tables: Tables, load: Load) -> dict[str, sql.Composable]:
    """Compose what the statements have in common."""
    names = [sql.Identifier(name) for name in tables.feed.names]

    def of(table: str) -> sql.Composed:
        return sql.SQL(", ").join(sql.SQL("{}.{}").format(sql.SQL(table), name) for name in names)

    return {
        "load_id": sql.Literal(load.load_id),
        "number": sql.Literal(load.generation),
        "partition": sql.Identifier(tables.schema, f"{tables.feed.name}_g{load.generation}"),
        "names": sql.SQL(", ").join(names),
        "provenance": sql.SQL(", ").join(map(sql.Identifier, (*PROVENANCE, CONFIRMED_BY))),
        "columns": of("t"),
        "incoming_columns": of("i"),
        "excluded_columns": of("excluded"),
        "assignments": sql.SQL(", ").join(sql.SQL("{name} = excluded.{name}").format(name=name) for name in names),
    }
