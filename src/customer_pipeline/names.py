"""Names that several rooms agree on: the DAG and its tasks, the warehouse's schemas and roles, the exit codes.

The specification fixes most of them. Imports nothing, so that anybody may import it.
"""

from __future__ import annotations

from enum import IntEnum

DAG_ID = "pipeline_customer_transaction"
CHECK_DAG_ID = "check_marts"
ARRIVALS_DAG_ID = "load_arrivals"
CONNECTION_ID, STORAGE_CONNECTION_ID = "postgres_default", "storage"
STORAGE_ROOT = "STORAGE_ROOT"
"""The setting that says in which store deliveries and the files of runs lie."""
DATABASE = "ebury"
"""The warehouse's database, and dbt's profile."""

CLEAN_GROUP, LOAD_GROUP, TRANSFORM_GROUP = "Clean-Transactions", "Load-To-Postgres", "DBT-Transformations"
MODELS_GROUP = "dbt_models"
CLEAN_ONE_TASK = f"{CLEAN_GROUP}.clean_source_file"
CLEAN_TASK = f"{CLEAN_GROUP}.clean_and_transform_csv"
COPY_SHARD_TASK = f"{LOAD_GROUP}.copy_shard"
COPY_TASK = f"{LOAD_GROUP}.load_cleaned_csv_to_postgres"
VALIDATE_TASK = f"{LOAD_GROUP}.validate_postgres_load"
MODEL_TASKS = f"{TRANSFORM_GROUP}.{MODELS_GROUP}."
"""What the ids of a model's two tasks begin with: its name and `.run`, `.test` follow."""
PUBLISH_TASK = f"{TRANSFORM_GROUP}.publish_marts"

SUPERUSER, AIRFLOW, LOADER, TRANSFORMER, READER = "postgres", "airflow", "loader", "transformer", "reader"
ROLES = (SUPERUSER, AIRFLOW, LOADER, TRANSFORMER, READER)

CLEANED, OPERATIONS = "cleaned_data", "operations"
STAGING, SETS, MARTS, HISTORY = "analytics_dbt_staging", "analytics_sets", "analytics", "analytics_history"
SANDBOX, CHECKED = "analytics_sandbox", "analytics_checked"
"""Where dbt builds beside the pipeline: for somebody who develops a model, and to check what is published."""
SCHEMA_OWNERS = {
    CLEANED: LOADER,
    OPERATIONS: LOADER,
    STAGING: TRANSFORMER,
    SETS: TRANSFORMER,
    MARTS: TRANSFORMER,
    HISTORY: TRANSFORMER,
    SANDBOX: TRANSFORMER,
    CHECKED: TRANSFORMER,
}


class ExitCode(IntEnum):
    """How a command ends."""

    OK = 0
    FAILED = 1
    BAD_DATA = 2
    UNUSABLE_FILE = 3
    RUN_FAILED = 4
    STALE = 5
    USAGE = 64
    NOT_FOUND = 127
    INTERRUPTED = 130
