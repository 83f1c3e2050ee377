"""`status`: one screen, the cause of a failure, what is waited for, exit codes and keys for scripts."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from rich.console import Console
from still_clock import StillClock, ago

from audited_load.errors import UnavailableError
from command_line import call
from customer_pipeline.commands import status
from customer_pipeline.commands.status import judge, print_airflow, print_services, print_warehouse
from customer_pipeline.names import ExitCode
from customer_pipeline.runtime.installation import read_runtime
from customer_pipeline.runtime.supervisor import SERVICES, Service
from customer_pipeline.watching import stack_status
from customer_pipeline.watching.stack_status import (
    Airflow,
    FailedTask,
    LoadNow,
    MartsNow,
    RunNow,
    TakenBack,
    Warehouse,
    ask_airflow,
    read_limit,
)

ROOT = Path(__file__).parents[2]
CLEAN = "Clean-Transactions.clean_and_transform_csv"


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (status, stack_status):
        monkeypatch.setattr(module, "datetime", StillClock)


FAILURE = FailedTask(
    CLEAN,
    CLEAN,
    None,
    1,
    "day.csv: 377 of 2000 records were refused " + "and more " * 60,
    "Correct it. " * 60,
    "/x",
)
FAILED = RunNow(
    "manual__2026-11-27T08:00:44.937088+00:00", "failed", ago(minutes=10), ago(minutes=10), ago(minutes=9),
    22, 2, 1, 19, (), "", (FAILURE, replace(FAILURE, task="other")),
)  # fmt: skip
RUNNING = RunNow(
    "manual__2026-11-27T09:00:44.937088+00:00", "running", ago(minutes=4), ago(minutes=4), None, 22, 13, 0, 0,
    ("DBT-Transformations.dbt_models.dim_customers.run (try 2 of 2)",), "",
    (replace(FAILURE, task="DBT-Transformations.dbt_models.dim_customers.run", what="It was killed. " * 30),),
)  # fmt: skip
QUEUED = RunNow(
    "backfill__2026-11-27T10:00:44.937088+00:00", "queued", ago(minutes=3), None, None,
    waits=f"waits for run {RUNNING.run_id}, since one run goes at a time",
)  # fmt: skip
LOAD = LoadNow(7, "given/customer_transactions.csv", 10_000_000, ago(hours=80), True)
FRESH = replace(LOAD, published_at=ago(hours=8), is_stale=False)
BEHIND, CURRENT = MartsNow(6, ago(days=4), False), MartsNow(7, ago(hours=8), True)
MISSED = [datetime(2026, 11, day, tzinfo=UTC) for day in range(1, 14)]


def show(airflow: Airflow, warehouse: Warehouse) -> list[str]:
    text = io.StringIO()
    console = Console(file=text, width=80, highlight=False, soft_wrap=True, markup=False)
    print_services(dict.fromkeys(SERVICES, "running    pid 1    for 3 minutes"), console)
    print_airflow(airflow, console)
    print_warehouse(warehouse, airflow, console)
    return text.getvalue().splitlines()


@pytest.mark.parametrize(
    ("airflow", "warehouse"),
    [
        (
            Airflow(last_run=FAILED, next_run=ago(hours=-3), is_paused=True),
            Warehouse(LOAD, BEHIND, TakenBack(8, "given/customer_transactions.csv"), MISSED),
        ),
        (
            Airflow(runs=(RUNNING, QUEUED, QUEUED, QUEUED), last_run=FAILED, next_run=ago(hours=-3)),
            Warehouse(FRESH, CURRENT),
        ),
        (Airflow(error="away " * 100), Warehouse(error="away " * 100)),
    ],
)
def test_all_of_it_fits_a_screen(airflow: Airflow, warehouse: Warehouse) -> None:
    lines = show(airflow, warehouse)
    rows = sum(-(-max(len(line), 1) // 80) for line in lines)
    assert rows + 2 <= 24  # the UI and PostgreSQL have a line each
    # What is wider than the screen is there to be copied whole.
    assert all(len(line) <= 80 or "`.venv/bin/" in line for line in lines)


def test_a_failed_run_is_told_with_task_cause_remedy_and_log() -> None:
    said = "\n".join(show(Airflow(last_run=FAILED), Warehouse(FRESH, CURRENT)))
    assert "failed 9 minutes ago, after 60 seconds: 2 of 22 tasks done, 1" in said
    assert "19 not run" in said
    assert f"task         {CLEAN} (try 1)" in said
    assert "what         day.csv: 377 of 2000 records were refused" in said
    assert "what to do   Correct it." in said
    assert f"logs --task clean_and_transform_csv --run {FAILED.run_id}`" in said
    assert "failed, too  other" in said


def test_what_goes_on_and_what_waits_for_what_is_told() -> None:
    said = " ".join(" ".join(show(Airflow(runs=(RUNNING, QUEUED, QUEUED)), Warehouse(FRESH, BEHIND))).split())
    assert "13 of 22 tasks done; now DBT-Transformations.dbt_models.dim_customers.run (try 2 of 2)" in said
    assert "try 1 failed: It was killed." in said
    assert f"Queued {QUEUED.run_id}, for 3 minutes, waits for the run above, since one run goes at a time" in said
    assert "and 1 more are queued" in said
    assert "of an earlier load (6), 4 days old: a run is on its way" in said


def test_marts_of_an_earlier_load_name_the_group_to_clear() -> None:
    said = " ".join(" ".join(show(Airflow(), Warehouse(FRESH, BEHIND))).split())
    assert "clear the group DBT-Transformations of the last run" in said
    assert "{" not in said


def test_a_load_that_was_taken_back_and_a_holder_of_the_lease_are_told() -> None:
    warehouse = Warehouse(FRESH, CURRENT, TakenBack(8, "day.csv"), [], "customer-pipeline rollback")
    said = " ".join(" ".join(show(Airflow(), warehouse)).split())
    assert "Taken back load 8, day.csv: readers see load 7 again" in said
    assert "Loading customer-pipeline rollback; runs wait for it" in said


@pytest.mark.parametrize(
    ("airflow", "warehouse", "is_up", "code"),
    [
        (Airflow(), Warehouse(), True, ExitCode.OK),
        (Airflow(last_run=replace(FAILED, state="success")), Warehouse(FRESH, CURRENT), True, ExitCode.OK),
        (Airflow(last_run=FAILED), Warehouse(LOAD, BEHIND), True, ExitCode.RUN_FAILED),
        (Airflow(), Warehouse(LOAD, CURRENT), True, ExitCode.STALE),
        (Airflow(), Warehouse(FRESH, BEHIND), True, ExitCode.STALE),
        (Airflow(runs=(RUNNING,)), Warehouse(FRESH, BEHIND), True, ExitCode.OK),
        (Airflow(last_run=FAILED), Warehouse(LOAD, BEHIND), False, ExitCode.FAILED),
        (Airflow(error="x"), Warehouse(FRESH, CURRENT), True, ExitCode.FAILED),
        (Airflow(), Warehouse(error="x"), True, ExitCode.FAILED),
    ],
)
def test_the_exit_code_says_how_things_are(airflow: Airflow, warehouse: Warehouse, is_up: bool, code: int) -> None:
    assert judge(airflow, warehouse, is_up=is_up) == code


def test_services_that_differ_have_a_line_each() -> None:
    text = io.StringIO()
    words = dict.fromkeys(SERVICES, "running pid 7 for 3 minutes") | {"scheduler": "fatal"}
    print_services(words, Console(file=text, width=80, soft_wrap=True))
    assert re.search(r"^ +scheduler: fatal$", text.getvalue(), re.MULTILINE)


def test_json_has_the_keys_that_are_documented(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PIPELINE_HOME", str(tmp_path))
    monkeypatch.setenv("RUNTIME", "embedded")
    monkeypatch.setattr(status, "read_services", lambda _: {name: Service("RUNNING", 7, 0) for name in SERVICES})
    monkeypatch.setattr(status, "ask_airflow", lambda _: Airflow(runs=(RUNNING,), last_run=FAILED))
    monkeypatch.setattr(
        status, "ask_warehouse", lambda *_: Warehouse(LOAD, BEHIND, TakenBack(8, "x\u202e.csv"), MISSED)
    )
    assert call("status", "--json") == ExitCode.RUN_FAILED
    printed = capsys.readouterr().out
    found = json.loads(printed)
    assert printed.isascii()
    assert found["exit_code"] == 4
    assert found["services"]["scheduler"]["is_up"] is True
    page = (ROOT / "docs" / "operations.md").read_text()
    table = page.split("| key | what |")[1].split("\n\n")[0]
    documented = {word for row in table.splitlines()[2:] for word in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert keys(found) - set(SERVICES) == documented


def keys(value: Any) -> set[str]:
    """Return the keys of all objects in a value."""
    if isinstance(value, dict):
        return {*value, *(key for one in value.values() for key in keys(one))}
    return {key for one in value for key in keys(one)} if isinstance(value, list) else set()


class Api:
    """Airflow, with a run whose task was killed and is tried again, one that waits, and one that failed."""

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def find_dag(self) -> dict[str, Any]:
        return {"is_paused": False, "next_dagrun_run_after": ago(hours=-3), "timetable_summary": "0 0 * * *"}

    def find_runs(self, _: list[str]) -> list[dict[str, Any]]:
        return [run("second", "queued", 2), run("first", "running", 1)]

    def last_ended_run(self) -> dict[str, Any]:
        return run("before", "failed", 0)

    def tasks(self, run_id: str) -> list[dict[str, Any]]:
        if run_id == "before":
            return [
                task("failed", CLEAN, 1),
                task("upstream_failed", "Load-To-Postgres.x", 0),
                task("skipped", "y", 0),
            ]
        return [task("success", CLEAN, 1), task("running", "Load-To-Postgres.load", 2)]

    def log(self, run_id: str, task: dict[str, Any]) -> list[dict[str, Any]]:
        if run_id == "before":
            raised = {"exc_type": "UnusableFileError", "exc_value": "No header.\n  What to do: Put one there."}
            return [{"level": "error", "event": "Task failed", "error_detail": [raised]}]
        assert task["try_number"] == 1
        return [{"level": "info", "event": "loading"}]


def run(name: str, state: str, after: int) -> dict[str, Any]:
    moment = ago(minutes=30 - after)
    return {"dag_run_id": name, "state": state, "run_after": moment, "queued_at": moment, "start_date": moment}


def task(state: str, name: str, attempt: int) -> dict[str, Any]:
    more = {"map_index": -1, "rendered_map_index": None, "max_tries": 1, "start_date": None, "end_date": None}
    return {"task_id": name, "state": state, "try_number": attempt, **more}


def test_airflow_is_asked_for_causes_tries_and_queues(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stack_status, "AirflowApi", Api)
    found = ask_airflow(read_runtime({"PIPELINE_HOME": str(tmp_path)}))
    first, second = found.runs
    assert first.running == ("Load-To-Postgres.load (try 2 of 2)",)
    assert [(failure.attempt, "without a word" in failure.what) for failure in first.failures] == [(1, True)]
    assert second.waits == "waits for run first, since one run goes at a time"
    assert found.last_run
    (failure,) = found.last_run.failures
    assert (failure.what, failure.remedy) == ("No header.", "Put one there.")
    assert failure.log.endswith(f"run_id=before/task_id={CLEAN}/attempt=1.log")
    assert (found.last_run.done, found.last_run.failed, found.last_run.not_run) == (0, 1, 2)


def test_an_api_that_is_away_is_told_and_no_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise UnavailableError("Airflow's API: away", "See it.")

    monkeypatch.setattr(stack_status.AirflowApi, "find_dag", fail)
    assert "away" in ask_airflow(read_runtime({"PIPELINE_HOME": str(tmp_path)})).error


def test_how_old_data_may_be_is_read_from_the_dbt_project(tmp_path: Path) -> None:
    assert read_limit(ROOT / "dbt") == timedelta(hours=72)
    assert read_limit(tmp_path) is None


def dataclasses_of(kind: type) -> Iterator[type]:
    yield kind
    for hint in get_type_hints(kind).values():
        for inner in (hint, *get_args(hint)):
            if is_dataclass(inner):
                yield from dataclasses_of(inner)  # type: ignore[arg-type]


def test_every_key_is_described_where_it_is_made() -> None:
    for kind in {*dataclasses_of(Airflow), *dataclasses_of(Warehouse)}:
        for one in fields(kind):  # type: ignore[arg-type]
            assert f"        {one.name}: " in (kind.__doc__ or ""), f"{kind.__name__}.{one.name}"
