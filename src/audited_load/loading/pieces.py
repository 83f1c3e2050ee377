"""Which pieces of a batch's cleaned files are in the incoming table, each once, and whether none is missing.

A piece is a shard, or a span of a file that was cleaned in one piece. Its row is written in the transaction that
copies it: of two attempts the second waits for the first, and does nothing if that has committed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

import psycopg

from audited_load.errors import BadDataError, RefusedError
from audited_load.loading.batch import Batch, Load
from audited_load.warehouse.tables import Tables

_ENTER = """
    insert into {copied_pieces} (load_id, piece, pieces, rows) values (%s, %s, %s, 0)
    on conflict (load_id, piece) do nothing returning load_id
"""
_FIND = "select piece, pieces, rows from {copied_pieces} where load_id = %s order by piece"
_NOTE_ROWS = "update {copied_pieces} set rows = %s where load_id = %s and piece = %s"
_FORGET = "delete from {copied_pieces} where load_id = any(%s)"
_ANEW = "Clear the run from `truncate_cleaned_table` on. Nothing was published."


@dataclass(frozen=True)
class Piece:
    """A part of a load that is copied in one transaction.

    Attributes:
        load_id: The load.
        number: From 0.
        of: How many pieces the load has.
    """

    load_id: int
    number: int
    of: int


def enter_piece(connection: psycopg.Connection, tables: Tables, piece: Piece) -> bool:
    """Enter a piece as copied; waits for another transaction that is about to.

    Args:
        connection: In the transaction that is to copy it.
        tables: Where the pieces are entered.
        piece: The piece.

    Returns:
        False if it was copied before.

    Raises:
        RefusedError: It was, as one of another number of pieces.
    """
    entered = connection.execute(tables.fill(_ENTER), (piece.load_id, piece.number, piece.of)).fetchone()
    if entered is None:
        found = connection.execute(tables.fill(_FIND), (piece.load_id,)).fetchall()
        if any(pieces != piece.of for _, pieces, _ in found):
            raise RefusedError(f"Load {piece.load_id} was copied in other pieces before.", _ANEW)
    return entered is not None


def note_rows(connection: psycopg.Connection, tables: Tables, piece: Piece, rows: int) -> None:
    """Note how many rows a piece has, in the transaction that copies it."""
    connection.execute(tables.fill(_NOTE_ROWS), (rows, piece.load_id, piece.number))


def forget_pieces(connection: psycopg.Connection, tables: Tables, load_ids: Sequence[int]) -> None:
    """Forget what was copied of some loads, in the transaction that empties the incoming table."""
    connection.execute(tables.fill(_FORGET), (list(load_ids),))


def require_pieces(connection: psycopg.Connection, tables: Tables, batch: Batch) -> int:
    """Check that every piece of every load of a batch was copied, and that they have the rows of the accounting.

    Returns:
        How many rows that are.

    Raises:
        RefusedError: Pieces are missing.
        BadDataError: A piece, or all of a load, has another number of rows.
    """
    return sum(_require_load(connection, tables, load) for load in batch.loads)


def _require_load(connection: psycopg.Connection, tables: Tables, load: Load) -> int:
    report = load.report
    name = f"{report.source} (load {load.load_id})"
    found = connection.execute(tables.fill(_FIND), (load.load_id,)).fetchall()
    rows: dict[int, int] = {number: counted for number, _, counted in found}
    count = len(report.shards) or max((pieces for _, pieces, _ in found), default=1)
    missing = [number + 1 for number in range(count) if number not in rows]
    if missing:
        few = ", ".join(map(str, missing[:5])) + (" and more" if len(missing) > 5 else "")  # noqa: PLR2004 - for a line
        raise RefusedError(f"{name}: {len(missing)} of {count} pieces were not copied: {few}.", _ANEW)
    for number, shard in enumerate(report.shards):
        require_rows(f"{name}, shard {number + 1} of {count}", rows[number], shard.accepted)
    total = sum(rows.values())
    require_rows(name, total, report.accepted)
    return total


def require_rows(what: str, counted: int, wanted: int) -> None:
    """Check how many rows something came to.

    Raises:
        BadDataError: They are not as many as in the accounting.
    """
    if counted != wanted:
        refuse_untied(f"{what}: rows: {counted} in the table, {wanted} in the file")


def refuse_untied(what: str) -> NoReturn:
    """Say that table and accounting differ.

    Raises:
        BadDataError: Always.
    """
    raise BadDataError(
        f"The incoming table does not tie out. {what}.",
        "Nothing was published. Run it again from the first task on; the cleaned file may have been changed.",
    )
