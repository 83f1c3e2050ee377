"""A developer's dbt: it builds beside the pipeline, before and after a merge, and leaves all else alone."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from dbt.cli.main import dbtRunner
from psycopg import sql

from audited_load.errors import RefusedError
from audited_load.marts.mart_manifest import Mart, read_marts
from audited_load.marts.mart_sets import publish_marts
from audited_load.warehouse.connection import connect
from customer_pipeline.feed import MARTS
from customer_pipeline.names import SANDBOX
from customer_pipeline.own_target import own_target
from customer_pipeline.tasks.dbt_manifest import fresh_manifest
from integration.loading import load_file, write_csv
from integration.test_merging_marts import BUILD, Dbt, Dsn, dbt, query
from integration.test_star_schema import PROJECT

__all__ = ["dbt"]

PIPELINES = """
    select c.oid::regclass::text, c.oid, c.relkind::text, pg_relation_filenode(c.oid), obj_description(c.oid)
    from pg_class as c
    where c.relkind = 'r' and c.relnamespace::regnamespace::text in
        ('cleaned_data', 'analytics', 'analytics_sets', 'analytics_dbt_staging', 'analytics_history', 'operations')
    order by 1
"""
OWN = "select relname, relkind::text from pg_class where relnamespace = 'analytics_sandbox'::regnamespace"
BUILDS = "select mart, load_id, is_tested from analytics_sandbox.builds order by 1"


def pipelines(dsn: Dsn) -> list[tuple[Any, ...]]:
    """Return all relations that are not the developer's, with what is in them."""
    found = []
    with psycopg.connect(dsn("postgres")) as admin:
        for name, *row in admin.execute(PIPELINES).fetchall():
            content = sql.SQL("select sum(hashtext(t::text)) from {} as t").format(sql.SQL(name))
            found.append((name, *row, admin.execute(content).fetchone()))
    return found


@pytest.fixture
def own(dsn: Dsn, tmp_path: Path) -> Callable[..., bool]:
    """What is typed in `customer-pipeline shell`; the pipeline's own relations are the same afterwards."""
    project = tmp_path / "dbt"
    shutil.copytree(PROJECT, project, ignore=shutil.ignore_patterns("target", "logs"))
    fresh_manifest(project)
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    shell = own_target(project, SANDBOX, defers=True)
    shell |= {"DBT_PROJECT_DIR": str(project), "DBT_PROFILES_DIR": str(project)}

    def run(*arguments: str) -> bool:
        before = pipelines(dsn)
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            for name, value in shell.items():
                patch.setenv(name, value)
            is_good = dbtRunner().invoke(list(arguments)).success
        assert pipelines(dsn) == before
        return is_good

    return run


def publish(dsn: Dsn, models: tuple[Mart, ...]) -> None:
    with connect(dsn("transformer")) as connection:
        publish_marts(connection, MARTS, models)


def test_dbt_works_in_a_shell_before_and_after_a_merge_and_touches_nothing_of_the_pipelines(
    dsn: Dsn, dbt: Dbt, own: Callable[..., bool], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    load_file(dsn("loader"), write_csv(tmp_path / "1.csv", range(60)), "run-1", day=1)
    assert dbt(*BUILD)
    models = read_marts(tmp_path / "target" / "manifest.json")
    publish(dsn, models)

    assert own("build"), capfd.readouterr().out
    assert [row[1:] for row in query(dsn("postgres"), BUILDS)] == [(1, True)] * len(models)
    assert query(dsn("postgres"), "select count(*) from analytics_sandbox.dbt_test_results") > [(10,)]
    assert ("customer_history", "r") in query(dsn("postgres"), OWN)
    assert "not supported for mart" not in capfd.readouterr().out

    load_file(dsn("loader"), write_csv(tmp_path / "2.csv", range(58, 63), "7"), "run-2", mode="merge", day=2)
    assert dbt(*BUILD)
    publish(dsn, models)
    # A part of them: what was built of the load before is gone, and the rest comes from the pipeline.
    assert own("build", "-s", "dim_customers+"), capfd.readouterr().out
    assert '"dim_products" is not of the published load: dropped' in capfd.readouterr().out
    kinds = dict(query(dsn("postgres"), OWN))
    assert kinds.keys() & {mart.name for mart in models} == {mart.name for mart in models} - {
        "dim_products",
        "dim_dates",
    }
    assert own("show", "-s", "dim_customers", "--output", "json")
    assert "lifetime_transactions" in capfd.readouterr().out
    assert own("run", "--empty"), capfd.readouterr().out
    assert query(dsn("postgres"), "select count(*) from analytics_sandbox.fact_transactions") == [(0,)]
    assert own("test"), capfd.readouterr().out


def test_empty_marts_are_built_for_the_pipeline_too_and_never_published(dsn: Dsn, dbt: Dbt, tmp_path: Path) -> None:
    load_file(dsn("loader"), write_csv(tmp_path / "1.csv", range(60)), "run-1", day=1)
    assert dbt(*BUILD)
    models = read_marts(tmp_path / "target" / "manifest.json")
    publish(dsn, models)
    load_file(dsn("loader"), write_csv(tmp_path / "2.csv", range(58, 63), "7"), "run-2", mode="merge", day=2)
    assert dbt("run", "--empty")
    with pytest.raises(RefusedError, match="dim_customers: of no load"):
        publish(dsn, models)
    assert query(dsn("reader"), "select count(*) from analytics.fact_transactions") == [(60,)]
