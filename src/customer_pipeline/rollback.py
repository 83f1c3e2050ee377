"""`customer-pipeline rollback`: readers see the load before the last one again."""

from __future__ import annotations

import argparse
import sys

from audited_load.warehouse.lease import held_lease, release_lease
from audited_load.warehouse.load import connect
from audited_load.warehouse.rollback import roll_back
from audited_load.warehouse.tables import Tables
from customer_pipeline.feed import SCHEMA, load_feed
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
    tables = Tables(load_feed(), SCHEMA)
    with connect(read_runtime().dsn("loader")) as connection, held_lease(connection, tables, _HOLDER, 0):
        try:
            done = roll_back(connection, tables)
        finally:
            release_lease(connection, tables, _HOLDER)
    sys.stdout.write(
        f"Taken back: load {', '.join(map(str, done.load_ids))}."
        f" Readers see load {done.visible_load_id} again, {done.rows} rows.\n"
        "The marts follow with the next run; `customer-pipeline dbt -- build` rebuilds them now.\n"
    )
    return 0
