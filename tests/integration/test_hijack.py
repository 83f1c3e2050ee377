"""Code that one role puts where another looks for a name is not run: a trap in each place of an older warehouse."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from audited_load.erasing.everywhere import Places, erase_everywhere
from audited_load.warehouse.connection import connect
from audited_load.warehouse.operations import create_operations
from audited_load.warehouse.readers import end_old_readers
from customer_pipeline.feed import MARTS
from customer_pipeline.runtime.installation import Runtime
from customer_pipeline.runtime.roles import make_roles_and_databases
from integration.loading import HEADER, TABLES, load_file, write_csv

Dsn = Callable[[str], str]

# As a role's own schema, which `search_path` named before, and the one that everybody has.
PLACES = ("loader", "transformer", "reader", "postgres", "public")
# Each takes its arguments as they are, so it is chosen before PostgreSQL's own, which would have to convert them.
FUNCTIONS = {
    "pg_advisory_lock(integer)": ("void", "perform pg_catalog.pg_advisory_lock($1::bigint);"),
    "pg_advisory_unlock(integer)": ("boolean", "return pg_catalog.pg_advisory_unlock($1::bigint);"),
    "pg_advisory_xact_lock(integer)": ("void", "perform pg_catalog.pg_advisory_xact_lock($1::bigint);"),
    "to_regclass(pg_catalog.text, integer default 0)": ("regclass", "return pg_catalog.to_regclass($1);"),
    "int_is_text(integer, pg_catalog.text)": ("boolean", "return $1::pg_catalog.text = $2;"),
    "make_interval(secs integer)": ("interval", "return pg_catalog.make_interval(secs => $1);"),
}
TRAP = """
    create function {place}.{function} returns {returns} language plpgsql as $$ begin
        insert into traps.loot values (current_user);
        {body}
    end $$
"""
SHADOWS = """
    create operator {place}.= (leftarg = int, rightarg = pg_catalog.text, function = {place}.int_is_text);
    create function {place}.to_domain(pg_catalog.text) returns integer language plpgsql as $$ begin
        insert into traps.loot values (current_user);
        return 1;
    end $$;
    create domain {place}.text as pg_catalog.text check ({place}.to_domain(value) = 1);
    create view {place}.pg_roles as select 'reader'::pg_catalog.name as rolname, {place}.to_domain('x') as trap;
    create view {place}.pg_proc as select *, {place}.to_domain('x') as trap from pg_catalog.pg_proc;
    grant select on {place}.pg_roles, {place}.pg_proc to public;
"""


@pytest.fixture
def trapped(dsn: Dsn, runtime: Runtime) -> Iterator[Dsn]:
    """A warehouse of an earlier release, in which roles made schemas with the name of a victim."""
    with psycopg.connect(dsn("postgres"), autocommit=True) as admin:
        admin.execute("create schema traps")
        admin.execute("create table traps.loot (who name)")
        admin.execute("grant usage on schema traps to public")
        admin.execute("grant insert on traps.loot to public")
        for name in PLACES:
            place = sql.Identifier(name)
            admin.execute(sql.SQL("create schema if not exists {}").format(place))
            admin.execute(sql.SQL("grant usage on schema {} to public").format(place))
            for function, (returns, body) in FUNCTIONS.items():
                parts = {"function": function, "returns": returns, "body": body}
                texts = {part: sql.SQL(text) for part, text in parts.items()}  # type: ignore[arg-type]
                admin.execute(sql.SQL(TRAP).format(place=place, **texts))
            admin.execute(sql.SQL(SHADOWS).format(place=place))
    make_roles_and_databases(runtime)
    yield dsn
    with psycopg.connect(dsn("postgres"), autocommit=True) as admin:
        for name in ("traps", *PLACES):
            admin.execute(sql.SQL("drop schema {} cascade").format(sql.Identifier(name)))
        admin.execute("create schema public authorization pg_database_owner")
    make_roles_and_databases(runtime)


def caught(dsn: Dsn) -> set[str]:
    with psycopg.connect(dsn("postgres")) as admin:
        return {row[0] for row in admin.execute("select who from traps.loot")}


def test_no_role_runs_what_another_put_where_it_looks_for_names(
    trapped: Dsn, runtime: Runtime, tmp_path: Path
) -> None:
    for number, mode in enumerate(("replace", "replace", "merge")):
        file = tmp_path / f"{number}.csv"
        file.write_text(HEADER + f"{number},5,2024-01-02,7,Thing,2,1.10,0.05\n9,5,never,7,Thing,2,1.10,0.05\n")
        load_file(trapped("loader"), file, f"run-{number}", mode=mode, force=True, day=number + 1)
    with connect(trapped("loader")) as connection:
        create_operations(connection, TABLES, ("transformer", "reader"), ("transformer",))
        end_old_readers(connection, 3600)
    make_roles_and_databases(runtime)
    for role in ("transformer", "reader"):
        with psycopg.connect(trapped(role), autocommit=True) as connection:
            connection.execute("select * from cleaned_data.customer_transactions")
            connection.execute("select * from operations.rejected_shapes")
    assert caught(trapped) == set()


def test_the_traps_snap_where_they_are_looked_into(trapped: Dsn) -> None:
    for role in ("loader", "transformer", "postgres"):
        with psycopg.connect(trapped(role), autocommit=True) as connection:
            connection.execute('set search_path = "$user", pg_catalog')
            connection.execute("select pg_advisory_lock(hashtext(%s))", ("x",))
            connection.execute("select trap from pg_roles")
    assert caught(trapped) == {"loader", "transformer", "postgres"}


def test_looking_for_a_customer_runs_no_code_of_another_role(dsn: Dsn, tmp_path: Path) -> None:
    """A column that is text by a cast of its owner's: whoever reads it as text runs the cast."""
    load_file(dsn("loader"), write_csv(tmp_path / "a.csv", range(5)), "run-1")
    with psycopg.connect(dsn("transformer"), autocommit=True) as transformer:
        for statement in (
            "create type analytics_sets.trap as (x int)",
            """
            create function analytics_sets.spring(analytics_sets.trap) returns text language plpgsql as $$ begin
                if (select rolsuper from pg_catalog.pg_roles where rolname = current_user) then
                    execute 'alter role transformer superuser';
                end if;
                return 'harmless';
            end $$
            """,
            "create cast (analytics_sets.trap as text) with function analytics_sets.spring(analytics_sets.trap)",
            "create table analytics_sets.bait (customer_id analytics_sets.trap)",
            "insert into analytics_sets.bait values (row(1))",
        ):
            transformer.execute(statement)
    places = Places(dsn, TABLES, MARTS, tmp_path, (), "key", list, lambda _: None, 1, settling_seconds=0)
    erase_everywhere(places, 3, "a test")
    with psycopg.connect(dsn("postgres"), autocommit=True) as admin:
        found = admin.execute("select rolsuper from pg_roles where rolname = 'transformer'").fetchone()
        admin.execute("alter role transformer nosuperuser")
    assert found == (False,)
