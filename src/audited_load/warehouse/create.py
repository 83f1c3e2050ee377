"""A feed's tables and views → made, migrated, of the feed's columns, shown to readers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import psycopg
from psycopg import sql

from audited_load.errors import RefusedError
from audited_load.warehouse.migrate import is_migrated, migrate, while_locked
from audited_load.warehouse.schemas import create_alone
from audited_load.warehouse.tables import CONFIRMED_BY, PROVENANCE, Tables

_NOT_NULL = " not null"
_KIND = re.compile(r"(integer|bigint|date|text|numeric\([0-9]+,[0-9]+\))( not)? null")
_RECORDS = ("_generations", "_changes")
"""The tables that have a record's columns, by suffix."""
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


def create_tables(
    connection: psycopg.Connection, tables: Tables, readers: Iterable[str], brought: Mapping[str, str] | None = None
) -> None:
    """Bring the tables and the views to where the code is; the schema is there.

    Args:
        connection: As the role that is to own them, in autocommit mode.
        tables: Their names.
        readers: Roles that may read the views, never the tables or the raw text of rejects.
        brought: Columns that a file brings, each with its type; what the tables lack of them is added.

    Raises:
        RefusedError: The tables are newer than the code, or have other columns than the feed or the file.
        psycopg.errors.LockNotAvailable: A reader's transaction was in the way for a minute.
    """
    columns = sql.SQL(", ").join(_column_sql(column.name, column.sql_type) for column in tables.feed.columns)
    totals = sql.SQL(", ").join(sql.SQL("{} numeric").format(sql.Identifier(name)) for name in tables.total_columns)
    for migrations in tables.migrations:
        migrate(connection, migrations, lambda text: tables.fill(text, columns=columns, totals=totals))
    # Another contract may require what may be null in the table.
    wanted = dict(brought or {}) | {column.name: column.sql_type for column in tables.feed.columns}
    while_locked(lambda: _add_columns(connection, tables, wanted))
    with connection.transaction():
        create_alone(connection, tables.schema)
        require_columns(connection, tables, wanted)
        _show_columns(connection, with_further(connection, tables))
        for role in readers:
            if connection.execute("select 1 from pg_roles where rolname = %s", (role,)).fetchone():
                for statement in _GRANTS:
                    connection.execute(tables.fill(statement, role=sql.Identifier(role)))


def with_further(connection: psycopg.Connection, tables: Tables) -> Tables:
    """Return the names of the tables with the columns that they have beside the feed's."""
    found = [name for name, _ in _columns(connection, tables.relation("_generations"))]
    return replace(tables, further=tuple(name for name in found if name not in {*tables.feed.names, *_OWN}))


def _add_columns(connection: psycopg.Connection, tables: Tables, wanted: Mapping[str, str]) -> None:
    """Add the columns that the tables lack and that may be null, in one transaction."""
    for suffix in _RECORDS:
        found = {name for name, _ in _columns(connection, tables.relation(suffix))}
        missing = [name for name, kind in wanted.items() if name not in found and not kind.endswith(_NOT_NULL)]
        if missing:
            add = sql.SQL("add column if not exists {}")
            added = sql.SQL(", ").join(add.format(_column_sql(name, wanted[name])) for name in missing)
            with connection.transaction():
                connection.execute("set local lock_timeout = '500ms'")
                create_alone(connection, tables.schema)
                connection.execute(sql.SQL("alter table {} {}").format(tables.named(suffix), added))


def require_columns(connection: psycopg.Connection, tables: Tables, wanted: Mapping[str, str]) -> None:
    """Check that the tables have some columns, and the ledger those of the feed's control totals.

    Args:
        connection: Any.
        tables: Their names.
        wanted: The columns, each with its type. The tables may have others, which may be null.

    Raises:
        RefusedError: They differ. Nothing was changed.
    """
    differences: dict[str, None] = {}
    for suffix in _RECORDS:
        found = {name: kind for name, kind in _columns(connection, tables.relation(suffix)) if name not in _OWN}
        required = [name for name, kind in found.items() if name not in wanted and kind.endswith(_NOT_NULL)]
        for name in [*wanted, *required]:
            if found.get(name) != wanted.get(name):
                there, here = found.get(name, "absent"), wanted.get(name, "absent")
                differences[f"{name} is {there} in the table and {here} in the feed"] = None
    ledger = {name for name, _ in _columns(connection, f"{tables.schema}.loads")}
    differences |= dict.fromkeys(f"the ledger lacks {name}" for name in tables.total_columns if name not in ledger)
    if differences:
        raise RefusedError(
            f"The columns of {tables.schema}.{tables.feed.name} differ from the feed's: {'; '.join(differences)}.",
            f'Write the migration {_next_file(tables)}, as CONTRIBUTING.md says under "Add a column", or take the'
            " change of the contract back; then `make run`. Nothing was changed.",
        )


def _next_file(tables: Tables) -> str:
    own = tables.migrations[-1]
    # In a container the folder lies elsewhere than on the machine.
    return f"{own.folder.parent.name}/{own.folder.name}/{len(own.files()) + 1:04}_WHAT.sql"


def _show_columns(connection: psycopg.Connection, tables: Tables) -> None:
    """Make the views that show the feed's columns; new ones come last, so that what looks into a view goes on."""
    for suffix, statement in _VIEWS.items():
        found = [name for name, _ in _columns(connection, tables.relation(suffix))]
        wanted = [*(["sign"] if suffix else []), *tables.names, *PROVENANCE]
        missing = [name for name in wanted if name not in found]
        if missing:
            create = sql.SQL("create or replace" if found else "create")
            names = sql.SQL(", ").join(map(sql.Identifier, [*found, *missing]))
            connection.execute("set local lock_timeout = '10s'")
            connection.execute(tables.fill(statement, create=create, names=names))


def _columns(connection: psycopg.Connection, relation: str) -> Sequence[tuple[str, str]]:
    return connection.execute(_COLUMNS, (relation,)).fetchall()


def _column_sql(name: str, kind: str) -> sql.Composed:
    if not _KIND.fullmatch(kind):
        raise AssertionError(f"{kind!r} is no type of a column")
    return sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(kind))
