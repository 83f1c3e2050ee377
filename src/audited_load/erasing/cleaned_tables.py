"""One person's id → gone from every table of the warehouse, and from the raw texts of its quarantine.

Totals stay: a row loses the id, and nothing else. Each function can be killed anywhere and called again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
from psycopg import sql

from audited_load.erasing.layout_files import read_layout_beside
from audited_load.erasing.raw_texts import BATCH, Doubts, scrub_refused, split_reasons
from audited_load.erasing.register import exists
from audited_load.erasing.rewriting import Wanted
from audited_load.erasing.splitting import RawLayout
from audited_load.loading.replays import forget_gone
from audited_load.warehouse.catalogue import count_holders, find_tables
from audited_load.warehouse.tables import Tables

_LAYOUTS = "select distinct run_id, header, delimiter from {loads}"
_ENCODINGS = "select distinct encoding from {loads} where encoding like '% (declared)'"
_NULL = "update {table} set {subject} = null where {subject} = any(%s)"
# Whatever the spelling, the digits of the id are in it: with marks between them, or in another script.
_SUSPECTS = r"""
    select r.load_id, r.source_record, r.reject_id, r.raw_record, r.reasons, l.header, l.delimiter
    from {rejects} as r inner join {loads} as l using (load_id)
    where r.raw_record ~ '[^\x01-\x7f]' or exists (
        select 1 from unnest(%s::text[]) as digits
        where position(digits in r.raw_record) > 0
            or position(digits in regexp_replace(r.raw_record, '\\x[0-9a-f]{{2}}|[^0-9]', '', 'g')) > 0
    )
"""
_SCRUB = """
    update {rejects} set raw_record = %(raw)s, reasons = %(reasons)s
    where load_id = %(load_id)s and source_record = %(source_record)s returning reject_id
"""
# A record is known by its raw text: what is known of the old text is true of the new one.
_RENAME = """
    insert into {closed} (reject_id, closed_by, seen_by, closed_at)
    select %(new)s, closed_by, seen_by, closed_at from {closed} where reject_id = %(old)s
    on conflict (reject_id) do nothing
"""


class Layouts:
    """How the fields lay in the files that were loaded: of those of a run, and of all."""

    def __init__(self, by_run: dict[str, list[RawLayout]], plain: RawLayout) -> None:
        self._by_run = by_run
        known = dict.fromkeys([*(one for of_run in by_run.values() for one in of_run), plain])
        self._guesses = [replace(layout, is_guess=True) for layout in known]

    def of(self, data: Path, paths: Sequence[Path]) -> list[RawLayout]:
        """Return those that a rejected file may have.

        What lies beside the file counts first, then what the ledger says of its run. A file of another run, or of
        none, may have had another header than all that the ledger knows: these are guesses.

        Args:
            data: The data folder.
            paths: The file's names, below it.
        """
        for path in paths:
            if (own := read_layout_beside(path)) is not None:
                return [own]
        folders = {part for path in paths for part in path.relative_to(data).parent.parts}
        for folder in folders & self._by_run.keys():
            return self._by_run[folder]
        return self._guesses


def read_layouts(connection: psycopg.Connection, tables: Tables) -> Layouts:
    """Read from the ledger how the fields lay in the files that were loaded, by the names of runs' folders."""
    by_run: dict[str, list[RawLayout]] = {}
    if exists(connection, tables, "loads"):
        for run_id, header, mark in connection.execute(tables.fill(_LAYOUTS)).fetchall():
            by_run.setdefault(name_run_folder(run_id), []).append(RawLayout.of_ledger(header, mark))
    return Layouts(by_run, RawLayout(tuple(tables.feed.names), ","))


def read_encodings(connection: psycopg.Connection, tables: Tables) -> tuple[str, ...]:
    """Read from the ledger which encodings files were declared to have, that of all files included."""
    found = {tables.feed.form.encoding} if tables.feed.form.encoding else set()
    if exists(connection, tables, "loads"):
        found |= {row[0].partition(" ")[0] for row in connection.execute(tables.fill(_ENCODINGS)).fetchall()}
    return tuple(sorted(found))


def name_run_folder(run_id: str) -> str:
    """Name the folder of a run's files."""
    return re.sub(r"[^\w.+-]", "_", run_id)


def erase_from_tables(connection: psycopg.Connection, tables: Tables, ids: frozenset[int]) -> dict[str, int]:
    """Take the id out of every table of the schema that has the subject's column, and out of the quarantine.

    Readers see all of it or nothing, and wait for nothing.

    Args:
        connection: In autocommit mode, as the role that owns the tables, with the lease held.
        tables: Their names.
        ids: Who is to be erased.

    Returns:
        Rows by table.
    """
    counts: dict[str, int] = {}
    with connection.transaction():
        for name in find_tables(connection, [tables.schema], tables.feed.subject):
            statement = sql.SQL(_NULL).format(
                table=sql.Identifier(*name), subject=sql.Identifier(tables.feed.subject)
            )
            counts[".".join(name)] = connection.execute(statement, (list(ids),)).rowcount
        if exists(connection, tables, _rejects(tables)):
            counts[f"{tables.schema}.{_rejects(tables)}"] = _erase_raw(connection, tables, ids)
        if exists(connection, tables, "published"):
            # What changed since the load before can't be told any more: marts are to be built from all rows.
            connection.execute(tables.fill("update {published} set changes_since = null"))
    return {name: count for name, count in counts.items() if count}


def count_in_tables(connection: psycopg.Connection, tables: Tables, ids: frozenset[int]) -> dict[str, int]:
    """Count what `erase_from_tables` would erase, and change nothing."""
    counts = count_holders(connection, [tables.schema], tables.feed.subject, ids)
    if exists(connection, tables, _rejects(tables)):
        with connection.transaction():
            counts[f"{tables.schema}.{_rejects(tables)}"] = sum(1 for _ in _find_raw(connection, tables, ids))
    return {name: count for name, count in counts.items() if count}


def _rejects(tables: Tables) -> str:
    return f"{tables.feed.name}_rejected_by_load"


class _Found(NamedTuple):
    """A refused record of the person: where it is, and how it is to be."""

    load_id: int
    source_record: int
    reject_id: UUID
    raw: str
    reasons: str


def count_lookalikes(connection: psycopg.Connection, tables: Tables, ids: frozenset[int]) -> int:
    """Count the refused records that hold the digits of the id in a spelling that may be another's."""
    doubts = Doubts()
    if exists(connection, tables, _rejects(tables)):
        with connection.transaction():
            for _ in _find_raw(connection, tables, ids, doubts):
                pass
    return doubts.lookalikes


def _find_raw(
    connection: psycopg.Connection, tables: Tables, ids: frozenset[int], doubts: Doubts | None = None
) -> Iterator[_Found]:
    with connection.cursor(name="suspects") as cursor:
        cursor.execute(tables.fill(_SUSPECTS), ([str(number) for number in ids],))
        while rows := cursor.fetchmany(BATCH):
            scrubbed = _scrub_rows(rows, Wanted(tables.feed, ids), doubts or Doubts())
            for row, fresh in zip(rows, scrubbed, strict=True):
                if fresh is not None:
                    yield _Found(row[0], row[1], row[2], *fresh)


def _erase_raw(connection: psycopg.Connection, tables: Tables, ids: frozenset[int]) -> int:
    scrubbed = 0
    for found in _find_raw(connection, tables, ids):
        values: dict[str, Any] = {**found._asdict(), "old": found.reject_id}
        (values["new"],) = connection.execute(tables.fill(_SCRUB), values).fetchone() or (found.reject_id,)
        connection.execute(tables.fill(_RENAME), values)
        scrubbed += 1
    forget_gone(connection, tables)
    return scrubbed


def _scrub_rows(rows: Sequence[tuple[Any, ...]], wanted: Wanted, doubts: Doubts) -> list[tuple[str, str] | None]:
    """Scrub rows of the quarantine, each as the file of its load was laid out."""
    feed = wanted.feed
    by_layout: dict[RawLayout, list[int]] = {}
    for place, (*_, header, mark) in enumerate(rows):
        by_layout.setdefault(RawLayout.of_ledger(header, mark), []).append(place)
    fresh: list[tuple[str, str] | None] = [None] * len(rows)
    for layout, places in by_layout.items():
        raws = [rows[place][3] for place in places]
        reasons = [split_reasons(rows[place][4], feed) for place in places]
        scrubbed = scrub_refused(raws, reasons, [layout], feed, wanted.ids.intersection, doubts)
        for place, one in zip(places, scrubbed, strict=True):
            if one is not None:
                fresh[place] = one[0], "; ".join(one[1])
    return fresh


def clean_up(connection: psycopg.Connection, tables: Tables) -> None:
    """Remove old row versions from the tables' pages, and the id from the planner's statistics."""
    names = find_tables(connection, [tables.schema], tables.feed.subject)
    names.append((tables.schema, _rejects(tables)))
    for name in names:
        if exists(connection, tables, name[1]):
            connection.execute(sql.SQL("vacuum (analyze) {}").format(sql.Identifier(*name)))
    if exists(connection, tables, f"{tables.feed.name}_generations"):
        connection.execute(tables.fill("analyze {generations}"))
