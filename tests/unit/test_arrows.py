"""Who may know whom: the arrows of docs/architecture.md."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import pytest

from steps.data_cleaners import CUSTOMER_TRANSACTIONS

ROOT = Path(__file__).parents[2]
ENGINE = sorted((ROOT / "src" / "audited_load").rglob("*.py"))
STEPS = sorted((ROOT / "airflow" / "dags").rglob("*.py"))
COMMAND = sorted((ROOT / "src" / "customer_pipeline").rglob("*.py"))
RULES = [
    *sorted((ROOT / "src" / "audited_load" / "rules").glob("*.py")),
    ROOT / "airflow" / "dags" / "steps" / "data_cleaners.py",
]
STANDARD = {"__future__", "collections", "dataclasses", "datetime", "functools", "re"}
LIBRARIES = {"num2words", "text_to_num"}
OPERATOR = ("commands", "watching", "inspection", "runtime", "warming", "upkeep", "cli")
ROOMS_OF_THE_OPERATOR = tuple(f"customer_pipeline.{room}" for room in OPERATOR)
ROOMS = sorted({path.parent for place in ("src", "airflow") for path in (ROOT / place).rglob("*.py")})


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name.partition(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").partition(".")[0])
    return found


def modules(path: Path) -> set[str]:
    nodes = ast.walk(ast.parse(path.read_text()))
    return {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}


@pytest.mark.parametrize("path", ENGINE, ids=lambda path: path.stem)
def test_the_engine_knows_neither_airflow_nor_dbt_nor_what_is_above_it(path: Path) -> None:
    assert not imports(path) & {"airflow", "cosmos", "dbt", "steps", "customer_pipeline", "rich", "httpx"}


@pytest.mark.parametrize("path", ENGINE, ids=lambda path: path.stem)
def test_the_engine_knows_no_column(path: Path) -> None:
    tree = ast.parse(path.read_text())
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
    }
    texts = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings
    ]
    own = {"quantity", "price", "tax"}  # too short to be told from words
    for name in set(CUSTOMER_TRANSACTIONS.names) - own:
        assert [text for text in texts if name in text] == []


@pytest.mark.parametrize("path", STEPS, ids=lambda path: path.stem)
def test_the_steps_know_nothing_of_the_operators_commands_and_runtime(path: Path) -> None:
    assert not {name for name in modules(path) if name.startswith(ROOMS_OF_THE_OPERATOR)}


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.stem)
def test_the_rules_know_no_file_but_the_contract_no_database_and_no_airflow(path: Path) -> None:
    reads_the_contract = path.stem == "data_cleaners"
    assert imports(path) <= STANDARD | LIBRARIES | {"audited_load"} | ({"pathlib"} if reads_the_contract else set())
    names = ("rules", "columns", "form", "shown", *(["contracts"] if reads_the_contract else []))
    allowed = tuple(f"audited_load.{name}" for name in names)
    assert not {name for name in modules(path) if name.startswith("audited_load") and not name.startswith(allowed)}


@pytest.mark.parametrize("path", COMMAND, ids=lambda path: path.stem)
def test_the_command_reaches_the_database_of_airflow_through_its_api_only(path: Path) -> None:
    # Run by Airflow, in containers.
    inside = path.parent.name in {"tasks", "warming"} or path.stem in {"stored_logs", "container"}
    if not inside:
        assert not imports(path) & {"airflow", "cosmos", "sqlalchemy"}


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: str(room.relative_to(ROOT)))
def test_a_room_has_about_a_dozen_modules(room: Path) -> None:
    assert len([path for path in room.glob("*.py") if path.stem != "__init__"]) <= 14


def test_no_two_modules_have_one_name() -> None:
    names = Counter(path.stem for room in ROOMS for path in room.glob("*.py") if path.stem != "__init__")
    assert [name for name, count in names.items() if count > 1] == []


def test_the_steps_are_those_of_the_specification() -> None:
    assert {path.stem for path in (ROOT / "airflow" / "dags" / "steps").glob("*.py")} == {
        "__init__",
        "data_cleaners",
        "clean_transactions_pipeline",
        "load_to_postgres_pipeline",
        "dbt_transformations_pipeline",
    }
