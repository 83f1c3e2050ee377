"""What a file seems to be → a contract that would read it: only what differs from the default one."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from glob import escape
from typing import Any

from audited_load.columns import Column, Feed
from audited_load.contracts.contract import Contract
from audited_load.form import AUTO
from audited_load.inspecting.column_facts import ColumnFacts, FileFacts
from audited_load.inspecting.first_look import FirstLook
from audited_load.inspecting.likely_columns import SURE, Match, find_candidates
from audited_load.inspecting.likely_form import LikelyForm
from audited_load.reading.dialect import normalise_name
from audited_load.reading.encoding import GUESSED

_PREFIX = re.compile("[A-Za-z]{1,10}[-_/]?")
_SOME, _PART, _FEW = 0.3, 0.02, 3
SHOWN = 4
"""Names that fit a line."""


def propose(
    look: FirstLook,
    facts: FileFacts,
    form: LikelyForm,
    matches: Mapping[str, Match],
    default: Contract,
    feed: Feed,
    personal: Collection[int],
) -> str:
    """Write a contract.

    Args:
        look: How the file is written.
        facts: What its columns hold.
        form: How its numbers and dates are written.
        matches: Which of its columns are the table's.
        default: The contract of the table.
        feed: The table's feed.
        personal: Which of its columns, from 0, look personal.

    Returns:
        YAML in the Open Data Contract Standard; what isn't certain has a comment.
    """
    name = look.source.path.name
    taken = {match.place for match in matches.values()}
    names = {"", *(column["name"] for column in default.table["properties"])}
    rest: list[int] = []
    for place, one in enumerate(facts.columns):
        if place not in taken and normalise_name(one.name) not in names:
            names.add(normalise_name(one.name))
            rest.append(place)
    return "\n".join(
        [
            f"# Proposed by inspect for {_quote(name)}: look at it, then check it (contract check), then use it.",
            "apiVersion: v3.2.0",
            "kind: DataContract",
            f"id: {_slug(name)}",
            "version: 1.0.0",
            "status: draft",
            "servers:",
            "  - server: incoming",
            "    type: local",
            f"    path: {_quote(f'**/{escape(name)}')}  # which files of the data folder, once it is active",
            "    format: csv",
            *_encoding(look),
            *_pairs("    ", _of_server(look)),
            "schema:",
            f"  - name: {default.table['name']}",
            *_pairs("    ", _of_table(facts, form, rest, personal)),
            *_properties(facts, matches, default, feed),
            "",
        ]
    )


def find_prefixes(facts: ColumnFacts) -> list[tuple[str, int]]:
    """Return what stands before the ids of a column and may be declared, the most frequent first.

    What stands before a few ids only may be a person's name, and is left out.
    """
    counts: dict[str, int] = {}
    for prefix, number in facts.prefixes.most_common():
        if _PREFIX.fullmatch(prefix):
            known = next((other for other in counts if other.lower() == prefix.lower()), prefix)
            counts[known] = counts.get(known, 0) + number
    shown = [(prefix, number) for prefix, number in counts.items() if number >= max(_FEW, _PART * facts.filled)]
    return sorted(shown, key=lambda item: -item[1])


def _encoding(look: FirstLook) -> list[str]:
    encoding = look.source.encoding
    if encoding.is_utf8 and encoding.origin == "found":
        return []
    doubt = "  # guessed: see whether names look right" if encoding.origin == GUESSED else ""
    return [f"    encoding: {encoding.name}{doubt}"]


def _of_server(look: FirstLook) -> list[tuple[str, object, str]]:
    form = look.form
    found: list[tuple[str, object, str]] = []
    if form.delimiter not in {None, ","}:
        found.append(("delimiter", form.delimiter, ""))
    if form.quote != '"':
        found.append(("quote", form.quote, ""))
    if form.skip_lines:
        found.append(("skipLines", form.skip_lines, ""))
    return found


def _of_table(
    facts: FileFacts, form: LikelyForm, rest: Sequence[int], personal: Collection[int]
) -> list[tuple[str, object, str]]:
    found: list[tuple[str, object, str]] = []
    if form.decimal != AUTO:
        found.append(("decimal", form.decimal, "not certain" * ("decimal" in form.unsure)))
    if form.date_order != AUTO or "date_order" in form.unsure:
        order = "day_first" if form.date_order == AUTO else form.date_order
        found.append(("dateOrder", order, "not certain" * ("date_order" in form.unsure)))
    if rest:
        names = [facts.columns[place].name for place in rest]
        shown = [facts.columns[place].name for place in rest if place in personal]
        found.append(("leftOut", names, f"personal, it seems; better dropped: {', '.join(shown)}" if shown else ""))
    return found


def _properties(facts: FileFacts, matches: Mapping[str, Match], default: Contract, feed: Feed) -> list[str]:
    lines = []
    for base in default.table["properties"]:
        name, match = base["name"], matches.get(base["name"])
        entry: dict[str, Any] = {"name": name, "logicalType": base["logicalType"]}
        if match is None:
            (column,) = [one for one in feed.columns if one.name == name]
            lines.append(_not_found(entry, column, find_candidates(facts.columns, column, matches)))
            continue
        one = facts.columns[match.place]
        if normalise_name(one.name) != name:
            entry["synonyms"] = [{"synonym": one.name}]
        custom = _of_column(one, base, default)
        if custom:
            entry["customProperties"] = [{"property": word, "value": value} for word, value in custom.items()]
        if len(entry) > 2 or base.get("primaryKey"):  # noqa: PLR2004 - a name and a type alone say nothing
            doubt = "" if match.how_sure == SURE else f"  # {match.how_sure}"
            lines.append(f"      - {_flow(entry)}{doubt}")
    is_blank = all(line.lstrip().startswith("#") for line in lines)
    return ["    properties: []" if is_blank else "    properties:", *lines]


def _not_found(entry: dict[str, Any], column: Column, candidates: Sequence[str]) -> str:
    """Write the entry of a column that wasn't found: to be filled in, or null if nothing in the file can be it."""
    if not candidates and not column.required:
        optional = {**entry, "customProperties": [{"property": "optional", "value": True}]}
        return f"      - {_flow(optional)}  # the file has none"
    names = f": {' or '.join(candidates[:SHOWN])}?" if candidates else ""
    return f"      # {_flow({**entry, 'synonyms': [{'synonym': '?'}]})}  # not found{_plain(names)}"


def _of_column(facts: ColumnFacts, base: Mapping[str, Any], default: Contract) -> dict[str, object]:
    """Return the custom properties that a column needs beside those of the default contract."""
    custom: dict[str, object] = {}
    own, prefixes = base.get("customProperties", {}), find_prefixes(facts)
    if "idPrefix" in own and prefixes:
        prefix, number = prefixes[0]
        if number > _SOME * facts.filled and prefix.lower() != own["idPrefix"].lower():
            custom["idPrefix"] = prefix
    known = own.get("nullTokens", default.table.get("customProperties", {}).get("nullTokens", []))
    if base["logicalType"] != "string" and not facts.tokens.keys() <= {token.lower() for token in known}:
        # What is declared, takes the place of the default's.
        custom["nullTokens"] = sorted(facts.tokens)
    return custom


def _pairs(indent: str, pairs: Sequence[tuple[str, object, str]]) -> list[str]:
    if not pairs:
        return []
    lines = [f"{indent}customProperties:"]
    for name, value, comment in pairs:
        line = f"{indent}  - {{property: {name}, value: {json.dumps(value, ensure_ascii=False)}}}"
        lines.append(line + (f"  # {_plain(comment)}" if comment else ""))
    return lines


def _flow(value: object) -> str:
    """Write data as YAML on one line."""
    match value:
        case dict():
            return "{" + ", ".join(f"{key}: {_flow(one)}" for key, one in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(_flow, value)) + "]"
        case str() if re.fullmatch(r"[A-Za-z][\w-]*", value, re.ASCII) and value.lower() not in _YAML_WORDS:
            return value
    return _quote(value)


_YAML_WORDS = {"yes", "no", "on", "off", "true", "false", "null", "y", "n"}


def _quote(value: object) -> str:
    """Write a text within quotes, as JSON and YAML do; what can't be seen, is escaped."""
    text = json.dumps(value, ensure_ascii=False)
    return "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in text)


def _plain(comment: str) -> str:
    return "".join(char if char.isprintable() else " " for char in comment)


def _slug(name: str) -> str:
    bare = re.sub(r"[^a-z0-9]+", "-", name.split(".", maxsplit=1)[0].lower()).strip("-")
    return f"from-{bare or 'file'}"
