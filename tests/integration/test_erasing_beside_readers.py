"""A reader that looks on for ever, its limit switched off, beside an erasure: who waits for whom."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from rich.console import Console

from audited_load.warehouse.lease import acquire_lease, release_lease
from audited_load.warehouse.load import connect
from customer_pipeline import erase
from customer_pipeline.settings import Runtime
from integration.loading import TABLES, load_file, write_csv
from integration.test_publishing_marts import build, publish
from steps.tables import MARTS

Dsn = Callable[[str], str]
ID = 3


def test_a_reader_that_looks_on_keeps_no_load_waiting(
    runtime: Runtime, dsn: Dsn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    load_id = load_file(dsn("loader"), write_csv(tmp_path / "a.csv", range(5)), "run-1").load_id
    build(dsn, load_id)
    publish(dsn)
    wait = erase._wait_for_readers
    waited = []

    def build_without(_: Runtime) -> None:
        build(dsn, load_id)
        with psycopg.connect(dsn("transformer")) as connection:
            for name in ("fact_transactions", "dim_customers", "agg_monthly_sales"):
                mart = sql.Identifier(MARTS.staging, name)
                connection.execute(sql.SQL("delete from {} where customer_id = %s").format(mart), (ID,))

    def load_meanwhile(*given: object) -> None:
        with connect(dsn("loader")) as connection:
            acquire_lease(connection, TABLES, "run-2", 0)
            release_lease(connection, TABLES, "run-2")
        waited.append(True)
        wait(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(erase, "_build", build_without)
    monkeypatch.setattr(erase, "_wait_for_readers", load_meanwhile)
    monkeypatch.setattr(erase, "READER_SECONDS", 1)
    with psycopg.connect(dsn("reader")) as reader:
        reader.execute("set transaction_timeout = 0")
        assert reader.execute("select count(*) from analytics.dim_customers").fetchone() == (5,)
        mine = replace(runtime, data=data)
        erase.erase_customer(mine, TABLES, MARTS, ID, Console(file=io.StringIO()))
        with pytest.raises(psycopg.OperationalError):
            reader.execute("select 1")
    assert waited == [True]
    with psycopg.connect(dsn("reader")) as reader:
        assert reader.execute("select count(*) from analytics.dim_customers").fetchone() == (4,)
    with psycopg.connect(dsn("transformer")) as connection:
        assert connection.execute("select count(*) from analytics_sets.published_sets").fetchone() == (1,)
