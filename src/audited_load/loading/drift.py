"""A file's header against its contract and the load before: columns that nobody declared, or that are gone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from audited_load.clean_report import CleanReport
from audited_load.columns import Feed
from audited_load.errors import BadDataError
from audited_load.shown import show_text
from audited_load.warehouse.tables import Tables

_BEFORE = """
    select drift, columns from {loads}
    where contract_id = %s and status in ('published', 'unchanged')
        -- A file of repaired records has all columns, whatever the supplier's had.
        and not starts_with(source_name, 'replayed/')
    order by load_id desc limit 1
"""


@dataclass(frozen=True)
class Drift:
    """How a file's columns differ from what was expected.

    Attributes:
        unknown: Columns that the contract neither has nor leaves out.
        missing: Optional columns that the file lacks.
        new: Those of `unknown` that the load before didn't have.
        vanished: Those of `missing` that the load before had.
    """

    unknown: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    new: tuple[str, ...] = ()
    vanished: tuple[str, ...] = ()


def find_drift(connection: psycopg.Connection, tables: Tables, report: CleanReport) -> Drift:
    """Compare a file's columns with its contract, and with the last load that was read by that contract.

    Args:
        connection: Any.
        tables: Where the ledger lies.
        report: The accounting of the file.

    Returns:
        What differs.
    """
    found = connection.execute(tables.fill(_BEFORE), (report.contract.get("id", ""),)).fetchone()
    before: dict[str, Any] = found[0] if found else {}
    had = set(found[1] if found else ()) - set(before.get("missing", ()))
    unknown, missing = report.unknown_columns, report.missing_columns
    return Drift(
        tuple(unknown),
        tuple(missing),
        tuple(name for name in unknown if name not in before.get("unknown", ())),
        tuple(name for name in missing if name in had),
    )


def check_drift(report: CleanReport, drift: Drift, feed: Feed) -> list[str]:
    """Say what differs, or refuse the file for it if its contract says so.

    Args:
        report: The accounting of the file.
        drift: What differs.
        feed: What to do about it.

    Returns:
        Sentences, of what is neither refused nor ignored.

    Raises:
        BadDataError: The contract says that it must not be.
    """
    said: list[str] = []
    for policy, names, problem, word in (
        (feed.unknown, drift.unknown, "which the contract does not know", "unknownColumns"),
        (feed.vanished, drift.vanished, "which the load before had, and the file lacks", "vanishedColumns"),
    ):
        if names and policy != "ignore":
            sentence = f"{_count(names)}, {problem}: {', '.join(map(show_text, names))}"
            if policy == "fail":
                raise BadDataError(
                    f"{show_text(report.source)}: {sentence}.",
                    f"Ask the supplier; or let the contract {show_text(feed.contract.id)} say otherwise: declare"
                    f" the columns or leave them out, or set `{word}` to warn (docs/contracts.md)."
                    " Readers see what they saw before.",
                )
            said.append(f"{sentence}.")
    return said


def _count(names: Sequence[str]) -> str:
    return f"{len(names)} column{'s' if len(names) > 1 else ''}"
