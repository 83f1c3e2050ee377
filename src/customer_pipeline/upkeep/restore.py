"""A folder that `backup` wrote → the warehouse of this clone: made beside the one there is, audited, then swapped.

Killed anywhere, what readers see is the warehouse of before or the restored one, and the same command finishes it.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from audited_load.command import command
from audited_load.content import hash_file
from audited_load.erasing.register import exists, read_erased
from audited_load.errors import BadDataError, RefusedError, UnavailableError, UnusableFileError
from audited_load.shown import show_text
from audited_load.warehouse.connection import connect
from audited_load.warehouse.lease import held_lease
from customer_pipeline.airflow_api import AirflowApi
from customer_pipeline.contract_of_run import BROUGHT
from customer_pipeline.feed import TABLES
from customer_pipeline.names import DATABASE, ExitCode
from customer_pipeline.runtime.installation import DOCKER, Runtime, read_runtime
from customer_pipeline.runtime.roles import connect_as_administrator, make_warehouse
from customer_pipeline.runtime.services import start_services, stop_services
from customer_pipeline.upkeep.backup import (
    DUMP,
    KEY,
    NOTE,
    Backup,
    Holding,
    describe,
    find_holding,
    run_client,
)
from customer_pipeline.upkeep.taken_over import carry_erasures, forget_lease, go_on_counting

BESIDE = f"{DATABASE}_restoring"
SWAP_SECONDS = 30
_HOLDER = "customer-pipeline restore"
_END_SESSIONS = """
    select count(pg_terminate_backend(pid)) from pg_stat_activity
    where datname = any(%s) and pid <> pg_backend_pid()
"""


def read_backup(folder: Path) -> Backup:
    """Read what a backup says of itself, and check that its dump is whole.

    Raises:
        UnusableFileError: It is no backup, or not whole.
    """
    remedy = f"Name a folder that {command('backup FOLDER')} wrote. Nothing was changed."
    shown = show_text(str(folder), 4096)
    try:
        said: dict[str, Any] = json.loads((folder / NOTE).read_text(encoding="utf-8"))
        backup = Backup(said["made_at"], said["sha256"], Holding(**said["holding"]))
        found = hash_file(folder / DUMP)
        (folder / KEY).read_text(encoding="utf-8")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UnusableFileError(f"{shown} is not a backup: {type(error).__name__}.", remedy) from error
    if found != backup.sha256:
        raise UnusableFileError(f"{DUMP} in {shown} is not the file that was written: it was changed.", remedy)
    return backup


@dataclass(frozen=True)
class Restored:
    """What became of a restore.

    Attributes:
        backup: What readers see now.
        kept: The name under which the database of before was kept; None if it held no load.
        back_again: Customers that were erased, and that a table of the backup names again.
        erased_since: How many were erased since the backup was made: refused records may hold them as well.
    """

    backup: Backup
    kept: str | None
    back_again: frozenset[int]
    erased_since: int


def restore_backup(runtime: Runtime, folder: Path, *, force: bool) -> Restored:
    """Let readers see what a backup holds.

    Who was erased since it was made stays in the register, so that no delivery brings them back.

    Args:
        runtime: Whose warehouse; PostgreSQL must be up, and no run may go on.
        folder: The backup.
        force: Also in place of a warehouse that holds loads.

    Returns:
        What became of it.

    Raises:
        RefusedError: The warehouse holds loads, and `force` was not said; or the erasure key is another one.
        BadDataError: What was restored is not what the backup says.
        UnusableFileError: It is no backup.
        UnavailableError: PostgreSQL's programs fail, or somebody connects again and again.
    """
    backup = read_backup(folder)
    _require_key(runtime, folder)
    loads = _count_loads(runtime)
    if loads and not force:
        raise RefusedError(
            f"The warehouse holds {loads} loads.",
            f"{command('restore FOLDER --force')} puts the backup in its place, and keeps it under another name.",
        )
    with connect_as_administrator(runtime, "postgres") as admin:
        admin.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(BESIDE)))
        admin.execute(sql.SQL("create database {} template template0").format(sql.Identifier(BESIDE)))
    # Its schema `public` is the template's own, and the dump brings the rights on it.
    run_client(runtime, "pg_restore", ["--exit-on-error", "--dbname", BESIDE, str(folder / DUMP)])
    make_warehouse(runtime, BESIDE)
    _audit(runtime, backup)
    with _nobody_else(runtime):
        back_again, erased_since = carry_erasures(runtime, BESIDE, (folder / KEY).read_text().strip())
        go_on_counting(runtime, BESIDE)
        forget_lease(runtime, BESIDE)
        _take_key(runtime, folder)
        if (folder / "contracts").is_dir():
            shutil.copytree(folder / "contracts", runtime.data / BROUGHT, dirs_exist_ok=True)
        kept = _swap(runtime)
    # No erasure reaches it, so nobody reads it either.
    put_away = (
        "revoke connect on database {} from loader, transformer, reader"
        if loads
        else "drop database {} with (force)"
    )
    with connect_as_administrator(runtime, "postgres") as admin:
        admin.execute(sql.SQL(put_away).format(sql.Identifier(kept)))
    return Restored(backup, kept if loads else None, back_again, erased_since)


@contextmanager
def _nobody_else(runtime: Runtime) -> Iterator[None]:
    """Keep loads, rollbacks and erasures away by the lease of the warehouse that is to be replaced."""
    if not _has_lease(runtime):
        yield
        return
    with connect(runtime.dsn("loader")) as connection, held_lease(connection, TABLES, _HOLDER, 0):
        yield
    # The lease lay in the database that was replaced, or was given back.


def _has_lease(runtime: Runtime) -> bool:
    with connect_as_administrator(runtime, DATABASE) as connection:
        return exists(connection, TABLES, "lease")


def _require_key(runtime: Runtime, folder: Path) -> None:
    """Check that erased ids can be known again; without Docker the key is put in place by the restore."""
    if runtime.secrets["erasure"] == (folder / KEY).read_text().strip():
        return
    if runtime.kind == DOCKER:
        raise RefusedError(
            "ERASURE_KEY in `.env` is another one than the backup's: nobody could tell who was erased.",
            f"Put what {KEY} in the backup holds there, then `make restart`. Nothing was changed.",
        )
    with connect_as_administrator(runtime, DATABASE) as connection:
        erased = len(read_erased(connection, TABLES))
    if erased:
        raise RefusedError(
            f"{erased} customers were erased here with another key than the backup's.",
            "Restore it in another clone: here no delivery could leave them out. Nothing was changed.",
        )


def _take_key(runtime: Runtime, folder: Path) -> None:
    """Put the backup's key in place, and keep the one of before."""
    path, key = runtime.folder / KEY, (folder / KEY).read_text()
    if runtime.kind == DOCKER or runtime.secrets["erasure"] == key:
        return
    kept = path.with_name(f"{KEY}.before-{datetime.now(UTC):%Y%m%dT%H%M%S}")
    shutil.copy2(path, kept)
    new = path.with_name(f"{KEY}.new")
    new.touch(mode=0o600)
    new.write_text(key)
    new.rename(path)


def _count_loads(runtime: Runtime) -> int:
    with connect_as_administrator(runtime, DATABASE) as connection:
        try:
            row = connection.execute("select count(*) from cleaned_data.loads").fetchone()
        except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
            return 0
    return int(row[0]) if row else 0


def _audit(runtime: Runtime, backup: Backup) -> None:
    """Compare what was restored with what the backup says, before anybody sees it."""
    with connect_as_administrator(runtime, BESIDE) as connection:
        found = find_holding(connection)
    if found != backup.holding:
        raise BadDataError(
            f"What was restored is not what the backup says: {found}, and not {backup.holding}.",
            "Take another backup. Readers see what they saw before.",
        )


def _swap(runtime: Runtime) -> str:
    """Let the restored database take the place of the other, in one transaction; give the name of that one now."""
    kept = f"{DATABASE}_before_{datetime.now(UTC):%Y%m%dt%H%M%S%f}"
    renames = ((DATABASE, kept), (BESIDE, DATABASE))
    deadline = time.monotonic() + SWAP_SECONDS
    with connect_as_administrator(runtime, "postgres") as admin:
        while True:
            admin.execute(_END_SESSIONS, ([DATABASE, BESIDE],))
            try:
                with admin.transaction():
                    for old, new in renames:
                        statement = sql.SQL("alter database {} rename to {}")
                        admin.execute(statement.format(sql.Identifier(old), sql.Identifier(new)))
            except psycopg.errors.ObjectInUse:
                # Somebody connected in between; ended sessions need a moment, too.
                if time.monotonic() > deadline:
                    raise UnavailableError(
                        "Somebody connects to the warehouse again and again.",
                        "Stop what reads it, then restore again. Readers see what they saw before.",
                    ) from None
                time.sleep(0.1)
            else:
                return kept


def restore(folder: Path, *, force: bool) -> int:
    """Restore a backup as the command does, and print what came of it.

    Args:
        folder: The backup.
        force: Also in place of a warehouse that holds loads.

    Returns:
        0, or 1 if somebody who was erased is to be erased again.

    Raises:
        RefusedError: A run goes on, or as `restore_backup` says.
    """
    read_backup(folder)
    runtime = start_services(read_runtime())
    going_on = AirflowApi(runtime).find_runs(["queued", "running"])
    if going_on:
        raise RefusedError(
            f"A run goes on: {going_on[0]['dag_run_id']}.",
            f"Wait until {command('status')} says that it has ended.",
        )
    restored = restore_backup(runtime, folder, force=force)
    if runtime.kind != DOCKER:
        # With the key of the backup, whether this command or one that was killed has put it in place.
        stop_services(runtime)
        start_services(read_runtime())
    print(describe(restored.backup))
    if restored.kept:
        drop = command(f"psql --role postgres -c 'drop database {restored.kept}'")
        print(f"The warehouse of before is the database {restored.kept} now. When it is of no use any more: {drop}")
    if not restored.back_again and not restored.erased_since:
        return 0
    print(
        f"{restored.erased_since} erasures since the backup was made are to be done again: it may hold these"
        " customers in tables, history or refused records."
    )
    for number in sorted(restored.back_again):
        print(f"  {command(f'erase-customer {number}')}")
    print("Those that no table names only you know: the register has no ids.")
    return ExitCode.FAILED
