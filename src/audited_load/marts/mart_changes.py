"""Rows of marts that a merge changes → the published set, in one transaction; and back again, once.

```
<staging>.<mart>_delta       rows as they are to be          made by dbt, beside the view that was tested
<staging>.<mart>_gone        keys of rows that are to go
<sets>.<mart>_s<n>_before    rows as they were               kept for one rollback
<sets>.<mart>_s<n>_inserted  keys of rows that were not there
```

Readers see the rows before or the rows after, since they are versions of one transaction (docs/adr/0011). Sums of
the marts change with them, in the same way.
"""

from __future__ import annotations

from collections.abc import Sequence

import psycopg
from psycopg import sql

from audited_load.errors import RefusedError
from audited_load.marts.mart_sums import change_sums, drop_changes, drop_stale
from audited_load.marts.mart_tables import Marts, columns_of, each_column, key_of, names_in_set, show_in_staging

# A few rows of very many: never by reading all of them.
_FEW_ROWS = (
    "set local enable_hashjoin = off",
    "set local enable_mergejoin = off",
    "set local lock_timeout = '10s'",
)
_KEEP = (
    "drop table if exists {before}, {inserted}",
    "create table {before} as select {columns} from {table} with no data",
    "create table {inserted} as select {keys} from {table} with no data",
)
# In the order of the key, which is that of its index and mostly that of the table: a page is looked at once.
_MERGE = """
    merge into {table} as t using (select * from {rows} order by {keys}) as d on {same_as_d}
    when matched then {change}
    when not matched then insert ({columns}) values ({new_values})
"""
_MERGE_AND_KEEP = f"""
    with changed as ({_MERGE} returning {{old_values}}, merge_action() as "done to it"),
    kept as (insert into {{before}} ({{columns}}) select {{columns}} from changed where "done to it" = 'UPDATE')
    insert into {{inserted}} ({{keys}}) select {{keys}} from changed where "done to it" = 'INSERT'
"""  # noqa: S608 - of constants
_DELETE = "delete from {table} as t using {rows} as d where {same_as_d}"
_DELETE_AND_KEEP = f"""
    with deleted as ({_DELETE} returning t.*)
    insert into {{before}} ({{columns}}) select {{columns}} from deleted
"""  # noqa: S608 - of constants
# The set must be what the changes were computed from.
_LOCK_SET = """
    select 1 from {sets}.published_sets as s
    inner join {source} as now on s.load_id = now.changes_since
    where s.set_number = {number} and now.load_id = {load_id}
        and s.set_number = (select set_number from {sets}.published)
    for update of s
"""
_ENTER = """
    update {sets}.published_sets set previous_load_id = load_id, load_id = {load_id}, published_at = now()
    where set_number = {number}
"""
_ENTER_UNDO = """
    update {sets}.published_sets set load_id = previous_load_id, previous_load_id = null, published_at = now()
    where set_number = {number}
"""


def apply_changes(
    connection: psycopg.Connection, marts: Marts, names: Sequence[str], number: int, load_id: int
) -> None:
    """Bring the rows that a merge changes into the set that readers see, all marts in one transaction.

    Args:
        connection: In autocommit mode, as the role that owns the marts.
        marts: Where.
        names: Which, those that others refer to first.
        number: The set.
        load_id: The load that the marts are of then.

    Raises:
        RefusedError: Readers see another set, or the set is of another load than the changes start from.
    """
    with connection.transaction():
        for setting in _FEW_ROWS:
            connection.execute(setting)
        parts = {"number": sql.Literal(number), "load_id": sql.Literal(load_id)}
        source = sql.Identifier(*marts.source.split("."))
        if connection.execute(marts.fill(_LOCK_SET, source=source, **parts)).fetchone() is None:
            raise RefusedError(
                f"The marts were computed as changes to set {number}, which readers no longer see as it was.",
                "Nothing was published. Build all of them: clear the task group of the models, or `make dbt-run`"
                " and `make dbt-test`, and then this task.",
            )
        _bring_changes_in(connection, marts, names, number)
        sums = change_sums(connection, marts, names, number)
        _bring_changes_in(connection, marts, sums, number)
        drop_changes(connection, marts, sums)
        connection.execute(marts.fill(_ENTER, **parts))
        show_in_staging(connection, marts, names, number)
        drop_stale(connection, marts, [*names, *sums], number)


def _bring_changes_in(connection: psycopg.Connection, marts: Marts, names: Sequence[str], number: int) -> None:
    """Merge what is to be, delete what is to go, and keep what was."""
    found = {mart: _parts(connection, marts, mart, number) for mart in names}
    for mart in names:
        for statement in _KEEP:
            connection.execute(marts.fill(statement, **found[mart]))
        connection.execute(marts.fill(_MERGE_AND_KEEP, rows=found[mart]["delta"], **found[mart]))
    for mart in reversed(names):
        connection.execute(marts.fill(_DELETE_AND_KEEP, rows=found[mart]["gone"], **found[mart]))


def undo_changes(connection: psycopg.Connection, marts: Marts, number: int, load_id: int) -> bool:
    """Take the last changes of a set back, within a transaction.

    Args:
        connection: In a transaction, as the role that owns the marts.
        marts: Where.
        number: The set.
        load_id: The load that the marts are to be of again.

    Returns:
        Whether that is what the set was of before its last changes; if not, nothing was done.
    """
    statement = "select 1 from {sets}.published_sets where set_number = {number} and previous_load_id = {load_id}"
    parts = {"number": sql.Literal(number), "load_id": sql.Literal(load_id)}
    if connection.execute(marts.fill(statement, **parts)).fetchone() is None:
        return False
    names = names_in_set(connection, marts, number)
    found = {mart: _parts(connection, marts, mart, number) for mart in names}
    for mart in names:
        connection.execute(marts.fill(_MERGE, rows=found[mart]["before"], **found[mart]))
    for mart in reversed(names):
        connection.execute(marts.fill(_DELETE, rows=found[mart]["inserted"], **found[mart]))
        connection.execute(marts.fill("drop table {before}, {inserted}", **found[mart]))
    connection.execute(marts.fill(_ENTER_UNDO, **parts))
    show_in_staging(connection, marts, names, number)
    return True


def forget_changes(connection: psycopg.Connection, marts: Marts, mart: str, number: int) -> None:
    """Drop what is kept for a rollback of a set's last changes."""
    table = f"{mart}_s{number}"
    names = {suffix: sql.Identifier(marts.sets, f"{table}_{suffix}") for suffix in ("before", "inserted")}
    connection.execute(marts.fill("drop table if exists {before}, {inserted}", **names))


def _parts(connection: psycopg.Connection, marts: Marts, mart: str, number: int) -> dict[str, sql.Composable]:
    table = f"{mart}_s{number}"
    names, _ = columns_of(connection, f"{marts.sets}.{table}")
    keys = key_of(connection, f"{marts.sets}.{table}")
    others = [name for name in names if name not in keys]
    return {
        "table": sql.Identifier(marts.sets, table),
        "before": sql.Identifier(marts.sets, f"{table}_before"),
        "inserted": sql.Identifier(marts.sets, f"{table}_inserted"),
        "delta": sql.Identifier(marts.staging, f"{mart}_delta"),
        "gone": sql.Identifier(marts.staging, f"{mart}_gone"),
        "columns": each_column("{0}", names),
        "keys": each_column("{0}", keys),
        "change": sql.SQL("update set {}").format(each_column("{0} = d.{0}", others))
        if others
        else sql.SQL("do nothing"),
        "new_values": each_column("d.{0}", names),
        # Of a row that was not there, all of `old` is null.
        "old_values": sql.SQL(", ").join(
            each_column("coalesce(old.{0}, d.{0}) as {0}" if name in keys else "old.{0}", [name]) for name in names
        ),
        "same_as_d": each_column("t.{0} = d.{0}", keys, between=" and "),
    }
