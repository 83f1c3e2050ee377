"""Loads of the ledger → CSV that opens safely in a spreadsheet."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable
from typing import Any

from pipeline_page.tabs.loads import Load

_PLAIN = (
    "load_id", "status", "source_name", "bytes", "mode", "read", "accepted", "quarantined", "duplicates",
    "superseded", "inserted", "updated", "unchanged", "outdated", "total_quantity", "total_gross", "total_tax",
    "visible_rows", "visible_quantity", "visible_gross", "visible_tax", "run_id", "started_by", "contract",
    "encoding", "failure", "remedy",
)  # fmt: skip
_MADE: dict[str, Callable[[Load], Any]] = {
    "run_date": lambda load: load.run_date.date().isoformat(),
    "started_at": lambda load: load.started_at.isoformat(),
    "published_at": lambda load: load.published_at.isoformat() if load.published_at else None,
    "seconds": lambda load: load.took.total_seconds() if load.took is not None else None,
    "params": lambda load: json.dumps(load.params) if load.params else None,
}


def write_ledger(loads: Iterable[Load]) -> str:
    """Write loads, each a line, with exact totals.

    Args:
        loads: What the page shows.

    Returns:
        CSV. A text that a spreadsheet would take for a formula has an apostrophe before it.
    """
    # It brings Polars and numpy; every process of Airflow imports this module, and most of them fork.
    from audited_load.cleaning.rejects import guard_formula  # noqa: PLC0415

    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow([*_PLAIN, *_MADE])
    for load in loads:
        cells = [getattr(load, name) for name in _PLAIN] + [make(load) for make in _MADE.values()]
        writer.writerow([guard_formula(cell) if isinstance(cell, str) else cell for cell in cells])
    return text.getvalue()
