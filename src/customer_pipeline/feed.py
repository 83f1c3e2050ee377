"""The feed, and the tables of the warehouse that it fills: the cleaned table, and where the marts are.

Which marts there are, dbt's manifest says: `customer_pipeline.tasks.dbt_manifest.find_marts`. Free of Airflow.
"""

from __future__ import annotations

from pathlib import Path

from audited_load.marts.mart_tables import Marts
from audited_load.warehouse.tables import Tables
from steps import data_cleaners

FEED = data_cleaners.CUSTOMER_TRANSACTIONS
SCHEMA = "cleaned_data"
TABLES = Tables(FEED, SCHEMA, Path(data_cleaners.__file__).resolve().parents[1] / "migrations")
MARTS = Marts(
    staging="analytics_dbt_staging",
    sets="analytics_sets",
    views="analytics",
    source=f"{SCHEMA}.published_load",
    history="analytics_history",
)
READER_TRANSACTION_SECONDS = 3600
"""How long a reader's transaction may last: the setting `transaction_timeout` of the role."""
