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

from audited_load.loading.batch import Load
from audited_load.loading.replays import forget_gone
from audited_load.warehouse.tables import Tables

COPY_BYTES = 2**20
TO_REPAIR = ("open", "gone", "unpublished")
STATUSES = (*TO_REPAIR, "closed", "superseded", "outdated")
"""
open: to be repaired. closed: a repaired copy was loaded, and not taken back.
superseded: a later record of its file has its key. outdated: a later file or day has its key, or didn't hold it.
gone: a later `replace` no longer held it. unpublished: its load was taken back, or never became visible.
"""

_REJECTS = (
    "create temporary table rejects (source_record bigint, source_line bigint, byte_offset bigint,"
    " reasons text, raw_record text) on commit drop",
    "select from {loads} where load_id = {load_id} for no key update",
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
    select q.reject_id, q.status, r.reasons, r.raw_record, q.first_seen, q.last_seen, q.times_seen, q.is_visible,
        r.load_id, r.source_record, r.source_line, r.byte_offset, q.closed_by, q.closed_at,
        l.source_name, l.delimiter, l.header, l.contract_id, l.contract_sha256
    from {quarantine} as q
    inner join {chosen} as r on r.reject_id = q.reject_id and {same_place}
    inner join {loads} as l on l.load_id = r.load_id
    where q.status = any(%(statuses)s)
        and (starts_with(r.reasons, %(reason)s) or position('; ' || %(reason)s in r.reasons) > 0)
    order by r.load_id desc, r.source_record
"""
_OF_LOADS = """
    (
        select distinct on (reject_id) * from {rejects} where load_id = any(%(load_ids)s)
        order by reject_id, load_id desc, source_record desc
    )
"""
_SAME_PLACE = "(r.load_id, r.source_record) = (q.load_id, q.source_record)"
_LOADS = """
    select l.load_id, l.source_name, l.mode, l.run_date, l.status, p.generation is not null as is_visible,
        l.quarantined - l.superseded as refused, l.superseded, coalesce(l.outdated, 0) as outdated
    from {loads} as l left join {published} as p on l.generation = p.generation and l.status = 'published'
    where exists (select 1 from {rejects} as r where r.load_id = l.load_id)
    order by l.load_id
"""
_CHOOSE = "select distinct reject_id from {rejects} where load_id = any(%s) and reject_id = any(%s)"
_CONTRACTS = """
    select distinct l.contract_id, l.contract_sha256
    from {rejects} as r inner join {loads} as l using (load_id) where r.reject_id = any(%s) and r.load_id = any(%s)
"""
_HOLDERS = "select distinct load_id from {rejects} where reject_id = any(%s)"
_COUNT_CLOSED = "select count(*) from {quarantine} where reject_id = any(%s) and status = 'closed'"
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


@dataclass(frozen=True)
class Quarantined:
    """One distinct record of the quarantine, as it was seen last; if readers see a load that met it, there.

    Attributes:
        reject_id: Made of its raw text.
        status: One of `STATUSES`.
        reasons: Every reason of its refusal.
        raw_record: As it stood in the file.
        first_seen: Start of the first load that met it.
        last_seen: Start of the last one.
        times_seen: How often it was met, in what retention has left.
        is_visible: Whether a load that met it is of what readers see.
        load_id: The load that it is shown of.
        source_record: Its number in that load's file.
        source_line: Its line there; None for one that was good, but outdated.
        byte_offset: Its place there, in bytes; alike.
        closed_by: The load that brought a repaired copy.
        closed_at: When.
        source_name: The file.
        delimiter: Between the file's fields.
        header: The file's columns.
        contract_id: The contract by which it was read; None if nobody knows.
        contract_sha256: Of what that declared then.
    """

    reject_id: UUID
    status: str
    reasons: str
    raw_record: str
    first_seen: datetime
    last_seen: datetime
    times_seen: int
    is_visible: bool
    load_id: int
    source_record: int
    source_line: int | None
    byte_offset: int | None
    closed_by: int | None
    closed_at: datetime | None
    source_name: str
    delimiter: str
    header: list[str]
    contract_id: str | None
    contract_sha256: str | None


@dataclass(frozen=True)
class RefusingLoad:
    """A load that refused records which are kept.

    Attributes:
        load_id: The load.
        source_name: Its file.
        mode: `replace` or `merge`.
        run_date: The day that it was for.
        status: Of the load, as in the ledger.
        is_visible: Whether readers see its rows.
        refused: Records that were refused.
        superseded: Records that gave way to a later one of the file.
        outdated: Records that gave way to a later file or day.
    """

    load_id: int
    source_name: str
    mode: str
    run_date: datetime
    status: str
    is_visible: bool
    refused: int
    superseded: int
    outdated: int

    @property
    def fate(self) -> str:
        """Say what became of it."""
        if self.is_visible:
            return "readers see it"
        return {"published": "replaced since", "rolled_back": "taken back"}.get(self.status, "never published")


def copy_rejects(connection: psycopg.Connection, tables: Tables, load: Load) -> None:
    """Copy a load's rejects into the quarantine; those of an earlier attempt go, and one under way is waited for.

    Args:
        connection: In a transaction.
        tables: Their names.
        load: The load; the rejected files of all its pieces are read.
    """
    load_id = sql.Literal(load.load_id)
    with connection.cursor() as cursor:
        for statement in _REJECTS:
            cursor.execute(tables.fill(statement, load_id=load_id))
        statement = "copy rejects from stdin (format csv, header match)"
        for piece in load.report.pieces:
            with Path(piece.rejected_file).open("rb") as file, cursor.copy(statement) as copy:
                while chunk := file.read(COPY_BYTES):
                    copy.write(chunk)
        cursor.execute(tables.fill(_KEEP_REJECTS, load_id=load_id))


def is_made(connection: psycopg.Connection, tables: Tables) -> bool:
    """Return whether there is a quarantine: the first load makes it."""
    row = connection.execute(tables.fill("select to_regclass({quarantine_name}) is not null")).fetchone()
    return bool(row and row[0])


def find_loads(connection: psycopg.Connection, tables: Tables) -> list[RefusingLoad]:
    """Find the loads of which refused records are kept, in order."""
    with connection.cursor(row_factory=class_row(RefusingLoad)) as cursor:
        return cursor.execute(tables.fill(_LOADS)).fetchall()


def find_rejects(
    connection: psycopg.Connection,
    tables: Tables,
    statuses: Sequence[str] = ("open",),
    reason: str = "",
    load_ids: Sequence[int] | None = None,
) -> list[Quarantined]:
    """Find records of the quarantine, those of the newest load first.

    Args:
        connection: As the role that owns it.
        tables: Their names.
        statuses: Some of `STATUSES`.
        reason: How the reasons must begin, such as `price:`.
        load_ids: Only what these loads refused, as they did; None: all.

    Returns:
        The records.
    """
    is_all = load_ids is None
    statement = tables.fill(
        _FIND,
        chosen=tables.fill("{rejects}" if is_all else _OF_LOADS),
        same_place=sql.SQL(_SAME_PLACE if is_all else "true"),
    )
    values = {"statuses": list(statuses), "reason": reason, "load_ids": list(load_ids or ())}
    with connection.cursor(row_factory=class_row(Quarantined)) as cursor:
        return cursor.execute(statement, values).fetchall()


def choose_refused(
    connection: psycopg.Connection, tables: Tables, reject_ids: Sequence[UUID], load_ids: Sequence[int]
) -> set[UUID]:
    """Choose those records that some loads refused."""
    return {row[0] for row in connection.execute(tables.fill(_CHOOSE), (list(load_ids), list(reject_ids)))}


def find_contracts(
    connection: psycopg.Connection, tables: Tables, reject_ids: Sequence[UUID], load_ids: Sequence[int]
) -> list[tuple[str | None, str | None]]:
    """Find id and sha256 of the contracts by which loads refused some records; None where nobody knows."""
    return connection.execute(tables.fill(_CONTRACTS), (list(reject_ids), list(load_ids))).fetchall()


def find_holders(connection: psycopg.Connection, tables: Tables, reject_ids: Sequence[UUID]) -> list[int]:
    """Find the loads that refused any of some records."""
    return sorted(row[0] for row in connection.execute(tables.fill(_HOLDERS), (list(reject_ids),)))


def count_closed(connection: psycopg.Connection, tables: Tables, reject_ids: Sequence[UUID]) -> int:
    """Count those of some records that are closed."""
    row = connection.execute(tables.fill(_COUNT_CLOSED), (list(reject_ids),)).fetchone()
    return int(row[0]) if row else 0


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
            forget_gone(connection, tables)
    return removed
