"""A contract and the rules of a feed → the feed."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, TypeAlias

from audited_load.columns import Amount, CalendarDate, Column, ControlTotal, Feed, Kind, Text, WholeNumber
from audited_load.contracts.contract import Contract, refuse_faults
from audited_load.contracts.shapes import Reading, nearest
from audited_load.errors import RefusedError
from audited_load.form import AUTO, UNDECLARED, Form
from audited_load.reading.dialect import normalise_name
from audited_load.rules.currencies import CURRENCIES, NO_CURRENCY, Currency

_INTEGERS = {"integer": (-(2**31), 2**31 - 1), "bigint": (-(2**63), 2**63 - 1)}
_NUMERIC = re.compile(r"numeric\(([0-9]+), ?([0-9]+)\)")
_LONGEST = 255
_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")


@dataclass(frozen=True)
class Declared:
    """A column as a contract declares it, without its rules.

    Attributes:
        name: Its name.
        kind: The type of its values.
        required: Whether a record without a value is refused.
        null_tokens: Texts, in lower case, that mean "no value".
        id_prefix: What may stand before an id; blank if nothing.
        currency: What may stand beside an amount: the table's one currency, if it has any.
    """

    name: str
    kind: Kind
    required: bool
    null_tokens: frozenset[str]
    id_prefix: str
    currency: Currency = NO_CURRENCY


Rules: TypeAlias = Callable[[Declared], Column]
"""The rules of a sort of columns; raises ValueError, with the end of a sentence, for what they can't read."""


def build_feed(contract: Contract, rules: Mapping[str, Rules]) -> Feed:
    """Build the feed that a contract describes.

    Args:
        contract: What it declares.
        rules: The rules that it may name.

    Returns:
        The feed, its columns in the contract's order.

    Raises:
        RefusedError: It declares what can't be; all faults are named, with path and line.
    """
    for number, declared in enumerate(contract.table["properties"]):
        for name in ("physicalType", "description", "customProperties"):
            if name not in declared:
                contract.reading.fault(f"schema[0].properties[{number}].{name}", "is missing")
    refuse_faults(contract.path, contract.reading.faults)
    return _build(contract, contract.table, rules)


def _build(contract: Contract, table: Mapping[str, Any], rules: Mapping[str, Rules]) -> Feed:
    reading = contract.reading
    given = table.get("customProperties", {})
    currency = currency_of(given, reading)
    columns: list[Column] = []
    for number, declared in enumerate(table["properties"]):
        path = f"schema[0].properties[{number}]"
        column = _build_column(declared, path, rules, given.get("nullTokens", []), currency, reading)
        if column and column.name in {other.name for other in columns}:
            reading.fault(f"{path}.name", f"is {column.name!r} for a second time")
        elif column:
            columns.append(column)
    names = [declared["name"] for declared in table["properties"]]
    keys = [declared["name"] for declared in table["properties"] if declared.get("primaryKey")]
    if len(keys) != 1:
        reading.fault("schema[0].properties", f"must hold one column with `primaryKey: true`, not {len(keys)}")
    totals = [ControlTotal(total["name"], tuple(total["factors"])) for total in given.get("controlTotals", [])]
    _check_totals(totals, columns, reading)
    subject = given.get("subject", "")
    if subject and subject not in names:
        reading.fault("schema[0].customProperties.subject", f"is no column: {nearest(subject, names)}")
    if not _NAME.fullmatch(table["name"]):
        reading.fault("schema[0].name", "must be a name of lower-case letters, digits and _")
    refuse_faults(contract.path, reading.faults)
    form, aliases = _form_of(contract, given), _aliases_of(table["properties"], names, reading)
    left_out = _left_out_of(given.get("leftOut", []), {*names, *dict(aliases)}, reading)
    refuse_faults(contract.path, reading.faults)
    return Feed(
        table["name"],
        tuple(columns),
        keys[0],
        tuple(totals),
        subject,
        form,
        contract=contract.name,
        aliases=aliases,
        left_out=left_out,
    )


def currency_of(given: Mapping[str, Any], reading: Reading) -> Currency:
    """Return the currency that a table's custom properties declare, by its code or its sign."""
    word = given.get("currency")
    if word is None:
        return NO_CURRENCY
    if word.lower() not in CURRENCIES:
        known = sorted({spelling for currency in CURRENCIES.values() for spelling in currency.spellings})
        reading.fault("schema[0].customProperties.currency", f"is {word!r}: {nearest(word, known)}")
    return CURRENCIES.get(word.lower(), NO_CURRENCY)


def _form_of(contract: Contract, given: Mapping[str, Any]) -> Form:
    """Return the form that files of the contract are declared to have."""
    server: dict[str, Any] = next(iter(contract.data.get("servers", [])), {})
    custom, table = server.get("customProperties", {}), "schema[0].customProperties"
    decimal, group = given.get("decimal", AUTO), given.get("groupCharacter", AUTO)
    parts: dict[str, dict[str, Any]] = {
        f"{table}.groupCharacter": {"decimal": decimal, "group": group},
        "servers[0].encoding": {"encoding": server.get("encoding")},
        "servers[0].customProperties.delimiter": {"delimiter": custom.get("delimiter")},
        "servers[0].customProperties.skipLines": {"skip_lines": custom.get("skipLines", 0)},
    }
    for path, words in parts.items():
        try:
            Form(**words)
        except RefusedError as error:
            contract.reading.fault(path, f"can't be: {error.message}")
            return UNDECLARED
    return Form(
        server.get("encoding"),
        decimal,
        given.get("dateOrder", AUTO),
        custom.get("delimiter"),
        custom.get("quote", '"'),
        custom.get("skipLines", 0),
        group,
    )


def _left_out_of(names: list[str], known: set[str], reading: Reading) -> tuple[str, ...]:
    """Return the names in a header that are known, and mean no column."""
    found: list[str] = []
    for place, written in enumerate(names):
        name = normalise_name(written)
        if not name or name in found or name in known:
            why = "which means a column" if name in known else "which is blank, or there twice"
            reading.fault(f"schema[0].customProperties.leftOut[{place}]", f"is {written!r}, {why}")
        found.append(name)
    return tuple(found)


def _aliases_of(
    properties: list[dict[str, Any]], names: list[str], reading: Reading
) -> tuple[tuple[str, str], ...]:
    """Return the names in a header that mean a column, each with the column's."""
    found: dict[str, str] = {}
    for number, declared in enumerate(properties):
        for place, synonym in enumerate(declared.get("synonyms", [])):
            path = f"schema[0].properties[{number}].synonyms[{place}].synonym"
            alias = normalise_name(synonym["synonym"])
            if not alias or alias in found or alias in names:
                reading.fault(path, f"is {synonym['synonym']!r}, which is blank or means a column already")
            found[alias] = declared["name"]
    return tuple(found.items())


def _build_column(
    declared: Mapping[str, Any],
    path: str,
    rules: Mapping[str, Rules],
    null_tokens: list[str],
    currency: Currency,
    reading: Reading,
) -> Column | None:
    custom, key = declared["customProperties"], declared.get("primaryKey", False)
    sort, kind = custom.get("rules"), _kind_of(declared, path, reading)
    if not _NAME.fullmatch(declared["name"]):
        reading.fault(f"{path}.name", "must be a name of lower-case letters, digits and _")
        return None
    if key and not declared.get("required"):
        reading.fault(f"{path}.primaryKey", "needs `required: true`")
    if sort not in rules:
        reading.fault(f"{path}.customProperties.rules", f"is {sort!r}: {nearest(sort or '', rules)}")
        return None
    tokens = custom.get("nullTokens", null_tokens)
    if kind is None:
        return None
    try:
        return rules[sort](
            Declared(
                declared["name"],
                kind,
                declared.get("required", False),
                frozenset(token.lower() for token in tokens),
                custom.get("idPrefix", ""),
                currency,
            )
        )
    except ValueError as error:
        reading.fault(f"{path}.customProperties.rules", f"is {sort!r}, {error}")
        return None


def _kind_of(declared: Mapping[str, Any], path: str, reading: Reading) -> Kind | None:
    """Return the type of a column: the logical and the physical type must agree, and so must the options."""
    logical, physical = declared["logicalType"], declared["physicalType"]
    options, numeric = declared.get("logicalTypeOptions", {}), _NUMERIC.fullmatch(physical)
    bounds: dict[str, Any] = {"integer": _INTEGERS.get(physical), "date": (str(date.min), str(date.max))}
    allowed = {"integer": ["minimum", "maximum"], "date": ["minimum", "maximum"], "string": ["maxLength"]}
    for name in options:
        if name not in allowed.get(logical, []):
            reading.fault(f"{path}.logicalTypeOptions.{name}", f"isn't supported for {logical!r}")
    fits = {"integer": physical in _INTEGERS, "number": bool(numeric), "date": physical == "date"}
    if not fits.get(logical, physical == "text"):
        reading.fault(f"{path}.physicalType", f"can't be {physical!r} for the logicalType {logical!r}")
        return None
    low, high = bounds.get(logical) or (None, None)
    first, last = options.get("minimum", low), options.get("maximum", high)
    try:
        match logical:
            case "integer" if low <= first <= last <= high:
                return WholeNumber(first, last)
            case "date" if date.fromisoformat(first) <= date.fromisoformat(last):
                return CalendarDate(date.fromisoformat(first), date.fromisoformat(last))
            case "number" if numeric and int(numeric[2]) <= int(numeric[1]):
                return Amount(int(numeric[1]), int(numeric[2]))
            case "string" if options.get("maxLength", _LONGEST) > 0:
                return Text(options.get("maxLength", _LONGEST))
    except (TypeError, ValueError):
        pass
    reading.fault(f"{path}.logicalTypeOptions", f"can't hold for {physical!r}")
    return None


def _check_totals(totals: list[ControlTotal], columns: list[Column], reading: Reading) -> None:
    numbers = [column.name for column in columns if isinstance(column.kind, WholeNumber | Amount)]
    for place, total in enumerate(totals):
        path = f"schema[0].customProperties.controlTotals[{place}]"
        for number, name in enumerate(total.factors):
            if name not in numbers:
                reading.fault(f"{path}.factors[{number}]", f"is no column of numbers: {nearest(name, numbers)}")
        if not total.factors or not _NAME.fullmatch(total.name):
            reading.fault(path, "needs a name of lower-case letters, and factors")
