"""A column's name → the tables that have it, wherever they are, and those that hold a value in it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import psycopg
from psycopg import sql

Name = tuple[str, str]
"""Schema and table."""
_TABLES = """
    select n.nspname, c.relname from pg_catalog.pg_class as c
    inner join pg_catalog.pg_namespace as n on c.relnamespace = n.oid
    inner join pg_catalog.pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    where c.relkind in ('r', 'm') and a.attname = %(column)s
        and n.nspname not in ('pg_catalog', 'information_schema') and not pg_catalog.starts_with(n.nspname, 'pg_')
        and (%(schemas)s::text[] is null or n.nspname = any(%(schemas)s))
        and (%(owners)s::text[] is null or pg_catalog.pg_get_userbyid(c.relowner)::text = any(%(owners)s))
    order by 1, 2
"""
_HELD = "select exists (select 1 from {table} where {column}::text = any(%s))"
_COUNT = "select count(*) from {table} where {column}::text = any(%s)"


def find_tables(
    connection: psycopg.Connection,
    schemas: Sequence[str] | None,
    column: str,
    owners: Sequence[str] | None = None,
) -> list[Name]:
    """Find all tables of some schemas that have a column, partitions on their own; views are left out.

    Args:
        connection: Any.
        schemas: Where to look; None for everywhere.
        column: The column's name.
        owners: Whose; None for anybody's.
    """
    values = {
        "schemas": None if schemas is None else list(schemas),
        "column": column,
        "owners": None if owners is None else list(owners),
    }
    return [(row[0], row[1]) for row in connection.execute(_TABLES, values)]


def find_holders(
    connection: psycopg.Connection,
    schemas: Sequence[str] | None,
    column: str,
    ids: Collection[int],
    owners: Sequence[str] | None = None,
) -> list[Name]:
    """Find the tables of some schemas that hold an id.

    Reading a table may run code of its owner, in a cast or an index: ask as the owner, or as one who trusts it.
    """
    return [
        name
        for name in find_tables(connection, schemas, column, owners)
        if connection.execute(_fill(_HELD, name, column), (_texts(ids),)).fetchone() == (True,)
    ]


def count_holders(
    connection: psycopg.Connection, schemas: Sequence[str] | None, column: str, ids: Collection[int]
) -> dict[str, int]:
    """Count the rows that hold an id, by table."""
    return {
        ".".join(name): int((connection.execute(_fill(_COUNT, name, column), (_texts(ids),)).fetchone() or (0,))[0])
        for name in find_holders(connection, schemas, column, ids)
    }


def _fill(statement: str, name: Name, column: str) -> sql.Composed:
    return sql.SQL(statement).format(table=sql.Identifier(*name), column=sql.Identifier(column))


def _texts(ids: Collection[int]) -> list[str]:
    return [str(number) for number in ids]
