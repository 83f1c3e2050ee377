"""While the pipeline is down, every command that needs it says how to start it, and how it ends says so, too."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from command_line import COMMANDS

CLI = Path(sys.executable).with_name("customer-pipeline")
NEEDS_IT = {
    "status": "status",
    "logs": "logs",
    "psql": "psql -c 'select 1'",
    "accounting": "accounting",
    "quarantine list": "quarantine list",
    "quarantine export": "quarantine export --out x.csv",
    "report": "report --out x.html",
    "rollback": "rollback",
    "marts check": "marts check",
    "erase-customer": "erase-customer 501 --dry-run",
    "backup": "backup folder",
    "tidy": "tidy",
}
MAY_NEED_IT = {"exec": "exec -- true", "dbt": "dbt -- --version", "shell": "shell"}
"""What is typed behind them may be about files alone."""
STARTS_IT = {"up", "down", "restart", "run", "quarantine replay", "restore"}
WORKS_WITHOUT = {"clean", "inspect", "sample", "contract check"}
GROUPS = {"quarantine", "contract", "marts"}


def test_every_command_is_looked_at() -> None:
    assert {*NEEDS_IT, *MAY_NEED_IT, *STARTS_IT, *WORKS_WITHOUT, *GROUPS} == set(COMMANDS)


def give(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PIPELINE_HOME": str(folder), "RUNTIME": "embedded", "SHELL": "/bin/true"}
    return subprocess.run(
        ["sh", "-c", f"{CLI} {line}"], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("line", NEEDS_IT.values(), ids=NEEDS_IT)
def test_a_command_that_needs_it_says_how_to_start_it(line: str, tmp_path: Path) -> None:
    done = give(line, tmp_path)
    assert done.returncode == 1
    said = done.stdout + done.stderr
    assert "`make up`" in said
    assert "Traceback" not in said
    assert len(said.splitlines()) <= 2
    assert {path.name for path in tmp_path.iterdir()} == {".runtime"}


@pytest.mark.parametrize("line", MAY_NEED_IT.values(), ids=MAY_NEED_IT)
def test_a_command_that_may_need_it_says_so_and_goes_on(line: str, tmp_path: Path) -> None:
    done = give(line, tmp_path)
    assert done.returncode == 0
    assert "`make up`" in done.stderr


def test_the_help_of_psql_needs_nothing(tmp_path: Path) -> None:
    done = give("psql -- --help", tmp_path)
    assert done.returncode == 0
    assert "psql is the PostgreSQL interactive terminal" in done.stdout


@pytest.mark.parametrize(
    ("line", "said"),
    [("dbt -- run --help", "Usage: dbt run"), ("exec -- airflow --help", "Usage: airflow")],
)
def test_the_help_of_what_is_handed_on_is_behind_two_dashes(line: str, said: str, tmp_path: Path) -> None:
    assert said in give(line, tmp_path).stdout


@pytest.mark.parametrize("words", ["psql", "exec", "dbt"])
def test_help_says_that_words_are_handed_on_and_how_to_get_the_inner_help(words: str) -> None:
    assert "--help" in COMMANDS[words].epilog
    assert "follows" in COMMANDS[words].help
