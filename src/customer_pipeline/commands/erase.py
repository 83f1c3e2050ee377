"""`customer-pipeline erase-customer ID`: one customer → gone from files, quarantine, cleaned tables and marts."""

from __future__ import annotations

import getpass
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from audited_load.columns import Feed
from audited_load.command import command
from audited_load.erasing.everywhere import Found, Places, erase_everywhere, is_known, look_everywhere
from audited_load.erasing.register import list_erasures
from audited_load.erasing.spellings import read_ids
from audited_load.errors import RefusedError, UnavailableError
from audited_load.marts.mart_manifest import Mart, read_marts
from audited_load.shown import escape_text
from audited_load.storage import Store
from audited_load.warehouse.connection import connect, locked
from customer_pipeline.airflow_api import AirflowApi
from customer_pipeline.contract_of_run import known_feeds
from customer_pipeline.feed import MARTS, READER_TRANSACTION_SECONDS, TABLES
from customer_pipeline.runtime.compose import exec_command
from customer_pipeline.runtime.environment import process_environment
from customer_pipeline.runtime.installation import DOCKER, Runtime, read_runtime
from customer_pipeline.runtime.services import start_services
from customer_pipeline.runtime.store import open_store
from customer_pipeline.storing.mirror import mirrored
from customer_pipeline.storing.object_files import ObjectFiles
from customer_pipeline.tasks.dbt_manifest import in_project

SHOWN = 20
"""Files of a kind that are named."""
_ACTIVE = {"running", "queued"}


def list_erased() -> int:
    """Print when somebody was erased, and by whom; gives 0."""
    _print_register(read_runtime(), _console())
    return 0


def erase_customer(text: str, *, dry_run: bool = False, even_if_unknown: bool = False) -> int:
    """Erase a customer, or show what would go.

    Killed at any point, it can be run again with the same id.

    Args:
        text: The customer's id, as 501 or C501, or as another supplier's contract has it.
        dry_run: Change nothing.
        even_if_unknown: Also if no table and no file holds the id.

    Returns:
        0.

    Raises:
        RefusedError: The text is no id, or nothing holds it; or a contract has faults, so that files may be missed.
        UnavailableError: A run or another erasure is going on, the database is away, or a file is still being
            written.
        BadDataError: The id is still in a table, or a file could not be dealt with; the message says in which.
    """
    console = _console()
    runtime = read_runtime()
    store = open_store(runtime) if runtime.storage else None
    if store:
        ObjectFiles(store, runtime.data).bring_contracts()
    number = _read_id(text, known_feeds(runtime.data))
    if dry_run:
        with _objects_at_hand(store, runtime.data, console):
            _print_found(look_everywhere(find_places(runtime, console), number), number, console)
        return 0
    runtime = start_services(runtime)
    api = AirflowApi(runtime)
    _refuse_beside_runs(api)
    with alone_with(store, runtime), _objects_at_hand(store, runtime.data, console, put_back=True):
        places = replace(find_places(runtime, console), refuse_beside_runs=lambda: _refuse_beside_runs(api))
        erase(places, number, console, even_if_unknown=even_if_unknown)
    return 0


def erase(places: Places, number: int, console: Console, *, even_if_unknown: bool = False) -> Found:
    """Erase a customer, and say what was done and what is left.

    Raises:
        RefusedError: Nothing holds the id, and it was never erased.
    """
    if not even_if_unknown and not is_known(places, number):
        raise RefusedError(
            f"No table and no file holds customer {number}, and nobody was erased under this id.",
            "Check the id. To leave it out of deliveries to come:"
            f" {command(f'erase-customer {number} --even-if-unknown')}."
            " Nothing was changed.",
        )
    found = erase_everywhere(places, number, _who())
    console.print("Erased: the id, and the columns of its records that nobody asked for.")
    _print_counts(found, console)
    console.print("A delivery that names the customer again is loaded without the id.")
    _print_left(found, console)
    return found


def find_places(runtime: Runtime, console: Console) -> Places:
    """Find everywhere that a customer may be."""
    logs = ("airflow/logs", "dbt/logs", "dbt/target", ".runtime/logs")
    return Places(
        dsn=runtime.dsn,
        tables=TABLES,
        marts=MARTS,
        data=runtime.data,
        artifacts=tuple(runtime.home / name for name in logs),
        key=runtime.secrets["erasure"],
        build=lambda: _build(runtime),
        say=console.print,
        reader_seconds=READER_TRANSACTION_SECONDS,
        others=known_feeds(runtime.data)[1:],
    )


def _console() -> Console:
    return Console(highlight=False, markup=False, soft_wrap=True)


def _who() -> str:
    """Name the user of the system who gives the command."""
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def _read_id(text: str, feeds: Sequence[Feed]) -> int:
    """Read an id as any supplier writes it: `501`, `C501`, `K-501`."""
    numbers = {number for feed in feeds for number in read_ids([text.strip()], feed)} - {None}
    if len(numbers) != 1:
        raise RefusedError(
            f"{text!r} is no id of a customer.",
            f"Give it so: {command('erase-customer 501')}. Nothing was changed.",
        )
    return int(numbers.pop() or 0)


@contextmanager
def alone_with(store: Store | None, runtime: Runtime) -> Iterator[None]:
    """Keep erasures away that other machines of this warehouse would begin in the same store meanwhile.

    Raises:
        UnavailableError: One is at work.
    """
    if store is None:
        yield
        return
    busy = UnavailableError(
        f"Another erasure is at work in {store.root}.", "Wait for its end. Nothing was changed."
    )
    with connect(runtime.dsn("loader")) as connection, locked(connection, f"erase in {store.root}", busy):
        yield


@contextmanager
def _objects_at_hand(
    store: Store | None, data: Path, console: Console, *, put_back: bool = False
) -> Iterator[None]:
    """Copy what a store holds into the data folder, where all is looked through; then put back what was changed."""
    if store is None:
        yield
        return
    with mirrored(store, data) as mirror:
        console.print(f"{mirror.folder} stands for {store.root}: copies of {len(mirror.copied)} objects.")
        try:
            yield
        finally:
            others = mirror.put_back() if put_back else []
        for key in others[:SHOWN]:
            console.print(f"  {store.root}/{escape_text(key)}: came meanwhile; give the same command again")
        if put_back and store.keeps_versions():
            console.print(
                f"  {store.root}: the bucket keeps versions, and those of before hold what was erased: delete them"
                " (docs/scale-out.md)."
            )


def _refuse_beside_runs(api: AirflowApi) -> None:
    for run in api.find_runs(sorted(_ACTIVE)):
        raise UnavailableError(
            f"Run {run['dag_run_id']} is {run['state']}.", "Let it finish, then erase. Nothing was changed."
        )


def _print_register(runtime: Runtime, console: Console) -> None:
    with connect(runtime.dsn("loader")) as connection:
        erasures = list_erasures(connection, TABLES)
    for one in erasures:
        done = f"{one.finished_at:%Y-%m-%d %H:%M}" if one.finished_at else "not finished"
        counts = ", ".join(f"{count} {name}" for name, count in one.counts.items())
        console.print(
            f"{one.subject}  begun {one.requested_at:%Y-%m-%d %H:%M}  done {done}"
            f"  by {one.requested_by or 'unknown'}  {counts}"
        )
    console.print(f"{len(erasures)} erasures. Whose, only somebody with the id and the key can tell.")


def _print_found(found: Found, number: int, console: Console) -> None:
    console.print(f"Customer {number}: this would go. Nothing was changed.")
    _print_counts(found, console)
    for path in found.held[:SHOWN]:
        console.print(f"           {escape_text(str(path))}")
    if not found.counts:
        console.print(
            "No table and no file of records holds the id." + " It was erased before." * found.is_registered
        )
    _print_notes(found, console)


def _print_counts(found: Found, console: Console) -> None:
    for name, count in found.counts.items():
        console.print(f"{count:>9,}  {name}")


def _print_left(found: Found, console: Console) -> None:
    if not (found.held or found.unread or found.named or found.lookalikes or found.traces):
        console.print(
            "Nothing is left: no table, no file of the data folder, no log and no artifact holds the id now."
        )
        return
    console.print("No table holds the id now. What is left:")
    _print_files("delivered meanwhile; give the same command again", found.held, console)
    _print_notes(found, console)


def _print_notes(found: Found, console: Console) -> None:
    text = "is no file of records, and holds these digits or can't be looked into: look at it yourself"
    _print_files(text, found.unread, console)
    for files in (found.failed, found.named):
        for path, what in list(files.items())[:SHOWN]:
            console.print(f"  {escape_text(str(path))}: {what}: look at it yourself")
        if len(files) > SHOWN:
            console.print(f"  and {len(files) - SHOWN} more of this kind")
    if found.lookalikes:
        console.print(
            f"  {found.lookalikes} refused records in the quarantine hold these digits in a spelling that may be"
            f" another's: look at them yourself: {command('quarantine export --out FILE')}"
        )
    for trace in found.traces[:SHOWN]:
        named = f", {trace.named} with the column's name" if trace.named else ""
        console.print(
            f"  {escape_text(str(trace.path))}: {trace.lines} lines with these digits{named}: may be another number"
        )
    if len(found.traces) > SHOWN:
        console.print(f"  and {len(found.traces) - SHOWN} more logs and artifacts with these digits")


def _print_files(what: str, paths: list[Path], console: Console) -> None:
    for path in paths[:SHOWN]:
        console.print(f"  {escape_text(str(path))}: {what}")
    if len(paths) > SHOWN:
        console.print(f"  and {len(paths) - SHOWN} more of this kind")


def _build(runtime: Runtime) -> Sequence[Mart]:
    """Build and test all models with dbt, from all rows; not the history, which is of what was published.

    Gives the marts that dbt says it has.
    """
    arguments = ["--no-use-colors", "build", "--full-refresh", "--exclude-resource-type", "snapshot"]
    if runtime.kind == DOCKER:
        project = runtime.home / "dbt"
        command, environment = exec_command(runtime, "scheduler", "dbt", *arguments, folder="/opt/dbt")
    else:
        environment = process_environment(runtime)
        project = Path(environment["PIPELINE_DBT"])
        command = [sys.executable, "-m", "dbt.cli.main", *arguments]
        command += in_project(project)
        environment["DBT_TARGET_PATH"] = "target"
    done = subprocess.run(command, env=environment, cwd=runtime.folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UnavailableError(
            f"The marts could not be built anew: {(done.stdout + done.stderr).strip()[-2000:]}",
            "Readers see the marts of before. Mend it, then erase the same customer again.",
        )
    return read_marts(project / "target" / "manifest.json")
