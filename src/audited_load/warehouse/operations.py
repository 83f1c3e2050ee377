"""The quarantine and dbt's tests → what a page about the pipeline may show: shapes and results, never a value.

```
operations.rejected_shapes    view: of a load's first refused records, how many values of a column had which shape
operations.dbt_test_results   one row a test and invocation of dbt, written by a macro of the dbt project
```
"""

from __future__ import annotations

from collections.abc import Iterable

import psycopg
from psycopg import sql

from audited_load.warehouse.schemas import create_alone
from audited_load.warehouse.tables import Tables

SCHEMA = "operations"
SHAPED_RECORDS = 5_000
"""How many refused records of a load are looked at for shapes: enough to see a pattern, quick at any number."""

# What a reason quotes is masked: letters become a, digits 9; of the rest, only what can't be part of a name stays.
_STATEMENTS = (
    r"""
    do $body$ begin
        if to_regclass('operations.rejected_shapes') is null then
            create view operations.rejected_shapes as
            with refused as (
                select l.load_id, r.reasons from {loads} as l
                cross join lateral (
                    select reasons from {rejects} where load_id = l.load_id
                    order by source_record limit {shaped}
                ) as r
            ),
            quoted as (
                select load_id, part[1] as column_name, part[2] as refusal, left(coalesce(part[3], ''), 40) as text
                from refused,
                    regexp_matches(
                        '; ' || reasons, '; ([a-z_]+?):([a-z_]+?): (?:''(.*?)'' (?=[a-z])|a value is required)', 'g'
                    ) as part
            )
            select load_id, column_name, refusal,
                translate(
                    regexp_replace(text, '[^] 0-9a-z.,:;/+*()[%#_€£$''"?!=@&-]', 'a', 'gi'),
                    'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789',
                    'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa9999999999'
                ) as shape,
                count(*) as records
            from quoted group by 1, 2, 3, 4;
        end if;
    end $body$
    """,
    """
    create table if not exists operations.dbt_test_results (
        invocation_id text not null,
        test_name text not null,
        run_id text,
        model text,
        status text not null,
        failures bigint,
        seconds double precision not null,
        finished_at timestamptz not null default now(),
        primary key (invocation_id, test_name)
    )
    """,
    "create index if not exists dbt_test_results_by_time on operations.dbt_test_results (finished_at)",
)
_GRANTS = (
    "grant usage on schema operations to {role}",
    "grant select on operations.rejected_shapes, operations.dbt_test_results to {role}",
)
_WRITE = "grant insert on operations.dbt_test_results to {role}"


def create_operations(
    connection: psycopg.Connection, tables: Tables, readers: Iterable[str], writers: Iterable[str]
) -> None:
    """Make what is in the schema `operations`, if absent.

    Args:
        connection: As the role that owns the tables.
        tables: Their names; they are there already.
        readers: Roles that may read.
        writers: Roles as which dbt runs: they add the results of its tests.
    """
    with connection.transaction():
        create_alone(connection, SCHEMA)
        for statement in _STATEMENTS:
            connection.execute(tables.fill(statement, shaped=sql.Literal(SHAPED_RECORDS)))
        for roles, grants in ((readers, _GRANTS), (writers, (_WRITE,))):
            for role in roles:
                if connection.execute("select 1 from pg_roles where rolname = %s", (role,)).fetchone():
                    for grant in grants:
                        connection.execute(tables.fill(grant, role=sql.Identifier(role)))
