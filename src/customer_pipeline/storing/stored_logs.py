"""Logs of tasks, in the store: a worker that has gone is asked for nothing.

Airflow takes this module by the setting `AIRFLOW__LOGGING__LOGGING_CONFIG_CLASS`, as `deploy/celery.env` has it.
Amazon's provider of Airflow does the same with fifteen more packages.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from airflow.config_templates.airflow_local_settings import DEFAULT_LOGGING_CONFIG
from airflow.configuration import conf
from airflow.sdk.exceptions import AirflowNotFoundException

from audited_load.errors import PipelineError, RefusedError
from audited_load.storage import WAIT_SECONDS, Store
from customer_pipeline.names import STORAGE_CONNECTION_ID, STORAGE_ROOT
from customer_pipeline.storing.kept_objects import LOGS
from customer_pipeline.storing.store_access import VARIABLE, access_of, read_access

LOGGING_CONFIG = DEFAULT_LOGGING_CONFIG
"""Airflow's own, unchanged: the setting has to name one."""
DEFAULT_REMOTE_CONN_ID = STORAGE_CONNECTION_ID
"""What Airflow fetches for a worker that hasn't got it in its environment."""
_READER_WAITS_SECONDS = 2.0
"""Somebody looks at a page meanwhile."""


class StoredTaskLogs:
    """What Airflow asks of a place for logs: `upload` on the worker, `read` in the API server."""

    processors = ()
    """Lines are written to a file first, as always, and not changed."""

    def upload(self, path: str | os.PathLike[str], ti: Any = None) -> None:  # noqa: ANN401, ARG002 - Airflow's
        """Put the log of one attempt, when its process has ended.

        A task that was deferred goes on elsewhere, in the same attempt: its lines come after those that are there.

        Args:
            path: Of the log, below Airflow's folder of logs, or absolute.
            ti: Not looked at.

        Raises:
            PipelineError: The store is away, or refuses. Airflow says so in the worker's own log.
        """
        folder = Path(conf.get_mandatory_value("logging", "base_log_folder"))
        file = folder / path
        if not file.exists():
            return
        store, content = _open_store(WAIT_SECONDS), file.read_bytes()
        key = f"{LOGS}/{file.relative_to(folder).as_posix()}"
        before = store.read(key) or b""
        store.put(key, content if content.startswith(before) else before + content)
        if conf.getboolean("logging", "delete_local_logs"):
            file.unlink()

    def read(self, relative_path: str, ti: Any = None) -> tuple[list[str], list[str] | None]:  # noqa: ANN401, ARG002
        """Read the log of one attempt.

        Args:
            relative_path: Below Airflow's folder of logs.
            ti: Not looked at.

        Returns:
            Where it was looked for, and its text; None if there is none yet.
        """
        try:
            store = _open_store(_READER_WAITS_SECONDS)
            content = store.read(f"{LOGS}/{relative_path}")
        except PipelineError as error:
            return [str(error)], None
        if content is None:
            return [], None
        return [f"{store.root}/{LOGS}/{relative_path}"], [content.decode(errors="replace")]


REMOTE_TASK_LOG = StoredTaskLogs()


def _open_store(wait_seconds: float) -> Store:
    """Open the store by the environment, or, in the API server, by the connection that Airflow keeps.

    Raises:
        RefusedError: There is neither.
    """
    if os.environ.get(VARIABLE):
        access = read_access(os.environ)
    else:
        from airflow.models.connection import Connection  # noqa: PLC0415 - tasks never come here

        try:
            found = Connection.get_connection_from_secrets(STORAGE_CONNECTION_ID)
        except AirflowNotFoundException as error:
            raise RefusedError(
                f"There is no Airflow connection {STORAGE_CONNECTION_ID}.",
                "Make one of the type aws (docs/scale-out.md).",
            ) from error
        access = access_of(found.login, found.password, found.extra_dejson)
    return Store(os.environ.get(STORAGE_ROOT, ""), access, wait_seconds)
