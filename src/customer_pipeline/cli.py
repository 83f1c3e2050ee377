"""The operator's command: arguments → one function a subcommand → exit code."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from typing import NoReturn

from audited_load.errors import BadDataError, PipelineError, UnusableFileError
from customer_pipeline import clean, run, sample
from customer_pipeline.environment import process_environment
from customer_pipeline.postgres_server import locate_server
from customer_pipeline.services import SERVICES, log_file, start_services, stop_services
from customer_pipeline.settings import HOST, ROLES, read_runtime
from customer_pipeline.status import print_status

TAIL = shutil.which("tail") or "/usr/bin/tail"
FAILED, BAD_DATA, UNUSABLE_FILE, USAGE, INTERRUPTED = 1, 2, 3, 64, 130


class _Parser(argparse.ArgumentParser):
    """An argument parser whose usage errors end with 64, since 2 means bad data here."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(USAGE, f"{self.prog}: {message}\n")


def main() -> None:
    """Run the command line and exit."""
    arguments = _parser().parse_args()
    try:
        code = int(arguments.function(arguments) or 0)
    except PipelineError as error:
        sys.stderr.write(f"{error}\n")
        code = UNUSABLE_FILE if isinstance(error, UnusableFileError) else FAILED
        code = BAD_DATA if isinstance(error, BadDataError) and code == FAILED else code
    except KeyboardInterrupt:
        code = INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = FAILED
    sys.exit(code)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="customer-pipeline", description="Run and look after the customer-transactions pipeline.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Parser)

    def command(name: str, function: object, text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(function=function)
        return sub

    command("up", _up, "start PostgreSQL and Airflow, and wait until they are healthy")
    command("down", _down, "stop everything that this clone started")
    command("restart", _restart, "stop, then start")
    command("status", lambda _: print_status(read_runtime()), "services, runs and the age of the data")
    logs = command("logs", _logs, "print the log of a service")
    logs.add_argument("service", nargs="?", choices=SERVICES, help="default: all of them")
    logs.add_argument("-f", "--follow", action="store_true", help="go on printing")
    logs.add_argument("-n", "--lines", type=int, default=40, help="how many lines (default 40)")
    psql = command("psql", _psql, "a SQL prompt on the warehouse; what follows `--` goes to psql")
    psql.add_argument("--role", choices=ROLES[1:], default="loader", help="default: loader")
    psql.add_argument("arguments", nargs="*", metavar="ARGUMENT")
    execute = command("exec", _exec, "run a command in the pipeline's environment: exec -- airflow dags list")
    execute.add_argument("arguments", nargs="+", metavar="ARGUMENT")
    command("shell", _shell, "a shell in the pipeline's environment")
    dbt = command("dbt", _dbt, "run dbt on the project: dbt -- build")
    dbt.add_argument("arguments", nargs="+", metavar="ARGUMENT")
    run.add_arguments(command("run", run.run, "run the pipeline on a file, follow it, account for every record"))
    clean.add_arguments(command("clean", clean.run, "clean a file, without a database"))
    sample.add_arguments(command("sample", sample.run, "make a seeded file of dirty transactions"))
    return parser


def _up(_: argparse.Namespace) -> int:
    runtime = start_services(read_runtime())
    sys.stdout.write(f"Up. UI: {runtime.url} (user airflow, password airflow)\n")
    return 0


def _down(_: argparse.Namespace) -> int:
    stop_services(read_runtime())
    sys.stdout.write("Down.\n")
    return 0


def _restart(arguments: argparse.Namespace) -> int:
    return _down(arguments) or _up(arguments)


def _logs(arguments: argparse.Namespace) -> int:
    runtime = read_runtime()
    names = [arguments.service] if arguments.service else list(SERVICES)
    files = [str(path) for path in (log_file(runtime, name) for name in names) if path.exists()]
    if not files:
        sys.stdout.write("No logs yet: the pipeline was not started.\n")
        return 0
    return subprocess.call([TAIL, *(["-F"] if arguments.follow else []), "-n", str(arguments.lines), *files])


def _psql(arguments: argparse.Namespace) -> int:
    runtime = read_runtime()
    place = ["-h", HOST, "-p", str(runtime.postgres_port), "-U", arguments.role]
    database = ["-d", "airflow" if arguments.role == "airflow" else "ebury"]
    program = str(locate_server(runtime).binaries / "psql")
    environment = os.environ | {"PGPASSWORD": runtime.secrets[arguments.role]}
    return subprocess.call([program, *place, *database, *arguments.arguments], env=environment)


def _exec(arguments: argparse.Namespace) -> int:
    environment = process_environment(read_runtime())
    try:
        return subprocess.call(arguments.arguments, env=environment)
    except FileNotFoundError:
        sys.stderr.write(f"{arguments.arguments[0]}: command not found\n")
        return FAILED


def _shell(_: argparse.Namespace) -> int:
    runtime = read_runtime()
    return subprocess.call([os.environ.get("SHELL", "/bin/sh")], env=process_environment(runtime), cwd=runtime.home)


def _dbt(arguments: argparse.Namespace) -> int:
    runtime = read_runtime()
    places = ["--project-dir", str(runtime.home / "dbt"), "--profiles-dir", str(runtime.home / "dbt")]
    command = [sys.executable, "-m", "dbt.cli.main", *arguments.arguments, *places]
    return subprocess.call(command, env=process_environment(runtime))
