"""One step of a load as a process of its own, as a task is: `driver.py STEP WORK RUN`, connection string on stdin.

What a step hands on lies in the folder WORK, as XCom would keep it. Files lie there, too, or in the store that
`FAULT_STORE` names.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

from audited_load import storage
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
from customer_pipeline.storing.folder_files import FolderAttempt, FolderFiles
from customer_pipeline.storing.object_files import ObjectFiles
from customer_pipeline.storing.run_files import RunFiles

# Several connections for a file that is copied in a moment.
copy.BYTES_PER_CONNECTION = 2**22

STEPS = ("clean", "create", "truncate", "load", "validate")
SHARD = "shard-"
"""A step that copies one shard of the run's file: its number follows."""
UNAVAILABLE, TERMINAL = 75, 65


def run_step(step: str, work: Path, run: str, dsn: str, environment: Mapping[str, str] = os.environ) -> None:
    """Run a step of a run."""
    state, files = work / f"{run}.json", files_of(work, environment)
    if step == "erase":
        erase(files, environment)
        return
    with connect(dsn) as connection:
        if step in {"clean", "create"}:
            create_tables(connection, TABLES, ("transformer", "reader"))
        gives_back = not step.startswith(SHARD)
        with held_lease(connection, TABLES, run, 2, gives_back=gives_back), kept_lease(dsn, TABLES, run):
            if step == "clean":
                attempt = int(environment.get("FAULT_ATTEMPT", 1))
                state.write_text(json.dumps(clean(files, run, attempt).to_dict()))
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
                    with files.fetched(batch) as fetched:
                        copy.copy_cleaned(connection, dsn, TABLES, fetched)
                elif step == "validate":
                    audit_and_publish(connection, TABLES, batch, min_row_ratio=0.5, force=False)
                    release_lease(connection, TABLES, run)


def clean(files: RunFiles, run: str, attempt: int) -> CleanReport:
    """Clean a run's file with several workers, however small it is; only this step loads what cleaning needs."""
    from audited_load.cleaning import workers  # noqa: PLC0415
    from audited_load.cleaning.clean_file import clean_file  # noqa: PLC0415
    from audited_load.reading import compression  # noqa: PLC0415

    compression.CHUNK_BYTES, workers.BYTES_PER_WORKER = 2**19, 2**21
    source = f"{run}.csv"
    with files.opened(source) as path, files.attempt(run, attempt) as output:
        return output.hand_on(output.keep(clean_file(path, TABLES.feed, output.folder), source))


def erase(files: RunFiles, environment: Mapping[str, str]) -> None:
    """Erase a customer from the store and the cleaned tables; there are no marts."""
    from audited_load.erasing.everywhere import Places, erase_everywhere  # noqa: PLC0415
    from customer_pipeline.feed import MARTS  # noqa: PLC0415
    from customer_pipeline.runtime.installation import read_runtime  # noqa: PLC0415
    from customer_pipeline.storing.mirror import mirrored  # noqa: PLC0415

    assert isinstance(files, ObjectFiles)
    home, port = environment["FAULT_HOME"], environment["FAULT_POSTGRES_PORT"]
    runtime = read_runtime({"PIPELINE_HOME": home, "POSTGRES_PORT": port})
    data = files.data / "copies"
    with mirrored(files.store, data) as mirror:
        places = Places(
            runtime.dsn, TABLES, MARTS, data, (), "a key", lambda: (), lambda _: None, 5, settling_seconds=0
        )
        erase_everywhere(places, int(environment["FAULT_ERASED"]), "a test")
        mirror.put_back()


class Beside(FolderFiles):
    """Files that lie beside each other in one folder, where nobody waits until a delivery is settled."""

    @contextmanager
    def opened(self, source: str) -> Iterator[Path]:
        """Give the file."""
        yield self.data / source

    @contextmanager
    def attempt(self, run_id: str, attempt: int, number: int | None = None) -> Iterator[FolderAttempt]:  # noqa: ARG002
        """Name one folder for all attempts, so that what one leaves is in the way of the next."""
        yield FolderAttempt(self.data / f"{run_id}-out", self.data)


def files_of(work: Path, environment: Mapping[str, str]) -> RunFiles:
    """Return where files lie: in the folder, or in the store that the environment names."""
    if "FAULT_STORE" not in environment:
        return Beside(work)
    told = json.loads(environment["FAULT_STORE"])
    access = storage.Access(told["endpoint"], "", told["key"], told["secret"])
    return ObjectFiles(storage.Store(told["root"], access), work)


def stop_at(point: str) -> None:
    """Stop before a call of a method of the store until the test lets it go on.

    Args:
        point: The method, which of its calls it is, and a file that is there while the step stands still.
    """
    name, number, mark = point.split(":")
    method, calls = getattr(storage.Store, name), count(1)

    def stopped(*arguments: Any, **more: Any) -> Any:
        if next(calls) == int(number):
            Path(mark).touch()
            while Path(mark).exists():
                time.sleep(0.01)
        return method(*arguments, **more)

    setattr(storage.Store, name, stopped)


def mode_of(run: str) -> str:
    """Tell the mode from the run's name."""
    return "merge" if run.startswith("merge") else "replace"


def main() -> None:
    """Run a step; the exit code tells whether a retry helps."""
    _, step, work, run = sys.argv
    storage.RANGE_BYTES = 2**20
    if point := os.environ.get("FAULT_AT"):
        stop_at(point)
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
