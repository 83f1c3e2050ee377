"""The models' SQL in the words of other databases, by sqlglot → what each can't say.

sqlglot warns of little, and no server of these databases is here: so the translation is also searched for what the
documentation of the database doesn't have.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.errors import ErrorLevel, ParseError

DATABASES = {
    "redshift": "Redshift",
    "snowflake": "Snowflake",
    "bigquery": "BigQuery",
    "databricks": "Databricks",
    "trino": "Trino",
    "duckdb": "DuckDB",
}
ELSEWHERE = set(DATABASES) - {"duckdb"}


def _is(kind: type[exp.Expression]) -> Callable[[exp.Expression], bool]:
    return lambda node: isinstance(node, kind)


def _is_not_materialized(node: exp.Expression) -> bool:
    return isinstance(node, exp.CTE) and node.args.get("materialized") is False


def _is_day_name(node: exp.Expression) -> bool:
    return isinstance(node, exp.TimeToStr | exp.ToChar | exp.Anonymous) and "date_day" in node.sql()


def _is_part(*names: str) -> Callable[[exp.Expression], bool]:
    return lambda node: isinstance(node, exp.Extract) and node.this.name.lower() in names


LACKS: tuple[tuple[str, Callable[[exp.Expression], bool], set[str]], ...] = (
    ("`filter`", _is(exp.Filter), {"redshift"}),
    ("exact quotients", _is(exp.Div), {"duckdb"}),
    ("`not materialized`", _is_not_materialized, ELSEWHERE),
    ("nth of an array", _is(exp.Bracket), ELSEWHERE),
    ("a series of days", _is(exp.Lateral), ELSEWHERE - {"databricks"}),
    ("names of days", _is_day_name, set(DATABASES) - {"redshift"}),
    ("ISO day", _is_part("isodow", "dayofweekiso"), ELSEWHERE),
    ("ISO year", _is_part("isoyear", "yearofweekiso"), ELSEWHERE - {"bigquery"}),
)
"""What a translation may still have, how it is told, and which databases lack it, or mean something else by it."""


def translate(statement: str, database: str) -> tuple[str, list[str]]:
    """Translate a statement of PostgreSQL.

    Args:
        statement: One query.
        database: As sqlglot names it.

    Returns:
        The query in the database's words, and what sqlglot says that these can't say.
    """
    logging.getLogger("sqlglot").setLevel(logging.CRITICAL)
    generator = sqlglot.Dialect.get_or_raise(database).generator(unsupported_level=ErrorLevel.WARN)
    translated = generator.generate(sqlglot.parse_one(statement, read="postgres"))
    return translated, list(dict.fromkeys(generator.unsupported_messages))


def unsaid(statement: str, database: str) -> list[str]:
    """Return what a database can't say of a statement, or says only otherwise than sqlglot writes it."""
    translated, found = translate(statement, database)
    try:
        tree: Any = sqlglot.parse_one(translated, read=database)
    except ParseError as error:
        return [*found, f"not to be parsed: {error.errors[0]['description']}"]
    nodes = list(tree.walk())
    lacking = [name for name, tells, databases in LACKS if database in databases and any(map(tells, nodes))]
    return [*lacking, *(f"sqlglot: {message}" for message in found)]


def table(statements: Mapping[str, str]) -> list[str]:
    """Return the lines of the table in docs/scale.md: a row a model, a column a database."""
    lines = [f"| model | {' | '.join(DATABASES.values())} |", "|---" * (len(DATABASES) + 1) + "|"]
    for name, statement in statements.items():
        cells = [", ".join(unsaid(statement, database)) or "-" for database in DATABASES]
        lines.append(f"| `{name}` | {' | '.join(cells)} |")
    return lines
