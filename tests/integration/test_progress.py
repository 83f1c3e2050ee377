"""How far a load is, as PostgreSQL says while it copies, and by what was copied before."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from audited_load.loading.incoming import empty_incoming
from audited_load.loading.pieces import Piece, enter_piece, note_rows
from audited_load.warehouse.connection import connect
from customer_pipeline.commands.run_progress import look_at_run
from customer_pipeline.runtime.installation import Runtime
from integration.loading import TABLES, prepare, write_csv

Dsn = Callable[[str], str]
ROWS = 200_000
TASK = {
    "task_id": "Load-To-Postgres.load_cleaned_csv_to_postgres",
    "state": "running",
    "map_index": -1,
    "rendered_map_index": None,
    "try_number": 1,
    "start_date": datetime.now(UTC).isoformat(),
}
COPY = "copy {incoming} (transaction_id, product_id, transaction_date, source_record) from stdin (format csv)"


def test_rows_that_are_being_copied_are_shown_of_all_that_come(runtime: Runtime, dsn: Dsn, tmp_path: Path) -> None:
    batch = prepare(dsn("loader"), write_csv(tmp_path / "a.csv", range(ROWS)), "run-1")
    with connect(dsn("loader")) as connection:
        empty_incoming(connection, TABLES, batch)
        before = look_at_run(runtime, "run-1", [TASK])
        with connection.cursor().copy(TABLES.fill(COPY)) as copy:
            for number in range(ROWS // 2):
                copy.write(f"{number},1,2024-01-02,{number}\n")
            deadline = time.monotonic() + 20
            while time.monotonic() < deadline:
                during = look_at_run(runtime, "run-1", [TASK])
                if during[0].share and during[0].share > 0.4:
                    break
                time.sleep(0.05)
        piece = Piece(1, 0, 2)
        enter_piece(connection, TABLES, piece)
        note_rows(connection, TABLES, piece, ROWS // 2)
    shards = [TASK | {"task_id": "Load-To-Postgres.copy_shard", "map_index": number} for number in range(2)]
    (after,) = look_at_run(runtime, "run-1", shards)
    assert (before[0].share, before[0].detail) == (0, f"0 of {ROWS:,} rows, just begun")
    assert 0.4 < (during[0].share or 0) <= 0.5
    assert " rows/s, " in during[0].detail
    assert (after.name, after.share) == ("loading", 0.5)  # of two pieces, one was copied


def test_models_and_tests_done_are_counted_and_a_lost_database_only_hides_the_load(runtime: Runtime) -> None:
    models = [
        {"task_id": f"DBT-Transformations.dbt_models.{name}", "state": state}
        for name, state in (("a.run", "success"), ("a.test", "running"), ("b.run", None), ("b.test", None))
    ]
    lost = replace(runtime, postgres_port=1)
    steps = look_at_run(lost, "run-1", [TASK, *models])
    assert [(step.name, step.share, step.detail) for step in steps] == [
        ("dbt", 0.25, "1 of 4 models and tests done: a.test")
    ]
