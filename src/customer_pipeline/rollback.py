"""`customer-pipeline rollback`: readers see the load before the last one again."""

from __future__ import annotations

import argparse
import sys

from audited_load.warehouse.lease import held_lease, release_lease
from audited_load.warehouse.load import connect
from audited_load.warehouse.marts import roll_back_marts
from audited_load.warehouse.rollback import roll_back
from customer_pipeline.feed import load_tables
from customer_pipeline.settings import read_runtime

_HOLDER = "customer-pipeline rollback"


def run(_: argparse.Namespace) -> int:
    """Take the last load back.

    Returns:
        0.

    Raises:
        RefusedError: There is nothing to go back to.
        UnavailableError: A run is loading, or PostgreSQL is not up.
    """
    runtime, (tables, marts) = read_runtime(), load_tables()
    with connect(runtime.dsn("loader")) as connection, held_lease(connection, tables, _HOLDER, 0):
        try:
            done = roll_back(connection, tables)
        finally:
            release_lease(connection, tables, _HOLDER)
    sys.stdout.write(
        f"Taken back: load {', '.join(map(str, done.load_ids))}."
        f" Readers of the cleaned table see load {done.visible_load_id} again, {done.rows} rows.\n"
    )
    with connect(runtime.dsn("transformer")) as connection:
        marts_again = roll_back_marts(connection, marts, done.visible_load_id)
    if marts_again:
        sys.stdout.write(f"Readers of the marts see set {marts_again.set_number}, which was built from it.\n")
    else:
        sys.stdout.write(
            f"No marts of load {done.visible_load_id} are kept: readers see those that they saw.\n"
            "Clear the task group DBT-Transformations of the last run to build and publish them.\n"
        )
    return 0
