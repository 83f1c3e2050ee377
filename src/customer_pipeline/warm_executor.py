"""Airflow's LocalExecutor, with dbt and Cosmos imported before it forks.

Every dbt task is a fork of the scheduler. What the scheduler has imported, its tasks need not import again:
of a stock dbt task on two cores, two thirds are imports (docs/adr/0003). Everything else is the stock executor's.
"""

from __future__ import annotations

import importlib

from airflow.executors.local_executor import LocalExecutor

WARMED = ("dbt.cli.main", "dbt.adapters.postgres", "cosmos.operators.local", "cosmos.dbt.runner", "psycopg")


class WarmLocalExecutor(LocalExecutor):
    """A LocalExecutor whose workers start with the modules of `WARMED` in memory."""

    def start(self) -> None:
        """Import, then start the workers."""
        for name in WARMED:
            importlib.import_module(name)
        super().start()
