"""A contract of another file for the feed's table: how it is written, and what its columns are called."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from audited_load.columns import Feed
from audited_load.contracts.build import Property, Rules, build_feed, currency_of, properties_of
from audited_load.contracts.contract import Contract, refuse_faults
from audited_load.contracts.shapes import nearest

OF_THE_TABLE = ("logicalType", "logicalTypeOptions", "physicalType", "primaryKey")
"""Words of a column that may be said again, and can't be said otherwise: all files fill one table."""
_RULES = {"string": "name", "number": "amount", "date": "day", "integer": "count"}
_TYPES: dict[str, tuple[str, dict[str, Any]]] = {
    "id": ("bigint", {"minimum": 0}),
    "day": ("date", {}),
    "name": ("text", {}),
    "count": ("integer", {}),
    "amount": ("numeric(18, 4)", {}),
}
"""The type of a further column, by its rules, where its contract leaves it out."""


def build_other_feed(
    contract: Contract, default: Contract, rules: Mapping[str, Rules], taken: Collection[str] = ()
) -> Feed:
    """Build the feed of another file: what its contract leaves out, is as in the default one.

    Args:
        contract: What it declares of the file.
        default: The contract of the table that it fills.
        rules: The rules that both may name.
        taken: Names that no column may have.

    Returns:
        The default's columns, read from the other file, and then those that only it has.

    Raises:
        RefusedError: It declares what can't be, or another table.
    """
    reading, table, base = contract.reading, contract.table, default.table
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
    names = [column["name"] for column in base["properties"]]
    given: dict[str, Property] = {}
    for one in properties_of(contract):
        name = one.declared["name"]
        if name in given:
            reading.fault(f"{one.path}.name", f"is {name!r} for a second time")
        elif name in names:
            _compare(one.declared, base["properties"][names.index(name)], one.path, contract)
            given[name] = one
        else:
            if one.declared.get("primaryKey"):
                reading.fault(f"{one.path}.primaryKey", f"is the table's: {nearest(name, names)}")
            given[name] = Property(_complete(one.declared), one.path, is_further=True)
    refuse_faults(contract.path, reading.faults)
    properties = [_lay_over(column, given.pop(column["name"], None)) for column in base["properties"]]
    customs = {**base.get("customProperties", {}), **table.get("customProperties", {})}
    laid = Contract(contract.path, {**contract.data, "schema": [{**base, "customProperties": customs}]}, reading)
    feed = build_feed(laid, rules, taken, [*properties, *given.values()])
    return replace(feed, contract=replace(contract.name, base=default.name.sha256))


def _complete(declared: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is said of a further column, with what follows from its logical type."""
    customs = {"rules": _RULES.get(declared["logicalType"], ""), **declared.get("customProperties", {})}
    physical, options = _TYPES.get(customs["rules"], ("", {}))
    return {
        "physicalType": physical,
        "logicalTypeOptions": options,
        "description": "",
        **declared,
        "customProperties": customs,
    }


def _compare(column: Mapping[str, Any], base: Mapping[str, Any], path: str, contract: Contract) -> None:
    for word in OF_THE_TABLE:
        if word in column and column[word] != base.get(word, False):
            contract.reading.fault(f"{path}.{word}", f"is {base.get(word, False)!r} in the table")
    if base.get("required") and not column.get("required", True):
        contract.reading.fault(f"{path}.required", "is true in the table")
    rules = column.get("customProperties", {}).get("rules")
    if rules and rules != base["customProperties"]["rules"]:
        contract.reading.fault(f"{path}.customProperties.rules", "are those of the table")


def _lay_over(base: Mapping[str, Any], one: Property | None) -> Property:
    if one is None:
        return Property(base, "schema[0]")
    customs = {**base["customProperties"], **one.declared.get("customProperties", {})}
    return Property({**base, **one.declared, "customProperties": customs}, one.path)
