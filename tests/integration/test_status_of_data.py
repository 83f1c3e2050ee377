"""What `status` says of the warehouse: what readers see, was taken back or is too old, and who is loading."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from audited_load.warehouse.connection import connect
from audited_load.warehouse.lease import acquire_lease, release_lease
from customer_pipeline.runtime.installation import Runtime
from customer_pipeline.watching.stack_status import ask_warehouse
from integration.loading import TABLES, load_file, write_csv
from integration.test_merging import undo

ROOT = Path(__file__).parents[2]


@pytest.fixture
def here(runtime: Runtime, tmp_path: Path) -> Runtime:
    """A clone whose dbt project says how old data may be."""
    shutil.copytree(ROOT / "dbt" / "models" / "staging", tmp_path / "dbt" / "models" / "staging")
    return replace(runtime, home=tmp_path)


def test_before_the_first_load_there_is_nothing(here: Runtime, dsn: Callable[[str], str]) -> None:
    assert dsn("reader")
    found = ask_warehouse(here, "0 0 * * *")
    assert (found.load, found.marts, found.taken_back, found.error) == (None, None, None, "")


def test_a_load_that_was_taken_back_is_named_until_a_later_one_comes(
    here: Runtime, dsn: Callable[[str], str], tmp_path: Path
) -> None:
    loader = dsn("loader")
    load_file(loader, write_csv(tmp_path / "a.csv", range(1, 9)), "run-1")
    load_file(loader, write_csv(tmp_path / "b.csv", range(1, 9), "2.00"), "run-2", day=2)
    undo(loader)
    found = ask_warehouse(here, None)
    assert found.load
    assert found.taken_back
    assert (found.load.source, found.load.rows, found.load.is_stale) == ("a.csv", 8, False)
    assert found.taken_back.source == "b.csv"
    load_file(loader, write_csv(tmp_path / "c.csv", range(1, 9), "3.00"), "run-3", day=3)
    assert ask_warehouse(here, None).taken_back is None


def test_a_load_that_is_too_old_and_who_is_loading_are_told(
    here: Runtime, dsn: Callable[[str], str], tmp_path: Path
) -> None:
    load_file(dsn("loader"), write_csv(tmp_path / "a.csv", range(1, 9)), "run-1")
    with psycopg.connect(dsn("loader")) as connection:
        connection.execute("update cleaned_data.loads set published_at = now() - interval '73 hours'")
    with connect(dsn("loader")) as connection:
        acquire_lease(connection, TABLES, "customer-pipeline rollback", 1)
        found = ask_warehouse(here, None)
        release_lease(connection, TABLES, "customer-pipeline rollback")
    assert found.load
    assert found.load.is_stale
    assert found.lease_holder == "customer-pipeline rollback"
    assert ask_warehouse(here, None).lease_holder == ""


def test_a_warehouse_that_is_away_is_told_and_no_end(here: Runtime) -> None:
    assert ask_warehouse(replace(here, postgres_port=1), None).error
