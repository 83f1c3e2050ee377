"""Everything that can be typed or set has help and is documented; what newcomers are told holds."""

from __future__ import annotations

import ast
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from audited_load import __version__
from audited_load.command import COMMAND
from command_line import COMMANDS, parse

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", ".env.example", "dbt/README.md")]
DOCUMENTED = "\n".join(path.read_text() for path in [*PAGES, *sorted((ROOT / "docs").glob("*.md"))])
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = sorted(set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE)))
COMPOSE = (ROOT / "docker-compose.yml").read_text()
SETTING = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)+")
NO_SETTINGS = {"STATSD_ON", "YOUR_FERNET_KEY", "F_SETLEASE"}
"""The end of a setting of Airflow's, a known bad value, and a constant of the system."""


@pytest.mark.parametrize("words", COMMANDS)
def test_every_command_is_documented_and_all_of_it_has_help(words: str) -> None:
    first, *rest = words.split()
    assert re.search(rf"customer-pipeline {first}\b", DOCUMENTED)
    assert all(re.search(rf"\b{word}\b", DOCUMENTED) for word in rest)
    assert COMMANDS[words].help
    assert [param.name for param in COMMANDS[words].params if not param.help] == []


@pytest.mark.parametrize("words", [words for words in COMMANDS if not hasattr(COMMANDS[words], "commands")])
def test_the_help_of_every_command_has_examples_that_work_as_typed(words: str) -> None:
    first, *lines = [line.strip() for line in COMMANDS[words].epilog.splitlines()[1:]]
    assert first == "Examples:"
    assert lines
    for line in lines:
        program, *typed = shlex.split(line)
        assert program == COMMAND
        assert line.startswith(f"{COMMAND} {words}")
        parse(typed)


@pytest.mark.parametrize("target", TARGETS)
def test_every_target_is_documented_and_has_help(target: str) -> None:
    assert re.search(rf"^{target}:.*## \S", MAKEFILE, re.MULTILINE)
    assert re.search(rf"make {target}(?![\w-])", DOCUMENTED)


def settings() -> Iterator[str]:
    """Return the environment variables of the code, of compose and of dbt; Airflow documents its own."""
    for folder in ("src", "airflow"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Constant) and isinstance(node.value, str) and SETTING.fullmatch(node.value):
                    yield node.value
    yield "RUNTIME"
    yield from re.findall(r"\$\{([A-Z_]+)", COMPOSE)
    yield from re.findall(r"^    ([A-Z_]+):$", COMPOSE, re.MULTILINE)
    for path in (ROOT / "dbt").glob("*.yml"):
        yield from re.findall(r"env_var\('([A-Z_]+)'", path.read_text())
    yield from re.findall(r"^([A-Z_]+) \?=", MAKEFILE, re.MULTILINE)


@pytest.mark.parametrize("name", sorted(set(settings()) - NO_SETTINGS))
def test_every_setting_is_documented(name: str) -> None:
    if not name.startswith("AIRFLOW__"):
        assert re.search(rf"(?<![A-Z_]){name}(?![A-Z_])", DOCUMENTED)


def test_the_collection_finds_what_there_is() -> None:
    assert {"up", "run", "quarantine replay"} <= set(COMMANDS)
    assert {"MAX_REJECTED_RATIO", "SLACK_WEBHOOK_URL", "POSTGRES_IMAGE", "DBT_TARGET_PATH"} <= set(settings())
    assert len(TARGETS) > 30


def test_the_version_is_one_and_has_its_place_in_the_changelog() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text()
    assert PROJECT["version"] == __version__
    released = re.findall(r"^## \[(\d[\w.]*)\] - \d{4}-\d{2}-\d{2}$", changelog, re.MULTILINE)
    assert released[0] == __version__
    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert set(re.findall(r"^### (.*)$", changelog, re.MULTILINE)) <= kinds


def test_hooks_run_the_projects_own_tools() -> None:
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert repository["repo"] == "local"
    for hook in repository["hooks"]:
        assert hook["language"] == "system"
        program = hook["entry"].split()[0]
        assert program.startswith(".venv/bin/")
        assert (ROOT / program).exists() or not (ROOT / ".venv").exists()


def test_hosted_ci_calls_the_script_and_runs_what_is_declared() -> None:
    steps = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"]["ci"]["steps"]
    assert [step["run"] for step in steps if "run" in step] == [".ci/run"]
    (version,) = [step["with"]["python-version"] for step in steps if "with" in step]
    classified = {name for name in PROJECT["classifiers"] if re.search(r":: 3\.\d", name)}
    assert classified == {f"Programming Language :: Python :: {version}"}
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o100
