"""Marts that were built and tested in a staging schema → what readers see: all of them at once, from one load.

```
<staging>.<mart>          where dbt builds and tests; a view of the published table once that is published
<sets>.<mart>             partitioned by set_number: one partition per published set
<sets>.published_sets     one row per set: the load that it was built from
<sets>.published          one row: the set that readers see
<sets>.builds             one row per mart: of which load and models dbt built it, when, and if it was tested
<views>.<mart>            view of that set, for readers
<views>.published_marts   view: which set, from which load, since when
```

What is asked for at every look is added up beside them, in tables of the set like theirs (`mart_sums.py`).

Tables are moved, not copied, and readers wait for no lock: a row that is updated decides what they see
(docs/adr/0009). Each function can be killed anywhere and called again.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import psycopg
from psycopg import sql

from audited_load.marts.mart_builds import Staged, find_builds, find_loaded, require_one_build
from audited_load.marts.mart_changes import apply_changes, forget_changes, undo_changes
from audited_load.marts.mart_comments import comment_views
from audited_load.marts.mart_manifest import Mart
from audited_load.marts.mart_sums import make_sums
from audited_load.marts.mart_tables import (
    Marts,
    attach,
    bring_in,
    drop_removed,
    find_shown_set,
    names_in_set,
    show_in_staging,
    tie,
)
from audited_load.warehouse.connection import locked, wait_for_planned
from audited_load.warehouse.retirement import IN_USE, bounded, drop_partition, oldest_transaction

log = logging.getLogger(__name__)

KEPT_LOADS = 2
"""Loads of which the marts are kept: the visible one, and the one before it for a rollback."""

_MAKE = (
    "create sequence if not exists {sets}.set_numbers",
    """
    create table if not exists {sets}.published_sets (
        set_number bigint primary key,
        load_id bigint not null,
        published_at timestamptz,
        retired_at timestamptz,
        is_dropped boolean not null default false,
        code text,
        previous_load_id bigint
    )
    """,
    # Made before the marts could be merged.
    """
    do $body$ begin
        if not exists (
            select 1 from pg_attribute where attrelid = '{sets}.published_sets'::regclass and attname = 'code'
        ) then
            alter table {sets}.published_sets add column code text, add column previous_load_id bigint;
        end if;
    end $body$
    """,
    """
    create table if not exists {sets}.published (
        only_row boolean primary key default true check (only_row),
        set_number bigint not null references {sets}.published_sets
    )
    """,
    """
    do $body$ begin
        if to_regclass({published_marts}) is null then
            create view {views}.published_marts as
            select set_number, load_id, published_at from {sets}.published_sets
            where set_number = (select set_number from {sets}.published);
        end if;
    end $body$
    """,
)
_ENTER_SET = "insert into {sets}.published_sets (set_number, load_id, code) values ({number}, {load_id}, {code})"
_POINT = (
    "update {sets}.published_sets set retired_at = now() where set_number <> {number} and retired_at is null",
    "update {sets}.published_sets set retired_at = null, published_at = now() where set_number = {number}",
    "insert into {sets}.published (set_number) values ({number})"
    " on conflict (only_row) do update set set_number = excluded.set_number",
)
_NEWEST_OF_LOAD = "select max(set_number) from {sets}.published_sets where load_id = {load_id} and not is_dropped"
# Of each of the loads that were shown last the newest set, unless one set serves a rollback; and what a reader's
# transaction may still look at. A set that was taken back was shown before the one that took its place.
_EXPIRED = """
    with newest as (
        select max(set_number) as set_number from {sets}.published_sets where not is_dropped
        group by load_id order by max(published_at) desc nulls last
        limit {kept} - (
            select count(previous_load_id) from {sets}.published_sets
            where set_number = (select set_number from {sets}.published)
        )
    )
    select s.set_number from {sets}.published_sets as s
    where s.set_number not in (select set_number from newest)
        and s.set_number <> (select set_number from {sets}.published)
        and s.retired_at <= {oldest}::timestamptz
    order by 1
"""
# When the sets that the last switch retired were out of sight for certain: it is committed by now.
_STAMP = """
    update {sets}.published_sets set retired_at = clock_timestamp()
    where retired_at = (
        select published_at from {sets}.published_sets where set_number = (select set_number from {sets}.published)
    )
"""


@dataclass(frozen=True)
class PublishedSet:
    """What readers see.

    Attributes:
        set_number: The set.
        load_id: The load that it was built from.
        changed: False if readers saw it already.
    """

    set_number: int
    load_id: int
    changed: bool


def publish_marts(connection: psycopg.Connection, marts: Marts, models: Sequence[Mart]) -> PublishedSet:
    """Let readers see the marts that were built and tested, all at once.

    Args:
        connection: In autocommit mode, as the role that owns the marts.
        marts: Where.
        models: Which.

    Returns:
        What readers see now.

    Raises:
        RefusedError: The marts were not all built from the load that is published now, by the same models, one
            after another, or not all have passed their tests since.
    """
    with locked(connection, f"publish {marts.views}"):
        with connection.transaction():
            for statement in _MAKE:
                connection.execute(marts.fill(statement))
        published = _find_unrecorded(connection, marts, models) or _publish(connection, marts, models)
        comment_views(connection, marts, models)
        drop_expired_sets(connection, marts)
    return published


def _find_unrecorded(connection: psycopg.Connection, marts: Marts, models: Sequence[Mart]) -> PublishedSet | None:
    """Find the visible set if it is all that there is, published when there was no table of builds."""
    if any(build.is_known for build in find_builds(connection, marts, models).values()):
        return None
    visible = find_visible_set(connection, marts)
    shown = find_shown_set(connection, marts, [mart.name for mart in models])
    is_it = visible and shown == visible.set_number and visible.load_id == find_loaded(connection, marts)
    return visible if is_it else None


def _publish(connection: psycopg.Connection, marts: Marts, models: Sequence[Mart]) -> PublishedSet:
    staged = require_one_build(connection, marts, models)
    names = [mart.name for mart in models]
    if staged.changes_set is not None:
        apply_changes(connection, marts, names, staged.changes_set, staged.load_id)
        return PublishedSet(staged.changes_set, staged.load_id, changed=True)
    visible, number = find_visible_set(connection, marts), find_shown_set(connection, marts, names)
    if number is not None and visible and visible.set_number == number:
        log.info("Set %s is visible already: nothing to publish", number)
        return visible
    if number is None:
        number = _make_set(connection, marts, models, staged)
    wait_for_planned(connection, [f"{marts.sets}.{name}" for name in names_in_set(connection, marts, number)])
    with connection.transaction():
        _point(connection, marts, number)
    return PublishedSet(number, staged.load_id, changed=True)


def find_visible_set(connection: psycopg.Connection, marts: Marts) -> PublishedSet | None:
    """Find out which set readers see, if any."""
    row = connection.execute(marts.fill("select set_number, load_id from {views}.published_marts")).fetchone()
    return PublishedSet(row[0], row[1], changed=False) if row else None


def roll_back_marts(connection: psycopg.Connection, marts: Marts, load_id: int) -> PublishedSet | None:
    """Let readers see the newest set of a load again.

    Args:
        connection: In autocommit mode, as the role that owns the marts.
        marts: Where.
        load_id: The load.

    Returns:
        What readers see now; None if no set of that load is kept, and nothing was changed.
    """
    if connection.execute("select to_regclass(%s)", (f"{marts.sets}.published",)).fetchone() == (None,):
        return None
    with locked(connection, f"publish {marts.views}"), connection.transaction():
        parts = {"load_id": sql.Literal(load_id)}
        visible = find_visible_set(connection, marts)
        if visible and undo_changes(connection, marts, visible.set_number, load_id):
            return PublishedSet(visible.set_number, load_id, changed=True)
        (number,) = connection.execute(marts.fill(_NEWEST_OF_LOAD, **parts)).fetchone() or (None,)
        if number is None or visible is None or visible.set_number == number:
            return visible if visible and visible.set_number == number else None
        _point(connection, marts, number)
        show_in_staging(connection, marts, names_in_set(connection, marts, number), number)
    return PublishedSet(number, load_id, changed=True)


def drop_expired_sets(connection: psycopg.Connection, marts: Marts) -> None:
    """Drop sets that no rollback and no reader needs, without making a reader wait."""
    connection.execute(marts.fill(_STAMP))
    parts = {"kept": sql.Literal(KEPT_LOADS), "oldest": oldest_transaction(connection)}
    for (number,) in connection.execute(marts.fill(_EXPIRED, **parts)).fetchall():
        if not drop_set(connection, marts, number):
            break


def drop_set(connection: psycopg.Connection, marts: Marts, number: int) -> bool:
    """Drop a set, if nobody uses it now; gives whether it is gone."""
    of_set = sql.Literal(number)
    try:
        with bounded(connection):
            mark = "update {sets}.published_sets set is_dropped = true where set_number = {number}"
            connection.execute(marts.fill(mark, number=of_set))
            for mart in reversed(names_in_set(connection, marts, number)):
                forget_changes(connection, marts, mart, number)
                drop_partition(connection, (marts.sets, mart), (marts.sets, f"{mart}_s{number}"))
            forget = "delete from {sets}.published_sets where set_number = {number}"
            connection.execute(marts.fill(forget, number=of_set))
    except IN_USE:
        log.info("Set %s is still in use: it goes with a later one", number)
        return False
    return True


def _make_set(connection: psycopg.Connection, marts: Marts, models: Sequence[Mart], staged: Staged) -> int:
    """Move the marts into a set; give its number.

    The pointer moves in a later transaction: a reader who sees the pointer must know the partitions, and a commit
    shows its rows a moment before it tells other processes of partitions. Only where readers' views are made anew
    is it one transaction; there, they wait for the lock.
    """
    names = [mart.name for mart in models]
    with connection.transaction():
        connection.execute("set local lock_timeout = '10s'")
        sequence = sql.Literal(f"{marts.sets}.set_numbers")
        (number,) = connection.execute(marts.fill("select nextval({name})", name=sequence)).fetchone() or (0,)
        for name in names:
            bring_in(connection, marts, name, number, is_table=staged.kinds[name] != "v")
        for mart in models:
            for key in mart.foreign_keys:
                tie(connection, marts, mart.name, key, number)
        sums = make_sums(connection, marts, names, number)
        for name in sums:
            bring_in(connection, marts, name, number, is_table=True)
        views_are_new = [attach(connection, marts, name, number) for name in names]
        for name in sums:
            attach(connection, marts, name, number)
        drop_removed(connection, marts, [*names, *sums])
        parts = {"load_id": staged.load_id, "number": number, "code": staged.code}
        connection.execute(marts.fill(_ENTER_SET, **{name: sql.Literal(value) for name, value in parts.items()}))
        show_in_staging(connection, marts, names, number)
        if any(views_are_new):
            _point(connection, marts, number)
    return int(number)


def _point(connection: psycopg.Connection, marts: Marts, number: int) -> None:
    connection.execute("set local lock_timeout = '10s'")
    for statement in _POINT:
        connection.execute(marts.fill(statement, number=sql.Literal(number)))
