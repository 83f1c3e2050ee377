"""A file of repaired records → their records closed, in the transaction that lets readers see the copies."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import psycopg
from psycopg import sql

from audited_load.warehouse.tables import Tables

_FORGET = "delete from {replays} where sha256 = %s"
_ENTER = "insert into {replays} (sha256, reject_id, key) values (%s, %s, %s) on conflict do nothing"
_IS_REPLAY = """
    select 1 from {replays} as r inner join {loads} as l on l.sha256 = r.sha256 where l.load_id = any(%s) limit 1
"""
_CLOSE = """
    insert into {closed} (reject_id, closed_by, seen_by)
    select distinct on (q.reject_id) q.reject_id, l.load_id, q.load_id
    from {loads} as l
    inner join {replays} as r on r.sha256 = l.sha256
    inner join {quarantine} as q on q.reject_id = r.reject_id
    where l.load_id = any(%s) and q.status <> 'closed' and not exists (
        -- A copy that gave way to what readers see is no repair.
        select 1 from {rejects} as o inner join {replays} as copy on copy.sha256 = l.sha256
        where o.load_id = l.load_id and copy.reject_id = r.reject_id and copy.key = case
            when o.reasons like 'record:outdated%%' and pg_input_is_valid(o.raw_record, 'jsonb')
                then o.raw_record::jsonb ->> {key_name}
        end
    )
    order by q.reject_id, l.load_id desc
    on conflict (reject_id) do update
    set closed_by = excluded.closed_by, seen_by = excluded.seen_by, closed_at = now()
"""
_FORGET_CLOSED = "delete from {replays} where sha256 in (select sha256 from {loads} where load_id = any(%s))"
# What readers see must hold the copies: a later `replace` has swept those of an earlier load away.
_FIND_MERGED = """
    select max(l.load_id) from {loads} as l
    inner join {published} as p on l.generation = p.generation
    where l.sha256 = any(%s) and l.mode = 'merge' and l.status = 'published'
    group by l.sha256
"""
_FORGET_GONE = (
    "delete from {closed} as c where not exists (select 1 from {rejects} as r where r.reject_id = c.reject_id)",
    "delete from {replays} as c where not exists (select 1 from {rejects} as r where r.reject_id = c.reject_id)",
)


def enter_replay(
    connection: psycopg.Connection, tables: Tables, sha256: str, copies: Sequence[tuple[UUID, str]]
) -> None:
    """Note which records a repaired file is to close: whoever publishes it closes them.

    Args:
        connection: As the role that owns the quarantine.
        tables: Their names.
        sha256: Of the file; what was noted of it before is forgotten.
        copies: Each record, and the key of a repaired copy of it.
    """
    with connection.transaction():
        connection.execute(tables.fill(_FORGET), (sha256,))
        with connection.cursor() as cursor:
            cursor.executemany(tables.fill(_ENTER), [(sha256, *copy) for copy in copies])


def close_replayed(connection: psycopg.Connection, tables: Tables, load_ids: Sequence[int]) -> None:
    """Close the records that loads bring repaired copies of; one that is seen again later is open again.

    Args:
        connection: In the transaction that publishes the loads, after the pointer was moved.
        tables: Their names.
        load_ids: The loads.
    """
    # The view reads all of the quarantine.
    if connection.execute(tables.fill(_IS_REPLAY), (list(load_ids),)).fetchone():
        connection.execute(tables.fill(_CLOSE, key_name=sql.Literal(tables.feed.key)), (list(load_ids),))
        connection.execute(tables.fill(_FORGET_CLOSED), (list(load_ids),))


def close_replayed_again(connection: psycopg.Connection, tables: Tables, sha256: Sequence[str]) -> None:
    """Close records whose repaired copies readers see already: the records came again, and the same repair.

    Args:
        connection: In a transaction.
        tables: Their names.
        sha256: Of files that are not loaded again.
    """
    merged = [row[0] for row in connection.execute(tables.fill(_FIND_MERGED), (list(sha256),))]
    close_replayed(connection, tables, merged)


def forget_gone(connection: psycopg.Connection, tables: Tables) -> None:
    """Forget what is noted of records that are no longer kept."""
    for statement in _FORGET_GONE:
        connection.execute(tables.fill(statement))
