"""The accounting of a file, and what an operator allows → nothing, or an error that says which limit it breaks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from audited_load.clean_report import SUPERSEDED, CleanReport
from audited_load.errors import BadDataError, RefusedError
from audited_load.shown import count_of, most_frequent, show_text

MAX_REJECTED, MAX_SUPERSEDED = "MAX_REJECTED_RATIO", "MAX_SUPERSEDED_RATIO"
DEFAULT_RATIO = 0.05
SHOWN_REASONS, SHOWN_DOUBTS = 4, 2
DECLARE_FORM = (
    "Declare how it is written: --decimal point or comma, --date-order day_first or month_first; for all files,"
    " SOURCE_DECIMAL and SOURCE_DATE_ORDER (docs/files.md)."
)
AS_THEY_WERE = "The published tables are as they were."

_PLAIN_NUMBER = re.compile(r"[0-9]{1,20}(\.[0-9]{1,20})?|\.[0-9]{1,20}")


@dataclass(frozen=True)
class Limits:
    """Up to where a file may still be published.

    Attributes:
        max_rejected_ratio: Largest share of refused records, from 0 to 1 (`MAX_REJECTED_RATIO`).
        max_superseded_ratio: Largest share of superseded records, from 0 to 1 (`MAX_SUPERSEDED_RATIO`).
    """

    max_rejected_ratio: float = DEFAULT_RATIO
    max_superseded_ratio: float = DEFAULT_RATIO


def read_limits(environment: Mapping[str, str]) -> Limits:
    """Read the limits.

    Raises:
        RefusedError: A value is no share.
    """
    return Limits(
        read_ratio(environment, MAX_REJECTED, DEFAULT_RATIO), read_ratio(environment, MAX_SUPERSEDED, DEFAULT_RATIO)
    )


def read_ratio(environment: Mapping[str, str], name: str, default: float) -> float:
    """Read a share, from 0 to 1.

    Args:
        environment: The environment.
        name: Of the variable; absent or blank, the default holds.
        default: From 0 to 1.

    Raises:
        RefusedError: It is another text.
    """
    text = environment.get(name, "").strip()
    ratio = read_plain_number(text) if text else default
    if ratio is None or ratio > 1:
        raise RefusedError(
            f"{name} is {show_text(text, 40)!r}, which is not a share.",
            f"Set {name} to a number from 0 to 1, such as {default:g}, or leave it out.",
        )
    return ratio


def read_plain_number(text: str) -> float | None:
    """Read digits with or without a decimal point, and nothing else: no sign, exponent, `nan` or `%`."""
    return float(text) if _PLAIN_NUMBER.fullmatch(text) else None


def check_limits(report: CleanReport, limits: Limits, key: str) -> None:
    """Refuse a file of which nothing is left, or too much is lost.

    Args:
        report: The accounting.
        limits: What is allowed.
        key: The column that identifies a record.

    Raises:
        BadDataError: No record was accepted, or a share is larger than allowed.
    """
    name = show_text(report.source)
    if report.read == 0:
        raise BadDataError(
            f"{name}: the file holds no record under its header.",
            f"Ask the supplier for the file with its records. {AS_THEY_WERE}",
        )
    if report.doubts:
        more = len(report.doubts) - SHOWN_DOUBTS
        others = f" So in {count_of(more, 'more column')}." if more > 0 else ""
        doubts = " ".join(report.doubts[:SHOWN_DOUBTS])
        raise BadDataError(
            f"{name}: the file itself speaks against how it was read. {doubts}{others}",
            f"{DECLARE_FORM} {AS_THEY_WERE}",
        )
    first, *further = [piece.rejected_file for piece in report.pieces]
    and_others = f" and those of {count_of(len(further), 'more shard')}" if further else ""
    where = f"See {show_text(first, 4096)}{and_others}: it names every reason"
    if report.accepted == 0:
        raise BadDataError(
            f"{name}: none of {count_of(report.read, 'record')} could be accepted. {_most_frequent(report)}",
            f"{where}. {_hint(report)} {AS_THEY_WERE}",
        )
    problems, remedies = [], []
    if report.rejected_ratio > limits.max_rejected_ratio:
        verb = "was" if report.refused == 1 else "were"
        problems.append(
            f"{report.refused} of {count_of(report.read, 'record')} {verb} refused"
            f" ({_compare(report.rejected_ratio, limits.max_rejected_ratio, MAX_REJECTED)})."
            f" {_most_frequent(report)}"
        )
        remedies.append(f"{where}. {_hint(report, f', or raise {MAX_REJECTED} if these losses are acceptable')}")
    if report.superseded_ratio > limits.max_superseded_ratio:
        problems.append(
            f"{describe_superseded(report.superseded, report.read, key)}"
            f" ({_compare(report.superseded_ratio, limits.max_superseded_ratio, MAX_SUPERSEDED)})."
        )
        remedies.append(
            f"Only the last record of each {key} would be kept. Ask the supplier for a {key} of its own in each"
            f" line; or raise {MAX_SUPERSEDED} if the later ones are corrections."
        )
    if problems:
        raise BadDataError(f"{name}: {' '.join(problems)}", f"{' '.join(remedies)} {AS_THEY_WERE}")


def describe_superseded(superseded: int, read: int, key: str) -> str:
    """Say how many records a later one takes the place of, and what that may mean.

    Args:
        superseded: How many.
        read: Of how many.
        key: The column that identifies a record.
    """
    verb = "shares" if superseded == 1 else "share"
    return (
        f"{superseded} of {count_of(read, 'record')} {verb} a {key} with a later one:"
        " does the file hold order lines, or ids that start anew?"
    )


def list_few(counts: Mapping[str, int], shown: int = SHOWN_REASONS) -> str:
    """Name the most frequent, and how many more there are."""
    ordered = most_frequent(counts)
    few = ", ".join(f"{name} {count}" for name, count in ordered[:shown])
    return f"{few} and {len(ordered) - shown} more" if len(ordered) > shown else few


def _hint(report: CleanReport, otherwise: str = ": no limit lets it pass") -> str:
    """Say what may be done about refused records."""
    correct = f"Have the file corrected{otherwise}."
    return f"{report.hints[0]} {DECLARE_FORM} Or have the file corrected." if report.hints else correct


def _most_frequent(report: CleanReport) -> str:
    refusals = {reason: count for reason, count in report.reasons.items() if reason != SUPERSEDED}
    return f"Most frequent reasons: {list_few(refusals)}."


def _compare(ratio: float, limit: float, name: str) -> str:
    """Write a share that is above its limit, with as many digits as it takes to see that."""
    digits = next((digits for digits in range(1, 9) if round(100 * ratio, digits) > 100 * limit), 9)
    return f"{ratio:.{digits}%}, more than {name}, {100 * limit:g}%"
