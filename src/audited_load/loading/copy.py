"""Cleaned files → the incoming table, over two connections; rejected files → the quarantine.

The parts are transactions of their own: nobody reads the incoming table before its audit, and a copy that was
killed between them is begun again from an empty table.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import psycopg
from psycopg import sql

from audited_load.columns import SOURCE_RECORD
from audited_load.errors import RefusedError
from audited_load.loading.batch import Batch, Load
from audited_load.loading.incoming import require_incoming
from audited_load.loading.quarantine import COPY_BYTES, copy_rejects
from audited_load.warehouse.connection import connect, exclusive
from audited_load.warehouse.tables import Tables

BYTES_PER_CONNECTION = 2**25
"""A smaller file gains nothing from a second connection."""
CONNECTIONS = 2
"""More gained nothing where the server had two processors."""


def copy_cleaned(connection: psycopg.Connection, dsn: str, tables: Tables, batch: Batch) -> tuple[int, float]:
    """Copy the cleaned files into the incoming table, and their rejects into the quarantine.

    Another attempt at the same batch waits until this one has ended.

    Args:
        connection: In autocommit mode.
        dsn: Connection string, for the connections beside it.
        tables: Their names.
        batch: The files, whose incoming table was made before.

    Returns:
        Rows in the incoming table, and the seconds that it took.

    Raises:
        RefusedError: The incoming table is another batch's, or a file has other columns.
    """
    started, rows = time.monotonic(), 0
    with exclusive(connection, tables), connect(dsn) as other:
        require_incoming(connection, tables, batch)
        other.execute(tables.fill("truncate {incoming}"))
        for load in batch.loads:
            load_id = sql.Literal(load.load_id)
            defaults = "alter table {incoming} alter load_id set default {id}, alter confirmed_by set default {id}"
            other.execute(tables.fill(defaults, id=load_id))
            rows += _copy_load(connection, dsn, tables, load)
    return rows, time.monotonic() - started


def _copy_load(connection: psycopg.Connection, dsn: str, tables: Tables, load: Load) -> int:
    path = Path(load.report.cleaned_file)
    names = [*([name for name, _ in load.report.columns] or tables.feed.names), SOURCE_RECORD]
    cuts = _cut_file(path, names)
    with connection.transaction(), ThreadPoolExecutor(CONNECTIONS) as threads:
        copies = [threads.submit(_copy_span, dsn, tables, path, names, start, end) for start, end in pairwise(cuts)]
        copy_rejects(connection, tables, load)
        return sum(copy.result() for copy in copies)


def _cut_file(path: Path, names: list[str]) -> list[int]:
    """Cut a cleaned file between records: where the parts begin, and where the last one ends."""
    size = path.stat().st_size
    parts = min(CONNECTIONS, 1 + size // BYTES_PER_CONNECTION)
    with path.open("rb") as file:
        header = file.readline()
        if header.decode().strip() != ",".join(names):
            raise RefusedError(
                f"{path.name} has other columns than the table: {header.decode().strip()[:200]}.",
                "Clear the run from its first task on, so that the file is cleaned anew.",
            )
        cuts = [file.tell()]
        for part in range(1, parts):
            file.seek(size * part // parts)
            file.readline()  # no accepted value holds a line end
            cuts.append(file.tell())
    return [*cuts, size]


def _copy_span(dsn: str, tables: Tables, path: Path, names: Sequence[str], start: int, end: int) -> int:
    columns = sql.SQL(", ").join(map(sql.Identifier, names))
    statement = tables.fill("copy {incoming} ({columns}) from stdin (format csv)", columns=columns)
    with connect(dsn) as connection, connection.cursor() as cursor, path.open("rb") as file:
        file.seek(start)
        with cursor.copy(statement) as copy:
            while start < end and (chunk := file.read(min(COPY_BYTES, end - start))):
                start += len(chunk)
                copy.write(chunk)
        return cursor.rowcount
