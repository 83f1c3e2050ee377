"""Marts that days were merged into are compared with a full build, and whatever differs is found."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from dbt.cli.main import dbtRunner

from audited_load.errors import BadDataError, RefusedError, UnavailableError
from audited_load.marts.mart_check import check_marts
from audited_load.marts.mart_manifest import Mart, read_marts
from audited_load.marts.mart_sets import PublishedSet, publish_marts
from audited_load.warehouse.connection import connect
from customer_pipeline.feed import MARTS
from customer_pipeline.names import CHECKED
from customer_pipeline.own_target import own_target
from customer_pipeline.runtime.installation import Runtime
from customer_pipeline.tasks import alerts, drift_check
from integration.loading import load_file, write_csv
from integration.test_merging_marts import BUILD, Dbt, Dsn, dbt, query
from integration.test_star_schema import PROJECT

__all__ = ["dbt"]

LEFT = "select count(*) from pg_class where relnamespace = 'analytics_checked'::regnamespace"
DRIFTS = (
    (
        "update analytics_sets.dim_customers set lifetime_revenue = lifetime_revenue + 1 where customer_id = 3",
        "dim_customers: lifetime_revenue differs in 1 rows",
    ),
    (
        "update analytics_sets.fact_transactions set tax_amount = null, net_amount = gross_amount,"
        " total_amount = gross_amount where transaction_id in (5, 6)",
        "fact_transactions: .*tax_amount differs in 2 rows",
    ),
    ("delete from analytics_sets.agg_monthly_sales where customer_id = 2", "agg_monthly_sales: 1 rows are missing"),
    (
        'insert into analytics_sets.dim_dates select (jsonb_populate_record(d, \'{"date_day": "2024-02-01",'
        ' "month_start": "2024-02-01", "month_end": "2024-02-29"}\')).* from analytics_sets.dim_dates as d limit 1',
        "dim_dates: 1 rows are too many",
    ),
    (
        "update analytics_sets.page_days set known_tax_amount = known_tax_amount - 1",
        "page_days: known_tax_amount differs in 1 rows",
    ),
)


@pytest.fixture
def build(tmp_path: Path) -> Callable[[], object]:
    """A full build beside, in this process."""

    def run() -> None:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in own_target(tmp_path / "beside", CHECKED).items():
                patch.setenv(name, value)
            places = ["--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT)]
            assert dbtRunner().invoke(["--quiet", "run", *places]).success

    return run


def publish(dsn: Dsn, models: tuple[Mart, ...]) -> None:
    with connect(dsn("transformer")) as connection:
        publish_marts(connection, MARTS, models)


def change(dsn: Dsn, statement: str) -> None:
    with psycopg.connect(dsn("transformer")) as connection:
        connection.execute(statement)  # type: ignore[call-overload]


def test_a_merged_mart_that_differs_is_found_and_nothing_is_left_behind(
    dsn: Dsn, dbt: Dbt, build: Callable[[], object], tmp_path: Path
) -> None:
    def check(build: Callable[[], object] = build) -> PublishedSet | None:
        with connect(dsn("transformer")) as connection:
            try:
                return check_marts(connection, MARTS, models, CHECKED, build)
            finally:
                assert query(dsn("postgres"), LEFT) == [(0,)]

    models: tuple[Mart, ...] = ()
    assert check() is None, "nothing is published yet"
    load_file(dsn("loader"), write_csv(tmp_path / "1.csv", range(60)), "run-1", day=1)
    assert dbt(*BUILD)
    models = read_marts(tmp_path / "target" / "manifest.json")
    publish(dsn, models)
    load_file(dsn("loader"), write_csv(tmp_path / "2.csv", range(58, 63), "7"), "run-2", mode="merge", day=2)
    with pytest.raises(UnavailableError, match="of load 1, and the cleaned table is of load 2"):
        check()
    assert dbt(*BUILD)
    publish(dsn, models)
    assert check() == PublishedSet(1, 2, changed=False)

    change(dsn, "; ".join(statement for statement, _ in DRIFTS))
    before = query(dsn("reader"), "select * from analytics.dim_customers order by 1")
    with pytest.raises(BadDataError) as found:
        check()
    for _, said in DRIFTS:
        assert found.match(said)
    assert query(dsn("reader"), "select * from analytics.dim_customers order by 1") == before

    def build_while_a_load_comes() -> None:
        build()
        load_file(dsn("loader"), write_csv(tmp_path / "3.csv", range(70, 72)), "run-3", mode="merge", day=3)

    with pytest.raises(UnavailableError, match="the cleaned table is of load 3"):
        check(build_while_a_load_comes)
    assert dbt(*BUILD, "--full-refresh")
    publish(dsn, models)
    change(dsn, "update analytics_sets.published_sets set code = 'of other models'")
    with pytest.raises(RefusedError, match="models have changed"):
        check()


def test_the_command_says_where_ends_with_2_and_alerts(
    runtime: Runtime,
    dsn: Dsn,
    dbt: Dbt,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    project = tmp_path / "dbt"
    shutil.copytree(PROJECT, project, ignore=shutil.ignore_patterns("target", "logs"))
    sent: list[tuple[Any, ...]] = []
    monkeypatch.setattr(alerts, "send", lambda *arguments: sent.append(arguments))
    monkeypatch.setenv("SLACK_WEBHOOK_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("PIPELINE_DBT", str(project))
    monkeypatch.setenv("POSTGRES_PORT", str(runtime.postgres_port))
    assert drift_check.main() == 0
    assert "nothing to check" in capsys.readouterr().out
    load_file(dsn("loader"), write_csv(tmp_path / "1.csv", range(60)), "run-1", day=1)
    assert dbt(*BUILD)
    publish(dsn, read_marts(tmp_path / "target" / "manifest.json"))
    change(dsn, DRIFTS[0][0])
    assert drift_check.main() == 2
    said = capsys.readouterr().err
    assert DRIFTS[0][1] in said
    ((title, lines, *_),) = sent
    assert "drifted" in title
    assert DRIFTS[0][1] in lines[0]
    assert "What to do: Build all of them anew" in lines[1]
    assert query(dsn("postgres"), LEFT) == [(0,)]
