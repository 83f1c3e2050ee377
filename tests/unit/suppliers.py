"""Contracts of other suppliers, written for a test, and the feeds that they describe."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from audited_load.columns import Feed
from customer_pipeline.contract_of_run import feed_by_contract
from steps.data_cleaners import CUSTOMER_TRANSACTIONS

TYPES = ("integer", "integer", "date", "integer", "string", "integer", "number", "number")
GERMAN = {
    "transaction_id": "Belegnummer", "customer_id": "Kundennr.", "transaction_date": "Datum",
    "product_id": "Artikelnr", "product_name": "Bezeichnung", "quantity": "Menge", "price": "Einzelpreis",
    "tax": "Straßensteuer",
}  # fmt: skip


def write_contract(
    path: Path,
    synonyms: Mapping[str, str],
    prefixes: Mapping[str, str],
    tokens: Mapping[str, list[str]] | None = None,
    further: Sequence[Mapping[str, Any]] = (),
    **form: Any,
) -> Path:
    """Write a contract; JSON is YAML."""
    properties: list[Mapping[str, Any]] = list(further)
    for name, kind in zip(CUSTOMER_TRANSACTIONS.names, TYPES, strict=True):
        said = {"idPrefix": prefixes.get(name), "nullTokens": (tokens or {}).get(name)}
        custom = [{"property": word, "value": value} for word, value in said.items() if value is not None]
        others = [{"synonym": synonyms[name]}] if name in synonyms else []
        properties.append({"name": name, "logicalType": kind, "synonyms": others, "customProperties": custom})
    server = {"server": "in", "type": "local", "path": "incoming/*.csv", "format": "csv"}
    server["encoding"] = form.pop("encoding", "utf-8")
    own = [word for word in ("delimiter", "quote", "skipLines") if word in form]
    of_server = [{"property": word, "value": form.pop(word)} for word in own]
    custom = [{"property": word, "value": value} for word, value in form.items()]
    said = {
        "apiVersion": "v3.2.0", "kind": "DataContract", "id": path.name.partition(".")[0], "version": "1.0.0",
        "status": "active", "servers": [{**server, "customProperties": of_server}],
        "schema": [{"name": CUSTOMER_TRANSACTIONS.name, "customProperties": custom, "properties": properties}],
    }  # fmt: skip
    path.write_text(json.dumps(said), encoding="utf-8")
    return path


def write_german(path: Path) -> Path:
    """Write the contract of a supplier from Germany."""
    prefixes, masked = {"transaction_id": "RE-", "customer_id": "K-"}, [{"property": "masking", "value": "hash"}]
    mail = {
        "name": "mail",
        "logicalType": "string",
        "synonyms": [{"synonym": "E-Mail"}],
        "customProperties": masked,
    }
    branch = {"name": "branch", "logicalType": "string", "synonyms": [{"synonym": "Filiale"}]}
    return write_contract(
        path, GERMAN, prefixes, {"customer_id": ["ohne", "999"]}, [mail, branch],
        encoding="cp1252", delimiter=";", decimal="comma", dateOrder="day_first",
    )  # fmt: skip


def german(folder: Path) -> Feed:
    """Return the feed of that supplier."""
    return feed_by_contract(write_german(folder / "lieferant.odcs.yaml"))
