"""The figures of a run, from a real ledger."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from audited_load.loading.figures import read_figures
from audited_load.warehouse.connection import connect
from integration.loading import TABLES, load_file, write_csv

Dsn = Callable[[str], str]


def figures(dsn: Dsn, run_id: str) -> dict[str, float]:
    with connect(dsn("reader")) as connection:
        return read_figures(connection, TABLES, run_id)


def test_the_figures_are_those_of_the_run_and_its_several_files(dsn: Dsn, tmp_path: Path) -> None:
    one, two = write_csv(tmp_path / "a.csv", range(100)), write_csv(tmp_path / "b.csv", range(100, 150))
    one.write_text(one.read_text() + "abc,1,2024-01-02,1,Thing,1,1,1\n")
    load_file(dsn("loader"), [one, two], "run-1")
    found = figures(dsn, "run-1")
    assert (found["read"], found["accepted"], found["quarantined"], found["duplicates"]) == (151, 150, 1, 0)
    assert found["rejected_ratio"] == 1 / 151
    assert found["quarantined_by_reason.transaction_id:not_an_id"] == 1
    assert found["visible_rows"] == 150
    assert 0 <= found["load_seconds"] < 60
    assert abs(time.time() - found["published_timestamp"]) < 60


def test_a_reason_that_is_gone_is_nought_and_not_absent(dsn: Dsn, tmp_path: Path) -> None:
    bad = write_csv(tmp_path / "a.csv", range(100))
    bad.write_text(bad.read_text() + "abc,1,2024-01-02,1,Thing,1,1,1\n")
    load_file(dsn("loader"), bad, "run-1")
    load_file(dsn("loader"), write_csv(tmp_path / "b.csv", range(120)), "run-2")
    assert figures(dsn, "run-2")["quarantined_by_reason.transaction_id:not_an_id"] == 0


def test_a_run_that_the_ledger_does_not_know_has_no_figures(dsn: Dsn, tmp_path: Path) -> None:
    load_file(dsn("loader"), write_csv(tmp_path / "a.csv", range(10)), "run-1")
    assert figures(dsn, "run-9") == {}
