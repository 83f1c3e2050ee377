"""How far a load is, as PostgreSQL says while it copies."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from audited_load.loading.incoming import empty_incoming
from audited_load.warehouse.connection import connect
from customer_pipeline.commands.run_progress import Copied, look_at_run
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
    copied = Copied()
    with connect(dsn("loader")) as connection:
        empty_incoming(connection, TABLES, batch)
        connection.execute(TABLES.fill("alter table {incoming} alter load_id set default 1"))
        connection.execute(TABLES.fill("alter table {incoming} alter confirmed_by set default 1"))
        before = look_at_run(runtime, "run-1", [TASK], copied)
        with connection.cursor().copy(TABLES.fill(COPY)) as copy:
            for number in range(ROWS // 2):
                copy.write(f"{number},1,2024-01-02,{number}\n")
            deadline = time.monotonic() + 20
            while time.monotonic() < deadline:
                during = look_at_run(runtime, "run-1", [TASK], copied)
                if during[0].share and during[0].share > 0.4:
                    break
                time.sleep(0.05)
    after = look_at_run(runtime, "run-1", [TASK], copied)
    assert (before[0].share, before[0].detail) == (0, f"0 of {ROWS:,} rows, just begun")
    assert 0.4 < (during[0].share or 0) <= 0.5
    assert " rows/s, " in during[0].detail
    # A copy that has ended still counts; a new attempt begins anew.
    assert after[0].share == during[0].share
    assert look_at_run(runtime, "run-1", [TASK | {"try_number": 2}], copied)[0].share == 0


def test_models_and_tests_done_are_counted_and_a_lost_database_only_hides_the_load(runtime: Runtime) -> None:
    models = [
        {"task_id": f"DBT-Transformations.dbt_models.{name}", "state": state}
        for name, state in (("a.run", "success"), ("a.test", "running"), ("b.run", None), ("b.test", None))
    ]
    lost = replace(runtime, postgres_port=1)
    steps = look_at_run(lost, "run-1", [TASK, *models], Copied())
    assert [(step.name, step.share, step.detail) for step in steps] == [
        ("dbt", 0.25, "1 of 4 models and tests done: a.test")
    ]
