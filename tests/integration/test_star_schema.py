"""The star schema, built by real dbt on a real PostgreSQL, against sums made without SQL."""

from __future__ import annotations

import csv
import os
import subprocess
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest

from customer_pipeline.runtime.installation import Runtime
from customer_pipeline.sample import write_sample
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
FACT = (1, "transaction_id, gross_amount, tax_amount, total_amount, net_amount")
CUSTOMERS = (
    1,
    "customer_id, lifetime_transactions, purchases, returns, transactions_without_amount, lifetime_revenue,"
    " first_transaction_date, last_transaction_date, customer_tier",
)
PRODUCTS = (
    1,
    "product_id, times_sold, purchases, returns, transactions_without_units, transactions_without_amount,"
    " units_sold, revenue, priced_transactions, price_total, average_price, minimum_price, maximum_price,"
    " first_transaction_date, last_transaction_date",
)
MONTHS = (
    2,
    "customer_id, transaction_month, transactions, purchases, returns, transactions_without_units,"
    " transactions_without_amount, transactions_without_tax, distinct_products, units_sold, revenue, tax_amount,"
    " valid_revenue, priced_transactions, price_total, average_price, minimum_price, maximum_price,"
    " revenue_growth_percent",
)
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
    _compare_with_the_cleaned_file(
        dsn("transformer"), tmp_path / "out-run-1-sample.csv" / "customer_transactions_cleaned.csv"
    )


def _compare_with_the_cleaned_file(dsn: str, cleaned: Path) -> None:
    with cleaned.open(newline="") as file:
        lines = [Line.read(row) for row in csv.DictReader(file)]
    customers, products, months = (
        _grouped(lines, key)
        for key in (
            lambda line: line.customer,
            lambda line: line.product,
            lambda line: (line.customer, line.day.replace(day=1)),
        )
    )
    customers.setdefault(-1, [])
    products.setdefault(-1, [])
    assert _found(dsn, "fact_transactions", FACT) == {line.key: line.amounts for line in lines}
    assert _found(dsn, "dim_customers", CUSTOMERS) == {
        key: (
            len(of_it),
            *_counts(of_it),
            _missing(of_it, "gross"),
            _total(of_it, "gross"),
            *_span(of_it),
            "Unknown" if key == -1 else "Gold" if len(of_it) > 10 else "Silver" if len(of_it) > 5 else "Bronze",
        )
        for key, of_it in customers.items()
    }
    assert _found(dsn, "dim_products", PRODUCTS) == {
        key: (
            len(of_it),
            *_counts(of_it),
            *(_missing(of_it, name) for name in ("units", "gross")),
            *(_total(of_it, name) for name in ("units", "gross")),
            *_prices(of_it),
            *_span(of_it),
        )
        for key, of_it in products.items()
    }
    revenue = {key: _total(of_it, "gross") for key, of_it in months.items()}
    assert _found(dsn, "agg_monthly_sales", MONTHS) == {
        (customer, month): (
            len(of_it),
            *_counts(of_it),
            *(_missing(of_it, name) for name in ("units", "gross", "tax")),
            len({line.product for line in of_it}),
            *(_total(of_it, name) for name in ("units", "gross", "tax")),
            sum(line.gross for line in of_it if line.units and line.price and line.price > 0),
            *_prices(of_it),
            _growth(revenue[customer, month], revenue.get((customer, (month - timedelta(days=1)).replace(day=1)))),
        )
        for (customer, month), of_it in months.items()
    }


@dataclass(frozen=True)
class Line:
    """A row of the cleaned file, and the amounts that docs/marts.md makes of it."""

    key: int
    customer: int
    product: int
    day: date
    units: int | None
    price: Decimal | None
    tax: Decimal | None
    gross: Decimal | None

    @classmethod
    def read(cls, row: dict[str, str]) -> Line:
        units = int(row["quantity"]) if row["quantity"] else None
        price, tax = (Decimal(row[name]) if row[name] else None for name in ("price", "tax"))
        return cls(
            int(row["transaction_id"]),
            int(row["customer_id"] or -1),
            int(row["product_id"]),
            date.fromisoformat(row["transaction_date"]),
            units,
            price,
            tax,
            None if units is None or price is None else units * price,
        )

    @property
    def amounts(self) -> tuple[Decimal | None, ...]:
        gross, tax = self.gross or Decimal(0), self.tax or Decimal(0)
        is_unknown = self.gross is None and self.tax is None
        return (self.gross, self.tax, *((None, None) if is_unknown else (gross + tax, gross - tax)))


def _grouped(lines: list[Line], key: Callable[[Line], Any]) -> dict[Any, list[Line]]:
    groups = defaultdict(list)
    for line in lines:
        groups[key(line)].append(line)
    return dict(groups)


def _counts(lines: list[Line]) -> tuple[int, int]:
    return sum((line.units or 0) > 0 for line in lines), sum((line.units or 0) < 0 for line in lines)


def _missing(lines: list[Line], name: str) -> int:
    return sum(getattr(line, name) is None for line in lines)


def _total(lines: list[Line], name: str) -> Any:
    known = [value for line in lines if (value := getattr(line, name)) is not None]
    return sum(known) if known or not lines else None


def _prices(lines: list[Line]) -> tuple[Any, ...]:
    known = [line.price for line in lines if line.price is not None]
    if not known:
        return 0, 0, None, None, None
    average = (sum(known) / Decimal(len(known))).quantize(Decimal("0.0001"), ROUND_HALF_UP)
    return len(known), sum(known), average, min(known), max(known)


def _span(lines: list[Line]) -> tuple[Any, Any]:
    days = [line.day for line in lines]
    return (min(days), max(days)) if days else (None, None)


def _growth(now: Decimal | None, before: Decimal | None) -> Decimal | None:
    if now is None or before is None or before <= 0:
        return None
    return (100 * (now - before) / before).quantize(Decimal("0.01"), ROUND_HALF_UP)


def _found(dsn: str, mart: str, columns: tuple[int, str]) -> dict[Any, tuple[Any, ...]]:
    keys, listed = columns
    rows = query(dsn, f"select {listed} from analytics_dbt_staging.{mart}")  # noqa: S608 - names of our own
    return {row[0] if keys == 1 else row[:keys]: row[keys:] for row in rows}


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
