"""A connection to the warehouse, and the locks that are held through it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress

import psycopg

from audited_load.errors import PipelineError
from audited_load.warehouse.refusal import as_pipeline_error, quotes_no_value
from audited_load.warehouse.tables import Tables

_HOLDERS = """
    select virtualtransaction from pg_locks
    where relation = any(%s::text[]::regclass[]) and mode = 'AccessShareLock' and pid <> pg_backend_pid()
        and database = (select oid from pg_database where datname = current_database())
"""

# A client whose machine is gone is noticed after a minute, not after hours: others wait for what it holds.
_NOTICED = "set tcp_keepalives_idle = 30; set tcp_keepalives_interval = 10; set tcp_keepalives_count = 3"


@contextmanager
def connect(dsn: str) -> Iterator[psycopg.Connection]:
    """Connect in autocommit mode, and turn the driver's errors into the pipeline's.

    Raises:
        UnavailableError: The server is away, restarts, is out of room, or a lock was not to be had.
        BadDataError: The data breaks a constraint of the table.
        RefusedError: Tables, rights or the server are not what the code expects.
    """
    try:
        with psycopg.connect(dsn, autocommit=True, connect_timeout=10) as connection:
            yield connection
    except PipelineError:
        raise
    except psycopg.Error as error:
        raise as_pipeline_error(error) from (error if quotes_no_value(error) else None)


def exclusive(connection: psycopg.Connection, tables: Tables) -> AbstractContextManager[None]:
    """Keep other connections away from the incoming table while the block runs: to empty, audit or publish it.

    The lease can't do it: a server goes on for a while with what a killed client had asked for.
    """
    return locked(connection, tables.relation("_incoming"))


@contextmanager
def shared(connection: psycopg.Connection, tables: Tables) -> Iterator[None]:
    """Run the block in a transaction that fills the incoming table: beside others, but while none is `exclusive`.

    It waits longer than other steps do: for a whole audit, or for another attempt at the same piece.
    """
    with connection.transaction():
        connection.execute("set local lock_timeout = '1h'")
        connection.execute(_NOTICED)
        statement = "select pg_catalog.pg_advisory_xact_lock_shared(pg_catalog.hashtext(%s))"
        connection.execute(statement, (tables.relation("_incoming"),))
        yield


@contextmanager
def locked(connection: psycopg.Connection, name: str, busy: PipelineError | None = None) -> Iterator[None]:
    """Hold an advisory lock while the block runs; with the connection, it is gone, too.

    Args:
        connection: In autocommit mode.
        name: Of the lock.
        busy: Raised if another connection holds it; None to wait until it is free.
    """
    connection.execute(_NOTICED)
    ask = "pg_advisory_lock" if busy is None else "pg_try_advisory_lock"
    had = connection.execute(f"select pg_catalog.{ask}(pg_catalog.hashtext(%s))", (name,)).fetchone()
    if busy and had == (False,):
        raise busy
    try:
        yield
    finally:
        with suppress(psycopg.OperationalError):
            connection.execute("select pg_catalog.pg_advisory_unlock(pg_catalog.hashtext(%s))", (name,))


def wait_for_planned(connection: psycopg.Connection, relations: Sequence[str], seconds: float = 2) -> None:
    """Wait until whoever uses relations now has ended, but not for long.

    A query that was planned before a partition was attached would find nothing in it. Between its planning and its
    look at the pointer, a query holds a lock on the partitioned table; so after this, all that come know the
    partition. Whoever holds the lock for longer has looked already.

    Args:
        connection: Any, in autocommit mode.
        relations: Names, for a cast to `regclass`.
        seconds: How long to wait at most.
    """
    deadline = time.monotonic() + seconds
    found = {row[0] for row in connection.execute(_HOLDERS, (list(relations),))}
    while found and time.monotonic() < deadline:
        time.sleep(0.005)
        found &= {row[0] for row in connection.execute(_HOLDERS, (list(relations),))}
