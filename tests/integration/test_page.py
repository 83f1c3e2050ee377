"""What the page reads: masked shapes, the results of dbt's tests, control totals; and what it may not read."""

from __future__ import annotations

import csv
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from fastapi.testclient import TestClient
from psycopg import sql

from audited_load.cleaning.limits import Limits
from audited_load.marts.mart_sets import publish_marts
from audited_load.warehouse.connection import connect
from audited_load.warehouse.lease import release_lease
from audited_load.warehouse.operations import create_operations
from customer_pipeline.feed import MARTS
from customer_pipeline.runtime.installation import Runtime
from customer_pipeline.runtime.roles import make_roles_and_databases
from integration.loading import HEADER, MODELS, TABLES, load_file, prepare, write_csv
from integration.test_star_schema import dbt, make_sample
from pipeline_page.missed import LOOKED_AT, find_missed_runs
from pipeline_page.render import make_environment, render_view
from pipeline_page.report import render_report
from pipeline_page.runs import Run
from pipeline_page.tabs.quality import find_quality
from pipeline_page.tabs.sales import Sales, find_sales
from pipeline_page.tabs.today import find_today
from pipeline_page.texts import YearMonth, show_number
from pipeline_page.views import today_context
from pipeline_page.warehouse import Kept, NothingLoadedError, reading
from pipeline_page.web import create_app

Dsn = Callable[[str], str]
ODD_MONTHS = ("0001-12-01 BC", "0001-01-01", "9999-12-01", "10000-01-01")
SECRETS = ["Zoë@example.org", "éÅß 42", "ＡＢ７", "'); drop", "x; price:exponent: 'y' is"]  # noqa: RUF001


def load_with_operations(dsn: Dsn, file: Path, run_id: str) -> None:
    load_file(dsn("loader"), file, run_id)
    with connect(dsn("loader")) as connection:
        create_operations(connection, TABLES, ("transformer", "reader"), ("transformer",))


def test_before_the_first_load_the_page_knows_that_there_is_nothing(dsn: Dsn) -> None:
    with pytest.raises(NothingLoadedError), reading(dsn("reader")):
        pass


def test_no_letter_and_no_digit_of_a_refused_value_is_shown(dsn: Dsn, tmp_path: Path) -> None:
    file = tmp_path / "in.csv"
    good = "".join(f"{n},1,2024-01-02,3,Thing,2,1.10,0.05\n" for n in range(100))
    bad = "".join(f'{n},"{text}",2024-01-02,3,Thing,2,1.10,0.05\n' for n, text in enumerate(SECRETS, 1000))
    file.write_text(HEADER + good + bad, encoding="utf-8")
    load_with_operations(dsn, file, "run-1")
    with reading(dsn("reader")) as connection:
        shapes = find_quality(connection, "customer_id").shapes
    assert sum(shape.records for shape in shapes) == len(SECRETS)
    assert {"aaa@aaaaaaa.aaa", "aaa 99"} <= {shape.shape for shape in shapes}
    for shape in shapes:
        letters = {character for character in shape.shape if character.isalnum()}
        assert letters <= {"a", "9"}, shape


def test_readers_get_no_raw_text_and_writers_no_results_of_others(dsn: Dsn, tmp_path: Path) -> None:
    file = tmp_path / "in.csv"
    make_sample(file, 100)
    load_with_operations(dsn, file, "run-1")
    forbidden = {
        "reader": (
            "select raw_record from cleaned_data.customer_transactions_rejected",
            "select reasons from cleaned_data.customer_transactions_rejected_by_load",
            "insert into operations.dbt_test_results values ('x', 'x')",
        ),
        "transformer": ("delete from operations.dbt_test_results", "create table operations.mine ()"),
    }
    for role, statements in forbidden.items():
        for statement in statements:
            with psycopg.connect(dsn(role)) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)


def show_odd_months(dsn: Dsn, sales: Sales) -> None:
    """Show months that a warehouse of before may hold, and some that only PostgreSQL knows."""
    with psycopg.connect(dsn("transformer")) as connection:
        for month in ODD_MONTHS:
            connection.execute(
                "update analytics_sets.page_months as m set transaction_month = %s from ("
                "select * from analytics.page_months"
                " where extract(year from transaction_month) between 2000 and 2100"
                " order by transaction_month, customer_tier, value_segment limit 1) as first where"
                " (m.transaction_month, m.customer_tier, m.value_segment)"
                " = (first.transaction_month, first.customer_tier, first.value_segment)",
                (month,),
            )
    client = TestClient(create_app(lambda: dsn("reader"), lambda: None, lambda: None))
    whole = client.get("/sales")
    assert whole.status_code == 200
    for month in ("Dec -1", "Jan 1", "Dec 9999", "Jan 10000"):
        assert f">{month}<" in whole.text
    assert client.get("/sales?first=9999-12&last=-0001-12").status_code == 200, "in the wrong order"
    download = "/sales.csv?table=months"
    for asked, expected in (
        ("", ["'-0001-12", "0001-01", "9999-12", "10000-01"]),
        ("&first=0001-01&last=0001-01", ["0001-01"]),
        ("&first=10000-01&last=9999-12", ["9999-12", "10000-01"]),
    ):
        found = [row["month"] for row in csv.DictReader(client.get(download + asked).text.splitlines())]
        assert [month for month in found if not month.startswith("20")] == expected
    report = render_report(dsn("reader"), None)
    assert "Dec 9999" in report
    assert show_number(sales.total.revenue) in report


def test_the_page_ties_out_until_a_cent_differs(runtime: Runtime, dsn: Dsn, tmp_path: Path) -> None:
    file = tmp_path / "sample.csv"
    make_sample(file, 500)
    load_with_operations(dsn, file, "run-1")
    built = dbt(runtime, tmp_path / "target", "build")
    assert built.returncode == 0, built.stdout
    with connect(dsn("transformer")) as connection:
        publish_marts(connection, MARTS, MODELS)
    with reading(dsn("reader")) as connection:
        today, sales = find_today(connection, Kept(), None), find_sales(connection, Kept())
    assert today.ties_out is True
    assert [check.name for check in today.checks] == ["Cleaned file", "Ledger", "Fact"]
    assert sales is not None
    assert today.fact is not None
    assert sales.total.revenue == today.fact.gross
    february = YearMonth(2023, 2)
    with reading(dsn("reader")) as connection:
        one = find_sales(connection, Kept(), february, february)
    assert one is not None
    assert [month.month for month in one.months] == [february]
    assert one.months[0].growth == sales.months[sales.all_months.index(february)].growth
    show_odd_months(dsn, sales)
    assert dbt(runtime, tmp_path / "target", "run").returncode == 0
    with connect(dsn("transformer")) as connection:
        connection.execute(
            "update analytics_dbt_staging.fact_transactions set tax_amount = tax_amount + 0.01,"
            " total_amount = total_amount + 0.01, net_amount = net_amount - 0.01 where transaction_id ="
            " (select min(transaction_id) from analytics.fact_transactions where tax_amount is not null)"
        )
        connection.execute("update analytics_sets.builds set is_tested = true")
        assert publish_marts(connection, MARTS, MODELS).changed
    with reading(dsn("reader")) as connection:
        today = find_today(connection, Kept(), None)
    assert today.ties_out is False
    assert today.checks[-1].agrees == {"rows": True, "quantity": True, "gross": True, "tax": False}
    changed = tmp_path / "next" / "sample.csv"
    changed.parent.mkdir()
    make_sample(changed, 600)
    load_file(dsn("loader"), changed, "run-2")
    with reading(dsn("reader")) as connection:
        behind = find_today(connection, Kept(), None)
    assert behind.marts_are_behind
    assert [check.name for check in behind.checks] == ["Cleaned file", "Ledger"], "another load has other totals"
    context = today_context(behind, Limits(max_rejected_ratio=0.1)) | {
        "root": "",
        "version": "",
        "report": False,
        "docs": False,
    }
    said = render_view(make_environment(), "today", context)
    assert "The marts are still of load 1" in said
    assert "differ" not in said
    assert "ledger = fact" not in said


def test_results_of_dbts_tests_are_kept_and_their_absence_fails_nothing(
    runtime: Runtime, dsn: Dsn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "sample.csv"
    make_sample(file, 300)
    load_file(dsn("loader"), file, "run-1")
    with psycopg.connect(dsn("postgres"), autocommit=True) as admin:
        admin.execute(sql.SQL("drop schema if exists operations cascade"))
    without = dbt(runtime, tmp_path / "target", "build")
    assert without.returncode == 0, without.stdout
    make_roles_and_databases(runtime)
    with connect(dsn("loader")) as connection:
        create_operations(connection, TABLES, ("transformer", "reader"), ("transformer",))
    with psycopg.connect(dsn("transformer")) as connection:
        connection.execute(
            "update analytics_dbt_staging.fact_transactions set unit_price = unit_price, load_id = 0"
        )
        connection.execute("delete from analytics_dbt_staging.agg_monthly_sales where customer_id = -1")
    monkeypatch.setenv("AIRFLOW_CTX_DAG_RUN_ID", "it's a run")
    assert dbt(runtime, tmp_path / "target", "test").returncode == 1
    with reading(dsn("reader")) as connection:
        (run,) = find_quality(connection).test_runs
    assert run.run_id == "it's a run"
    assert 0 < run.passed < run.tests
    failed = {test["name"]: test["failures"] for test in run.others}
    assert failed["months_tie_to_fact"] >= 4, "rows, quantity, gross and tax differ, whatever else the sample has"


def test_scheduled_runs_that_brought_no_load_are_missed_until_a_load_makes_up_for_them(
    dsn: Dsn, tmp_path: Path
) -> None:
    file = write_csv(tmp_path / "in.csv", range(10))
    for day in (3, 4, 8):
        load_file(dsn("loader"), file, f"run-{day}", day=day)
    prepare(dsn("loader"), write_csv(tmp_path / "other.csv", range(9)), "run-6", day=6)
    with connect(dsn("loader")) as connection:
        release_lease(connection, TABLES, "run-6")
    now = datetime(2025, 12, 9, 15, tzinfo=UTC)

    def missed(schedule: str | None, now: datetime = now) -> list[int]:
        with reading(dsn("reader")) as connection:
            return [time.day for time in find_missed_runs(connection, schedule, now)]

    assert missed("0 0 * * *") == [5, 6, 7], "the run of today may still go on, and the load of day 6 never ended"
    assert missed("0 0 * * 1") == [], "Monday, December 8: this week's run may still go on"
    assert missed("0 8 * * *") == [4, 5, 6, 8], "a load at midnight is that of the day before, until 8"
    assert missed("None") == missed(None) == []
    assert len(missed("0 * * * *")) == LOOKED_AT
    load_file(dsn("loader"), file, "backfill-6", mode="merge", day=6)
    assert missed("0 0 * * *") == [5, 7]
    load_file(dsn("loader"), file, "backfill-1", mode="merge", day=1)
    assert missed("0 0 * * *") == [5, 7], "of the time before the first load nothing is missed"
    with reading(dsn("reader")) as connection:
        run = Run("run-8", "success", None, None, (), "0 0 * * *")
        assert len(find_today(connection, Kept(), run).missed) == LOOKED_AT
