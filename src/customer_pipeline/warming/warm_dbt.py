"""What tasks import, and dbt's parse of the project → in the memory of the process that the tasks are forked from.

No thread and no connection is made: a fork would not survive the one, and share the other.
"""

from __future__ import annotations

import importlib
import logging
import multiprocessing
import os
import sys
import tempfile
import time
from pathlib import Path
from types import FrameType

from airflow.sdk.listener import get_listener_manager
from dbt_common.behavior_flags import BehaviorFlagRendered

from audited_load.errors import RefusedError
from customer_pipeline.tasks.dbt_manifest import OF_PROFILE, in_project, project_state
from customer_pipeline.warming.warm_modules import share_own_modules

log = logging.getLogger(__name__)

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


def warm_up() -> float:
    """Import what tasks need, and parse the dbt project; give the seconds that it took.

    Of a project that dbt can't parse, the tasks say what is wrong.
    """
    started = time.monotonic()
    for name in WARMED:
        importlib.import_module(name)
    get_listener_manager()  # loads the plugins
    share_own_modules()
    if project := os.environ.get("PIPELINE_DBT"):
        try:
            share_manifest(Path(project))
        except RefusedError as error:
            log.warning("%s", error)
    return time.monotonic() - started


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
