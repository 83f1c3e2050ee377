"""What became of a load that readers never saw: refused or failed, and why, in the ledger.

```
loading ──► published, unchanged
   │  └──► failed     its run ended before it published; a retry makes it `loading` again
   └─────► refused    a person has to decide: its file, or what it would have done to readers' rows
refused               also of a file that was read and never came as far as loading
```
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import psycopg

from audited_load.clean_report import CleanReport
from audited_load.errors import BadDataError, PipelineError, RefusedError
from audited_load.loading.batch import Delivery
from audited_load.loading.ledger import enter_load
from audited_load.warehouse.tables import Tables

_END = """
    update {loads} set status = %(status)s, failure = %(what)s, remedy = %(remedy)s, ended_at = now()
    where run_id = %(run_id)s and status in ('loading', 'failed')
"""
_REFUSE = """
    update {loads} set
        status = 'refused', failure = %(what)s, remedy = %(remedy)s, started_at = now(), ended_at = now(),
        mode = %(mode)s, run_date = %(run_date)s
    where load_id = %(load_id)s and status in ('loading', 'refused', 'failed')
"""


@dataclass(frozen=True)
class Outcome:
    """Why a load was not published.

    Attributes:
        status: `refused` if a person has to decide, else `failed`.
        what: What happened, without any value of a record.
        remedy: What to do; empty if nobody knows.
    """

    status: Literal["refused", "failed"]
    what: str
    remedy: str = ""


def outcome_of(error: PipelineError) -> Outcome:
    """Put one of the pipeline's errors into the ledger's words."""
    is_refusal = isinstance(error, BadDataError | RefusedError)
    # What was found in place of a header may be a record.
    return Outcome("refused" if is_refusal else "failed", error.message.split(" Found: ")[0], error.remedy)


def refuse_files(
    connection: psycopg.Connection,
    tables: Tables,
    reports: list[CleanReport],
    delivery: Delivery,
    outcome: Outcome,
) -> None:
    """Enter files that were read, and that nothing is loaded of.

    Args:
        connection: In autocommit mode.
        tables: Where the ledger lies.
        reports: The accounting of each file.
        delivery: What the run is.
        outcome: Why.
    """
    words = {"what": outcome.what, "remedy": outcome.remedy, "mode": delivery.mode, "run_date": delivery.run_date}
    for report in reports:
        with connection.transaction():
            load_id = enter_load(connection, tables, report, delivery, is_new=True)
            connection.execute(tables.fill(_REFUSE), words | {"load_id": load_id})


def end_loads(connection: psycopg.Connection, tables: Tables, run_id: str, outcome: Outcome) -> int:
    """Note why the loads of a run that has failed for good were not published; those that were stay as they are.

    Args:
        connection: In autocommit mode.
        tables: Where the ledger lies.
        run_id: The run.
        outcome: Why.

    Returns:
        How many there were.
    """
    words = {"run_id": run_id, "status": outcome.status, "what": outcome.what, "remedy": outcome.remedy}
    return connection.execute(tables.fill(_END), words).rowcount
