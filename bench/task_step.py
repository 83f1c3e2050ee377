"""One task of a run, timed: `task_step.py STEP STATE`, its places as JSON on standard input.

What tasks hand on lies in the folder STATE, as XCom would keep it.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from audited_load.clean_report import CleanReport
from audited_load.loading.batch import Batch, Delivery
from audited_load.loading.copy import copy_cleaned, copy_shard
from audited_load.loading.incoming import empty_incoming
from audited_load.loading.ledger import register_batch
from audited_load.loading.pieces import Piece
from audited_load.storage import Access, Store
from audited_load.warehouse.connection import connect
from audited_load.warehouse.create import create_tables
from audited_load.warehouse.lease import acquire_lease, release_lease
from customer_pipeline.feed import TABLES
from customer_pipeline.storing.folder_files import FolderFiles
from customer_pipeline.storing.object_files import ObjectFiles
from customer_pipeline.storing.run_files import RunFiles

SOURCE, RUN = "day.csv", "bench"


def clean(files: RunFiles, state: Path, _: dict[str, Any]) -> None:
    """Fetch the delivery, clean it in one piece, hand it on."""
    from audited_load.cleaning.clean_file import clean_file  # noqa: PLC0415 - only cleaning pays for it

    with files.opened(SOURCE) as path, files.attempt(RUN, 1) as output:
        report = output.hand_on(output.keep(clean_file(path, TABLES.feed, output.folder), SOURCE))
    write(state / "report.json", report.to_dict())


def cut(files: RunFiles, state: Path, told: dict[str, Any]) -> None:
    """Find out where to cut the delivery, as `find_source_files` does."""
    found = files.cut(SOURCE, lambda: TABLES.feed, 1 + told["bytes"] // told["shards"], 1024)
    if found is None or len(found.plan.spans) != told["shards"]:
        raise SystemExit(f"not cut into {told['shards']} shards")
    write(state / "cut.json", found.to_dict())


def shard(files: RunFiles, state: Path, told: dict[str, Any]) -> None:
    """Clean one shard."""
    from audited_load.sharding.shard import clean_shard  # noqa: PLC0415
    from customer_pipeline.storing.object_shards import CutFile  # noqa: PLC0415

    number, found = told["number"], CutFile.from_dict(read(state / "cut.json"))
    shards = files.shards(found, RUN, 0)
    with shards.cleaning(number, 1) as attempt:
        span = shards.read_span(number)
        result = clean_shard(found.plan, number, span, TABLES.feed, attempt.out, attempt.work, None, "")
        write(state / f"shard-{number}.json", attempt.keep(result).to_dict())


def gather(files: RunFiles, state: Path, told: dict[str, Any]) -> None:
    """Put the accounting of the shards together."""
    from audited_load.sharding.gather import gather_shards  # noqa: PLC0415
    from audited_load.sharding.shard import ShardResult  # noqa: PLC0415
    from customer_pipeline.storing.object_shards import CutFile  # noqa: PLC0415

    found = CutFile.from_dict(read(state / "cut.json"))
    results = [ShardResult.from_dict(read(state / f"shard-{number}.json")) for number in range(told["shards"])]
    shards = files.shards(found, RUN, 0).gathered(results, 1)
    write(state / "report.json", gather_shards(found.plan, results, shards, TABLES.feed, None, "").to_dict())


def register(_: RunFiles, state: Path, told: dict[str, Any]) -> None:
    """Enter the file into the ledger, and make the incoming table."""
    report = CleanReport.from_dict(read(state / "report.json"))
    with connect(told["dsn"]) as connection:
        create_tables(connection, TABLES, ())
        delivery = Delivery(f"{RUN} {time.time()}", datetime.now(UTC), "replace")
        acquire_lease(connection, TABLES, delivery.run_id, 0)
        batch = register_batch(connection, TABLES, [report], delivery)
        empty_incoming(connection, TABLES, batch)
    write(state / "batch.json", batch.to_dict())


def copy(files: RunFiles, state: Path, told: dict[str, Any]) -> None:
    """Fetch one cleaned shard, and copy it into the incoming table."""
    batch = Batch.from_dict(read(state / "batch.json"))
    (load,) = batch.loads
    piece = Piece(load.load_id, told["number"], len(load.report.shards))
    with connect(told["dsn"]) as connection:
        acquire_lease(connection, TABLES, batch.run_id, 0)
    with files.cleaned_shard(load.report.shards[piece.number]) as path:
        copy_shard(told["dsn"], TABLES, batch, piece, path)


def load(files: RunFiles, state: Path, told: dict[str, Any]) -> None:
    """Fetch the other files, and copy them."""
    batch = Batch.from_dict(read(state / "batch.json"))
    with connect(told["dsn"]) as connection:
        acquire_lease(connection, TABLES, batch.run_id, 0)
        with files.fetched(batch) as fetched:
            rows, _ = copy_cleaned(connection, told["dsn"], TABLES, fetched)
        release_lease(connection, TABLES, batch.run_id)
    if rows != batch.loads[0].report.accepted:
        raise SystemExit(f"{rows} rows loaded, {batch.loads[0].report.accepted} accepted")


def files_of(told: dict[str, Any]) -> RunFiles:
    """Return where files lie: in the folder, or in the store if one is told."""
    if "store" not in told:
        return FolderFiles(Path(told["data"]))
    return ObjectFiles(Store(told["store"], Access(told["endpoint"], "", told["key"], told["secret"])), Path())


def read(path: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(path.read_text())
    return values


def write(path: Path, values: dict[str, Any]) -> None:
    path.write_text(json.dumps(values))


def main() -> None:
    """Say that all is imported, run a step when it is told, and print its seconds."""
    steps: dict[str, Callable[[RunFiles, Path, dict[str, Any]], None]] = {
        "clean": clean,
        "cut": cut,
        "shard": shard,
        "gather": gather,
        "register": register,
        "copy": copy,
        "load": load,
    }
    _, step, state = sys.argv
    print("ready", flush=True)
    told = json.loads(sys.stdin.readline())
    started = time.monotonic()
    steps[step](files_of(told), Path(state), told)
    print(time.monotonic() - started)


if __name__ == "__main__":
    main()
