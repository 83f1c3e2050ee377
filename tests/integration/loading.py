"""The load's steps in a row, as the DAG calls them."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

from audited_load.clean_report import CleanReport, Shard
from audited_load.cleaning.clean_file import clean_file
from audited_load.columns import Feed
from audited_load.erasing.layout_files import write_layout_beside
from audited_load.loading.batch import Batch, Delivery
from audited_load.loading.copy import copy_cleaned, copy_shard
from audited_load.loading.incoming import empty_incoming
from audited_load.loading.ledger import register_batch
from audited_load.loading.pieces import Piece
from audited_load.loading.publish import Published, audit_and_publish
from audited_load.marts.mart_manifest import ForeignKey, Mart
from audited_load.warehouse.connection import connect
from audited_load.warehouse.create import create_tables
from audited_load.warehouse.lease import held_lease, release_lease
from audited_load.warehouse.tables import Tables
from steps.data_cleaners import CUSTOMER_TRANSACTIONS

TABLES = Tables(CUSTOMER_TRANSACTIONS, "cleaned_data")
MODELS = (
    Mart("dim_customers"),
    Mart("dim_products"),
    Mart("dim_dates"),
    Mart(
        "fact_transactions",
        frozenset({"dim_customers", "dim_dates", "dim_products"}),
        (
            ForeignKey(("customer_id",), "dim_customers", ("customer_id",)),
            ForeignKey(("product_id",), "dim_products", ("product_id",)),
            ForeignKey(("transaction_date",), "dim_dates", ("date_day",)),
        ),
    ),
    Mart("agg_monthly_sales", frozenset({"fact_transactions"})),
)
MARTS_HERE = tuple(mart.name for mart in MODELS)
HEADER = "transaction_id,customer_id,transaction_date,product_id,product_name,quantity,price,tax\n"


def write_csv(path: Path, rows: range, price: str = "1.10") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(HEADER + "".join(f"{n},{n % 7},2024-01-02,{n % 3},Thing,2,{price},0.05\n" for n in rows))
    return path


def prepare(
    dsn: str,
    files: Path | list[Path],
    run_id: str,
    *,
    version: str = "v1",
    mode: str = "replace",
    day: int = 1,
    feed: Feed = CUSTOMER_TRANSACTIONS,
    shards: Mapping[str, int] = MappingProxyType({}),
) -> Batch:
    paths = files if isinstance(files, list) else [files]
    reports = [
        replace(
            clean_file(file, feed, file.parent / f"out-{run_id}-{file.name}", masking_key="a key"),
            code_version=version,
        )
        for file in paths
    ]
    for report in reports:
        write_layout_beside(report)
    reports = [
        in_shards(report, shards[report.source]) if report.source in shards else report for report in reports
    ]
    with connect(dsn) as connection:
        brought = {name: kind for report in reports for name, kind in report.columns}
        create_tables(connection, TABLES, ("transformer", "reader"), brought)
        with held_lease(connection, TABLES, run_id, 1):
            delivery = Delivery(run_id, datetime(2025, 12, day, tzinfo=UTC), mode)
            return register_batch(connection, TABLES, reports, delivery)


def in_shards(report: CleanReport, count: int) -> CleanReport:
    """Cut the files of a report as if it had been cleaned in shards, of which the last has no record."""
    shards = []
    for number in range(count):
        cleaned, accepted = cut(Path(report.cleaned_file), number, count)
        rejected, _ = cut(Path(report.rejected_file), number, count)
        shards.append(Shard(str(cleaned), str(rejected), accepted))
    return replace(report, cleaned_file="", rejected_file="", shards=shards)


def cut(path: Path, number: int, count: int) -> tuple[Path, int]:
    """Write one of several parts of a file of records; give it, and how many records it has."""
    with path.open(newline="") as file:
        header, *records = csv.reader(file)
    size = -(-len(records) // (count - 1))
    part = path.parent / f"shard-{number}" / path.name
    part.parent.mkdir(exist_ok=True)
    with part.open("w", newline="") as file:
        chosen = records[number * size : (number + 1) * size]
        csv.writer(file, lineterminator="\n").writerows([header, *chosen])
    return part, len(chosen)


def shards_of(batch: Batch) -> Iterator[tuple[Piece, Path]]:
    """List the shards of a batch, each with its cleaned file."""
    for load in batch.loads:
        for number, shard in enumerate(load.report.shards):
            yield Piece(load.load_id, number, len(load.report.shards)), Path(shard.cleaned_file)


def fill(dsn: str, batch: Batch) -> None:
    with connect(dsn) as connection, held_lease(connection, TABLES, batch.run_id, 1):
        if batch.generation is not None:
            empty_incoming(connection, TABLES, batch)
            for piece, path in shards_of(batch):
                copy_shard(dsn, TABLES, batch, piece, path)
            copy_cleaned(connection, dsn, TABLES, batch)


def publish(dsn: str, batch: Batch, *, force: bool = False, min_row_ratio: float = 0.5) -> Published:
    with connect(dsn) as connection, held_lease(connection, TABLES, batch.run_id, 1):
        published = audit_and_publish(connection, TABLES, batch, min_row_ratio=min_row_ratio, force=force)
        release_lease(connection, TABLES, batch.run_id)
    return published


def load_file(
    dsn: str,
    files: Path | list[Path],
    run_id: str,
    *,
    force: bool = False,
    mode: str = "replace",
    day: int = 1,
    feed: Feed = CUSTOMER_TRANSACTIONS,
) -> Published:
    batch = prepare(dsn, files, run_id, mode=mode, day=day, feed=feed)
    fill(dsn, batch)
    return publish(dsn, batch, force=force)
