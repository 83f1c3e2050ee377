"""The rejected files → the quarantine: what was refused, when it was seen, and what became of it.

A record is known by its raw text, so that one that comes again is the same one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import UUID

import psycopg
from psycopg import sql
from psycopg.rows import class_row

from audited_load.warehouse.load import Load
from audited_load.warehouse.tables import Tables

COPY_BYTES = 2**20
STATUSES = ("open", "closed", "superseded", "outdated", "gone")
"""
open: to be repaired. closed: a repaired copy was loaded, and not taken back.
superseded: a later record of its file has its key. outdated: a later file or day has its key.
gone: a later `replace` no longer held it.
"""

_REJECTS = (
    "create temporary table rejects (source_record bigint, source_line bigint, byte_offset bigint,"
    " reasons text, raw_record text) on commit drop",
    "delete from {rejects} where load_id = {load_id}",
)
# The apostrophe is the file's guard against formulas, and no part of the record.
_KEEP_REJECTS = (
    "insert into {rejects} (load_id, source_record, source_line, byte_offset, reasons, raw_record)"
    " select {load_id}, source_record, source_line, byte_offset, reasons,"
    " case when starts_with(raw_record, '''') then substr(raw_record, 2) else coalesce(raw_record, '') end"
    " from rejects"
)
_FIND = """
    select q.*, l.source_name, l.delimiter, l.header from {quarantine} as q inner join {loads} as l using (load_id)
    where q.status = any(%(statuses)s) and starts_with(q.reasons, %(reason)s)
    order by q.load_id desc, q.source_record
"""
_CLOSE = """
    insert into {closed} (reject_id, closed_by, seen_by)
    select reject_id, {load_id}, load_id from {quarantine} where reject_id = any(%s) and status <> 'closed'
    on conflict (reject_id) do update
    set closed_by = excluded.closed_by, seen_by = excluded.seen_by, closed_at = now()
"""
# What readers see must hold the copies: a later `replace` has swept those of an earlier load away.
_FIND_REPLAYED = """
    select max(l.load_id) from {loads} as l
    inner join {published} as p on l.generation = p.generation
    where l.sha256 = %s and l.mode = 'merge' and l.status = 'published'
"""
# Of a record that still comes, the first sight stays: it says for how long it has been wrong.
_REMOVE = """
    with old_loads as (
        select load_id from {loads}
        where started_at < now() - make_interval(days => %s) and load_id <> (select load_id from {published})
    ),
    old as (
        select r.load_id, r.source_record, r.reject_id,
            row_number() over (partition by r.reject_id order by r.load_id, r.source_record) as nth
        from {rejects} as r inner join old_loads using (load_id)
    )
    delete from {rejects} as r
    using old left join (
        select distinct n.reject_id from {rejects} as n where n.load_id not in (select load_id from old_loads)
    ) as later on later.reject_id = old.reject_id
    where r.load_id = old.load_id and r.source_record = old.source_record
        and (old.nth > 1 or later.reject_id is null)
"""
_FORGET_CLOSED = """
    delete from {closed} as c where not exists (select 1 from {rejects} as r where r.reject_id = c.reject_id)
"""


@dataclass(frozen=True)
class Quarantined:
    """One distinct record of the quarantine, as it was seen last.

    Attributes:
        reject_id: Made of its raw text.
        status: One of `STATUSES`.
        reasons: Every reason of its refusal.
        raw_record: As it stood in the file.
        first_seen: Start of the first load that met it.
        last_seen: Start of the last one.
        times_seen: How often it was met, in what retention has left.
        load_id: The last load.
        source_record: Its number in that load's file.
        source_line: Its line there; None for one that was good, but outdated.
        byte_offset: Its place there, in bytes; alike.
        closed_by: The load that brought a repaired copy.
        closed_at: When.
        source_name: The file.
        delimiter: Between the file's fields.
        header: The file's columns.
    """

    reject_id: UUID
    status: str
    reasons: str
    raw_record: str
    first_seen: datetime
    last_seen: datetime
    times_seen: int
    load_id: int
    source_record: int
    source_line: int | None
    byte_offset: int | None
    closed_by: int | None
    closed_at: datetime | None
    source_name: str
    delimiter: str
    header: list[str]


def copy_rejects(connection: psycopg.Connection, tables: Tables, load: Load) -> None:
    """Copy a load's rejects into the quarantine; those of an earlier attempt at it go.

    Args:
        connection: In a transaction.
        tables: Their names.
        load: The load; its rejected file is read.
    """
    load_id = sql.Literal(load.load_id)
    with connection.cursor() as cursor:
        for statement in _REJECTS:
            cursor.execute(tables.fill(statement, load_id=load_id))
        statement = "copy rejects from stdin (format csv, header match)"
        with Path(load.report.rejected_file).open("rb") as file, cursor.copy(statement) as copy:
            while chunk := file.read(COPY_BYTES):
                copy.write(chunk)
        cursor.execute(tables.fill(_KEEP_REJECTS, load_id=load_id))


def is_made(connection: psycopg.Connection, tables: Tables) -> bool:
    """Tell whether there is a quarantine: the first load makes it."""
    row = connection.execute(tables.fill("select to_regclass({quarantine_name}) is not null")).fetchone()
    return bool(row and row[0])


def find_rejects(
    connection: psycopg.Connection, tables: Tables, statuses: Sequence[str] = ("open",), reason: str = ""
) -> list[Quarantined]:
    """Find records of the quarantine, those of the newest load first.

    Args:
        connection: As the role that owns it.
        tables: Their names.
        statuses: Some of `STATUSES`.
        reason: How the reasons must begin, such as `price:`.

    Returns:
        The records.
    """
    with connection.cursor(row_factory=class_row(Quarantined)) as cursor:
        return cursor.execute(tables.fill(_FIND), {"statuses": list(statuses), "reason": reason}).fetchall()


def close_rejects(connection: psycopg.Connection, tables: Tables, reject_ids: Sequence[UUID], load_id: int) -> int:
    """Note that repaired copies of records were loaded; one that is seen again later is open again.

    Args:
        connection: As the role that owns the quarantine.
        tables: Their names.
        reject_ids: The records.
        load_id: The load that brought the copies.

    Returns:
        How many were not closed before, and are now.
    """
    statement = tables.fill(_CLOSE, load_id=sql.Literal(load_id))
    return connection.execute(statement, (list(reject_ids),)).rowcount


def find_replayed(connection: psycopg.Connection, tables: Tables, sha256: str) -> int | None:
    """Find the load that merged a file into what readers see.

    Args:
        connection: As the role that owns the ledger.
        tables: Their names.
        sha256: Of the file.

    Returns:
        Its id, or None if readers don't see the file's rows.
    """
    row = connection.execute(tables.fill(_FIND_REPLAYED), (sha256,)).fetchone()
    return int(row[0]) if row and row[0] else None


def remove_expired(connection: psycopg.Connection, tables: Tables, days: int) -> int:
    """Remove what loads refused longer ago than some days; that of the visible load stays.

    The first sight of a record that has come again since stays, too.

    Args:
        connection: As the role that owns the quarantine.
        tables: Their names.
        days: How long to keep; 0 for ever.

    Returns:
        How many rejects went.
    """
    if not days:
        return 0
    with connection.transaction():
        removed = connection.execute(tables.fill(_REMOVE), (days,)).rowcount
        if removed:
            connection.execute(tables.fill(_FORGET_CLOSED))
    return removed
