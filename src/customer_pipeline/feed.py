"""The feed, and the tables of the warehouse that it fills: the cleaned table, and where the marts are.

Which marts there are, dbt's manifest says: `customer_pipeline.tasks.dbt_manifest.find_marts`. Free of Airflow.
"""

from __future__ import annotations

from pathlib import Path

from audited_load.marts.mart_tables import Marts
from audited_load.warehouse.tables import Tables
from customer_pipeline import names
from steps import data_cleaners

FEED = data_cleaners.CUSTOMER_TRANSACTIONS
TABLES = Tables(FEED, names.CLEANED, Path(data_cleaners.__file__).resolve().parents[1] / "migrations")
MARTS = Marts(
    staging=names.STAGING,
    sets=names.SETS,
    views=names.MARTS,
    source=f"{names.CLEANED}.published_load",
    history=names.HISTORY,
    beside=(names.SANDBOX, names.CHECKED),
)
READER_TRANSACTION_SECONDS = 3600
"""How long a reader's transaction may last: the setting `transaction_timeout` of the role."""
