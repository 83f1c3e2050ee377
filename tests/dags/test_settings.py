"""Settings that an operator mistypes name the variable."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from audited_load.command import COMMAND
from audited_load.errors import RefusedError
from customer_pipeline.settings import read_alert_settings, read_run_settings
from customer_pipeline.tasks import alerts
from customer_pipeline.tasks.alerts import (
    alert_of_rejects,
    alert_of_stale_source,
    alert_of_unusual,
    deadline_alerts,
    describe_error,
)
from customer_pipeline.tasks.freshness import StaleLoad


def test_without_settings_the_specification_holds_and_nobody_is_told() -> None:
    runs, told = read_run_settings({}), read_alert_settings({})
    assert (runs.schedule, runs.retry_delay) == ("@daily", timedelta(minutes=2))
    assert told.is_silent
    assert deadline_alerts(told) == []


@pytest.mark.parametrize("schedule", ["@hourly", "@weekly", "0 8 * * *"])
def test_the_specifications_intervals_are_schedules(schedule: str) -> None:
    assert read_run_settings({"PIPELINE_SCHEDULE": schedule}).schedule == schedule
    assert read_run_settings({"PIPELINE_SCHEDULE": "none"}).schedule is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PIPELINE_SCHEDULE", "every day"),
        ("RETRY_DELAY_SECONDS", "-1"),
        ("DEADLINE_HOURS", "nan"),
        ("DEADLINE_HOURS", "soon"),
        ("WARN_REJECTED_RATIO", "4%"),
    ],
)
def test_a_mistyped_setting_is_named(name: str, value: str) -> None:
    read = read_alert_settings if name in {"DEADLINE_HOURS", "WARN_REJECTED_RATIO"} else read_run_settings
    with pytest.raises(RefusedError, match=name):
        read({name: value})


def test_the_words_of_others_are_not_quoted() -> None:
    error = RuntimeError("Key (customer_id)=(4711) is not present")
    error.__cause__ = KeyError("4711")
    assert describe_error(error)[0] == "What: RuntimeError"
    assert "4711" not in str(describe_error(error) + describe_error("row 4711") + describe_error(None))


def test_an_alert_shows_a_files_name_and_obeys_none(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("WARN_REJECTED_RATIO", "0")
    report: Any = SimpleNamespace(
        source="a\x1b[31m\n\u202eb.csv", rejected_ratio=0.5, read=2, reasons={"price:not_a_number": 1}
    )
    context: Any = {"dag_run": SimpleNamespace(run_id="run-1")}
    alert_of_rejects(report, context)
    assert r"File: a\x1b[31m\n\u202eb.csv |" in caplog.text
    assert f"`{COMMAND} quarantine list`" in caplog.text


def test_a_stale_source_is_told_with_its_age_and_what_is_allowed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    sent: list[str] = []
    monkeypatch.setattr(alerts, "send", lambda title, lines, *_: sent.extend([title, *lines]))
    context: Any = {"dag_run": SimpleNamespace(run_id="run-1"), "ti": SimpleNamespace(dag_id="dag")}
    stale = StaleLoad(7, timedelta(hours=80), timedelta(hours=72))
    alert_of_stale_source(stale, context)
    assert sent == []
    assert "load 7, which readers see, was published 80 hours ago" in caplog.text
    monkeypatch.setenv("ALERT_EMAIL", "operator@example.com")
    alert_of_stale_source(stale, context)
    assert sent[:2] == ["dag: no new data", "Run: run-1"]
    assert "error_after of the source published_load is 72 hours" in sent[2]
    assert f"`{COMMAND} status`" in sent[3]


def test_a_load_that_is_not_as_usual_is_told_with_what_is(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    sent: list[str] = []
    monkeypatch.setattr(alerts, "send", lambda title, lines, *_: sent.extend([title, *lines]))
    context: Any = {"dag_run": SimpleNamespace(run_id="run-1"), "ti": SimpleNamespace(dag_id="dag")}
    alert_of_unusual(["a.csv, load 7: records read 10; usually 90 to 110."], context)
    assert sent == []
    assert "What: a.csv, load 7: records read 10; usually 90 to 110." in caplog.text
    monkeypatch.setenv("ALERT_EMAIL", "operator@example.com")
    alert_of_unusual(["a.csv, load 7: records read 10; usually 90 to 110."], context)
    assert sent[:2] == ["dag: a load is not as usual", "Run: run-1"]
    assert f"`{COMMAND} rollback`" in sent[-1]
