"""A contract's file → what it declares: the words of the Open Data Contract Standard that are obeyed here.

A word that isn't obeyed is refused, so that nobody believes in it; what only people read may say anything.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from audited_load.columns import DRIFT_POLICIES, DROP, HASH, ContractName
from audited_load.command import command
from audited_load.contracts.shapes import Fields, Free, Items, Pairs, Reading, Scalar, read_node
from audited_load.errors import RefusedError
from audited_load.form import DATE_ORDERS, DECIMALS, GROUPS, QUOTES
from audited_load.shown import show_text

CLONE = Path(__file__).resolve().parents[3]
"""Where the engine is installed from, if it is installed from a clone."""
MAX_BYTES = 2**20
SHOWN_FAULTS = 10
VERSIONS = ("v3.1.0", "v3.2.0")

_BOUND = Scalar((int, str))
_TEXT, _TEXTS = Scalar(str), Items(Scalar(str))
_SLA = Fields({"property": Scalar(str, ("frequency", "latency")), "value": Scalar(int), "unit": Scalar(str),
               "element": _TEXT, "description": Free()}, ("property", "value", "unit"))  # fmt: skip
_SYNONYM = Fields({"synonym": _TEXT, "locale": Free(), "source": Free(), "description": Free()}, ("synonym",))
_SERVER = Fields(
    {
        "server": _TEXT,
        "type": Scalar(str, ("local",)),
        "path": _TEXT,
        "format": Scalar(str, ("csv",)),
        "encoding": _TEXT,
        "description": Free(),
        "customProperties": Pairs({"delimiter": _TEXT, "quote": Scalar(str, QUOTES), "skipLines": Scalar(int)}),
    },
    ("server", "type", "path", "format"),
)
_OPTIONS = Fields({"minimum": _BOUND, "maximum": _BOUND, "maxLength": Scalar(int)})
_PROPERTY = Fields(
    {
        "name": _TEXT,
        "businessName": Free(),
        "description": _TEXT,
        "tags": Free(),
        "logicalType": Scalar(str, ("integer", "number", "date", "string")),
        "logicalTypeOptions": _OPTIONS,
        "physicalType": _TEXT,
        "required": Scalar(bool),
        "primaryKey": Scalar(bool),
        "classification": _TEXT,
        "synonyms": Items(_SYNONYM),
        "customProperties": Pairs(
            {
                "rules": _TEXT,
                "idPrefix": _TEXT,
                "nullTokens": _TEXTS,
                "optional": Scalar(bool),
                "masking": Scalar(str, (HASH, DROP)),
            }
        ),
    },
    ("name", "logicalType"),
)
_TABLE = Fields(
    {
        "name": _TEXT,
        "logicalType": Scalar(str, ("object",)),
        "physicalType": Scalar(str, ("table",)),
        "businessName": Free(),
        "description": Free(),
        "tags": Free(),
        "customProperties": Pairs(
            {
                "nullTokens": _TEXTS,
                "subject": _TEXT,
                "decimal": Scalar(str, DECIMALS),
                "groupCharacter": Scalar(str, GROUPS),
                "currency": _TEXT,
                "leftOut": _TEXTS,
                "dateOrder": Scalar(str, DATE_ORDERS),
                "unknownColumns": Scalar(str, DRIFT_POLICIES),
                "vanishedColumns": Scalar(str, DRIFT_POLICIES),
                "controlTotals": Items(Fields({"name": _TEXT, "factors": _TEXTS}, ("name", "factors"))),
            }
        ),
        "properties": Items(_PROPERTY),
    },
    ("name", "properties"),
)
CONTRACT = Fields(
    {
        "apiVersion": Scalar(str, VERSIONS),
        "kind": Scalar(str, ("DataContract",)),
        "id": _TEXT,
        "name": Free(),
        "version": _TEXT,
        "status": Scalar(str, ("proposed", "draft", "active", "deprecated", "retired")),
        "domain": Free(),
        "tenant": Free(),
        "dataProduct": Free(),
        "description": Free(),
        "tags": Free(),
        "team": Free(),
        "support": Free(),
        "authoritativeDefinitions": Free(),
        "contractCreatedTs": Free(),
        "slaProperties": Items(_SLA),
        "servers": Items(_SERVER),
        "schema": Items(_TABLE),
    },
    ("apiVersion", "kind", "id", "version", "status", "schema"),
)


@dataclass(frozen=True)
class Contract:
    """What a contract declares, and where each word of it stands.

    Attributes:
        path: Its file.
        data: Its words, as dictionaries and lists; custom properties by their names.
        reading: The lines of its paths, and the faults found so far: none.
    """

    path: Path
    data: dict[str, Any]
    reading: Reading

    @property
    def table(self) -> dict[str, Any]:
        """The one table that it describes."""
        return dict(self.data["schema"][0])

    @property
    def name(self) -> ContractName:
        """Its name: comments, the order of keys and what only people read change nothing of its sha256."""
        sha256 = hashlib.sha256(json.dumps(self.data, sort_keys=True).encode()).hexdigest()
        return ContractName(self.data["id"], self.data["version"], sha256)


def read_contract(path: Path) -> Contract:
    """Read a contract.

    Args:
        path: A YAML file, of at most a mebibyte.

    Returns:
        What it declares. Its columns are not looked at yet: `build_feed` does that.

    Raises:
        RefusedError: It can't be read, or declares what isn't obeyed; all faults are named, with path and line.
    """
    reading = Reading()
    node = _compose(path)
    data = read_node(node, CONTRACT, "", reading)
    if not reading.faults and len(data["schema"]) != 1:
        reading.fault("schema", "must hold one table")
    if not reading.faults and len(data.get("servers", [])) > 1:
        reading.fault("servers", "must hold one server")
    refuse_faults(path, reading.faults)
    return Contract(path, data, reading)


def refuse_faults(path: Path, faults: Sequence[str]) -> None:
    """Refuse a contract if there are faults in it.

    Args:
        path: Its file.
        faults: Sentences.

    Raises:
        RefusedError: There are.
    """
    if faults:
        more = [f"and {len(faults) - SHOWN_FAULTS} more"] if len(faults) > SHOWN_FAULTS else []
        raise RefusedError(
            "\n  ".join([f"{show_text(str(path), 4096)} is no contract that can be obeyed:",
                         *faults[:SHOWN_FAULTS], *more]),
            f"Correct it, then look again: {command('contract check FILE')}. Nothing was loaded.",
        )  # fmt: skip


def _compose(path: Path) -> yaml.Node:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            refuse_faults(path, [f"it has more than {MAX_BYTES // 2**10} KiB"])
        text = content.decode()
        tokens = yaml.scan(text, yaml.SafeLoader)
        # An alias can make a small file huge, and puts one word in two places.
        alias = next((token for token in tokens if isinstance(token, yaml.AliasToken)), None)
        node = None if alias else yaml.compose(text, yaml.SafeLoader)
    except OSError as error:
        raise RefusedError(
            f"{show_text(str(path), 4096)}: the contract can't be read: {error.strerror}.",
            "Check its path and its rights. Nothing was loaded.",
        ) from error
    except UnicodeDecodeError:
        refuse_faults(path, ["it is no UTF-8"])
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        refuse_faults(path, [f"line {line}: this is no YAML: {error.problem}"])
    except yaml.YAMLError:
        refuse_faults(path, ["it has characters that YAML doesn't know"])
    else:
        if alias:
            refuse_faults(path, [f"line {alias.start_mark.line + 1}: an alias of YAML isn't supported"])
        if node is not None:
            return node
    raise RefusedError(f"{show_text(str(path), 4096)}: the contract is empty.", "Write it. Nothing was loaded.")
