"""The schemas, which the administrator makes: one at a time makes what is in them."""

from __future__ import annotations

import psycopg

from audited_load.errors import RefusedError


def create_alone(connection: psycopg.Connection, schema: str) -> None:
    """Keep others from making things in a schema until the transaction ends: they would collide on the catalogue.

    Raises:
        RefusedError: There is no such schema.
    """
    connection.execute("select pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtext(%s))", (f"create {schema}",))
    if connection.execute("select 1 from pg_catalog.pg_namespace where nspname = %s", (schema,)).fetchone() is None:
        raise RefusedError(
            f"The schema {schema} is not there, and only the administrator may make it.",
            "`make restart` makes it. Nothing was changed.",
        )
