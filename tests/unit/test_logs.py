"""`logs`: services together without requests, errors of tasks by task and run, and all that one task said."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer._click.exceptions import UsageError

from audited_load.errors import RefusedError, UnavailableError
from command_line import call
from customer_pipeline.runtime.installation import Runtime, read_runtime
from customer_pipeline.watching import service_logs, shown_logs
from customer_pipeline.watching.service_logs import GrowingFile
from customer_pipeline.watching.task_logs import find_cause, place_of_log, read_events
from unit.s3_server import KEY, running_server

CLI = Path(sys.executable).with_name("customer-pipeline")
REQUEST = (
    "2026-11-27T07:24:29.758449Z [info     ] request finished               [http.access] method=GET"
    " path=/api/v2/dags/x/dagRuns/y query= status_code=200"
)
OF_TASK = (
    "2026-11-27 07:24:30.209895+00:00 [error    ] a task's own words",
    "  What to do: Nothing. [task_errors] dag_id=d map_index=-1 run_id=r task_id=t ti_id=01 try_number=1",
)
SAID = "2026-11-27T07:24:{:02}.102506Z [{:<9}] {} [airflow.jobs] loc=job_runner.py:263"
CLEAN, COPY = "Clean-Transactions.clean_and_transform_csv", "Load-To-Postgres.load_cleaned_csv_to_postgres"
ERROR = {
    "timestamp": "2026-11-27T07:24:05.915306Z",
    "level": "error",
    "event": "[Clean-Transactions] x.csv: no header found.\n  What to do: Put one there.",
}
RAISED = {
    "timestamp": "2026-11-27T07:24:05.915702Z",
    "level": "error",
    "event": "Task failed with exception",
    "error_detail": [
        {
            "exc_type": "AirflowFailException",
            "exc_value": "x.csv: no header found.\n  What to do: Put one there.",
            "frames": [{"filename": "runner.py", "lineno": 7, "name": "run"}],
        },
        {
            "exc_type": "UnusableFileError",
            "exc_value": "x.csv: no header found.\n  What to do: Put one there.",
            "frames": [{"filename": "header.py", "lineno": 133, "name": "find_header"}],
        },
    ],
}


@dataclass
class Stack:
    """A clone whose services have written logs."""

    runtime: Runtime

    def service(self, name: str, *lines: str) -> Path:
        path = self.runtime.folder / "logs" / f"{name}.log"
        path.parent.mkdir(exist_ok=True)
        with path.open("a") as file:
            file.writelines(f"{line}\n" for line in lines)
        return path

    def task(self, run: str, task: str, attempt: int, *events: dict[str, Any], index: int | None = None) -> Path:
        place = self.runtime.home / "airflow" / "logs" / "dag_id=d" / f"run_id={run}" / f"task_id={task}"
        place = place / (f"map_index={index}" if index is not None else "") / f"attempt={attempt}.log"
        place.parent.mkdir(parents=True, exist_ok=True)
        with place.open("a") as file:
            file.writelines(json.dumps(event) + "\n" for event in events)
        time.sleep(0.01)  # the order in which logs are written is told by their files' times
        return place


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stack:
    monkeypatch.setenv("PIPELINE_HOME", str(tmp_path))
    monkeypatch.setenv("RUNTIME", "embedded")
    return Stack(read_runtime())


def test_airflows_services_are_shown_together_by_time_and_without_requests(
    stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    stack.service("api-server", "  ____    a banner", SAID.format(1, "info", "first"), *[REQUEST] * 100)
    stack.service(
        "scheduler", *OF_TASK, SAID.format(2, "warning", "second"), SAID.format(4, "error", "fourth"), "Traceback"
    )
    stack.service("triggerer", SAID.format(3, "info", "third"))
    stack.service("postgres", "2026-11-27 07:24:18.047 UTC [16541] LOG:  starting PostgreSQL 18.6")
    assert call("logs", "airflow") == 0
    printed = capsys.readouterr().out
    assert "http.access" not in printed
    assert "a task's own words" not in printed
    assert "What to do" not in printed
    assert "PostgreSQL" not in printed
    assert re.findall("first|second|third|fourth|Traceback", printed) == [
        "first",
        "second",
        "third",
        "fourth",
        "Traceback",
    ]
    assert re.search(r"^2026-11-27 07:24:04 scheduler +ERROR +fourth", printed, re.MULTILINE)
    assert call("logs") == 0
    assert re.search(r"postgres +LOG +starting PostgreSQL", capsys.readouterr().out)


def test_errors_of_tasks_name_task_run_and_try_in_every_line(
    stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    stack.service("scheduler", SAID.format(9, "info", "later"))
    stack.task("run-1", CLEAN, 2, {"level": "info", "event": "all is well"}, ERROR, RAISED, index=3)
    assert call("logs", "airflow") == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if "ERROR" in line]
    head = re.compile(rf" task +ERROR +{re.escape(CLEAN)} \[3\], run run-1, try 2: ")
    assert all(head.search(line) for line in lines)
    assert [line.partition("try 2: ")[2] for line in lines] == [
        "[Clean-Transactions] x.csv: no header found.",
        "  What to do: Put one there.",
        "Task failed with exception",
    ]


def test_a_log_of_a_task_is_found_by_name_run_try_and_index(
    stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    def said(*line: str) -> str:
        assert call("logs", "--task", *line) == 0
        return capsys.readouterr().out

    for run in ("run-1", "run-2"):
        for attempt in (1, 2):
            stack.task(run, COPY, attempt, {"level": "info", "event": f"{run} try {attempt}"})
    stack.task("run-2", CLEAN, 1, ERROR, RAISED, index=0)
    stack.task("run-2", CLEAN, 1, {"level": "info", "event": "of the second file"}, index=1)
    assert "run-2 try 2" in said("load_cleaned_csv_to_postgres")
    assert "run-1 try 2" in said(COPY, "--run", "run-1")
    assert "run-1 try 1" in said(COPY, "--run", "run-1", "--try", "1")
    assert "of the second file" in said("clean_and_transform_csv")
    whole = said("clean_and_transform_csv", "--index", "0")
    assert whole.startswith(f"{CLEAN} [0], run run-2, try 1\n")
    assert "2026-11-27 07:24:05 ERROR    Task failed with exception" in whole
    assert "header.py:133 in find_header" in whole
    assert "UnusableFileError: x.csv" in whole
    assert "Task failed" in said("clean_and_transform_csv", "--index", "0", "-n", "1")
    assert "no header found.\n  What" not in said("clean_and_transform_csv", "--index", "0", "-n", "0")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (["--task", "nothing"], f"These have one: {CLEAN}"),
        (["--task", "clean_and_transform_csv", "--run", "no-run"], "Run no-run has no log"),
        (["--task", "clean_and_transform_csv", "--try", "7"], "tries 1"),
        (["--task", "clean_and_transform_csv", "--index", "7"], "indexes 0"),
    ],
)
def test_a_log_that_is_not_there_is_told_with_those_that_are(stack: Stack, line: list[str], said: str) -> None:
    stack.task("run-1", CLEAN, 1, ERROR, index=0)
    with pytest.raises(RefusedError, match=re.escape(said)):
        call("logs", *line)


def test_one_service_is_shown_with_its_requests_and_acts_on_no_terminal(
    stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    stack.service("postgres", "first", "\tsecond \x1b]0;title\x07", "2026-11-27 07:24:18.047 UTC [1] LOG:  third")
    stack.service("api-server", REQUEST)
    assert call("logs", "postgres", "-n", "2") == 0
    assert capsys.readouterr().out == (
        "        second \\x1b]0;title\\x07\n2026-11-27 07:24:18.047 UTC [1] LOG:  third\n"
    )
    assert call("logs", "api-server") == 0
    assert "http.access" in capsys.readouterr().out
    stack.service("triggerer")
    assert call("logs", "triggerer") == 0  # it has said nothing yet


def test_one_service_is_followed_from_its_last_lines_on(stack: Stack) -> None:
    stack.service("postgres", "first", "second", "third")
    line = [CLI, "logs", "postgres", "-f", "-n", "2"]
    following = subprocess.Popen(line, stdout=subprocess.PIPE, text=True)
    assert following.stdout
    assert [following.stdout.readline() for _ in range(2)] == ["second\n", "third\n"]
    stack.service("postgres", "\x1b[31mfourth")
    assert following.stdout.readline() == "\\x1b[31mfourth\n"
    following.kill()
    following.wait()


def test_a_log_of_another_machine_is_read_in_the_store(
    stack: Stack, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORAGE_ROOT", "s3://bucket/pre/fix")
    place = f"logs/dag_id=d/run_id=run-2/task_id={COPY}"
    with pytest.raises(RefusedError, match="AIRFLOW_CONN_STORAGE"):
        call("logs", "--task", COPY)
    older = stack.task("run-1", COPY, 1, {"level": "info", "event": "on this machine"})
    os.utime(older, (time.time() - 60,) * 2)  # a store tells whole seconds, so within one it may seem to be older
    assert call("logs", "--task", COPY) == 0
    shown = capsys.readouterr()
    assert "on this machine" in shown.out
    assert "Logs of other machines were not looked for. AIRFLOW_CONN_STORAGE" in shown.err
    with running_server() as server:
        access = f"aws://{KEY}:a%20secret@/?endpoint_url=http://127.0.0.1:{server.port}"
        monkeypatch.setenv("AIRFLOW_CONN_STORAGE", access)
        for attempt in (1, 2):
            event = {"level": "info", "event": f"try {attempt} of another \x1b machine"}
            server.store().put(f"{place}/map_index=3/attempt={attempt}.log", json.dumps(event).encode())
        server.store().put(f"{place}/map_index=4/\u202eattempt=9.log", b"{}")
        server.store().put(f"logs/dag_id=d/run_id=\u202e/task_id={COPY}/attempt=9.log", b"{}")
        assert call("logs", "--task", COPY, "--follow") == 0
        shown = capsys.readouterr()
        assert "it is not followed" in shown.err
        assert "[3], run run-2, try 2\n" in (said := shown.out)
        assert "try 2 of another \\x1b machine" in said
        assert call("logs", "--task", COPY, "--try", "1", "--run", "run-2") == 0
        assert "try 1 of another" in capsys.readouterr().out
        assert call("logs", "--task", COPY, "--run", "run-1") == 0
        assert "on this machine" in capsys.readouterr().out
        task = {"task_id": COPY, "map_index": 3}
        runtime = read_runtime()
        assert place_of_log(runtime, "run-2", task, 2).startswith("s3://bucket/pre/fix/logs/dag_id=")
    stored = place_of_log(stack.runtime, "run-2", task, 2)
    assert stored.startswith(f"{stack.runtime.home}/airflow/logs/dag_id=")
    assert stored.endswith(f"/run_id=run-2/task_id={COPY}/map_index=3/attempt=2.log")


@pytest.mark.parametrize("line", ["logs", "logs airflow", "logs scheduler", "logs --task x"])
@pytest.mark.usefixtures("stack")
def test_where_nothing_was_started_logs_say_how_to_start(line: str) -> None:
    with pytest.raises(RefusedError, match=r"`make (up|run)`"):
        call(*line.split())


@pytest.mark.parametrize("line", ["logs scheduler --task x", "logs --run x", "logs --try 1", "logs --index 0"])
def test_options_of_a_tasks_log_need_a_task(line: str) -> None:
    with pytest.raises(UsageError):
        call(*line.split())


def test_following_shows_what_comes_of_services_and_tasks(stack: Stack) -> None:
    scheduler = stack.service("scheduler", SAID.format(1, "info", "old"))
    stack.service("api-server", REQUEST)
    stack.task("run-1", CLEAN, 1, ERROR)
    following = subprocess.Popen([CLI, "logs", "airflow", "-f"], stdout=subprocess.PIPE, text=True)
    assert following.stdout
    try:
        lines = iter(following.stdout.readline, "")
        until(lines, "old", "Put one there")
        time.sleep(1)
        scheduler.rename(scheduler.with_suffix(".log.1"))
        stack.service("scheduler", SAID.format(7, "error", "of a log that was begun anew"))
        stack.service("api-server", REQUEST, SAID.format(8, "info", "after a request"))
        stack.task("run-2", COPY, 1, ERROR)
        said = until(lines, "of a log that was begun anew", "after a request", f"{COPY}, run run-2, try 1")
        assert "http.access" not in said
    finally:
        following.kill()
        following.wait()


def until(lines: Iterator[str], *words: str) -> str:
    """Read lines until all of these words were in one."""
    read = ""
    for line in lines:
        read += line
        if all(word in read for word in words):
            return read
    raise AssertionError(read)


def test_a_growing_file_gives_whole_lines_once(tmp_path: Path) -> None:
    path = tmp_path / "log"
    growing = GrowingFile(path)
    assert growing.new_lines() == []
    path.write_text("one\ntw")
    assert growing.new_lines() == ["one"]
    path.write_text("one\ntwo\nthree")
    assert growing.new_lines() == ["two"]


def test_the_lines_of_containers_are_told_apart(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Compose puts the container's name before each line; releases join its number by `-` or `_`."""
    script = tmp_path / "compose"
    lines = [f"airflow-scheduler-1  | {SAID.format(1, 'info', 'of two')}", f"x_airflow-scheduler_1 | {REQUEST}"]
    script.write_text("#!/bin/sh\n" + "".join(f"echo '{line}'\n" for line in lines))
    script.chmod(0o700)
    monkeypatch.setattr(service_logs, "compose_command", lambda *_: ([str(script)], {}))
    docker = Runtime(**{**vars(stack.runtime), "kind": "docker"})
    (entry,) = service_logs.last_entries(docker, "scheduler", 40)
    assert entry.lines == ["INFO     of two [airflow.jobs] loc=job_runner.py:263"]
    containers = service_logs.GrowingContainers(docker, ["scheduler"])
    time.sleep(0.5)
    assert [service for service, _ in containers.new_lines()] == ["scheduler", "scheduler"]
    containers.close()
    script.write_text("#!/bin/sh\nprintf 'no right to \\033[31mthe socket' >&2\nexit 1\n")
    with pytest.raises(UnavailableError, match=r"no right to \\x1b\[31mthe socket"):
        service_logs.last_lines(docker, "scheduler", 40)


def test_following_containers_begins_with_their_last_lines(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Docker takes its time, hands on megabytes, and ends where the containers have stopped."""
    script = tmp_path / "compose"
    many, last = (f"airflow-scheduler-1  | {SAID.format(time, 'info', 'x' * 90)}" for time in (1, 2))
    script.write_text(f"#!/bin/sh\nsleep 3\nyes '{many}' | head -20000\necho '{last} and last'\n")
    script.chmod(0o700)
    monkeypatch.setattr(service_logs, "compose_command", lambda *_: ([str(script)], {}))
    docker = Runtime(**{**vars(stack.runtime), "kind": "docker"})
    monkeypatch.setattr(shown_logs, "read_runtime", lambda: docker)
    with pytest.raises(RefusedError, match="the stack is down"):
        shown_logs.show_together(["scheduler"], 2, follow=True)
    first, second = capsys.readouterr().out.splitlines()
    assert "last" not in first
    assert "and last" in second


def test_the_cause_of_a_failure_is_told_with_its_remedy(stack: Stack) -> None:
    cause = find_cause(read_events(stack.task("run-1", CLEAN, 1, ERROR, RAISED)))
    assert (cause.kind, cause.message, cause.remedy) == (
        "UnusableFileError", "x.csv: no header found.", "Put one there.",
    )  # fmt: skip
    deeper = [
        {"exc_type": kind, "exc_value": "x"} for kind in ("AirflowFailException", "UnusableFileError", "EOFError")
    ]
    assert find_cause([{"level": "error", "error_detail": deeper}]).kind == "UnusableFileError"
    silent = find_cause(read_events(stack.task("run-1", COPY, 1, {"level": "info", "event": "copying"})))
    assert "killed" in silent.message
    dbt = "dbt invocation failed: test_x: Got 3 results, configured to fail if != 0"
    assert find_cause([{"level": "error", "event": dbt}]).message == "Failed dbt tests: test_x (3 rows)"
