"""A client of Airflow's REST API: trigger a run, follow it, read its logs."""

from __future__ import annotations

import contextlib
import time
from datetime import UTC, datetime
from typing import Any

import httpx
import psycopg

from audited_load.command import command
from audited_load.errors import UnavailableError
from customer_pipeline.names import DAG_ID
from customer_pipeline.runtime.installation import Runtime

PAGE = 100
# The API makes runs by hand only. Airflow looks for the next date among scheduled ones, and with none there, each
# reading of the DAG (every 15 s) would find this date due again.
_TAKE_ITS_PLACE = """
    update dag_run set run_type = 'scheduled' where dag_id = %s and run_id = %s and run_type = 'manual'
"""


class AirflowApi:
    """Airflow's REST API, as the user of the settings.

    Args:
        runtime: Where it is.
        patience_seconds: How long a server that is away is waited for.
    """

    def __init__(self, runtime: Runtime, patience_seconds: float = 60) -> None:
        self._patience_seconds = patience_seconds
        self._database = runtime.dsn("airflow", "airflow")
        self._login = {"username": runtime.user, "password": runtime.password}
        # A proxy of the operator's is none for this machine.
        self._http = httpx.Client(base_url=runtime.url, timeout=30, trust_env=False)

    def trigger(self, run_id: str, conf: dict[str, Any]) -> None:
        """Ask for a run, then let the scheduler look at the DAG.

        In this order, and under the date of the run that is due: unpausing makes the scheduler start last
        midnight's run at once, and before ours, unless there is one of that date. So ours takes its place.
        """
        dag = self.find_dag() or {}
        due, after = dag.get("next_dagrun_logical_date"), dag.get("next_dagrun_run_after")
        is_due = dag.get("is_paused") and due and after and datetime.fromisoformat(after) <= datetime.now(UTC)
        body = {"dag_run_id": run_id, "logical_date": due if is_due else None, "conf": conf}
        # A conflict: the answer to the first try got lost.
        self._call("POST", f"/dags/{DAG_ID}/dagRuns", accepted=httpx.codes.CONFLICT, json=body)
        if is_due:
            self._take_its_place(run_id)
        self._call("PATCH", f"/dags/{DAG_ID}", json={"is_paused": False})

    def wait_for_dag(self, seconds: float = 120) -> None:
        """Wait until the DAG was parsed.

        Raises:
            UnavailableError: It can't be imported, or is not there in time.
        """
        deadline = time.monotonic() + seconds
        while True:
            dag = self.find_dag()
            if dag and not dag.get("has_import_errors"):
                return
            errors = self._call("GET", "/importErrors").get("import_errors", [])
            if errors:
                traces = "\n".join(f"{error['filename']}:\n{error['stack_trace'][-2000:]}" for error in errors)
                if not all("AirflowTaskTimeout" in error["stack_trace"] for error in errors):
                    raise UnavailableError(f"The DAG can't be imported. {traces}", "Correct it, then run again.")
                # A busy machine: Airflow parses it again and again.
            if time.monotonic() > deadline:
                raise UnavailableError(
                    f"The DAG {DAG_ID} was not parsed within {seconds:.0f} s.",
                    f"See {command('logs dag-processor')}.",
                )
            time.sleep(0.3)

    def run(self, run_id: str) -> dict[str, Any]:
        """Return a run: `state`, `start_date`, `end_date` and more."""
        return self._call("GET", f"/dags/{DAG_ID}/dagRuns/{run_id}")

    def latest_run(self) -> dict[str, Any] | None:
        """Return the newest run, if there is one."""
        runs = self._call("GET", f"/dags/{DAG_ID}/dagRuns", params={"limit": 1, "order_by": "-run_after"})
        found: list[dict[str, Any]] = runs.get("dag_runs", [])
        return found[0] if found else None

    def last_ended_run(self) -> dict[str, Any] | None:
        """Return the run that ended last, if one has."""
        params = {"limit": 1, "order_by": "-end_date", "state": ["success", "failed"]}
        found: list[dict[str, Any]] = self._call("GET", f"/dags/{DAG_ID}/dagRuns", params=params).get(
            "dag_runs", []
        )
        return found[0] if found else None

    def find_runs(self, states: list[str]) -> list[dict[str, Any]]:
        """Return all runs of these states, the newest first."""
        return self._all(f"/dags/{DAG_ID}/dagRuns", "dag_runs", order_by="-run_after", state=states)

    def find_dag(self) -> dict[str, Any] | None:
        """Return the DAG, unless it was not parsed yet: `is_paused`, `next_dagrun_run_after` and more."""
        found = self._call("GET", f"/dags/{DAG_ID}", accepted=httpx.codes.NOT_FOUND)
        return found if "dag_id" in found else None

    def tasks(self, run_id: str) -> list[dict[str, Any]]:
        """Return the task instances of a run: `task_id`, `map_index`, `state`, `try_number` and more."""
        return self._all(f"/dags/{DAG_ID}/dagRuns/{run_id}/taskInstances", "task_instances", order_by="id")

    def log(self, run_id: str, task: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the log of the last attempt of a task instance, event by event."""
        path = f"/dags/{DAG_ID}/dagRuns/{run_id}/taskInstances/{task['task_id']}/logs/{task['try_number']}"
        params = {"full_content": "true", "map_index": task["map_index"]}
        answer = self._call("GET", path, params=params)
        return [event for event in answer.get("content", []) if isinstance(event, dict)]

    def _all(self, path: str, name: str, **params: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - as `_call`
        """Return all pages of a list."""
        found: list[dict[str, Any]] = []
        while True:
            answer = self._call("GET", path, params={"limit": PAGE, "offset": len(found), **params})
            found += answer[name]
            if len(found) >= answer["total_entries"] or not answer[name]:
                return found

    def _call(
        self,
        method: str,
        path: str,
        accepted: int | None = None,
        **more: Any,  # noqa: ANN401 - httpx has the types
    ) -> dict[str, Any]:
        """Call the API; a server that is away for a moment is waited for."""
        deadline = time.monotonic() + self._patience_seconds
        while True:
            try:
                if "Authorization" not in self._http.headers:
                    self._sign_in()
                answer = self._http.request(method, f"/api/v2{path}", **more)
                if answer.status_code == httpx.codes.UNAUTHORIZED:
                    self._sign_in()
                    answer = self._http.request(method, f"/api/v2{path}", **more)
                if answer.status_code != accepted:
                    answer.raise_for_status()
                body: dict[str, Any] = answer.json()
            except (httpx.HTTPError, ValueError) as error:
                is_final = isinstance(error, httpx.HTTPStatusError) and error.response.is_client_error
                if is_final or time.monotonic() > deadline:
                    said = error.response.text[:500] if isinstance(error, httpx.HTTPStatusError) else ""
                    raise UnavailableError(
                        f"Airflow's API: {error} {said}".rstrip(),
                        f"See {command('status')} and {command('logs api-server')}.",
                    ) from error
                time.sleep(0.5)
            else:
                return body

    def _take_its_place(self, run_id: str) -> None:
        """Count a run as the scheduled one of its date. Without, it runs as well, and the scheduler warns."""
        with (
            contextlib.suppress(psycopg.Error),
            psycopg.connect(self._database, connect_timeout=10) as connection,
        ):
            connection.execute(_TAKE_ITS_PLACE, (DAG_ID, run_id))

    def _sign_in(self) -> None:
        answer = self._http.post("/auth/token", json=self._login)
        answer.raise_for_status()
        self._http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
