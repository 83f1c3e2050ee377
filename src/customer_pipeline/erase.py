"""`customer-pipeline erase-customer ID`: one customer → gone from files, quarantine, cleaned tables and marts."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time

import psycopg
from psycopg import sql
from rich.console import Console

from audited_load.columns import Feed
from audited_load.erasure import read_ids
from audited_load.errors import BadDataError, RefusedError, UnavailableError
from audited_load.scrub_files import ScrubbedFile, scrub_folder
from audited_load.warehouse.erased import (
    enter_erasure,
    enter_scrubbed,
    finish_erasure,
    hash_subject,
    read_erased,
    require_key,
)
from audited_load.warehouse.erasure import clean_up, erase_from_tables, find_holders, find_tables, read_layouts
from audited_load.warehouse.lease import held_lease, kept_lease, release_lease
from audited_load.warehouse.load import connect, locked
from audited_load.warehouse.mart_tables import Marts
from audited_load.warehouse.marts import drop_expired_sets, publish_marts
from audited_load.warehouse.readers import end_old_readers
from audited_load.warehouse.schema_version import require_schema_version
from audited_load.warehouse.tables import Tables, create_tables
from customer_pipeline.airflow_api import AirflowApi
from customer_pipeline.compose import exec_command
from customer_pipeline.environment import process_environment
from customer_pipeline.feed import load_tables
from customer_pipeline.services import start_services
from customer_pipeline.settings import DOCKER, Runtime, read_runtime

HOLDER = "customer-pipeline erase-customer"
HISTORY = "analytics_history"
"""Schema of what readers saw before: there, rows of the customer go, since without the id they say nothing."""
READERS = ("transformer", "reader")
_LOCK = "erase a customer"
READER_SECONDS = 3600
"""How long a transaction of a reader may last, as the role's `transaction_timeout` says."""
_KEEP_SECONDS = 86_400
"""Publishing is to drop nothing: first those go who may still look at it."""
_ACTIVE = {"running", "queued"}
# A reader's transaction that began before sees what was visible then, to its end.
_OLD_READERS = """
    select count(*) from pg_stat_activity
    where datname = current_database() and usename = 'reader' and xact_start < %s
"""
_OTHER_SETS = "select count(*) from {sets}.published_sets where set_number < %s"
# Until they are built anew, no day may be merged into marts that hold the customer.
_UNFIT_FOR_CHANGES = "update {sets}.published_sets set code = null where code is not null"
_GIVE_UP_OTHERS = """
    update {sets}.published_sets set is_dropped = true, retired_at = coalesce(retired_at, now())
    where set_number < %s
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("id", metavar="ID", help="the customer's id, as 501 or C501")


def run(arguments: argparse.Namespace) -> int:
    """Erase a customer.

    Killed at any point, it can be run again with the same id.

    Returns:
        0.

    Raises:
        RefusedError: The text is no id.
        UnavailableError: A run is going on, or the database is away.
        BadDataError: The id is still somewhere; the message says where.
    """
    console = Console(highlight=False, markup=False, soft_wrap=True)
    tables, marts = load_tables()
    number = _read_id(arguments.id, tables.feed)
    runtime = start_services(read_runtime())
    _refuse_beside_runs(AirflowApi(runtime))
    counts = erase_customer(runtime, tables, marts, number, console)
    console.print("Erased: the id, and the columns of its records that nobody asked for.")
    for name, count in counts.items():
        console.print(f"{count:>9,}  {name}")
    console.print(
        "No table and no file in the data folder holds it now. A delivery that names the customer again is loaded"
        " without the id."
    )
    return 0


def erase_customer(runtime: Runtime, tables: Tables, marts: Marts, number: int, console: Console) -> dict[str, int]:
    """Erase a customer everywhere.

    Args:
        runtime: Where the warehouse and the data folder are.
        tables: The cleaned tables.
        marts: The marts.
        number: The customer's id.
        console: For what it waits for, and what it can't read.

    Returns:
        How many rows of each table, how many records, files and sets of marts.
    """
    ids, loader = frozenset({number}), runtime.dsn("loader")
    with connect(loader) as connection:
        require_schema_version(connection, tables)
        create_tables(connection, tables, READERS)
    with connect(loader) as connection, locked(connection, _LOCK):
        try:
            with held_lease(connection, tables, HOLDER, 0), kept_lease(loader, tables, HOLDER):
                key = runtime.secrets["erasure"]
                require_key(read_erased(connection, tables), key)
                erasure_id = enter_erasure(connection, tables, hash_subject(number, key))
                counts = _erase_files(runtime, connection, tables, ids, console)
                _make_marts_unfit(runtime, tables, marts, ids)
                counts |= erase_from_tables(connection, tables, ids)
                counts |= _erase_marts(runtime, tables, marts, ids, console)
        finally:
            release_lease(connection, tables, HOLDER)
        # Readers may take long; loads don't wait for them.
        counts |= _drop_older_sets(runtime, tables, marts, ids, console)
        counts |= _erase_history(runtime, tables, ids)
        clean_up(connection, tables)
        _require_gone(runtime, tables, marts, ids)
        finish_erasure(connection, tables, erasure_id, counts)
    return counts


def _read_id(text: str, feed: Feed) -> int:
    (number,) = read_ids([text.strip()], feed)
    if number is None:
        raise RefusedError(f"{text!r} is no id of a customer.", "Give it as 501 or C501. Nothing was changed.")
    return number


def _refuse_beside_runs(api: AirflowApi) -> None:
    for run in api.find_runs(sorted(_ACTIVE)):
        raise UnavailableError(
            f"Run {run['dag_run_id']} is {run['state']}.", "Let it finish, then erase. Nothing was changed."
        )


def _erase_files(
    runtime: Runtime, connection: psycopg.Connection, tables: Tables, ids: frozenset[int], console: Console
) -> dict[str, int]:
    noted: list[ScrubbedFile] = []

    def note(file: ScrubbedFile) -> None:
        """Note it before it takes the place of the other: a kill between must leave no unknown file."""
        name = file.paths[0].relative_to(runtime.data).as_posix()
        enter_scrubbed(connection, tables, name, file.records, before=file.before, after=file.after)
        noted.append(file)

    unread = scrub_folder(runtime.data, tables.feed, read_layouts(connection, tables), ids, note)
    for path in unread:
        console.print(f"Look at it yourself: {path} holds these digits, and is no file of records.")
    return {
        "files in the data folder": sum(len(file.paths) for file in noted),
        "records in them": sum(file.records for file in noted),
    }


def _make_marts_unfit(runtime: Runtime, tables: Tables, marts: Marts, ids: frozenset[int]) -> None:
    """See to it that the next build is of all rows, even if this command is killed and a run comes first."""
    with connect(runtime.dsn("transformer")) as connection:
        is_held = find_holders(connection, [marts.sets], tables.feed.subject, ids)
        if is_held and find_tables(connection, [marts.sets], "code"):
            connection.execute(marts.fill(_UNFIT_FOR_CHANGES))


def _erase_marts(
    runtime: Runtime, tables: Tables, marts: Marts, ids: frozenset[int], console: Console
) -> dict[str, int]:
    """Build and publish the marts anew from the cleaned table."""
    schemas, column = [marts.staging, marts.sets, marts.views], tables.feed.subject
    with connect(runtime.dsn("transformer")) as connection:
        holders = find_holders(connection, schemas, column, ids)
        if not holders:
            return {}
        console.print(f"Building the marts anew without the customer, whom {len(holders)} of their tables hold.")
        _build(runtime)
        publish_marts(connection, marts, _KEEP_SECONDS)
        # What a build that failed has left: all that is published shows as views there.
        for name in find_holders(connection, [marts.staging], column, ids):
            connection.execute(sql.SQL("drop table {}").format(sql.Identifier(*name)))
    return {"tables of marts held the customer": len(holders)}


def _drop_older_sets(
    runtime: Runtime, tables: Tables, marts: Marts, ids: frozenset[int], console: Console
) -> dict[str, int]:
    """Drop the sets of marts of before, when no reader can see them any more."""
    with connect(runtime.dsn("transformer")) as connection:
        if not find_holders(connection, [marts.sets], tables.feed.subject, ids):
            return {}
        (number,) = connection.execute(marts.fill("select set_number from {sets}.published")).fetchone() or (0,)
        _wait_for_readers(runtime, console)
        (others,) = connection.execute(marts.fill(_OTHER_SETS), (number,)).fetchone() or (0,)
        left, deadline = others, time.monotonic() + 600
        while left and time.monotonic() < deadline:
            connection.execute(marts.fill(_GIVE_UP_OTHERS), (number,))
            drop_expired_sets(connection, marts, grace_seconds=0)
            (left,) = connection.execute(marts.fill(_OTHER_SETS), (number,)).fetchone() or (0,)
            time.sleep(0.5 if left else 0)
    if left:
        raise UnavailableError("A kept set of marts is still being read.", "Erase the same customer again later.")
    return {"kept sets of marts dropped": others}


def _erase_history(runtime: Runtime, tables: Tables, ids: frozenset[int]) -> dict[str, int]:
    counts = {}
    with connect(runtime.dsn("transformer")) as connection:
        for name in find_holders(connection, [HISTORY], tables.feed.subject, ids):
            table, column = sql.Identifier(*name), sql.Identifier(tables.feed.subject)
            delete = sql.SQL("delete from {} where {} = any(%s)").format(table, column)
            counts[".".join(name)] = connection.execute(delete, (list(ids),)).rowcount
            connection.execute(sql.SQL("vacuum (analyze) {}").format(table))
    return counts


def _build(runtime: Runtime) -> None:
    """Build and test all models with dbt, from all rows; not the history, which is of what was published."""
    arguments = ["--no-use-colors", "build", "--full-refresh", "--exclude-resource-type", "snapshot"]
    if runtime.kind == DOCKER:
        command, environment = exec_command(runtime, "scheduler", "dbt", *arguments, folder="/opt/dbt")
    else:
        environment = process_environment(runtime)
        folder = environment["PIPELINE_DBT"]
        command = [sys.executable, "-m", "dbt.cli.main", *arguments]
        command += ["--project-dir", folder, "--profiles-dir", folder]
    done = subprocess.run(command, env=environment, cwd=runtime.folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UnavailableError(
            f"The marts could not be built anew: {(done.stdout + done.stderr).strip()[-2000:]}",
            "Readers see the marts of before. Mend it, then erase the same customer again.",
        )


def _wait_for_readers(runtime: Runtime, console: Console) -> None:
    """Wait for readers who may still look at the set of before; those older than they may be are ended."""
    with psycopg.connect(runtime.dsn("postgres"), autocommit=True) as connection:
        (now,) = connection.execute("select now()").fetchone() or (None,)
        told = False
        while connection.execute(_OLD_READERS, (now,)).fetchone() != (0,):
            if not told:
                console.print("Waiting for transactions of readers that began before, an hour at most.")
            told = True
            end_old_readers(connection, READER_SECONDS)
            time.sleep(0.5)


def _require_gone(runtime: Runtime, tables: Tables, marts: Marts, ids: frozenset[int]) -> None:
    """Look everywhere again."""
    held: list[tuple[str, str]] = []
    for role, schemas in (
        ("loader", [tables.schema]),
        ("transformer", [marts.staging, marts.sets, marts.views, HISTORY]),
    ):
        with connect(runtime.dsn(role)) as connection:
            held += find_holders(connection, schemas, tables.feed.subject, ids)
    if held:
        raise BadDataError(
            f"The customer is still in {', '.join('.'.join(name) for name in held)}.",
            "Drop the tables that are yours; then erase the same customer again.",
        )
