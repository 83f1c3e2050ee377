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

from audited_load.marts.mart_tables import Marts, columns_of, drop_mart, each_column, key_of, names_in_set
from audited_load.marts.sums import NUMBER, Joined, Sums, known

_MAKE = (
    "drop table if exists {staging}.{name}",
    "create table {staging}.{name} with (fillfactor = 95) as {added_up}",
    "alter table {staging}.{name} add primary key ({keys})",
    "analyze {staging}.{name}",
)
# What a merge changed: the rows as they are now, less the rows as they were.
_TOUCHED = """
    select {keys}, {measures}, 1::bigint as sign from {delta}
    union all
    select {keys}, {measures}, -1 from {before}
"""
# Rows of the second mart that have other keys than before: the keys as they were (-1), and as they are (1).
_MOVED = (
    """
    create temporary table moved on commit drop as
    select was.{on}, kept.*
    from {joined_before} as was inner join {joined} as now on was.{on} = now.{on}
    cross join lateral (values ({was_keys}, -1::bigint), ({now_keys}, 1)) as kept ({joined_keys}, sign)
    where ({was_keys}) is distinct from ({now_keys})
    """,
    "analyze pg_temp.moved",
)
# Materialized: the planner takes what is not in the delta for a single row, and joins it with all moved ones.
_TOUCHED_OR_MOVED = """
    with of_moved as materialized (
        select {r_needed}, {kept_keys}, kept.sign
        from pg_temp.moved as kept inner join {mart} as r on kept.{on} = r.{on}
    )
    select {r_keys}, {now_keys}, {r_measures}, 1::bigint as sign
    from {delta} as r inner join {joined} as now on r.{on} = now.{on}
    union all
    select {r_keys}, {last_keys}, {r_measures}, -1
    from {before} as r
    left join {joined_before} as was on r.{on} = was.{on}
    left join {joined} as now on r.{on} = now.{on}
    union all
    select {r_keys}, {r_joined_keys}, {r_measures}, r.sign
    from of_moved as r
    where not exists (select 1 from {delta} as d where {same_row})
"""
_ADD = """
    create temporary table fresh on commit drop as
    with changed as (
        select {keys}, sum(sign) as {number_of_rows}, {net}
        from ({touched}) as touched
        group by {keys}
    ),
    added as (
        select {c_keys}, coalesce(t.{number_of_rows}, 0) + c.{number_of_rows} as {number_of_rows}, {totals}
        from changed as c left join {table} as t on {same}
    )
    select {keys}, {number_of_rows}, {known_totals} from added
"""
_DIVIDE = (
    "drop table if exists {staging}.{delta_of_sums}, {staging}.{gone_of_sums}",
    "create table {staging}.{delta_of_sums} as select * from pg_temp.fresh where {number_of_rows} > 0",
    "create table {staging}.{gone_of_sums} as select {keys} from pg_temp.fresh where {number_of_rows} = 0",
    "drop table if exists pg_temp.fresh, pg_temp.moved",
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
    """Compute how a merge changes the sums of a set, by the rows of its marts that it has changed.

    Where two marts are joined, a row that stayed counts, too, if what it is joined with has other keys now.

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
    connection.execute("set local enable_hashjoin = on")  # rows that were kept have no index
    for one in marts.sums:
        if one.name not in in_set or not _is_as_declared(connection, marts, one, number):
            continue
        parts = _parts(marts, one, number)
        if one.joined:
            parts |= _joined_parts(connection, marts, one, one.joined, number)
        moved, touched = (_MOVED, _TOUCHED_OR_MOVED) if one.joined else ((), _TOUCHED)
        parts["touched"] = marts.fill(touched, **parts)
        for statement in (*moved, _ADD, *_DIVIDE):
            connection.execute(marts.fill(statement, **parts))
        changed.append(one.name)
    connection.execute("set local enable_hashjoin = off")
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

    pairs = one.measures, [known(measure) for measure in one.measures]
    return {
        "name": sql.Identifier(one.name),
        "added_up": one.statement(table_of),
        "number_of_rows": sql.Identifier(NUMBER),
        "keys": each_column("{0}", one.all_keys),
        "measures": each_column("{0}", one.measures),
        "table": table_of(one.name),
        "mart": table_of(one.mart),
        "delta": sql.Identifier(marts.staging, f"{one.mart}_delta"),
        "before": sql.Identifier(marts.sets, f"{one.mart}_s{number}_before"),
        "delta_of_sums": sql.Identifier(f"{one.name}_delta"),
        "gone_of_sums": sql.Identifier(f"{one.name}_gone"),
        "c_keys": each_column("c.{0}", one.all_keys),
        "same": each_column("t.{0} = c.{0}", one.all_keys, between=" and "),
        "net": each_column(
            "coalesce(sum(sign * {0}), 0) as {0}, coalesce(sum(sign) filter (where {0} is not null), 0) as {1}",
            *pairs,
        ),
        "totals": each_column("coalesce(t.{0}, 0) + c.{0} as {0}, coalesce(t.{1}, 0) + c.{1} as {1}", *pairs),
        "known_totals": each_column("case when {1} > 0 then {0} end as {0}, {1}", *pairs),
    }


def _joined_parts(
    connection: psycopg.Connection, marts: Marts, one: Sums, joined: Joined, number: int
) -> dict[str, sql.Composable]:
    key = key_of(connection, f"{marts.sets}.{one.mart}_s{number}")
    return {
        "on": sql.Identifier(joined.on),
        "joined": sql.Identifier(marts.sets, f"{joined.mart}_s{number}"),
        "joined_before": sql.Identifier(marts.sets, f"{joined.mart}_s{number}_before"),
        "joined_keys": each_column("{0}", joined.keys),
        "was_keys": each_column("was.{0}", joined.keys),
        "now_keys": each_column("now.{0}", joined.keys),
        "kept_keys": each_column("kept.{0}", joined.keys),
        "last_keys": each_column("coalesce(was.{0}, now.{0}) as {0}", joined.keys),
        "r_keys": each_column("r.{0}", one.keys),
        "r_joined_keys": each_column("r.{0}", joined.keys),
        "r_measures": each_column("r.{0}", one.measures),
        "r_needed": each_column("r.{0}", tuple(dict.fromkeys((joined.on, *key, *one.keys, *one.measures)))),
        "same_row": each_column("d.{0} = r.{0}", key, between=" and "),
    }
