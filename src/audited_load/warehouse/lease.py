"""The lease: one run at a time may write, and a run that died gives way.

A row, not a session lock: it spans the tasks of a run, each of which has a connection of its own. A step that fails
gives it back, whatever the reason: its retry takes it anew, and if another run came between, the steps notice.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg
from psycopg.conninfo import make_conninfo

from audited_load.errors import UnavailableError
from audited_load.warehouse.tables import Tables

LEASE_SECONDS = 60
HEARTBEAT_SECONDS = 15
WAIT_SECONDS = LEASE_SECONDS + 2 * HEARTBEAT_SECONDS
"""How long a run waits for another's lease: longer than that of a dead run lasts."""

# Compared with the moment at which the row is locked, for its holder may just have renewed it.
_TAKE = """
    insert into {lease} as held (holder, expires_at)
    values (%(run)s, now() + make_interval(secs => %(seconds)s))
    on conflict (only_row) do update set holder = excluded.holder, expires_at = excluded.expires_at
    where held.holder = excluded.holder
        or held.expires_at not between clock_timestamp() and clock_timestamp() + make_interval(secs => %(longest)s)
    returning holder
"""
_TIMES = {
    "seconds": LEASE_SECONDS,
    # None is given for longer: one that says so is of a clock that was ahead. It may be set back by a heartbeat.
    "longest": LEASE_SECONDS + HEARTBEAT_SECONDS,
}


def acquire_lease(connection: psycopg.Connection, tables: Tables, run_id: str, wait_seconds: float) -> None:
    """Take the lease for a run, or renew it; waits while another run holds it.

    A lease that is to last longer than any lease does counts as expired: its clock was ahead.

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


def require_lease(connection: psycopg.Connection, tables: Tables, run_id: str) -> None:
    """Check that a run still holds the lease, and let nobody take it before the transaction ends.

    Args:
        connection: In the transaction that is to be the holder's only.
        tables: Where the lease lies.
        run_id: The run.

    Raises:
        UnavailableError: Another has it by now, or nobody.
    """
    held = connection.execute(tables.fill("select 1 from {lease} where holder = %s for share"), (run_id,))
    if held.fetchone() is None:
        raise UnavailableError(
            f"Run {run_id} has lost its lease: it showed no sign of life for too long.",
            "Run it again: nothing was published, and readers see what they saw before.",
        )


@contextmanager
def held_lease(connection: psycopg.Connection, tables: Tables, run_id: str, wait_seconds: float) -> Iterator[None]:
    """Hold the lease while the block runs, and keep it after for the run's next step.

    A block that fails gives it back, for whatever reason: nobody knows whether and when there is a next try.
    """
    acquire_lease(connection, tables, run_id, wait_seconds)
    try:
        yield
    except BaseException:
        _give_back(connection, tables, run_id)
        raise


def _give_back(connection: psycopg.Connection, tables: Tables, run_id: str) -> None:
    """Release the lease over a fresh connection: the one at hand may be what failed, or amid a copy."""
    with suppress(psycopg.Error):  # if the server is away, the lease ends by itself
        place = connection.info.get_parameters() | {"password": connection.info.password, "connect_timeout": "5"}
        with psycopg.connect(make_conninfo(**place), autocommit=True) as fresh:
            fresh.execute("set lock_timeout = '5s'")
            release_lease(fresh, tables, run_id)


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
        # A lost connection costs one beat, and the lease lasts for several.
        while not done.wait(HEARTBEAT_SECONDS):
            with suppress(psycopg.Error), psycopg.connect(dsn, autocommit=True) as connection:
                _try_lease(connection, tables, run_id)
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
    return connection.execute(tables.fill(_TAKE), {"run": run_id, **_TIMES}).fetchone() is not None
