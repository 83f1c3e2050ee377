"""The recipe of CONTRIBUTING.md: a ninth column in the contract, on a warehouse with data."""

from __future__ import annotations

import filecmp
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
import yaml

from customer_pipeline.runtime.installation import Runtime
from integration.loading import HEADER, load_file, write_csv
from integration.test_star_schema import dbt

ROOT = Path(__file__).parents[2]
Dsn = Callable[[str], str]
EDITS = {
    "contracts/customer_transactions.odcs.yaml": (
        "      - name: tax\n",
        "      - name: region\n        logicalType: string\n        physicalType: text\n"
        "        description: Where it was sold; null when blank.\n"
        "        customProperties: [{property: rules, value: name}]\n"
        "      - name: tax\n",
    ),
    "dbt/models/staging/stg_customer_transactions.yml": (
        "      - name: transaction_date\n",
        "      - name: region\n        data_type: text\n        description: Where it was sold; null when blank.\n"
        "      - name: transaction_date\n",
    ),
}
RECIPE = (ROOT / "CONTRIBUTING.md").read_text().partition("## Add a column")[2].partition("\n## ")[0]
REQUIRED = (
    "        physicalType: text\n        description: Where",
    "        physicalType: text\n        required: true\n        description: Where",
)
TYPES = """
    select attname, replace(format_type(atttypid, atttypmod), ',', ', ') from pg_attribute
    where attrelid = 'analytics_dbt_staging.stg_customer_transactions'::regclass and attnum > 0
"""
LONG = {"timestamptz": "timestamp with time zone"}
LOAD = """
import sys
from pathlib import Path
from integration import loading
from customer_pipeline.feed import TABLES
loading.TABLES = TABLES
dsn, file, run_id, day = sys.argv[1:]
loading.load_file(dsn, Path(file), run_id, mode="merge", day=int(day))
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a copy of the project in which the recipe was followed."""
    copy = tmp_path / "project"
    for folder in ("airflow/dags", "contracts", "dbt"):
        skipped = shutil.ignore_patterns("__pycache__", "target", "logs", ".user.yml")
        shutil.copytree(ROOT / folder, copy / folder, ignore=skipped)
    for name, (before, after) in EDITS.items():
        text = (copy / name).read_text()
        assert text.count(before) == 1
        (copy / name).write_text(text.replace(before, after))
    return copy


def load(project: Path, dsn: str, file: Path, run_id: str, day: int) -> subprocess.CompletedProcess[str]:
    """Load a file by the copy's steps."""
    places = os.pathsep.join(map(str, (project / "airflow" / "dags", ROOT / "tests")))
    return subprocess.run(
        [sys.executable, "-c", LOAD, dsn, file, run_id, str(day)],
        env=os.environ | {"PYTHONPATH": places},
        capture_output=True,
        text=True,
        check=False,
    )


def query(dsn: str, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(dsn) as connection:
        return connection.execute(statement).fetchall()  # type: ignore[call-overload,no-any-return]


def test_a_ninth_column_takes_a_word_in_the_contract(
    dsn: Dsn, runtime: Runtime, project: Path, tmp_path: Path
) -> None:
    load_file(dsn("loader"), write_csv(tmp_path / "a.csv", range(1, 4)), "run-1")
    wide = tmp_path / "wide.csv"
    header = HEADER.replace("tax", "region,tax")
    wide.write_text(f"{header}3,3,2024-01-02,0,Thing,2,1.10,North,0.05\n4,4,2024-01-02,1,Thing,2,1.10,South,0.05\n")

    done = load(project, dsn("loader"), wide, "run-2", 2)
    assert done.returncode == 0, done.stderr
    shown = "select transaction_id, region from cleaned_data.customer_transactions order by 1"
    assert query(dsn("reader"), shown) == [(1, None), (2, None), (3, "North"), (4, "South")]

    only = ("build", "--select", "stg_customer_transactions", "--indirect-selection", "cautious")
    built = dbt(runtime, tmp_path / "target", *only, project=project / "dbt")
    assert built.returncode == 0, built.stdout
    staged = shown.replace("cleaned_data.customer", "analytics_dbt_staging.stg_customer")
    assert query(dsn("transformer"), staged) == query(dsn("reader"), shown)
    yml = yaml.safe_load((project / "dbt/models/staging/stg_customer_transactions.yml").read_text())
    promised = {column["name"]: column["data_type"] for column in yml["models"][0]["columns"]}
    assert dict(query(dsn("transformer"), TYPES)) == {name: LONG.get(kind, kind) for name, kind in promised.items()}


def test_a_required_column_takes_a_migration(dsn: Dsn, project: Path, tmp_path: Path) -> None:
    load_file(dsn("loader"), write_csv(tmp_path / "a.csv", range(1, 4)), "run-1")
    contract = project / "contracts" / "customer_transactions.odcs.yaml"
    contract.write_text(contract.read_text().replace(*REQUIRED))
    wide = tmp_path / "wide.csv"
    wide.write_text(HEADER.replace("tax", "region,tax") + "3,3,2024-01-02,0,Thing,2,1.10,North,0.05\n")
    refused = load(project, dsn("loader"), wide, "run-2", 2)
    assert refused.returncode == 1
    assert "region is absent in the table and text not null in the feed" in refused.stderr
    assert "dags/migrations/0001_WHAT.sql" in refused.stderr
    assert query(dsn("loader"), "select count(*) from cleaned_data.loads") == [(1,)]

    migration = RECIPE.partition("```sql\n")[2].partition("```")[0]
    (project / "airflow" / "dags" / "migrations" / "0001_add_region.sql").write_text(migration)
    done = load(project, dsn("loader"), wide, "run-2", 2)
    assert done.returncode == 0, done.stderr
    shown = "select transaction_id, region from cleaned_data.customer_transactions order by 1"
    assert query(dsn("reader"), shown) == [(1, "unknown"), (2, "unknown"), (3, "North")]


def test_the_recipe_names_every_file(project: Path) -> None:
    changed = {name for name in EDITS if not filecmp.cmp(ROOT / name, project / name, shallow=False)}
    assert len(changed) == len(EDITS)
    assert all(f"`{name}`" in RECIPE for name in [*changed, "airflow/dags/migrations/"])
