"""One person's id → gone from every table of the warehouse.

Totals stay: a row loses the id, and nothing else. Each function can be killed anywhere and called again.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import sql

from audited_load.columns import Feed
from audited_load.erasure import BATCH, RawLayout, scrub_texts
from audited_load.warehouse.erased import exists
from audited_load.warehouse.replays import forget_gone
from audited_load.warehouse.tables import Tables

_LAYOUTS = "select distinct header, delimiter from {loads}"
_TABLES = """
    select n.nspname, c.relname from pg_class as c
    inner join pg_namespace as n on c.relnamespace = n.oid
    inner join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    where c.relkind in ('r', 'm') and n.nspname = any(%s) and a.attname = %s
    order by 1, 2
"""
_NULL = "update {table} set {subject} = null where {subject} = any(%s)"
# Whatever the spelling, the digits of the id are in it.
_SUSPECTS = """
    select r.load_id, r.source_record, r.reject_id, r.raw_record, l.header, l.delimiter
    from {rejects} as r inner join {loads} as l using (load_id)
    where exists (select 1 from unnest(%s::text[]) as digits where position(digits in r.raw_record) > 0)
"""
_SCRUB = """
    update {rejects} set raw_record = %(raw)s
    where load_id = %(load_id)s and source_record = %(source_record)s returning reject_id
"""
# A record is known by its raw text: what is known of the old text is true of the new one.
_RENAME = """
    insert into {closed} (reject_id, closed_by, seen_by, closed_at)
    select %(new)s, closed_by, seen_by, closed_at from {closed} where reject_id = %(old)s
    on conflict (reject_id) do nothing
"""


def read_layouts(connection: psycopg.Connection, tables: Tables) -> list[RawLayout]:
    """Read how the fields lay in the files that were loaded."""
    plain = RawLayout(tuple(tables.feed.names), ",")
    if not exists(connection, tables, "loads"):
        return [plain]
    rows = connection.execute(tables.fill(_LAYOUTS)).fetchall()
    return list(dict.fromkeys([*(RawLayout(tuple(header), mark) for header, mark in rows), plain]))


def erase_from_tables(connection: psycopg.Connection, tables: Tables, ids: frozenset[int]) -> dict[str, int]:
    """Take the id out of every table of the schema that has the subject's column, and out of the quarantine.

    Readers see all of it or nothing, and wait for nothing.

    Args:
        connection: In autocommit mode, as the role that owns the tables, with the lease held.
        tables: Their names.
        ids: Who is to be erased.

    Returns:
        Rows by table.
    """
    counts: dict[str, int] = {}
    with connection.transaction():
        for name in find_tables(connection, [tables.schema], tables.feed.subject):
            statement = sql.SQL(_NULL).format(
                table=sql.Identifier(*name), subject=sql.Identifier(tables.feed.subject)
            )
            counts[".".join(name)] = connection.execute(statement, (list(ids),)).rowcount
        if exists(connection, tables, f"{tables.feed.name}_rejected_by_load"):
            counts[f"{tables.schema}.{tables.feed.name}_rejected_by_load"] = _erase_raw(connection, tables, ids)
        if exists(connection, tables, "published"):
            # What changed since the load before can't be told any more: marts are to be built from all rows.
            connection.execute(tables.fill("update {published} set changes_since = null"))
    return {name: count for name, count in counts.items() if count}


def _erase_raw(connection: psycopg.Connection, tables: Tables, ids: frozenset[int]) -> int:
    scrubbed = 0
    with connection.cursor(name="suspects") as cursor:
        cursor.execute(tables.fill(_SUSPECTS), ([str(number) for number in ids],))
        while rows := cursor.fetchmany(BATCH):
            for (load_id, record, old, *_), raw in zip(rows, _scrub_rows(rows, tables.feed, ids), strict=True):
                if raw is None:
                    continue
                values: dict[str, Any] = {"raw": raw, "load_id": load_id, "source_record": record, "old": old}
                (values["new"],) = connection.execute(tables.fill(_SCRUB), values).fetchone() or (old,)
                connection.execute(tables.fill(_RENAME), values)
                scrubbed += 1
    forget_gone(connection, tables)
    return scrubbed


def _scrub_rows(rows: Sequence[tuple[Any, ...]], feed: Feed, ids: frozenset[int]) -> list[str | None]:
    by_layout: dict[RawLayout, list[int]] = {}
    for place, (*_, header, mark) in enumerate(rows):
        by_layout.setdefault(RawLayout(tuple(header), mark), []).append(place)
    texts: list[str | None] = [None] * len(rows)
    # What gave way to a later file was good, and is kept as JSON.
    members = "|".join(map(str, ids))
    pattern = re.compile(rf'("{re.escape(feed.subject)}":)(?:{members})(?=[,}}])')
    for layout, places in by_layout.items():
        raws = [rows[place][3] for place in places]
        for place, raw, text in zip(places, raws, scrub_texts(raws, [layout], feed, ids), strict=True):
            is_json = raw.startswith("{") and pattern.search(raw)
            texts[place] = pattern.sub(r"\1null", raw) if is_json else text
    return texts


def find_tables(connection: psycopg.Connection, schemas: Sequence[str], column: str) -> list[tuple[str, str]]:
    """Find all tables of some schemas that have a column, partitions on their own; views are left out."""
    return [(row[0], row[1]) for row in connection.execute(_TABLES, (list(schemas), column))]


def find_holders(
    connection: psycopg.Connection, schemas: Sequence[str], column: str, ids: frozenset[int]
) -> list[tuple[str, str]]:
    """Find the tables of some schemas that hold an id."""
    held = "select exists (select 1 from {table} where {column} = any(%s))"
    return [
        name
        for name in find_tables(connection, schemas, column)
        if connection.execute(
            sql.SQL(held).format(table=sql.Identifier(*name), column=sql.Identifier(column)), (list(ids),)
        ).fetchone()
        == (True,)
    ]


def clean_up(connection: psycopg.Connection, tables: Tables) -> None:
    """Remove old row versions from the tables' pages, and the id from the planner's statistics."""
    names = find_tables(connection, [tables.schema], tables.feed.subject)
    names.append((tables.schema, f"{tables.feed.name}_rejected_by_load"))
    for name in names:
        if exists(connection, tables, name[1]):
            connection.execute(sql.SQL("vacuum (analyze) {}").format(sql.Identifier(*name)))
    if exists(connection, tables, f"{tables.feed.name}_generations"):
        connection.execute(tables.fill("analyze {generations}"))
