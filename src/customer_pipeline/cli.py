"""The operator's command: arguments → one function a subcommand → exit code."""

from __future__ import annotations

import argparse
import io
import os
import shutil
import sys
from collections.abc import Mapping
from typing import NoReturn

import psycopg

from audited_load.errors import BadDataError, PipelineError, UnusableFileError
from audited_load.warehouse.refusal import as_pipeline_error
from customer_pipeline import sample
from customer_pipeline.commands import clean, erase, run
from customer_pipeline.commands import mailed_report as report
from customer_pipeline.commands import refused_records as quarantine
from customer_pipeline.commands import take_back as rollback
from customer_pipeline.commands.status import print_status
from customer_pipeline.names import AIRFLOW, DATABASE, LOADER, ROLES, ExitCode
from customer_pipeline.runtime.compose import SERVICES as CONTAINERS
from customer_pipeline.runtime.compose import compose_command, docker_answers, exec_command
from customer_pipeline.runtime.environment import process_environment
from customer_pipeline.runtime.installation import (
    DOCKER,
    EMBEDDED,
    HOST,
    operators_environment,
    read_runtime,
)
from customer_pipeline.runtime.postgres_server import package_folder
from customer_pipeline.runtime.services import start_services, stop_services
from customer_pipeline.runtime.supervisor import SERVICES, log_file

_PASSED_ON = {"exec", "dbt"}


class _Parser(argparse.ArgumentParser):
    """An argument parser whose usage errors end with 64, since 2 means bad data here."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(ExitCode.USAGE, f"{self.prog}: {message}\n")


def main() -> None:
    """Run the command line and exit."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A name that the terminal can't show must not end the command.
            stream.reconfigure(errors="backslashreplace")
    arguments = _parse(sys.argv[1:])
    try:
        code = int(arguments.function(arguments) or 0)
        sys.stdout.flush()
    except (PipelineError, psycopg.Error) as raised:
        error = raised if isinstance(raised, PipelineError) else as_pipeline_error(raised)
        sys.stderr.write(f"{error}\n")
        code = ExitCode.UNUSABLE_FILE if isinstance(error, UnusableFileError) else ExitCode.FAILED
        code = ExitCode.BAD_DATA if isinstance(error, BadDataError) and code == ExitCode.FAILED else code
    except KeyboardInterrupt:
        code = ExitCode.INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = ExitCode.FAILED
    sys.exit(code)


def _parse(line: list[str]) -> argparse.Namespace:
    """Parse a command line; what belongs to another program is handed on as it is, with or without `--`."""
    parser = _parser()
    if line and line[0] in _PASSED_ON and line[1:2] not in (["-h"], ["--help"]):
        rest = line[2:] if line[1:2] == ["--"] else line[1:]
        arguments = parser.parse_args([line[0]])
        if not rest:
            parser.error(f"{line[0]} needs a command")
        arguments.arguments = rest
        return arguments
    arguments, rest = parser.parse_known_args(line)
    if rest and arguments.command != "psql":
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if arguments.command == "psql":
        arguments.arguments = [part for part in rest if part != "--"]
    return arguments


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="customer-pipeline", description="Run and look after the customer-transactions pipeline.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Parser)

    def command(name: str, function: object, text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(function=function)
        return sub

    command("up", _up, "start PostgreSQL and Airflow, and wait until they are healthy")
    down = command("down", _down, "stop everything that this clone started")
    text = "remove Docker's volumes, too, or what root's PostgreSQL keeps outside the clone"
    down.add_argument("--with-data", action="store_true", help=text)
    command("restart", _restart, "stop, then start")
    command("status", lambda _: print_status(read_runtime()), "services, runs and the age of the data")
    logs = command("logs", _logs, "print the log of a service")
    logs.add_argument("service", nargs="?", choices=SERVICES, help="default: all of them")
    logs.add_argument("-f", "--follow", action="store_true", help="go on printing")
    logs.add_argument("-n", "--lines", type=int, default=40, help="how many lines (default 40)")
    psql = command("psql", _psql, "a SQL prompt on the warehouse; all other arguments go to psql")
    psql.add_argument("--role", choices=ROLES, default=LOADER, help=f"default: {LOADER}")
    command("exec", _exec, "run a command in the pipeline's environment: exec -- airflow dags list")
    command("shell", _shell, "a shell in the pipeline's environment")
    command("dbt", _dbt, "run dbt on the project: dbt build")
    run.add_arguments(command("run", run.run, "run the pipeline on a file, follow it, account for every record"))
    report.add_arguments(command("report", report.run, "write the pipeline's page as one file to mail"))
    command("rollback", rollback.run, "let readers see the load before the last one again")
    text = "look at refused records, repair them, bring them in again"
    quarantine.add_arguments(command("quarantine", quarantine.run, text))
    text = "take one customer out of files, quarantine, cleaned tables and marts; totals stay"
    erase.add_arguments(command("erase-customer", erase.run, text))
    clean.add_arguments(command("clean", clean.run, "clean a file, without a database"))
    sample.add_arguments(command("sample", sample.run, "make a seeded file of dirty transactions"))
    return parser


def _up(_: argparse.Namespace) -> int:
    # Where nothing was started yet, Docker comes first if it is there. `run` needs nothing but Python.
    runtime = start_services(read_runtime(kind_at_first=lambda: DOCKER if docker_answers() else EMBEDDED))
    sys.stdout.write(f"Up, {runtime.kind} runtime. UI: {runtime.url} ({runtime.sign_in})\n")
    return 0


def _down(arguments: argparse.Namespace) -> int:
    stop_services(read_runtime(), with_data=getattr(arguments, "with_data", False))
    sys.stdout.write("Down.\n")
    return 0


def _restart(arguments: argparse.Namespace) -> int:
    return _down(arguments) or _up(arguments)


def _logs(arguments: argparse.Namespace) -> int:
    runtime = read_runtime()
    if runtime.kind == DOCKER:
        services = [CONTAINERS[arguments.service]] if arguments.service else []
        follow = ["--follow"] if arguments.follow else []
        return _become(*compose_command(runtime, "logs", *follow, f"--tail={arguments.lines}", *services))
    names = [arguments.service] if arguments.service else list(SERVICES)
    files = [str(path) for path in (log_file(runtime, name) for name in names) if path.exists()]
    if not files:
        sys.stdout.write("No logs yet: the pipeline was not started.\n")
        return 0
    return _become(["tail", *(["-F"] if arguments.follow else []), "-n", str(arguments.lines), *files], os.environ)


def _psql(arguments: argparse.Namespace) -> int:
    runtime = read_runtime()
    place = ["-h", HOST, "-p", str(runtime.postgres_port), "-U", arguments.role]
    database = ["-d", AIRFLOW if arguments.role == AIRFLOW else DATABASE]
    program = str(package_folder() / "pginstall" / "bin" / "psql")
    environment = operators_environment(os.environ) | {"PGPASSWORD": runtime.secrets[arguments.role]}
    return _become([program, *place, *database, *arguments.arguments], environment)


def _exec(arguments: argparse.Namespace) -> int:
    runtime = read_runtime()
    if runtime.kind == DOCKER:
        return _become(*exec_command(runtime, "scheduler", *arguments.arguments))
    return _become(arguments.arguments, process_environment(runtime))


def _shell(_: argparse.Namespace) -> int:
    runtime = read_runtime()
    if runtime.kind == DOCKER:
        return _become(*exec_command(runtime, "api-server", "bash"))
    os.chdir(runtime.home)
    return _become([os.environ.get("SHELL") or "/bin/sh"], process_environment(runtime))


def _dbt(arguments: argparse.Namespace) -> int:
    runtime = read_runtime()
    if runtime.kind == DOCKER:
        return _become(*exec_command(runtime, "scheduler", "dbt", *arguments.arguments, folder="/opt/dbt"))
    environment = process_environment(runtime) | {"DBT_PROJECT_DIR": str(runtime.home / "dbt")}
    return _become(["dbt", *arguments.arguments], environment)


def _become(command: list[str], environment: Mapping[str, str]) -> NoReturn:
    """Replace this process by a program, so that signals and its exit code are its own."""
    program = shutil.which(command[0], path=environment.get("PATH"))
    if program is None:
        sys.stderr.write(f"{command[0]}: command not found\n")
        sys.exit(ExitCode.NOT_FOUND)
    sys.stdout.flush()
    os.execve(program, command, environment)  # noqa: S606 - no shell is wanted
