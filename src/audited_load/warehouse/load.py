"""A cleaned file → the incoming table: register the load, empty the table, copy.

Each function can be killed anywhere and called again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from audited_load.blocks import SOURCE_RECORD
from audited_load.errors import BadDataError, PipelineError, RefusedError, UnavailableError
from audited_load.rejects import read_rejects
from audited_load.report import CleanReport
from audited_load.warehouse.tables import Tables

COPY_BYTES = 2**20
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
_COPY_REJECTED = (
    "copy {rejected} (load_id, source_record, source_line, byte_offset, reasons, raw_record) from stdin"
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


def copy_cleaned(connection: psycopg.Connection, tables: Tables, load: Load) -> tuple[int, float]:
    """Copy the cleaned file into the incoming table, and the rejects into the quarantine.

    Args:
        connection: In autocommit mode.
        tables: Their names.
        load: The load, whose incoming table was made before.

    Returns:
        Rows in the incoming table, and the seconds that it took.

    Raises:
        RefusedError: The incoming table is another load's.
    """
    started = time.monotonic()
    names = sql.SQL(", ").join(map(sql.Identifier, [*tables.feed.names, SOURCE_RECORD]))
    with connection.transaction(), connection.cursor() as cursor:
        require_incoming(connection, tables, load)
        cursor.execute(tables.fill("truncate {incoming}"))
        statement = tables.fill("copy {incoming} ({names}) from stdin (format csv, header match)", names=names)
        with cursor.copy(statement) as copy, Path(load.report.cleaned_file).open("rb") as file:
            while chunk := file.read(COPY_BYTES):
                copy.write(chunk)
        rows = cursor.rowcount
        cursor.execute(tables.fill("delete from {rejected} where load_id = %s"), (load.load_id,))
        with cursor.copy(tables.fill(_COPY_REJECTED)) as copy:
            for reject in read_rejects(Path(load.report.rejected_file)):
                place = (load.load_id, reject.record, reject.line, reject.offset)
                copy.write_row((*place, "; ".join(reject.reasons), reject.raw.decode()))
    return rows, time.monotonic() - started


def require_incoming(connection: psycopg.Connection, tables: Tables, load: Load) -> None:
    """Check that the incoming table was made for this load.

    Raises:
        RefusedError: It was not; another run may have taken over.
    """
    relation = f'"{tables.schema}"."{tables.feed.name}_incoming"'
    found = connection.execute("select obj_description(to_regclass(%s), 'pg_class')", (relation,)).fetchone()
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
