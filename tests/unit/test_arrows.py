"""Who may know whom: the arrows of docs/architecture.md."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from steps.data_cleaners import CUSTOMER_TRANSACTIONS

ROOT = Path(__file__).parents[2]
ENGINE = sorted((ROOT / "src" / "audited_load").rglob("*.py"))
STEPS = sorted((ROOT / "airflow" / "dags").rglob("*.py"))
COMMAND = sorted((ROOT / "src" / "customer_pipeline").rglob("*.py"))


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name.partition(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").partition(".")[0])
    return found


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
def test_the_steps_know_nothing_of_the_operators_command(path: Path) -> None:
    assert "customer_pipeline" not in imports(path)


@pytest.mark.parametrize("name", ["data_cleaners", "value_rules", "number_rules", "date_rules"])
def test_the_rules_know_no_file_no_database_and_no_airflow(name: str) -> None:
    rules = ROOT / "airflow" / "dags" / "steps" / f"{name}.py"
    assert imports(rules) <= {"__future__", "dataclasses", "re", "audited_load", "steps"}
    named = {node.module for node in ast.walk(ast.parse(rules.read_text())) if isinstance(node, ast.ImportFrom)}
    assert {module for module in named if (module or "").startswith("steps.")} <= {
        "steps.value_rules",
        "steps.number_rules",
        "steps.date_rules",
    }


@pytest.mark.parametrize("path", COMMAND, ids=lambda path: path.stem)
def test_the_command_reaches_the_database_of_airflow_through_its_api_only(path: Path) -> None:
    if path.stem not in {"warm_executor", "container"}:  # parts of the scheduler, and of the containers
        assert not imports(path) & {"airflow", "cosmos", "sqlalchemy"}
