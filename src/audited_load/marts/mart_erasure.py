"""One person's id → gone from the marts, from their kept sets and from their history.

The marts are built anew from all rows by whoever calls this: to correct them in place would be a second definition
of each. Each function can be killed anywhere and called again.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Sequence

import psycopg
from psycopg import sql

from audited_load.errors import UnavailableError
from audited_load.marts.mart_manifest import Mart
from audited_load.marts.mart_sets import drop_set, find_visible_set, publish_marts
from audited_load.marts.mart_tables import Marts
from audited_load.warehouse.catalogue import Name, count_holders, find_holders, find_tables
from audited_load.warehouse.connection import locked
from audited_load.warehouse.readers import end_old_readers

WAIT_SECONDS = 600
_SET_NUMBER = re.compile(r"_s([0-9]+)(?:_[a-z]+)?$")
# Until they are built anew, no day may be merged into marts that hold the person.
_UNFIT_FOR_CHANGES = "update {sets}.published_sets set code = null where code is not null"
# No rollback may choose them. Sets that come after are built without the person.
_GIVE_UP = """
    update {sets}.published_sets set is_dropped = true, retired_at = coalesce(retired_at, now())
    where set_number < {number}
"""
_GIVEN_UP = "select set_number from {sets}.published_sets where is_dropped and set_number < {number} order by 1"
# A reader's transaction that began before sees what was visible then, to its end.
_OLD_READERS = """
    select count(*) from pg_catalog.pg_stat_activity
    where datname = pg_catalog.current_database() and usename = any(%s) and xact_start < %s
"""


def count_in_marts(
    connection: psycopg.Connection, marts: Marts, subject: str, ids: Collection[int]
) -> dict[str, int]:
    """Count the rows of marts, kept sets and history that hold an id, by table; also of those never published."""
    schemas = [marts.staging, marts.sets, marts.views, marts.history, *marts.beside]
    return count_holders(connection, schemas, subject, ids)


def make_marts_unfit(connection: psycopg.Connection, marts: Marts, subject: str, ids: Collection[int]) -> None:
    """See to it that the next build is of all rows, even if this erasure is killed and a run comes first."""
    is_held = find_holders(connection, [marts.sets], subject, ids)
    if is_held and find_tables(connection, [marts.sets], "code"):
        connection.execute(marts.fill(_UNFIT_FOR_CHANGES))


def erase_from_marts(
    connection: psycopg.Connection,
    marts: Marts,
    subject: str,
    ids: Collection[int],
    build: Callable[[], Sequence[Mart]],
) -> int | None:
    """Build and publish the marts anew from the cleaned table, and give all others up.

    Args:
        connection: In autocommit mode, as the role that owns the marts, with the lease held.
        marts: Where.
        subject: The column that holds the id.
        ids: Who is to be erased.
        build: Builds and tests all marts in staging, from all rows; gives which there are.

    Returns:
        The set before which all hold the person, for `drop_given_up`; None if no mart held the person.
    """
    for name in find_holders(connection, marts.beside, subject, ids):
        # Built again by whoever built it; a foreign key or a view of theirs goes with it.
        connection.execute(sql.SQL("drop table if exists {} cascade").format(sql.Identifier(*name)))
    holders = find_holders(connection, [marts.staging, marts.sets, marts.views], subject, ids)
    if not holders:
        return None
    number = _visible_number(connection, marts, holders)
    if number is None:
        models = build()
        number = publish_marts(connection, marts, models).set_number
    connection.execute(marts.fill(_GIVE_UP, number=sql.Literal(number)))
    # What a build that failed has left: all that is published shows as views there.
    for name in find_holders(connection, [marts.staging], subject, ids):
        connection.execute(sql.SQL("drop table {}").format(sql.Identifier(*name)))
    return number


def _visible_number(connection: psycopg.Connection, marts: Marts, holders: Collection[Name]) -> int | None:
    """Return the set that readers see, if only sets before it hold the person: an erasure was killed after it."""
    numbers = [_SET_NUMBER.search(table) if schema == marts.sets else None for schema, table in holders]
    if not all(numbers):
        return None
    visible = find_visible_set(connection, marts)
    is_clean = visible and all(int(found[1]) < visible.set_number for found in numbers if found)
    return visible.set_number if visible and is_clean else None


def drop_given_up(connection: psycopg.Connection, marts: Marts, number: int) -> int:
    """Drop the sets that were given up; needs no lease, since no load and no rollback touches them.

    Args:
        connection: In autocommit mode, as the role that owns the marts.
        marts: Where.
        number: What `erase_from_marts` gave.

    Returns:
        How many there were.

    Raises:
        UnavailableError: Somebody still reads one after ten minutes.
    """
    given_up = marts.fill(_GIVEN_UP, number=sql.Literal(number))
    dropped, deadline = 0, time.monotonic() + WAIT_SECONDS
    while left := [row[0] for row in connection.execute(given_up)]:
        with locked(connection, f"publish {marts.views}"):
            dropped += sum(drop_set(connection, marts, one) for one in left)
        if time.monotonic() > deadline:
            raise UnavailableError(
                "A kept set of marts is still being read.", "Give the same command again when that has ended."
            )
        time.sleep(0.2)
    return dropped


def erase_history(
    connection: psycopg.Connection, marts: Marts, subject: str, ids: Collection[int]
) -> dict[str, int]:
    """Delete the person's rows of what readers saw before: without the id they say nothing, and none sums them."""
    counts = {}
    for name in find_holders(connection, [marts.history], subject, ids):
        counts[".".join(name)] = _delete(connection, name, subject, ids)
        connection.execute(sql.SQL("vacuum (analyze) {}").format(sql.Identifier(*name)))
    return counts


def _delete(connection: psycopg.Connection, name: Name, subject: str, ids: Collection[int]) -> int:
    statement = sql.SQL("delete from {} where {} = any(%s)").format(sql.Identifier(*name), sql.Identifier(subject))
    return connection.execute(statement, (list(ids),)).rowcount


def wait_for_readers(
    connection: psycopg.Connection, readers: Collection[str], limit_seconds: float, say: Callable[[str], object]
) -> None:
    """Wait for transactions of readers that began before now; end those that last longer than they may.

    Args:
        connection: In autocommit mode, as a role that may end others' sessions.
        readers: Their roles.
        limit_seconds: How long a transaction may last, whatever its session has set.
        say: Told that it waits.
    """
    (now,) = connection.execute("select pg_catalog.now()").fetchone() or (None,)
    told = False
    while connection.execute(_OLD_READERS, (list(readers), now)).fetchone() != (0,):
        end_old_readers(connection, limit_seconds)
        if not told:
            say(f"Waiting for transactions of readers that began before, {limit_seconds / 60:.0f} minutes at most.")
        told = True
        time.sleep(0.2)
