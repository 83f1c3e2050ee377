"""An error of the database → what it is about, without any value of a row: for logs and alerts."""

from __future__ import annotations

import re

import psycopg


def name_refusal(error: psycopg.Error) -> str:
    """Name the kind of an error, and which table, column and constraint it is about; never a value."""
    kind = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(error).__name__).lower()
    diag = error.diag
    where = (("table", diag.table_name), ("column", diag.column_name), ("constraint", diag.constraint_name))
    return ", ".join([kind, *(f"{what} {name}" for what, name in where if name)])
