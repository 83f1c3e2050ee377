"""What is old goes, and nothing else does."""

from __future__ import annotations

import os
import stat
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from audited_load.errors import RefusedError
from customer_pipeline.settings import read_run_history_days, read_settings
from customer_pipeline.storing.deliveries import remove_old_runs
from customer_pipeline.upkeep.tidy import LOG_FOLDER, find_old_logs, remove_logs, tidy

DAY = 86_400


def write(path: Path, days_old: float) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x")
    then = time.time() - days_old * DAY
    os.utime(path, (then, then))
    return path


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    folder = tmp_path / "logs"
    write(folder / "dag_id=a" / "run_id=1" / "task_id=t" / "attempt=1.log", 91)
    write(folder / "dag_id=a" / "run_id=2" / "task_id=t" / "attempt=1.log", 89)
    write(folder / "dag_processor" / "old" / "a.log", 200)
    return folder


def fake_airflow(tmp_path: Path, code: int) -> dict[str, str]:
    """Return an environment whose `airflow` writes down what it was asked for."""
    program = tmp_path / "bin" / "airflow"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\nexit {code}\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return {"PATH": f"{program.parent}:/usr/bin:/bin"}


def test_old_logs_go_with_their_folders_and_young_ones_stay(logs: Path) -> None:
    remove_logs(logs, find_old_logs(logs, datetime.now(UTC) - timedelta(days=90)))
    left = sorted(path.relative_to(logs).as_posix() for path in logs.rglob("*"))
    assert left == [
        "dag_id=a",
        *(f"dag_id=a/run_id=2{end}" for end in ("", "/task_id=t", "/task_id=t/attempt=1.log")),
    ]
    remove_logs(logs, find_old_logs(logs, datetime.now(UTC)))
    assert list(logs.iterdir()) == []


def test_a_link_out_of_the_folder_is_no_log(logs: Path, tmp_path: Path) -> None:
    outside = write(tmp_path / "delivery.csv", 400)
    (logs / "latest").symlink_to(outside)
    remove_logs(logs, find_old_logs(logs, datetime.now(UTC)))
    assert outside.exists()


@pytest.mark.parametrize(("code", "left"), [(0, 1), (1, 3)])
def test_logs_go_after_their_runs_and_stay_if_those_do(logs: Path, tmp_path: Path, code: int, left: int) -> None:
    environment = fake_airflow(tmp_path, code) | {LOG_FOLDER: str(logs)}
    assert tidy(environment, dry_run=False) == code
    (asked,) = (tmp_path / "asked").read_text().splitlines()
    assert asked.startswith("db clean --clean-before-timestamp ")
    before = datetime.fromisoformat(asked.split()[3])
    assert timedelta(days=90) <= datetime.now(UTC) - before < timedelta(days=90, minutes=1)
    assert "--yes" in asked
    assert len(list(logs.rglob("*.log"))) == left


def test_a_dry_run_removes_nothing(logs: Path, tmp_path: Path) -> None:
    environment = fake_airflow(tmp_path, 0) | {LOG_FOLDER: str(logs), "RUN_HISTORY_DAYS": "1"}
    assert tidy(environment, dry_run=True) == 0
    assert "--dry-run" in (tmp_path / "asked").read_text()
    assert "--yes" not in (tmp_path / "asked").read_text()
    assert len(list(logs.rglob("*.log"))) == 3


def test_for_ever_is_for_ever(logs: Path, tmp_path: Path) -> None:
    environment = fake_airflow(tmp_path, 0) | {LOG_FOLDER: str(logs), "RUN_HISTORY_DAYS": "0"}
    assert tidy(environment, dry_run=False) == 0
    assert not (tmp_path / "asked").exists()
    assert len(list(logs.rglob("*.log"))) == 3


def test_without_the_services_environment_nothing_is_done() -> None:
    with pytest.raises(RefusedError, match=LOG_FOLDER):
        tidy({}, dry_run=False)


@pytest.mark.parametrize("text", ["-1", "1.5", "many", "40000"])
def test_what_is_no_number_of_days_is_refused(text: str) -> None:
    with pytest.raises(RefusedError, match="RUN_HISTORY_DAYS"):
        read_run_history_days({"RUN_HISTORY_DAYS": text})
    for name in ("TEST_RESULTS_DAYS", "KEPT_RUNS"):
        with pytest.raises(RefusedError, match=name):
            read_settings({"PIPELINE_DATA": "data", name: text})


def test_no_run_at_all_can_not_be_kept() -> None:
    with pytest.raises(RefusedError, match="KEPT_RUNS"):
        read_settings({"PIPELINE_DATA": "data", "KEPT_RUNS": "0"})


def test_the_newest_runs_and_the_one_that_goes_on_keep_their_files(tmp_path: Path) -> None:
    for number in range(6):
        write(tmp_path / "runs" / f"run-{number}" / "attempt-1" / "a.csv", 0)
        then = time.time() - number * DAY
        os.utime(tmp_path / "runs" / f"run-{number}", (then, then))
    remove_old_runs(tmp_path, tmp_path / "runs" / "run-5" / "attempt-1", kept=2)
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["run-0", "run-1", "run-5"]
