"""What went wrong → a few lines to Slack and by e-mail, with the remedy and without any record's values.

An alert is an extra: when it can't be sent, that goes into the log, and nothing else fails.
"""

from __future__ import annotations

import html
import logging
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import Any

from airflow.providers.slack.notifications.slack_webhook import SlackWebhookNotifier
from airflow.providers.smtp.notifications.smtp import SmtpNotifier
from airflow.sdk import Context
from airflow.sdk.definitions.callback import AsyncCallback
from airflow.sdk.definitions.deadline import DeadlineAlert, DeadlineReference

from audited_load.clean_report import CleanReport
from audited_load.columns import Feed
from audited_load.command import command
from audited_load.loading.drift import Drift
from audited_load.shown import most_frequent, show_text
from customer_pipeline.settings import AlertSettings, RunSettings, read_alert_settings
from customer_pipeline.tasks.freshness import StaleLoad
from customer_pipeline.tasks.task_errors import explain_error

log = logging.getLogger(__name__)

SLACK_CONNECTION = "slack_alerts"
SMTP_CONNECTION = "smtp_default"
SEND_SECONDS = 10


def alert_of_failure(context: Context) -> None:
    """Say that a task failed for good. Airflow calls this after the last try, and not for tasks that it held up.

    Args:
        context: Of the task.
    """
    settings = read_alert_settings()
    if settings.is_silent:
        return
    ti, run = context["ti"], context["dag_run"]
    lines = [f"Task: {ti.task_id}", f"Run: {run.run_id}", f"Try: {ti.try_number}"]
    lines += describe_error(context.get("exception"))
    lines.append(f"Log: {ti.log_url}")
    send(f"{ti.dag_id}: a task failed", lines, settings, context)


def alert_of_rejects(report: CleanReport, context: Context) -> None:
    """Say that much of a file was refused, though not so much that the run fails.

    Args:
        report: The file's accounting.
        context: Of the task that cleaned it.
    """
    settings = read_alert_settings()
    if report.rejected_ratio <= settings.warn_rejected_ratio:
        return
    worst = most_frequent(report.reasons)[:5]
    lines = [
        f"Run: {context['dag_run'].run_id}",
        f"File: {show_text(report.source, 200)}",
        f"Refused: {report.rejected_ratio:.1%} of {report.read} records, more than WARN_REJECTED_RATIO"
        f" ({settings.warn_rejected_ratio:.1%})",
        f"Most frequent reasons: {', '.join(f'{reason} {count}' for reason, count in worst)}",
        f"What to do: {command('quarantine list')}; tell the supplier. The run goes on with the others.",
    ]
    _warn("many records were refused", lines, settings, context)


def alerted_tasks(settings: RunSettings) -> dict[str, Any]:
    """Return what the tasks of a DAG are given that only needs one retry and somebody who is told."""
    return {
        "owner": "airflow",
        "retries": 1,
        "retry_delay": settings.retry_delay,
        "on_failure_callback": [alert_of_failure],
    }


def alert_of_drift(report: CleanReport, drift: Drift, feed: Feed, context: Context) -> None:
    """Say that a file has columns that the load before didn't have, or lacks some that it had.

    Args:
        report: The accounting of the file.
        drift: What differs.
        feed: Which of it is to be ignored.
        context: Of the task.
    """
    settings = read_alert_settings()
    new = drift.new if feed.unknown != "ignore" else ()
    vanished = drift.vanished if feed.vanished != "ignore" else ()
    if settings.is_silent or not (new or vanished):
        return
    lines = [
        f"Run: {context['dag_run'].run_id}",
        f"File: {show_text(report.source, 200)}, contract {show_text(feed.contract.id, 200)}",
        *([f"New columns, which were not kept: {', '.join(map(show_text, new))}"] if new else []),
        *([f"Columns that the load before had: {', '.join(map(show_text, vanished))}"] if vanished else []),
        "What to do: ask the supplier; then declare the columns in the contract, or leave them out there"
        " (docs/contracts.md). The run goes on.",
    ]
    send(f"{context['ti'].dag_id}: the columns of the file have changed", lines, settings, context)


def alert_of_stale_source(stale: StaleLoad, context: Context) -> None:
    """Say that a run has succeeded and that there is still nothing new, for longer than the dbt project allows.

    Args:
        stale: The load that readers see.
        context: Of the task that would have published a newer one.
    """
    settings = read_alert_settings()
    hour = timedelta(hours=1)
    lines = [
        f"Run: {context['dag_run'].run_id}",
        f"What: load {stale.load_id}, which readers see, was published {stale.age / hour:.0f} hours ago, and"
        f" this run brought nothing new; error_after of the source published_load is {stale.limit / hour:g} hours.",
        f"What to do: ask the supplier for the next delivery; {command('status')} shows what came when. If it comes"
        " less often, say so in dbt/models/staging/_sources.yml.",
    ]
    _warn("no new data", lines, settings, context)


def alert_of_unusual(unusual: Sequence[str], context: Context) -> None:
    """Say that a load which was published is not as the loads before it; a person may know why.

    Args:
        unusual: What is outside the usual, a sentence each.
        context: Of the task that published it.
    """
    settings = read_alert_settings()
    lines = [
        f"Run: {context['dag_run'].run_id}",
        *(f"What: {sentence}" for sentence in unusual),
        f"What to do: ask the supplier if nobody knows why; {command('rollback')} takes the load back. Readers see"
        " it meanwhile.",
    ]
    _warn("a load is not as usual", lines, settings, context)


def _warn(title: str, lines: Sequence[str], settings: AlertSettings, context: Context) -> None:
    """Say something in the task's log, and to whoever is told; the first line, the run, the log knows itself."""
    log.warning("%s", " | ".join(lines[1:]))
    if not settings.is_silent:
        send(f"{context['ti'].dag_id}: {title}", lines, settings, context)


def deadline_alerts(settings: AlertSettings) -> list[DeadlineAlert]:
    """Make one alert a channel for a run that is not done in time; none if there is no channel."""
    title = "{{ dag_run.dag_id }}: a run misses its deadline"
    hours = f"{settings.deadline_hours:g} hours"
    lines = [
        "Run: {{ dag_run.dag_run_id }}",
        f"It began, or was to begin, {hours} ago and is not done (DEADLINE_HOURS).",
        f"What to do: {command('status')}, then the log of the task that runs or waits.",
    ]
    return [
        DeadlineAlert(
            reference=DeadlineReference.DAGRUN_QUEUED_AT,
            interval=timedelta(hours=settings.deadline_hours),
            callback=AsyncCallback(notifier, kwargs=arguments),
            name=f"deadline_{notifier.__name__}",
        )
        for notifier, arguments in _channels(title, lines, settings)
    ]


def describe_error(error: object) -> list[str]:
    """Say what happened and what to do, in lines that hold no value of any record.

    Args:
        error: The exception of the task, text, or None, as Airflow gives it.
    """
    what, remedy = explain_error(error)
    return [f"What: {what}", f"What to do: {remedy}"]


def send(title: str, lines: Iterable[str], settings: AlertSettings, context: Context) -> None:
    """Send an alert over every channel that is set.

    Args:
        title: First line, or subject.
        lines: The rest.
        settings: The channels.
        context: Of the task, for Airflow's notifiers.
    """
    for notifier, arguments in _channels(title, list(lines), settings):
        try:
            notifier(**arguments).notify(context)
        except Exception:
            log.exception("The alert %r could not be sent by %s", title, notifier.__name__)


def _channels(
    title: str, lines: list[str], settings: AlertSettings
) -> list[tuple[Callable[..., Any], dict[str, Any]]]:
    channels: list[tuple[Callable[..., Any], dict[str, Any]]] = []
    if settings.slack:
        text = "\n".join([f"*{title}*", *lines])
        # Slack reads `<…>` as a link, and `&` as the beginning of a character.
        text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        arguments = {"slack_webhook_conn_id": SLACK_CONNECTION, "text": text, "timeout": SEND_SECONDS}
        channels.append((SlackWebhookNotifier, arguments))
    if settings.email:
        content = "<br>\n".join(html.escape(line, quote=False) for line in lines)
        arguments = {
            "smtp_conn_id": SMTP_CONNECTION,
            "to": list(settings.email),
            "subject": title,
            "html_content": content,
        }
        channels.append((SmtpNotifier, arguments))
    return channels
