"""The recipe for a new mart: its .sql and its .yml, and it is built, tested, published, merged and taken back."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from audited_load.marts.mart_manifest import Mart
from audited_load.marts.mart_sets import PublishedSet, publish_marts
from audited_load.warehouse.connection import connect
from customer_pipeline.feed import MARTS
from customer_pipeline.runtime.installation import Runtime
from customer_pipeline.tasks.dbt_manifest import find_marts
from integration.loading import HEADER, MODELS, load_file
from integration.test_merging_marts import BUILD, Dbt, Dsn, dbt, parsed, query, undo
from integration.test_star_schema import PROJECT

__all__ = ["dbt"]

SQL = """
select
    transaction_date,
    count(*) as transactions,
    coalesce(sum(gross_amount), 0)::numeric(38, 4) as revenue
from {{ ref("fact_transactions") }}
group by transaction_date
"""
YML = """
version: 2
models:
  - name: agg_daily_sales
    description: One row per day on which somebody bought something.
    config: {persist_docs: {relation: true, columns: true}}
    data_tests:
      - ties_out:
          name: days_tie_to_fact
          arguments:
            totals: {number_of_rows: "coalesce(sum(transactions), 0)"}
            of: ref('fact_transactions')
            of_totals: {number_of_rows: "count(*)"}
    columns:
      - name: transaction_date
        data_type: date
        description: The day.
        constraints: [{type: not_null}, {type: primary_key}]
      - name: transactions
        data_type: bigint
      - name: revenue
        data_type: "numeric(38, 4)"
"""
DAYS = "select transaction_date, transactions, revenue from analytics.agg_daily_sales order by 1"
EXPECTED = """
    select transaction_date, count(*), coalesce(sum((quantity * price)::numeric(38, 4)), 0)
    from cleaned_data.customer_transactions group by 1 order by 1
"""
TASKS = """
from pipeline_customer_transaction import dag_instance
for task in dag_instance.tasks:
    print(task.task_id, *(asset.name for asset in task.outlets))
"""


@pytest.fixture
def project(dbt: Dbt, tmp_path: Path) -> Path:  # noqa: ARG001 - it sets the environment of dbt
    project = tmp_path / "dbt"
    shutil.copytree(PROJECT, project, ignore=shutil.ignore_patterns("target", "logs"))
    (project / "models" / "aggregates" / "agg_daily_sales.sql").write_text(SQL)
    (project / "models" / "aggregates" / "agg_daily_sales.yml").write_text(YML)
    return project


def write(path: Path, days: dict[int, int]) -> Path:
    """Write one transaction for each key, on its day."""
    path.write_text(
        HEADER + "".join(f"{key},{key % 9},2024-01-{day:02},7,Thing,2,1.10,0\n" for key, day in days.items())
    )
    return path


def publish(dsn: Dsn, models: tuple[Mart, ...]) -> PublishedSet:
    with connect(dsn("transformer")) as connection:
        return publish_marts(connection, MARTS, models)


def both(dsn: Dsn) -> tuple[list[Any], list[Any]]:
    return query(dsn("reader"), DAYS), query(dsn("loader"), EXPECTED)


def test_two_files_make_a_mart(dsn: Dsn, project: Path, tmp_path: Path) -> None:
    models = find_marts(project)
    by_name = {mart.name: mart for mart in models if mart.name != "agg_daily_sales"}
    assert by_name == {mart.name: mart for mart in MODELS}
    assert Mart("agg_daily_sales", frozenset({"fact_transactions"})) in models
    run = parsed(project, tmp_path)

    days = {key: key % 4 + 1 for key in range(60)} | {59: 5}
    load_file(dsn("loader"), write(tmp_path / "1.csv", days), "run-1", day=1)
    assert run(*BUILD)
    assert publish(dsn, models) == PublishedSet(1, 1, changed=True)
    first, expected = both(dsn)
    assert first == expected

    # One day gets another row, one is new, and one has no row any longer.
    changes = {0: 2, 100: 9, 59: 3}
    load_file(dsn("loader"), write(tmp_path / "2.csv", changes), "run-2", mode="merge", day=2)
    assert run(*BUILD)
    assert publish(dsn, models) == PublishedSet(1, 2, changed=True)
    merged, expected = both(dsn)
    assert merged == expected != first

    assert undo(dsn) == PublishedSet(1, 1, changed=True)
    assert query(dsn("reader"), DAYS) == first
    assert publish(dsn, models) == PublishedSet(1, 1, changed=False)


def test_a_new_mart_is_kept_by_cosmos_and_other_dags_can_follow_it(runtime: Runtime, project: Path) -> None:
    environment = os.environ | {
        "PIPELINE_DBT": str(project),
        "PYTHONPATH": str(PROJECT.parent / "airflow" / "dags"),
        "POSTGRES_PORT": str(runtime.postgres_port),
    }
    done = subprocess.run(
        [sys.executable, "-c", TASKS], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    tasks = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines() if line.startswith("DBT-")}
    assert {f"DBT-Transformations.dbt_models.agg_daily_sales.{step}" for step in ("run", "test")} <= set(tasks)
    assert "analytics.agg_daily_sales" in tasks["DBT-Transformations.publish_marts"]


@pytest.mark.usefixtures("dsn")
def test_a_mart_without_a_primary_key_fails_at_its_first_build_and_not_at_the_first_merge(
    project: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = project / "models" / "aggregates" / "agg_daily_sales.yml"
    path.write_text(YML.replace(", {type: primary_key}", ""))
    assert not parsed(project, tmp_path)("run", "--select", "agg_daily_sales")
    assert "agg_daily_sales has no primary key" in capfd.readouterr().out
