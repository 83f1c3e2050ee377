"""A run that is triggered while the schedule waits: which date it has, and that it counts as the scheduled one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import psycopg
import pytest

from customer_pipeline.airflow_api import AirflowApi
from customer_pipeline.names import DAG_ID
from customer_pipeline.runtime.installation import Runtime

DUE = "2026-01-02T00:00:00Z"


class Airflow:
    """The API as far as a run is triggered, over the table that it would write to."""

    def __init__(self, runtime: Runtime, *, is_paused: bool, run_after: datetime) -> None:
        self.dag = {"dag_id": DAG_ID, "is_paused": is_paused, "next_dagrun_logical_date": DUE}
        self.dag["next_dagrun_run_after"] = run_after.isoformat()
        self.runtime = runtime
        self.posted: list[dict[str, Any]] = []
        self.kinds_when_unpaused: list[tuple[Any, ...]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/auth/token":
            return httpx.Response(201, json={"access_token": "x"})
        with psycopg.connect(self.runtime.dsn("airflow", "airflow"), autocommit=True) as connection:
            if request.method == "POST":
                self.posted.append(json.loads(request.content))
                run = (DAG_ID, self.posted[-1]["dag_run_id"])
                connection.execute("insert into dag_run values (%s, %s, 'manual')", run)
            if request.method == "PATCH":
                self.kinds_when_unpaused = connection.execute("select run_id, run_type from dag_run").fetchall()
        return httpx.Response(200, json=self.dag)


@pytest.fixture
def runs(runtime: Runtime) -> Iterator[None]:
    with psycopg.connect(runtime.dsn("airflow", "airflow"), autocommit=True) as connection:
        connection.execute("create table dag_run (dag_id text, run_id text, run_type text)")
        connection.execute("insert into dag_run values (%s, 'earlier', 'manual')", (DAG_ID,))
        yield
        connection.execute("drop table dag_run")


def trigger(airflow: Airflow) -> None:
    api = AirflowApi(airflow.runtime, patience_seconds=0)
    api._http = httpx.Client(base_url="http://test", transport=httpx.MockTransport(airflow))
    api.trigger("manual__1", {})


@pytest.mark.usefixtures("runs")
def test_a_run_under_the_date_that_is_due_counts_as_scheduled_before_the_schedule_begins(runtime: Runtime) -> None:
    airflow = Airflow(runtime, is_paused=True, run_after=datetime.now(UTC) - timedelta(hours=1))
    trigger(airflow)
    assert airflow.posted[0]["logical_date"] == DUE
    assert sorted(airflow.kinds_when_unpaused) == [("earlier", "manual"), ("manual__1", "scheduled")]


@pytest.mark.usefixtures("runs")
@pytest.mark.parametrize(("is_paused", "hours"), [(False, -1), (True, 1)])
def test_any_other_run_is_one_by_hand(runtime: Runtime, is_paused: bool, hours: int) -> None:
    airflow = Airflow(runtime, is_paused=is_paused, run_after=datetime.now(UTC) + timedelta(hours=hours))
    trigger(airflow)
    assert airflow.posted[0]["logical_date"] is None
    assert sorted(airflow.kinds_when_unpaused) == [("earlier", "manual"), ("manual__1", "manual")]


@pytest.mark.usefixtures("runs")
def test_a_run_is_triggered_also_where_airflows_table_is_another_one(runtime: Runtime) -> None:
    with psycopg.connect(runtime.dsn("airflow", "airflow"), autocommit=True) as connection:
        connection.execute("alter table dag_run add check (run_type = 'manual')")
    airflow = Airflow(runtime, is_paused=True, run_after=datetime.now(UTC) - timedelta(hours=1))
    trigger(airflow)
    assert sorted(airflow.kinds_when_unpaused) == [("earlier", "manual"), ("manual__1", "manual")]
