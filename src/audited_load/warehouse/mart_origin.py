"""Relations that dbt left in staging → the load and models that they are of, if all are of the same, and tested."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from audited_load.errors import RefusedError
from audited_load.warehouse.mart_tables import Marts

# What hooks left on the table that a model built: the load that it was built from, and whether its tests passed.
_STAGED = """
    select c.relname, c.relkind::text, coalesce(obj_description(c.oid, 'pg_class'), '')
    from pg_class as c where c.relnamespace = {staging_name}::regnamespace and c.relname = any({names})
"""


@dataclass(frozen=True)
class Staged:
    """What dbt left.

    Attributes:
        load_id: The load that all marts were built from.
        kinds: What kind of relation each is, as in `pg_class.relkind`.
        code: Tells the models that built them from others; None if not all say the same.
        changes_set: The published set that they are changes to; None if they stand for themselves.
    """

    load_id: int
    kinds: dict[str, str]
    code: str | None
    changes_set: int | None


def require_one_load(connection: psycopg.Connection, marts: Marts) -> Staged:
    """Check that all marts were built from the load that is published now, in one way, and have passed their tests.

    Args:
        connection: As a role that may read the load's ledger.
        marts: Which, and where.

    Returns:
        What they are.

    Raises:
        RefusedError: They weren't, or haven't; the error names those that differ.
    """
    row = connection.execute(
        sql.SQL("select load_id from {}").format(sql.Identifier(*marts.source.split(".")))
    ).fetchone()
    rows = connection.execute(marts.fill(_STAGED)).fetchall()
    kinds, origins = {name: kind for name, kind, _ in rows}, {name: _read_origin(note) for name, _, note in rows}
    ways = {origins[name].get("changes_set") for name in origins}
    wrong = [
        f"{name}: {'of load ' + origins[name]['load'] if 'load' in origins[name] else 'no record of its load'}"
        if name in origins
        else f"{name}: absent"
        for name in marts.names
        if row is None or origins.get(name, {}).get("load") != str(row[0])
    ]
    if len(ways) > 1:
        wrong.append("some are changes to a set, and some are not")
    if row is None or wrong:
        raise RefusedError(
            f"Readers of the cleaned table see {f'load {row[0]}' if row else 'no load'},"
            f" but not all marts were built from it. {'; '.join(wrong)}.",
            "Nothing was published. Build all of them: clear the task group of the models, or"
            " `make dbt-run` and `make dbt-test`, and then this task.",
        )
    untested = [name for name in marts.names if origins[name].get("is_tested") is not True]
    if untested:
        raise RefusedError(
            f"Not all data tests have passed since these marts were built: {', '.join(untested)}.",
            "Nothing was published. Test them: clear the tests' tasks, or `make dbt-test`; then clear this task.",
        )
    codes = {origins[name].get("code") for name in marts.names}
    return Staged(int(row[0]), kinds, codes.pop() if len(codes) == 1 else None, ways.pop())


def _read_origin(note: str) -> dict[str, Any]:
    """Read what a model's hook, or an earlier publication, left on a mart."""
    try:
        origin = json.loads(note)
    except ValueError:
        return {}
    return origin if isinstance(origin, dict) else {}
