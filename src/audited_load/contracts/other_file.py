"""A contract of another file for the feed's table: how it is written, and what its columns are called."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from audited_load.columns import Feed
from audited_load.contracts.build import Rules, build_feed, currency_of
from audited_load.contracts.contract import Contract, refuse_faults
from audited_load.contracts.shapes import nearest

OF_THE_TABLE = ("logicalType", "logicalTypeOptions", "physicalType", "primaryKey")
"""Words of a column that may be said again, and can't be said otherwise: all files fill one table."""


def build_other_feed(contract: Contract, default: Contract, rules: Mapping[str, Rules]) -> Feed:
    """Build the feed of another file: what its contract leaves out, is as in the default one.

    Args:
        contract: What it declares of the file.
        default: The contract of the table that it fills.
        rules: The rules that both may name.

    Returns:
        The default's columns, read from the other file.

    Raises:
        RefusedError: It declares what can't be, or another table.
    """
    reading, table, base = contract.reading, contract.table, default.table
    names = [column["name"] for column in base["properties"]]
    if table["name"] != base["name"]:
        reading.fault("schema[0].name", f"must be {base['name']!r}")
    for word in ("subject", "controlTotals"):
        if word in table.get("customProperties", {}):
            reading.fault(f"schema[0].customProperties.{word}", "is the table's, and not the file's: leave it out")
    own, tables = (currency_of(one.get("customProperties", {}), reading) for one in (table, base))
    if own.code and own != tables:
        reading.fault(
            "schema[0].customProperties.currency", f"is {tables.code or 'none'} in the table, and one table has one"
        )
    given: dict[str, dict[str, Any]] = {}
    for number, column in enumerate(table["properties"]):
        path = f"schema[0].properties[{number}]"
        if column["name"] not in names:
            reading.fault(f"{path}.name", f"is no column of the table: {nearest(column['name'], names)}")
        elif column["name"] in given:
            reading.fault(f"{path}.name", f"is {column['name']!r} for a second time")
        else:
            given[column["name"]] = column
            _compare(column, base["properties"][names.index(column["name"])], path, contract)
    refuse_faults(contract.path, reading.faults)
    properties = [_lay_over(column, given.get(column["name"], {})) for column in base["properties"]]
    customs = {**base.get("customProperties", {}), **table.get("customProperties", {})}
    laid = Contract(contract.path, {**contract.data, "schema": [
        {**base, "customProperties": customs, "properties": properties}]}, reading)  # fmt: skip
    return build_feed(laid, rules)


def _compare(column: Mapping[str, Any], base: Mapping[str, Any], path: str, contract: Contract) -> None:
    for word in OF_THE_TABLE:
        if word in column and column[word] != base.get(word, False):
            contract.reading.fault(f"{path}.{word}", f"is {base.get(word, False)!r} in the table")
    if base.get("required") and not column.get("required", True):
        contract.reading.fault(f"{path}.required", "is true in the table")
    rules = column.get("customProperties", {}).get("rules")
    if rules and rules != base["customProperties"]["rules"]:
        contract.reading.fault(f"{path}.customProperties.rules", "are those of the table")


def _lay_over(base: Mapping[str, Any], column: Mapping[str, Any]) -> dict[str, Any]:
    customs = {**base["customProperties"], **column.get("customProperties", {})}
    return {**base, **column, "customProperties": customs}
