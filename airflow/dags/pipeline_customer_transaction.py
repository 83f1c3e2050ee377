"""The DAG: a dirty CSV → cleaned, quarantined, loaded, audited, published → star schema, every day."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Any

from airflow.sdk import Param, TaskGroup, dag

from audited_load.form import DATE_ORDERS, DECIMALS, form_of_all
from customer_pipeline.names import CLEAN_GROUP, DAG_ID, LOAD_GROUP, TRANSFORM_GROUP
from customer_pipeline.settings import read_alert_settings, read_run_settings
from customer_pipeline.tasks.alerts import alert_of_failure, deadline_alerts
from customer_pipeline.tasks.ledger_notes import give_lease_back, note_failure
from steps.clean_transactions_pipeline import clean_transactions_pipeline
from steps.dbt_transformations_pipeline import dbt_transformations_pipeline
from steps.load_to_postgres_pipeline import load_to_postgres_pipeline

run_settings = read_run_settings()
form = form_of_all(os.environ).words()

default_args: dict[str, Any] = {
    "owner": "airflow",
    "depends_on_past": False,
    "start_date": datetime(2025, 12, 3, tzinfo=UTC),
    "retries": 1,
    "retry_delay": run_settings.retry_delay,
    "on_failure_callback": [note_failure, give_lease_back, alert_of_failure],
}

dag_definition: dict[str, Any] = {
    "dag_id": DAG_ID,
    "default_args": default_args,
    "description": "Complete data pipeline: CSV cleaning, PostgreSQL loading, and DBT transformations",
    "schedule": run_settings.schedule,
    "catchup": False,
    "max_active_runs": 1,
    "deadline": deadline_alerts(read_alert_settings()),
    "tags": ["data-pipeline", "csv", "postgres", "dbt", "end-to-end"],
    "params": {
        "source": Param(
            "customer_transactions.csv",
            type="string",
            minLength=1,
            title="Source",
            description="The input inside the data folder: a file, a folder, or a pattern such as"
            " incoming/*.csv or incoming/{ds}.csv with the day of the run.",
        ),
        "mode": Param(
            "replace",
            type="string",
            enum=["replace", "merge"],
            title="Mode",
            description="replace: the file is the whole truth. merge: it holds new and corrected records.",
        ),
        "sha256": Param(
            "",
            type="string",
            pattern="^([0-9a-f]{64})?$",
            title="SHA-256",
            description="Of the one file of the run: another content is refused. Empty: whatever is there.",
        ),
        "full_refresh": Param(
            False,
            type="boolean",
            title="Full refresh",
            description="Build all marts anew, also after a merge, which else only brings in the rows that change.",
        ),
        "contract": Param(
            os.environ.get("SOURCE_CONTRACT", ""),
            type="string",
            title="Contract",
            description="The id of the data contract by which the files are read. Empty: the one in contracts/"
            " whose pattern a file's path fits, else customer-transactions.",
        ),
        "decimal": Param(
            form["decimal"],
            type="string",
            enum=list(DECIMALS),
            title="Decimal mark",
            description="point or comma: what stands before decimals. auto: a point, if nothing in the file says"
            " otherwise.",
        ),
        "date_order": Param(
            form["date_order"],
            type="string",
            enum=list(DATE_ORDERS),
            title="Order of dates",
            description="day_first or month_first: what 03/04/2023 begins with. auto: the day, if nothing in the"
            " file says otherwise.",
        ),
        "encoding": Param(
            form["encoding"],
            type="string",
            minLength=1,
            title="Encoding",
            description="Such as utf-8 or windows-1251. auto: found out, or guessed and said so.",
        ),
        "force": Param(
            False,
            type="boolean",
            title="Force",
            description="Publish even if the file is far smaller, or older, than what readers see now.",
        ),
    },
}


@dag(**dag_definition)
def clean_customer_transactions() -> None:
    """Clean the file, load it and model it; each group starts when the one before it has succeeded."""
    with TaskGroup(group_id=CLEAN_GROUP):
        cleaned = clean_transactions_pipeline(CLEAN_GROUP)

    with TaskGroup(group_id=LOAD_GROUP) as load_group:
        load_to_postgres_pipeline(LOAD_GROUP, cleaned)

    with TaskGroup(group_id=TRANSFORM_GROUP) as dbt_group:
        dbt_transformations_pipeline(TRANSFORM_GROUP)

    # Loading waits for `cleaned`, and not for every file: see `every_file_is_cleaned`.
    load_group >> dbt_group


dag_instance = clean_customer_transactions()
