"""The version of the warehouse's tables: code that doesn't fit them stops before it writes.

Raise `VERSION` with a change that `create table if not exists` can't make, and say in docs/upgrade.md what to do.
"""

from __future__ import annotations

import psycopg
from psycopg import sql

from audited_load.errors import RefusedError
from audited_load.warehouse.schemas import create_alone
from audited_load.warehouse.tables import Tables

VERSION = 1
_MAKE = (
    """
    create table if not exists {schema_version} (
        only_row boolean primary key default true check (only_row),
        version integer not null
    )
    """,
    # Tables from before there were versions: what makes the tables brings them to the first.
    "insert into {schema_version} (version) values ({version}) on conflict (only_row) do nothing",
)


def require_schema_version(connection: psycopg.Connection, tables: Tables, version: int = VERSION) -> None:
    """Check that the tables are of this code's version; enter it into new ones.

    Args:
        connection: As the role that owns the tables.
        tables: Their names.
        version: Of the code.

    Raises:
        RefusedError: They are of another version, or their schema is not there. Nothing was changed.
    """
    with connection.transaction():
        create_alone(connection, tables.schema)
        parts: dict[str, sql.Composable] = {
            "schema_version": tables.other("schema_version"),
            "version": sql.Literal(version),
        }
        for statement in _MAKE:
            connection.execute(tables.fill(statement, **parts))
        row = connection.execute(tables.fill("select version from {schema_version}", **parts)).fetchone()
        found = row[0] if row else version
        if found != version:
            which = "newer" if found > version else "older"
            raise RefusedError(
                f"The tables in {tables.schema} are of version {found}, this code is for version {version}.",
                f"They are {which} than the code: see docs/upgrade.md. Nothing was changed.",
            )
