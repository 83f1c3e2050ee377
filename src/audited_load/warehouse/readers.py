"""Readers whose transaction lasts longer than it may → ended, so that neither a load nor an erasure waits for them.

A reader can switch its own `transaction_timeout` off; what it sees can't be dropped, or is kept from vacuum.
"""

from __future__ import annotations

import logging

import psycopg

log = logging.getLogger(__name__)

_FIND = "select pg_catalog.to_regprocedure('administration.end_old_readers(double precision)')"
_END = "select administration.end_old_readers(%s::double precision)"


def end_old_readers(connection: psycopg.Connection, older_than_seconds: float) -> int:
    """End the sessions of the role `reader` in this database whose transaction began longer ago than that.

    Args:
        connection: In autocommit mode, as the administrator, the loader or the transformer.
        older_than_seconds: The age of a transaction from which on its session is ended.

    Returns:
        How many were ended; 0, too, in a warehouse that was not started since it could be done.
    """
    if connection.execute(_FIND).fetchone() == (None,):
        log.warning("Readers can't be ended before the services are started with this release: `make up`")
        return 0
    (ended,) = connection.execute(_END, (older_than_seconds,)).fetchone() or (0,)
    if ended:
        log.warning("Ended %s sessions of readers, open for more than %s s", ended, round(older_than_seconds))
    return int(ended)
