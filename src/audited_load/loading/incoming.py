"""The incoming table of a batch: made empty, filled piece by piece, audited, left with one row per key.

Readers don't see it. Each function can be killed anywhere and called again.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import psycopg
from psycopg import sql

from audited_load.clean_report import add_exact
from audited_load.errors import RefusedError
from audited_load.loading.batch import Batch
from audited_load.loading.pieces import forget_pieces, refuse_untied, require_pieces
from audited_load.warehouse.connection import exclusive
from audited_load.warehouse.lease import require_lease
from audited_load.warehouse.tables import Tables

log = logging.getLogger(__name__)

_EMPTY_INCOMING = (
    "drop table if exists {incoming}",
    # Room on each page, so that a merge's corrections need no new entries in the index.
    "create table {incoming} (like {generations} including defaults) with (fillfactor = 95)",
    "alter table {incoming} alter loaded_at set default now()",
    "alter table {incoming} alter generation set default {number}",
    # The check makes attaching the partition instant.
    "alter table {incoming} add check (generation = {number})",
    "comment on table {incoming} is {stamp}",
)
# It costs nothing in the rows. Those of several loads say whose they are.
_OF_ONE_LOAD = "alter table {incoming} alter load_id set default {load}, alter confirmed_by set default {load}"
# Few keys are in several files, so only those are compared.
_FIND_EARLIER = """
    create temporary table earlier on commit drop as
    with repeated as (
        select {key} from {incoming} group by {key} having count(*) > 1
    ),
    ordered as (
        select i.*, row_number() over (partition by i.{key} order by p.place desc) as nth
        from {incoming} as i
        inner join repeated using ({key})
        inner join unnest({load_ids}) with ordinality as p (load_id, place) on i.load_id = p.load_id
    )
    select e.*, l.load_id as later_load, ({earlier_columns}) is not distinct from ({later_columns}) as is_same
    from ordered as e
    inner join ordered as l on l.{key} = e.{key} and l.nth = 1
    where e.nth > 1
"""
_KEEP_EARLIER = """
    insert into {rejects} (load_id, source_record, reasons, raw_record)
    select e.load_id, e.source_record,
        format('record:outdated: load %s is of a later file and has another value', e.later_load),
        (select row_to_json(r)::text from (select {earlier_columns}) as r)
    from earlier as e where not e.is_same
"""
_DROP_EARLIER = """
    delete from {incoming} as i using earlier as e
    where i.{key} = e.{key} and i.load_id = e.load_id and i.source_record = e.source_record
"""
_COUNT_EARLIER = """
    select load_id, count(*) filter (where is_same), count(*) filter (where not is_same), {sums}
    from earlier group by load_id
"""
_ENTER_COUNTS = """
    update {loads} set
        unchanged = {same}, outdated = {other}, inserted = accepted - {same} - {other}, updated = 0
    where load_id = {load_id}
"""
_ENTER_WHOLE = "update {loads} set visible_rows = {rows}, {visible_totals} where load_id = any({load_ids})"


def empty_incoming(connection: psycopg.Connection, tables: Tables, batch: Batch) -> None:
    """Make the incoming table, empty, for this batch. What readers see is another table.

    It waits for copies that are under way: what they wrote goes with the table that was.

    Raises:
        UnavailableError: The run has lost its lease.
    """
    parts = {"number": sql.Literal(batch.generation), "stamp": sql.Literal(_stamp_of(batch))}
    with exclusive(connection, tables), connection.transaction():
        for statement in _EMPTY_INCOMING:
            connection.execute(tables.fill(statement, **parts))
        if batch.only_load is not None:
            connection.execute(tables.fill(_OF_ONE_LOAD, load=sql.Literal(batch.only_load)))
        forget_pieces(connection, tables, batch.load_ids)
        require_lease(connection, tables, batch.run_id)


def holds_batch(connection: psycopg.Connection, tables: Tables, batch: Batch, suffix: str = "_incoming") -> bool:
    """Return whether a table of the feed, by its suffix, was made for this batch."""
    statement = "select obj_description(to_regclass(%s), 'pg_class')"
    return connection.execute(statement, (tables.relation(suffix),)).fetchone() == (_stamp_of(batch),)


def require_incoming(connection: psycopg.Connection, tables: Tables, batch: Batch) -> None:
    """Check that the incoming table was made for this batch.

    Raises:
        RefusedError: It was not; another run may have taken over.
    """
    if not holds_batch(connection, tables, batch):
        raise RefusedError(
            f"The incoming table is not the one that run {batch.run_id} made ({_stamp_of(batch)}).",
            "Clear the run from `create_cleaned_table` on.",
        )


def audit_incoming(connection: psycopg.Connection, tables: Tables, batch: Batch, suffix: str = "_incoming") -> int:
    """Compare the incoming table with the accounting of each file, to the row and to the last decimal.

    Then the earlier of two files gives way where both have a key, and the table gets its primary key; all in
    one transaction. Called again after that, it compares the table with what the ledger says of it.

    Args:
        connection: In autocommit mode.
        tables: Their names.
        batch: The batch; the table was made for it.
        suffix: Of the table, which has another name when it is attached already.

    Returns:
        Rows in the table.

    Raises:
        BadDataError: Table and accounting differ, or a file has a key twice.
        RefusedError: Pieces of a file are missing.
    """
    has_key = "select 1 from pg_constraint where conrelid = %s::regclass and contype = 'p'"
    if connection.execute(has_key, (tables.relation(suffix),)).fetchone():
        return _audit_again(connection, tables, batch, suffix)
    with connection.transaction():
        require_pieces(connection, tables, batch)
        rows, totals = _audit_files(connection, tables, batch)
        rows -= _give_way(connection, tables, batch, totals)
        name = f"{tables.feed.name}_g{batch.generation}_l{batch.load_ids[-1]}_key"
        statement = "alter table {incoming} add constraint {name} primary key ({key}, generation)"
        connection.execute(tables.fill(statement, name=sql.Identifier(name)))
        _enter_whole(connection, tables, batch, rows, totals)
    return rows


def _audit_files(connection: psycopg.Connection, tables: Tables, batch: Batch) -> tuple[int, dict[str, Decimal]]:
    """Audit each file's rows; give the sums of all."""
    statement = "select load_id, count(*), {sums} from {incoming} group by load_id"
    found = {row[0]: row[1:] for row in connection.execute(tables.fill(statement, sums=tables.sums()))}
    nothing = (0, *[Decimal(0)] * len(tables.feed.totals))
    rows, totals = 0, {total.name: Decimal(0) for total in tables.feed.totals}
    for load in batch.loads:
        report, counted = load.report, found.pop(load.load_id, nothing)
        wanted = {total.name: Decimal(report.totals[total.name]) for total in tables.feed.totals}
        _compare(f"{report.source} (load {load.load_id})", counted, (report.accepted, *wanted.values()), tables)
        rows += report.accepted
        add_exact(totals, wanted)
    if found:
        refuse_untied(f"{sum(row[0] for row in found.values())} rows of other loads")
    return rows, totals


def _audit_again(connection: psycopg.Connection, tables: Tables, batch: Batch, suffix: str) -> int:
    last = sql.Literal(batch.load_ids[-1])
    names = sql.SQL(", ").join(sql.Identifier(f"visible_{total.name}") for total in tables.feed.totals)
    in_ledger = "select visible_rows, {names} from {loads} where load_id = {last}"
    expected = connection.execute(tables.fill(in_ledger, names=names, last=last)).fetchone() or ()
    in_table = tables.fill("select count(*), {sums} from {table}", sums=tables.sums(), table=tables.named(suffix))
    found = connection.execute(in_table).fetchone() or ()
    _compare(f"Run {batch.run_id}", found, expected, tables)
    return int(found[0])


def _compare(what: str, found: Sequence[Any], expected: Sequence[Any], tables: Tables) -> None:
    names = ["rows", *(total.name for total in tables.feed.totals)]
    wrong = [
        f"{name}: {counted} in the table, {wanted} in the file"
        for name, counted, wanted in zip(names, found, expected, strict=True)
        if counted != wanted
    ]
    if wrong:
        refuse_untied(f"{what}: {'; '.join(wrong)}")


def _give_way(connection: psycopg.Connection, tables: Tables, batch: Batch, totals: dict[str, Decimal]) -> int:
    """Drop rows for which a later file of the batch has the same key; give their number, and correct the totals.

    The same content is unchanged by the later file; another content goes to the quarantine.
    """
    counts: dict[int, tuple[int, int]] = {}
    if len(batch.loads) > 1:
        parts: dict[str, sql.Composable] = {
            "load_ids": sql.Literal(batch.load_ids),
            "earlier_columns": tables.columns("e"),
            "later_columns": tables.columns("l"),
        }
        for statement in (_FIND_EARLIER, _KEEP_EARLIER, _DROP_EARLIER):
            connection.execute(tables.fill(statement, **parts))
        for load_id, same, other, *sums in connection.execute(tables.fill(_COUNT_EARLIER, sums=tables.sums())):
            counts[load_id] = (same, other)
            gone = {total.name: value for total, value in zip(tables.feed.totals, sums, strict=True)}
            add_exact(totals, gone, sign=-1)
    for load_id in batch.load_ids:
        same, other = counts.get(load_id, (0, 0))
        values = {"load_id": load_id, "same": same, "other": other}
        connection.execute(tables.fill(_ENTER_COUNTS, **{name: sql.Literal(n) for name, n in values.items()}))
    if counts:
        log.info("Rows that later files of the run have, too: %s the same, %s with another value",
                 *map(sum, zip(*counts.values(), strict=True)))  # fmt: skip
    return sum(map(sum, counts.values()))


def _enter_whole(
    connection: psycopg.Connection, tables: Tables, batch: Batch, rows: int, totals: dict[str, Decimal]
) -> None:
    """Enter what the whole table holds, which is what readers will see of a `replace`."""
    parts = {"rows": sql.Literal(rows), "load_ids": sql.Literal(batch.load_ids)}
    connection.execute(tables.fill(_ENTER_WHOLE, visible_totals=assign_visible(totals), **parts))


def assign_visible(totals: dict[str, Decimal]) -> sql.Composed:
    """Compose the assignments of the ledger's visible totals."""
    return sql.SQL(", ").join(
        sql.SQL("{} = {}").format(sql.Identifier(f"visible_{name}"), sql.Literal(value))
        for name, value in totals.items()
    )


def _stamp_of(batch: Batch) -> str:
    """Name the batch that an incoming table was made for."""
    loads = ", ".join(map(str, batch.load_ids))
    return f"generation {batch.generation}, loads {loads}, files {batch.files or 'without a name'}"
