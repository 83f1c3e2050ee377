"""What a message or a page tells an operator to type works as typed: the real parser takes it."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from audited_load.command import COMMAND, command
from command_line import COMMANDS, parse
from customer_pipeline.runtime.postgres_server import SHARED

ROOT = Path(__file__).parents[2]
PYTHON = [path for folder in ("src", "airflow") for path in sorted((ROOT / folder).rglob("*.py"))]
TEMPLATES = sorted((ROOT / "src" / "pipeline_page" / "templates").glob("*.html"))
PAGES = [*ROOT.glob("*.md"), *sorted((ROOT / "docs").rglob("*.md"))]
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
SUBCOMMANDS = {words.split()[0] for words in COMMANDS}
PLACEHOLDERS = {"name": "postgres", "other": "docker", "load_id": "7"}
"""Values for what a message fills in, where any text won't do."""


def render(node: ast.expr) -> str:
    """Return the text of an expression, with something in place of what is filled in."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(map(render, parts))
        case ast.FormattedValue(value=value):
            return PLACEHOLDERS.get(value.id, "x") if isinstance(value, ast.Name) else render(value)
        case ast.Call(func=ast.Name(id="command"), args=[words]):
            return command(render(words))
        case ast.BinOp(left=left, right=right, op=ast.Add()):
            return render(left) + render(right)
        case _:
            return "x"


def texts(path: Path) -> Iterator[str]:
    """Return the texts of a module, without its docstrings."""
    if path.suffix == ".html":
        yield from re.findall(r"<code>(.*?)</code>", re.sub(r"\{\{.*?\}\}", "", path.read_text()))
        return
    tree = ast.parse(path.read_text())
    told = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr | ast.Constant | ast.Call) and id(node) not in told | parts:
            yield render(node)


def commands(path: Path) -> list[str]:
    """Return what stands between backticks in a module's texts, and all of a template's code."""
    if path.suffix == ".html":
        return list(texts(path))
    return [found for text in texts(path) for found in re.findall(r"`([^`]+)`", text)]


@pytest.mark.parametrize("path", [*PYTHON, *TEMPLATES], ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_of_a_message_works_as_typed(path: Path) -> None:
    for typed in commands(path):
        if not re.match(r"[\w.]", typed):
            continue  # a character
        first, *rest = shlex.split(typed)
        while re.fullmatch(r"[A-Z_]+=\S+", first) and rest:
            first, *rest = rest
        if first == COMMAND:
            parse(rest)
        elif first == "make":
            assert rest, typed
            assert set(rest) <= TARGETS, typed
        else:
            assert first not in SUBCOMMANDS, f"{typed}: an operator can't type it so"
            assert "customer-pipeline" not in typed, typed


@pytest.mark.parametrize("path", PYTHON, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_one_place_knows_the_commands_name(path: Path) -> None:
    if path.name == "command.py":
        return
    # Names of a holder of the lease, of a project, of a folder; and the parser's own.
    allowed = re.compile(
        rf"customer-pipeline( erase-customer| restore| rollback)?|COMPOSE_PROJECT_NAME=.*|{SHARED}"
    )
    for text in texts(path):
        if "customer-pipeline" in text.replace(COMMAND, ""):
            assert allowed.fullmatch(text), text


def test_the_command_lies_where_messages_say() -> None:
    assert (ROOT / COMMAND).exists() or not (ROOT / ".venv").exists()
    assert f"CLI := $(BIN)/{Path(COMMAND).name}" in (ROOT / "Makefile").read_text()


def test_the_collection_finds_the_commands() -> None:
    """A check of nothing is no check."""
    found = [typed for path in [*PYTHON, *TEMPLATES] for typed in commands(path)]
    assert sum(typed.startswith(COMMAND) for typed in found) >= 20
    assert sum("make " in typed for typed in found) >= 20


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_of_a_page_works_as_typed(page: Path) -> None:
    text = page.read_text(encoding="utf-8").replace("SERVICE", "scheduler")
    for typed in re.findall(rf"{re.escape(COMMAND)} [^`\n|\\]+", text):
        parse(shlex.split(typed, comments=True)[1:] + (["x"] if typed.rstrip().endswith("exec --") else []))
