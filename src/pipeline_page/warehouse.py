"""The environment → a connection of the role `reader`; and answers that are kept for as long as they are true."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from threading import Lock
from typing import Any, TypeVar

import psycopg
from psycopg import sql
from psycopg.rows import DictRow, dict_row

from audited_load.errors import UnavailableError
from audited_load.marts.sums import Sums

Connection = psycopg.Connection[DictRow]
Answer = TypeVar("Answer")

ANALYTICS = "analytics"
STATEMENT_SECONDS = 20
_ABSENT = (
    psycopg.errors.UndefinedTable,
    psycopg.errors.InvalidSchemaName,
    psycopg.errors.InsufficientPrivilege,
)
_PUBLISHED = "select set_number, load_id, published_at from analytics.published_marts"


class NothingLoadedError(Exception):
    """There is no ledger yet: no run has come as far as the load."""


@dataclass(frozen=True)
class PublishedMarts:
    """Which marts readers see.

    Attributes:
        set_number: The set.
        load_id: The load that it was built from.
        published_at: Since when they see it.
    """

    set_number: int
    load_id: int
    published_at: datetime


@contextmanager
def reading(dsn: str) -> Iterator[Connection]:
    """Connect for one view: one snapshot, so that all its figures are of the same moment.

    Raises:
        NothingLoadedError: There is no ledger yet.
        UnavailableError: The database can't be reached, or an answer takes too long.
    """
    settings = {
        "timezone": "UTC",
        "statement_timeout": f"{STATEMENT_SECONDS}s",
        "default_transaction_isolation": "repeatable\\ read",
    }
    options = " ".join(f"-c {name}={value}" for name, value in settings.items())
    try:
        with psycopg.connect(
            dsn, row_factory=dict_row, connect_timeout=5, options=options, application_name="pipeline_page"
        ) as connection:
            connection.read_only = True
            try:
                if connection.execute("select 1 from cleaned_data.loads limit 1").fetchone() is None:
                    raise NothingLoadedError
            except _ABSENT:
                raise NothingLoadedError from None
            yield connection
    except psycopg.OperationalError as error:
        raise UnavailableError(
            f"The warehouse can't be read now: {error.diag.message_primary or type(error).__name__}.",
            "Look at `make status`; `make up` starts what is down.",
        ) from None


def ask(connection: Connection, statement: str, parameters: Mapping[str, Any] | None = None) -> list[DictRow]:
    """Ask, and give no rows where what is asked for was not made yet."""
    try:
        with connection.transaction():
            return connection.execute(statement, parameters).fetchall()
    except _ABSENT:
        return []


def find_published(connection: Connection) -> PublishedMarts | None:
    """Find out which marts readers see; None before the first ones."""
    rows = ask(connection, _PUBLISHED)
    return PublishedMarts(**rows[0]) if rows else None


def source_of(connection: Connection, sums: Sums) -> str:
    """Return what to read sums from: those published with the marts or, where there are none, the marts themselves.

    Marts that were published by an earlier release have none (docs/adr/0044).
    """
    view = f"{ANALYTICS}.{sums.name}"
    if ask(connection, f"select from {view} limit 1"):
        return view
    added_up = sums.statement(lambda mart: sql.Identifier(ANALYTICS, mart)).as_string(connection)
    return f"({added_up}) as {sums.name}"


class Kept:
    """Answers about the published marts, which change with the marts only.

    Args:
        size: How many are kept.
    """

    def __init__(self, size: int = 128) -> None:
        self._size = size
        self._answers: OrderedDict[tuple[PublishedMarts, str], Any] = OrderedDict()
        self._lock = Lock()

    def get(self, marts: PublishedMarts, name: str, find: Callable[[], Answer]) -> Answer:
        """Return the answer of that name about these marts; find it if it isn't known."""
        key = (marts, name)
        with self._lock:
            if key in self._answers:
                self._answers.move_to_end(key)
                known: Answer = self._answers[key]
                return known
        answer = find()  # two threads may both look: better than that one waits for the other
        with self._lock:
            self._answers[key] = answer
            while len(self._answers) > self._size:
                self._answers.popitem(last=False)  # what nobody has asked for the longest
        return answer
