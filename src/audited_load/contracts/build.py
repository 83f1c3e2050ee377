"""A contract and the rules of a feed → the feed."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any, TypeAlias

from audited_load.columns import (
    DROP,
    HASH,
    Amount,
    CalendarDate,
    Column,
    ControlTotal,
    Feed,
    Kind,
    Text,
    WholeNumber,
)
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
PUBLIC = ("public", "internal", "confidential", "restricted")
"""Classifications of columns that are about no person; all others are taken to be."""


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


@dataclass(frozen=True)
class Property:
    """What a contract says of a column, and where.

    Attributes:
        declared: Its words.
        path: Where they stand in the contract.
        is_further: Whether it is a column that the default contract lacks.
    """

    declared: Mapping[str, Any]
    path: str
    is_further: bool = False


def properties_of(contract: Contract) -> list[Property]:
    """Return what a contract says of its columns."""
    properties = enumerate(contract.table["properties"])
    return [Property(declared, f"schema[0].properties[{number}]") for number, declared in properties]


def build_feed(
    contract: Contract,
    rules: Mapping[str, Rules],
    taken: Collection[str] = (),
    properties: Sequence[Property] | None = None,
) -> Feed:
    """Build the feed that a contract describes.

    Args:
        contract: What it declares.
        rules: The rules that it may name.
        taken: Names that no column may have.
        properties: Its columns; by default those that stand in it.

    Returns:
        The feed, its columns in the contract's order.

    Raises:
        RefusedError: It declares what can't be; all faults are named, with path and line.
    """
    properties = properties_of(contract) if properties is None else properties
    reading, given = contract.reading, contract.table.get("customProperties", {})
    for one in properties:
        for name in ("physicalType", "description", "customProperties"):
            if name not in one.declared:
                reading.fault(f"{one.path}.{name}", "is missing")
    refuse_faults(contract.path, reading.faults)
    names, currency = [one.declared["name"] for one in properties], currency_of(given, reading)
    built = [_build_column(one, rules, given.get("nullTokens", []), currency, reading) for one in properties]
    columns = [column for column in built if column]
    _check_names(properties, names, taken, reading)
    keys = [one.declared["name"] for one in properties if one.declared.get("primaryKey")]
    if len(keys) != 1:
        reading.fault("schema[0].properties", f"must hold one column with `primaryKey: true`, not {len(keys)}")
    totals = [ControlTotal(total["name"], tuple(total["factors"])) for total in given.get("controlTotals", [])]
    _check_totals(totals, columns, reading)
    subject = given.get("subject", "")
    if subject and subject not in names:
        reading.fault("schema[0].customProperties.subject", f"is no column: {nearest(subject, names)}")
    if not _NAME.fullmatch(contract.table["name"]):
        reading.fault("schema[0].name", "must be a name of lower-case letters, digits and _")
    refuse_faults(contract.path, reading.faults)
    form, aliases = _form_of(contract, given), _aliases_of(properties, names, reading)
    left_out = _left_out_of(given.get("leftOut", []), {*names, *dict(aliases)}, reading)
    refuse_faults(contract.path, reading.faults)
    return Feed(
        contract.table["name"],
        tuple(column for column in columns if column.masking != DROP),
        keys[0],
        tuple(totals),
        subject,
        form,
        contract=contract.name,
        aliases=aliases,
        dropped=tuple(column.name for column in columns if column.masking == DROP),
        left_out=left_out,
        patterns=tuple(
            server["path"] for server in contract.data.get("servers", []) if contract.data["status"] == "active"
        ),
        unknown=given.get("unknownColumns", Feed.unknown),
        vanished=given.get("vanishedColumns", Feed.vanished),
        currency=currency.code,
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
    if server and not _is_pattern(server["path"]):
        contract.reading.fault("servers[0].path", "must be a pattern of files in the data folder: incoming/b/*.csv")
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


def _is_pattern(path: str) -> bool:
    parts = Path(path).parts
    if not parts or path.endswith("/") or any(part in {"..", "/"} for part in parts):
        return False
    return not any("**" in part and part != "**" for part in parts) and parts.count("**") <= 1 and parts[-1] != "**"


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


def _aliases_of(properties: Sequence[Property], names: list[str], reading: Reading) -> tuple[tuple[str, str], ...]:
    """Return the names in a header that mean a column, each with the column's."""
    found: dict[str, str] = {}
    for one in properties:
        for place, synonym in enumerate(one.declared.get("synonyms", [])):
            alias = normalise_name(synonym["synonym"])
            if not alias or alias in found or alias in names:
                said = f"is {synonym['synonym']!r}, which is blank or means a column already"
                reading.fault(f"{one.path}.synonyms[{place}].synonym", said)
            found[alias] = one.declared["name"]
    return tuple(found.items())


def _build_column(
    one: Property, rules: Mapping[str, Rules], null_tokens: list[str], currency: Currency, reading: Reading
) -> Column | None:
    declared, path, custom = one.declared, one.path, one.declared["customProperties"]
    sort, kind = custom.get("rules"), _kind_of(declared, path, reading)
    if not _NAME.fullmatch(declared["name"]):
        reading.fault(f"{path}.name", "must be a name of lower-case letters, digits and _")
        return None
    required, masking = declared.get("required", False), custom.get("masking", "")
    optional = custom.get("optional", one.is_further and not required)
    if declared.get("primaryKey") and not required:
        reading.fault(f"{path}.primaryKey", "needs `required: true`")
    if optional and required:
        reading.fault(f"{path}.customProperties.optional", "can't be true of what is required")
    if masking and not one.is_further:
        reading.fault(f"{path}.customProperties.masking", "can't be of a column of the default contract")
    if one.is_further and not masking and declared.get("classification", PUBLIC[0]).strip().lower() not in PUBLIC:
        said = f"is none of {', '.join(PUBLIC)}, so the column needs `masking`: {HASH} or {DROP}"
        reading.fault(f"{path}.classification", said)
    if sort not in rules:
        reading.fault(f"{path}.customProperties.rules", f"is {sort!r}: {nearest(sort or '', rules)}")
        return None
    if kind is None:
        return None
    tokens = frozenset(token.lower() for token in custom.get("nullTokens", null_tokens))
    try:
        id_prefix = custom.get("idPrefix", "")
        column = rules[sort](Declared(declared["name"], kind, required, tokens, id_prefix, currency))
    except ValueError as error:
        reading.fault(f"{path}.customProperties.rules", f"is {sort!r}, {error}")
        return None
    return replace(column, optional=optional, further=one.is_further, masking=masking)


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


def _check_names(
    properties: Sequence[Property], names: Sequence[str], taken: Collection[str], reading: Reading
) -> None:
    for place, (name, one) in enumerate(zip(names, properties, strict=True)):
        if name in names[:place]:
            reading.fault(f"{one.path}.name", f"is {name!r} for a second time")
        if name in taken:
            reading.fault(f"{one.path}.name", f"is {name!r}, which tables and models add themselves")


def _check_totals(totals: list[ControlTotal], columns: list[Column], reading: Reading) -> None:
    numbers = [column.name for column in columns if isinstance(column.kind, WholeNumber | Amount)]
    for place, total in enumerate(totals):
        path = f"schema[0].customProperties.controlTotals[{place}]"
        for number, name in enumerate(total.factors):
            if name not in numbers:
                reading.fault(f"{path}.factors[{number}]", f"is no column of numbers: {nearest(name, numbers)}")
        if not total.factors or not _NAME.fullmatch(total.name):
            reading.fault(path, "needs a name of lower-case letters, and factors")
