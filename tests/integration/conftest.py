"""A real PostgreSQL for the integration tests: the embedded one, with the pipeline's own roles."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from customer_pipeline.names import OPERATIONS, SCHEMA_OWNERS
from customer_pipeline.runtime.installation import Runtime, free_port, read_runtime
from customer_pipeline.runtime.postgres_server import (
    locate_server,
    make_cluster,
    server_command,
    wait_for_server,
)
from customer_pipeline.runtime.roles import make_roles_and_databases


@pytest.fixture(scope="session")
def runtime() -> Iterator[Runtime]:
    with running_server() as runtime:
        yield runtime


@contextmanager
def running_server(**settings: str) -> Iterator[Runtime]:
    """Start a PostgreSQL of its own, with the pipeline's roles and databases, and remove it after the block."""
    home = Path(tempfile.mkdtemp(prefix="customer-pipeline-test-"))
    home.chmod(0o755)
    runtime = read_runtime({"PIPELINE_HOME": str(home), "POSTGRES_PORT": str(free_port())})
    server = locate_server(runtime)
    make_cluster(server, runtime.secrets["postgres"])
    command = [*server_command(server, runtime.postgres_port, **settings), "-c", "fsync=off"]
    who = {}
    if server.user:
        entry = pwd.getpwnam(server.user)
        who = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    log = (home / "postgres.log").open("w")
    process = subprocess.Popen(command, stdout=log, stderr=log, cwd="/", **who)
    try:
        wait_for_server(runtime)
        make_roles_and_databases(runtime)
        yield runtime
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=60)
        shutil.rmtree(home, ignore_errors=True)
        if os.geteuid() == 0 and server.data.parent.name == runtime.identity:
            shutil.rmtree(server.data.parent, ignore_errors=True)


@pytest.fixture
def dsn(runtime: Runtime) -> Callable[[str], str]:
    """Connection strings, by role, of an `ebury` without cleaned data and without marts."""
    empty_warehouse(runtime)
    return runtime.dsn


def empty_warehouse(runtime: Runtime) -> None:
    with psycopg.connect(runtime.dsn("postgres"), autocommit=True) as admin:
        for schema in SCHEMA_OWNERS.keys() - {OPERATIONS}:
            admin.execute(sql.SQL("drop schema if exists {} cascade").format(sql.Identifier(schema)))
    make_roles_and_databases(runtime)
