"""A table of the warehouse whose rows lie on other servers: partitions by hash, over `postgres_fdw`."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg
from psycopg import sql

from customer_pipeline.names import DATABASE
from customer_pipeline.runtime.installation import HOST, Runtime

OWNERS = ("loader", "transformer")
_COLUMNS = """
    select string_agg(
        format('%%I %%s %%s', attname, format_type(atttypid, atttypmod), case when attnotnull then 'not null' end),
        ', ' order by attnum
    )
    from pg_attribute where attrelid = %s::regclass and attnum > 0 and not attisdropped
"""
_BOUND = "select pg_get_expr(relpartbound, oid) from pg_class where oid = %s::regclass"


def connect_nodes(runtime: Runtime, nodes: Sequence[Runtime]) -> None:
    """Let the owners of tables reach the data nodes, each as itself."""
    with psycopg.connect(runtime.dsn("postgres"), autocommit=True) as admin:
        admin.execute("create extension postgres_fdw")
        for number, node in enumerate(nodes):
            name = sql.Identifier(f"node_{number}")
            options = sql.SQL("host {}, port {}, dbname {}, batch_size '1000', fetch_size '10000'").format(
                HOST, str(node.postgres_port), DATABASE
            )
            admin.execute(
                sql.SQL("create server {} foreign data wrapper postgres_fdw options ({})").format(name, options)
            )
            for role in OWNERS:
                admin.execute(
                    sql.SQL("create user mapping for {} server {} options (user {}, password {})").format(
                        sql.Identifier(role), name, role, node.secrets[role]
                    )
                )
                admin.execute(sql.SQL("grant usage on foreign server {} to {}").format(name, sql.Identifier(role)))


def disconnect_nodes(runtime: Runtime) -> None:
    with psycopg.connect(runtime.dsn("postgres"), autocommit=True) as admin:
        admin.execute("drop extension postgres_fdw cascade")


def shard(runtime: Runtime, nodes: Sequence[Runtime], role: str, parent: str, table: str, key: str) -> None:
    """Move a partition of a partitioned table to the data nodes; the name stays, and so does who may read it.

    Args:
        runtime: The server that keeps the names.
        nodes: The servers that get the rows.
        role: The owner.
        parent: The partitioned table, with its schema.
        table: The partition, with its schema.
        key: The column by whose hash rows go to a node; each node holds that its rows have it once.
    """
    schema, name = table.split(".")
    whole, local = _named(table), _named(f"{table}_local")
    with psycopg.connect(runtime.dsn(role)) as connection:
        (columns,) = connection.execute(_COLUMNS, (table,)).fetchone() or ("",)
        (bound,) = connection.execute(_BOUND, (table,)).fetchone() or ("",)
        connection.execute(sql.SQL("alter table {} detach partition {}").format(_named(parent), whole))
        connection.execute(sql.SQL("alter table {} rename to {}").format(whole, sql.Identifier(f"{name}_local")))
        connection.execute(
            sql.SQL("create table {} ({}) partition by hash ({})").format(
                whole, sql.SQL(columns), sql.Identifier(key)
            )
        )
        for number, node in enumerate(nodes):
            part = sql.Identifier(schema, f"{name}_{number}")
            with psycopg.connect(node.dsn(role)) as there:
                there.execute(
                    sql.SQL("create table {} ({}, primary key ({}))").format(
                        part, sql.SQL(columns), sql.Identifier(key)
                    )
                )
            connection.execute(
                sql.SQL(
                    "create foreign table {} partition of {} for values with (modulus {}, remainder {}) server {}"
                ).format(
                    part,
                    whole,
                    sql.Literal(len(nodes)),
                    sql.Literal(number),
                    sql.Identifier(f"node_{number}"),
                )
            )
        connection.execute(sql.SQL("insert into {} select * from {}").format(whole, local))
        connection.execute(sql.SQL("drop table {} cascade").format(local))
        connection.execute(
            sql.SQL("alter table {} attach partition {} {}").format(_named(parent), whole, sql.SQL(bound))
        )


def _named(table: str) -> sql.Identifier:
    return sql.Identifier(*table.split("."))
