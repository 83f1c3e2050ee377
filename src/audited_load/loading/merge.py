"""The incoming table → the generation that readers see: new and corrected rows, in one transaction.

Of two values for one key that of the later run date wins, then that of the later file name; and what a later
`replace` did not hold does not come back. So the order of arrival doesn't matter (docs/adr/0007-merge-by-day.md).
What the rows were and became is kept: for one rollback, and for the marts.
"""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import psycopg
from psycopg import sql

from audited_load.clean_report import add_exact
from audited_load.errors import RefusedError
from audited_load.loading.batch import Batch
from audited_load.loading.replays import close_replayed
from audited_load.warehouse.lease import require_lease
from audited_load.warehouse.tables import CONFIRMED_BY, PROVENANCE, Tables

log = logging.getLogger(__name__)

MAKE_VISIBLE = (
    "update {loads} set status = 'published', generation = {number}, published_at = now(),"
    " failure = null, remedy = null, ended_at = null,"
    " previous_load = (select load_id from {published}) where load_id = any({load_ids})",
    "insert into {published} as p (generation, load_id) values ({number}, {last_load})"
    " on conflict (only_row) do update set generation = excluded.generation, load_id = excluded.load_id,"
    " can_roll_back = true, changes_since = {changes_since}",
)
"""The last statements of a transaction that publishes."""

# Each takes a few rows of very many: never by reading all of them.
_PREPARE = (
    "set local enable_hashjoin = off",
    "set local enable_mergejoin = off",
    "set local lock_timeout = '10s'",
    """
    create temporary table places on commit drop as
    select
        load_id, mode = 'replace' or confirmed_for is not null as is_whole,
        rank() over (order by greatest(run_date, confirmed_for), source_name collate "C") as place
    from {loads}
    where (generation = {number} and status = 'published') or load_id = any({load_ids})
    """,
    "alter table places add primary key (load_id)",
    "delete from {changes}",
)
_IS_IN_TIME = """
    coalesce((select place from places where load_id = t.confirmed_by), 0)
    <= (select place from places where load_id = {arriving}.confirmed_by)
"""
_HAS_NEWER = """
    select 1 from places where place > (select min(place) from places where load_id = any({load_ids})) limit 1
"""
# A later file that was the whole truth did not hold them.
_KEEP_SWEPT = """
    with whole as (select load_id, place from places where is_whole order by place desc limit 1),
    swept as (
        delete from {incoming} as i using whole, places
        where places.load_id = i.confirmed_by and places.place < whole.place
            and not exists (select 1 from {partition} as t where t.generation = {number} and t.{key} = i.{key})
        returning i.*, whole.load_id as later_load
    )
    insert into {rejects} (load_id, source_record, reasons, raw_record)
    select i.load_id, i.source_record,
        format('record:outdated: load %s is for a later day and does not hold it', i.later_load),
        (select row_to_json(r)::text from (select {incoming_columns}) as r)
    from swept as i
    returning load_id
"""
_KEEP_OUTDATED = """
    insert into {rejects} (load_id, source_record, reasons, raw_record)
    select i.load_id, i.source_record,
        format('record:outdated: load %s is for a later day and has another value', t.load_id),
        (select row_to_json(r)::text from (select {incoming_columns}) as r)
    from {incoming} as i
    inner join {partition} as t on t.generation = {number} and t.{key} = i.{key}
    where not ({incoming_is_in_time}) and ({incoming_columns}) is distinct from ({columns})
    returning load_id
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
        where {excluded_is_in_time}
        returning old as before, new as after
    ),
    kept as (
        insert into {changes} (sign, {names}, {provenance}, generation)
        select -1, {before_columns}, {before_provenance}, (before).generation from applied
        where (before).generation is not null
        union all
        select 1, {after_columns}, {after_provenance}, (after).generation from applied
    )
    select
        (after).confirmed_by, count(*) filter (where (before).generation is null),
        count(*) filter (
            where (before).generation is not null and ({before_columns}) is distinct from ({after_columns})
        ),
        {sums_after}, {sums_before}
    from applied group by 1
"""
# The audit has entered what gave way within the batch; here comes what readers' rows made of the rest.
_ENTER_COUNTS = """
    update {loads} set
        inserted = {inserted}, updated = {updated}, outdated = outdated + {outdated},
        unchanged = accepted - {inserted} - {updated} - outdated - {outdated}
    where load_id = {load_id}
"""
_ENTER_VISIBLE = """
    update {loads} as own set visible_rows = before.visible_rows + {inserted}, {visible_totals}
    from {loads} as before
    where own.load_id = any({load_ids}) and before.load_id = (select load_id from {published})
"""


@dataclass(frozen=True)
class Visible:
    """What readers see.

    Attributes:
        load_id: The load that was published last.
        generation: Its generation.
        rows: Rows of the generation.
        source: Name of the load's file.
        run_date: The latest day that a load of the generation was for.
    """

    load_id: int
    generation: int
    rows: int
    source: str
    run_date: datetime


def find_visible(connection: psycopg.Connection, tables: Tables, *, lock: bool = False) -> Visible | None:
    """Find out what readers see, if anything; with `lock` it stays so until the transaction ends."""
    statement = (
        "select p.load_id, p.generation, l.visible_rows, l.source_name, ("
        "select max(greatest(g.run_date, g.confirmed_for)) from {loads} as g"
        " where g.generation = p.generation and g.status = 'published')"
        " from {published} as p inner join {loads} as l on p.load_id = l.load_id"
    )
    row = connection.execute(tables.fill(statement + (" for update of p" if lock else ""))).fetchone()
    return Visible(*row) if row else None


def merge_incoming(connection: psycopg.Connection, tables: Tables, batch: Batch, *, force: bool) -> int:
    """Bring the incoming rows into the generation that readers see, and count what they changed.

    Args:
        connection: In autocommit mode.
        tables: Their names.
        batch: The batch; its incoming table was audited.
        force: Add also what a later `replace` did not hold.

    Returns:
        Rows that readers see then.

    Raises:
        RefusedError: Readers see another generation now than when the batch was registered.
        UnavailableError: The run has lost its lease.
    """
    with connection.transaction():
        require_lease(connection, tables, batch.run_id)
        visible = find_visible(connection, tables, lock=True)
        if visible is None or visible.generation != batch.generation:
            raise RefusedError(
                f"Run {batch.run_id} was to be merged into generation {batch.generation},"
                " which readers no longer see.",
                "Clear the run from `create_cleaned_table` on.",
            )
        inserted = _merge(connection, tables, batch, force=force)
    return visible.rows + inserted


def _merge(connection: psycopg.Connection, tables: Tables, batch: Batch, *, force: bool) -> int:
    """Merge, within a transaction; give the number of new rows."""
    parts = _parts(tables, batch)
    for statement in _PREPARE:
        connection.execute(tables.fill(statement, **parts))
    outdated = Counter[int]()
    # Usually all of them are the newest, and then nothing needs to be looked up for this.
    if connection.execute(tables.fill(_HAS_NEWER, **parts)).fetchone():
        for statement in (_KEEP_OUTDATED,) if force else (_KEEP_SWEPT, _KEEP_OUTDATED):
            outdated.update(row[0] for row in connection.execute(tables.fill(statement, **parts)))
    inserted, updated = Counter[int](), Counter[int]()
    names = [total.name for total in tables.feed.totals]
    gained = dict.fromkeys(names, Decimal(0))
    for load_id, new, changed, *sums in connection.execute(tables.fill(_UPSERT, **parts)):
        inserted[load_id], updated[load_id] = new, changed
        add_exact(gained, dict(zip(names, sums[: len(names)], strict=True)))
        add_exact(gained, dict(zip(names, sums[len(names) :], strict=True)), sign=-1)
    for load_id in batch.load_ids:
        values = {
            "load_id": load_id,
            "inserted": inserted[load_id],
            "updated": updated[load_id],
            "outdated": outdated[load_id],
        }
        connection.execute(tables.fill(_ENTER_COUNTS, **{name: sql.Literal(n) for name, n in values.items()}))
    parts["inserted"] = sql.Literal(inserted.total())
    parts["visible_totals"] = sql.SQL(", ").join(
        sql.SQL("{name} = before.{name} + {gained}").format(
            name=sql.Identifier(f"visible_{name}"), gained=sql.Literal(value)
        )
        for name, value in gained.items()
    )
    for statement in (_ENTER_VISIBLE, *MAKE_VISIBLE):
        connection.execute(tables.fill(statement, **parts))
    close_replayed(connection, tables, batch.load_ids)
    level = logging.WARNING if outdated else logging.INFO
    counts = (inserted.total(), updated.total(), outdated.total())
    log.log(level, "Merged: %s inserted, %s updated, %s outdated, which went to quarantine", *counts)
    return inserted.total()


def _parts(tables: Tables, batch: Batch) -> dict[str, sql.Composable]:
    """Compose what the statements have in common."""
    names, provenance = [sql.Identifier(name) for name in tables.names], (*PROVENANCE, CONFIRMED_BY)
    return {
        **visible_parts(batch),
        "partition": sql.Identifier(tables.schema, f"{tables.feed.name}_g{batch.generation}"),
        "names": sql.SQL(", ").join(names),
        "provenance": sql.SQL(", ").join(map(sql.Identifier, provenance)),
        **{
            f"{image}_provenance": sql.SQL(", ").join(
                sql.SQL("({}).{}").format(sql.Identifier(image), sql.Identifier(name)) for name in provenance
            )
            for image in ("before", "after")
        },
        "before_columns": tables.columns("before"),
        "after_columns": tables.columns("after"),
        "sums_before": tables.sums("before"),
        "sums_after": tables.sums("after"),
        "columns": tables.columns("t"),
        "incoming_columns": tables.columns("i"),
        "excluded_columns": tables.columns("excluded"),
        "incoming_is_in_time": sql.SQL(_IS_IN_TIME).format(arriving=sql.Identifier("i")),
        "excluded_is_in_time": sql.SQL(_IS_IN_TIME).format(arriving=sql.Identifier("excluded")),
        "assignments": sql.SQL(", ").join(sql.SQL("{name} = excluded.{name}").format(name=name) for name in names),
    }


def visible_parts(batch: Batch) -> dict[str, sql.Composable]:
    """Compose what `MAKE_VISIBLE` needs."""
    return {
        "number": sql.Literal(batch.generation),
        "load_ids": sql.Literal(batch.load_ids),
        "last_load": sql.Literal(batch.load_ids[-1]),
        "changes_since": sql.SQL("p.load_id" if batch.merges else "null"),
    }
