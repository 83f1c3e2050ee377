"""dbt's manifest → the marts, in the order in which they are built, with their keys."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from audited_load.errors import RefusedError
from audited_load.marts.mart_manifest import ForeignKey, Mart, read_marts, read_models


def model(name: str, *parents: str, kind: str = "mart", alias: str | None = None, **more: Any) -> dict[str, Any]:
    return {
        "resource_type": "model",
        "name": name,
        "alias": alias or name,
        "original_file_path": f"models/{name}.sql",
        "config": {"materialized": kind},
        "depends_on": {"nodes": [f"model.ebury.{parent}" for parent in parents]},
        "columns": {},
        "constraints": [],
        **more,
    }


def write(path: Path, *models: dict[str, Any]) -> Path:
    nodes = {f"model.ebury.{node['name']}": node for node in models}
    nodes["test.ebury.t"] = {"resource_type": "test"}
    path.write_text(json.dumps({"nodes": nodes}))
    return path


def key(to: str, columns: list[str]) -> dict[str, Any]:
    return {"type": "foreign_key", "to": to, "to_columns": columns}


def test_marts_come_in_the_order_in_which_they_are_built(tmp_path: Path) -> None:
    manifest = write(
        tmp_path / "manifest.json",
        model("a_total", "joined"),
        model("joined", "stg", "line", kind="view"),
        model("line", "stg", "place"),
        model("place", "stg"),
        model("stg", kind="view"),
    )
    assert read_marts(manifest) == (
        Mart("place"),
        Mart("line", frozenset({"place"})),
        Mart("a_total", frozenset({"line"})),  # through a model that is not a mart
    )
    assert read_models(manifest) == ("stg", "place", "line", "joined", "a_total")


@pytest.mark.parametrize("to", ["ref('place')", '"ebury"."staging"."place_of_sale"'])
def test_foreign_keys_are_what_the_constraints_say(tmp_path: Path, to: str) -> None:
    columns = {"place_id": {"name": "place_id", "constraints": [key(to, ["id"]), {"type": "not_null"}]}}
    manifest = write(
        tmp_path / "manifest.json",
        model("line", "place", columns=columns, constraints=[key(to, ["a", "b"]) | {"columns": ["c", "d"]}]),
        model("place", alias="place_of_sale"),
    )
    assert read_marts(manifest)[1].foreign_keys == (
        ForeignKey(("place_id",), "place_of_sale", ("id",)),
        ForeignKey(("c", "d"), "place_of_sale", ("a", "b")),
    )


@pytest.mark.parametrize(
    "wrong", [key("ref('stg')", ["id"]), key("ref('place')", []), {"type": "foreign_key", "expression": "x (id)"}]
)
def test_a_foreign_key_to_no_mart_is_refused(tmp_path: Path, wrong: dict[str, Any]) -> None:
    columns = {"id": {"name": "id", "constraints": [wrong]}}
    manifest = write(
        tmp_path / "manifest.json", model("line", columns=columns), model("place"), model("stg", kind="view")
    )
    with pytest.raises(RefusedError, match="a foreign key of line leads to no mart"):
        read_marts(manifest)


def test_what_is_no_manifest_is_refused(tmp_path: Path) -> None:
    for text in (None, "", "{}"):
        if text is not None:
            (tmp_path / "manifest.json").write_text(text)
        with pytest.raises(RefusedError, match="not a manifest"):
            read_marts(tmp_path / "manifest.json")
