"""What a model's .yml says → comments of what readers see, with the keys that a view can't have.

A view has no keys that a tool could ask the catalogue for, so its comment ends with them, as SQL writes them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import psycopg
from psycopg import sql

from audited_load.marts.mart_manifest import Mart
from audited_load.marts.mart_tables import Marts

_PUBLISHED_MARTS = {
    "": "One row: which set of marts all views of this schema show, built from which load, and since when.",
    "set_number": "Number of the set; counts up with each full build.",
    "load_id": "The load in cleaned_data.loads that the marts were built from.",
    "published_at": "When readers began to see it.",
}
_FOUND = """
    select c.relname, coalesce(a.attname, ''), d.description
    from pg_catalog.pg_class as c
    inner join pg_catalog.pg_description as d on d.objoid = c.oid and d.classoid = 'pg_catalog.pg_class'::regclass
    left join pg_catalog.pg_attribute as a on a.attrelid = c.oid and a.attnum = d.objsubid and d.objsubid > 0
    where c.relnamespace = {views_name}::regnamespace
"""
_VIEWS = "select relname from pg_catalog.pg_class where relnamespace = {views_name}::regnamespace and relkind = 'v'"


def comment_views(connection: psycopg.Connection, marts: Marts, models: Sequence[Mart]) -> None:
    """Write what is said of marts and columns to the views that readers see, where it isn't there yet.

    No reader waits for it: the lock that a comment takes lets views be read.

    Args:
        connection: As the role that owns the views.
        marts: Where.
        models: Which, with their descriptions.
    """
    schema = sql.Literal(marts.views)
    views = {name for (name,) in connection.execute(marts.fill(_VIEWS, views_name=schema))}
    # Of sums there may be none.
    sums = [one.as_mart() for one in marts.sums if one.name in views]
    wanted = dict(_comments(marts, [*models, *sums]))
    found = {
        (view, column): text for view, column, text in connection.execute(marts.fill(_FOUND, views_name=schema))
    }
    with connection.transaction():
        connection.execute("set local lock_timeout = '10s'")
        for (view, column), text in wanted.items():
            if found.get((view, column)) != text:
                kind, names = ("column", (marts.views, view, column)) if column else ("view", (marts.views, view))
                statement = sql.SQL("comment on {} {} is {}").format(
                    sql.SQL(kind), sql.Identifier(*names), sql.Literal(text)
                )
                connection.execute(statement)


def _comments(marts: Marts, models: Sequence[Mart]) -> Iterator[tuple[tuple[str, str], str]]:
    """Return what is to be said, by view and column; the column is empty for the view itself."""
    for column, text in _PUBLISHED_MARTS.items():
        yield ("published_marts", column), text
    for mart in models:
        if mart.description or mart.primary_key:
            yield (mart.name, ""), "\n".join([mart.description, *_keys(marts, mart)]).strip()
        for column, text in mart.columns.items():
            if text:
                yield (mart.name, column), text


def _keys(marts: Marts, mart: Mart) -> list[str]:
    """Write a mart's keys as SQL does, a line each."""
    lines = [f"primary key ({', '.join(mart.primary_key)})"] if mart.primary_key else []
    return lines + [
        f"foreign key ({', '.join(key.columns)})"
        f" references {marts.views}.{key.parent} ({', '.join(key.parent_columns)})"
        for key in mart.foreign_keys
    ]
