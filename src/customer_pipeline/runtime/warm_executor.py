"""Airflow's LocalExecutor, with dbt warm before it forks, and without naps between tasks.

Every dbt task is a fork of the scheduler. What the scheduler has imported and dbt has cached, its tasks need not
import and cache again: of a stock dbt task on two cores, two thirds are that (docs/adr/0003). Operators, ids, logs
and retries are the stock executor's.
"""

from __future__ import annotations

import importlib
import os
import tempfile
import time
from typing import Any

from airflow.executors.local_executor import LocalExecutor

WARMED = (
    "airflow.providers.slack.notifications.slack_webhook",
    "airflow.providers.smtp.notifications.smtp",
    "airflow.providers.standard.decorators.python",
    "airflow.providers.standard.operators.empty",
    "cosmos",
    "cosmos.dbt.runner",
    "cosmos.operators.local",
    "cosmos.plugin.airflow3",
    "dbt.adapters.postgres",
    "dbt.cli.main",
    "num2words",
    "openlineage.common.provider.dbt.local",
    "psycopg",
    "text_to_num",
)
"""None of them starts a thread, which a fork would not survive; Polars and numpy do."""

WAIT_SECONDS = 0.5


class WarmLocalExecutor(LocalExecutor):
    """A LocalExecutor whose workers start with the modules of `WARMED` and dbt's macros in memory."""

    def start(self) -> None:
        """Import, parse, then start the workers."""
        started = time.monotonic()
        for name in WARMED:
            importlib.import_module(name)
        self._parse_once()
        self.log.info("Warm after %.1f s", time.monotonic() - started)
        super().start()

    def sync(self) -> None:
        """Wait until a worker reports, for half a second at most; the scheduler's loop would sleep that long."""
        queue: Any = self.result_queue
        if queue.empty():
            queue._reader.poll(WAIT_SECONDS)  # the queue itself offers no wait
        super().sync()

    def _parse_once(self) -> None:
        """Let dbt parse the project, so that what it caches while it parses is there; the result is not used."""
        from dbt.cli.main import dbtRunner  # noqa: PLC0415 - warmed above

        project = os.environ.get("PIPELINE_DBT")
        if not project:
            return
        with tempfile.TemporaryDirectory() as folder:
            places = ["--project-dir", project, "--profiles-dir", project, "--target-path", folder]
            done = dbtRunner().invoke(["--quiet", "--log-path", folder, "parse", "--no-partial-parse", *places])
        if not done.success:
            self.log.warning("dbt can't parse %s: %s", project, done.exception)
