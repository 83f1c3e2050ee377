"""The accounting of a cleaned file → a row in the ledger and an empty incoming table.

Each function can be killed anywhere and called again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import psycopg
from psycopg import sql

from audited_load.errors import BadDataError, PipelineError, RefusedError, UnavailableError
from audited_load.report import CleanReport
from audited_load.warehouse.tables import Tables

_COPIED_TO_LEDGER = (
    "sha256",
    "bytes",
    "read",
    "accepted",
    "quarantined",
    "duplicates",
    "superseded",
    "encoding",
    "delimiter",
)
_EMPTY_INCOMING = (
    "drop table if exists {incoming}",
    "create table {incoming} (like {generations} including defaults)",
    "alter table {incoming} alter loaded_at set default now()",
    "alter table {incoming} alter load_id set default {load_id}",
    "alter table {incoming} alter generation set default {number}",
    # The check makes attaching the partition instant.
    "alter table {incoming} add check (generation = {number})",
    "comment on table {incoming} is {stamp}",
)


@dataclass(frozen=True)
class Load:
    """One load, as the steps hand it on.

    Attributes:
        load_id: Its row in the ledger.
        run_id: The run that brings it.
        generation: The generation that it fills, or None if it needs none.
        report: The accounting of its file.
    """

    load_id: int
    run_id: str
    generation: int | None
    report: CleanReport

    def to_dict(self) -> dict[str, Any]:
        """Give plain values that survive JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Load:
        """Read what `to_dict` gave."""
        return cls(**{**values, "report": CleanReport.from_dict(values["report"])})


@contextmanager
def connect(dsn: str) -> Iterator[psycopg.Connection]:
    """Connect in autocommit mode, and turn the driver's errors into the pipeline's.

    Raises:
        UnavailableError: The server is away, restarts, is out of room, or a lock was not to be had.
        BadDataError: The data breaks a constraint of the table.
    """
    try:
        with psycopg.connect(dsn, autocommit=True, connect_timeout=10) as connection:
            yield connection
    except PipelineError:
        raise
    except (psycopg.errors.IntegrityError, psycopg.errors.DataError) as error:
        # The driver's full text would quote the row.
        raise BadDataError(
            f"The database refused the data: {error.diag.message_primary} (SQLSTATE {error.sqlstate}).",
            "Nothing was published. File and table disagree: check for a changed column rule.",
        ) from None
    except psycopg.OperationalError as error:
        raise UnavailableError(
            f"The database can't be used now: {error.diag.message_primary or str(error).strip()}.",
            "Check that it runs and has room; the step is safe to run again.",
        ) from error


def register_load(
    connection: psycopg.Connection, tables: Tables, report: CleanReport, run_id: str, mode: str, version: str
) -> Load:
    """Enter a load into the ledger; a retry finds its own row again.

    Args:
        connection: In autocommit mode.
        tables: Where the ledger lies.
        report: The accounting of its file.
        run_id: The run that brings it.
        mode: How it meets what is there, such as "replace".
        version: Of the code and the rules; the same file under new rules is another load.

    Returns:
        The load; without a generation if readers see this very content already.
    """
    row: dict[str, Any] = {
        "run_id": run_id,
        "mode": mode,
        "source_name": report.source,
        **{f"total_{name}": value for name, value in report.totals.items()},
        "rule_counts": json.dumps(report.rules),
        "reason_counts": json.dumps(report.reasons),
        "code_version": version,
    }
    row |= {name: getattr(report, name) for name in _COPIED_TO_LEDGER}
    names = sql.SQL(", ").join(map(sql.Identifier, row))
    values = sql.SQL(", ").join(map(sql.Placeholder, row))
    with connection.transaction():
        visible = connection.execute(tables.fill("select sha256, code_version from {published_load}")).fetchone()
        unchanged = visible == (report.sha256, version)
        load_id, status = _one(
            connection.execute(
                tables.fill(
                    "insert into {loads} ({names}, started_at, status) values ({values}, now(), 'loading')"
                    " on conflict (run_id, sha256, code_version)"
                    " do update set started_at = excluded.started_at"
                    " returning load_id, status",
                    names=names,
                    values=values,
                ),
                row,
            )
        )
        if unchanged:
            if status != "published":
                connection.execute(
                    tables.fill("update {loads} set status = 'unchanged' where load_id = %s"), (load_id,)
                )
            return Load(load_id, run_id, None, report)
        generation = _one(
            connection.execute(
                tables.fill("select nextval({sequence})", sequence=_sequence(tables)),
            )
        )[0]
    return Load(load_id, run_id, generation, report)


def empty_incoming(connection: psycopg.Connection, tables: Tables, load: Load) -> None:
    """Make the incoming table, empty, for this load. What readers see is another table."""
    parts = {
        "number": sql.Literal(load.generation),
        "load_id": sql.Literal(load.load_id),
        "stamp": sql.Literal(stamp_of(load)),
    }
    with connection.transaction():
        for statement in _EMPTY_INCOMING:
            connection.execute(tables.fill(statement, **parts))


def require_incoming(connection: psycopg.Connection, tables: Tables, load: Load) -> None:
    """Check that the incoming table was made for this load.

    Raises:
        RefusedError: It was not; another run may have taken over.
    """
    found = connection.execute(
        "select obj_description(to_regclass(%s), 'pg_class')", (tables.relation("_incoming"),)
    ).fetchone()
    if found is None or found[0] != stamp_of(load):
        raise RefusedError(
            f"The incoming table is not the one that run {load.run_id} made (load {load.load_id}).",
            "Clear the run from its first task on: `create_cleaned_table` and what follows it.",
        )


def stamp_of(load: Load) -> str:
    """Name the load that an incoming table was made for."""
    return f"load {load.load_id}, generation {load.generation}"


def _sequence(tables: Tables) -> sql.Literal:
    return sql.Literal(f"{tables.schema}.generation_numbers")


def _one(cursor: psycopg.Cursor[Any]) -> tuple[Any, ...]:
    row = cursor.fetchone()
    if row is None:
        raise AssertionError("the statement gave no row")
    return tuple(row)
