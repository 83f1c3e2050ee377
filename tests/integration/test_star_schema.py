"""The star schema, built by the command of dbt on a real PostgreSQL; `test_mart_oracle.py` looks at its cells."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from customer_pipeline.runtime.installation import Runtime
from customer_pipeline.sample.generator import write_sample
from integration.loading import load_file
from integration.warm_dbt import call_dbt

Dsn = Callable[[str], str]
PROJECT = Path(__file__).parents[2] / "dbt"
CHANGE_A_CENT = """
    update analytics_dbt_staging.fact_transactions set tax_amount = tax_amount + 0.01{}
    where transaction_id = (
        select min(transaction_id) from analytics_dbt_staging.fact_transactions where tax_amount is not null
    )
"""
FOREIGN_KEYS = """
    select conrelid::regclass::text || ' > ' || confrelid::regclass::text from pg_constraint
    where contype = 'f' and connamespace = 'analytics_dbt_staging'::regnamespace order by 1
"""


def dbt(
    runtime: Runtime, target: Path, *arguments: str, project: Path = PROJECT
) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {
        "POSTGRES_PORT": str(runtime.postgres_port),
        "TRANSFORMER_PASSWORD": runtime.secrets["transformer"],
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    }
    return call_dbt(project, target, arguments, environment)


def make_sample(file: Path, rows: int) -> None:
    with file.open("wb") as out:
        write_sample(out, rows, 7, 0.02)


def query(dsn: str, statement: str) -> list[tuple]:
    with psycopg.connect(dsn) as connection:
        return connection.execute(statement).fetchall()


def test_the_star_schema_ties_out_again_and_again(runtime: Runtime, dsn: Dsn, tmp_path: Path) -> None:
    file = tmp_path / "sample.csv"
    make_sample(file, 2000)
    load_file(dsn("loader"), file, "run-1")
    for _ in range(2):  # a second build must leave the same constraints
        built = dbt(runtime, tmp_path / "target", "build")
        assert built.returncode == 0, built.stdout
        assert "WARN=0 ERROR=0 SKIP=0" in built.stdout
        keys = [row[0].replace("analytics_dbt_staging.", "") for row in query(dsn("transformer"), FOREIGN_KEYS)]
        assert keys == [f"fact_transactions > dim_{name}" for name in ("customers", "dates", "products")]
    alone = dbt(runtime, tmp_path / "target", "run", "--select", "dim_customers")
    assert alone.returncode == 0, alone.stdout
    assert len(query(dsn("transformer"), FOREIGN_KEYS)) == 3


def test_one_changed_cent_fails_the_reconciliation_by_name(runtime: Runtime, dsn: Dsn, tmp_path: Path) -> None:
    file = tmp_path / "sample.csv"
    make_sample(file, 300)
    load_file(dsn("loader"), file, "run-1")
    assert dbt(runtime, tmp_path / "target", "build").returncode == 0
    with psycopg.connect(dsn("transformer"), autocommit=True) as connection:
        with pytest.raises(psycopg.errors.CheckViolation):
            connection.execute(CHANGE_A_CENT.format(""))
        connection.execute(
            CHANGE_A_CENT.format(", total_amount = total_amount + 0.01, net_amount = net_amount - 0.01")
        )
    tested = dbt(runtime, tmp_path / "target", "test", "--select", "fact_transactions")
    assert tested.returncode == 1
    assert "fact_ties_to_ledger" in tested.stdout.split("Completed with")[1]
