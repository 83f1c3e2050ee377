"""The quarantine and dbt's tests → what a page about the pipeline may show: shapes and results, never a value.

```
operations.refused_records    view: of each reason of a refused record, where it lies and which shape the value has
operations.rejected_shapes    view: of a load's first refusals, how many values of a column had which shape
operations.dbt_test_results   one row per test and invocation of dbt, written by a macro of the dbt project
```
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import psycopg
from psycopg import sql

from audited_load.warehouse.migrate import Migrations, migrate
from audited_load.warehouse.schemas import create_alone
from audited_load.warehouse.tables import Tables

SCHEMA = "operations"
SHAPED_RECORDS = 5_000
"""How many refusals of a load are looked at for shapes: enough to see a pattern, quick at any number."""
_FOLDER = Path(__file__).with_name("migrations") / SCHEMA
_GRANTS = (
    "grant usage on schema operations to {role}",
    "grant select on operations.refused_records, operations.rejected_shapes, operations.dbt_test_results to {role}",
)
_WRITE = "grant insert on operations.dbt_test_results to {role}"


def create_operations(
    connection: psycopg.Connection, tables: Tables, readers: Iterable[str], writers: Iterable[str]
) -> None:
    """Bring what is in the schema `operations` to where the code is.

    Args:
        connection: As the role that owns the tables.
        tables: Their names; they are there already.
        readers: Roles that may read.
        writers: Roles as which dbt runs: they add the results of its tests.
    """
    # Noted beside the tables that they show: with others in their place, they are made anew.
    migrations = Migrations(SCHEMA, tables.schema, _FOLDER)
    with connection.transaction():
        create_alone(connection, SCHEMA)
    migrate(connection, migrations, lambda text: tables.fill(text, shaped=sql.Literal(SHAPED_RECORDS)))
    with connection.transaction():
        create_alone(connection, SCHEMA)
        for roles, grants in ((readers, _GRANTS), (writers, (_WRITE,))):
            for role in roles:
                if connection.execute("select 1 from pg_roles where rolname = %s", (role,)).fetchone():
                    for grant in grants:
                        connection.execute(tables.fill(grant, role=sql.Identifier(role)))


def remove_old_results(connection: psycopg.Connection, days: int) -> int:
    """Remove the results of dbt's tests that are older than some days.

    Args:
        connection: As the role that owns the tables.
        days: How long to keep; 0 for ever.

    Returns:
        How many went.
    """
    if not days:
        return 0
    old = "delete from operations.dbt_test_results where finished_at < now() - make_interval(days => %s)"
    return connection.execute(old, (days,)).rowcount
