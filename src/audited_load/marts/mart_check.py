"""The published marts, and the same built anew → where they and their sums differ: counted, no value shown.

A full join by primary key finds what `except` both ways would, and says which columns it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import psycopg
from psycopg import sql

from audited_load.errors import BadDataError, RefusedError, UnavailableError
from audited_load.marts.mart_builds import find_builds, find_loaded
from audited_load.marts.mart_manifest import Mart
from audited_load.marts.mart_sets import PublishedSet, find_visible_set
from audited_load.marts.mart_tables import Marts, columns_of, names_in_set
from audited_load.warehouse.connection import locked

_CODE = "select code from {sets}.published_sets where set_number = {number}"
_COMPARE = "select {counts} from {published} as p full join {fresh} as f on {same}"
_MADE = """
    select c.relname, case c.relkind when 'v' then 'view' else 'table' end from pg_catalog.pg_class as c
    where c.relnamespace = {schema_name}::regnamespace and c.relkind in ('r', 'p', 'v')
"""
_COME_AGAIN = "Check again when no run is on its way. What readers see is as it was."


@dataclass(frozen=True)
class Difference:
    """How a published mart differs from a full build.

    Attributes:
        mart: Its name, or that of sums.
        missing: Rows that only the full build has.
        unexpected: Rows that only the published mart has.
        changed: By column, rows that are in both and have another value there.
    """

    mart: str
    missing: int
    unexpected: int
    changed: dict[str, int]

    def __str__(self) -> str:
        """Say it in words."""
        parts = [f"{self.missing} rows are missing"] if self.missing else []
        parts += [f"{self.unexpected} rows are too many"] if self.unexpected else []
        parts += [f"{column} differs in {rows} rows" for column, rows in self.changed.items()]
        return f"{self.mart}: {', '.join(parts)}"


def check_marts(
    connection: psycopg.Connection, marts: Marts, models: Sequence[Mart], schema: str, build: Callable[[], object]
) -> PublishedSet | None:
    """Build all marts anew in a schema of their own, compare cell by cell, and leave nothing there.

    Args:
        connection: In autocommit mode, as the role that owns the marts.
        marts: Where the published ones are.
        models: Which.
        schema: Where `build` makes them, with a table of builds; empty before and after.
        build: Builds them, from all rows.

    Returns:
        What was compared; None if nothing is published yet.

    Raises:
        BadDataError: They differ; the error says where.
        RefusedError: The published marts were built by other models, or are others.
        UnavailableError: The published load changes meanwhile, or the marts are not of it yet.
    """
    with locked(connection, f"check {schema}"):
        if connection.execute("select to_regclass(%s)", (f"{marts.views}.published_marts",)).fetchone() == (None,):
            return None
        _require_same_load(connection, marts)
        _empty(connection, marts, schema)
        try:
            build()
            with connection.transaction():
                connection.execute("set transaction isolation level repeatable read")
                visible = _require_same_load(connection, marts)
                _require_same_build(connection, marts, models, schema, visible)
                found = [_compare_mart(connection, marts, mart, schema, visible.set_number) for mart in models]
                found += _compare_sums(connection, marts, schema, visible.set_number)
        finally:
            _empty(connection, marts, schema)
    if differences := [str(one) for one in found if one.missing or one.unexpected or one.changed]:
        raise BadDataError(
            f"The published marts differ from a full build of load {visible.load_id}. {'; '.join(differences)}.",
            "Build all of them anew: clear the task group of the models of the last run. Keep this message:"
            " whoever mends the files in dbt/macros/merge needs it.",
        )
    return visible


def _require_same_load(connection: psycopg.Connection, marts: Marts) -> PublishedSet:
    visible, loaded = find_visible_set(connection, marts), find_loaded(connection, marts)
    if visible is None or visible.load_id != loaded:
        shown = "none" if visible is None else f"load {visible.load_id}"
        raise UnavailableError(f"The marts are of {shown}, and the cleaned table is of load {loaded}.", _COME_AGAIN)
    return visible


def _require_same_build(
    connection: psycopg.Connection, marts: Marts, models: Sequence[Mart], schema: str, visible: PublishedSet
) -> None:
    builds = find_builds(connection, replace(marts, staging=schema, sets=schema), models)
    if {build.load_id for build in builds.values()} != {visible.load_id} or len(builds) != len(models):
        raise UnavailableError("Another load was published while the marts were built.", _COME_AGAIN)
    row = connection.execute(marts.fill(_CODE, number=sql.Literal(visible.set_number))).fetchone()
    if {build.code for build in builds.values()} != set(row or ()):
        raise RefusedError(
            "The models have changed since the published marts were built, so there is nothing to compare.",
            "The next run builds all of them anew; check after it. What readers see is as it was.",
        )


def _compare_mart(connection: psycopg.Connection, marts: Marts, mart: Mart, schema: str, number: int) -> Difference:
    published, fresh = f"{mart.name}_s{number}", mart.name
    names, described = columns_of(connection, f"{marts.sets}.{published}")
    if described != columns_of(connection, f"{schema}.{fresh}")[1]:
        raise RefusedError(
            f"{mart.name} has other columns than what is published.",
            "The next run builds all marts anew; check after it. What readers see is as it was.",
        )
    relations = (sql.Identifier(marts.sets, published), sql.Identifier(schema, fresh))
    return _compare(connection, mart.name, names, mart.primary_key, relations)


def _compare_sums(connection: psycopg.Connection, marts: Marts, schema: str, number: int) -> list[Difference]:
    """Compare the sums that the set has with those of the marts that were built anew."""
    in_set = names_in_set(connection, marts, number)
    found = []
    for one in marts.sums:
        if one.name in in_set:
            added_up = one.statement(lambda mart: sql.Identifier(schema, mart))
            fresh = sql.SQL("({})").format(added_up)
            published = sql.Identifier(marts.sets, f"{one.name}_s{number}")
            found.append(_compare(connection, one.name, one.columns, one.all_keys, (published, fresh)))
    return found


def _compare(
    connection: psycopg.Connection,
    mart: str,
    names: Sequence[str],
    primary_key: Sequence[str],
    relations: tuple[sql.Composable, sql.Composable],
) -> Difference:
    """Compare what is published with what was built anew, in this order."""
    others = [name for name in names if name not in primary_key]
    first = sql.Identifier(primary_key[0])
    counts = [
        sql.SQL("count(*) filter (where p.{key} is null)").format(key=first),
        sql.SQL("count(*) filter (where f.{key} is null)").format(key=first),
        *(
            sql.SQL(
                "count(*) filter (where p.{key} is not null and f.{key} is not null"
                " and p.{name} is distinct from f.{name})"
            ).format(key=first, name=sql.Identifier(name))
            for name in others
        ),
    ]
    same = [sql.SQL("p.{name} = f.{name}").format(name=sql.Identifier(name)) for name in primary_key]
    statement = sql.SQL(_COMPARE).format(
        counts=sql.SQL(", ").join(counts),
        published=relations[0],
        fresh=relations[1],
        same=sql.SQL(" and ").join(same),
    )
    missing, unexpected, *changed = connection.execute(statement).fetchone() or (0, 0)
    return Difference(
        mart, missing, unexpected, {name: rows for name, rows in zip(others, changed, strict=True) if rows}
    )


def _empty(connection: psycopg.Connection, marts: Marts, schema: str) -> None:
    """Drop what was built: it holds what the cleaned tables hold, and nobody is to look for it here."""
    for name, kind in connection.execute(marts.fill(_MADE, schema_name=sql.Literal(schema))).fetchall():
        drop = sql.SQL("drop {} if exists {} cascade").format(sql.SQL(kind), sql.Identifier(schema, name))
        connection.execute(drop)
