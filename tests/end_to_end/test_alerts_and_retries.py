"""In a real scheduler: what is tried again, what is not, and who is told what."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from customer_pipeline.names import CHECK_DAG_ID, DAG_ID
from end_to_end.conftest import RETRY_SECONDS, Stack

POISON = "Zaphod Beeblebrox 4242424242"
HEADER = "transaction_id,customer_id,transaction_date,product_id,product_name,quantity,price,tax\n"
FAILED, LATE, REFUSED = "a task failed", "misses its deadline", "many records were refused"
STALE = "no new data"


def wait_for(condition: Callable[[], object], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.2)


def latest_run(stack: Stack) -> str:
    rows = stack.ask("airflow", "select run_id from dag_run where dag_id = %s order by id desc limit 1", DAG_ID)
    return str(rows[0][0]) if rows else ""


def ledger(stack: Stack, run_id: str) -> list[tuple[object, ...]]:
    """Return status, records read and who started it, of each file of a run; its reason holds no value."""
    rows = stack.ask(
        "ebury",
        "select status, read, started_by, failure, remedy from cleaned_data.loads where run_id = %s",
        run_id,
    )
    for *_, failure, remedy in rows:
        assert POISON not in f"{failure} {remedy}"
        assert failure
        assert remedy
    return [row[:3] for row in rows]


def test_a_good_run_is_late_and_has_many_refused_records(stack: Stack) -> None:
    code, run_id, printed = stack.run()
    assert code == 0, printed
    assert not stack.alerts.about(run_id, FAILED)
    (refused,) = stack.alerts.about(run_id, REFUSED)
    assert "3.3% of 1000 records" in refused
    wait_for(lambda: stack.alerts.about(run_id, LATE))
    time.sleep(5)
    assert len(stack.alerts.about(run_id, LATE)) == 1
    mails = [mail for mail in stack.alerts.mails if run_id in mail[2]]
    assert sorted(subject.partition(": ")[2] for _, subject, _ in mails) == [f"a run {LATE}", REFUSED]
    assert {tuple(to) for to, _, _ in mails} == {("operator@example.com", "other@example.com")}


def test_bad_data_is_not_tried_again_and_its_values_are_told_nobody(stack: Stack, tmp_path: Path) -> None:
    file = tmp_path / "bad.csv"
    good = "".join(f"{n},1,2024-01-02,1,Thing,1,1.00,0\n" for n in range(5))
    file.write_text(HEADER + good + f"{POISON},1,2024-01-02,1,{POISON},{POISON},1.00,0\n" * 5)
    code, run_id, printed = stack.run(str(file))
    assert code == 2, printed
    assert stack.tries(run_id)["clean_and_transform_csv"] == ("failed", 1)
    (alert,) = stack.alerts.about(run_id, FAILED)
    assert "Task: Clean-Transactions.clean_and_transform_csv" in alert
    assert "Try: 1" in alert
    assert "more than MAX_REJECTED_RATIO" in alert
    assert "What to do: See " in alert
    assert f"{stack.runtime.url}/dags/pipeline_customer_transaction/runs/" in alert
    assert ledger(stack, run_id) == [("refused", 10, "airflow")]


def test_a_file_without_a_header_is_not_quoted(stack: Stack, tmp_path: Path) -> None:
    file = tmp_path / "headless.csv"
    file.write_text(f"1,1,2024-01-02,1,{POISON},1,1.00,0\n")
    code, run_id, printed = stack.run(str(file))
    assert code == 3, printed
    (alert,) = stack.alerts.about(run_id, FAILED)
    assert "column transaction_id" in alert
    assert ledger(stack, run_id) == [("refused", 0, "airflow")]


def test_what_a_guard_refuses_is_not_loading_for_ever(stack: Stack, tmp_path: Path) -> None:
    file = tmp_path / "customer_transactions.csv"
    file.write_text(HEADER + "1,1,2024-01-02,1,Thing,1,1.00,0\n")
    data = stack.runtime.data / "small" / "customer_transactions.csv"
    data.parent.mkdir()
    data.write_text(file.read_text())
    stack.ask(
        "ebury", "update cleaned_data.loads set visible_rows = visible_rows + 100000 where status = 'published'"
    )
    try:
        code, run_id, printed = stack.run("--source", "small/customer_transactions.csv")
    finally:
        stack.ask(
            "ebury", "update cleaned_data.loads set visible_rows = visible_rows - 100000 where status = 'published'"
        )
    assert code == 1, printed
    assert stack.tries(run_id)["validate_postgres_load"] == ("failed", 1)
    assert ledger(stack, run_id) == [("refused", 1, "airflow")]


def test_a_database_that_is_away_is_tried_again_once_and_nobody_is_told(stack: Stack) -> None:
    before = latest_run(stack)
    stack.ask("ebury", "alter role loader connection limit 0")
    process = stack.start("run")
    try:
        wait_for(lambda: latest_run(stack) != before)
        run_id = latest_run(stack)
        task = "clean_and_transform_csv"
        wait_for(lambda: stack.tries(run_id).get(task) == ("up_for_retry", 1))
        failed_at = time.monotonic()
        stack.ask("ebury", "alter role loader connection limit -1")
        wait_for(lambda: stack.tries(run_id)[task][0] in {"running", "success"})
        assert time.monotonic() - failed_at > RETRY_SECONDS - 2
        stack.ask("ebury", "alter role transformer connection limit 0")
        model = "dbt_models.stg_customer_transactions.run"
        wait_for(lambda: stack.tries(run_id).get(model) == ("up_for_retry", 1))
    finally:
        stack.ask("ebury", "alter role loader connection limit -1")
        stack.ask("ebury", "alter role transformer connection limit -1")
    printed, _ = process.communicate(timeout=300)
    assert process.returncode == 0, printed
    tries = stack.tries(run_id)
    assert tries[task] == tries[model] == ("success", 2)
    assert not stack.alerts.about(run_id, FAILED)


def test_nothing_new_and_a_failed_dbt_test_are_told_and_the_test_is_not_tried_again(stack: Stack) -> None:
    change = (
        "update cleaned_data.loads set visible_gross = visible_gross {0} 0.01,"
        " published_at = published_at {1} interval '80 hours'"
    )
    stack.ask("ebury", change.format("+", "-"))
    try:
        code, run_id, printed = stack.run()
    finally:
        stack.ask("ebury", change.format("-", "+"))
    (stale,) = stack.alerts.about(run_id, STALE)
    assert "was published 80 hours ago" in stale
    assert code != 0, printed
    assert stack.tries(run_id)["dbt_models.stg_customer_transactions.test"] == ("failed", 1)
    (alert,) = stack.alerts.about(run_id, FAILED)
    assert "Failed dbt tests: staging_ties_to_ledger (1 rows)" in alert


@pytest.mark.parametrize("secret", [POISON, POISON.split(maxsplit=1)[0], POISON.rsplit(maxsplit=1)[-1], "secret"])
def test_no_alert_holds_a_value_of_a_record_or_a_secret(stack: Stack, secret: str) -> None:
    assert len(stack.alerts.slack) >= 6
    for text in [*stack.alerts.slack, *(body for _, _, body in stack.alerts.mails)]:
        assert secret not in text


def test_the_first_run_by_hand_took_the_place_of_the_one_that_was_due(stack: Stack) -> None:
    log = (stack.runtime.folder / "logs" / "scheduler.log").read_text(errors="replace")
    # Once, when the schedule begins; not each time that the DAG is read.
    assert log.count("run already exists") <= 1
    planned = stack.ask("airflow", "select next_dagrun_create_after > now() from dag where dag_id = %s", DAG_ID)
    assert planned == [(True,)]
    of_dag = "select run_type, count(*) from dag_run where dag_id = %s group by 1 order by 1"
    assert stack.ask("airflow", of_dag, CHECK_DAG_ID) == []  # the weekly check waits for its day
    kinds = stack.ask("airflow", of_dag, DAG_ID)
    assert kinds[-1] == ("scheduled", 1)
