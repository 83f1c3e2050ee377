"""A cleaned and a rejected file → the same without those who were erased: a delivery doesn't bring them back."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

from audited_load.errors import RefusedError
from audited_load.report import CleanReport
from audited_load.warehouse.erased import choose_erased, read_erased, require_key
from audited_load.warehouse.load import connect
from steps.data_cleaners import CUSTOMER_TRANSACTIONS
from steps.settings import read_settings
from steps.tables import TABLES
from steps.warehouse import warehouse_dsn

log = logging.getLogger(__name__)


def leave_out_erased(parent_group: str, report: CleanReport) -> CleanReport:
    """Blank the ids of erased customers in the files that a cleaning made. The delivery stays as it came.

    Args:
        parent_group: Id of the task group, for the log.
        report: The accounting; its places are those of this machine.

    Returns:
        The accounting, with what was blanked as a rule of its own. Counts and totals are the same.

    Raises:
        RefusedError: Customers were erased, but the key that tells which is not set, or another one is.
    """
    with connect(warehouse_dsn()) as connection:
        erased = read_erased(connection, TABLES)
    if not erased:
        return report
    key = read_settings().erasure_key
    if not key:
        raise RefusedError(
            f"{len(erased)} customers were erased, but ERASURE_KEY is not set, so nobody can tell which.",
            "Set it to the key of then: `.runtime/erasure.key` of the installation that erased them.",
        )
    require_key(erased, key)
    # Polars must not be in a process that is forked.
    from audited_load.erasure import RawLayout  # noqa: PLC0415
    from audited_load.scrub_files import find_ids, scrub_file  # noqa: PLC0415

    cleaned, rejected = Path(report.cleaned_file), Path(report.rejected_file)
    ids = choose_erased(find_ids(cleaned, rejected, CUSTOMER_TRANSACTIONS), erased, key)
    if not ids:
        return report
    layouts = [RawLayout(tuple(report.header), report.delimiter)]
    done = [scrub_file([path], CUSTOMER_TRANSACTIONS, layouts, ids) for path in (cleaned, rejected)]
    counts = [file.records if file else 0 for file in done]
    log.info("[%s] Erased customers: %s accepted and %s rejected records lost their id", parent_group, *counts)
    rules = dict(sorted({**report.rules, f"{CUSTOMER_TRANSACTIONS.subject}:erased": sum(counts)}.items()))
    return replace(report, rules=rules)
