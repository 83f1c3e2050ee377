"""The tables of a set of marts: moved out of staging, tied to each other, made partitions, shown by name."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass

import psycopg
from psycopg import sql

log = logging.getLogger(__name__)

_COLUMNS = """
    select array_agg(format('%%I %%s %%s', attname, format_type(atttypid, atttypmod), attnotnull) order by attname),
        array_agg(attname::text order by attnum)
    from pg_attribute
    where attrelid = to_regclass(%s) and attnum > 0 and not attisdropped and attname <> 'set_number'
"""
_INDEXES = """
    select c.relname from pg_index as i inner join pg_class as c on i.indexrelid = c.oid
    where i.indrelid = %s::regclass
"""
_SHOWN_BY_VIEW = """
    select c.relname from pg_depend as d
    inner join pg_rewrite as r on d.objid = r.oid
    inner join pg_class as c on d.refobjid = c.oid
    where r.ev_class = %s::regclass and c.relnamespace = %s::regnamespace
    limit 1
"""
_MOVE = (
    "alter table {staging}.{mart} add column set_number bigint not null default {number}",
    # The check makes attaching the partition instant; nobody sees the table while it is read for this.
    "alter table {staging}.{mart} add constraint is_of_its_set check (set_number = {number})",
    "alter table {staging}.{mart} rename to {table}",
    "alter table {staging}.{table} set schema {sets}",
)
_COPY = (
    "create table {sets}.{table} (like {source} including all)",
    "alter table {sets}.{table} drop constraint is_of_its_set, alter set_number set default {number}",
    "insert into {sets}.{table} ({columns}) select {columns} from {source}",
    "alter table {sets}.{table} add constraint is_of_its_set check (set_number = {number})",
    "drop view {staging}.{mart}",
)
_MAKE_PARENT = "create table {sets}.{mart} (like {sets}.{table}) partition by list (set_number)"
_ATTACH = "alter table {sets}.{mart} attach partition {sets}.{table} for values in ({number})"
_SHOW_TO_READERS = (
    "create view {views}.{mart} as select {columns} from {sets}.{mart}"
    " where set_number = (select set_number from {sets}.published)"
)
_SHOW_IN_STAGING = (
    # Not `create or replace`: the columns may be others.
    "drop view if exists {staging}.{mart} cascade",
    "drop table if exists {delta}, {gone}",
    "create view {staging}.{mart} as select {columns} from {sets}.{table}",
    "comment on view {staging}.{mart} is {origin}",
)
_FOREIGN_KEYS = """
    select conname, confrelid = to_regclass(%s) from pg_constraint
    where contype = 'f' and conrelid = %s::regclass
        and conkey = array[(select attnum from pg_attribute where attrelid = conrelid and attname = %s)]
"""
_KIND = """
    select relkind::text from pg_class
    where relname = {mart_name} and relnamespace = {staging_name}::regnamespace
"""


@dataclass(frozen=True)
class ForeignKey:
    """A column of a mart that refers to the column of the same name, the key of another mart."""

    mart: str
    column: str
    parent: str


@dataclass(frozen=True)
class Marts:
    """Which tables are published together, and where.

    Attributes:
        names: Tables, those that others refer to first.
        foreign_keys: Between them.
        staging: Schema in which they are built.
        sets: Schema of the published sets.
        views: Schema that readers see.
        source: Relation with one row, whose `load_id` is the load that is published now.
        history: Schema of what readers saw before.
    """

    names: tuple[str, ...]
    foreign_keys: tuple[ForeignKey, ...]
    staging: str
    sets: str
    views: str
    source: str
    history: str

    def fill(self, statement: str, **parts: sql.Composable) -> sql.Composed:
        """Compose a statement; `{staging}`, `{sets}` and `{views}` stand for the schemas."""
        return sql.SQL(statement).format(
            staging=sql.Identifier(self.staging),
            sets=sql.Identifier(self.sets),
            views=sql.Identifier(self.views),
            staging_name=sql.Literal(self.staging),
            names=sql.Literal(list(self.names)),
            published_marts=sql.Literal(f"{self.views}.published_marts"),
            **parts,
        )


def bring_in(connection: psycopg.Connection, marts: Marts, mart: str, number: int, *, is_table: bool) -> None:
    """Move a mart that was built anew into the set; copy one that was not from the set that it shows."""
    parts = _parts(mart, number)
    if not is_table:
        view = (f"{marts.staging}.{mart}", marts.sets)
        (source,) = connection.execute(_SHOWN_BY_VIEW, view).fetchone() or ("",)
        columns, _ = columns_of(connection, f"{marts.sets}.{source}")
        parts |= {"source": sql.Identifier(marts.sets, source), "columns": _listed(columns)}
    for statement in _MOVE if is_table else _COPY:
        connection.execute(marts.fill(statement, **parts))
    # Names of indexes are unique in a schema, and dbt's are the same at each build.
    table = f"{marts.sets}.{mart}_s{number}"
    for place, (index,) in enumerate(connection.execute(_INDEXES, (table,)).fetchall()):
        names = {"index": sql.Identifier(index), "name": sql.Identifier(f"{mart}_s{number}_i{place}")}
        connection.execute(marts.fill("alter index {sets}.{index} rename to {name}", **names))


def tie(connection: psycopg.Connection, marts: Marts, key: ForeignKey, number: int) -> None:
    """See to it that a foreign key refers to the table of the same set, and to no other."""
    table, parent = f"{key.mart}_s{number}", f"{key.parent}_s{number}"
    arguments = (f"{marts.sets}.{parent}", f"{marts.sets}.{table}", key.column)
    is_there = False
    for name, refers_to_ours in connection.execute(_FOREIGN_KEYS, arguments).fetchall():
        if refers_to_ours and not is_there:
            is_there = True
            continue
        drop = "alter table {sets}.{table} drop constraint {name}"
        connection.execute(marts.fill(drop, table=sql.Identifier(table), name=sql.Identifier(name)))
    if not is_there:
        add = "alter table {sets}.{table} add foreign key ({column}) references {sets}.{parent} ({column})"
        names = {"table": table, "parent": parent, "column": key.column}
        connection.execute(marts.fill(add, **{name: sql.Identifier(value) for name, value in names.items()}))


def attach(connection: psycopg.Connection, marts: Marts, mart: str, number: int) -> bool:
    """Make the table a partition; the partitioned table and the readers' view are made if they are absent.

    Gives whether they were made.

    If the model's columns have changed, both are made anew and the sets before it go: only then do readers wait.
    """
    parts = _parts(mart, number)
    columns, wanted = columns_of(connection, f"{marts.sets}.{mart}_s{number}")
    _, found = columns_of(connection, f"{marts.sets}.{mart}")
    if found != wanted:
        if found is not None:
            log.info("%s has other columns than before: its earlier sets are dropped", mart)
            connection.execute(marts.fill("drop table {sets}.{mart} cascade", **parts))
            connection.execute(marts.fill("update {sets}.published_sets set is_dropped = true"))
        connection.execute(marts.fill(_MAKE_PARENT, **parts))
        connection.execute(marts.fill(_SHOW_TO_READERS, columns=_listed(columns), **parts))
    connection.execute(marts.fill(_ATTACH, **parts))
    return found != wanted


def find_shown_set(connection: psycopg.Connection, marts: Marts) -> int | None:
    """Find the set that the views in staging show, if all marts are views of one set."""
    numbers = set()
    for mart in marts.names:
        found = connection.execute(_SHOWN_BY_VIEW, (f"{marts.staging}.{mart}", marts.sets)).fetchone()
        numbers.add(int(found[0].rpartition("_s")[2]) if found else None)
    return numbers.pop() if len(numbers) == 1 else None


def show_in_staging(connection: psycopg.Connection, marts: Marts, number: int, load_id: int) -> None:
    """Leave views where the marts were built, so that queries there go on; dbt replaces them by tables."""
    for mart in marts.names:
        kind = connection.execute(marts.fill(_KIND, mart_name=sql.Literal(mart))).fetchone()
        if kind == ("r",):
            continue
        columns, _ = columns_of(connection, f"{marts.sets}.{mart}_s{number}")
        parts = _parts(mart, number) | {
            "columns": _listed(columns),
            "origin": sql.Literal(json.dumps({"load": str(load_id), "is_tested": True})),
            "delta": sql.Identifier(marts.staging, f"{mart}_delta"),
            "gone": sql.Identifier(marts.staging, f"{mart}_gone"),
        }
        for statement in _SHOW_IN_STAGING:
            connection.execute(marts.fill(statement, **parts))


def columns_of(connection: psycopg.Connection, table: str) -> tuple[list[str], list[str] | None]:
    """Give the names of a table's own columns, in order, and what describes them; None if there is no table."""
    described, names = connection.execute(_COLUMNS, (table,)).fetchone() or (None, None)
    return names or [], described


def _listed(names: list[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, names))


def _parts(mart: str, number: int) -> dict[str, sql.Composable]:
    return {
        "mart": sql.Identifier(mart),
        "table": sql.Identifier(f"{mart}_s{number}"),
        "number": sql.Literal(number),
    }
