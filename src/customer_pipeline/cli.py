"""What an operator may type: arguments → one function of `commands/` → exit code.

Each command imports what it needs when it runs, so that help and completion need neither Polars nor a database.
"""

from __future__ import annotations

import io
import os
import sys
from typing import Annotated, Literal

import typer
from typer import Argument, Option
from typer._click.exceptions import UsageError

from audited_load.errors import BadDataError, PipelineError, UnavailableError, UnusableFileError
from customer_pipeline import interrupts
from customer_pipeline.cli_data import PLAIN, data, examples
from customer_pipeline.cli_upkeep import upkeep
from customer_pipeline.names import ExitCode

Service = Literal["postgres", "api-server", "scheduler", "dag-processor", "triggerer", "airflow"]
Role = Literal["postgres", "airflow", "loader", "transformer", "reader"]
Program = Annotated[list[str], Argument(metavar="COMMAND", help="All of it is handed on.", show_default=False)]

LOG_LINES = 40
HANDED_ON = {"ignore_unknown_options": True, "allow_interspersed_args": False}
TO_PSQL = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": ["--help"]}
app = typer.Typer(help="Run and look after the customer-transactions pipeline.", **PLAIN)


def main() -> None:
    """Run the command line and exit."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A name that the terminal can't show must not end the command.
            stream.reconfigure(errors="backslashreplace")
    interrupts.raise_again()
    try:
        code = int(app(prog_name="customer-pipeline", standalone_mode=False) or 0)
        sys.stdout.flush()
    except KeyboardInterrupt:
        code = ExitCode.INTERRUPTED
    except UsageError as error:
        error.show()
        code = ExitCode.USAGE
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = ExitCode.FAILED
    except Exception as raised:
        code = _tell(raised)
    interrupts.end_at_once()
    if code == ExitCode.INTERRUPTED:  # typer makes it of the exception
        interrupts.tell(sys.argv[1:])
        # All is closed. The interpreter's own end takes a while, in which an interrupt would have its say again.
        os._exit(code)
    sys.exit(code)


def _tell(raised: Exception) -> ExitCode:
    """Tell an operator what happened and what to do; what nobody foresaw is raised again."""
    is_away = _met_no_server(raised)
    if not isinstance(raised, PipelineError):
        from psycopg import Error

        from audited_load.warehouse.refusal import as_pipeline_error

        if not isinstance(raised, Error):
            raise raised
        raised = as_pipeline_error(raised)
    if isinstance(raised, UnavailableError) and is_away:
        raised = _say_if_down(raised)
    sys.stderr.write(f"{raised}\n")
    if isinstance(raised, UnusableFileError):
        return ExitCode.UNUSABLE_FILE
    return ExitCode.BAD_DATA if isinstance(raised, BadDataError) else ExitCode.FAILED


def _met_no_server(error: BaseException | None) -> bool:
    """Return whether a server that did not answer is behind an error; one of starting it says more by itself."""
    from httpx import HTTPError
    from psycopg import Error

    while error is not None:
        if isinstance(error, Error | HTTPError):
            return True
        error = error.__cause__
    return False


def _say_if_down(error: UnavailableError) -> UnavailableError:
    """Return in place of what a server that is away led to that all of the pipeline is down, if it is."""
    from customer_pipeline.runtime.installation import read_runtime
    from customer_pipeline.runtime.services import require_up

    try:
        require_up(read_runtime())
    except UnavailableError as down:
        return down
    except PipelineError:
        pass  # the first error says more
    return error


@app.command("up", epilog=examples("up"))
def _up() -> None:
    """Start PostgreSQL and Airflow, and wait for their health."""
    from customer_pipeline.runtime.compose import docker_answers
    from customer_pipeline.runtime.installation import DOCKER, EMBEDDED, read_runtime
    from customer_pipeline.runtime.services import start_services

    # Where nothing was started yet, Docker comes first if it is there. `run` needs nothing but Python.
    runtime = start_services(read_runtime(kind_at_first=lambda: DOCKER if docker_answers() else EMBEDDED))
    sys.stdout.write(f"Up, {runtime.kind} runtime. UI: {runtime.url} ({runtime.sign_in})\n")


@app.command("down", epilog=examples("down"))
def _down(
    *,
    with_data: Annotated[
        bool,
        Option(
            "--with-data", help="Remove Docker's volumes, too, or what root's PostgreSQL keeps outside the clone."
        ),
    ] = False,
) -> None:
    """Stop everything that this clone started."""
    from customer_pipeline.runtime.installation import read_runtime
    from customer_pipeline.runtime.services import stop_services

    stop_services(read_runtime(), with_data=with_data)
    sys.stdout.write("Down.\n")


@app.command("restart", epilog=examples("restart"))
def _restart() -> None:
    """Stop, then start."""
    _down()
    _up()


@app.command("status", epilog=examples("status", "status --json"))
def _status(*, as_json: Annotated[bool, Option("--json", help="All of it, for programs.")] = False) -> int:
    """Show services, runs, why the last one failed, and the age of the data.

    Ends with 1 if a service is down, 4 if the last run failed, 5 if the data is stale, else 0.
    """
    from customer_pipeline.commands.status import print_status
    from customer_pipeline.runtime.installation import read_runtime

    return print_status(read_runtime(), as_json=as_json)


@app.command(
    "logs",
    epilog=examples(
        "logs airflow",
        "logs airflow -f",
        "logs scheduler -n 200",
        "logs --task clean_and_transform_csv",
        "logs --task load_cleaned_csv_to_postgres --run RUN_ID --try 1",
    ),
)
def _logs(
    service: Annotated[
        Service | None,
        Argument(
            metavar="SERVICE",
            help="airflow: all of Airflow's, by time, and the errors of tasks. Default: PostgreSQL's, too.",
            show_default=False,
        ),
    ] = None,
    *,
    task: Annotated[str, Option(metavar="TASK", help="What this task said, instead.", show_default=False)] = "",
    run: Annotated[
        str, Option(metavar="RUN", help="In this run; default: the newest with such a task.", show_default=False)
    ] = "",
    attempt: Annotated[
        int | None, Option("--try", metavar="N", min=1, help="At this try; default: the last.", show_default=False)
    ] = None,
    index: Annotated[
        int | None,
        Option("--index", metavar="N", min=0, help="Of a task that runs once a file: which.", show_default=False),
    ] = None,
    follow: Annotated[bool, Option("--follow", "-f", help="Go on printing.")] = False,
    lines: Annotated[
        int | None,
        Option(
            "--lines", "-n", min=0, help="How many; default: 40 of each service, all of a task.", show_default=False
        ),
    ] = None,
) -> int:
    """Print the logs of the services, or of a task.

    One service alone: every line of it, also its lines about requests, which are left out of the others' company.
    """
    if task:
        if service:
            raise UsageError("Give SERVICE or --task, not both.")
        from customer_pipeline.watching.shown_logs import show_task

        return show_task(task, run, attempt, index, lines, follow=follow)
    if run or attempt is not None or index is not None:
        raise UsageError("--run, --try and --index say which log of a task: give --task, too.")
    from customer_pipeline.runtime.supervisor import AIRFLOW, SERVICES

    number = LOG_LINES if lines is None else lines
    from customer_pipeline.watching.shown_logs import show_service, show_together

    if service in SERVICES:
        return show_service(service, number, follow=follow)
    return show_together(list(AIRFLOW) if service else SERVICES, number, follow=follow)


@app.command(
    "psql", context_settings=TO_PSQL, epilog=examples("psql", "psql --role reader -c 'select 1'", "psql -- --help")
)
def _psql(context: typer.Context, role: Annotated[Role, Option(help="Who asks.")] = "loader") -> None:
    """Open a SQL prompt on the warehouse.

    What follows is handed on to psql; its own help is behind `--`, as in the last example.
    """
    from customer_pipeline.commands.programs import open_psql

    open_psql(role, context.args)


@app.command(
    "exec", context_settings=HANDED_ON, epilog=examples("exec -- airflow dags list", "exec -- airflow --help")
)
def _exec(arguments: Program) -> None:
    """Run a command in the pipeline's environment.

    All that follows is the command's, its help too.
    """
    from customer_pipeline.commands.programs import run_program

    run_program(arguments)


@app.command("shell", epilog=examples("shell"))
def _shell() -> None:
    """Open a shell in the pipeline's environment, in which dbt builds in a schema of its own."""
    from customer_pipeline.commands.programs import open_shell

    open_shell()


@app.command(
    "dbt",
    context_settings=HANDED_ON,
    epilog=examples("dbt build", "dbt -- test --select fact_transactions", "dbt -- run --help"),
)
def _dbt(arguments: Program) -> None:
    """Run dbt on the project.

    All that follows is dbt's; the help of its commands is behind `--`, as in the last example.
    """
    from customer_pipeline.commands.programs import run_dbt

    run_dbt(arguments)


marts = typer.Typer(help="Look after the published marts.", **PLAIN)


@marts.callback()
def _marts() -> None:
    """Keep `check` a word of its own, as long as it is the only one."""


@marts.command("check", epilog=examples("marts check"))
def _check() -> None:
    """Build all marts beside the published ones, and compare every cell."""
    from customer_pipeline.commands.programs import run_program

    run_program(
        ["python", "-m", "customer_pipeline.interrupts", "customer_pipeline.tasks.drift_check"], needs_services=True
    )


app.add_typer(marts, name="marts")
app.add_typer(data)
app.add_typer(upkeep)
