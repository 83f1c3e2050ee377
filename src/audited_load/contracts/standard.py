"""A contract against the standard itself: the JSON schema that its makers publish."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import yaml  # type: ignore[import-untyped]

from audited_load.contracts.contract import read_contract, refuse_faults


def check_standard(path: Path) -> None:
    """Check a contract against the JSON schema of the Open Data Contract Standard.

    Args:
        path: A contract that `read_contract` takes.

    Raises:
        RefusedError: It breaks the standard; each place is named with its line.
    """
    reading = read_contract(path).reading
    schema = json.loads(files("open_data_contract_standard").joinpath("schema.json").read_text(encoding="utf-8"))
    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    for error in jsonschema.Draft201909Validator(schema).iter_errors(data):
        reading.fault(_path(list(error.absolute_path)), f"breaks the standard: {error.message[:200]}")
    refuse_faults(path, reading.faults)


def _path(parts: list[Any]) -> str:
    written = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)
    return written.removeprefix(".")
