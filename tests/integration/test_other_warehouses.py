"""The models elsewhere than on PostgreSQL: the same cells on DuckDB, and what other databases' SQL can't say."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest
from psycopg.rows import dict_row

from customer_pipeline.commands.clean import clean
from customer_pipeline.feed import MARTS
from customer_pipeline.runtime.installation import Runtime
from integration.conftest import empty_warehouse
from integration.loading import load_file
from integration.test_star_schema import PROJECT, dbt
from integration.warm_dbt import call_dbt
from marts.broken import breaches, constraints_of
from marts.oracle import KEYS, Row, differences
from marts.states import STAGED
from marts.translations import table, translate, unsaid
from marts.world import make_worlds, write

PAGE = Path(__file__).parents[2] / "docs" / "scale.md"
UNSAID_ON_DUCKDB = {
    "dim_dates": {"day_name", "month_name"},
    "dim_products": {"average_price"},
    "agg_monthly_sales": {"average_price"},
}
"""What is wrong in DuckDB where sqlglot alone puts the models into its words."""
IN_ORDER = ("dim_customers", "dim_products", "dim_dates", "fact_transactions", "agg_monthly_sales")
LOADED_AT = "loaded_at"
"""No file says when a row was loaded."""


@dataclass(frozen=True)
class Built:
    """The same file, as PostgreSQL's marts and as a cleaned file.

    Attributes:
        cells: What staging and each mart hold, by name.
        statements: Each model as dbt compiled it for PostgreSQL.
        cleaned: The folder that `customer-pipeline clean` wrote.
    """

    cells: dict[str, list[Row]]
    statements: dict[str, str]
    cleaned: Path


@pytest.fixture(scope="module")
def built(runtime: Runtime, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    folder = tmp_path_factory.mktemp("built")
    file = write(folder / "all.csv", make_worlds(18)[1].whole)
    assert clean(file, folder / "cleaned", {}) == 0
    empty_warehouse(runtime)
    load_file(runtime.dsn("loader"), file, "run-1")
    done = dbt(runtime, folder / "target", "run")
    assert done.returncode == 0, done.stdout
    with psycopg.connect(runtime.dsn("transformer"), row_factory=dict_row) as connection:
        cells = {
            name: connection.execute(f"table {MARTS.staging}.{name}").fetchall()  # type: ignore[call-overload]
            for name in KEYS
        }
    models = (folder / "target" / "compiled" / "ebury" / "models").rglob("*.sql")
    yield Built(cells, {path.stem: path.read_text() for path in models}, folder / "cleaned")
    empty_warehouse(runtime)


def rows_of(connection: duckdb.DuckDBPyConnection, relation: str) -> list[Row]:
    result = connection.execute(f"from {relation}")
    columns = [column[0] for column in result.description]
    return [dict(zip(columns, row, strict=True)) for row in result.fetchall()]


def wrong_cells(name: str, found: list[Row], built: Built) -> list[str]:
    """Compare a mart with PostgreSQL's."""
    left_out = {LOADED_AT} if name == STAGED else set()
    rows, others = (
        [{column: row[column] for column in row.keys() - left_out} for row in cells]
        for cells in (found, built.cells[name])
    )
    return differences(rows, {tuple(row[key] for key in KEYS[name]): row for row in others}, name)


@pytest.fixture(scope="module")
def on_duckdb(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of DuckDB in which dbt built and tested everything, twice: tables that keys lead to are replaced."""
    folder = tmp_path_factory.mktemp("duckdb")
    environment = os.environ | {
        "DBT_TARGET": "duckdb",
        "DBT_TARGET_PATH": str(folder),
        "CLEANED_FOLDER": str(built.cleaned),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    }
    for _ in range(2):
        done = call_dbt(PROJECT, folder, ["build"], environment)
        assert done.returncode == 0, done.stdout
        assert "WARN=0 ERROR=0 SKIP=0" in done.stdout
    return folder / "marts.duckdb"


def test_every_cell_that_duckdb_makes_of_a_cleaned_file_is_postgresqls(built: Built, on_duckdb: Path) -> None:
    with duckdb.connect(str(on_duckdb), read_only=True) as connection:
        for name in KEYS:
            found = rows_of(connection, f"analytics.{name}")
            assert len(found) > 20
            assert wrong_cells(name, found, built) == []


@pytest.mark.parametrize(
    "change",
    [
        "update analytics.fact_transactions set tax_amount = tax_amount + 1",
        "update analytics.dim_customers set customer_tier = 'Platinum'",
        "update analytics.dim_dates set day_name = null",
        "insert into analytics.agg_monthly_sales from analytics.agg_monthly_sales limit 1",
        "delete from analytics.dim_dates",
    ],
)
def test_duckdb_holds_the_constraints_of_the_marts(on_duckdb: Path, change: str) -> None:
    with duckdb.connect(str(on_duckdb)) as connection, pytest.raises(duckdb.ConstraintException):
        connection.execute(change)


@pytest.fixture(scope="module")
def manifest(on_duckdb: Path) -> dict[str, Any]:
    return json.loads((on_duckdb.parent / "manifest.json").read_text())


@pytest.mark.parametrize("mart", IN_ORDER)
def test_a_data_test_notices_each_broken_constraint_where_the_database_holds_none(
    on_duckdb: Path, manifest: dict[str, Any], mart: str
) -> None:
    (node,) = [one for one in manifest["nodes"].values() if one["name"] == mart]
    (test,) = (on_duckdb.parent / "compiled").rglob(f"constraints_hold_{mart}_.sql")
    with duckdb.connect() as connection:
        connection.execute(f"attach '{on_duckdb}' as built (read_only); attach ':memory:' as marts")
        # Rows without their constraints, under the name that the test asks for.
        table = f"marts.analytics.{mart}"
        connection.execute(f"create schema marts.analytics; create table {table} as from built.analytics.{mart}")
        assert connection.execute(test.read_text()).fetchall() == []
        unnoticed = []
        for breach in breaches(connection, node):
            connection.execute("begin")
            connection.execute(breach.statement.format(table=table))
            if breach.promise not in {name for name, _ in connection.execute(test.read_text()).fetchall()}:
                unnoticed.append(breach)
            connection.execute("rollback")
    assert unnoticed == []


def test_every_constraint_has_a_data_test_and_every_foreign_key_one_of_its_own(manifest: dict[str, Any]) -> None:
    tests = [node for node in manifest["nodes"].values() if node["resource_type"] == "test"]
    looked_up = {
        (
            node["attached_node"],
            node["column_name"],
            *re.findall(r"\w+", node["test_metadata"]["kwargs"]["to"])[1:],
            node["test_metadata"]["kwargs"]["field"],
        )
        for node in tests
        if node["test_metadata"]["name"] == "relationships"
    }
    held = {node["attached_node"] for node in tests if node["test_metadata"]["name"] == "constraints_hold"}
    foreign_keys = set()
    for unique_id, node in manifest["nodes"].items():
        for column, constraint in constraints_of(node) if node["resource_type"] == "model" else []:
            assert constraint["type"] in {"not_null", "check", "primary_key", "foreign_key"}
            assert unique_id in held
            if constraint["type"] == "foreign_key":
                parent = re.findall(r"\w+", constraint["to"])[-1]
                foreign_keys.add((unique_id, column, parent, *constraint["to_columns"]))
    assert len(foreign_keys) == 3
    assert foreign_keys <= looked_up


def test_the_page_says_what_each_database_cant_say_of_each_model(built: Built) -> None:
    lines = table({name: built.statements[name] for name in (STAGED, *IN_ORDER)})
    assert set(lines) <= set(PAGE.read_text().splitlines()), "\n".join(["The table is now:", *lines])
    # It would notice one thing more that a model needs.
    changed = built.statements["fact_transactions"].replace("lines.load_id\n", "count(*) filter (where true)\n")
    assert unsaid(changed, "redshift") == ["`filter`"]
    assert unsaid(changed, "snowflake") == []


def test_what_sqlglot_makes_of_the_models_runs_on_duckdb_with_the_same_cells_but_for_what_the_page_names(
    built: Built, on_duckdb: Path
) -> None:
    wrong: dict[str, set[str]] = {}
    with duckdb.connect() as connection:
        connection.execute(f"attach '{on_duckdb}' as built (read_only); attach ':memory:' as ebury")
        connection.execute(f"create schema ebury.cleaned_data; create schema ebury.{MARTS.staging}")
        source = "cleaned_data.customer_transactions"
        connection.execute(f"create table ebury.{source} as from built.{source}")
        for name in (STAGED, *IN_ORDER):
            translated, _ = translate(built.statements[name], "duckdb")
            connection.execute(f"create table ebury.{MARTS.staging}.{name} as {translated}")
            found = rows_of(connection, f"ebury.{MARTS.staging}.{name}")
            for text in wrong_cells(name, found, built):
                wrong.setdefault(name, set()).add(text.split(") ")[1].split(":")[0])
    assert wrong == UNSAID_ON_DUCKDB
