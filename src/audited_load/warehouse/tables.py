"""The warehouse's tables and views for one feed, as SQL.

```
<schema>.<feed>_generations   partitioned by generation: one partition a published load
<schema>.<feed>_incoming      the table that a load fills; becomes a partition when it is published
<schema>.<feed>               view of the generation that <schema>.published points to: what readers see
<schema>.<feed>_changes       rows that the last merge touched, as they were (sign -1) and as they are (sign 1)
<schema>.<feed>_changed       view of them, while they lead from one load to the one that readers see
<schema>.<feed>_rejected_by_load   what each load refused
<schema>.<feed>_rejected_replays   which records a repaired file closes when it is published
<schema>.<feed>_rejected      view, the quarantine: one row a distinct record, when it was seen, what became of it
<schema>.quarantine_counts    view: how many of them by status and reason, and no raw text
<schema>.loads                ledger: one row a load, which is one file of one run
<schema>.published_load       view: the ledger's row of the load that readers see
```

A view over a pointer, and not a rename, because readers must never wait for DDL: moving the pointer is one
row updated (docs/adr/0002).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import psycopg
from psycopg import sql

from audited_load.columns import Amount, CalendarDate, Column, Feed, Text, WholeNumber
from audited_load.warehouse.quarantine_tables import QUARANTINE
from audited_load.warehouse.schemas import create_alone

INTEGER_MAX = 2**31 - 1
PROVENANCE = ("loaded_at", "load_id", "source_record")
CONFIRMED_BY = "confirmed_by"
"""The load that delivered a row last, with the same values or others: it decides whether a late one is too late."""


@dataclass(frozen=True)
class Tables:
    """Names of a feed's tables, ready to be put into SQL.

    Attributes:
        feed: The columns.
        schema: Name of the schema.
    """

    feed: Feed
    schema: str

    def named(self, suffix: str = "") -> sql.Identifier:
        """Name the feed's table with a suffix, such as `_incoming`."""
        return sql.Identifier(self.schema, f"{self.feed.name}{suffix}")

    def relation(self, suffix: str = "") -> str:
        """Name the feed's table with a suffix, quoted, for a cast to `regclass`."""
        return f'"{self.schema}"."{self.feed.name}{suffix}"'

    def other(self, name: str) -> sql.Identifier:
        """Name another table of the schema, such as `loads`."""
        return sql.Identifier(self.schema, name)

    def sums(self, row: str = "") -> sql.Composed:
        """Compose the control totals over rows of the feed, as one column each; `row` is an alias of theirs."""
        before = sql.SQL("({}).").format(sql.Identifier(row)) if row else sql.SQL("")
        totals = []
        for total in self.feed.totals:
            factors = [sql.SQL("{}{}::numeric").format(before, sql.Identifier(name)) for name in total.factors]
            totals.append(sql.SQL("coalesce(sum({}), 0)").format(sql.SQL(" * ").join(factors)))
        return sql.SQL(", ").join(totals)

    def columns(self, row: str) -> sql.Composed:
        """Compose the feed's columns of rows, by an alias of theirs, as a list."""
        names = [sql.SQL("({}).{}").format(sql.Identifier(row), sql.Identifier(name)) for name in self.feed.names]
        return sql.SQL(", ").join(names)

    def fill(self, statement: str, **parts: sql.Composable) -> sql.Composed:
        """Compose a statement; `{view}`, `{generations}`, `{incoming}`, … stand for the names."""
        return sql.SQL(statement).format(
            schema=sql.Identifier(self.schema),
            view=self.named(),
            generations=self.named("_generations"),
            incoming=self.named("_incoming"),
            rejects=self.named("_rejected_by_load"),
            quarantine=self.named("_rejected"),
            closed=self.named("_rejected_closed"),
            replays=self.named("_rejected_replays"),
            quarantine_counts=self.other("quarantine_counts"),
            quarantine_name=sql.Literal(f"{self.schema}.{self.feed.name}_rejected"),
            changes=self.named("_changes"),
            changed=self.named("_changed"),
            replaced=self.named("_replaced"),
            loads=self.other("loads"),
            published=self.other("published"),
            published_load=self.other("published_load"),
            lease=self.other("lease"),
            generation_numbers=self.other("generation_numbers"),
            loads_name=sql.Literal(f"{self.schema}.loads"),
            view_name=sql.Literal(f"{self.schema}.{self.feed.name}"),
            published_name=sql.Literal(f"{self.schema}.published"),
            published_load_name=sql.Literal(f"{self.schema}.published_load"),
            key=sql.Identifier(self.feed.key),
            **parts,
        )


def create_tables(connection: psycopg.Connection, tables: Tables, readers: Iterable[str]) -> None:
    """Make the tables and the views if they are absent; the schema is there.

    Args:
        connection: As the role that is to own them.
        tables: Their names.
        readers: Roles that may read the views, never the tables or the raw text of rejects.
    """
    columns = sql.SQL(", ").join(_column_sql(column) for column in tables.feed.columns)
    totals = sql.SQL(", ").join(
        sql.SQL("{} numeric").format(sql.Identifier(f"{of}_{total.name}"))
        for of in ("total", "visible")
        for total in tables.feed.totals
    )
    names = sql.SQL(", ").join(map(sql.Identifier, [*tables.feed.names, *PROVENANCE]))
    with connection.transaction():
        create_alone(connection, tables.schema)
        for statement in (*_STATEMENTS, *QUARANTINE):
            connection.execute(tables.fill(statement, columns=columns, totals=totals, names=names))
        for role in readers:
            if connection.execute("select 1 from pg_roles where rolname = %s", (role,)).fetchone():
                for statement in _GRANTS:
                    connection.execute(tables.fill(statement, role=sql.Identifier(role)))


def _column_sql(column: Column) -> sql.Composed:
    match column.kind:
        case WholeNumber(_, maximum):
            kind = "integer" if maximum <= INTEGER_MAX else "bigint"
        case Amount(precision, scale):
            kind = f"numeric({precision}, {scale})"
        case CalendarDate():
            kind = "date"
        case Text():
            kind = "text"
    null = sql.SQL("not null" if column.required else "null")
    return sql.SQL("{} {} {}").format(sql.Identifier(column.name), sql.SQL(kind), null)


_STATEMENTS = (
    "create sequence if not exists {generation_numbers}",
    """
    create table if not exists {loads} (
        load_id bigint generated always as identity primary key,
        run_id text not null,
        run_date timestamptz not null,
        generation bigint,
        mode text not null check (mode in ('replace', 'merge')),
        source_name text not null,
        sha256 text not null,
        bytes bigint not null,
        read bigint not null,
        accepted bigint not null,
        quarantined bigint not null,
        duplicates bigint not null,
        superseded bigint not null,
        inserted bigint,
        updated bigint,
        unchanged bigint,
        outdated bigint,
        visible_rows bigint,
        {totals},
        rule_counts jsonb not null,
        reason_counts jsonb not null,
        encoding text not null,
        delimiter text not null,
        header jsonb not null,
        started_at timestamptz not null,
        published_at timestamptz,
        status text not null check (status in ('loading', 'published', 'unchanged', 'rolled_back')),
        previous_load bigint references {loads} (load_id),
        code_version text not null,
        confirmed_for timestamptz,
        unique (run_id, source_name, sha256, code_version),
        check (read = accepted + quarantined + duplicates),
        check (accepted = inserted + updated + unchanged + outdated),
        check ((status in ('published', 'rolled_back')) = (generation is not null and published_at is not null))
    )
    """,
    """
    create table if not exists {generations} (
        {columns},
        loaded_at timestamptz not null,
        load_id bigint not null,
        source_record bigint not null,
        confirmed_by bigint not null,
        generation bigint not null,
        primary key (generation, {key})
    ) partition by list (generation)
    """,
    """
    create table if not exists {published} (
        only_row boolean primary key default true check (only_row),
        generation bigint not null,
        load_id bigint not null references {loads} (load_id),
        can_roll_back boolean not null default true,
        changes_since bigint
    )
    """,
    """
    create table if not exists {changes} (
        sign smallint not null check (sign in (-1, 1)),
        {columns},
        loaded_at timestamptz not null,
        load_id bigint not null,
        source_record bigint not null,
        confirmed_by bigint not null,
        generation bigint not null,
        primary key (sign, {key})
    )
    """,
    """
    create table if not exists {lease} (
        only_row boolean primary key default true check (only_row),
        holder text not null,
        expires_at timestamptz not null
    )
    """,
    # Made before an unchanged `replace` counted for its day: what the ledger knows of those is entered.
    """
    do $body$ begin
        if not exists (
            select 1 from pg_attribute where attrelid = to_regclass({loads_name}) and attname = 'confirmed_for'
        ) then
            set local lock_timeout = '10s';
            alter table {loads} add column confirmed_for timestamptz;
            update {loads} as l set confirmed_for = (
                select max(u.run_date) from {loads} as u
                where u.status = 'unchanged' and u.mode = 'replace' and u.load_id > l.load_id
                    and (u.sha256, u.code_version) = (l.sha256, l.code_version)
            )
            where l.status = 'published' and l.mode = 'replace'
                and l.generation = (select generation from {published});
        end if;
    end $body$
    """,
    # `create or replace view` would take a lock that readers wait for.
    """
    do $body$ begin
        -- Made before the marts could be merged.
        if not exists (
            select 1 from pg_attribute where attrelid = to_regclass({published_name}) and attname = 'changes_since'
        ) then
            alter table {published} add column changes_since bigint;
            drop view if exists {published_load};
            drop table if exists {replaced};
        end if;
        if to_regclass({view_name}) is null then
            create view {view} as
            select {names} from {generations}
            where generation = (select generation from {published});
        end if;
        if to_regclass({published_load_name}) is null then
            create view {published_load} as
            select loads.*, published.changes_since from {loads} as loads
            inner join {published} as published on loads.load_id = published.load_id;
            create view {changed} as
            select sign, {names} from {changes}
            where (select changes_since from {published}) is not null;
        end if;
    end $body$
    """,
)

_GRANTS = (
    "grant usage on schema {schema} to {role}",
    "grant select on {view}, {published_load}, {changed}, {loads}, {quarantine_counts} to {role}",
)
