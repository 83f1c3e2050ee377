"""The star schema, built by real dbt on a real PostgreSQL, against sums made without SQL."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import psycopg

from customer_pipeline.runtime.installation import Runtime
from customer_pipeline.sample import write_sample
from integration.loading import load_file

Dsn = Callable[[str], str]
PROJECT = Path(__file__).parents[2] / "dbt"
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
    places = ["--project-dir", str(project), "--profiles-dir", str(project), "--target-path", str(target)]
    command = [sys.executable, "-m", "dbt.cli.main", "--no-use-colors", *arguments, *places]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


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
        assert keys == ["fact_transactions > dim_customers", "fact_transactions > dim_products"]
    alone = dbt(runtime, tmp_path / "target", "run", "--select", "dim_customers")
    assert alone.returncode == 0, alone.stdout
    assert len(query(dsn("transformer"), FOREIGN_KEYS)) == 2
    _compare_with_the_cleaned_file(
        dsn("transformer"), tmp_path / "out-run-1-sample.csv" / "customer_transactions_cleaned.csv"
    )


def _compare_with_the_cleaned_file(reader: str, cleaned: Path) -> None:
    count: dict[int, int] = defaultdict(int)
    value: dict[int, Decimal] = defaultdict(Decimal)
    months: dict[tuple[int, str], Decimal] = defaultdict(Decimal)
    with cleaned.open(newline="") as file:
        for row in csv.DictReader(file):
            customer = int(row["customer_id"] or -1)
            gross = Decimal(row["quantity"] or 0) * Decimal(row["price"] or 0)
            count[customer] += 1
            value[customer] += gross
            months[customer, row["transaction_date"][:7]] += gross
    count.setdefault(-1, 0)
    value.setdefault(-1, Decimal(0))

    def tier(customer: int) -> str:
        number = count[customer]
        return "Unknown" if customer == -1 else "Gold" if number > 10 else "Silver" if number > 5 else "Bronze"

    customers = query(
        reader,
        "select customer_id, lifetime_transactions, lifetime_value, customer_tier"
        " from analytics_dbt_staging.dim_customers",
    )
    assert sorted(customers) == sorted((key, count[key], value[key], tier(key)) for key in count)
    sales = query(
        reader,
        "select customer_id, to_char(transaction_month, 'YYYY-MM'), revenue"
        " from analytics_dbt_staging.agg_monthly_sales",
    )
    assert {(customer, month): revenue for customer, month, revenue in sales} == months


def test_one_changed_cent_fails_the_reconciliation_by_name(runtime: Runtime, dsn: Dsn, tmp_path: Path) -> None:
    file = tmp_path / "sample.csv"
    make_sample(file, 300)
    load_file(dsn("loader"), file, "run-1")
    assert dbt(runtime, tmp_path / "target", "build").returncode == 0
    with psycopg.connect(dsn("transformer")) as connection:
        connection.execute(
            "update analytics_dbt_staging.fact_transactions set tax_amount = tax_amount + 0.01"
            " where transaction_id = (select min(transaction_id) from analytics_dbt_staging.fact_transactions"
            " where tax_amount is not null)"
        )
    tested = dbt(runtime, tmp_path / "target", "test", "--select", "fact_transactions")
    assert tested.returncode == 1
    assert "fact_ties_to_ledger" in tested.stdout.split("Completed with")[1]
