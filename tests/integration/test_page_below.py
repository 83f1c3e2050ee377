"""What lies below a figure of the page: the records of a reason, the days of a month, the history of a test."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import psycopg
from fastapi.testclient import TestClient

from audited_load.cleaning.clean_file import clean_file
from audited_load.loading.batch import Delivery
from audited_load.loading.outcome import Outcome, refuse_files
from audited_load.marts.mart_sets import publish_marts
from audited_load.warehouse.connection import connect
from audited_load.warehouse.operations import create_operations
from customer_pipeline.feed import MARTS
from customer_pipeline.runtime.installation import Runtime
from customer_pipeline.usual import AT_LEAST, describe_unusual
from integration.loading import HEADER, MODELS, TABLES, load_file, write_csv
from integration.test_star_schema import dbt, make_sample
from pipeline_page.tabs.dbt_tests import find_test_history
from pipeline_page.tabs.groups import Group
from pipeline_page.tabs.one_month import find_one_month
from pipeline_page.tabs.quality import Quality, find_quality
from pipeline_page.tabs.sales import Sales, find_sales
from pipeline_page.texts import YearMonth
from pipeline_page.warehouse import Kept, reading
from pipeline_page.web import create_app

Dsn = Callable[[str], str]
SPOOF = "x' a; johnsmith:secretname: 'y' is"
"""A value that ends its own quotes, and goes on like a reason."""


def make_operations(dsn: Dsn) -> None:
    with connect(dsn("loader")) as connection:
        create_operations(connection, TABLES, ("transformer", "reader"), ("transformer",))


def quality(dsn: Dsn, reason: str | None = None) -> Quality:
    with reading(dsn("reader")) as connection:
        return find_quality(connection, reason)


def test_a_reason_leads_to_its_records_and_no_part_of_a_value_is_taken_for_a_reason(
    dsn: Dsn, tmp_path: Path
) -> None:
    file = tmp_path / "in.csv"
    good = [f"{n},1,2024-01-02,3,Thing,2,1.10,0.05\n" for n in range(100)]
    bad = [f'500,1,2024-01-02,3,Thing,2,"{SPOOF}",0.05\n', "501,1,2024-01-02,3,Thing,2,1e9,x\n", '502,1,"a,b",c\n']
    file.write_text(HEADER + "".join(good[:50] + bad + good[50:]))
    load_file(dsn("loader"), file, "run-1")
    make_operations(dsn)
    found = [
        (one.source_line, one.column_name, one.refusal, one.shape)
        for reason in ("price", "tax:not_an_amount", "record")
        for one in quality(dsn, reason).records
    ]
    assert found == [
        (52, "price", "not_an_amount", "a"),
        (53, "price", "exponent", "9a9"),
        (53, "tax", "not_an_amount", "a"),
        (54, "record", "too_few_fields", ""),
    ]
    with psycopg.connect(dsn("reader")) as reader, psycopg.connect(dsn("loader")) as loader:
        shown = reader.execute("select distinct reject_id from operations.refused_records order by 1").fetchall()
        ids = "select distinct left(reject_id::text, 8) from cleaned_data.customer_transactions_rejected order by 1"
        assert shown == loader.execute(ids).fetchall()
        everything = str(reader.execute("select r::text from operations.refused_records as r").fetchall())
    assert "john" not in everything
    assert "secret" not in everything
    assert quality(dsn).records == [], "of all reasons together nobody wants a list"


def test_a_column_with_digits_in_its_name_has_shapes(dsn: Dsn, tmp_path: Path) -> None:
    load_file(dsn("loader"), write_csv(tmp_path / "a.csv", range(5)), "run-1")
    make_operations(dsn)
    with psycopg.connect(dsn("loader")) as connection:
        connection.execute(
            "insert into cleaned_data.customer_transactions_rejected_by_load (load_id, source_record, reasons,"
            " raw_record) select load_id, 9, 'line2_vat19:not_an_amount: ''ab1'' is no amount', 'x'"
            " from cleaned_data.loads"
        )
        connection.execute("""update cleaned_data.loads set reason_counts = '{"line2_vat19:not_an_amount": 1}'""")
    (shape,) = quality(dsn, "line2_vat19").shapes
    assert (shape.column_name, shape.refusal, shape.shape) == ("line2_vat19", "not_an_amount", "aa9")


def test_a_refused_file_is_in_the_trend_and_the_records_shown_are_those_that_the_quarantine_has(
    dsn: Dsn, tmp_path: Path
) -> None:
    bad = "9,1,2024-01-02,3,Thing,2,abc,0.05\n"
    file = write_csv(tmp_path / "1" / "a.csv", range(40))
    file.write_text(file.read_text() + bad)
    load_file(dsn("loader"), file, "run-1")
    make_operations(dsn)
    worse = write_csv(tmp_path / "2" / "a.csv", range(10, 20))
    worse.write_text(worse.read_text() + bad * 3 + bad.replace("abc", "abd"))
    report = clean_file(worse, TABLES.feed, tmp_path / "out", masking_key="a key")
    delivery = Delivery("run-2", datetime(2025, 12, 2, tzinfo=UTC), "replace")
    with connect(dsn("loader")) as connection:
        refuse_files(
            connection, TABLES, [replace(report, code_version="v1")], delivery, Outcome("refused", "Too many.")
        )
    shown = quality(dsn, "price")
    assert [(load.status, load.rejected_ratio > shown.limits.max_rejected_ratio) for load in shown.loads] == [
        ("refused", True),
        ("published", False),
    ]
    assert shown.lost == shown.loads[:1]
    assert shown.last == shown.loads[1]
    assert (len(shown.records), shown.in_last) == (1, 1)
    client = TestClient(create_app(lambda: dsn("reader"), lambda: None, lambda: None))
    rows = list(csv.DictReader(client.get("/quality.csv?table=loads").text.splitlines()))
    assert [row["status"] for row in rows] == ["refused", "published"]
    assert float(rows[0]["refused_share"]) > 0.05


def sums(groups: list[Group]) -> tuple[int, Decimal]:
    return sum(group.transactions for group in groups), sum(
        (group.revenue or Decimal(0) for group in groups), Decimal(0)
    )


def require_that_groups_add_up(sales: Sales) -> None:
    total = (sales.total.transactions, sales.total.revenue)
    assert sums(sales.tiers) == sums(sales.value_segments) == sums(sales.revenue_segments) == total


def say_which_months_go_on(dsn: Dsn, whole: Sales) -> None:
    client = TestClient(create_app(lambda: dsn("reader"), lambda: None, lambda: None))
    april, newest = YearMonth(2023, 4), whole.newest
    assert newest
    assert not newest.ends_month, "another seed, or this test says nothing"
    with reading(dsn("reader")) as connection:
        of_before = find_sales(connection, Kept(), today=date(2023, 4, 30))
    assert of_before
    assert whole.not_over == [newest.month]
    assert of_before.not_over == [each for each in whole.all_months if each >= april]
    page = client.get("/sales").text
    assert f"not over: the newest transaction is of {newest.key}" in page
    assert "Last month, not over" in page
    assert "not over" not in client.get("/sales?first=2023-04&last=2023-09").text


def test_all_of_sales_follows_the_chosen_months_and_adds_up(runtime: Runtime, dsn: Dsn, tmp_path: Path) -> None:
    file = tmp_path / "sample.csv"
    make_sample(file, 900)
    load_file(dsn("loader"), file, "run-1")
    make_operations(dsn)
    built = dbt(runtime, tmp_path / "target", "build")
    assert built.returncode == 0, built.stdout
    with connect(dsn("transformer")) as connection:
        publish_marts(connection, MARTS, MODELS)
    kept, april, september = Kept(), YearMonth(2023, 4), YearMonth(2023, 9)
    with reading(dsn("reader")) as connection:
        whole = find_sales(connection, kept)
        some = find_sales(connection, kept, april, september)
        one = find_sales(connection, kept, april, april)
        month = find_one_month(connection, kept, april, None)
        assert find_one_month(connection, kept, YearMonth(1999, 1)) is None
    assert whole
    assert some
    assert one
    assert month
    for sales in (whole, some, one):
        require_that_groups_add_up(sales)
    unknown = whole.tiers[-1]
    assert (unknown.name, unknown.members) == ("Unknown", 0), "nobody knows how many they are"
    assert unknown.revenue
    assert whole.total.revenue != some.total.revenue != one.total.revenue
    assert [(group.name, group.members) for group in some.tiers] == [
        (group.name, group.members) for group in whole.tiers
    ]
    top = (
        "select product_id, sum(gross_amount) from analytics.fact_transactions where transaction_date between"
        " '2023-04-01' and '2023-09-30' group by 1 order by 2 desc nulls last, 1 limit 10"
    )
    with psycopg.connect(dsn("reader")) as reader:
        assert [(each.product_id, each.revenue) for each in some.products] == reader.execute(top).fetchall()
    assert month.month == one.months[0]
    for figure in ("revenue", "tax", "units", "transactions", "without_amount"):
        assert sum(getattr(day, figure) or 0 for day in month.days) == getattr(month.month, figure), figure
    assert sum((each.revenue or Decimal(0) for each in month.products), Decimal(0)) == month.month.revenue
    assert len(month.products) == month.sold
    assert [day.day_name[:3] for day in month.days] == [f"{date(2023, 4, day.day):%a}" for day in month.days]
    assert (month.before, month.after) == (YearMonth(2023, 3), YearMonth(2023, 5))

    client = TestClient(create_app(lambda: dsn("reader"), lambda: None, lambda: None))
    days = list(csv.DictReader(client.get("/month.csv?month=2023-04&table=days").text.splitlines()))
    assert [row["date"] for row in days] == [f"2023-04-{day.day:02}" for day in month.days]
    tiers = list(csv.DictReader(client.get("/sales.csv?table=tiers&first=2023-04&last=2023-09").text.splitlines()))
    assert [(row["customer_tier"], row["revenue"]) for row in tiers] == [
        (group.name, str(group.revenue)) for group in some.tiers
    ]
    assert client.get("/month?month=1999-01").status_code == 404
    assert (
        client.get("/month?month=2023-04").text.count("<tr") == len(month.days) + min(len(month.products), 25) + 2
    )

    say_which_months_go_on(dsn, whole)


def test_a_tests_history_says_since_when_it_fails(dsn: Dsn, tmp_path: Path) -> None:
    load_file(dsn("loader"), write_csv(tmp_path / "a.csv", range(5)), "run-1")
    make_operations(dsn)
    results = (  # test, its results from the oldest run on
        ("always", ("pass", "pass", "pass", "pass")),
        ("again", ("fail", "pass", "fail", "error")),
        ("once", ("pass", "fail", "pass", "pass")),
    )
    with psycopg.connect(dsn("loader")) as connection:
        connection.execute("delete from operations.dbt_test_results")  # of other tests
    with psycopg.connect(dsn("transformer")) as connection:
        connection.cursor().executemany(
            "insert into operations.dbt_test_results (invocation_id, test_name, run_id, model, status, failures,"
            " seconds, finished_at) values (%s, %s, %s, 'm', %s, %s, 1, %s)",
            [
                (f"i{name}{day}", name, f"run-{day}", status, None if status == "pass" else 3,
                 datetime(2025, 12, day, tzinfo=UTC))
                for name, statuses in results
                for day, status in enumerate(statuses, 1)
            ],
        )  # fmt: skip
    with reading(dsn("reader")) as connection:
        history = find_test_history(connection)
    assert [each.name for each in history] == ["again", "once", "always"]
    again, once, always = history
    assert [result.status for result in again.results] == ["error", "fail", "pass", "fail"]
    days = [each.day if each else None for each in (again.failing_since, again.first_failed, again.last_failed)]
    assert days == [3, 1, 4]
    assert (once.failing_since, once.first_failed, once.passed) == (None, datetime(2025, 12, 2, tzinfo=UTC), 3)
    assert (always.last_failed, always.passed) == (None, 4)
    page = TestClient(create_app(lambda: dsn("reader"), lambda: None, lambda: None)).get("/tests").text
    assert "since 2025-12-03 00:00 UTC" in page


def test_a_file_ten_times_as_large_is_said_to_be_unusual_by_loads_like_it_alone(dsn: Dsn, tmp_path: Path) -> None:
    def load(name: str, rows: int, day: int, **words: str) -> None:
        file = write_csv(tmp_path / name / "a.csv", range(rows))
        load_file(dsn("loader"), file, name, day=day, force=True, **words)  # type: ignore[arg-type]

    def said(run: str) -> list[str]:
        with psycopg.connect(dsn("reader")) as connection:
            return describe_unusual(connection, run)

    for day in range(1, AT_LEAST):
        load(f"run-{day}", 50 + day, day)
    load("early", 600, AT_LEAST)
    assert said("early") == [], "there were too few"
    load("merged", 600, AT_LEAST + 1, mode="merge")
    assert said("merged") == [], "it is the first of its mode"
    load("large", 601, AT_LEAST + 2)
    rows, revenue = said("large")
    assert rows.startswith(f"a.csv, load {AT_LEAST + 2}: records read 601; usually ")
    assert "by the last 8 loads of its contract and mode" in rows
    assert "revenue" in revenue
    load("usual", 55, AT_LEAST + 3)
    assert said("usual") == [], "one odd load before it is no measure"
    assert quality(dsn).usual is not None
    with psycopg.connect(dsn("loader")) as connection:
        connection.execute("update cleaned_data.loads set contract_id = 'another' where run_id = 'large'")
    assert said("large") == [], "it is the first of its contract"
