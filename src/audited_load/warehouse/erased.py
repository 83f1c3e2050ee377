"""Who was erased, as a keyed hash, and which files were scrubbed: what later loads must know of it.

```
<schema>.erasures         one row an erasure: whose, when, and how much it came to
<schema>.scrubbed_files   which file of now was which delivered file
```
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping, Sequence

import psycopg
from psycopg import sql

from audited_load.errors import RefusedError
from audited_load.warehouse.tables import Tables

_MAKE = (
    """
    create table if not exists {erasures} (
        erasure_id bigint generated always as identity primary key,
        subject text not null,
        requested_at timestamptz not null default now(),
        finished_at timestamptz,
        counts jsonb not null default '{{}}'
    )
    """,
    """
    create table if not exists {scrubbed_files} (
        sha256 text primary key,
        delivered text not null,
        name text not null,
        records bigint not null,
        scrubbed_at timestamptz not null default now()
    )
    """,
)
_UNFINISHED = "select erasure_id from {erasures} where subject = %s and finished_at is null"
_ENTER = "insert into {erasures} (subject) values (%s) returning erasure_id"
_FINISH = "update {erasures} set finished_at = now(), counts = %s where erasure_id = %s"
_SCRUBBED = """
    insert into {scrubbed_files} (sha256, delivered, name, records)
    values (
        %(after)s,
        coalesce((select s.delivered from {scrubbed_files} as s where s.sha256 = %(before)s), %(before)s),
        %(name)s, %(records)s
    )
    on conflict (sha256) do nothing
"""


def hash_subject(number: int, key: str) -> str:
    """Give what is kept of an id: numbers could be tried one by one, if the key were in the database, too.

    It begins with what tells the key from others: with another, nobody would be found, and nobody would notice.
    """
    return f"{_mark_of(key)}:{_hash(str(number), key)}"


def require_key(erased: frozenset[str], key: str) -> None:
    """Check that customers were erased with this key.

    Args:
        erased: What `read_erased` gave.
        key: The key of this installation.

    Raises:
        RefusedError: Some were erased with another one.
    """
    others = sum(not subject.startswith(f"{_mark_of(key)}:") for subject in erased)
    if others:
        raise RefusedError(
            f"{others} customers were erased with another ERASURE_KEY than the one that is set now.",
            "Put the key of then back: `.runtime/erasure.key`, under Docker `ERASURE_KEY` in `.env`.",
        )


def _mark_of(key: str) -> str:
    return _hash("key", key)[:8]


def _hash(text: str, key: str) -> str:
    return hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()


def fill(tables: Tables, statement: str, **parts: sql.Composable) -> sql.Composed:
    """Compose a statement; `{erasures}` and `{scrubbed_files}` stand for this module's tables."""
    own = {"erasures": tables.other("erasures"), "scrubbed_files": tables.other("scrubbed_files")}
    return tables.fill(statement, **own, **parts)


def enter_erasure(connection: psycopg.Connection, tables: Tables, subject: str) -> int:
    """Enter an erasure, before anything is erased: no later load may bring the id back.

    Args:
        connection: In autocommit mode, as the role that owns the tables.
        tables: Their names.
        subject: What `hash_subject` gave.

    Returns:
        Its number; that of the one that was killed, if there is one.
    """
    with connection.transaction():
        for statement in _MAKE:
            connection.execute(fill(tables, statement))
        found = connection.execute(fill(tables, _UNFINISHED), (subject,)).fetchone()
        (erasure_id,) = found or connection.execute(fill(tables, _ENTER), (subject,)).fetchone() or (0,)
    return int(erasure_id)


def finish_erasure(
    connection: psycopg.Connection, tables: Tables, erasure_id: int, counts: Mapping[str, int]
) -> None:
    """Note that an erasure is done, and what it came to."""
    connection.execute(fill(tables, _FINISH), (json.dumps(dict(counts)), erasure_id))


def read_erased(connection: psycopg.Connection, tables: Tables) -> frozenset[str]:
    """Read whom later loads must leave out, as `hash_subject` gives them."""
    if not exists(connection, tables, "erasures"):
        return frozenset()
    return frozenset(row[0] for row in connection.execute(fill(tables, "select subject from {erasures}")))


def choose_erased(numbers: Iterable[int], erased: frozenset[str], key: str) -> frozenset[int]:
    """Choose those ids that were erased."""
    mark = _mark_of(key)
    return frozenset(number for number in numbers if f"{mark}:{_hash(str(number), key)}" in erased)


def enter_scrubbed(
    connection: psycopg.Connection, tables: Tables, name: str, records: int, *, before: str, after: str
) -> None:
    """Note which delivered file a scrubbed one was, by its sha256: it must not be taken for a new delivery."""
    values = {"before": before, "after": after, "name": name, "records": records}
    connection.execute(fill(tables, _SCRUBBED), values)


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
        found = dict(connection.execute(fill(tables, statement), (list(sha256),)).fetchall())
    return {one: found.get(one, one) for one in sha256}


def exists(connection: psycopg.Connection, tables: Tables, name: str) -> bool:
    """Tell whether the schema has a table of that name."""
    statement = "select to_regclass(%s) is not null"
    return connection.execute(statement, (f'"{tables.schema}"."{name}"',)).fetchone() == (True,)
