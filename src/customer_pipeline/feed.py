"""The column rules and the tables, from where the DAG has them: `airflow/dags/steps/`."""

from __future__ import annotations

import sys
from pathlib import Path

from audited_load.columns import Feed
from audited_load.warehouse.mart_tables import Marts
from audited_load.warehouse.tables import Tables

DAGS = Path(__file__).resolve().parents[2] / "airflow" / "dags"


def load_feed() -> Feed:
    """Import the feed."""
    return load_tables()[0].feed


def load_tables() -> tuple[Tables, Marts]:
    """Import the cleaned table's and the marts' names; the DAGs' folder is no installed package."""
    if str(DAGS) not in sys.path:
        sys.path.insert(0, str(DAGS))
    from steps.tables import MARTS, TABLES  # noqa: PLC0415 - needs the path above

    return TABLES, MARTS


def reader_seconds() -> float:
    """Give how long a reader's transaction may last."""
    load_tables()
    from steps.tables import READER_TRANSACTION_SECONDS  # noqa: PLC0415 - needs the path that was set

    return READER_TRANSACTION_SECONDS
