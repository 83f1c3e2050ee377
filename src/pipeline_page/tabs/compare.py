"""Two loads of the ledger → what differs: counts, totals, reasons, rules, file, contract and columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pipeline_page.tabs.loads import Load
from pipeline_page.tabs.totals import TotalsTable, table_of_change
from pipeline_page.texts import (
    NOTHING,
    show_bytes,
    show_change,
    show_duration,
    show_moment,
    show_number,
    show_share,
)

_COUNTS = {
    "read": "Read",
    "accepted": "Accepted",
    "quarantined": "Quarantined",
    "superseded": "of them superseded",
    "duplicates": "Duplicates",
    "inserted": "New",
    "updated": "Corrected",
    "unchanged": "As they were",
    "outdated": "Too late",
    "visible_rows": "Rows that readers saw after it",
}
_FACTS: dict[str, Callable[[Load], str | None]] = {
    "Status": lambda load: load.status.replace("_", " "),
    "Why not loaded": lambda load: load.failure,
    "File": lambda load: load.source_name,
    "Size": lambda load: show_bytes(load.bytes),
    "Encoding": lambda load: load.encoding,
    "Delimiter": lambda load: {"\t": "tab"}.get(load.delimiter, load.delimiter),
    "Contract": lambda load: f"{load.contract} {load.contract_version or ''}".strip() if load.contract else None,
    "Columns not kept": lambda load: ", ".join(load.unknown_columns),
    "Columns gone": lambda load: ", ".join(load.vanished_columns),
    "Mode": lambda load: load.mode,
    "Day of the run": lambda load: load.run_date.date().isoformat(),
    "Started by": lambda load: load.started_by,
    "Params": lambda load: ", ".join(f"{name}={value}" for name, value in sorted(load.params.items()) if value),
    "Published": lambda load: show_moment(load.published_at),
    "Took": lambda load: show_duration(load.took) if load.took is not None else None,
    "Code and rules": lambda load: load.code_version[:12],
}
Rows = list[tuple[str, ...]]


@dataclass(frozen=True)
class Section:
    """A part of the comparison.

    Attributes:
        title: Its heading.
        rows: What is compared, the first load's, the second one's, and the difference.
        totals: In place of rows: control totals.
        none: What is said if there is nothing to compare.
        of_texts: Whether the rows are of texts, and not of numbers.
    """

    title: str
    rows: Rows = field(default_factory=list)
    totals: TotalsTable | None = None
    none: str = "Neither of them has any."
    of_texts: bool = False


def compare_loads(a: Load, b: Load) -> list[Section]:
    """Put two loads side by side.

    Args:
        a: The one that is compared with.
        b: The one whose differences are told.

    Returns:
        The parts of the comparison, in order.
    """
    names = (f"Load {a.load_id}", f"Load {b.load_id}")
    seen = (a.visible_totals, b.visible_totals)
    counts: Rows = [_compare_counts(label, getattr(a, name), getattr(b, name)) for name, label in _COUNTS.items()]
    shares: Rows = [
        ("Refused", show_share(a.rejected_ratio), show_share(b.rejected_ratio), ""),
        ("Superseded", show_share(a.superseded_ratio), show_share(b.superseded_ratio), ""),
    ]
    return [
        Section("Records", counts + shares),
        Section("Totals of the cleaned file", totals=table_of_change(names, a.file_totals, b.file_totals)),
        Section(
            "What readers saw after it",
            totals=table_of_change(names, seen[0], seen[1]) if seen[0] and seen[1] else None,
            none="One of them was never published.",
        ),
        Section("Reasons of refusals", _compare_all(a.reason_counts, b.reason_counts)),
        Section("Rules that changed values", _compare_all(a.rule_counts, b.rule_counts)),
        Section(
            "File, contract and run",
            [_compare_texts(name, say(a), say(b)) for name, say in _FACTS.items()],
            of_texts=True,
        ),
    ]


def _compare_counts(label: str, a: int | None, b: int | None) -> tuple[str, ...]:
    change = NOTHING if a is None or b is None else show_change(b - a)
    return label, show_number(a), show_number(b), change


def _compare_all(a: Mapping[str, int], b: Mapping[str, int]) -> Rows:
    """Compare counts by name, the largest change first."""
    names = sorted(a.keys() | b.keys(), key=lambda name: (-abs(b.get(name, 0) - a.get(name, 0)), name))
    return [_compare_counts(name, a.get(name, 0), b.get(name, 0)) for name in names]


def _compare_texts(label: str, a: str | None, b: str | None) -> tuple[str, ...]:
    return label, a or NOTHING, b or NOTHING, "the same" if (a or "") == (b or "") else "differs"
