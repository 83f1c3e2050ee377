"""How old the load that readers see may be, as the dbt project says, and whether it is older."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg

from audited_load.errors import RefusedError
from customer_pipeline.settings import dbt_project
from customer_pipeline.tasks.dbt_manifest import fresh_manifest

_SOURCE = "published_load"
_VISIBLE = "select load_id, published_at from cleaned_data.published_load"


@dataclass(frozen=True)
class StaleLoad:
    """What readers see, and have seen for too long.

    Attributes:
        load_id: The load.
        age: How long ago it was published.
        limit: How long that may be.
    """

    load_id: int
    age: timedelta
    limit: timedelta


def find_stale_load(
    connection: psycopg.Connection[Any], limit: timedelta, now: datetime | None = None
) -> StaleLoad | None:
    """Return whether no new load was published for too long.

    Args:
        connection: To the warehouse, as a role that reads the ledger.
        limit: How long a load may be the newest.
        now: The time, if it is another.

    Returns:
        The load that readers see, if it is older; None if it isn't, or there is none.
    """
    row = connection.execute(_VISIBLE).fetchone()
    if row is None:
        return None
    age = (now or datetime.now(UTC)) - row[1]
    return StaleLoad(row[0], age, limit) if age > limit else None


def read_error_after(manifest: Path | None = None) -> timedelta:
    """Read `error_after` of the source `published_load`, which `dbt source freshness` uses, too.

    Args:
        manifest: dbt's `manifest.json`; that of the project of the settings if none is given.

    Returns:
        How long a load may be the newest.

    Raises:
        RefusedError: The project says none.
    """
    sources = json.loads((manifest or fresh_manifest(dbt_project())).read_text())["sources"].values()
    for source in sources:
        limit = (source.get("freshness") or {}).get("error_after") or {}
        if source["name"] == _SOURCE and limit.get("count"):
            return timedelta(**{f"{limit['period']}s": limit["count"]})
    raise RefusedError(
        f"The dbt project doesn't say when {_SOURCE} is too old.",
        "Give it `error_after: {count: 72, period: hour}` in dbt/models/staging/_sources.yml.",
    )
