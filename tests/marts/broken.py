"""What the constraints of a mart promise → a change to one row that breaks just that promise's expression.

The values are looked for by trying: of each column that the expression names, a few, in all combinations.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product
from typing import Any, NamedTuple

import duckdb

VALUES = {
    "numeric": ["null", "-5", "0", "1", "7", "100000"],
    "date": ["null", "date '1999-12-31'", "date '2020-06-15'", "date '2040-01-01'"],
    "text": ["null", "'Unknown'", "'Gold'", "'nonsense'"],
    "boolean": ["null", "true", "false"],
}


class Breach(NamedTuple):
    """A promise, as the data test names it, and SQL that breaks it in some row; `{table}` stands for the mart."""

    promise: str
    statement: str


def breaches(connection: duckdb.DuckDBPyConnection, node: dict[str, Any]) -> Iterator[Breach]:
    """Yield a breach for each constraint of a mart but the foreign keys.

    Args:
        connection: Any; nothing is changed.
        node: The mart in dbt's manifest.

    Raises:
        AssertionError: No value was found that breaks an expression.
    """
    for column, constraint in constraints_of(node):
        if constraint["type"] == "not_null":
            yield Breach(f"not null: {column}", _change(f"{column} = null"))
        elif constraint["type"] == "primary_key":
            keys = [column] if column else constraint["columns"]
            yield Breach(f"primary key: {', '.join(keys)}", "insert into {table} from {table} limit 1")
        elif constraint["type"] == "check":
            expression = constraint["expression"]
            yield Breach(f"check: {expression}", _change(_that_breaks(connection, expression, node["columns"])))


def constraints_of(node: dict[str, Any]) -> list[tuple[str | None, dict[str, Any]]]:
    """Return a mart's constraints, each with the column that it stands at."""
    found: list[tuple[str | None, dict[str, Any]]] = [(None, constraint) for constraint in node["constraints"]]
    for column in node["columns"].values():
        found += [(column["name"], constraint) for constraint in column["constraints"]]
    return found


def _change(assignments: str) -> str:
    return f"update {{table}} set {assignments} where rowid = (select min(rowid) from {{table}})"  # noqa: S608


def _that_breaks(connection: duckdb.DuckDBPyConnection, expression: str, columns: dict[str, dict[str, Any]]) -> str:
    named = [column for name, column in columns.items() if re.search(rf"\b{name}\b", expression)]
    for values in product(*(_values_of(column["data_type"]) for column in named)):
        row = ", ".join(
            f'{value}::{column["data_type"]} as "{column["name"]}"'
            for value, column in zip(values, named, strict=True)
        )
        if connection.execute(f"select not ({expression}) from (select {row})").fetchone() == (True,):  # noqa: S608
            return ", ".join(f'"{column["name"]}" = {value}' for value, column in zip(values, named, strict=True))
    raise AssertionError(f"nothing breaks {expression}")


def _values_of(kind: str) -> list[str]:
    return VALUES.get(kind, VALUES["numeric"])
