"""What the dbt project promises beside its rows: metrics, owners, who may use what, how old a load may be."""

from __future__ import annotations

import json
import re
import tomllib
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from jinja2 import Environment

from audited_load.errors import RefusedError
from customer_pipeline.settings import dbt_project
from customer_pipeline.tasks.dbt_manifest import fresh_manifest
from customer_pipeline.tasks.freshness import read_error_after

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def manifest(dag: Any) -> dict[str, Any]:  # noqa: ARG001 - it sets the environment of dbt
    """What `dbt parse` makes, which refuses metrics that name no measure, and measures of no model."""
    parsed: dict[str, Any] = json.loads(fresh_manifest(dbt_project()).read_text())
    return parsed


def models(manifest: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {node["name"]: node for node in manifest["nodes"].values() if node["resource_type"] == "model"}


def test_what_people_ask_for_is_a_metric_over_the_calendar(manifest: dict[str, Any]) -> None:
    metrics = {metric["name"]: metric for metric in manifest["metrics"].values()}
    assert {"revenue", "orders", "average_order_value", "revenue_growth_percent", "valid_revenue"} <= metrics.keys()
    assert models(manifest)["dim_dates"]["time_spine"]["standard_granularity_column"] == "date_day"
    money = {name for name, metric in metrics.items() if metric["config"]["meta"].get("currency") == "USD"}
    assert money == {"revenue", "valid_revenue", "order_revenue", "average_order_value"}


def test_the_metric_of_growth_is_the_marts_growth(manifest: dict[str, Any]) -> None:
    macros = "".join((dbt_project() / "macros" / name).read_text() for name in ("measures.sql", "dialects.sql"))
    adapter = SimpleNamespace(dispatch=lambda name: getattr(module, f"default__{name}"))
    module: Any = Environment().from_string(macros, {"adapter": adapter}).module  # noqa: S701
    growth = manifest["metrics"]["metric.ebury.revenue_growth_percent"]["type_params"]
    assert growth["expr"] == module.growth_percent("revenue", "revenue_before").strip()
    assert [(one["alias"] or one["name"], bool(one["offset_window"])) for one in growth["metrics"]] == [
        ("revenue", False),
        ("revenue_before", True),
    ]


def test_everything_has_an_owner_and_staging_is_nobody_elses(manifest: dict[str, Any]) -> None:
    owned = [*manifest["exposures"].values(), *manifest["groups"].values()]
    assert len(owned) >= 4
    assert all(one["owner"]["name"] for one in owned)
    access = {name: (model["group"], model["access"]) for name, model in models(manifest).items()}
    assert access.pop("stg_customer_transactions") == ("sales", "private")
    assert set(access.values()) == {("sales", "public")}
    assert {metric["group"] for metric in manifest["metrics"].values()} == {"sales"}


def test_every_column_is_described_and_money_names_its_currency(manifest: dict[str, Any]) -> None:
    for model in models(manifest).values():
        for column in model["columns"].values():
            name = f"{model['name']}.{column['name']}"
            assert column["description"], name
            is_money = column["data_type"].startswith("numeric") and not column["name"].endswith("_percent")
            assert ("in USD" in column["description"]) == is_money, name


def test_the_project_asks_for_the_dbt_that_is_installed_with_it() -> None:
    wanted = yaml.safe_load((dbt_project() / "dbt_project.yml").read_text())["require-dbt-version"]
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    (pinned,) = [one for one in dependencies if one.startswith("dbt-core")]
    assert [re.sub(r"\.0$", "", part) for part in wanted] == pinned.removeprefix("dbt-core").split(",")


def test_how_old_a_load_may_be_is_said_once(manifest: dict[str, Any], tmp_path: Path) -> None:
    assert read_error_after(fresh_manifest(dbt_project())) == timedelta(hours=72)
    source = manifest["sources"]["source.ebury.cleaned_data.published_load"] | {"freshness": None}
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps({"sources": {"it": source}}))
    with pytest.raises(RefusedError, match="too old"):
        read_error_after(path)


def test_the_page_of_measures_has_the_amounts_that_the_models_are_tested_with() -> None:
    said = [re.split(r" *\| *", line)[1:-1] for line in (ROOT / "docs" / "marts.md").read_text().splitlines()]
    start = said.index(["quantity", "price", "tax", "gross_amount", "total_amount", "net_amount"])
    path = dbt_project() / "models" / "staging" / "stg_customer_transactions.yml"
    (unit_test,) = yaml.safe_load(path.read_text())["unit_tests"]
    given, expected = unit_test["given"][-1]["rows"], unit_test["expect"]["rows"]
    tested = [{**row, **amounts} for row, amounts in zip(given, expected, strict=True)]
    assert [
        [None if cell == "unknown" else float(cell) for cell in row]
        for row in said[start + 2 : start + 2 + len(tested)]
    ] == [[row[name] for name in said[start]] for row in tested]
