"""The lease: one run at a time may load and build, and a run that died gives way.

A row, not a session lock: it spans the tasks of a run, each of which has a connection of its own. A step that fails
gives it back, whatever the reason: its retry takes it anew, and if another run came between, the steps notice.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import psycopg
from psycopg.conninfo import make_conninfo

from audited_load.errors import UnavailableError
from audited_load.shown import show_text
from audited_load.warehouse.tables import Tables

log = logging.getLogger(__name__)

LEASE_SECONDS = 60
HEARTBEAT_SECONDS = 15
WAIT_SECONDS = LEASE_SECONDS + 2 * HEARTBEAT_SECONDS
"""How long a run waits for a sign of life of the one that holds the lease: longer than that of a dead run lasts."""
LONGEST_WAIT_SECONDS = 3600
"""How long a run waits for others that are alive: a backfill beside the daily run, in either order."""
SAID_EVERY_SECONDS = 60

# Compared with the moment at which the row is locked, for its holder may just have renewed it.
_TAKE = """
    insert into {lease} as held (holder, expires_at)
    values (%(run)s, now() + make_interval(secs => %(seconds)s))
    on conflict (only_row) do update set holder = excluded.holder, expires_at = excluded.expires_at
    where held.holder = excluded.holder
        or held.expires_at not between clock_timestamp() and clock_timestamp() + make_interval(secs => %(longest)s)
    returning holder
"""
# A beat of a process that outlives its run must not take the lease again.
_RENEW = "update {lease} set expires_at = now() + make_interval(secs => %(seconds)s) where holder = %(run)s"
_TIMES = {
    "seconds": LEASE_SECONDS,
    # None is given for longer: one that says so is of a clock that was ahead. It may be set back by a heartbeat.
    "longest": LEASE_SECONDS + HEARTBEAT_SECONDS,
}


def acquire_lease(
    connection: psycopg.Connection,
    tables: Tables,
    run_id: str,
    wait_seconds: float,
    longest_seconds: float | None = None,
) -> None:
    """Take the lease for a run, or renew it; waits while another run holds it, and says so in the log.

    A lease that is to last longer than any lease does counts as expired: its clock was ahead.

    Args:
        connection: In autocommit mode.
        tables: Where the lease lies.
        run_id: The run; its own lease is only renewed.
        wait_seconds: How long to wait for a sign of life of the run that holds it.
        longest_seconds: How long to wait for runs that give such signs; by default no longer.

    Raises:
        UnavailableError: Another run still holds it.
    """
    began = signed = time.monotonic()
    said, seen = -float(SAID_EVERY_SECONDS), None
    while not _try_lease(connection, tables, run_id):
        held = connection.execute(tables.fill("select holder, expires_at from {lease}")).fetchone()
        now = time.monotonic()
        if held != seen and longest_seconds is not None:
            seen, signed = held, now
        holder = show_text(str(held[0]), 200) if held else "unknown"
        waited = now - began
        if now - signed > wait_seconds or (longest_seconds is not None and waited > longest_seconds):
            raise UnavailableError(
                f"Run {holder} is loading or building marts; run {show_text(run_id, 200)} waited {waited:.0f} s.",
                f"Let it finish. If it died, its lease ends {LEASE_SECONDS} s after its last sign of life.",
            )
        if waited - said >= SAID_EVERY_SECONDS:
            said = waited
            log.info("Waiting for run %s, which is loading or building marts (for %.0f s)", holder, waited)
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
def held_lease(
    connection: psycopg.Connection,
    tables: Tables,
    run_id: str,
    wait_seconds: float,
    longest_seconds: float | None = None,
    *,
    gives_back: bool = True,
) -> Iterator[None]:
    """Hold the lease while the block runs, and keep it after for the run's next step.

    It waits as `acquire_lease` does. A block that fails gives it back, for whatever reason: nobody knows whether
    and when there is a next try. One of several that write side by side does not: the others still need it.
    """
    acquire_lease(connection, tables, run_id, wait_seconds, longest_seconds)
    try:
        yield
    except BaseException:
        if gives_back:
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
    """Renew the lease from a thread for as long as the block runs, as `start_renewing` does."""
    stop = start_renewing(dsn, tables, run_id)
    try:
        yield
    finally:
        stop()


def start_renewing(dsn: str, tables: Tables, run_id: str) -> Callable[[], None]:
    """Renew the lease from a thread.

    Args:
        dsn: Connection string, since the thread needs a connection of its own.
        tables: Where the lease lies.
        run_id: The run that holds it.

    Returns:
        What stops it; without, it ends with the process.
    """
    done = threading.Event()

    def beat() -> None:
        # A lost connection costs one beat, and the lease lasts for several.
        while not done.wait(HEARTBEAT_SECONDS):
            with suppress(psycopg.Error), psycopg.connect(dsn, autocommit=True) as connection:
                _renew_lease(connection, tables, run_id)
                while not done.wait(HEARTBEAT_SECONDS):
                    _renew_lease(connection, tables, run_id)

    thread = threading.Thread(target=beat, name="lease", daemon=True)
    thread.start()

    def stop() -> None:
        done.set()
        thread.join()

    return stop


def _renew_lease(connection: psycopg.Connection, tables: Tables, run_id: str) -> None:
    connection.execute(tables.fill(_RENEW), {"run": run_id, "seconds": LEASE_SECONDS})


def _try_lease(connection: psycopg.Connection, tables: Tables, run_id: str) -> bool:
    return connection.execute(tables.fill(_TAKE), {"run": run_id, **_TIMES}).fetchone() is not None
