"""dbt's manifest → the marts: every model of the materialization `mart`, with what its .yml says of keys."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from audited_load.errors import RefusedError


@dataclass(frozen=True)
class ForeignKey:
    """Columns of a mart that refer to the primary key of another mart."""

    columns: tuple[str, ...]
    parent: str
    parent_columns: tuple[str, ...]


@dataclass(frozen=True)
class Mart:
    """A table that is published.

    Attributes:
        name: Of the table.
        parents: Marts that it is built from, directly or through models that are no marts.
        foreign_keys: What the constraints of its model say.
        primary_key: The columns by which rows are told apart, as they say, too.
        description: What its .yml says of it.
        columns: What its .yml says of each column, in order.
    """

    name: str
    parents: frozenset[str] = frozenset()
    foreign_keys: tuple[ForeignKey, ...] = ()
    primary_key: tuple[str, ...] = field(default=(), compare=False)
    description: str = field(default="", compare=False)
    columns: Mapping[str, str] = field(default_factory=dict, compare=False)


def read_marts(manifest: Path) -> tuple[Mart, ...]:
    """Read which marts a dbt project has.

    Args:
        manifest: dbt's `manifest.json`, as any command of dbt leaves it.

    Returns:
        The marts, those that others are built from first.

    Raises:
        RefusedError: The manifest is missing, or a model's foreign key is not written as one to a mart.
    """
    models = _models(manifest)
    names = {node["name"]: _name(node) for node in models.values() if _is_mart(node)}
    marts = {
        _name(node): Mart(
            _name(node),
            _parents(models, node),
            _foreign_keys(node, names),
            tuple(column for columns, _ in _constraints(node, "primary_key") for column in columns),
            (node.get("description") or "").strip(),
            {name: (column.get("description") or "").strip() for name, column in node["columns"].items()},
        )
        for node in sorted(models.values(), key=_name)
        if _is_mart(node)
    }
    order = TopologicalSorter({mart.name: sorted(mart.parents) for mart in marts.values()}).static_order()
    return tuple(marts[name] for name in order)


def read_models(manifest: Path) -> tuple[str, ...]:
    """Read the names of all models of a dbt project, those that others are built from first.

    Raises:
        RefusedError: The manifest is missing.
    """
    models = _models(manifest)
    order = TopologicalSorter(
        {
            key: [parent for parent in node["depends_on"]["nodes"] if parent in models]
            for key, node in models.items()
        }
    )
    return tuple(models[key]["name"] for key in order.static_order())


def _models(manifest: Path) -> dict[str, Any]:
    try:
        nodes: dict[str, Any] = json.loads(manifest.read_text())["nodes"]
    except (FileNotFoundError, ValueError, KeyError) as error:
        raise RefusedError(
            f"{manifest} is not a manifest of dbt.", "`make dbt-compile` makes it. Nothing was changed."
        ) from error
    return {key: nodes[key] for key in sorted(nodes) if nodes[key]["resource_type"] == "model"}


def _is_mart(node: dict[str, Any]) -> bool:
    return bool(node["config"]["materialized"] == "mart")


def _name(node: dict[str, Any]) -> str:
    return str(node.get("alias") or node["name"])


def _parents(models: dict[str, Any], node: dict[str, Any]) -> frozenset[str]:
    parents: set[str] = set()
    for key in node["depends_on"]["nodes"]:
        if key in models:
            parent = models[key]
            parents |= {_name(parent)} if _is_mart(parent) else _parents(models, parent)
    return frozenset(parents)


def _foreign_keys(node: dict[str, Any], names: dict[str, str]) -> tuple[ForeignKey, ...]:
    found = _constraints(node, "foreign_key")
    return tuple(_foreign_key(node, columns, one, names) for columns, one in found)


def _constraints(node: dict[str, Any], kind: str) -> list[tuple[list[str], dict[str, Any]]]:
    """Read the constraints of a kind, whether they stand beside a model's columns or below the model."""
    found = [([column["name"]], one) for column in node["columns"].values() for one in column["constraints"]]
    found += [(one.get("columns") or [], one) for one in node["constraints"]]
    return [(columns, one) for columns, one in found if one["type"] == kind]


def _foreign_key(
    node: dict[str, Any], columns: list[str], constraint: dict[str, Any], names: dict[str, str]
) -> ForeignKey:
    # `ref('dim_customers')` as it is written, or the relation that dbt makes of it.
    words = re.findall(r"\w+", constraint.get("to") or "")
    parent = names.get(words[-1], words[-1]) if words else ""
    parent_columns = constraint.get("to_columns") or []
    if parent not in names.values() or len(parent_columns) != len(columns):
        raise RefusedError(
            f"{node['original_file_path']}: a foreign key of {node['name']} leads to no mart.",
            "Write it in the model's .yml with `to: ref('MART')` and `to_columns: [COLUMN]`.",
        )
    return ForeignKey(tuple(columns), parent, tuple(parent_columns))
