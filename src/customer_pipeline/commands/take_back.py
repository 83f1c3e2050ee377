"""`customer-pipeline rollback`: readers see the load before the last one again."""

from __future__ import annotations

import sys
from collections.abc import Callable

from audited_load.command import command
from audited_load.errors import RefusedError
from audited_load.loading.rollback import RolledBack, find_rolled_back, roll_back
from audited_load.marts.mart_sets import PublishedSet, roll_back_marts
from audited_load.marts.mart_tables import Marts
from audited_load.warehouse.connection import connect
from audited_load.warehouse.lease import held_lease, kept_lease, release_lease
from audited_load.warehouse.tables import Tables
from customer_pipeline.feed import MARTS, TABLES
from customer_pipeline.names import TRANSFORM_GROUP
from customer_pipeline.runtime.installation import read_runtime

_HOLDER = "customer-pipeline rollback"


def take_last_load_back() -> int:
    """Take the last load back.

    Returns:
        0.

    Raises:
        RefusedError: There is nothing to go back to.
        UnavailableError: A run is loading, or PostgreSQL is not up.
    """
    done, marts_again = take_back(read_runtime().dsn, TABLES, MARTS)
    sys.stdout.write(
        f"Taken back: load {', '.join(map(str, done.load_ids))}."
        f" Readers of the cleaned table see load {done.visible_load_id} again, {done.rows} rows.\n"
    )
    if marts_again:
        sys.stdout.write(f"Readers of the marts see set {marts_again.set_number}, which was built from it.\n")
    else:
        sys.stdout.write(
            f"No marts of load {done.visible_load_id} are kept: those of two loads are, and none from"
            " before the models got other columns. Readers see those that they saw.\n"
            f"Clear the task group {TRANSFORM_GROUP} of the last run to build and publish them.\n"
        )
    return 0


def take_back(dsn: Callable[[str], str], tables: Tables, marts: Marts) -> tuple[RolledBack, PublishedSet | None]:
    """Take the last load back, then the marts; killed between, the same call finishes the marts.

    Args:
        dsn: Connection strings, by role.
        tables: The cleaned tables.
        marts: The marts.

    Returns:
        What was taken back, and which marts readers see; None if none of that load are kept.

    Raises:
        RefusedError: There is nothing to go back to, and the marts are not behind.
    """
    with (
        connect(dsn("loader")) as connection,
        held_lease(connection, tables, _HOLDER, 0),
        kept_lease(dsn("loader"), tables, _HOLDER),
    ):
        try:
            earlier = find_rolled_back(connection, tables)
            done = earlier or roll_back(connection, tables)
            with connect(dsn("transformer")) as transformer:
                shown = roll_back_marts(transformer, marts, done.visible_load_id)
        finally:
            release_lease(connection, tables, _HOLDER)
    if earlier and not (shown and shown.changed):
        raise RefusedError(
            "There is no load to go back to: only the one before the last is kept, for one rollback.",
            f"Load the file that you want with {command('run FILE')}.",
        )
    return done, shown
