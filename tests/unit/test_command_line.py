"""The command line: help needs little, completion works, its words are those that the project knows."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
from typer._click.exceptions import UsageError

from audited_load.form import DATE_ORDERS, DECIMALS
from audited_load.loading.batch import MODES
from command_line import COMMANDS, call
from customer_pipeline.names import LOADER, ROLES
from customer_pipeline.runtime.supervisor import SERVICES
from customer_pipeline.sample.generator import DEFAULT_DIRT

CLI = Path(sys.executable).with_name("customer-pipeline")
HEAVY = {"airflow", "dbt", "cosmos", "polars", "numpy", "psycopg", "httpx", "fastapi", "num2words", "steps"}
LISTING = f"""
import sys
from customer_pipeline.cli import main
try:
    main()
finally:
    print(sorted({HEAVY} & {{name.partition(".")[0] for name in sys.modules}}), file=sys.stderr)
"""


@pytest.mark.parametrize("line", ["--help", "run -h", "clean --help", "sample --help", "quarantine list --help"])
def test_help_imports_nothing_heavy(line: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LISTING, *line.split()], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Usage: customer-pipeline")
    assert done.stderr.strip() == "[]"


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("customer-pipeline qu", ["quarantine"]),
        ("customer-pipeline quarantine re", ["replay"]),
        ("customer-pipeline run --mode ", ["replace", "merge"]),
        ("customer-pipeline logs sch", ["scheduler"]),
    ],
)
def test_a_shell_completes_commands_and_words(typed: str, offered: list[str]) -> None:
    asked = {
        "COMP_WORDS": typed,
        "COMP_CWORD": str(typed.count(" ")),
        "_CUSTOMER_PIPELINE_COMPLETE": "complete_bash",
    }
    done = subprocess.run([CLI], env=os.environ | asked, capture_output=True, text=True, check=True)
    assert done.stdout.split() == offered


def test_the_words_that_are_offered_are_those_that_are_known() -> None:
    known = {
        "decimal": DECIMALS,
        "date_order": DATE_ORDERS,
        "mode": MODES,
        "service": (*SERVICES, "airflow"),
        "role": ROLES,
    }
    params = [param for command in COMMANDS.values() for param in command.params if param.name in known]
    assert {param.name for param in params} == set(known)
    for param in params:
        assert get_args(param.type_descriptor.annotation) == known[param.name]
    defaults = {param.name: param.default for command in COMMANDS.values() for param in command.params}
    assert (defaults["mode"], defaults["role"], defaults["dirt"]) == (MODES[0], LOADER, DEFAULT_DIRT)


@pytest.mark.parametrize(
    "line",
    [
        "run FILE --source x",
        "erase-customer",
        "erase-customer 501 --list",
        "sample --rows 1 --seed 1 --out - --dirt 2",
    ],
)
def test_what_contradicts_itself_is_a_usage_error(line: str) -> None:
    with pytest.raises(UsageError):
        call(*line.split())
