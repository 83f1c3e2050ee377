"""Airflow's LocalExecutor, with dbt warm before it forks, and without naps between tasks.

Every dbt task is a fork of the scheduler. What the scheduler has imported and dbt has cached, its tasks need not
import and cache again: of a stock dbt task on two cores, two thirds are that (docs/adr/0003). Operators, ids, logs
and retries are the stock executor's.
"""

from __future__ import annotations

from typing import Any

from airflow.executors.local_executor import LocalExecutor

from customer_pipeline.warming.warm_dbt import warm_up

IDLE_SECONDS, BUSY_SECONDS = 0.5, 0.1
"""A task has succeeded some time before its worker reports: its process has to end first."""


class WarmLocalExecutor(LocalExecutor):
    """A LocalExecutor whose workers start with the modules of `WARMED` and the parsed dbt project in memory."""

    def start(self) -> None:
        """Import, parse, then start the workers."""
        self.log.info("Warm after %.1f s", warm_up())
        super().start()

    def sync(self) -> None:
        """Wait until a worker reports, but not for long; the scheduler's loop would sleep."""
        queue: Any = self.result_queue
        if queue.empty():
            queue._reader.poll(BUSY_SECONDS if self.running else IDLE_SECONDS)  # the queue itself offers no wait
        super().sync()
