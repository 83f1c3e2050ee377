from __future__ import annotations

import json
import pickle
from datetime import UTC, datetime, timedelta

import pytest
from airflow.sdk import DAG
from airflow.sdk.definitions.mappedoperator import MappedOperator
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from audited_load.errors import BadDataError, RefusedError, UnavailableError, UnusableFileError
from customer_pipeline.settings import RunSettings, dbt_project, read_settings
from customer_pipeline.tasks.dbt_manifest import fresh_manifest
from customer_pipeline.tasks.retry_policy import DbtRetryPolicy
from customer_pipeline.tasks.task_errors import reported_errors

MODELS = (
    "stg_customer_transactions",
    "dim_customers",
    "dim_products",
    "dim_dates",  # not in the specification
    "fact_transactions",
    "agg_monthly_sales",
)
HELPERS = ("find_source_files", "clean_source_file", "every_file_is_cleaned")
LOAD = ("create_cleaned_table", "truncate_cleaned_table", "load_cleaned_csv_to_postgres", "validate_postgres_load")
COPY_SHARD = "Load-To-Postgres.copy_shard"


def test_the_task_ids_are_those_of_the_specification(dag: DAG) -> None:
    dbt = {f"DBT-Transformations.dbt_models.{model}.{step}" for model in MODELS for step in ("run", "test")}
    dbt |= {"DBT-Transformations.publish_marts", "DBT-Transformations.record_history"}
    load = {f"Load-To-Postgres.{name}" for name in LOAD}
    helpers = {f"Clean-Transactions.{name}" for name in HELPERS}
    assert set(dag.task_ids) == {"Clean-Transactions.clean_and_transform_csv", COPY_SHARD} | helpers | load | dbt


def test_a_refused_file_fails_the_run_but_does_not_hold_up_the_others(dag: DAG) -> None:
    every_file = dag.get_task("Clean-Transactions.every_file_is_cleaned")
    assert every_file.upstream_task_ids == {"Clean-Transactions.clean_source_file"}
    assert not every_file.downstream_task_ids  # a leaf, so that it decides about the run
    assert every_file.trigger_rule == "none_failed"
    assert dag.get_task("Clean-Transactions.clean_and_transform_csv").trigger_rule == "all_done"


def test_shards_are_copied_by_tasks_of_their_own_and_a_run_without_any_skips_them(dag: DAG) -> None:
    task = dag.get_task(COPY_SHARD)
    assert isinstance(task, MappedOperator)
    assert task.max_active_tis_per_dagrun == RunSettings.parallel_shards
    assert dag.get_task("Load-To-Postgres.load_cleaned_csv_to_postgres").trigger_rule == "none_failed"


def test_the_settings_are_those_of_the_specification(dag: DAG) -> None:
    assert dag.dag_id == "pipeline_customer_transaction"
    assert dag.tags == {"data-pipeline", "csv", "postgres", "dbt", "end-to-end"}
    assert dag.description == "Complete data pipeline: CSV cleaning, PostgreSQL loading, and DBT transformations"
    assert (dag.catchup, dag.max_active_runs) == (False, 1)
    for task in dag.tasks:
        assert (task.owner, task.retries, task.retry_delay) == ("airflow", 1, timedelta(minutes=2))
        assert (task.depends_on_past, task.start_date) == (False, datetime(2025, 12, 3, tzinfo=UTC))


def test_a_task_that_fails_for_good_is_noted_told_and_gives_the_lease_back_unless_others_may_still_build(
    dag: DAG,
) -> None:
    for task in dag.tasks:
        called = [callback.__name__ for callback in task.on_failure_callback]
        may_build = ".dbt_models." in task.task_id or task.task_id == COPY_SHARD
        gives_back = [] if may_build else ["give_lease_back"]
        assert called == ["note_failure", *gives_back, "alert_of_failure"], task.task_id


def test_the_groups_follow_each_other(dag: DAG) -> None:
    upstream = {task.task_id: set(task.upstream_task_ids) for task in dag.tasks}
    chain = ["Clean-Transactions.clean_and_transform_csv", *(f"Load-To-Postgres.{name}" for name in LOAD)]
    helpers = {f"Clean-Transactions.{name}" for name in ("find_source_files", "clean_source_file")}
    assert upstream[chain[0]] == helpers
    create, truncate, copy, _ = chain[1:]
    assert upstream[create] == {chain[0]}
    assert upstream[truncate] == {create}
    assert upstream[COPY_SHARD] == {create, truncate}
    assert upstream[copy] == {create, COPY_SHARD}
    assert upstream[chain[-1]] == {copy}
    models = "DBT-Transformations.dbt_models."
    assert upstream[f"{models}stg_customer_transactions.run"] == {chain[-1]}
    for dimension in ("dim_customers", "dim_dates", "dim_products"):  # side by side
        assert upstream[f"{models}{dimension}.run"] == {f"{models}stg_customer_transactions.test"}
        assert f"{models}{dimension}.test" in upstream[f"{models}fact_transactions.run"]


def test_the_marts_are_published_after_every_test(dag: DAG) -> None:
    before = dag.get_task("DBT-Transformations.publish_marts").get_flat_relative_ids(upstream=True)
    assert {f"DBT-Transformations.dbt_models.{model}.test" for model in MODELS} <= before
    # Their history is that of what readers saw.
    history = dag.get_task("DBT-Transformations.record_history")
    assert history.upstream_task_ids == {"DBT-Transformations.publish_marts"}


def test_other_dags_are_told_of_the_marts_only_when_these_are_published(dag: DAG) -> None:
    told = {task.task_id: {asset.name for asset in task.outlets} for task in dag.tasks if task.outlets}
    marts = {f"analytics.{model}" for model in MODELS[1:]}
    assert {
        task: names for task, names in told.items() if names & (marts | {"cleaned_data.customer_transactions"})
    } == {
        "Load-To-Postgres.validate_postgres_load": {"cleaned_data.customer_transactions"},
        "DBT-Transformations.publish_marts": marts,
    }


def test_everything_is_built_anew_only_when_asked_for(dag: DAG) -> None:
    for model in MODELS[1:]:
        assert (
            dag.get_task(f"DBT-Transformations.dbt_models.{model}.run").full_refresh == "{{ params.full_refresh }}"
        )


@pytest.mark.usefixtures("dag")
def test_every_data_test_of_the_project_runs_in_some_task() -> None:
    """Cosmos selects a model's tests as buildable: those whose parents are the model and what is before it."""
    manifest = json.loads(fresh_manifest(dbt_project()).read_text())
    nodes = manifest["nodes"]
    parents = manifest["parent_map"]

    def ancestors(name: str) -> set[str]:
        return {name}.union(*(ancestors(parent) for parent in parents.get(name, [])))

    models = {name for name, node in nodes.items() if node["resource_type"] == "model"}
    tests = [name for name, node in nodes.items() if node["resource_type"] == "test"]
    assert len(tests) >= 10
    for name in tests:
        of_test = set(parents[name])
        assert any(model in of_test and of_test <= ancestors(model) for model in models), name


def test_params_describe_themselves(dag: DAG) -> None:
    for name in ("source", "mode", "full_refresh", "force"):
        param = dag.params.get_param(name)
        assert param.description
        assert param.schema["type"]


def test_bad_data_is_final_and_an_absent_server_is_not() -> None:
    for error in (BadDataError("x", "y"), RefusedError("x", "y"), UnusableFileError("x", "y")):
        with pytest.raises(AirflowFailException, match="What to do: y"), reported_errors("group"):
            raise error
    with pytest.raises(AirflowException) as caught, reported_errors("group"):
        raise UnavailableError("x", "y")
    assert not isinstance(caught.value, AirflowFailException)


def test_errors_survive_pickling() -> None:
    error = pickle.loads(pickle.dumps(BadDataError("what", "remedy")))  # noqa: S301 - our own bytes
    assert (error.message, error.remedy) == ("what", "remedy")


@pytest.mark.parametrize(
    ("message", "action"),
    [
        ("dbt invocation completed with errors: fact_ties: Got 3 results, configured to fail if != 0", "fail"),
        ('null value in column "a" violates not-null constraint', "fail"),
        ("could not connect to server: Connection refused", "default"),
        ("server closed the connection unexpectedly", "default"),
    ],
)
def test_a_failed_data_test_is_not_retried_and_a_lost_connection_is(message: str, action: str) -> None:
    decision = DbtRetryPolicy().evaluate(RuntimeError(message), 1, 1)
    assert decision.action.value == action
    if "Got 3" in message:
        assert "fact_ties (3 rows)" in (decision.reason or "")


def test_a_missing_or_unusable_setting_is_named() -> None:
    with pytest.raises(RefusedError, match="PIPELINE_DATA"):
        read_settings({})
    with pytest.raises(RefusedError, match="MAX_REJECTED_RATIO"):
        read_settings({"PIPELINE_DATA": "data", "MAX_REJECTED_RATIO": "5%"})
