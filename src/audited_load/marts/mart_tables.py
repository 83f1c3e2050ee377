"""The tables of a set of marts: moved out of staging, tied to each other, made partitions, shown by name."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter

import psycopg
from psycopg import sql

from audited_load.marts.mart_manifest import ForeignKey
from audited_load.marts.sums import Sums

log = logging.getLogger(__name__)

_COLUMNS = """
    select array_agg(format('%%I %%s %%s', attname, format_type(atttypid, atttypmod), attnotnull) order by attname),
        array_agg(attname::text order by attnum)
    from pg_attribute
    where attrelid = to_regclass(%s) and attnum > 0 and not attisdropped and attname <> 'set_number'
"""
_KEY = """
    select array_agg(a.attname::text order by a.attnum) from pg_index as i
    inner join pg_attribute as a on i.indrelid = a.attrelid and a.attnum = any(i.indkey)
    where i.indisprimary and i.indrelid = %s::regclass
"""
_INDEXES = """
    select c.relname from pg_index as i inner join pg_class as c on i.indexrelid = c.oid
    where i.indrelid = %s::regclass
"""
# A view of changes shows two tables beside the one in the set.
_SHOWN_BY_VIEW = """
    select min(c.relname::text), bool_and(c.relnamespace = %s::regnamespace) and count(distinct c.oid) = 1
    from pg_depend as d
    inner join pg_rewrite as r on d.objid = r.oid
    inner join pg_class as c on d.refobjid = c.oid
    where r.ev_class = to_regclass(%s) and c.oid <> r.ev_class
        and d.classid = 'pg_rewrite'::regclass and d.refclassid = 'pg_class'::regclass
"""
# A partition that could not be dropped yet may be detached by now, so that only its name says whose it is.
_IN_SET = """
    select parent.relname from pg_class as parent
    inner join pg_class as part
        on parent.relnamespace = part.relnamespace and part.relname = parent.relname || '_s' || {number}
    where parent.relnamespace = {sets_name}::regnamespace and parent.relkind = 'p' and part.relkind = 'r'
    order by 1
"""
_KEPT_CHANGES = """
    select relname from pg_class
    where relnamespace = {sets_name}::regnamespace and relkind = 'r'
        and relname ~ '_s[0-9]+_(before|inserted)$'
        and regexp_replace(relname, '_s[0-9]+_(before|inserted)$', '') = {name}
"""
_TIES = """
    select child.relname, parent.relname from pg_constraint as k
    inner join pg_class as child on k.conrelid = child.oid
    inner join pg_class as parent on k.confrelid = parent.oid
    where k.contype = 'f' and k.connamespace = {sets_name}::regnamespace
"""
_PUBLISHED_NAMES = (
    "select relname from pg_class where relnamespace = {sets_name}::regnamespace and relkind = 'p' order by 1"
)
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
)
_NOTE_SHOWN = """
    insert into {sets}.builds (mart, relation, load_id, code, built_by, begun_at, built_at, is_tested)
    select {name}, {relation}::regclass, load_id, code, {built_by}, now(), now(), true
    from {sets}.published_sets where set_number = {number}
    on conflict (mart) do update set (
        relation, load_id, code, changes_set, built_by, begun_at, built_at, is_tested, failed_tests
    ) = row(
        excluded.relation, excluded.load_id, excluded.code, null, excluded.built_by, excluded.begun_at,
        excluded.built_at, excluded.is_tested, excluded.failed_tests
    )
"""
_FOREIGN_KEYS = """
    select conname, confrelid = to_regclass(%s) from pg_constraint
    where contype = 'f' and conrelid = %s::regclass and conkey = array(
        select a.attnum from unnest(%s::text[]) with ordinality as k (name, place)
        inner join pg_attribute as a on k.name = a.attname and a.attrelid = conrelid
        order by k.place
    )
"""
_KIND = """
    select relkind::text from pg_class
    where relname = {mart_name} and relnamespace = {staging_name}::regnamespace
"""


@dataclass(frozen=True)
class Marts:
    """Where marts are built and published. Which there are, dbt's manifest says; which a set has, the set itself.

    Attributes:
        staging: Schema in which they are built.
        sets: Schema of the published sets.
        views: Schema that readers see.
        source: Relation with one row, whose `load_id` is the load that is published now.
        history: Schema of what readers saw before.
        beside: Schemas in which marts are built that are never published.
        sums: What is added up of the marts when they are published.
    """

    staging: str
    sets: str
    views: str
    source: str
    history: str
    beside: tuple[str, ...] = ()
    sums: tuple[Sums, ...] = ()

    def fill(self, statement: str, **parts: sql.Composable) -> sql.Composed:
        """Compose a statement; `{staging}`, `{sets}` and `{views}` stand for the schemas."""
        return sql.SQL(statement).format(
            staging=sql.Identifier(self.staging),
            sets=sql.Identifier(self.sets),
            views=sql.Identifier(self.views),
            staging_name=sql.Literal(self.staging),
            sets_name=sql.Literal(self.sets),
            published_marts=sql.Literal(f"{self.views}.published_marts"),
            **parts,
        )


def bring_in(connection: psycopg.Connection, marts: Marts, mart: str, number: int, *, is_table: bool) -> None:
    """Move a mart that was built anew into the set; copy one that was not from the set that it shows."""
    parts = _parts(mart, number)
    if not is_table:
        source, _ = _shown_by_view(connection, marts, mart)
        columns, _ = columns_of(connection, f"{marts.sets}.{source}")
        parts |= {"source": sql.Identifier(marts.sets, source), "columns": each_column("{0}", columns)}
    for statement in _MOVE if is_table else _COPY:
        connection.execute(marts.fill(statement, **parts))
    # Names of indexes are unique in a schema, and dbt's are the same at each build.
    table = f"{marts.sets}.{mart}_s{number}"
    for place, (index,) in enumerate(connection.execute(_INDEXES, (table,)).fetchall()):
        names = {"index": sql.Identifier(index), "name": sql.Identifier(f"{mart}_s{number}_i{place}")}
        connection.execute(marts.fill("alter index {sets}.{index} rename to {name}", **names))


def tie(connection: psycopg.Connection, marts: Marts, mart: str, key: ForeignKey, number: int) -> None:
    """See to it that a mart's foreign key refers to the table of the same set, and to no other."""
    table, parent = f"{mart}_s{number}", f"{key.parent}_s{number}"
    arguments = (f"{marts.sets}.{parent}", f"{marts.sets}.{table}", list(key.columns))
    is_there = False
    for name, refers_to_ours in connection.execute(_FOREIGN_KEYS, arguments).fetchall():
        if refers_to_ours and not is_there:
            is_there = True
            continue
        drop = "alter table {sets}.{table} drop constraint {name}"
        connection.execute(marts.fill(drop, table=sql.Identifier(table), name=sql.Identifier(name)))
    if not is_there:
        add = "alter table {sets}.{table} add foreign key ({columns}) references {sets}.{parent} ({keys})"
        parts = {"table": sql.Identifier(table), "parent": sql.Identifier(parent)}
        listed = {"columns": each_column("{0}", key.columns), "keys": each_column("{0}", key.parent_columns)}
        connection.execute(marts.fill(add, **parts, **listed))


def attach(connection: psycopg.Connection, marts: Marts, mart: str, number: int) -> bool:
    """Make the table a partition; the partitioned table and the readers' view are made if they are missing.

    Gives whether they were made.

    If the model's columns have changed, both are made anew: only then do readers wait. Then the sets before go, and
    also if the mart is new: they don't hold it. Sums are not worth that: without them rows are added up.
    """
    parts = _parts(mart, number)
    columns, wanted = columns_of(connection, f"{marts.sets}.{mart}_s{number}")
    _, found = columns_of(connection, f"{marts.sets}.{mart}")
    if found != wanted:
        if found is not None:
            log.info("%s has other columns than before: its earlier sets are dropped", mart)
            drop_mart(connection, marts, mart)
        if all(mart != one.name for one in marts.sums):
            connection.execute(marts.fill("update {sets}.published_sets set is_dropped = true"))
        connection.execute(marts.fill(_MAKE_PARENT, **parts))
        connection.execute(marts.fill(_SHOW_TO_READERS, columns=each_column("{0}", columns), **parts))
    connection.execute(marts.fill(_ATTACH, **parts))
    return found != wanted


def drop_removed(connection: psycopg.Connection, marts: Marts, names: Sequence[str]) -> None:
    """Drop marts that are published and that the dbt project no longer has, with the readers' views of them."""
    for (mart,) in connection.execute(marts.fill(_PUBLISHED_NAMES)).fetchall():
        if mart not in names:
            log.info("%s is no longer a model: it is dropped", mart)
            drop_mart(connection, marts, mart)


def drop_mart(connection: psycopg.Connection, marts: Marts, mart: str) -> None:
    """Drop a mart with all of its sets, and what was kept to take their changes back."""
    name = sql.Identifier(mart)
    # In the order in which a reader's query locks them.
    connection.execute(marts.fill("drop view if exists {views}.{mart} cascade", mart=name))
    connection.execute(marts.fill("drop table {sets}.{mart} cascade", mart=name))
    for (kept,) in connection.execute(marts.fill(_KEPT_CHANGES, name=sql.Literal(mart))).fetchall():
        connection.execute(marts.fill("drop table {sets}.{kept}", kept=sql.Identifier(kept)))


def names_in_set(connection: psycopg.Connection, marts: Marts, number: int) -> list[str]:
    """Find out which marts a set has, those that others refer to first."""
    found = connection.execute(marts.fill(_IN_SET, number=sql.Literal(number))).fetchall()
    parents: dict[str, set[str]] = {row[0]: set() for row in found}
    tables = {f"{name}_s{number}": name for name in parents}
    for child, parent in connection.execute(marts.fill(_TIES)).fetchall():
        if child in tables and parent in tables:
            parents[tables[child]].add(tables[parent])
    return list(TopologicalSorter(parents).static_order())


def find_shown_set(connection: psycopg.Connection, marts: Marts, names: Sequence[str]) -> int | None:
    """Find the set that the views in staging show, if all marts are views of one set, and not of changes to it."""
    numbers = set()
    for mart in names:
        table, is_as_published = _shown_by_view(connection, marts, mart)
        numbers.add(int(table.rpartition("_s")[2]) if is_as_published else None)
    return numbers.pop() if len(numbers) == 1 else None


def show_in_staging(connection: psycopg.Connection, marts: Marts, names: Sequence[str], number: int) -> None:
    """Leave views where the marts were built, so that queries there go on; dbt replaces them by tables."""
    has_builds = connection.execute("select to_regclass(%s) is not null", (f"{marts.sets}.builds",)).fetchone()
    sums = {one.name for one in marts.sums}
    for mart in (name for name in names if name not in sums):
        kind = connection.execute(marts.fill(_KIND, mart_name=sql.Literal(mart))).fetchone()
        if kind == ("r",):
            continue
        columns, _ = columns_of(connection, f"{marts.sets}.{mart}_s{number}")
        parts = _parts(mart, number) | {
            "columns": each_column("{0}", columns),
            "delta": sql.Identifier(marts.staging, f"{mart}_delta"),
            "gone": sql.Identifier(marts.staging, f"{mart}_gone"),
        }
        for statement in _SHOW_IN_STAGING:
            connection.execute(marts.fill(statement, **parts))
        # A warehouse of before gets the table when dbt comes next.
        if has_builds == (True,):
            noted = {"name": mart, "relation": f"{marts.staging}.{mart}", "built_by": f"set {number}"}
            values = {key: sql.Literal(value) for key, value in noted.items()}
            connection.execute(marts.fill(_NOTE_SHOWN, number=sql.Literal(number), **values))


def _shown_by_view(connection: psycopg.Connection, marts: Marts, mart: str) -> tuple[str, bool]:
    """Return a table that a view in staging shows, and whether it is one of a set, and the only one."""
    found = connection.execute(_SHOWN_BY_VIEW, (marts.sets, f"{marts.staging}.{mart}")).fetchone()
    return (found[0] or "", bool(found[1])) if found else ("", False)


def key_of(connection: psycopg.Connection, table: str) -> list[str]:
    """Return the columns of a table's primary key; none if it has none."""
    (columns,) = connection.execute(_KEY, (table,)).fetchone() or (None,)
    return columns or []


def each_column(form: str, *columns: Sequence[str], between: str = ", ") -> sql.Composed:
    """Write the same of each column, or of each pair of them."""
    names = zip(*columns, strict=True)
    return sql.SQL(between).join(sql.SQL(form).format(*map(sql.Identifier, each)) for each in names)


def columns_of(connection: psycopg.Connection, table: str) -> tuple[list[str], list[str] | None]:
    """Return the names of a table's own columns, in order, and what describes them; None if there is no table."""
    described, names = connection.execute(_COLUMNS, (table,)).fetchone() or (None, None)
    return names or [], described


def _parts(mart: str, number: int) -> dict[str, sql.Composable]:
    return {
        "mart": sql.Identifier(mart),
        "table": sql.Identifier(f"{mart}_s{number}"),
        "number": sql.Literal(number),
    }
