"""Programs of others, with the pipeline's environment and rights: this process becomes one of them."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from customer_pipeline.names import AIRFLOW, DATABASE, SANDBOX, ExitCode
from customer_pipeline.own_target import own_target
from customer_pipeline.runtime.compose import exec_command
from customer_pipeline.runtime.environment import process_environment
from customer_pipeline.runtime.installation import DOCKER, HOST, Runtime, operators_environment, read_runtime
from customer_pipeline.runtime.postgres_server import package_folder
from customer_pipeline.runtime.services import is_down, require_up

_ASKS_FOR_HELP = {"--help", "-?", "--version", "-V", "--help=commands", "--help=variables"}


def open_psql(role: str, arguments: Sequence[str]) -> NoReturn:
    """Open a SQL prompt on the warehouse as one of its roles, with more arguments for psql.

    Raises:
        UnavailableError: The pipeline is down.
    """
    runtime = read_runtime()
    if not _ASKS_FOR_HELP.intersection(arguments):
        require_up(runtime)
    place = [
        "-h",
        HOST,
        "-p",
        str(runtime.postgres_port),
        "-U",
        role,
        "-d",
        AIRFLOW if role == AIRFLOW else DATABASE,
    ]
    program = str(package_folder() / "pginstall" / "bin" / "psql")
    environment = operators_environment(os.environ) | {"PGPASSWORD": runtime.secrets[role]}
    _become([program, *place, *arguments], environment)


def run_program(arguments: Sequence[str], *, needs_services: bool = False) -> NoReturn:
    """Run a command in the pipeline's environment.

    Args:
        arguments: The command.
        needs_services: It can do nothing while the pipeline is down; of others nobody knows, so they are told.

    Raises:
        UnavailableError: The pipeline is down, and the command needs it.
    """
    runtime = read_runtime()
    _say_if_down(runtime, needs_services=needs_services)
    if runtime.kind == DOCKER:
        _become(*exec_command(runtime, "scheduler", *arguments))
    _become(arguments, process_environment(runtime))


def open_shell() -> NoReturn:
    """Open a shell in the pipeline's environment, in which dbt builds in a schema of its own."""
    runtime = read_runtime()
    _say_if_down(runtime)
    if runtime.kind == DOCKER:
        variables = _developers(Path("/opt/dbt"))
        _become(*exec_command(runtime, "api-server", "bash", variables=variables))
    os.chdir(runtime.home)
    environment = process_environment(runtime, _developers(runtime.home / "dbt"))
    _become([os.environ.get("SHELL") or "/bin/sh"], environment)


def _developers(project: Path) -> dict[str, str]:
    """Return the variables by which dbt finds the project from anywhere, and builds beside the pipeline."""
    return own_target(project, SANDBOX, defers=True) | {"DBT_PROJECT_DIR": str(project)}


def run_dbt(arguments: Sequence[str]) -> NoReturn:
    """Run dbt on the project."""
    runtime = read_runtime()
    _say_if_down(runtime)
    if runtime.kind == DOCKER:
        _become(*exec_command(runtime, "scheduler", "dbt", *arguments, folder="/opt/dbt"))
    environment = process_environment(runtime) | {"DBT_PROJECT_DIR": str(runtime.home / "dbt")}
    _become(["dbt", *arguments], environment)


def _say_if_down(runtime: Runtime, *, needs_services: bool = False) -> None:
    """Say that the pipeline is down: what was typed may need it, or be about files alone. In containers all does.

    Raises:
        UnavailableError: It is down, and the command can do nothing without.
    """
    if runtime.kind == DOCKER or needs_services:
        require_up(runtime)
    elif is_down(runtime):
        sys.stderr.write("The pipeline is down: what needs PostgreSQL or Airflow fails until `make up`.\n")


def _become(command: Sequence[str], environment: Mapping[str, str]) -> NoReturn:
    """Replace this process by a program, so that signals and its exit code are its own."""
    program = shutil.which(command[0], path=environment.get("PATH"))
    if program is None:
        sys.stderr.write(f"{command[0]}: command not found\n")
        sys.exit(ExitCode.NOT_FOUND)
    sys.stdout.flush()
    os.execve(program, [*command], environment)  # noqa: S606 - no shell is wanted
