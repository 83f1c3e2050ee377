"""What readers no longer see → gone, once no transaction is left that may look at it.

A transaction that began before a switch sees what was visible then, to its end: also a table that it has not
touched so far, and so holds no lock on. What can't go now goes with a later load.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql

log = logging.getLogger(__name__)

LOCK_MILLISECONDS, STATEMENT_SECONDS = 50, 5
"""Neither may a waiting lock hold up readers, nor an analyst's long query a load."""

IN_USE = (
    psycopg.errors.QueryCanceled,
    psycopg.errors.LockNotAvailable,
    psycopg.errors.DependentObjectsStillExist,
)
"""What PostgreSQL says while somebody still looks at a partition."""

_FIND = "select pg_catalog.to_regprocedure('administration.oldest_transaction()')"
_OLDEST = "select administration.oldest_transaction()::text"
_STATE = """
    select i.inhrelid is not null, coalesce(i.inhdetachpending, false)
    from pg_class as c left join pg_inherits as i on c.oid = i.inhrelid
    where c.oid = to_regclass(%s)
"""


def oldest_transaction(connection: psycopg.Connection) -> sql.Literal:
    """Find out when the oldest transaction began that another session of this database has open.

    Args:
        connection: In autocommit mode, as the loader or the transformer.

    Returns:
        A moment for a statement: what was retired before it, nobody looks at. `infinity` if there is no
        transaction; `-infinity` in a warehouse that was not started since it can be asked.
    """
    if connection.execute(_FIND).fetchone() == (None,):
        log.warning("Nothing old is dropped before the services are started with this release: `make up`")
        return sql.Literal("-infinity")
    (moment,) = connection.execute(_OLDEST).fetchone() or ("-infinity",)
    return sql.Literal(moment)


@contextmanager
def bounded(connection: psycopg.Connection) -> Iterator[None]:
    """Bound how long the block's statements wait and run."""
    try:
        connection.execute(sql.SQL("set statement_timeout = {}").format(sql.Literal(f"{STATEMENT_SECONDS}s")))
        connection.execute(sql.SQL("set lock_timeout = {}").format(sql.Literal(f"{LOCK_MILLISECONDS}ms")))
        yield
    finally:
        connection.execute("reset statement_timeout")
        connection.execute("reset lock_timeout")


def drop_partition(connection: psycopg.Connection, parent: tuple[str, str], partition: tuple[str, str]) -> None:
    """Detach a partition without making readers of its siblings wait, and drop it. Can be killed and called again.

    Args:
        connection: In autocommit mode, `bounded`.
        parent: Schema and name of the partitioned table.
        partition: Schema and name of the partition, attached or not; need not be there.

    Raises:
        psycopg.Error: One of `IN_USE` if somebody looks at it.
    """
    name = sql.Identifier(*partition)
    found = connection.execute(_STATE, (name.as_string(),)).fetchone()
    if found is None:
        return
    is_attached, is_pending = found
    if is_attached:
        how = sql.SQL("finalize" if is_pending else "concurrently")
        detach = sql.SQL("alter table {} detach partition {} {}")
        connection.execute(detach.format(sql.Identifier(*parent), name, how))
    connection.execute(sql.SQL("drop table {}").format(name))
