"""The figures arrive as StatsD, and the dashboard asks only for what the exporter makes of them."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from airflow.sdk._shared.observability.metrics.base_stats_logger import NoStatsLogger
from airflow.sdk._shared.observability.metrics.metrics_registry import MetricsRegistry
from airflow.sdk.observability import stats
from airflow.sdk.observability.metrics.stats_utils import get_stats_factory

from customer_pipeline.runtime.environment import metrics_settings
from customer_pipeline.tasks.metrics import metrics_are_on, send_gauges

MONITORING = Path(__file__).parents[2] / "monitoring"
FIGURES = {
    "read": 1000,
    "accepted": 943,
    "quarantined": 43,
    "duplicates": 14,
    "rejected_ratio": 0.033,
    "visible_rows": 943,
    "published_timestamp": 1795490104.5,
    "marts_published_timestamp": 1795490168.3,
    "quarantined_by_reason.customer_id:not_an_id": 2,
}
VALUES = {"dag_id": "pipeline_customer_transaction", "task_id": "Load-To-Postgres__x", "state": "failed"}


@pytest.fixture
def listener(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(5)
        told = metrics_settings({"STATSD_HOST": "127.0.0.1", "STATSD_PORT": str(server.getsockname()[1])})
        for name, value in told.items():
            monkeypatch.setenv(name, value)
        stats.initialize(factory=get_stats_factory(), export_legacy_names=True)
        yield server
        stats.initialize(factory=NoStatsLogger, export_legacy_names=True)


def sent(listener: socket.socket, figures: dict[str, float]) -> list[str]:
    send_gauges(figures)
    return [listener.recv(1024).decode() for _ in figures]


def fill(text: str, match: re.Match[str]) -> str:
    return re.sub(r"\$(\d)", lambda number: match[int(number[1])], text)


def exported(statsd_name: str) -> tuple[str, dict[str, str]] | None:
    """Read the mapping as the exporter does: the first match counts, a star is one part; else dots become _."""
    for rule in yaml.safe_load((MONITORING / "statsd.yml").read_text())["mappings"]:
        pattern = re.escape(rule["match"]).replace(r"\*", "([^.]*)")
        if match := re.fullmatch(pattern, statsd_name):
            if rule.get("action") == "drop":
                return None
            labels = {name: fill(text, match) for name, text in rule.get("labels", {}).items()}
            return fill(rule["name"], match), labels
    return re.sub(r"[^a-zA-Z0-9_]", "_", statsd_name), {}


def test_figures_are_sent_as_gauges_with_a_part_for_column_and_reason(listener: socket.socket) -> None:
    assert metrics_are_on()
    lines = sent(listener, {"read": 1000, "quarantined_by_reason.customer_id:not_an_id": 2})
    assert lines == [
        "airflow.customer_pipeline.read:1000|g",
        "airflow.customer_pipeline.quarantined_by_reason.customer_id.not_an_id:2|g",
    ]
    assert exported(lines[1].split(":")[0]) == (
        "customer_pipeline_quarantined_by_reason",
        {"column": "customer_id", "reason": "not_an_id"},
    )


def test_nothing_is_sent_unless_a_host_is_named() -> None:
    assert not metrics_are_on()


def test_the_dashboard_asks_only_for_metrics_and_labels_that_exist(listener: socket.socket) -> None:
    names = [line.split(":")[0] for line in sent(listener, FIGURES)]
    timed = ("task.duration", "dagrun.duration.success", "dagrun.duration.failed", "ti.finish")
    names += ["airflow." + MetricsRegistry().get(metric)["legacy_name"].format(**VALUES) for metric in timed]
    names += [f"airflow.{name}_heartbeat" for name in ("scheduler", "dag_processor", "triggerer")]
    made = dict(found for found in map(exported, names) if found)
    dashboard = json.loads((MONITORING / "grafana" / "dashboards" / "pipeline.json").read_text())
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    assert asked
    for expression in asked:
        metrics = re.findall(r"\b((?:customer_pipeline|airflow)_\w+)", expression)
        assert metrics, expression
        for metric in metrics:
            assert re.sub(r"_seconds_(sum|count)$", "_seconds", metric) in made, expression
        for label in re.findall(r"(\w+)=\"", expression):
            assert label in made[re.sub(r"_seconds_(sum|count)$", "_seconds", metrics[0])], expression


def test_names_without_labels_are_dropped_where_there_are_labelled_ones() -> None:
    for name in ("task.duration", "dagrun.duration.success", "ti.finish"):
        assert exported(f"airflow.{name}") is None
