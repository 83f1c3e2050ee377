"""Airflow's LocalExecutor, with dbt warm before it forks, and without naps between tasks.

Every dbt task is a fork of the scheduler. What the scheduler has imported and dbt has cached, its tasks need not
import and cache again: of a stock dbt task on two cores, two thirds are that (docs/adr/0003). Operators, ids, logs
and retries are the stock executor's.
"""

from __future__ import annotations

import importlib
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from airflow.executors.local_executor import LocalExecutor

from audited_load.errors import RefusedError
from customer_pipeline.tasks.dbt_manifest import OF_PROFILE, in_project, project_state

WARMED = (
    "airflow.sdk.definitions.decorators",
    "airflow.sdk.definitions.retry_policy",
    "airflow.sdk.lineage",
    "airflow.sdk.observability.stats",
    "airflow.providers.slack.notifications.slack_webhook",
    "airflow.providers.smtp.notifications.smtp",
    "airflow.providers.standard.decorators.python",
    "airflow.providers.standard.operators.empty",
    "cosmos",
    "cosmos.airflow.task_group",
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

OWN = frozenset({"audited_load", "customer_pipeline", "pipeline_page", "steps"})
"""Packages that each task imports from the files: what an edit changed is used, and named, by the next one."""

IDLE_SECONDS, BUSY_SECONDS = 0.5, 0.1
"""A task has succeeded some time before its worker reports: its process has to end first."""


class WarmLocalExecutor(LocalExecutor):
    """A LocalExecutor whose workers start with the modules of `WARMED` and the parsed dbt project in memory."""

    def start(self) -> None:
        """Import, parse, then start the workers."""
        started = time.monotonic()
        for name in WARMED:
            importlib.import_module(name)
        self._parse_once()
        self.log.info("Warm after %.1f s", time.monotonic() - started)
        super().start()

    def sync(self) -> None:
        """Wait until a worker reports, but not for long; the scheduler's loop would sleep."""
        queue: Any = self.result_queue
        if queue.empty():
            queue._reader.poll(BUSY_SECONDS if self.running else IDLE_SECONDS)  # the queue itself offers no wait
        super().sync()

    def _spawn_worker(self) -> None:
        forget_own_modules()
        super()._spawn_worker()  # type: ignore[no-untyped-call]

    def _parse_once(self) -> None:
        """Let dbt parse the project, and hand what came of it to the tasks that are forked from here."""
        project = os.environ.get("PIPELINE_DBT")
        if not project:
            return
        try:
            share_manifest(Path(project))
        except RefusedError as error:
            self.log.warning("%s", error)


def forget_own_modules() -> None:
    """Let forks of this process import the project's modules from the files as they then are.

    Else a task would clean with what the scheduler had imported, under the name of what lies on the disk.
    """
    for name in [name for name in sys.modules if name.partition(".")[0] in OWN]:
        del sys.modules[name]


def share_manifest(project: Path) -> None:
    """Parse a dbt project and let Cosmos, in this process and its forks, hand the manifest to dbt.

    `dbtRunner(manifest=…)` is dbt's own way to skip its parse. Cosmos makes its runner in one place, and has no
    setting for it. When the project or the connection has changed since, tasks parse as they do without this.

    Args:
        project: Folder of `dbt_project.yml`.

    Raises:
        RefusedError: dbt can't parse it.
    """
    from cosmos.dbt import runner as cosmos_runner  # noqa: PLC0415 - warmed, where it is wanted
    from dbt.cli.main import dbtRunner  # noqa: PLC0415

    state = project_state(project)
    with tempfile.TemporaryDirectory() as folder:
        places = [*in_project(project), "--target-path", folder]
        line = ["--quiet", "--log-path", folder, "parse", "--no-partial-parse", *OF_PROFILE, *places]
        done = dbtRunner().invoke(line)
    if not done.success:
        raise RefusedError(f"dbt can't parse {project}: {done.exception}", "Tasks will say what is wrong with it.")

    def make_runner() -> dbtRunner:
        return dbtRunner(manifest=done.result if project_state(project) == state else None)  # type: ignore[arg-type]

    cosmos_runner._get_cached_dbt_runner = make_runner
