"""The load's steps in a row, as the DAG calls them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from audited_load.clean import clean_file
from audited_load.warehouse.copy import copy_cleaned
from audited_load.warehouse.lease import held_lease, release_lease
from audited_load.warehouse.load import Delivery, Load, connect, empty_incoming, register_load
from audited_load.warehouse.publish import Published, audit_and_publish
from audited_load.warehouse.tables import Tables, create_tables
from steps.data_cleaners import CUSTOMER_TRANSACTIONS

TABLES = Tables(CUSTOMER_TRANSACTIONS, "cleaned_data")
HEADER = "transaction_id,customer_id,transaction_date,product_id,product_name,quantity,price,tax\n"


def write_csv(path: Path, rows: range, price: str = "1.10") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(HEADER + "".join(f"{n},{n % 7},2024-01-02,{n % 3},Thing,2,{price},0.05\n" for n in rows))
    return path


def prepare(dsn: str, file: Path, run_id: str, *, version: str = "v1", mode: str = "replace", day: int = 1) -> Load:
    report = clean_file(file, CUSTOMER_TRANSACTIONS, file.parent / f"out-{run_id}")
    with connect(dsn) as connection:
        create_tables(connection, TABLES, ("transformer", "reader"))
        with held_lease(connection, TABLES, run_id, 1):
            delivery = Delivery(run_id, datetime(2025, 12, day, tzinfo=UTC), mode, version)
            return register_load(connection, TABLES, report, delivery)


def fill(dsn: str, load: Load) -> None:
    with connect(dsn) as connection, held_lease(connection, TABLES, load.run_id, 1):
        if load.generation is not None:
            empty_incoming(connection, TABLES, load)
            copy_cleaned(connection, dsn, TABLES, load)


def publish(dsn: str, load: Load, *, force: bool = False) -> Published:
    with connect(dsn) as connection, held_lease(connection, TABLES, load.run_id, 1):
        published = audit_and_publish(connection, TABLES, load, min_row_ratio=0.5, force=force)
        release_lease(connection, TABLES, load.run_id)
    return published


def load_file(
    dsn: str, file: Path, run_id: str, *, force: bool = False, mode: str = "replace", day: int = 1
) -> Published:
    load = prepare(dsn, file, run_id, mode=mode, day=day)
    fill(dsn, load)
    return publish(dsn, load, force=force)
