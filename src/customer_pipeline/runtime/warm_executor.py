"""Airflow's LocalExecutor, with dbt warm before it forks, and without naps between tasks.

Every dbt task is a fork of the scheduler. What the scheduler has imported and dbt has cached, its tasks need not
import and cache again: of a stock dbt task on two cores, two thirds are that (docs/adr/0003). Operators, ids, logs
and retries are the stock executor's.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import sys
import tempfile
import time
from pathlib import Path
from types import FrameType
from typing import Any

from airflow.executors.local_executor import LocalExecutor
from airflow.sdk.listener import get_listener_manager
from dbt_common.behavior_flags import BehaviorFlagRendered

from audited_load.errors import RefusedError
from customer_pipeline.runtime.warm_modules import share_own_modules
from customer_pipeline.tasks.dbt_manifest import OF_PROFILE, in_project, project_state

WARMED = (
    "airflow.dag_processing.bundles.local",
    "airflow.providers.common.io.assets.file",
    "airflow.providers.postgres.assets.postgres",
    "airflow.sdk.definitions.asset.metadata",
    "airflow.sdk.definitions.decorators",
    "airflow.sdk.definitions.retry_policy",
    "airflow.sdk.execution_time.cache",
    "airflow.sdk.lineage",
    "airflow.sdk.observability.stats",
    "airflow.providers.slack.notifications.slack_webhook",
    "airflow.providers.smtp.notifications.smtp",
    "airflow.providers.standard.decorators.python",
    "airflow.providers.standard.operators.empty",
    "airflow.version",
    "babel.dates",
    "cosmos",
    "cosmos.airflow.task_group",
    "cosmos.dbt.runner",
    "cosmos.operators.local",
    "cosmos.plugin.airflow3",
    "cosmos.profiles",
    "daff",
    "dbt.adapters.postgres",
    "dbt.cli.main",
    "dbt.task.run",
    "dbt.task.snapshot",
    "dbt.task.test",
    "dbt_common.clients.agate_helper",
    "multiprocessing.pool",
    "num2words",
    "openlineage.common.provider.dbt.local",
    "psycopg",
    "sqlparse",
    "text_to_num",
    "upath.implementations.local",
)
"""None of them starts a thread, which a fork would not survive; Polars and numpy do."""

IDLE_SECONDS, BUSY_SECONDS = 0.5, 0.1
"""A task has succeeded some time before its worker reports: its process has to end first."""


class WarmLocalExecutor(LocalExecutor):
    """A LocalExecutor whose workers start with the modules of `WARMED` and the parsed dbt project in memory."""

    def start(self) -> None:
        """Import, parse, then start the workers."""
        started = time.monotonic()
        for name in WARMED:
            importlib.import_module(name)
        get_listener_manager()  # loads the plugins
        share_own_modules()
        self._parse_once()
        self.log.info("Warm after %.1f s", time.monotonic() - started)
        super().start()

    def sync(self) -> None:
        """Wait until a worker reports, but not for long; the scheduler's loop would sleep."""
        queue: Any = self.result_queue
        if queue.empty():
            queue._reader.poll(BUSY_SECONDS if self.running else IDLE_SECONDS)  # the queue itself offers no wait
        super().sync()

    def _parse_once(self) -> None:
        """Let dbt parse the project, and hand what came of it to the tasks that are forked from here."""
        project = os.environ.get("PIPELINE_DBT")
        if not project:
            return
        try:
            share_manifest(Path(project))
        except RefusedError as error:
            self.log.warning("%s", error)


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
        line = ["--quiet", "--log-path", folder, "parse", *OF_PROFILE, *places]
        beside = multiprocessing.get_context("fork").Process(target=_parse, args=(line,))
        beside.start()
        beside.join()
        # Nothing has changed since: this reads what is there, and starts no thread.
        done = dbtRunner().invoke(line) if beside.exitcode == 0 else None
    if done is None or not done.success:
        raise RefusedError(
            f"dbt can't parse {project}, for the reason above.", "Tasks will say what is wrong with it."
        )

    def make_runner() -> dbtRunner:
        return dbtRunner(manifest=done.result if project_state(project) == state else None)  # type: ignore[arg-type]

    cosmos_runner._get_cached_dbt_runner = make_runner
    BehaviorFlagRendered._default_source = staticmethod(_calling_module)  # type: ignore[method-assign]


def _parse(line: list[str]) -> None:
    """Parse in a process of its own: dbt's parser of models keeps threads, and forks that parse wait for them."""
    from dbt.cli.main import dbtRunner  # noqa: PLC0415

    os._exit(0 if dbtRunner().invoke(line).success else 1)


def _calling_module() -> str:
    """Name the module that makes a flag. dbt reads the source of each frame for it, four times per task."""
    frame: FrameType | None = sys._getframe(1)
    while frame and frame.f_globals["__name__"] == BehaviorFlagRendered.__module__:
        frame = frame.f_back
    return str(frame.f_globals["__name__"]) if frame else "Unknown"
