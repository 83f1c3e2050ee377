"""A feed's tables and views → made, migrated, of the feed's columns, shown to readers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import psycopg
from psycopg import sql

from audited_load.columns import Amount, CalendarDate, Column, Text, WholeNumber
from audited_load.errors import RefusedError
from audited_load.warehouse.migrate import is_migrated, migrate
from audited_load.warehouse.schemas import create_alone
from audited_load.warehouse.tables import CONFIRMED_BY, PROVENANCE, Tables

INTEGER_MAX = 2**31 - 1
_OWN = {*PROVENANCE, CONFIRMED_BY, "generation", "sign"}
"""Columns of the tables that are no feed's."""
_COLUMNS = """
    select attname, format_type(atttypid, atttypmod) || case when attnotnull then ' not null' else ' null' end
    from pg_attribute where attrelid = to_regclass(%s) and attnum > 0 and not attisdropped order by attnum
"""
_VIEWS = {
    "": "{create} view {view} as select {names} from {generations}"
    " where generation = (select generation from {published})",
    "_changed": "{create} view {changed} as select {names} from {changes}"
    " where (select changes_since from {published}) is not null",
}
"""What shows the feed's columns, by suffix."""
_GRANTS = (
    "grant usage on schema {schema} to {role}",
    "grant select on {view}, {published_load}, {changed}, {loads}, {quarantine_counts} to {role}",
)


def is_current(connection: psycopg.Connection, tables: Tables) -> bool:
    """Return whether every migration was applied.

    Raises:
        RefusedError: The tables are newer than the code.
    """
    return all(is_migrated(connection, migrations) for migrations in tables.migrations)


def create_tables(connection: psycopg.Connection, tables: Tables, readers: Iterable[str]) -> None:
    """Bring the tables and the views to where the code is; the schema is there.

    Args:
        connection: As the role that is to own them, in autocommit mode.
        tables: Their names.
        readers: Roles that may read the views, never the tables or the raw text of rejects.

    Raises:
        RefusedError: The tables are newer than the code, or have other columns than the feed.
    """
    columns = sql.SQL(", ").join(_column_sql(column) for column in tables.feed.columns)
    totals = sql.SQL(", ").join(sql.SQL("{} numeric").format(sql.Identifier(name)) for name in tables.total_columns)
    for migrations in tables.migrations:
        migrate(connection, migrations, lambda text: tables.fill(text, columns=columns, totals=totals))
    with connection.transaction():
        create_alone(connection, tables.schema)
        require_columns(connection, tables)
        _show_columns(connection, tables)
        for role in readers:
            if connection.execute("select 1 from pg_roles where rolname = %s", (role,)).fetchone():
                for statement in _GRANTS:
                    connection.execute(tables.fill(statement, role=sql.Identifier(role)))


def require_columns(connection: psycopg.Connection, tables: Tables) -> None:
    """Check that the tables have the feed's columns, and the ledger those of its control totals.

    Raises:
        RefusedError: They differ. Nothing was changed.
    """
    wanted = {column.name: f"{_type_of(column)} {_null_of(column)}" for column in tables.feed.columns}
    differences: dict[str, None] = {}
    for suffix in ("_generations", "_changes"):
        found = {name: kind for name, kind in _columns(connection, tables.relation(suffix)) if name not in _OWN}
        for name in [*wanted, *(name for name in found if name not in wanted)]:
            if found.get(name) != wanted.get(name):
                there, here = found.get(name, "absent"), wanted.get(name, "absent")
                differences[f"{name} is {there} in the table and {here} in the feed"] = None
    ledger = {name for name, _ in _columns(connection, f"{tables.schema}.loads")}
    differences |= dict.fromkeys(f"the ledger lacks {name}" for name in tables.total_columns if name not in ledger)
    if differences:
        raise RefusedError(
            f"The columns of {tables.schema}.{tables.feed.name} differ from the feed's: {'; '.join(differences)}.",
            f'Write the migration {_next_file(tables)}, as CONTRIBUTING.md says under "Add a column", or take the'
            " change of the feed back; then `make run`. Nothing was changed.",
        )


def _next_file(tables: Tables) -> str:
    own = tables.migrations[-1]
    # In a container the folder lies elsewhere than on the machine.
    return f"{own.folder.parent.name}/{own.folder.name}/{len(own.files()) + 1:04}_WHAT.sql"


def _show_columns(connection: psycopg.Connection, tables: Tables) -> None:
    """Make the views that show the feed's columns; new ones come last, so that what looks into a view goes on."""
    for suffix, statement in _VIEWS.items():
        found = [name for name, _ in _columns(connection, tables.relation(suffix))]
        wanted = [*(["sign"] if suffix else []), *tables.feed.names, *PROVENANCE]
        missing = [name for name in wanted if name not in found]
        if missing:
            create = sql.SQL("create or replace" if found else "create")
            names = sql.SQL(", ").join(map(sql.Identifier, [*found, *missing]))
            connection.execute("set local lock_timeout = '10s'")
            connection.execute(tables.fill(statement, create=create, names=names))


def _columns(connection: psycopg.Connection, relation: str) -> Sequence[tuple[str, str]]:
    return connection.execute(_COLUMNS, (relation,)).fetchall()


def _column_sql(column: Column) -> sql.Composed:
    kind, null = sql.SQL(_type_of(column)), sql.SQL(_null_of(column))
    return sql.SQL("{} {} {}").format(sql.Identifier(column.name), kind, null)


def _null_of(column: Column) -> str:
    return "not null" if column.required else "null"


def _type_of(column: Column) -> str:
    """Return the type of a column, as PostgreSQL names it."""
    match column.kind:
        case WholeNumber(_, maximum):
            return "integer" if maximum <= INTEGER_MAX else "bigint"
        case Amount(precision, scale):
            return f"numeric({precision},{scale})"
        case CalendarDate():
            return "date"
        case Text():
            return "text"
