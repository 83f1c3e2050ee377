"""The documentation is true: its commands, targets, links and tables exist."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from command_line import COMMANDS
from customer_pipeline.rules_page import PAGE, render
from steps.data_cleaners import CUSTOMER_TRANSACTIONS

ROOT = Path(__file__).parents[2]
PAGES = [
    *ROOT.glob("*.md"),
    ROOT / "dbt" / "README.md",
    ROOT / "deploy" / "kubernetes" / "README.md",
    *(ROOT / "docs").rglob("*.md"),
]
TEXT = {page: page.read_text(encoding="utf-8") for page in PAGES}
MAKEFILE = (ROOT / "Makefile").read_text()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_make_target_that_a_page_names_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
    named = set(re.findall(r"(?:^\$ |`(?:[A-Z_]+=\S+ )*)make ([a-z-]+)", TEXT[page], re.MULTILINE))
    assert named <= targets


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_subcommand_that_a_page_names_exists(page: Path) -> None:
    named = set(re.findall(r"customer-pipeline ([a-z][a-z-]*)", TEXT[page]))
    assert named <= set(COMMANDS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_and_path_of_a_page_exists(page: Path) -> None:
    links = re.findall(r"\]\((?!http)([^)#]+)", TEXT[page])
    paths = [
        path
        for path in re.findall(r"`((?:src|airflow|dbt|docs)/[\w/.-]+)`", TEXT[page])
        if not re.search("logs|target", path)
    ]
    for link in links:
        assert (page.parent / link).exists(), link
    for path in paths:
        assert (ROOT / path).exists(), path


def test_the_page_of_rules_is_what_the_rules_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == render(CUSTOMER_TRANSACTIONS)


def test_the_specifications_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
    assert targets >= {
        "up", "down", "restart", "logs-airflow", "logs-scheduler", "shell-airflow", "shell-postgres",
        "dbt-debug", "dbt-deps", "dbt-run", "dbt-test", "dbt-compile", "help", "run", "test",
    }  # fmt: skip


def test_readme_quotes_the_truth_of_the_sample() -> None:
    done = subprocess.run(
        [
            Path(sys.executable).with_name("customer-pipeline"),
            "sample",
            "--rows",
            "1000",
            "--seed",
            "42",
            "--out",
            "-",
        ],
        capture_output=True,
        check=True,
    )
    assert done.stdout == (ROOT / "data" / "customer_transactions.csv").read_bytes()
    readme = TEXT[ROOT / "README.md"]
    assert "read 1000 = accepted 941 + quarantined 43 + duplicates 16" in readme
    assert "1,111,842.76" in readme


def test_settings_that_the_docs_name_are_read_somewhere() -> None:
    code = "".join(path.read_text() for folder in ("src", "airflow/dags") for path in (ROOT / folder).rglob("*.py"))
    for name in re.findall(r"^\| `([A-Z_]+)` \|", TEXT[ROOT / "docs" / "operations.md"], re.MULTILINE):
        assert f'"{name}"' in code, name


def test_every_test_that_the_page_on_security_names_exists() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", TEXT[ROOT / "docs" / "security.md"])
    assert len(named) > 30
    for file, name in named:
        assert f"def {name}(" in (ROOT / file).read_text(), f"{file}::{name}"


def test_every_claim_of_the_page_on_security_names_a_test() -> None:
    tables = TEXT[ROOT / "docs" / "security.md"].split("| claim | test |")[1:]
    rows = [row for table in tables for row in table.split("\n\n")[0].splitlines()[2:]]
    assert len(rows) > 20
    assert [row for row in rows if "::test_" not in row] == []


SPECIFIED = (
    "make up", "make down", "make restart", "make logs-airflow", "make logs-scheduler", "make shell-airflow",
    "make shell-postgres", "make dbt-debug", 'make logs-airflow \\| grep "ERROR"', "airflow dags list",
    "airflow dags trigger pipeline_customer_transaction",
    "airflow tasks test pipeline_customer_transaction Clean-Transactions.clean_and_transform_csv 2025-12-04",
    "airflow tasks state pipeline_customer_transaction Clean-Transactions.clean_and_transform_csv",
    "docker-compose restart airflow-scheduler", "docker-compose exec airflow-webserver env \\| grep AIRFLOW_CONN",
)  # fmt: skip
"""Of the specification's sections "Operational Commands" and "Troubleshooting"; tests/services runs them."""


@pytest.mark.parametrize("command", SPECIFIED)
def test_operations_say_what_became_of_every_command_of_the_specification(command: str) -> None:
    assert command in TEXT[ROOT / "docs" / "operations.md"]


def test_the_page_on_architecture_names_every_room() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    modules = [*(ROOT / "src").rglob("*.py"), *(ROOT / "airflow" / "dags" / "steps").glob("*.py")]
    rooms = {str(path.parent.relative_to(ROOT)) for path in modules if path.stem != "__init__"}
    assert {room for room in rooms if f"| `{room}/` |" not in page} <= {"src/pipeline_page/tabs"}
