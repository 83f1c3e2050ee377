"""Who was erased, as a keyed hash, and which files were scrubbed: what later loads must know of it.

```
<schema>.erasures         one row per erasure: whose, when, by whom, and how much it came to
<schema>.scrubbed_files   which file of now was which delivered file
```
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg.rows import class_row

from audited_load.command import command
from audited_load.errors import RefusedError
from audited_load.warehouse.tables import Tables

_UNFINISHED = "select erasure_id from {erasures} where subject = %s and finished_at is null"
_ENTER = "insert into {erasures} (subject, requested_by) values (%s, %s) returning erasure_id"
_FINISH = "update {erasures} set finished_at = now(), counts = %s where erasure_id = %s"
_LIST = """
    select subject, requested_at, finished_at, to_jsonb(e) ->> 'requested_by' as requested_by, counts
    from {erasures} as e order by erasure_id
"""
_SCRUBBED = """
    insert into {scrubbed_files} (sha256, delivered, name, records)
    values (
        %(after)s,
        coalesce((select s.delivered from {scrubbed_files} as s where s.sha256 = %(before)s), %(before)s),
        %(name)s, %(records)s
    )
    on conflict (sha256) do nothing
"""


@dataclass(frozen=True)
class Erasure:
    """One erasure of the register.

    Attributes:
        subject: Who, as a keyed hash.
        requested_at: When it began.
        finished_at: When it was done; None if it was not.
        requested_by: Who asked for it; None if that was not kept yet.
        counts: How many rows, records and files it came to.
    """

    subject: str
    requested_at: datetime
    finished_at: datetime | None
    requested_by: str | None
    counts: dict[str, int]


def enter_erasure(connection: psycopg.Connection, tables: Tables, subject: str, requested_by: str) -> int:
    """Enter an erasure, before anything is erased: no later load may bring the id back.

    Args:
        connection: In autocommit mode, as the role that owns the tables.
        tables: Their names.
        subject: What `hash_subject` gave.
        requested_by: Who asks for it.

    Returns:
        Its number; that of the one that was killed, if there is one.
    """
    with connection.transaction():
        found = connection.execute(tables.fill(_UNFINISHED), (subject,)).fetchone()
        (erasure_id,) = found or connection.execute(tables.fill(_ENTER), (subject, requested_by)).fetchone() or (0,)
    return int(erasure_id)


def finish_erasure(
    connection: psycopg.Connection, tables: Tables, erasure_id: int, counts: Mapping[str, int]
) -> None:
    """Note that an erasure is done, and what it came to."""
    connection.execute(tables.fill(_FINISH), (json.dumps(dict(counts)), erasure_id))


def list_erasures(connection: psycopg.Connection, tables: Tables) -> list[Erasure]:
    """Read the register, the oldest first."""
    if not exists(connection, tables, "erasures"):
        return []
    with connection.cursor(row_factory=class_row(Erasure)) as cursor:
        return cursor.execute(tables.fill(_LIST)).fetchall()


def read_erased(connection: psycopg.Connection, tables: Tables) -> frozenset[str]:
    """Read whom later loads must leave out, as `hash_subject` gives them."""
    if not exists(connection, tables, "erasures"):
        return frozenset()
    return frozenset(row[0] for row in connection.execute(tables.fill("select subject from {erasures}")))


def require_known(connection: psycopg.Connection, tables: Tables, known: Iterable[int | None]) -> None:
    """Refuse files that were cleaned before somebody was erased, though they are loaded after it.

    Args:
        connection: With the run's lease held: no erasure can come between.
        tables: Where the register lies.
        known: For each file how many erased subjects its cleaning knew; None if nobody asked.

    Raises:
        RefusedError: More were erased since.
    """
    asked = [number for number in known if number is not None]
    if asked and min(asked) < len(read_erased(connection, tables)):
        raise RefusedError(
            "A customer was erased after these files were cleaned.",
            f"Deliver them anew: {command('run FILE')}. Nothing was loaded.",
        )


def enter_scrubbed(
    connection: psycopg.Connection, tables: Tables, name: str, records: int, *, before: str, after: str
) -> None:
    """Note which delivered file a scrubbed one was, by its sha256: it must not be taken for a new delivery."""
    values = {"before": before, "after": after, "name": name, "records": records}
    connection.execute(tables.fill(_SCRUBBED), values)


def find_delivered(connection: psycopg.Connection, tables: Tables, sha256: Sequence[str]) -> dict[str, str]:
    """Find out which files were which delivered files before somebody was erased from them.

    Args:
        connection: Any.
        tables: Where it is noted.
        sha256: Of files.

    Returns:
        For each its own sha256, or that of the delivered file.
    """
    found: dict[str, str] = {}
    if exists(connection, tables, "scrubbed_files"):
        statement = "select sha256, delivered from {scrubbed_files} where sha256 = any(%s)"
        found = dict(connection.execute(tables.fill(statement), (list(sha256),)).fetchall())
    return {one: found.get(one, one) for one in sha256}


def exists(connection: psycopg.Connection, tables: Tables, name: str) -> bool:
    """Return whether the schema has a table of that name."""
    statement = "select to_regclass(%s) is not null"
    return connection.execute(statement, (f'"{tables.schema}"."{name}"',)).fetchone() == (True,)
