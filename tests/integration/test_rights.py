"""What each role may do in a warehouse that holds data: the rights of the page on security."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from customer_pipeline.settings import Runtime
from integration.loading import HEADER, load_file

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
