"""One person's id → gone from every table of the warehouse, and from the raw texts of its quarantine.

Totals stay: a row loses the id, and nothing else. Each function can be killed anywhere and called again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
from psycopg import sql

from audited_load.erasing.raw_texts import BATCH, Doubts, scrub_refused, split_reasons
from audited_load.erasing.register import exists
from audited_load.erasing.rewriting import Wanted
from audited_load.erasing.splitting import RawLayout
from audited_load.loading.replays import forget_gone
from audited_load.warehouse.catalogue import count_holders, find_tables
from audited_load.warehouse.tables import Tables

_NULL = "update {table} set {nulls} where {subject} = any(%s)"
# Whatever the spelling, the digits of the id are in it: with marks between them, or in another script.
_SUSPECTS = r"""
    select r.load_id, r.source_record, r.reject_id, r.raw_record, r.reasons,
        l.header, l.delimiter, to_jsonb(l) ->> 'contract_id', to_jsonb(l) ->> 'contract_sha256'
    from {rejects} as r inner join {loads} as l using (load_id)
    where r.raw_record ~ '[^\x01-\x7f]' or exists (
        select 1 from unnest(%s::text[]) as digits
        where position(digits in r.raw_record) > 0
            or position(digits in regexp_replace(r.raw_record, '\\x[0-9a-f]{{2}}|[^0-9]', '', 'g')) > 0
    )
"""
_SCRUB = """
    update {rejects} set raw_record = %(raw)s, reasons = %(reasons)s
    where load_id = %(load_id)s and source_record = %(source_record)s returning reject_id
"""
# A record is known by its raw text: what is known of the old text is true of the new one.
_RENAME = """
    insert into {closed} (reject_id, closed_by, seen_by, closed_at)
    select %(new)s, closed_by, seen_by, closed_at from {closed} where reject_id = %(old)s
    on conflict (reject_id) do nothing
"""


def erase_from_tables(connection: psycopg.Connection, tables: Tables, wanted: Wanted) -> dict[str, int]:
    """Take the id out of every table of the schema that has the subject's column, and out of the quarantine.

    Readers see all of it or nothing, and wait for nothing.

    Args:
        connection: In autocommit mode, as the role that owns the tables, with the lease held.
        tables: Their names.
        wanted: Who is to be erased.

    Returns:
        Rows by table.
    """
    counts: dict[str, int] = {}
    with connection.transaction():
        for name in find_tables(connection, [tables.schema], tables.feed.subject):
            # A hash of what is the person's would still tell their rows from others'.
            masked = [one for one in wanted.masked if name in find_tables(connection, [name[0]], one)]
            nulls = [sql.SQL("{} = null").format(sql.Identifier(one)) for one in (tables.feed.subject, *masked)]
            statement = sql.SQL(_NULL).format(
                table=sql.Identifier(*name),
                subject=sql.Identifier(tables.feed.subject),
                nulls=sql.SQL(", ").join(nulls),
            )
            counts[".".join(name)] = connection.execute(statement, (list(wanted.ids),)).rowcount
        if exists(connection, tables, _rejects(tables)):
            counts[f"{tables.schema}.{_rejects(tables)}"] = _erase_raw(connection, tables, wanted)
        if exists(connection, tables, "published"):
            # What changed since the load before can't be told any more: marts are to be built from all rows.
            connection.execute(tables.fill("update {published} set changes_since = null"))
    return {name: count for name, count in counts.items() if count}


def count_in_tables(connection: psycopg.Connection, tables: Tables, wanted: Wanted) -> dict[str, int]:
    """Count what `erase_from_tables` would erase, and change nothing."""
    counts = count_holders(connection, [tables.schema], tables.feed.subject, wanted.ids)
    if exists(connection, tables, _rejects(tables)):
        with connection.transaction():
            counts[f"{tables.schema}.{_rejects(tables)}"] = sum(1 for _ in _find_raw(connection, tables, wanted))
    return {name: count for name, count in counts.items() if count}


def _rejects(tables: Tables) -> str:
    return f"{tables.feed.name}_rejected_by_load"


class _Found(NamedTuple):
    """A refused record of the person: where it is, and how it is to be."""

    load_id: int
    source_record: int
    reject_id: UUID
    raw: str
    reasons: str


def count_lookalikes(connection: psycopg.Connection, tables: Tables, wanted: Wanted) -> int:
    """Count the refused records that stay, though they hold the digits of the id: they may be another's."""
    doubts = Doubts()
    if exists(connection, tables, _rejects(tables)):
        with connection.transaction():
            for _ in _find_raw(connection, tables, wanted, doubts):
                pass
    return doubts.lookalikes + doubts.unsure


def _find_raw(
    connection: psycopg.Connection, tables: Tables, wanted: Wanted, doubts: Doubts | None = None
) -> Iterator[_Found]:
    with connection.cursor(name="suspects") as cursor:
        cursor.execute(tables.fill(_SUSPECTS), ([str(number) for number in wanted.ids],))
        while rows := cursor.fetchmany(BATCH):
            scrubbed = _scrub_rows(rows, wanted, doubts or Doubts())
            for row, fresh in zip(rows, scrubbed, strict=True):
                if fresh is not None:
                    yield _Found(row[0], row[1], row[2], *fresh)


def _erase_raw(connection: psycopg.Connection, tables: Tables, wanted: Wanted) -> int:
    scrubbed = 0
    for found in _find_raw(connection, tables, wanted):
        values: dict[str, Any] = {**found._asdict(), "old": found.reject_id}
        (values["new"],) = connection.execute(tables.fill(_SCRUB), values).fetchone() or (found.reject_id,)
        connection.execute(tables.fill(_RENAME), values)
        scrubbed += 1
    forget_gone(connection, tables)
    return scrubbed


def _scrub_rows(rows: Sequence[tuple[Any, ...]], wanted: Wanted, doubts: Doubts) -> list[tuple[str, str] | None]:
    """Scrub rows of the quarantine, each as the file of its load was laid out."""
    by_layout: dict[RawLayout, list[int]] = {}
    for place, row in enumerate(rows):
        by_layout.setdefault(RawLayout.of_ledger(*row[5:]), []).append(place)
    fresh: list[tuple[str, str] | None] = [None] * len(rows)
    for layout, places in by_layout.items():
        raws = [rows[place][3] for place in places]
        reasons = [split_reasons(rows[place][4], wanted.feeds[0]) for place in places]
        scrubbed = scrub_refused(raws, reasons, [layout], wanted.feeds, wanted.ids.intersection, doubts)
        for place, one in zip(places, scrubbed, strict=True):
            if one is not None:
                fresh[place] = one[0], "; ".join(one[1])
    return fresh


def clean_up(connection: psycopg.Connection, tables: Tables) -> None:
    """Remove old row versions from the tables' pages, and the id from the planner's statistics."""
    names = find_tables(connection, [tables.schema], tables.feed.subject)
    names.append((tables.schema, _rejects(tables)))
    for name in names:
        if exists(connection, tables, name[1]):
            connection.execute(sql.SQL("vacuum (analyze) {}").format(sql.Identifier(*name)))
    if exists(connection, tables, f"{tables.feed.name}_generations"):
        connection.execute(tables.fill("analyze {generations}"))
