"""The feed, and the tables of the warehouse that it fills: the cleaned table, and where the marts are.

Which marts there are, dbt's manifest says: `customer_pipeline.tasks.dbt_manifest.find_marts`. Free of Airflow.
"""

from __future__ import annotations

from pathlib import Path

from audited_load.marts.mart_tables import Marts
from audited_load.marts.sums import Joined, Sums
from audited_load.warehouse.tables import Tables
from customer_pipeline import names
from steps import data_cleaners

FEED = data_cleaners.CUSTOMER_TRANSACTIONS
TABLES = Tables(FEED, names.CLEANED, Path(data_cleaners.__file__).resolve().parents[1] / "migrations")
_AMOUNTS = ("units_sold", "gross_amount", "tax_amount")
DAYS = Sums(
    "page_days",
    "One row per day with transactions: what the page shows of it. The fact, added up when it was published.",
    "fact_transactions",
    ("transaction_date",),
    _AMOUNTS,
)
PRODUCT_MONTHS = Sums(
    "page_products",
    "One row per month and product: what the page shows of it. The fact, added up when it was published.",
    "fact_transactions",
    ("transaction_month", "product_id"),
    _AMOUNTS,
)
CUSTOMERS = Sums(
    "page_customers",
    "One row per tier and segment of customers: what the page shows of them. The unknown customer is a row, too.",
    "dim_customers",
    ("customer_tier", "value_segment"),
    ("lifetime_transactions", "lifetime_revenue"),
)
CUSTOMER_MONTHS = Sums(
    "page_months",
    "One row per month, tier and segment of customers: what the page shows of them. The months of customers, added"
    " up when they were published.",
    "agg_monthly_sales",
    ("transaction_month",),
    ("transactions", "transactions_without_amount", "units_sold", "revenue", "tax_amount"),
    Joined("dim_customers", "customer_id", ("customer_tier", "value_segment")),
)
"""What the page asks for at every look, by name of the view in `analytics`."""
MARTS = Marts(
    staging=names.STAGING,
    sets=names.SETS,
    views=names.MARTS,
    source=f"{names.CLEANED}.published_load",
    history=names.HISTORY,
    beside=(names.SANDBOX, names.CHECKED),
    sums=(DAYS, PRODUCT_MONTHS, CUSTOMERS, CUSTOMER_MONTHS),
)
READER_TRANSACTION_SECONDS = 3600
"""How long a reader's transaction may last: the setting `transaction_timeout` of the role."""
