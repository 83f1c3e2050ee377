"""Task group Clean-Transactions: the dirty file → cleaned file, rejected file and CleanReport."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

from airflow.sdk import get_current_context, task

from audited_load.clean import clean_file
from audited_load.report import check_threshold
from steps.data_cleaners import CUSTOMER_TRANSACTIONS
from steps.files import attempt_folder, remove_old_runs, resolve_source, show_latest, wait_until_settled
from steps.settings import read_settings
from steps.warehouse import leased_connection, make_tables

log = logging.getLogger(__name__)


def clean_transactions_pipeline(parent_group: str) -> Any:
    """Define the task of the group.

    Args:
        parent_group: Id of the task group, for the log.

    Returns:
        The last task; its output is a CleanReport as a dictionary.
    """

    @task(task_id="clean_and_transform_csv")
    def clean_and_transform_csv() -> dict[str, Any]:
        """Read the CSV as text, apply the column rules, write both files and account for every record."""
        context = get_current_context()
        source, run_id, attempt = context["params"]["source"], context["run_id"], context["ti"].try_number
        make_tables(parent_group)
        with leased_connection(parent_group, run_id):
            settings = read_settings()
            path = resolve_source(settings.data, source)
            wait_until_settled(path)
            out = attempt_folder(settings.data, run_id, attempt)
            log.info("[%s] Cleaning %s (%s bytes)", parent_group, source, path.stat().st_size)
            report = replace(clean_file(path, CUSTOMER_TRANSACTIONS, out), source=source)
            log.info(
                "[%s] Read %s records: %s accepted, %s quarantined, %s duplicates",
                parent_group, report.read, report.accepted, report.quarantined, report.duplicates,
            )  # fmt: skip
            for name, count in {**report.rules, **report.reasons}.items():
                log.info("[%s] %s: %s (%.2f%%)", parent_group, name, count, 100 * count / report.read)
            check_threshold(report, settings.max_rejected_ratio)
            for name in (report.cleaned_file, report.rejected_file):
                show_latest(out / name, settings.data)
            remove_old_runs(settings.data, out)
        return report.to_dict()

    return clean_and_transform_csv()
