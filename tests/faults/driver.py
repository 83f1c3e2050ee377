"""One step of a load as a process of its own, as a task is: `driver.py STEP WORK RUN`, connection string on stdin.

What a step hands on lies in the folder WORK, as XCom would keep it.
"""

from __future__ import annotations

import json
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from audited_load.clean_report import CleanReport
from audited_load.errors import PipelineError
from audited_load.loading import copy
from audited_load.loading.batch import Batch, Delivery
from audited_load.loading.incoming import empty_incoming
from audited_load.loading.ledger import register_batch
from audited_load.loading.pieces import Piece
from audited_load.loading.publish import audit_and_publish
from audited_load.warehouse.connection import connect
from audited_load.warehouse.create import create_tables
from audited_load.warehouse.lease import held_lease, kept_lease, release_lease
from customer_pipeline.feed import TABLES

# Several connections for a file that is copied in a moment.
copy.BYTES_PER_CONNECTION = 2**22

STEPS = ("clean", "create", "truncate", "load", "validate")
SHARD = "shard-"
"""A step that copies one shard of the run's file: its number follows."""
UNAVAILABLE, TERMINAL = 75, 65


def run_step(step: str, work: Path, run: str, dsn: str) -> None:
    """Run a step of a run."""
    state = work / f"{run}.json"
    with connect(dsn) as connection:
        if step in {"clean", "create"}:
            create_tables(connection, TABLES, ("transformer", "reader"))
        gives_back = not step.startswith(SHARD)
        with held_lease(connection, TABLES, run, 2, gives_back=gives_back), kept_lease(dsn, TABLES, run):
            if step == "clean":
                state.write_text(json.dumps(clean(work, run).to_dict()))
            elif step == "create":
                report = CleanReport.from_dict(json.loads(state.read_text()))
                delivery = Delivery(run, datetime(2025, 12, 4, tzinfo=UTC), mode_of(run))
                state.with_suffix(".load").write_text(
                    json.dumps(register_batch(connection, TABLES, [report], delivery).to_dict())
                )
            else:
                batch = Batch.from_dict(json.loads(state.with_suffix(".load").read_text()))
                if step == "truncate" and batch.generation is not None:
                    empty_incoming(connection, TABLES, batch)
                elif step.startswith(SHARD):
                    (load,) = batch.loads
                    number, shards = int(step.removeprefix(SHARD)), load.report.shards
                    piece = Piece(load.load_id, number, len(shards))
                    copy.copy_shard(dsn, TABLES, batch, piece, Path(shards[number].cleaned_file))
                elif step == "load" and batch.generation is not None:
                    copy.copy_cleaned(connection, dsn, TABLES, batch)
                elif step == "validate":
                    audit_and_publish(connection, TABLES, batch, min_row_ratio=0.5, force=False)
                    release_lease(connection, TABLES, run)


def clean(work: Path, run: str) -> CleanReport:
    """Clean a run's file with several workers, however small it is; only this step loads what cleaning needs."""
    from audited_load.cleaning import workers  # noqa: PLC0415
    from audited_load.cleaning.clean_file import clean_file  # noqa: PLC0415
    from audited_load.reading import compression  # noqa: PLC0415

    compression.CHUNK_BYTES, workers.BYTES_PER_WORKER = 2**19, 2**21
    return clean_file(work / f"{run}.csv", TABLES.feed, work / f"{run}-out")


def mode_of(run: str) -> str:
    """Tell the mode from the run's name."""
    return "merge" if run.startswith("merge") else "replace"


def main() -> None:
    """Run a step; the exit code tells whether a retry helps."""
    _, step, work, run = sys.argv
    try:
        run_step(step, Path(work), run, sys.stdin.readline().strip())
    except PipelineError as error:
        print(error, file=sys.stderr)
        sys.exit(UNAVAILABLE if type(error).__name__ == "UnavailableError" else TERMINAL)
    if pause := os.environ.get("FAULT_PAUSE"):
        Path(pause).touch()
        time.sleep(3600)  # until the test kills it


if __name__ == "__main__":
    main()
