"""Sums of marts, beside the marts of a set: made with the set, changed with it, and taken back with it.

```
<sets>.<sums>_s<n>       a partition of <sets>.<sums>, as a mart's
<views>.<sums>           view of the set that readers see
<staging>.<sums>_delta   rows as they are to be, while a merge is published
<staging>.<sums>_gone    keys of rows that are to go, alike
```

Where a mart is missing, or has not the columns, there are no such sums: who reads them adds up the rows instead.
"""

from __future__ import annotations

from collections.abc import Sequence

import psycopg
from psycopg import sql

from audited_load.marts.mart_tables import Marts, columns_of, drop_mart, names_in_set
from audited_load.marts.sums import NUMBER, Sums, known

_MAKE = (
    "drop table if exists {staging}.{name}",
    "create table {staging}.{name} with (fillfactor = 95) as {added_up}",
    "alter table {staging}.{name} add primary key ({keys})",
    "analyze {staging}.{name}",
)
# What a merge changed: the rows as they are now, less the rows as they were.
_ADD = """
    create temporary table fresh on commit drop as
    with changed as (
        select {keys}, sum(sign) as {number_of_rows}, {net}
        from (
            select {keys}, {measures}, 1::bigint as sign from {delta}
            union all
            select {keys}, {measures}, -1 from {before}
        ) as touched
        group by {keys}
    ),
    added as (
        select {c_keys}, coalesce(t.{number_of_rows}, 0) + c.{number_of_rows} as {number_of_rows}, {totals}
        from changed as c left join {table} as t on {same}
    )
    select {keys}, {number_of_rows}, {known_totals} from added
"""
_ADD_ANEW = (
    "set local enable_hashjoin = on",
    "create temporary table fresh on commit drop as {added_up}",
    """
    insert into pg_temp.fresh ({keys}, {number_of_rows})
    select {keys}, 0 from {table} as t where not exists (select 1 from pg_temp.fresh as c where {same})
    """,
    "set local enable_hashjoin = off",
)
_DIVIDE = (
    "drop table if exists {staging}.{delta_of_sums}, {staging}.{gone_of_sums}",
    "create table {staging}.{delta_of_sums} as select * from pg_temp.fresh where {number_of_rows} > 0",
    "create table {staging}.{gone_of_sums} as select {keys} from pg_temp.fresh where {number_of_rows} = 0",
    "drop table pg_temp.fresh",
)


def make_sums(connection: psycopg.Connection, marts: Marts, names: Sequence[str], number: int) -> list[str]:
    """Add up the rows of a set's marts, in tables that stand in staging, to be brought into the set.

    Args:
        connection: In the transaction that makes the set.
        marts: Where, and which sums.
        names: The marts of the set.
        number: The set.

    Returns:
        The names of the tables.
    """
    made = []
    for one in marts.sums:
        if not all(
            mart in names and set(needed) <= set(columns_of(connection, f"{marts.sets}.{mart}_s{number}")[0])
            for mart, needed in one.needs.items()
        ):
            continue
        parts = _parts(marts, one, number)
        for statement in _MAKE:
            connection.execute(marts.fill(statement, **parts))
        made.append(one.name)
    return made


def change_sums(connection: psycopg.Connection, marts: Marts, names: Sequence[str], number: int) -> list[str]:
    """Compute how a merge changes the sums of a set, whose marts it has changed already.

    Those of one mart are changed by the rows that it changed. Where two marts are joined, all rows are added up.

    Args:
        connection: In the transaction that changes the marts: the rows as they were are kept in it.
        marts: Where, and which sums.
        names: The marts of the set.
        number: The set.

    Returns:
        The sums that the set has: their changes stand in staging.
    """
    in_set = set(names_in_set(connection, marts, number)) - set(names)
    changed = []
    for one in marts.sums:
        if one.name not in in_set or not _is_as_declared(connection, marts, one, number):
            continue
        parts = _parts(marts, one, number)
        for statement in (*(_ADD_ANEW if one.joined else (_ADD,)), *_DIVIDE):
            connection.execute(marts.fill(statement, **parts))
        changed.append(one.name)
    return changed


def drop_changes(connection: psycopg.Connection, marts: Marts, sums: Sequence[str]) -> None:
    """Drop what `change_sums` made, once it is in the set."""
    for name in sums:
        tables = {suffix: sql.Identifier(marts.staging, f"{name}_{suffix}") for suffix in ("delta", "gone")}
        connection.execute(marts.fill("drop table {delta}, {gone}", **tables))


def drop_stale(connection: psycopg.Connection, marts: Marts, names: Sequence[str], number: int) -> None:
    """Drop sums of a set that nobody keeps right: other code has made them.

    Args:
        connection: In the transaction that changes the set. Readers wait from here to its end.
        marts: Where.
        names: The marts and the sums of the set that are right.
        number: The set.
    """
    for name in names_in_set(connection, marts, number):
        if name not in names:
            drop_mart(connection, marts, name)


def _is_as_declared(connection: psycopg.Connection, marts: Marts, one: Sums, number: int) -> bool:
    return tuple(columns_of(connection, f"{marts.sets}.{one.name}_s{number}")[0]) == one.columns


def _parts(marts: Marts, one: Sums, number: int) -> dict[str, sql.Composable]:
    def table_of(mart: str) -> sql.Identifier:
        return sql.Identifier(marts.sets, f"{mart}_s{number}")

    pairs = [(sql.Identifier(measure), sql.Identifier(known(measure))) for measure in one.measures]
    return {
        "name": sql.Identifier(one.name),
        "added_up": one.statement(table_of),
        "number_of_rows": sql.Identifier(NUMBER),
        "keys": _listed(one.all_keys),
        "measures": _listed(one.measures),
        "table": table_of(one.name),
        "delta": sql.Identifier(marts.staging, f"{one.mart}_delta"),
        "before": sql.Identifier(marts.sets, f"{one.mart}_s{number}_before"),
        "delta_of_sums": sql.Identifier(f"{one.name}_delta"),
        "gone_of_sums": sql.Identifier(f"{one.name}_gone"),
        "c_keys": sql.SQL(", ").join(sql.Identifier("c", key) for key in one.all_keys),
        "same": sql.SQL(" and ").join(sql.SQL("t.{0} = c.{0}").format(sql.Identifier(key)) for key in one.all_keys),
        "net": _each(
            "coalesce(sum(sign * {0}), 0) as {0}, coalesce(sum(sign) filter (where {0} is not null), 0) as {1}",
            pairs,
        ),
        "totals": _each("coalesce(t.{0}, 0) + c.{0} as {0}, coalesce(t.{1}, 0) + c.{1} as {1}", pairs),
        "known_totals": _each("case when {1} > 0 then {0} end as {0}, {1}", pairs),
    }


def _listed(names: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, names))


def _each(form: str, pairs: list[tuple[sql.Identifier, sql.Identifier]]) -> sql.Composed:
    return sql.SQL(", ").join(sql.SQL(form).format(*pair) for pair in pairs)
