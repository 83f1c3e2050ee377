"""The roles, their settings and rights, and their databases: made, and at each start set right again.

Nobody but the administrator makes schemas, so that no role can put code where another one looks for a name.
"""

from __future__ import annotations

import psycopg
from psycopg import sql

from customer_pipeline.names import AIRFLOW, DATABASE, HISTORY, LOADER, MARTS, READER, SCHEMA_OWNERS, TRANSFORMER
from customer_pipeline.runtime.installation import Runtime

_LOGINS = (AIRFLOW, LOADER, TRANSFORMER, READER)
_TRUSTED_NAMES = "pg_catalog, pg_temp"
"""Names without a schema are PostgreSQL's own; a function is never looked for in `pg_temp`."""

_ROLE_SETTINGS = {
    # The only role in its database.
    AIRFLOW: {"search_path": "public"},
    LOADER: {"search_path": _TRUSTED_NAMES, "statement_timeout": "2h", "lock_timeout": "60s"},
    TRANSFORMER: {"search_path": _TRUSTED_NAMES, "statement_timeout": "2h", "lock_timeout": "60s"},
    READER: {
        # PostgreSQL looks for names in pg_catalog before all of these, and for a function never in pg_temp.
        "search_path": f"{MARTS}, {HISTORY}, pg_temp",
        "statement_timeout": "10min",
        "lock_timeout": "10s",
        "transaction_timeout": "1h",
        # A reader of several statements sees one state of the marts.
        "default_transaction_isolation": "repeatable read",
    },
}
"""Nothing of ours may wait for ever. What a reader's transaction may see is kept for as long as one may last."""

_EVERY_ROLE = {"client_connection_check_interval": "10s"}
"""A client that was killed must not go on in the server, where its next try would wait for it."""

_READER_CONNECTIONS = 40
"""Of the server's 100: readers can't keep a load out."""

# Every role may do these by default: hold a lock that loads wait for, write large objects and into the log of
# changes, and end a session of its own role, which may be somebody else's.
_REVOKE_FUNCTIONS = r"""
    do $body$
    declare
        found regprocedure;
    begin
        for found in
            select p.oid from pg_catalog.pg_proc as p
            where p.pronamespace = 'pg_catalog'::pg_catalog.regnamespace
                and (
                    p.proname ~ '^(lo_|pg_advisory_|pg_try_advisory_)'
                    or p.proname in (
                        'loread', 'lowrite', 'pg_logical_emit_message', 'pg_cancel_backend', 'pg_terminate_backend'
                    )
                )
                and pg_catalog.has_function_privilege('public', p.oid, 'execute')
        loop
            execute pg_catalog.format('revoke execute on function %s from public', found);
            if found::text !~ '^(pg_catalog\.)?(lo|pg_logical_)' then
                execute pg_catalog.format('grant execute on function %s to loader, transformer', found);
            end if;
        end loop;
    end $body$
"""
# What the loader and the transformer may do and ask of other sessions of this database, and nothing else: end those
# of readers, by how old they are; and when the oldest transaction began, for it may look at what was visible then.
_ADMINISTRATION = (
    "create schema if not exists administration authorization postgres",
    "revoke all on schema administration from public",
    "grant usage on schema administration to loader, transformer",
    """
    create or replace function administration.end_old_readers(older_than_seconds double precision) returns bigint
    language sql volatile security definer set search_path = pg_catalog, pg_temp
    begin atomic
        select pg_catalog.count(*) filter (where pg_catalog.pg_terminate_backend(pid))
        from pg_catalog.pg_stat_activity
        where datname = pg_catalog.current_database() and usename = 'reader'
            and xact_start < pg_catalog.clock_timestamp() - pg_catalog.make_interval(secs => older_than_seconds);
    end
    """,
    """
    create or replace function administration.oldest_transaction() returns timestamptz
    language sql volatile security definer set search_path = pg_catalog, pg_temp
    begin atomic
        select coalesce(pg_catalog.min(xact_start), 'infinity') from pg_catalog.pg_stat_activity
        where datname = pg_catalog.current_database() and backend_type = 'client backend'
            and pid <> pg_catalog.pg_backend_pid();
    end
    """,
    "revoke all on all functions in schema administration from public",
    "grant execute on all functions in schema administration to loader, transformer",
)


def make_roles_and_databases(runtime: Runtime) -> None:
    """Make what is absent, and set the passwords, settings and rights that the secrets and this file say."""
    with connect_as_administrator(runtime, "postgres") as admin:
        with admin.transaction():
            for role in _LOGINS:
                _make_role(admin, role, runtime.secrets[role])
        admin.execute("revoke all on database postgres, template1 from public")
        _make_database(admin, "airflow", "airflow")
    make_warehouse(runtime, DATABASE)


def make_warehouse(runtime: Runtime, database: str) -> None:
    """Make a database with the schemas and rights of the warehouse, as far as they are absent."""
    name = sql.Identifier(database)
    with connect_as_administrator(runtime, "postgres") as admin:
        _make_database(admin, database, "postgres")
        with admin.transaction():
            admin.execute(sql.SQL("revoke all on database {} from loader, transformer, reader").format(name))
            admin.execute(sql.SQL("grant connect on database {} to loader, transformer, reader").format(name))
            # dbt runs unit tests in temporary tables, rejects come in through one, and analysts work with some.
            admin.execute(sql.SQL("grant temporary on database {} to loader, transformer, reader").format(name))
            # For those who sign in as the administrator by hand.
            administrator = sql.SQL("alter role postgres in database {} set search_path = {}")
            admin.execute(administrator.format(name, sql.SQL(_TRUSTED_NAMES)))
    with connect_as_administrator(runtime, database) as admin, admin.transaction():
        admin.execute("revoke all on schema public from public")
        for schema, owner in SCHEMA_OWNERS.items():
            parts = {"schema": sql.Identifier(schema), "owner": sql.Identifier(owner)}
            admin.execute(sql.SQL("create schema if not exists {schema} authorization {owner}").format(**parts))
            # Earlier releases let the roles make them.
            admin.execute(sql.SQL("alter schema {schema} owner to {owner}").format(**parts))
        # Readers see what was tested and published, and not where dbt builds.
        admin.execute("revoke all on schema analytics_dbt_staging from reader")
        admin.execute("grant usage on schema analytics, analytics_history to reader")
        admin.execute(
            "alter default privileges for role transformer in schema analytics, analytics_history"
            " grant select on tables to reader"
        )
        for statement in (_REVOKE_FUNCTIONS, *_ADMINISTRATION):
            admin.execute(statement)


def connect_as_administrator(runtime: Runtime, database: str) -> psycopg.Connection:
    """Connect as the administrator, who must not find a name in anybody's schema either."""
    options = "-c search_path=pg_catalog,pg_temp"
    return psycopg.connect(runtime.dsn("postgres", database), autocommit=True, options=options)


def _make_database(admin: psycopg.Connection, database: str, owner: str) -> None:
    name = sql.Identifier(database)
    if not admin.execute("select 1 from pg_database where datname = %s", (database,)).fetchone():
        admin.execute(sql.SQL("create database {} owner {}").format(name, sql.Identifier(owner)))
    admin.execute(sql.SQL("revoke all on database {} from public").format(name))


def _make_role(admin: psycopg.Connection, role: str, password: str) -> None:
    """Make a role, or take back what it may have changed of itself: its password, and its settings anywhere."""
    name = sql.Identifier(role)
    if not admin.execute("select 1 from pg_roles where rolname = %s", (role,)).fetchone():
        admin.execute(sql.SQL("create role {} login").format(name))
    statement = sql.SQL("alter role {} with login nosuperuser nocreatedb nocreaterole noreplication password {}")
    admin.execute(statement.format(name, sql.Literal(password)))
    if role == "reader":
        admin.execute(sql.SQL("alter role reader connection limit {}").format(sql.Literal(_READER_CONNECTIONS)))
    admin.execute(sql.SQL("alter role {} reset all").format(name))
    in_databases = (
        "select d.datname from pg_db_role_setting as s inner join pg_database as d on s.setdatabase = d.oid"
        " where s.setrole = (select oid from pg_roles where rolname = %s)"
    )
    for (database,) in admin.execute(in_databases, (role,)).fetchall():
        admin.execute(sql.SQL("alter role {} in database {} reset all").format(name, sql.Identifier(database)))
    for setting, value in (_EVERY_ROLE | _ROLE_SETTINGS[role]).items():
        values = sql.SQL(", ").join(map(sql.Literal, value.split(", ")))
        admin.execute(sql.SQL("alter role {} set {} = {}").format(name, sql.Identifier(setting), values))
