"""Numbered SQL files → the tables of a schema: each is run once, alone, in a transaction, and noted there.

```
<schema>.migrations   one row per file that was run: of which part, its number and name, and when
```

The files of a part are numbered without gaps, and one that was released is never changed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import psycopg
from psycopg import sql

from audited_load.command import command
from audited_load.errors import RefusedError
from audited_load.warehouse.refusal import name_refusal
from audited_load.warehouse.schemas import create_alone

WAIT_SECONDS = 60
_Result = TypeVar("_Result")

_MAKE = """
    create table if not exists {migrations} (
        part text not null,
        number integer not null,
        name text not null,
        applied_at timestamptz not null default now(),
        primary key (part, number)
    )
"""
_NOTE = "insert into {migrations} (part, number, name) values (%s, %s, %s)"
_COUNT = "select count(*) from {migrations} where part = %s"


@dataclass(frozen=True)
class Migrations:
    """The files of one part of a schema.

    Attributes:
        part: Its name, by which they are noted.
        schema: Where they work, and where they are noted.
        folder: Where they lie, as `0001_what_it_does.sql`.
    """

    part: str
    schema: str
    folder: Path

    def files(self) -> list[Path]:
        """List the files in their order.

        Raises:
            RefusedError: They are not numbered 0001, 0002, and so on.
        """
        files = sorted(self.folder.glob("*.sql"))
        if [file.name[:5] for file in files] != [f"{number:04}_" for number in range(1, len(files) + 1)]:
            raise RefusedError(
                f"The migrations in {self.folder} are not numbered without gaps: {[file.name for file in files]}.",
                "Name them 0001_WHAT.sql, 0002_WHAT.sql and so on. Nothing was changed.",
            )
        return files

    def fill(self, statement: str) -> sql.Composed:
        """Compose a statement; `{migrations}` stands for the table that notes them."""
        return sql.SQL(statement).format(migrations=sql.Identifier(self.schema, "migrations"))


def count_applied(connection: psycopg.Connection, migrations: Migrations) -> int:
    """Count the files of a part that were run.

    Raises:
        RefusedError: More than there are: the tables are newer than the code. Nothing was changed.
    """
    found = connection.execute("select to_regclass(%s)", (f"{migrations.schema}.migrations",)).fetchone()
    if found == (None,):
        return 0
    row = connection.execute(migrations.fill(_COUNT), (migrations.part,)).fetchone()
    applied = row[0] if row else 0
    if applied > len(migrations.files()):
        raise RefusedError(
            f"The tables in {migrations.schema} are newer than the code: {applied} migrations were applied, and the"
            f" code knows {len(migrations.files())} of the part {migrations.part!r}.",
            "Go back to the newer code: see docs/upgrade.md. Nothing was changed.",
        )
    return int(applied)


def is_migrated(connection: psycopg.Connection, migrations: Migrations) -> bool:
    """Return whether nothing is left to be run.

    Raises:
        RefusedError: The tables are newer than the code.
    """
    return count_applied(connection, migrations) == len(migrations.files())


def migrate(
    connection: psycopg.Connection, migrations: Migrations, fill: Callable[[str], sql.Composed]
) -> list[str]:
    """Run what was not run yet. Killed at any point, it can be called again; of two at once, one waits.

    Args:
        connection: In autocommit mode, as the role that is to own what is made.
        migrations: The files.
        fill: Puts the names of tables into the text of a file.

    Returns:
        The names of the files that were run.

    Raises:
        RefusedError: The schema is not there, the tables are newer than the code, or a file does not fit them.
        psycopg.errors.LockNotAvailable: A reader's transaction was in the way for a minute.
    """
    done: list[str] = []
    while not is_migrated(connection, migrations):
        done += while_locked(lambda: _run_next(connection, migrations, fill))
    return done


def while_locked(change: Callable[[], _Result]) -> _Result:
    """Try a change of a table again while a reader's transaction is in its way, for at most a minute.

    Args:
        change: Gives up soon, so that all who come meanwhile wait no longer.

    Returns:
        What it gave.

    Raises:
        psycopg.errors.LockNotAvailable: It still is in the way.
    """
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            return change()
        except psycopg.errors.LockNotAvailable:
            if time.monotonic() > deadline:
                raise
            time.sleep(1)


def _run_next(
    connection: psycopg.Connection, migrations: Migrations, fill: Callable[[str], sql.Composed]
) -> list[str]:
    with connection.transaction():
        # All who come meanwhile wait as long as this does.
        connection.execute("set local lock_timeout = '500ms'")
        create_alone(connection, migrations.schema)
        connection.execute(migrations.fill(_MAKE))
        applied = count_applied(connection, migrations)
        files = migrations.files()[applied : applied + 1]
        for file in files:
            _run(connection, migrations, file, _compose(file, fill))
            connection.execute(migrations.fill(_NOTE), (migrations.part, applied + 1, file.stem))
    return [file.stem for file in files]


def _compose(file: Path, fill: Callable[[str], sql.Composed]) -> sql.Composed:
    try:
        return fill(file.read_text(encoding="utf-8"))
    except (KeyError, IndexError, ValueError) as error:
        raise RefusedError(
            f"The migration {file.name} names a table that there is not, or has a single brace: {error}.",
            "Write {generations}, {changes}, {loads} and so on for tables, and a brace that is meant twice.",
        ) from error


def _run(connection: psycopg.Connection, migrations: Migrations, file: Path, statements: sql.Composed) -> None:
    try:
        connection.execute(statements)
    except psycopg.OperationalError:
        raise  # a lock or a server that may be there at the next try
    except psycopg.Error as error:
        # Of a statement the server quotes what stands in the file; of data it might quote a value.
        said = error.diag.message_primary if isinstance(error, psycopg.ProgrammingError) else name_refusal(error)
        raise RefusedError(
            f"{file.name} can't be applied to {migrations.schema}: {said} (SQLSTATE {error.sqlstate}).",
            f"Correct the file, or what stands in its way ({command('psql')}), and run again. Nothing was changed.",
        ) from None
