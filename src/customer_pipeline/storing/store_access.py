"""The Airflow connection `storage` → where the store is, and who asks it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from audited_load.errors import RefusedError
from audited_load.storage import Access
from customer_pipeline.names import STORAGE_CONNECTION_ID

VARIABLE = f"AIRFLOW_CONN_{STORAGE_CONNECTION_ID.upper()}"


def access_of(login: str | None, password: str | None, extra: Mapping[str, Any]) -> Access:
    """Read the fields of a connection of the type `aws`.

    Args:
        login: The access key; blank to ask as the machine may.
        password: The secret that goes with it.
        extra: `endpoint_url` of a store that is not Amazon's, and `region_name`.
    """
    return Access(
        endpoint=str(extra.get("endpoint_url") or ""),
        region=str(extra.get("region_name") or ""),
        key_id=login or "",
        secret=password or "",
    )


def read_access(environment: Mapping[str, str]) -> Access:
    """Read the connection from the environment, as Airflow does: for commands, which reach no store through a task.

    Args:
        environment: Has `AIRFLOW_CONN_STORAGE`, as JSON or as a URI.

    Raises:
        RefusedError: It has none, or one that can't be read.
    """
    text = environment.get(VARIABLE, "")
    try:
        if text.startswith("{"):
            fields = json.loads(text)
            extra = fields.get("extra") or {}
            extra = json.loads(extra) if isinstance(extra, str) else extra
            return access_of(fields.get("login"), fields.get("password"), extra)
        found = urlsplit(text)
        if found.scheme:
            login, password = (unquote(part or "") for part in (found.username, found.password))
            return access_of(login, password, dict(parse_qsl(found.query)))
    except (ValueError, AttributeError):
        pass  # it holds a secret: nothing of it is quoted
    raise RefusedError(
        f"{VARIABLE} is not set, or is no connection: without it this command can't reach the store.",
        "Set it as for the services (docs/scale-out.md), or put the file into the store and name it with --source.",
    )
