"""The accounting of a cleaned file → a row in the ledger and an empty incoming table.

Each function can be killed anywhere and called again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
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
_FIND_LOAD = (
    "select load_id from {loads}"
    " where run_id = %(run_id)s and sha256 = %(sha256)s and code_version = %(code_version)s"
)
_ENTER_LOAD = (
    "insert into {loads} ({names}, started_at, status) values ({values}, now(), 'loading') returning load_id"
)
# In merge mode a file counts as visible, too, if later ones were merged after it.
_FIND_VISIBLE = (
    "select p.generation, exists ("
    " select 1 from {loads} as l where l.sha256 = %(sha256)s and l.code_version = %(code_version)s"
    " and l.status = 'published' and l.generation = p.generation"
    " and (l.load_id = p.load_id or %(mode)s = 'merge')"
    ") from {published} as p"
)
_MARK_UNCHANGED = "update {loads} set status = 'unchanged' where load_id = %s and status = 'loading'"
_MARK_LOADING = (
    "update {loads} set status = 'loading', started_at = now(), generation = null, published_at = null,"
    " previous_load = null, inserted = null, updated = null, unchanged = null, outdated = null, visible_rows = null"
    " where load_id = %s and status <> 'published'"
)
_EMPTY_INCOMING = (
    "drop table if exists {incoming}",
    "create table {incoming} (like {generations} including defaults)",
    "alter table {incoming} alter loaded_at set default now()",
    "alter table {incoming} alter load_id set default {load_id}, alter confirmed_by set default {load_id}",
    "alter table {incoming} alter generation set default {number}",
    # The check makes attaching the partition instant.
    "alter table {incoming} add check (generation = {number})",
    "comment on table {incoming} is {stamp}",
)


MODES = ("replace", "merge")
"""The file is the whole truth; or it holds new and corrected records."""


@dataclass(frozen=True)
class Load:
    """One load, as the steps hand it on.

    Attributes:
        load_id: Its row in the ledger.
        run_id: The run that brings it.
        generation: The generation that it fills or merges into, or None if readers see its content already.
        merges: Whether it goes into a generation that readers see already.
        report: The accounting of its file.
    """

    load_id: int
    run_id: str
    generation: int | None
    merges: bool
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


@dataclass(frozen=True)
class Delivery:
    """What a run brings, and how.

    Attributes:
        run_id: The run.
        run_date: The day that it is for: of two values for one key in merge mode, that of the later day wins.
        mode: One of `MODES`.
        version: Of the code and the rules; the same file under new rules is another load.
    """

    run_id: str
    run_date: datetime
    mode: str
    version: str

    def __post_init__(self) -> None:
        """Check the mode.

        Raises:
            RefusedError: There is no such mode.
        """
        if self.mode not in MODES:
            raise RefusedError(f"There is no mode {self.mode!r}.", f"Use one of {', '.join(MODES)}.")


@contextmanager
def exclusive(connection: psycopg.Connection, tables: Tables) -> Iterator[None]:
    """Keep other connections away from the incoming table while the block runs.

    The lease can't do it: a server goes on for a while with what a killed client had asked for.
    """
    lock = (tables.relation("_incoming"),)
    connection.execute("select pg_advisory_lock(hashtext(%s))", lock)
    try:
        yield
    finally:
        # With the connection, the lock is gone, too.
        with suppress(psycopg.OperationalError):
            connection.execute("select pg_advisory_unlock(hashtext(%s))", lock)


def register_load(connection: psycopg.Connection, tables: Tables, report: CleanReport, delivery: Delivery) -> Load:
    """Enter a load into the ledger; a retry finds its own row again.

    Args:
        connection: In autocommit mode, with the run's lease held.
        tables: Where the ledger lies.
        report: The accounting of its file.
        delivery: What the run is.

    Returns:
        The load; without a generation if readers see this very content already.
    """
    row: dict[str, Any] = {
        "run_id": delivery.run_id,
        "run_date": delivery.run_date,
        "mode": delivery.mode,
        "source_name": report.source,
        **{f"total_{name}": value for name, value in report.totals.items()},
        "rule_counts": json.dumps(report.rules),
        "reason_counts": json.dumps(report.reasons),
        "code_version": delivery.version,
    }
    row |= {name: getattr(report, name) for name in _COPIED_TO_LEDGER}
    names = sql.SQL(", ").join(map(sql.Identifier, row))
    values = sql.SQL(", ").join(map(sql.Placeholder, row))
    with connection.transaction():
        # Not `on conflict`, which would use up a number at each retry.
        found = connection.execute(tables.fill(_FIND_LOAD), row).fetchone()
        (load_id,) = found or _one(connection.execute(tables.fill(_ENTER_LOAD, names=names, values=values), row))
        visible = connection.execute(tables.fill(_FIND_VISIBLE), row).fetchone()
        if visible and visible[1]:
            connection.execute(tables.fill(_MARK_UNCHANGED), (load_id,))
            return Load(load_id, delivery.run_id, None, merges=False, report=report)
        connection.execute(tables.fill(_MARK_LOADING), (load_id,))
        if visible and delivery.mode == "merge":
            return Load(load_id, delivery.run_id, visible[0], merges=True, report=report)
        (generation,) = _one(
            connection.execute(tables.fill("select nextval({sequence})", sequence=_sequence(tables)))
        )
    return Load(load_id, delivery.run_id, generation, merges=False, report=report)


def empty_incoming(connection: psycopg.Connection, tables: Tables, load: Load) -> None:
    """Make the incoming table, empty, for this load. What readers see is another table."""
    parts = {
        "number": sql.Literal(load.generation),
        "load_id": sql.Literal(load.load_id),
        "stamp": sql.Literal(stamp_of(load)),
    }
    with exclusive(connection, tables), connection.transaction():
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
