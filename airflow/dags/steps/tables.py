"""Which tables of the warehouse the pipeline fills: the cleaned table and the marts. Free of Airflow."""

from __future__ import annotations

from pathlib import Path

from audited_load.warehouse.mart_tables import ForeignKey, Marts
from audited_load.warehouse.tables import Tables
from steps.data_cleaners import CUSTOMER_TRANSACTIONS

SCHEMA = "cleaned_data"
TABLES = Tables(CUSTOMER_TRANSACTIONS, SCHEMA, Path(__file__).resolve().parents[1] / "migrations")
MARTS = Marts(
    names=("dim_customers", "dim_products", "fact_transactions", "agg_monthly_sales"),
    foreign_keys=(
        ForeignKey("fact_transactions", "customer_id", "dim_customers"),
        ForeignKey("fact_transactions", "product_id", "dim_products"),
    ),
    staging="analytics_dbt_staging",
    sets="analytics_sets",
    views="analytics",
    source=f"{SCHEMA}.published_load",
    history="analytics_history",
)
READER_TRANSACTION_SECONDS = 3600
"""How long a reader's transaction may last: the setting `transaction_timeout` of the role."""
