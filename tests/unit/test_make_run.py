"""`make run FILE=…`: the name arrives as it was typed, and how the run ended is said."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone whose command writes down its arguments, and ends as an unusable file makes it end."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name in ("requirements.lock", "pyproject.toml", ".venv/ready"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    program = tmp_path / ".venv" / "bin" / "customer-pipeline"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\nfor word; do printf '%s\\0' \"$word\"; done > typed\nexit ${ENDS_WITH:-0}\n")
    program.chmod(0o755)
    return tmp_path


def make_run(clone: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if name not in {"FILE", "MAKEFLAGS", "MAKELEVEL"}}
    return subprocess.run(
        ["make", "run", *words],
        cwd=clone,
        env=clean | environment,
        capture_output=True,
        text=True,
        check=False,
    )


NAMES = [
    "plain.csv", "with blanks.csv", "it's.csv", 'a "b".csv', "$HOME.csv", "$(shell touch pwned).csv", "$$.csv",
    "a;touch pwned;.csv", "`touch pwned`.csv", "$(touch pwned)", "a#b.csv", "--force", "two\nlines.csv",
    "back\\slash.csv",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_the_name_of_a_file_arrives_as_it_was_typed(clone: Path, name: str) -> None:
    for done in (make_run(clone, f"FILE={name}"), make_run(clone, FILE=name)):
        assert done.returncode == 0, done.stderr
        assert (clone / "typed").read_text() == f"run\0--\0{name}\0"
    assert not (clone / "pwned").exists()


def test_without_a_file_it_is_the_sample(clone: Path) -> None:
    assert make_run(clone).returncode == 0
    assert (clone / "typed").read_text() == "run\0"


@pytest.mark.parametrize("code", ["1", "2", "3"])
def test_the_exit_code_that_make_swallows_is_said(clone: Path, code: str) -> None:
    done = make_run(clone, "FILE=x.csv", ENDS_WITH=code)
    assert f"Exit code {code}." in done.stderr
    assert ".venv/bin/customer-pipeline run hands on its own" in done.stderr
    assert done.returncode != 0
