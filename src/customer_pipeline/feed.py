"""The column rules, from where the DAG has them: `airflow/dags/steps/data_cleaners.py`."""

from __future__ import annotations

import sys
from pathlib import Path

from audited_load.columns import Feed

DAGS = Path(__file__).resolve().parents[2] / "airflow" / "dags"


SCHEMA = "cleaned_data"


def load_feed() -> Feed:
    """Import the feed; the DAGs' folder is no installed package, so it is put on the path first."""
    if str(DAGS) not in sys.path:
        sys.path.insert(0, str(DAGS))
    from steps.data_cleaners import CUSTOMER_TRANSACTIONS  # noqa: PLC0415 - needs the path above

    return CUSTOMER_TRANSACTIONS
