"""The lease: one run at a time may write, and a run that died gives way.

A row, not a session lock: it spans the tasks of a run, each of which has a connection of its own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg

from audited_load.errors import BadDataError, RefusedError, UnavailableError
from audited_load.warehouse.tables import Tables

LEASE_SECONDS = 60
HEARTBEAT_SECONDS = 15


def acquire_lease(connection: psycopg.Connection, tables: Tables, run_id: str, wait_seconds: float) -> None:
    """Take the lease for a run, or renew it; waits while another run holds it.

    Args:
        connection: In autocommit mode.
        tables: Where the lease lies.
        run_id: The run; its own lease is only renewed.
        wait_seconds: How long to wait.

    Raises:
        UnavailableError: Another run still holds it.
    """
    deadline = time.monotonic() + wait_seconds
    while not _try_lease(connection, tables, run_id):
        if time.monotonic() > deadline:
            row = connection.execute(tables.fill("select holder from {lease}")).fetchone()
            raise UnavailableError(
                f"Run {row[0] if row else 'unknown'} is loading into {tables.schema}; run {run_id} waited"
                f" {wait_seconds:.0f} s.",
                f"Let it finish. If it died, its lease ends {LEASE_SECONDS} s after its last sign of life.",
            )
        time.sleep(0.5)


def release_lease(connection: psycopg.Connection, tables: Tables, run_id: str) -> None:
    """Give the lease back, if the run holds it."""
    connection.execute(tables.fill("delete from {lease} where holder = %s"), (run_id,))


@contextmanager
def held_lease(connection: psycopg.Connection, tables: Tables, run_id: str, wait_seconds: float) -> Iterator[None]:
    """Hold the lease while the block runs, and keep it after for the run's next step.

    A block that ends with a terminal error gives it back: there is no next step.
    """
    acquire_lease(connection, tables, run_id, wait_seconds)
    try:
        yield
    except (BadDataError, RefusedError):
        release_lease(connection, tables, run_id)
        raise


@contextmanager
def kept_lease(dsn: str, tables: Tables, run_id: str) -> Iterator[None]:
    """Renew the lease from a thread for as long as the block runs.

    Args:
        dsn: Connection string, since the thread needs a connection of its own.
        tables: Where the lease lies.
        run_id: The run that holds it.
    """
    done = threading.Event()

    def beat() -> None:
        # A lost connection ends the beat; the work itself notices it too.
        with suppress(psycopg.OperationalError), psycopg.connect(dsn, autocommit=True) as connection:
            while not done.wait(HEARTBEAT_SECONDS):
                _try_lease(connection, tables, run_id)

    thread = threading.Thread(target=beat, name="lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _try_lease(connection: psycopg.Connection, tables: Tables, run_id: str) -> bool:
    statement = tables.fill(
        "insert into {lease} as held (holder, expires_at)"
        " values (%(run)s, now() + make_interval(secs => %(seconds)s))"
        " on conflict (only_row) do update set holder = excluded.holder, expires_at = excluded.expires_at"
        " where held.holder = excluded.holder or held.expires_at < now() returning holder"
    )
    return connection.execute(statement, {"run": run_id, "seconds": LEASE_SECONDS}).fetchone() is not None
