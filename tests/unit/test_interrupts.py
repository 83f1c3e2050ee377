"""Ctrl+C, at any moment of any command: no trace of code, exit code 130, and a word on what goes on or is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from command_line import COMMANDS
from customer_pipeline.interrupts import INTERRUPTED, note_of
from customer_pipeline.names import ExitCode
from customer_pipeline.sample.generator import write_sample

CLI = Path(sys.executable).with_name("customer-pipeline")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that is large enough to be cleaned by several processes."""
    path = tmp_path_factory.mktemp("sample") / "big.csv"
    with path.open("wb") as out:
        write_sample(out, 450_000, 5, 0.02)
    assert path.stat().st_size > 24 * 2**20
    return path


def interrupt(line: list[object], seconds: float, home: Path, times: int = 1) -> tuple[int, str]:
    """Start a command, send SIGINT to its whole group as a terminal does; give how it ended as a shell says it."""
    started = subprocess.Popen(
        list(map(str, line)),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env=os.environ | {"PIPELINE_HOME": str(home), "RUNTIME": "embedded"},
    )
    time.sleep(seconds)
    for _ in range(times):
        os.killpg(started.pid, signal.SIGINT)
        time.sleep(0.02)
    said, _ = started.communicate(timeout=60)
    # Before Python has started, the signal itself ends it.
    return INTERRUPTED if started.returncode == -signal.SIGINT else started.returncode, said


@pytest.mark.parametrize(("seconds", "times"), [(0.15, 1), (0.5, 3), (0.8, 1), (1.2, 1), (1.7, 3), (2.5, 1)])
def test_cleaning_is_interrupted_at_any_moment(file: Path, tmp_path: Path, seconds: float, times: int) -> None:
    out = tmp_path / "out"
    code, said = interrupt([CLI, "clean", file, "--out", out], seconds, tmp_path, times)
    assert "Traceback" not in said
    assert "Exception ignored" not in said
    if code == 0:  # it was done
        return
    assert (code, "Interrupted. Files appear under their names only when they are whole" in said) == (130, True)
    assert not list(out.glob("*.csv")) or (out / "customer_transactions_rejected.csv").exists()


@pytest.mark.parametrize(
    "line",
    [
        "sample --rows 5000000 --seed 1 --out big.csv",
        "inspect FILE --rows 0",
        "logs airflow -f",
        "run FILE",
    ],
)
@pytest.mark.parametrize("seconds", [0.15, 1.0])
def test_other_commands_are_interrupted_at_any_moment(
    file: Path, tmp_path: Path, line: str, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = [str(file) if word == "FILE" else word for word in line.split()]
    code, said = interrupt([CLI, *words], seconds, tmp_path)
    if line.startswith("run"):
        home = {"PIPELINE_HOME": str(tmp_path), "RUNTIME": "embedded"}
        subprocess.run([CLI, "down"], env=os.environ | home, check=False)
    assert "Traceback" not in said
    assert "Exception ignored" not in said
    assert code in {0, INTERRUPTED}
    assert not Path("big.csv").exists()
    if code == INTERRUPTED and line.startswith("run"):
        assert "No run was asked for" in said


@pytest.mark.parametrize("module", ["customer_pipeline.tasks.drift_check", "customer_pipeline.upkeep.tidy"])
def test_programs_that_commands_become_are_interrupted_without_a_trace(module: str, tmp_path: Path) -> None:
    line = [sys.executable, "-m", "customer_pipeline.interrupts", module]
    code, said = interrupt([*line], 0.4, tmp_path)
    assert "Traceback" not in said
    assert code in {INTERRUPTED, ExitCode.FAILED}


def test_in_the_background_of_a_script_an_interrupt_is_ignored(tmp_path: Path) -> None:
    """A shell that runs a command with `&` has interrupts ignored: Ctrl+C is for what is in the foreground."""
    script = f"trap '' INT; {CLI} sample --rows 300000 --seed 1 --out {tmp_path / 'all.csv'}"
    code, _ = interrupt(["sh", "-c", script], 0.6, tmp_path)
    assert code == 0
    assert (tmp_path / "all.csv").exists()


def test_every_command_that_changes_something_says_what_is_left() -> None:
    assert ExitCode.INTERRUPTED == INTERRUPTED
    looks_on = {"status", "logs"}
    become_others = {"psql", "exec", "shell", "dbt", "marts", "tidy"}
    for name in {words.split()[0] for words in COMMANDS} - looks_on - become_others:
        assert note_of([name])
    unchanged = {name for name in {words.split()[0] for words in COMMANDS} if "Nothing" in note_of([name])}
    assert unchanged == {"accounting", "contract", *become_others}
