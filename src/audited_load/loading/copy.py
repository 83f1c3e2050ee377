"""Cleaned files → the incoming table, each piece once; rejected files → the quarantine.

A piece is a shard of a large file, or a span of another. Each has a connection and a transaction of its own, which
takes a shared lock, checks whose the table is, enters the piece as copied, and copies. So a copy that was killed
leaves nothing, a second attempt waits for the first, and one for a table that is gone is refused.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import psycopg
from psycopg import sql

from audited_load.columns import SOURCE_RECORD
from audited_load.errors import RefusedError
from audited_load.loading.batch import Batch, Load
from audited_load.loading.incoming import require_incoming
from audited_load.loading.pieces import Piece, enter_piece, note_rows, require_pieces, require_rows
from audited_load.loading.quarantine import COPY_BYTES, copy_rejects
from audited_load.warehouse.connection import connect, shared
from audited_load.warehouse.tables import CONFIRMED_BY, Tables

BYTES_PER_CONNECTION = 2**25
"""A smaller file gains nothing from a second connection."""
CONNECTIONS = 2
"""More gained nothing where the server had two processors."""


@dataclass(frozen=True)
class _Span:
    """A piece as it lies in a file.

    Attributes:
        piece: Which.
        path: The cleaned file.
        names: Its columns.
        start: Where its first record begins, in bytes.
        end: Where its last record ends.
        rows: How many it must have; None if that is known of all spans of the file only.
    """

    piece: Piece
    path: Path
    names: tuple[str, ...]
    start: int
    end: int
    rows: int | None = None


def copy_cleaned(connection: psycopg.Connection, dsn: str, tables: Tables, batch: Batch) -> tuple[int, float]:
    """Copy the cleaned files that are no shards, and the rejects of all; then check that no piece is missing.

    What an earlier attempt has copied is left as it is.

    Args:
        connection: In autocommit mode.
        dsn: Connection string, for the connections beside it.
        tables: Their names.
        batch: The files, whose incoming table was made before, and into which the shards were copied.

    Returns:
        Rows in the incoming table, and the seconds that it took.

    Raises:
        RefusedError: The incoming table is another batch's, a file has other columns, or a shard is missing.
        BadDataError: A file has another number of rows than its accounting.
    """
    started = time.monotonic()
    spans = [span for load in batch.loads if not load.report.shards for span in _cut_file(tables, load)]
    with ThreadPoolExecutor(CONNECTIONS) as threads:
        copies = [threads.submit(_copy_span, dsn, tables, batch, span) for span in spans]
        try:
            for load in batch.loads:
                with shared(connection, tables):
                    require_incoming(connection, tables, batch)
                    copy_rejects(connection, tables, load)
            for copy in copies:
                copy.result()
        except BaseException:
            threads.shutdown(wait=False, cancel_futures=True)
            raise
    return require_pieces(connection, tables, batch), time.monotonic() - started


def copy_shard(dsn: str, tables: Tables, batch: Batch, piece: Piece, path: Path) -> int | None:
    """Copy one shard.

    Args:
        dsn: Connection string.
        tables: Their names.
        batch: Of which it is; its incoming table was made before.
        piece: Which shard of which load.
        path: Its cleaned file.

    Returns:
        How many rows were copied; None if another attempt had done so.

    Raises:
        RefusedError: The incoming table is another batch's, or the file has other columns.
        BadDataError: The file has another number of rows than the accounting says.
    """
    load = next(load for load in batch.loads if load.load_id == piece.load_id)
    names = _names(tables, load)
    start = _begin(path, names)
    rows = load.report.shards[piece.number].accepted
    return _copy_span(dsn, tables, batch, _Span(piece, path, names, start, path.stat().st_size, rows))


def _names(tables: Tables, load: Load) -> tuple[str, ...]:
    return (*([name for name, _ in load.report.columns] or tables.feed.names), SOURCE_RECORD)


def _begin(path: Path, names: tuple[str, ...]) -> int:
    """Return where the first record of a cleaned file begins.

    Raises:
        RefusedError: It has other columns.
    """
    with path.open("rb") as file:
        header = file.readline()
    if header.decode().strip() != ",".join(names):
        raise RefusedError(
            f"{path.name} has other columns than the table: {header.decode().strip()[:200]}.",
            "Clear the run from its first task on, so that the file is cleaned anew.",
        )
    return len(header)


def _cut_file(tables: Tables, load: Load) -> list[_Span]:
    """Cut a cleaned file between records."""
    path, names = Path(load.report.cleaned_file), _names(tables, load)
    size = path.stat().st_size
    parts = min(CONNECTIONS, 1 + size // BYTES_PER_CONNECTION)
    cuts = [_begin(path, names)]
    with path.open("rb") as file:
        for part in range(1, parts):
            file.seek(size * part // parts)
            file.readline()  # no accepted value holds a line end
            cuts.append(file.tell())
    return [
        _Span(Piece(load.load_id, number, parts), path, names, start, end)
        for number, (start, end) in enumerate(pairwise([*cuts, size]))
    ]


def _copy_span(dsn: str, tables: Tables, batch: Batch, span: _Span) -> int | None:
    with connect(dsn) as connection, shared(connection, tables):
        require_incoming(connection, tables, batch)
        if not enter_piece(connection, tables, span.piece):
            return None
        rows = _copy(connection, tables, span, in_rows=batch.only_load is None)
        if span.rows is not None:
            require_rows(f"Load {span.piece.load_id}, shard {span.piece.number + 1}", rows, span.rows)
        note_rows(connection, tables, span.piece, rows)
    return rows


def _copy(connection: psycopg.Connection, tables: Tables, span: _Span, *, in_rows: bool) -> int:
    """Copy a span; of several loads, each row says whose it is: the table's defaults must not change meanwhile."""
    further = ("load_id", CONFIRMED_BY) if in_rows else ()
    line_end = b",%d" % span.piece.load_id * len(further) + b"\n"
    columns = sql.SQL(", ").join(map(sql.Identifier, (*span.names, *further)))
    statement = tables.fill("copy {incoming} ({columns}) from stdin (format csv)", columns=columns)
    with connection.cursor() as cursor:
        with cursor.copy(statement) as copy:
            for chunk in _read(span):
                # No accepted value holds a line end.
                copy.write(chunk.replace(b"\n", line_end) if further else chunk)
        return cursor.rowcount


def _read(span: _Span) -> Iterator[bytes]:
    left = span.end - span.start
    with span.path.open("rb") as file:
        file.seek(span.start)
        while left > 0 and (chunk := file.read(min(COPY_BYTES, left))):
            left -= len(chunk)
            yield chunk
