"""The cleaned table and the fact over two more servers: loading, dbt and readers as ever, and the same cells."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from audited_load.errors import RefusedError
from customer_pipeline.feed import MARTS
from customer_pipeline.runtime.installation import Runtime
from integration.conftest import running_server
from integration.loading import load_file
from integration.sharding import connect_nodes, disconnect_nodes, shard
from integration.test_merging_marts import BUILD, Dbt, dbt, publish
from marts.oracle import KEYS, differences
from marts.states import STAGED
from marts.world import make_worlds, write

__all__ = ["dbt"]

Dsn = Callable[[str], str]
GENERATIONS = "cleaned_data.customer_transactions_generations"
GENERATION = "cleaned_data.customer_transactions_g1"
FACTS = "analytics_sets.fact_transactions_s1"


@pytest.fixture(scope="module")
def nodes(runtime: Runtime) -> Iterator[tuple[Runtime, ...]]:
    with ExitStack() as stack:
        nodes = tuple(stack.enter_context(running_server(shared_buffers="64MB")) for _ in range(2))
        connect_nodes(runtime, nodes)
        stack.callback(disconnect_nodes, runtime)
        yield nodes


def read(dsn: Dsn, table: str) -> list[dict[str, Any]]:
    with psycopg.connect(dsn("transformer"), row_factory=dict_row) as connection:
        return connection.execute(f"table {table}").fetchall()  # type: ignore[call-overload]


def shares(nodes: Sequence[Runtime], role: str, table: str) -> list[int]:
    """Count the rows of a sharded table on each node."""
    found = []
    for number, node in enumerate(nodes):
        with psycopg.connect(node.dsn(role)) as connection:
            found += connection.execute(f"select count(*) from {table}_{number}").fetchone() or ()  # type: ignore[call-overload]  # noqa: S608
    return found


def test_marts_built_from_rows_on_two_other_servers_are_those_of_one(
    dsn: Dsn, dbt: Dbt, runtime: Runtime, nodes: tuple[Runtime, ...], tmp_path: Path
) -> None:
    def differing(name: str, schema: str) -> list[str]:
        return differences(read(dsn, f"{schema}.{name}"), expected[name], name)

    world = make_worlds(18)[1]
    load_file(dsn("loader"), write(tmp_path / "1.csv", world.whole), "run-1", day=1)
    assert dbt(*BUILD)
    expected = {
        name: {tuple(row[key] for key in KEYS[name]): row for row in read(dsn, f"{MARTS.staging}.{name}")}
        for name in KEYS
    }

    shard(runtime, nodes, "loader", GENERATIONS, GENERATION, "transaction_id")
    rows = shares(nodes, "loader", GENERATION)
    assert min(rows) > 900
    assert sum(rows) == len(expected[STAGED])
    assert dbt(*BUILD)
    publish(dsn)
    for name in KEYS:
        assert differing(name, MARTS.staging if name == STAGED else MARTS.views) == []

    shard(runtime, nodes, "transformer", "analytics_sets.fact_transactions", FACTS, "transaction_id")
    assert shares(nodes, "transformer", FACTS) == rows
    assert differing("fact_transactions", MARTS.views) == []

    # What PostgreSQL refuses where rows are on other servers, as docs/scale.md says. Readers keep what they have.
    with psycopg.connect(dsn("loader"), autocommit=True) as loader:
        for table, change in (
            ("partitioned table", "add primary key (transaction_id)"),
            ("foreign table", "add foreign key (load_id) references cleaned_data.loads (load_id)"),
        ):
            with pytest.raises(psycopg.errors.WrongObjectType, match=table):
                loader.execute(f"alter table {GENERATION} {change}")  # type: ignore[call-overload]
    with pytest.raises(RefusedError, match="42P10"):
        load_file(dsn("loader"), write(tmp_path / "2.csv", world.corrections[0]), "run-2", mode="merge", day=2)
    assert differing(STAGED, MARTS.staging) == []

    # The next load is on this server, as ever; the nodes' rows stay until somebody drops them.
    load_file(dsn("loader"), write(tmp_path / "3.csv", world.whole | world.corrections[0]), "run-3", day=3)
    load_file(dsn("loader"), write(tmp_path / "4.csv", world.whole), "run-4", day=4)
    assert len(read(dsn, "cleaned_data.customer_transactions")) == sum(rows)
    assert shares(nodes, "loader", GENERATION) == rows
