"""The DAG as Airflow parses it, without a database."""

from __future__ import annotations

import importlib
from collections.abc import Iterator

import pytest
from airflow.sdk import DAG


@pytest.fixture(scope="session")
def dag() -> Iterator[DAG]:
    with pytest.MonkeyPatch.context() as patch:
        # dbt renders the profile at parse time; nothing connects.
        patch.setenv("POSTGRES_PORT", "5432")
        patch.setenv("TRANSFORMER_PASSWORD", "unused")
        yield importlib.import_module("pipeline_customer_transaction").dag_instance
