"""The incoming table → what readers see: audit it, then move the pointer. Or leave everything as it was."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

import psycopg
from psycopg import sql

from audited_load.errors import RefusedError
from audited_load.loading.batch import Batch
from audited_load.loading.incoming import audit_incoming, holds_batch, require_incoming
from audited_load.loading.ledger import are_visible, find_merged
from audited_load.loading.merge import MAKE_VISIBLE, Visible, find_visible, merge_incoming, visible_parts
from audited_load.loading.replays import close_replayed
from audited_load.warehouse.connection import exclusive, wait_for_planned
from audited_load.warehouse.create import with_further
from audited_load.warehouse.lease import require_lease
from audited_load.warehouse.retirement import IN_USE, bounded, drop_partition, oldest_transaction
from audited_load.warehouse.tables import Tables

log = logging.getLogger(__name__)

KEPT_GENERATIONS = 2
"""The visible one, and the one before it for a rollback."""

DROP_SECONDS = 5
"""How long a load tries to drop a generation that is still being read, before it leaves it to a later load."""

GUARD_FROM_ROWS = 10_000
"""From this many visible rows on, another source's much smaller file is suspicious too."""

# The comment stays, and says whose partition it is until that is visible.
_ATTACH = (
    "alter table {incoming} rename to {name}",
    "alter table {generations} attach partition {partition} for values in ({number})",
)

# The newest for a rollback; and what a transaction may have begun with: a generation was out of sight for certain
# when the second load after it began to be published.
_KEPT = """
    (
        select generation from {loads} where status = 'published'
        group by generation
        order by generation = (select generation from {published}) desc, max(published_at) desc
        limit {kept}
    )
    union
    select g.generation from (
        select generation, max(published_at) as last from {loads} where published_at is not null group by generation
    ) as g
    where coalesce((
        select distinct l.published_at from {loads} as l where l.published_at > g.last
        order by l.published_at offset 1 limit 1
    ), 'infinity') > {oldest}::timestamptz
"""
# One partition at a time can be on its way out, so a pending one comes first.
_GENERATIONS = """
    select c.relname from pg_class as c
    left join pg_inherits as i on c.oid = i.inhrelid
    where c.relnamespace = %s::regnamespace and c.relkind = 'r' and c.relname ~ %s
    order by coalesce(i.inhdetachpending, false) desc, c.oid
"""


@dataclass(frozen=True)
class Published:
    """What a load came to.

    Attributes:
        load_id: The load that was published last.
        generation: What readers see now.
        rows: Rows that readers see.
        changed: False if readers saw this content already.
    """

    load_id: int
    generation: int
    rows: int
    changed: bool


def audit_and_publish(
    connection: psycopg.Connection,
    tables: Tables,
    batch: Batch,
    *,
    min_row_ratio: float,
    force: bool,
) -> Published:
    """Check the incoming table against the accounting of its files, then let readers see it.

    Args:
        connection: In autocommit mode.
        tables: Their names.
        batch: The files of the run.
        min_row_ratio: Smallest share of the visible rows that a new load may have.
        force: Publish even if a guard objects; merge also what a later `replace` did not hold.

    Returns:
        What readers see now.

    Raises:
        BadDataError: The table and the accounting differ, or a key is there twice.
        RefusedError: A guard objects, readers see another generation than the one to merge into, or the
            incoming table is another load's.
        UnavailableError: The run has lost its lease.
    """
    tables = with_further(connection, tables)
    with exclusive(connection, tables):
        published = _audit_and_publish(connection, tables, batch, min_row_ratio, force=force)
    if published.changed:
        drop_old_generations(connection, tables)
    return published


def _audit_and_publish(
    connection: psycopg.Connection, tables: Tables, batch: Batch, min_row_ratio: float, *, force: bool
) -> Published:
    visible = find_visible(connection, tables)
    _require_unchanged(connection, tables, batch)
    if visible and (
        batch.generation is None or (visible.load_id, visible.generation) == (batch.load_ids[-1], batch.generation)
    ):
        log.info("Run %s is visible already: nothing to publish", batch.run_id)
        return Published(visible.load_id, visible.generation, visible.rows, changed=False)
    if batch.generation is None:
        raise AssertionError("a batch without a generation is visible, or refused")
    if visible and batch.mode == "merge" and not batch.merges:
        raise _overtaken(f"Run {batch.run_id} was to be the first of all, but readers see another by now.")
    is_attached = not batch.merges and holds_batch(connection, tables, batch, f"_g{batch.generation}")
    if not is_attached:
        require_incoming(connection, tables, batch)
    rows = audit_incoming(connection, tables, batch, f"_g{batch.generation}" if is_attached else "_incoming")
    if not is_attached:
        connection.execute(tables.fill("analyze {incoming}"))
    if batch.merges:
        rows = merge_incoming(connection, tables, batch, force=force)
    else:
        if visible and not force:
            _guard_rows(batch, rows, visible, min_row_ratio)
            _guard_date(connection, tables, batch, visible)
        _publish(connection, tables, batch, is_attached=is_attached)
    return Published(batch.load_ids[-1], batch.generation, rows, changed=True)


def _require_unchanged(connection: psycopg.Connection, tables: Tables, batch: Batch) -> None:
    """Check that readers still see the files that were left out of the batch because they saw them.

    Raises:
        RefusedError: They don't: another run, or a rollback, came between.
    """
    if not batch.left_out:
        return
    if batch.mode == "merge":
        is_so = find_merged(connection, tables, batch.left_out) >= set(batch.left_out)
    else:
        is_so = are_visible(connection, tables, batch.left_out)
    if not is_so:
        raise _overtaken(
            f"Files of run {batch.run_id} were taken for visible, but readers see nothing of them now."
        )


def _overtaken(problem: str) -> RefusedError:
    return RefusedError(problem, "Clear the run from `create_cleaned_table` on.")


def drop_old_generations(connection: psycopg.Connection, tables: Tables) -> None:
    """Drop generations that no rollback and no reader needs, without making a reader wait."""
    parts = {"kept": sql.Literal(KEPT_GENERATIONS), "oldest": oldest_transaction(connection)}
    kept = connection.execute(tables.fill(_KEPT, **parts)).fetchall()
    names = {f"{tables.feed.name}_g{row[0]}" for row in kept}
    parent = (tables.schema, f"{tables.feed.name}_generations")
    until = time.monotonic() + DROP_SECONDS
    while old := [name for name in _find_generations(connection, tables) if name not in names]:
        try:
            with bounded(connection):
                drop_partition(connection, parent, (tables.schema, old[0]))
        except IN_USE:
            if time.monotonic() > until:
                log.info("%s is still being read: it goes with a later load", old[0])
                break
            time.sleep(0.1)


def _find_generations(connection: psycopg.Connection, tables: Tables) -> list[str]:
    found = connection.execute(_GENERATIONS, (tables.schema, f"^{tables.feed.name}_g[0-9]+$"))
    return [row[0] for row in found]


def _guard_rows(batch: Batch, rows: int, visible: Visible, min_row_ratio: float) -> None:
    names = [load.report.source for load in batch.loads]
    same_feed = visible.source in names or visible.rows >= GUARD_FROM_ROWS
    if same_feed and rows < min_row_ratio * visible.rows:
        raise RefusedError(
            f"{', '.join(names[:5])} {'holds' if len(names) == 1 else 'and others hold'} {rows} good records,"
            f" but readers see {visible.rows} now: fewer than MIN_ROW_RATIO ({min_row_ratio:.0%}) of them.",
            "Check that the delivery is whole. If it is, run it again with the param `force`."
            " The published tables are as they were.",
        )


def _guard_date(connection: psycopg.Connection, tables: Tables, batch: Batch, visible: Visible) -> None:
    statement = tables.fill("select run_date from {loads} where load_id = %s")
    (run_date,) = connection.execute(statement, (batch.load_ids[-1],)).fetchone() or (visible.run_date,)
    if run_date < visible.run_date:
        raise RefusedError(
            f"This run is for {run_date:%Y-%m-%d %H:%M}, but readers see the load of"
            f" {visible.run_date:%Y-%m-%d %H:%M}, which is newer.",
            "If the older file is to replace it nevertheless, run it again with the param `force`; to add only what"
            " is new in it, with `force` in the mode `merge`. The published tables are as they were.",
        )


def _publish(connection: psycopg.Connection, tables: Tables, batch: Batch, *, is_attached: bool) -> None:
    """Make the incoming table a partition, then move the pointer: no lock on readers.

    In two transactions: a reader who has seen the pointer of the second must know the partition of the first, and a
    commit shows its rows a moment before it tells other processes of the partition.
    """
    name = f"{tables.feed.name}_g{batch.generation}"
    parts = visible_parts(batch)
    parts |= {"name": sql.Identifier(name), "partition": sql.Identifier(tables.schema, name)}
    if not is_attached:
        with connection.transaction():
            connection.execute("set local lock_timeout = '10s'")
            for statement in _ATTACH:
                connection.execute(tables.fill(statement, **parts))
    wait_for_planned(connection, [tables.relation("_generations")])
    with connection.transaction():
        connection.execute("set local lock_timeout = '10s'")
        require_lease(connection, tables, batch.run_id)
        for statement in MAKE_VISIBLE:
            connection.execute(tables.fill(statement, **parts))
        close_replayed(connection, tables, batch.load_ids)
