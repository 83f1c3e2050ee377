"""The DAG of what arrives: only where it is turned on, and one run for each file, however often it is told."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import pytest
from airflow.sdk import DAG

from audited_load.errors import RefusedError
from customer_pipeline.settings import read_run_settings


@pytest.fixture
def module(dag: DAG) -> ModuleType:  # noqa: ARG001 - it sets the environment
    return importlib.import_module("load_arrivals")


def test_it_is_off_unless_a_setting_names_a_mode(module: ModuleType) -> None:
    assert not hasattr(module, "dag_instance")
    assert read_run_settings({}).arrivals == read_run_settings({"WATCH_INCOMING": "off"}).arrivals == ""
    assert read_run_settings({"WATCH_INCOMING": "merge"}).arrivals == "merge"
    with pytest.raises(RefusedError, match="WATCH_INCOMING is 'yes'"):
        read_run_settings({"WATCH_INCOMING": "yes"})


def test_it_starts_the_pipeline_for_what_arrives_and_never_twice(module: ModuleType, tmp_path: Path) -> None:
    dag = module.load_arrivals("merge", str(tmp_path))
    assert (dag.dag_id, dag.is_paused_upon_creation, dag.max_active_runs) == ("load_arrivals", False, 1)
    (asset,) = dag.timetable.asset_condition.objects
    (watcher,) = asset.watchers
    assert watcher.trigger.serialize()[1]["data"] == str(tmp_path)
    run = dag.get_task("run_pipeline")
    assert run.partial_kwargs["trigger_dag_id"] == "pipeline_customer_transaction"
    assert run.partial_kwargs["skip_when_already_exists"] is True


def test_one_file_has_one_run_id_and_another_has_another(module: ModuleType) -> None:
    arrival = {"source": "incoming/a.csv", "sha256": "a" * 64, "identity": (1, 2, 3)}
    described = module.describe_run(arrival, "merge")
    assert described["conf"] == {"source": "incoming/a.csv", "sha256": "a" * 64, "mode": "merge"}
    # After its way through the database a tuple is a list.
    renamed = arrival | {"source": "incoming/b.csv", "identity": [1, 2, 3]}
    assert module.describe_run(renamed, "merge")["trigger_run_id"] == described["trigger_run_id"]
    for other in (arrival | {"sha256": "b" * 64}, arrival | {"identity": (1, 2, 4)}):
        assert module.describe_run(other, "merge")["trigger_run_id"] != described["trigger_run_id"]


def test_a_folder_is_not_watched_where_deliveries_lie_in_a_store() -> None:
    assert read_run_settings({"WATCH_INCOMING": "off", "STORAGE_ROOT": "s3://bucket"}).arrivals == ""
    with pytest.raises(RefusedError, match="WATCH_INCOMING watches a folder"):
        read_run_settings({"WATCH_INCOMING": "merge", "STORAGE_ROOT": "s3://bucket"})
