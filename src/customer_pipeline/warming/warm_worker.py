"""A worker of Celery has dbt warm before it forks, as the executor of one machine has it.

Celery imports what its setting `imports` names in a worker's first process (`deploy/celery.env`), and says there
when it is about to start. The processes that take the tasks are forked after that.
"""

from __future__ import annotations

import gc
import logging

from celery.signals import worker_init

from customer_pipeline.warming.warm_dbt import warm_up

log = logging.getLogger(__name__)


def warm_worker(**_: object) -> None:
    """Import, parse. If that fails, Celery says so in its log, and each task imports dbt by itself."""
    log.info("Warm after %.1f s", warm_up())
    # A collection of garbage in a fork would write to the memory that it shares, and so copy it.
    gc.freeze()


# Not weak: this module is forgotten with the project's others when they are imported anew.
worker_init.connect(warm_worker, weak=False)
