"""The embedded PostgreSQL: rights of the roles, second start, stale pid, folders that it can't reach."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from audited_load.warehouse.connection import locked
from customer_pipeline.runtime import postgres_server
from customer_pipeline.runtime.installation import Runtime, port_is_taken, read_runtime
from customer_pipeline.runtime.postgres_server import (
    Server,
    clear_stale_pid,
    locate_server,
    make_cluster,
    run_as,
    server_command,
    wait_for_server,
)
from customer_pipeline.runtime.roles import make_roles_and_databases
from customer_pipeline.runtime.services import stop_services

Dsn = Callable[[str], str]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that PostgreSQL's user may enter, unlike `tmp_path`."""
    path = Path(tempfile.mkdtemp(prefix="customer-pipeline-test-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


def as_user(server: Server) -> dict[str, Any]:
    entry = pwd.getpwnam(server.user) if server.user else None
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []} if entry else {}


def start(runtime: Runtime) -> subprocess.Popen[bytes]:
    server = locate_server(runtime)
    make_cluster(server, runtime.secrets["postgres"])
    clear_stale_pid(server)
    command = server_command(server, runtime.postgres_port, fsync="off")
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/", **as_user(server)
    )
    wait_for_server(runtime, 30, lambda: process.poll() is not None)
    return process


def stop(process: subprocess.Popen[bytes], number: int = signal.SIGINT) -> None:
    process.send_signal(number)
    process.wait(timeout=30)


def test_a_killed_task_does_not_go_on_in_the_server_where_its_next_try_would_wait_for_it(dsn: Dsn) -> None:
    program = f"""
import psycopg
from audited_load.warehouse.connection import locked
with psycopg.connect({dsn("loader")!r}, autocommit=True) as connection, locked(connection, "of a killed task"):
    print("ready", flush=True)
    connection.execute("select pg_sleep(600)")
"""
    task = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert task.stdout
    assert task.stdout.readline() == b"ready\n"
    task.kill()
    task.communicate()
    with psycopg.connect(dsn("loader"), autocommit=True) as connection:
        connection.execute("set lock_timeout = '60s'")
        with locked(connection, "of a killed task"):
            pass


@pytest.mark.parametrize("role", ["airflow", "loader", "transformer", "reader"])
def test_no_role_of_the_pipeline_is_privileged(dsn: Dsn, role: str) -> None:
    with psycopg.connect(dsn("postgres")) as connection:
        rights = "rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls"
        row = connection.execute(f"select {rights} from pg_roles where rolname = %s", (role,)).fetchone()  # noqa: S608
    assert row == (False,) * 5


def test_the_warehouse_and_airflows_database_keep_each_others_roles_out(dsn: Dsn, runtime: Runtime) -> None:
    with pytest.raises(psycopg.OperationalError, match="permission denied"):
        psycopg.connect(dsn("airflow"))
    for role in ("loader", "transformer", "reader"):
        with pytest.raises(psycopg.OperationalError, match="permission denied"):
            psycopg.connect(runtime.dsn(role, "airflow"))


def test_a_password_is_asked_for(dsn: Dsn) -> None:
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(dsn("loader"), password="wrong")


def test_a_reader_makes_nothing_and_sees_no_table_of_the_loader(dsn: Dsn) -> None:
    with psycopg.connect(dsn("loader"), autocommit=True) as loader:
        loader.execute("create table cleaned_data.raw (a int)")
    with psycopg.connect(dsn("transformer"), autocommit=True) as transformer:
        transformer.execute("create table analytics_dbt_staging.mart as select 1 as a")
        transformer.execute("create table analytics_sets.mart as select 1 as a")
    with psycopg.connect(dsn("reader"), autocommit=True) as reader:
        for statement in (
            "create schema mine",
            "create table public.mine (a int)",
            "create table analytics_dbt_staging.mine (a int)",
            "create table analytics.mine (a int)",
            "select * from cleaned_data.raw",
            "select * from analytics_dbt_staging.mart",
            "select * from analytics_sets.mart",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                reader.execute(statement)


def test_a_reader_sees_new_marts_in_one_snapshot(dsn: Dsn) -> None:
    with psycopg.connect(dsn("transformer"), autocommit=True) as transformer:
        transformer.execute("create view analytics.mart as select 1 as a")
    with psycopg.connect(dsn("reader")) as reader:
        assert reader.execute("show transaction_isolation").fetchone() == ("repeatable read",)
        assert reader.execute("select a from analytics.mart").fetchone() == (1,)


def test_nobody_of_ours_waits_for_ever(dsn: Dsn) -> None:
    expected = {"loader": ("2h", "1min", "0"), "transformer": ("2h", "1min", "0"), "reader": ("10min", "10s", "1h")}
    for role, limits in expected.items():
        with psycopg.connect(dsn(role)) as connection:
            found = [
                (connection.execute(f"show {name}").fetchone() or ("",))[0]  # type: ignore[call-overload]
                for name in ("statement_timeout", "lock_timeout", "transaction_timeout")
            ]
        assert tuple(found) == limits


def test_after_a_kill_and_with_a_recycled_pid_it_starts_with_its_data(folder: Path) -> None:
    runtime = read_runtime({"PIPELINE_HOME": str(folder)})
    process = start(runtime)
    try:
        make_roles_and_databases(runtime)
        with psycopg.connect(runtime.dsn("loader")) as loader:
            loader.execute("create table cleaned_data.kept (a int)")
    finally:
        stop(process, signal.SIGQUIT)  # ends at once, without a checkpoint
    server = locate_server(runtime)
    # A living process of the same user that is not a PostgreSQL: only that keeps it from starting on its own.
    with subprocess.Popen(["sleep", "60"], **as_user(server)) as stranger:
        (server.data / "postmaster.pid").write_text(f"{stranger.pid}\n{server.data}\n")
        try:
            process = start(runtime)
        finally:
            stranger.kill()
    try:
        make_roles_and_databases(runtime)
        with psycopg.connect(runtime.dsn("postgres")) as connection:
            found = connection.execute("select 1 from pg_class where relname = 'kept'").fetchone()
        assert found == (1,)
    finally:
        stop(process)
    assert not port_is_taken(runtime.postgres_port)


def test_a_changed_secret_is_the_password_after_the_next_start(runtime: Runtime) -> None:
    with psycopg.connect(runtime.dsn("postgres"), autocommit=True) as admin:
        admin.execute("alter role reader password 'changed by hand'")
    make_roles_and_databases(runtime)
    psycopg.connect(runtime.dsn("reader")).close()


def test_an_interrupted_initdb_is_made_anew(folder: Path) -> None:
    runtime = read_runtime({"PIPELINE_HOME": str(folder)})
    server = locate_server(runtime)
    server.data.mkdir(exist_ok=True)
    (server.data / "half").write_text("")
    make_cluster(server, runtime.secrets["postgres"])
    assert (server.data / "cluster.ready").exists()
    assert not (server.data / "half").exists()


def test_in_a_closed_folder_an_owner_needs_nothing_and_root_lives_elsewhere_and_stays_there(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(postgres_server, "SHARED", folder / "shared")
    home = folder / "closed" / "clone"
    home.mkdir(parents=True)
    home.parent.chmod(0o700)
    runtime = read_runtime({"PIPELINE_HOME": str(home)})
    server = locate_server(runtime)
    if os.geteuid() != 0:
        assert (server.user, server.data) == (None, runtime.folder / "postgres")
        return
    assert str(server.data) in capsys.readouterr().out
    assert (runtime.folder / "postgres.location").read_text().strip() == str(server.data)
    assert server.data.is_relative_to(folder / "shared" / runtime.identity)
    assert run_as(server.user, [str(server.binaries / "initdb"), "--version"]).returncode == 0
    home.parent.chmod(0o755)
    assert locate_server(runtime) == server


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's PostgreSQL lives outside the clone")
def test_clean_removes_the_folder_of_this_clone_outside_it_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_server, "SHARED", tmp_path / "shared")
    home = tmp_path / "clone"
    home.mkdir()
    runtime = read_runtime({"PIPELINE_HOME": str(home)})
    ours, others = tmp_path / "shared" / runtime.identity / "postgres", tmp_path / "shared" / "other" / "postgres"
    for folder in (ours, others):
        folder.mkdir(parents=True)
    stop_services(runtime)
    assert ours.exists()
    stop_services(runtime, with_data=True)
    assert not ours.parent.exists()
    assert others.exists()
