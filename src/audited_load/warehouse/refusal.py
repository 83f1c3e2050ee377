"""An error of the database → what it is about, without any value of a row: for logs and alerts."""

from __future__ import annotations

import re

import psycopg

from audited_load.errors import BadDataError, PipelineError, RefusedError, UnavailableError


def name_refusal(error: psycopg.Error) -> str:
    """Name the kind of an error, and which table, column and constraint it is about; never a value."""
    kind = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(error).__name__).lower()
    diag = error.diag
    where = (("table", diag.table_name), ("column", diag.column_name), ("constraint", diag.constraint_name))
    return ", ".join([kind, *(f"{what} {name}" for what, name in where if name)])


_AWAY = (psycopg.OperationalError, psycopg.InterfaceError)
_NAMES_ONLY = (
    psycopg.errors.InsufficientPrivilege,
    psycopg.errors.InvalidSchemaName,
    psycopg.errors.UndefinedColumn,
    psycopg.errors.UndefinedTable,
)


def quotes_no_value(error: psycopg.Error) -> bool:
    """Return whether the server's own text can only name things, or say what is wrong with the server itself."""
    return isinstance(error, (*_AWAY, *_NAMES_ONLY))


def explain_refusal(error: psycopg.Error) -> str:
    """Say what the database refused: in its own words where these quote no value, else by kind."""
    said = error.diag.message_primary if isinstance(error, _NAMES_ONLY) else None
    return f"{said or name_refusal(error)} (SQLSTATE {error.sqlstate})"


def as_pipeline_error(error: psycopg.Error) -> PipelineError:
    """Make an error of the database one of the pipeline's: whether a retry helps, and what to do.

    Returns:
        UnavailableError: The server is away, restarts, is out of room, or a lock was not to be had.
        BadDataError: The data breaks a constraint of the table.
        RefusedError: Tables, rights or the server are not what the code expects.
    """
    if isinstance(error, _AWAY):
        return UnavailableError(
            f"The database can't be used now: {error.diag.message_primary or str(error).strip()}.",
            "Check that it runs and has room; the step is safe to run again.",
        )
    if isinstance(error, psycopg.IntegrityError | psycopg.DataError):
        # The server's own text may quote a value: `invalid input syntax for type bigint: "..."`.
        return BadDataError(
            f"The database refused the data: {explain_refusal(error)}.",
            "Nothing was published. File and table disagree: check for a changed column rule.",
        )
    return RefusedError(
        f"The database is not as the code expects it: {explain_refusal(error)}.",
        "Nothing was published. `make restart` sets schemas and rights right; the next run, `make run`, brings the"
        " tables to where the code is.",
    )
