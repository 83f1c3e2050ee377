"""The warehouse that a restore replaces → the restored one: who was erased, and which numbers were given out."""

from __future__ import annotations

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from audited_load.erasing.register import exists, list_erasures, read_erased
from audited_load.erasing.subjects import ErasedSubjects
from audited_load.errors import RefusedError
from audited_load.warehouse.catalogue import find_tables
from customer_pipeline.feed import TABLES
from customer_pipeline.names import CLEANED, DATABASE, HISTORY, SETS
from customer_pipeline.runtime.installation import Runtime
from customer_pipeline.runtime.roles import connect_as_administrator

_COPIED = (
    (
        "select subject, requested_at, finished_at, requested_by, counts from {erasures} order by erasure_id",
        "insert into {erasures} (subject, requested_at, finished_at, requested_by, counts)"
        " select %s, %s, %s, %s, %s where not exists (select 1 from {erasures} as e where e.subject = %s)",
    ),
    (
        "select sha256, delivered, name, records, scrubbed_at from {scrubbed_files}",
        "insert into {scrubbed_files} (sha256, delivered, name, records, scrubbed_at) select %s, %s, %s, %s, %s"
        " where not exists (select 1 from {scrubbed_files} as s where s.sha256 = %s)",
    ),
)
"""How the register is read, and how what it lacks is entered."""
_SEQUENCES = """
    select schemaname, sequencename, last_value from pg_sequences
    where schemaname = any(%s) and last_value is not null
"""
_SET_SEQUENCE = """
    select setval(to_regclass(%(name)s), greatest(%(last)s, coalesce((
        select last_value from pg_sequences
        where to_regclass(format('%%I.%%I', schemaname, sequencename)) = to_regclass(%(name)s)
    ), 0)))
    where to_regclass(%(name)s) is not null
"""


def carry_erasures(runtime: Runtime, beside: str, key: str) -> tuple[frozenset[int], int]:
    """Enter into the restored register who was erased since.

    Args:
        runtime: Whose databases.
        beside: Name of the restored database.
        key: By which the register's hashes were made.

    Returns:
        Whom of all that were erased a table of the backup names; and how many were erased since.

    Raises:
        RefusedError: The backup is of a warehouse without tables, so that it could not remember them.
    """
    with connect_as_administrator(runtime, DATABASE) as now, connect_as_administrator(runtime, beside) as restored:
        finished = {one.subject for one in list_erasures(now, TABLES) if one.finished_at}
        if finished and not exists(restored, TABLES, "erasures"):
            raise RefusedError(
                f"{len(finished)} customers were erased, and the backup can't remember them: it has no tables.",
                "Take a later backup, or restore it in another clone. Nothing was changed.",
            )
        if not exists(restored, TABLES, "erasures"):
            return frozenset(), 0
        since = finished - {one.subject for one in list_erasures(restored, TABLES) if one.finished_at}
        if exists(now, TABLES, "erasures"):
            for find, enter in _COPIED:
                for row in now.execute(TABLES.fill(find)):
                    values = [Jsonb(v) if isinstance(v, dict) else v for v in (*row, row[0])]
                    restored.execute(TABLES.fill(enter), values)
        erased = read_erased(restored, TABLES)
        if not erased:
            return frozenset(), 0
        return ErasedSubjects(erased, key).choose(_ids_in(restored)), len(since)


def _ids_in(connection: psycopg.Connection) -> set[int]:
    """Return the ids of all customers that a table names; what refused records hold is not among them."""
    subject = sql.Identifier(TABLES.feed.subject)
    found: set[int] = set()
    for name in find_tables(connection, [CLEANED, SETS, HISTORY], TABLES.feed.subject):
        statement = sql.SQL("select distinct {subject} from {table} where {subject} is not null")
        found |= {
            row[0] for row in connection.execute(statement.format(subject=subject, table=sql.Identifier(*name)))
        }
    return found


def forget_lease(runtime: Runtime, beside: str) -> None:
    """Give back, in the restored database, the lease of a run that was on its way when the backup was made."""
    with connect_as_administrator(runtime, beside) as restored:
        if exists(restored, TABLES, "lease"):
            restored.execute(TABLES.fill("delete from {lease}"))


def go_on_counting(runtime: Runtime, beside: str) -> None:
    """Let no number be given out twice: a run of before that is cleared must not meet a load of another run.

    Args:
        runtime: Whose databases.
        beside: Name of the restored one.
    """
    with connect_as_administrator(runtime, DATABASE) as now, connect_as_administrator(runtime, beside) as restored:
        for schema, name, last in now.execute(_SEQUENCES, ([CLEANED, SETS],)).fetchall():
            restored.execute(_SET_SEQUENCE, {"name": f'"{schema}"."{name}"', "last": last})
