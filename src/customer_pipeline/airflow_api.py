"""A client of Airflow's REST API: trigger a run, follow it, read its logs."""

from __future__ import annotations

import time
from typing import Any

import httpx

from audited_load.errors import UnavailableError
from customer_pipeline.settings import Runtime

DAG_ID = "pipeline_customer_transaction"
PATIENCE_SECONDS = 60


class AirflowApi:
    """Airflow's REST API, as the developer's user.

    Args:
        runtime: Where it is.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._http = httpx.Client(base_url=runtime.url, timeout=30)

    def trigger(self, run_id: str, conf: dict[str, Any]) -> None:
        """Ask for a run, then let the scheduler look at the DAG.

        In this order: unpausing first would start the run of last midnight as well.
        """
        body = {"dag_run_id": run_id, "logical_date": None, "conf": conf}
        self._call("POST", f"/dags/{DAG_ID}/dagRuns", json=body)
        self._call("PATCH", f"/dags/{DAG_ID}", json={"is_paused": False})

    def wait_for_dag(self, seconds: float = 120) -> None:
        """Wait until the DAG was parsed.

        Raises:
            UnavailableError: It can't be imported, or is not there in time.
        """
        deadline = time.monotonic() + seconds
        while self._http_get_status(f"/dags/{DAG_ID}") != httpx.codes.OK:
            errors = self._call("GET", "/importErrors").get("import_errors", [])
            if errors:
                raise UnavailableError(
                    f"The DAG can't be imported:\n{errors[0]['stack_trace'][-2000:]}",
                    "Correct it, then run again.",
                )
            if time.monotonic() > deadline:
                raise UnavailableError(
                    f"The DAG {DAG_ID} was not parsed within {seconds:.0f} s.",
                    "See `customer-pipeline logs dag-processor`.",
                )
            time.sleep(0.3)

    def run(self, run_id: str) -> dict[str, Any]:
        """Give a run: `state`, `start_date`, `end_date` and more."""
        return self._call("GET", f"/dags/{DAG_ID}/dagRuns/{run_id}")

    def latest_run(self) -> dict[str, Any] | None:
        """Give the newest run, if there is one."""
        runs = self._call("GET", f"/dags/{DAG_ID}/dagRuns", params={"limit": 1, "order_by": "-run_after"})
        found: list[dict[str, Any]] = runs.get("dag_runs", [])
        return found[0] if found else None

    def dag(self) -> dict[str, Any]:
        """Give the DAG: `is_paused`, `next_dagrun_run_after` and more."""
        return self._call("GET", f"/dags/{DAG_ID}")

    def tasks(self, run_id: str) -> list[dict[str, Any]]:
        """Give the task instances of a run: `task_id`, `state`, `duration`, `try_number` and more."""
        answer = self._call("GET", f"/dags/{DAG_ID}/dagRuns/{run_id}/taskInstances", params={"limit": 100})
        found: list[dict[str, Any]] = answer["task_instances"]
        return found

    def log(self, run_id: str, task_id: str, attempt: int) -> list[dict[str, Any]]:
        """Give the log of one attempt, event by event."""
        path = f"/dags/{DAG_ID}/dagRuns/{run_id}/taskInstances/{task_id}/logs/{attempt}"
        answer = self._call("GET", path, params={"full_content": "true"})
        return [event for event in answer.get("content", []) if isinstance(event, dict)]

    def _http_get_status(self, path: str) -> int:
        self._call("GET", "/version")  # signs in, and waits while the server is away
        return self._http.get(f"/api/v2{path}").status_code

    def _call(self, method: str, path: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - httpx has the types
        """Call the API; a server that is away for a moment is waited for."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                if "Authorization" not in self._http.headers:
                    self._sign_in()
                answer = self._http.request(method, f"/api/v2{path}", **more)
                if answer.status_code == httpx.codes.UNAUTHORIZED:
                    self._sign_in()
                    answer = self._http.request(method, f"/api/v2{path}", **more)
                answer.raise_for_status()
            except httpx.HTTPError as error:
                is_final = isinstance(error, httpx.HTTPStatusError) and error.response.is_client_error
                if is_final or time.monotonic() > deadline:
                    raise UnavailableError(
                        f"Airflow's API: {error}", "See `customer-pipeline status` and `logs api-server`."
                    ) from error
                time.sleep(0.5)
            else:
                body: dict[str, Any] = answer.json()
                return body

    def _sign_in(self) -> None:
        answer = self._http.post("/auth/token", json={"username": "airflow", "password": "airflow"})
        answer.raise_for_status()
        self._http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
