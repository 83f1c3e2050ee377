"""What a run may be asked for."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.definitions.param import process_params
from airflow.sdk.exceptions import ParamValidationError

from audited_load.errors import RefusedError
from customer_pipeline.tasks.params import require_known_params


def resolve(dag: DAG, conf: dict[str, Any] | None) -> dict[str, Any]:
    """Return the params of a run as its tasks get them."""
    return dict(process_params(dag, dag.tasks[0], conf, suppress_exception=False))


def test_a_run_without_wishes_replaces_with_the_sample(dag: DAG) -> None:
    expected = {"source": "customer_transactions.csv", "mode": "replace", "force": False}
    assert resolve(dag, None).items() >= expected.items()


@pytest.mark.parametrize(
    "conf",
    [
        {"mode": "append"},
        {"mode": None},
        {"source": ""},
        {"sha256": "ab"},
        {"source": ["a.csv"]},
        {"force": "yes"},
        {"force": 1},
    ],
)
def test_a_value_that_is_none_of_the_params_is_refused(dag: DAG, conf: dict[str, Any]) -> None:
    with pytest.raises(ParamValidationError):
        resolve(dag, conf)


@pytest.mark.parametrize("conf", [{"soruce": "a.csv"}, {"mode": "merge", "Force": True}, {"__class__": 1}])
def test_a_param_that_nobody_declared_is_refused(dag: DAG, conf: dict[str, Any]) -> None:
    with pytest.raises(RefusedError, match="no param"):
        require_known_params(conf, dag.params)


def test_declared_params_pass(dag: DAG) -> None:
    require_known_params({"source": "a.csv", "mode": "merge", "force": True}, dag.params)
    require_known_params(None, dag.params)


def test_a_source_of_a_run_is_no_template(dag: DAG) -> None:
    """Airflow renders templates of operators' fields; a source must never be one of them."""
    source = "{{ conn.postgres_default.password }}"
    assert resolve(dag, {"source": source})["source"] == source
    for task in dag.tasks:
        if task.task_id.startswith(("Clean-Transactions.", "Load-To-Postgres.")):
            assert "params" not in task.template_fields
