"""The published marts are compared with a full build, for the task; as a program, for the command."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from typing import Any

from audited_load.errors import BadDataError, PipelineError, UnavailableError
from audited_load.marts.mart_check import check_marts
from audited_load.marts.mart_sets import PublishedSet
from audited_load.warehouse.connection import connect
from customer_pipeline.feed import MARTS
from customer_pipeline.names import CHECKED, ExitCode
from customer_pipeline.own_target import own_target
from customer_pipeline.settings import dbt_project, read_alert_settings, transformer_dsn
from customer_pipeline.tasks.dbt_manifest import find_marts, in_project

log = logging.getLogger(__name__)


def check_published_marts() -> PublishedSet | None:
    """Compare what readers see with a full build.

    Returns:
        What was compared; None if nothing is published yet.

    Raises:
        BadDataError: They differ.
        RefusedError: They can't be compared, since the models have changed.
        UnavailableError: A run comes between, or dbt can't build them.
    """
    with connect(transformer_dsn()) as connection:
        return check_marts(connection, MARTS, find_marts(), CHECKED, _build)


def describe(checked: PublishedSet | None) -> str:
    """Say in a line what was compared."""
    if checked is None:
        return "No marts are published yet: there is nothing to check."
    return (
        f"Set {checked.set_number} of the marts is what a full build of load {checked.load_id} gives, cell by cell."
    )


def _build() -> None:
    project = dbt_project()
    environment = os.environ | own_target(project, CHECKED)
    line = ["--no-use-colors", "run", "--full-refresh", *in_project(project)]
    command = [sys.executable, "-m", "dbt.cli.main", *line]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UnavailableError(
            "dbt could not build the marts to compare with.",
            f"Read `dbt.log` in the folder target/{CHECKED} of the dbt project. What readers see is as it was.",
        )


def main() -> int:
    """Check, print what was found, and alert as the task would."""
    try:
        sys.stdout.write(f"{describe(check_published_marts())}\n")
    except PipelineError as error:
        sys.stderr.write(f"{error}\n")
        if isinstance(error, BadDataError):
            _alert(error)
            return ExitCode.BAD_DATA
        return ExitCode.FAILED
    return ExitCode.OK


def _alert(error: BadDataError) -> None:
    settings = read_alert_settings()
    if not settings.is_silent:
        from customer_pipeline.tasks.alerts import describe_error, send  # noqa: PLC0415 - Airflow takes seconds

        # No task: Airflow's notifiers fill nothing in.
        context: Any = {}
        send("customer pipeline: the published marts have drifted", describe_error(error), settings, context)


if __name__ == "__main__":
    sys.exit(main())
