"""The figures of a run → gauges in Airflow's own metrics, where they are switched on."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping

import psycopg
from airflow.sdk.configuration import conf
from airflow.sdk.observability.stats import gauge

from audited_load.loading.figures import read_figures
from customer_pipeline.feed import TABLES

log = logging.getLogger(__name__)

PREFIX = "customer_pipeline"
_SWITCHES = ("statsd_on", "statsd_datadog_enabled", "otel_on")


def metrics_are_on() -> bool:
    """Return whether Airflow sends metrics anywhere."""
    return any(conf.getboolean("metrics", switch, fallback=False) for switch in _SWITCHES)


def send_load_figures(connection: psycopg.Connection, run_id: str) -> None:
    """Send what a run read, refused and published, from the ledger.

    A failure to do so is logged: the load is published already, and must not fail for a figure about it.
    """
    if not metrics_are_on():
        return
    try:
        send_gauges(read_figures(connection, TABLES, run_id))
    except psycopg.Error:
        log.warning("The figures of %s were not sent", run_id, exc_info=True)


def send_gauges(figures: Mapping[str, float]) -> None:
    """Send figures; `customer_id:not_an_id` in a name becomes `customer_id.not_an_id`, for StatsD has no colon."""
    for name, value in figures.items():
        gauge(f"{PREFIX}.{re.sub(r'[^a-zA-Z0-9_.]', '_', name.replace(':', '.'))}", value)
