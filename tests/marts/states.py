"""A warehouse, step by step through replace, merge and rollback, and what it has to hold after each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

from customer_pipeline.feed import MARTS
from integration.loading import load_file
from integration.test_merging_marts import BUILD, Dbt, parsed, publish, undo
from integration.test_star_schema import PROJECT
from marts.lines import Line, merged, read_lines
from marts.oracle import KEYS, Row, Rows, differences, expected_marts
from marts.world import Said, World, write

Dsn = Callable[[str], str]
STAGED = "stg_customer_transactions"


@dataclass(frozen=True)
class State:
    """What a warehouse holds now.

    Attributes:
        name: What was done last.
        schema: Where the marts are to be looked at.
        lines: The transactions that they have to be of.
        expected: What they have to hold: see `expected_marts`.
        statements: What dbt ran to build each model.
    """

    name: str
    schema: str
    lines: dict[int, Line]
    expected: dict[str, Rows]
    statements: dict[str, list[str]] = field(default_factory=dict)

    @property
    def is_merged(self) -> bool:
        return self.name.startswith("merge")


def walk(dsn: Dsn, worlds: Iterable[World], folder: Path) -> Iterator[State]:
    """Go from state to state; each is there until the next one is asked for.

    Args:
        dsn: Connection strings by role, of an empty warehouse.
        worlds: The deliveries; each world has more lines than the one before.
        folder: A place for their files.

    Yields:
        Each state twice: as it was built, and as it is published.
    """
    events: list[Any] = []
    dbt, day = parsed(PROJECT, folder, [events.append]), 0

    def deliver(mode: str, said: dict[int, Said], before: dict[int, Line]) -> Iterator[State]:
        nonlocal day
        day += 1
        file = write(folder / f"{day}.csv", said)
        load_file(dsn("loader"), file, f"run-{day}", mode=mode, day=day)
        cleaned = folder / f"out-run-{day}-{file.name}" / "customer_transactions_cleaned.csv"
        arriving = read_lines(cleaned, day)
        assert len(arriving) == len(said)
        lines = merged(before, arriving) if mode == "merge" else arriving
        statements = _built(dbt, events)
        name, expected = f"{mode} {day}", expected_marts(lines.values())
        yield State(f"{name}, built", MARTS.staging, lines, expected, statements)
        publish(dsn)
        yield State(f"{name}, published", MARTS.views, lines, expected, statements)

    for world in worlds:
        for state in deliver("replace", world.whole, {}):
            yield state
            whole, expected = state.lines, state.expected
        for corrections in world.corrections:
            yield from deliver("merge", corrections, whole)
            undo(dsn)
            yield State("rollback", MARTS.views, whole, expected)


def _built(dbt: Dbt, events: list[Any]) -> dict[str, list[str]]:
    events.clear()
    assert dbt(*BUILD)
    found = defaultdict(list)
    for event in events:
        if event.info.name == "SQLQuery" and event.data.node_info.resource_type == "model":
            found[event.data.node_info.node_name].append(event.data.sql)
    return found


def wrong_cells(dsn: Dsn, state: State) -> list[str]:
    """Compare all that is there with the oracle; see `differences`."""
    with psycopg.connect(dsn("transformer"), row_factory=dict_row) as connection:
        loaded: list[Row] = connection.execute(
            "select transaction_id, loaded_at from cleaned_data.customer_transactions"
        ).fetchall()
        for row in loaded:  # no file says when
            state.expected[STAGED][row["transaction_id"],]["loaded_at"] = row["loaded_at"]
        texts = []
        for mart in KEYS:
            schema = MARTS.staging if mart == STAGED else state.schema
            found = connection.execute(f"table {schema}.{mart}").fetchall()  # type: ignore[call-overload]
            texts += differences(found, state.expected[mart], mart)
    return texts
