"""The DAG that checks the published marts: on by itself, never at once, off by a setting."""

from __future__ import annotations

import importlib
from datetime import UTC, datetime

import pytest
from airflow.sdk import DAG
from airflow.timetables.base import TimeRestriction
from airflow.timetables.trigger import CronTriggerTimetable

from audited_load.errors import RefusedError
from customer_pipeline.settings import read_run_settings


@pytest.fixture
def check(dag: DAG) -> DAG:  # noqa: ARG001 - it sets the environment
    found: DAG = importlib.import_module("check_marts").dag_instance
    return found


def test_it_runs_every_week_without_being_asked_for_and_not_at_the_first_start(check: DAG) -> None:
    assert (check.dag_id, check.task_ids) == ("check_marts", ["compare_with_full_build"])
    assert (check.is_paused_upon_creation, check.catchup, check.max_active_runs) == (False, False, 1)
    assert check.timetable.expression == "0 6 * * 0"
    cron = CronTriggerTimetable(check.timetable.expression, timezone="UTC", run_immediately=False)
    assert check.timetable.run_immediately is False
    first = cron.next_dagrun_info(
        last_automated_data_interval=None, restriction=TimeRestriction(check.start_date, None, catchup=False)
    )
    assert first.run_after > datetime.now(UTC), "it would run beside the first load"
    (task,) = check.tasks
    assert [callback.__name__ for callback in task.on_failure_callback] == ["alert_of_failure"]
    assert task.retries == 1


def test_a_setting_moves_it_or_switches_it_off(check: DAG, monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_run_settings({"MARTS_CHECK_SCHEDULE": "@monthly"}).check_schedule == "@monthly"
    assert check.timetable is not None
    monkeypatch.setenv("MARTS_CHECK_SCHEDULE", "none")
    try:
        off = importlib.reload(importlib.import_module("check_marts")).dag_instance
        assert off.timetable.can_be_scheduled is False
    finally:
        monkeypatch.undo()
    with pytest.raises(RefusedError, match="MARTS_CHECK_SCHEDULE"):
        read_run_settings({"MARTS_CHECK_SCHEDULE": "now and then"})
