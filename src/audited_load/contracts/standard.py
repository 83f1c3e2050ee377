"""A contract against the standard itself: the JSON schema that its makers publish."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import yaml  # type: ignore[import-untyped]

from audited_load.contracts.contract import Contract, refuse_faults


def check_standard(contract: Contract) -> None:
    """Check a contract against the JSON schema of the Open Data Contract Standard.

    Args:
        contract: What `read_contract` gave.

    Raises:
        RefusedError: It breaks the standard; each place is named with its line.
    """
    schema = json.loads(files("open_data_contract_standard").joinpath("schema.json").read_text(encoding="utf-8"))
    data = yaml.safe_load(contract.path.read_text(encoding="utf-8"))
    for error in jsonschema.Draft201909Validator(schema).iter_errors(data):
        contract.reading.fault(_path(list(error.absolute_path)), f"breaks the standard: {error.message[:200]}")
    refuse_faults(contract.path, contract.reading.faults)


def _path(parts: list[Any]) -> str:
    written = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)
    return written.removeprefix(".")
