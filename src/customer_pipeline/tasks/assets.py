"""What the pipeline publishes → assets that other DAGs can follow, and lineage for OpenLineage."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from airflow.sdk import Asset, Context
from airflow.sdk.lineage import get_hook_lineage_collector

from audited_load.marts.mart_manifest import Mart
from customer_pipeline.feed import MARTS, TABLES
from customer_pipeline.settings import read_server

# By name only: with host and port in it, an asset would be another one in the other runtime, and the DAGs that
# follow it would wait for ever.
CLEANED_TABLE = Asset(f"{TABLES.schema}.{TABLES.feed.name}")


def published_assets(models: Iterable[Mart]) -> tuple[Asset, ...]:
    """Return one asset per mart, named as readers see it."""
    return tuple(Asset(f"{MARTS.views}.{mart.name}") for mart in models)


def report_lineage(context: Context, inputs: Iterable[str], outputs: Iterable[str]) -> None:
    """Tell OpenLineage what a task read and wrote; without a transport, this does nothing.

    Args:
        context: Of the task.
        inputs: Tables, as `schema.table`.
        outputs: Tables, as `schema.table`.
    """
    collector = get_hook_lineage_collector()
    task: Any = context["ti"].task  # hooks are meant; it is only told apart from others
    for table in inputs:
        collector.add_input_asset(task, uri=_address(table))
    for table in outputs:
        collector.add_output_asset(task, uri=_address(table))


def _address(table: str) -> str:
    """Name a table as dbt's events do, so that both are one node of the lineage."""
    server = read_server()
    return f"postgres://{server.host}:{server.port}/{server.database}/{table.replace('.', '/')}"
