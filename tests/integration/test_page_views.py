"""*Today*, *Loads* and the comparison of two loads: what they say of a run, of a load, and of large figures."""

from __future__ import annotations

import csv
import html
import io
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest
from fastapi.testclient import TestClient

from audited_load.loading.rollback import roll_back
from audited_load.warehouse.connection import connect
from audited_load.warehouse.lease import held_lease, release_lease
from customer_pipeline.failures import Reason
from integration.loading import HEADER, TABLES, load_file, prepare, write_csv
from integration.test_outcomes import bad_file, refuse
from pipeline_page.report import render_report
from pipeline_page.runs import OtherRun, Run, TaskTry
from pipeline_page.web import create_app

Dsn = Callable[[str], str]
CLEAN = "Clean-Transactions.clean_and_transform_csv"
LARGE = Decimal("123456789012345678.1250")


def page(dsn: Dsn, run: Run | None = None) -> TestClient:
    return TestClient(create_app(lambda: dsn("reader"), lambda: run, lambda: None))


def read(answer: object) -> str:
    """Return the text of a page, as it is read: without tags, with blanks for what separates words."""
    text = getattr(answer, "text", answer)
    body = re.sub(r"(?s)<(script|style|head)\b.*?</\1>", "", str(text))
    return html.unescape(" ".join(re.sub(r"<[^>]+>", " ", body).split()))


def update(dsn: Dsn, change: str, **values: object) -> None:
    with psycopg.connect(dsn("loader")) as connection:
        connection.execute(f"update cleaned_data.loads set {change}", values)  # noqa: S608 - the tests' own words


@pytest.fixture
def two_loads(dsn: Dsn, tmp_path: Path) -> Dsn:
    load_file(dsn("loader"), write_csv(tmp_path / "a.csv", range(20)), "run-1", day=1)
    load_file(dsn("loader"), write_csv(tmp_path / "b.csv", range(30)), "run-2", day=2)
    return dsn


def ago(**length: float) -> datetime:
    return datetime.now(UTC) - timedelta(**length)


def test_money_is_shown_in_cents_with_its_currency_and_the_exact_value_at_hand(two_loads: Dsn) -> None:
    update(two_loads, "total_gross = %(large)s, visible_gross = %(large)s", large=LARGE)
    answer = page(two_loads).get("/today")
    cell = f'<data value="{LARGE}" title="exactly 123,456,789,012,345,678.125">123,456,789,012,345,678.13</data>'
    assert answer.text.count(cell) == 4, "the file, the ledger, the load before and this one"
    said = read(answer)
    assert "Revenue, USD" in said
    assert "Tax, USD" in said
    # A title is for the mouse; this is for keyboard and touch.
    (opened,) = re.findall(r"(?s)<details>(.{0,200}Control totals.*?)</details>", answer.text)
    assert opened.count("123,456,789,012,345,678.125") == 2
    assert opened.strip().startswith("<summary>With all decimals")


def test_a_total_that_is_off_by_less_than_a_cent_says_by_how_much(two_loads: Dsn) -> None:
    update(two_loads, "visible_gross = visible_gross + 0.0004 where load_id = 2")
    said = read(page(two_loads).get("/today"))
    assert "✗ off by −0.0004" in said  # noqa: RUF001
    assert "Control totals ✗ differ" in said


def test_a_failed_run_is_told_with_task_cause_remedy_and_log(two_loads: Dsn) -> None:
    reason = Reason("in.csv: no header <b>.", "Put it on the first line, then `make run`.")
    failed = (TaskTry(CLEAN, "failed", 2, 2, map_index=3, reason=reason), TaskTry("other", "failed", 1, 2))
    answer = page(two_loads, Run("run 3", "failed", ago(minutes=9), ago(minutes=7), failed)).get("/today")
    said = read(answer)
    assert "The last run failed run 3 , 7 min ago. Readers see what they saw before." in said
    assert f"{CLEAN} [3] failed at try 2 of 2: in.csv: no header <b>." in said
    assert "What to do: Put it on the first line, then make run ." in said
    assert "other failed at try 1 of 2." in said
    assert (
        f'href="/dags/pipeline_customer_transaction/runs/run%203/tasks/{CLEAN}/mapped/3" data-airflow>Open its log'
        in answer.text
    )
    assert "The newest run has read no file, so these are the figures of the one before." in said


def test_a_queued_run_says_how_long_it_waits_and_for_which_one(two_loads: Dsn) -> None:
    running = (OtherRun("run-0", ago(minutes=12, seconds=9)),)
    run = Run("run-3", "queued", None, None, (), queued=ago(minutes=5, seconds=9), waits_for=running)
    said = read(page(two_loads, run).get("/today"))
    assert "run-3 has waited for 5 min, until run-0 , which has run for 12 min, has ended" in said
    paused = Run("run-3", "queued", None, None, (), queued=ago(minutes=5, seconds=9), is_paused=True)
    assert "run-3 has waited for 5 min: the DAG is paused" in read(page(two_loads, paused).get("/today"))


def test_a_run_that_goes_on_says_which_try_it_is_after_a_kill(two_loads: Dsn) -> None:
    going_on = (
        TaskTry(CLEAN, "running", 2, 3, ago(seconds=33)),
        TaskTry("first", "running", 1, 2, ago(seconds=33)),
        TaskTry("again", "up_for_retry", 1, 2, reason=Reason("The disk is full.", "Make room.")),
    )
    said = read(page(two_loads, Run("run-3", "running", ago(minutes=2), None, (), going_on=going_on)).get("/today"))
    assert re.search(
        rf"{CLEAN} : try 2 of 3, for 3\d s. The try before it failed, or its process was killed.", said
    )
    assert re.search(r"first : try 1 of 2, for 3\d s. again failed at try 1 of 2", said)
    assert "is tried again: The disk is full." in said


def test_a_load_that_was_taken_back_is_told_and_every_figure_says_of_which_load_it_is(
    two_loads: Dsn, tmp_path: Path
) -> None:
    with connect(two_loads("loader")) as connection, held_lease(connection, TABLES, "me", 1):
        roll_back(connection, TABLES)
        release_lease(connection, TABLES, "me")
    said = read(page(two_loads).get("/today"))
    assert "Load 2 was taken back Load 2 (b.csv, published" in said
    assert "Readers see load 1 again (a.csv, published" in said
    assert "Refused 0.0 % of load 2;" in said
    assert "Readers see 20 transactions of load 1" in said
    assert "b.csv (load 2, replace, rolled back)" in said
    assert "Published taken back readers don't see it any more" in said
    assert "Readers see load 1 , a.csv: 20 rows in the cleaned table" in said
    assert "Control totals of load 1" in said
    load_file(two_loads("loader"), write_csv(tmp_path / "c.csv", range(31)), "run-3", day=3)
    assert "taken back" not in read(page(two_loads).get("/today"))


def test_a_refused_file_is_told_with_its_counts_and_what_to_do(two_loads: Dsn, tmp_path: Path) -> None:
    refuse(two_loads("loader"), bad_file(tmp_path), "run-3")
    client = page(two_loads)
    said = read(client.get("/today"))
    assert "A file was not loaded Load 3, bad.csv, refused: " in said
    assert "1 of 2 records was refused" in said
    assert "What to do: " in said
    assert "Refused 50.0 % of load 3; threshold 5.0 %" in said
    assert "Published nothing the file was refused" in said
    assert "Readers see load 2 , b.csv: 30 rows" in said
    # Where Airflow tells of the same run, it isn't said twice.
    failed = Run("run-3", "failed", None, ago(minutes=1), (TaskTry(CLEAN, "failed", 1, 2),))
    assert "A file was not loaded" not in read(page(two_loads, failed).get("/today"))
    ledger = read(client.get("/loads"))
    assert "3 refused bad.csv More of load 3 " in ledger
    assert "2 1 1 0 – – ended after" in ledger  # noqa: RUF001
    assert "Load 3 was refused: " in ledger
    assert "source=bad.csv" in ledger
    assert "run-3 , somebody for 2025-12-01" in ledger
    report = render_report(two_loads("reader"), None)
    assert "Load 3 was refused:" in read(report)
    assert "<form" not in report


def loads_of(answer: object) -> list[int]:
    return [
        int(number) for number in re.findall(r'scope="row">(\d+) <span class="status', getattr(answer, "text", ""))
    ]


def test_loads_are_found_by_day_file_and_status_and_come_as_csv(two_loads: Dsn, tmp_path: Path) -> None:
    refuse(two_loads("loader"), bad_file(tmp_path), "run-3")
    update(two_loads, "source_name = '=A%%_' where load_id = 1")
    client = page(two_loads)
    for query, expected in (
        ("", [3, 2, 1]),
        ("?from=&to=&file=&status=", [3, 2, 1]),
        ("?from=2025-12-02", [2]),
        ("?to=2025-12-01", [3, 1]),
        ("?from=2025-12-02&to=2025-12-01", [3, 2, 1]),
        ("?status=refused", [3]),
        ("?file=B.CSV", [2]),
        ("?file=%25_", [1]),
        ("?file=%00", []),
        ("?before=3&status=published", [2, 1]),
        ("?file=.csv&to=2025-12-01&status=refused", [3]),
    ):
        answer = client.get(f"/loads{query}")
        assert answer.status_code == 200, query
        assert loads_of(answer) == expected, query
        download = client.get(f"/loads.csv{query}")
        rows = list(csv.DictReader(io.StringIO(download.text)))
        assert [int(row["load_id"]) for row in rows] == expected, query
    assert "No load is like that." in client.get("/loads?file=nothing").text
    (row,) = csv.DictReader(io.StringIO(client.get("/loads.csv?to=2025-12-01&status=published").text))
    assert (row["source_name"], row["total_gross"], row["status"]) == ("'=A%_", "44.0000", "published")
    assert 'filename="loads.csv"' in download.headers["content-disposition"]


def test_a_long_ledger_leads_to_its_older_loads_with_the_search_kept(
    two_loads: Dsn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline_page.web.SHOWN_LOADS", 1)
    monkeypatch.setattr("pipeline_page.views.SHOWN_LOADS", 1)
    client = page(two_loads)
    first = client.get("/loads?status=published")
    (older,) = re.findall(r'href="(loads[^"]*)">Older loads', first.text)
    assert loads_of(first) == [2]
    assert loads_of(client.get(f"/{html.unescape(older)}")) == [1]


def test_two_loads_are_compared_side_by_side(two_loads: Dsn, tmp_path: Path) -> None:
    other = tmp_path / "other" / "c.csv"
    other.parent.mkdir()
    good = "".join(f"{n},{n % 7},2024-01-02,{n % 3},Thing,2,1.10,0.05\n" for n in range(45))
    other.write_text(HEADER + good + "100,1,2024-01-02,1, Thing ,2,much,0.05\n")
    load_file(two_loads("loader"), other, "run-3", day=3)
    client = page(two_loads)
    said = read(client.get("/compare?a=1&b=3"))
    for row in (
        "Read 20 46 +26",
        "Quarantined 0 1 +1",
        "Rows that readers saw after it 20 45 +25",
        "Revenue, USD 44.00 99.00 +55.00",
        "price:not_an_amount 0 1 +1",
        "product_name:trim 0 1 +1",
        "File a.csv c.csv differs",
        "Mode replace replace the same",
        "Day of the run 2025-12-01 2025-12-03 differs",
    ):
        assert row in said, row
    assert "Read 46 20 −26" in read(client.get("/compare?a=3&b=1"))  # noqa: RUF001
    by_default = read(client.get("/compare"))
    assert "Load 2 Load 3 Difference" in by_default, "what readers see, and saw before"
    same = read(client.get("/compare?a=2&b=2"))
    assert "Read 30 30 no change" in same
    assert "differs" not in same
    missing = client.get("/compare?a=1&b=9")
    assert missing.status_code == 404
    assert "There is no load 9" in missing.text


def test_of_a_first_load_there_is_nothing_to_compare_by_default(dsn: Dsn, tmp_path: Path) -> None:
    load_file(dsn("loader"), write_csv(tmp_path / "a.csv", range(20)), "run-1")
    answer = page(dsn).get("/compare")
    assert answer.status_code == 404
    assert "There are no two loads to compare" in answer.text


def test_a_load_on_its_way_has_no_end_yet(two_loads: Dsn, tmp_path: Path) -> None:
    prepare(two_loads("loader"), write_csv(tmp_path / "c.csv", range(31)), "run-3", day=3)
    running = Run("run-3", "running", ago(seconds=3), None, ())
    said = read(page(two_loads, running).get("/today"))
    assert "Published not yet the run is on its way" in said
    dead = Run("run-3", "failed", ago(minutes=3), ago(minutes=2), ())
    assert "Published nothing the run ended before it published" in read(page(two_loads, dead).get("/today"))
    assert "3 loading c.csv" in read(page(two_loads).get("/loads"))


def test_a_parameter_of_the_download_that_cant_be_used_is_named(two_loads: Dsn) -> None:
    client = page(two_loads)
    for address, said in (
        ("/sales.csv?table=secrets", "“table” can't be used: it has to be one of months"),
        ("/sales.csv", "“table” is missing: it has to be one of months"),
    ):
        answer = client.get(address)
        assert answer.status_code == 422
        assert said in read(answer)
    assert client.get("/sales.csv?table=months").status_code == 404
    assert "No marts are published yet" in client.get("/sales.csv?table=months").text
