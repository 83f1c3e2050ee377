"""What each role may do in a warehouse that holds data: the rights of the page on security."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from audited_load.errors import RefusedError
from audited_load.warehouse.connection import connect
from audited_load.warehouse.create import create_tables
from audited_load.warehouse.operations import create_operations
from audited_load.warehouse.readers import end_old_readers
from customer_pipeline.names import SCHEMA_OWNERS
from customer_pipeline.runtime.installation import Runtime
from customer_pipeline.runtime.roles import make_roles_and_databases
from customer_pipeline.tasks import task_warehouse as warehouse
from integration.loading import HEADER, TABLES, load_file

Dsn = Callable[[str], str]
RAW = (
    "select * from cleaned_data.customer_transactions_rejected",
    "select * from cleaned_data.customer_transactions_rejected_by_load",
    "select * from cleaned_data.customer_transactions_rejected_closed",
)
WRITES = (
    "update cleaned_data.customer_transactions_generations set price = 0",
    "insert into cleaned_data.published (generation, load_id) values (1, 1)",
    "delete from cleaned_data.loads",
    "truncate cleaned_data.customer_transactions_generations",
    "drop table cleaned_data.loads",
    "create table cleaned_data.mine (a int)",
    "create or replace view cleaned_data.customer_transactions as select 1",
)


@pytest.fixture
def loaded(dsn: Dsn, tmp_path: Path) -> Dsn:
    file = tmp_path / "a.csv"
    file.write_text(HEADER + "1,5,2024-01-02,7,Thing,2,1.10,0.05\n2,5,never,7,Thing,2,1.10,0.05\n")
    load_file(dsn("loader"), file, "run-1")
    return dsn


@pytest.mark.parametrize("statement", [*RAW, *WRITES])
@pytest.mark.parametrize("role", ["transformer", "reader"])
def test_only_the_loader_reads_raw_text_and_writes_cleaned_data(loaded: Dsn, role: str, statement: str) -> None:
    with (
        psycopg.connect(loaded(role), autocommit=True) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(statement)  # type: ignore[call-overload]


@pytest.mark.parametrize("role", ["loader", "transformer", "reader"])
@pytest.mark.parametrize(
    "statement",
    [
        "copy (select 1) to '/tmp/out'",
        "copy (select 1) to program 'id'",
        "select pg_read_file('/etc/passwd')",
        "select lo_import('/etc/passwd')",
        "create extension file_fdw schema pg_catalog",
        "alter system set listen_addresses = '*'",
        "set role postgres",
        "select rolpassword from pg_authid",
        "create role mine",
    ],
)
def test_no_role_of_the_pipeline_reaches_the_machine_or_another_role(
    loaded: Dsn, role: str, statement: str
) -> None:
    with (
        psycopg.connect(loaded(role), autocommit=True) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(statement)  # type: ignore[call-overload]


@pytest.mark.parametrize("role", ["loader", "transformer", "reader"])
def test_no_role_makes_a_schema_or_anything_in_one_of_another(loaded: Dsn, role: str) -> None:
    foreign = [
        "public",
        "pg_catalog",
        "administration",
        *(name for name, owner in SCHEMA_OWNERS.items() if owner != role),
    ]
    statements = [
        "create schema mine",
        f"create schema {role}",
        *(f"create function {schema}.now() returns int return 1" for schema in foreign),
        *(f"create table {schema}.mine (a int)" for schema in foreign),
        "create cast (text as date) with inout",
        "create operator pg_catalog.=== (leftarg = int, rightarg = int, function = int4eq)",
        "create event trigger mine on ddl_command_start execute function suppress_redundant_updates_trigger()",
        "alter role loader set search_path = mine"
        if role != "loader"
        else "alter role reader set work_mem = '1GB'",
    ]
    with psycopg.connect(loaded(role), autocommit=True) as connection:
        for statement in statements:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)  # type: ignore[call-overload]


@pytest.mark.parametrize("role", ["transformer", "reader"])
@pytest.mark.parametrize(
    "statement",
    [
        "create trigger mine before insert on operations.dbt_test_results"
        " for each row execute function suppress_redundant_updates_trigger()",
        "create rule mine as on insert to operations.dbt_test_results do also select 1",
        "create policy mine on cleaned_data.loads",
        "create index on cleaned_data.loads (run_id)",
        "create statistics analytics.mine on load_id, run_id from cleaned_data.loads",
        "alter table cleaned_data.loads alter column run_id set default now()",
        "alter view cleaned_data.customer_transactions set (security_invoker = true)",
        "alter default privileges for role loader grant all on tables to public",
        "alter role loader password 'mine'",
        "grant loader to current_user",
        "set session authorization loader",
    ],
)
def test_nobody_puts_code_into_what_a_more_trusted_role_owns(loaded: Dsn, role: str, statement: str) -> None:
    with connect(loaded("loader")) as connection:
        create_operations(connection, TABLES, ("transformer", "reader"), ("transformer",))
    with (
        psycopg.connect(loaded(role), autocommit=True) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(statement)  # type: ignore[call-overload]


def test_the_loader_can_use_nothing_of_the_transformers_and_a_reader_owns_nothing(loaded: Dsn) -> None:
    with psycopg.connect(loaded("postgres")) as admin:
        used = admin.execute(
            "select n.nspname from pg_namespace as n where has_schema_privilege('loader', n.oid, 'usage')"
            " and n.nspowner not in ('loader'::regrole, 'postgres'::regrole)"
        ).fetchall()
        (owned,) = admin.execute(
            "select count(*) from pg_shdepend where refobjid = 'reader'::regrole and deptype = 'o'"
        ).fetchone() or (None,)
    assert used == []
    assert owned == 0


def test_names_without_a_schema_are_postgresqls_own(loaded: Dsn) -> None:
    for role in ("loader", "transformer", "postgres"):
        with psycopg.connect(loaded(role), autocommit=True) as connection:
            assert connection.execute("show search_path").fetchone() == ("pg_catalog, pg_temp",)
    with psycopg.connect(loaded("reader")) as reader:
        reader.execute("create temporary table pg_roles (a int)")
        reader.execute("create function pg_temp.now() returns int return 1")
        found = "select current_schemas(true), pg_typeof(now())::text, count(rolname) > 0 from pg_roles"
        schemas, kind, is_ours = reader.execute(found).fetchone() or ([], "", False)
    assert schemas[:-1] == ["pg_catalog", "analytics", "analytics_history"]
    assert (kind, is_ours) == ("timestamp with time zone", True)


@pytest.mark.parametrize(
    "statement",
    [
        "select pg_advisory_lock(1)",
        "select pg_advisory_lock_shared(1)",
        "select pg_advisory_xact_lock(1, 2)",
        "select pg_try_advisory_lock(hashtext('cleaned_data'))",
        "select lo_create(0)",
        "select lo_creat(-1)",
        "select lo_from_bytea(0, 'x')",
        "select pg_logical_emit_message(false, 'x', 'y')",
        "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'reader'",
        "select pg_cancel_backend(pg_backend_pid())",
        "select administration.end_old_readers(0)",
        "lock table cleaned_data.loads in row exclusive mode",
        "lock table cleaned_data.customer_transactions in share mode",
        "select * from cleaned_data.published_load for share",
    ],
)
def test_a_reader_holds_no_lock_that_a_load_waits_for_and_writes_nothing(loaded: Dsn, statement: str) -> None:
    with (
        psycopg.connect(loaded("reader")) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(statement)  # type: ignore[call-overload]


def test_what_a_role_changes_of_itself_is_set_right_by_the_next_start(dsn: Dsn, runtime: Runtime) -> None:
    with psycopg.connect(dsn("reader"), autocommit=True) as reader:
        for statement in (
            "alter role reader password 'mine'",
            "alter role reader set search_path = mine",
            "alter role reader in database ebury set transaction_timeout = 0",
            "alter role reader set work_mem = '1GB'",
        ):
            reader.execute(statement)  # type: ignore[call-overload]
    make_roles_and_databases(runtime)
    with psycopg.connect(dsn("reader")) as reader:
        settings = ("search_path", "transaction_timeout", "work_mem")
        shown = [reader.execute(sql.SQL("show {}").format(sql.Identifier(name))).fetchone() for name in settings]
    assert shown == [("analytics, analytics_history, pg_temp",), ("1h",), ("64MB",)]


def test_rights_of_an_earlier_release_are_taken_back_at_the_next_start(dsn: Dsn, runtime: Runtime) -> None:
    with psycopg.connect(dsn("postgres"), autocommit=True) as admin:
        admin.execute("grant create on database ebury to loader, transformer")
        admin.execute("grant execute on function lo_create(oid), pg_advisory_lock(bigint) to public")
        admin.execute("alter schema operations owner to transformer")
    make_roles_and_databases(runtime)
    for role, statement in (
        ("loader", "create schema mine"),
        ("transformer", "create schema mine"),
        ("transformer", "create table operations.mine (a int)"),
        ("reader", "select lo_create(0)"),
        ("reader", "select pg_advisory_lock(1)"),
    ):
        with (
            psycopg.connect(dsn(role), autocommit=True) as connection,
            pytest.raises(psycopg.errors.InsufficientPrivilege),
        ):
            connection.execute(statement)  # type: ignore[call-overload]


def test_readers_leave_connections_for_the_loads(dsn: Dsn) -> None:
    with psycopg.connect(dsn("postgres")) as admin:
        row = admin.execute(
            "select rolconnlimit, current_setting('max_connections'), current_setting('max_notify_queue_pages')"
            " from pg_roles where rolname = 'reader'"
        ).fetchone()
    assert row == (40, "100", "64")


@pytest.mark.parametrize("role", ["loader", "transformer", "postgres"])
def test_a_reader_that_is_older_than_its_limit_is_ended_and_no_other(loaded: Dsn, role: str) -> None:
    with (
        psycopg.connect(loaded("reader")) as old,
        psycopg.connect(loaded("loader")) as loader,
        connect(loaded(role)) as connection,
    ):
        for session in (old, loader):
            if session is old:
                session.execute("set transaction_timeout = 0")
            session.execute("select 1")
        assert end_old_readers(connection, 3600) == 0
        old.execute("select 1")
        connection.execute("select pg_sleep(0.01)")
        assert end_old_readers(connection, 0.001) == 1
        with pytest.raises(psycopg.OperationalError):
            old.execute("select 1")
        loader.execute("select 1")


def test_a_load_ends_readers_that_are_too_old_and_holds_no_lease_yet(
    loaded: Dsn, runtime: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = f"127.0.0.1:{runtime.postgres_port}/ebury"
    monkeypatch.setenv("AIRFLOW_CONN_POSTGRES_DEFAULT", f"postgresql://loader:{runtime.secrets['loader']}@{place}")
    monkeypatch.setenv("PIPELINE_DATA", str(tmp_path))
    monkeypatch.setattr(warehouse, "READER_TRANSACTION_SECONDS", 0)
    with psycopg.connect(loaded("reader")) as old:
        old.execute("set transaction_timeout = 0")
        old.execute("select 1 from cleaned_data.customer_transactions")
        warehouse.make_tables("test")
        with pytest.raises(psycopg.OperationalError):
            old.execute("select 1")
    with psycopg.connect(loaded("loader")) as loader:
        assert loader.execute("select count(*) from cleaned_data.lease").fetchone() == (0,)


def test_before_the_first_start_with_this_release_no_reader_is_ended_and_nothing_fails(
    loaded: Dsn, runtime: Runtime
) -> None:
    with psycopg.connect(loaded("postgres"), autocommit=True) as admin:
        admin.execute("drop schema administration cascade")
    with connect(loaded("loader")) as connection:
        assert end_old_readers(connection, 0) == 0
    make_roles_and_databases(runtime)


def test_a_schema_that_is_not_there_is_a_refusal_with_the_way_to_it(dsn: Dsn) -> None:
    with psycopg.connect(dsn("postgres"), autocommit=True) as admin:
        admin.execute("drop schema cleaned_data cascade")
    with (
        connect(dsn("loader")) as connection,
        pytest.raises(RefusedError, match="cleaned_data is not there"),
    ):
        create_tables(connection, TABLES, ())


def test_the_server_logs_no_row_of_a_statement_that_fails(loaded: Dsn, runtime: Runtime) -> None:
    log = runtime.home / "postgres.log"
    with psycopg.connect(loaded("loader"), autocommit=True) as connection:
        connection.execute("create temporary table mine (a text primary key, b int check (b > 0))")
        for statement in (
            "insert into mine values ('secret-4711', 1), ('secret-4711', 2)",
            "insert into mine values ('secret-4712', -1)",
        ):
            with pytest.raises(psycopg.errors.IntegrityError):
                connection.execute(statement)  # type: ignore[call-overload]
        with (
            pytest.raises(psycopg.errors.InvalidTextRepresentation),
            connection.cursor().copy("copy mine from stdin") as copy,
        ):
            copy.write("secret-4713\tx\n")
    text = log.read_text()
    assert "violates" in text
    assert "secret-471" not in text


def test_the_server_listens_on_this_machine_only(runtime: Runtime) -> None:
    with psycopg.connect(runtime.dsn("postgres"), autocommit=True) as connection:
        assert connection.execute("show listen_addresses").fetchone() == ("127.0.0.1",)
        assert connection.execute("show unix_socket_directories").fetchone() == ("",)
        rules = connection.execute("select distinct auth_method from pg_hba_file_rules").fetchall()
    assert rules == [("scram-sha-256",)]
