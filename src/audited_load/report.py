"""What became of every record of a file: the accounting that travels from cleaning to the audit."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from audited_load.errors import BadDataError


@dataclass(frozen=True)
class CleanReport:
    """The accounting of one cleaned file. It holds no row of data.

    Attributes:
        source: Name of the file.
        sha256: Of the file's bytes.
        bytes: Size of the file.
        encoding: How its text was read.
        delimiter: Between its fields.
        header: Its columns, as they are named there.
        read: Records in the file; empty lines and the header are none.
        accepted: Records in the cleaned file.
        quarantined: Records in the rejected file, the superseded ones included.
        duplicates: Records equal, after cleaning, to the one that stands for them.
        superseded: Records replaced by a later one with the same key.
        blank_lines: Empty lines, which are no records.
        reasons: Refusals by `column:refusal` or `record:fault`; a record may have several.
        rules: Values changed, in all records read, by `column:rule`.
        totals: Control totals over the accepted records, as exact decimal text.
        ignored_columns: Columns of the file that nobody asked for; they were not kept.
        cleaned_file: Path of the accepted records; relative to the data folder when it goes from task to task.
        rejected_file: Path of the quarantined records, alike.
        doubts: What in the file speaks against how it was read, so that it may not be used.
        hints: What may explain why values were refused.
    """

    source: str
    sha256: str
    bytes: int
    encoding: str
    delimiter: str
    header: list[str]
    read: int
    accepted: int
    quarantined: int
    duplicates: int
    superseded: int
    blank_lines: int
    reasons: dict[str, int]
    rules: dict[str, int]
    totals: dict[str, str]
    ignored_columns: list[str]
    cleaned_file: str
    rejected_file: str
    doubts: list[str] = field(default_factory=list)
    hints: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Check that every record is accounted for.

        Raises:
            AssertionError: It is not, which is a fault of the program and never of the data.
        """
        if self.read != self.accepted + self.quarantined + self.duplicates:
            raise AssertionError(
                f"{self.read} records read, but {self.accepted} accepted + {self.quarantined} quarantined"
                f" + {self.duplicates} duplicates"
            )

    @property
    def rejected_ratio(self) -> float:
        """Share of the records read that were refused; superseded ones were not."""
        return (self.quarantined - self.superseded) / self.read if self.read else 0.0

    def relative_to(self, folder: Path) -> CleanReport:
        """Give the report with its places relative to a folder, so that another machine can use it."""
        places = (Path(place).relative_to(folder).as_posix() for place in (self.cleaned_file, self.rejected_file))
        return replace(self, cleaned_file=next(places), rejected_file=next(places))

    def within(self, folder: Path) -> CleanReport:
        """Give the report with its places in a folder of this machine."""
        places = (str(folder / place) for place in (self.cleaned_file, self.rejected_file))
        return replace(self, cleaned_file=next(places), rejected_file=next(places))

    def to_dict(self) -> dict[str, Any]:
        """Give plain values that survive JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> CleanReport:
        """Read what `to_dict` gave."""
        return cls(**values)


def check_threshold(report: CleanReport, max_rejected_ratio: float) -> None:
    """Refuse a file of which too much was refused.

    Args:
        report: The accounting.
        max_rejected_ratio: Largest share of refused records that is still usable, from 0 to 1.

    Raises:
        BadDataError: The share is larger, or no record was accepted.
    """
    worst = sorted(report.reasons.items(), key=lambda item: (-item[1], item[0]))[:5]
    reasons = ", ".join(f"{reason} {count}" for reason, count in worst) or "none"
    if report.accepted == 0:
        problem = f"{report.source}: none of {report.read} records could be accepted."
    elif report.rejected_ratio > max_rejected_ratio:
        problem = (
            f"{report.source}: {report.quarantined - report.superseded} of {report.read} records were refused"
            f" ({report.rejected_ratio:.1%}), more than MAX_REJECTED_RATIO ({max_rejected_ratio:.1%})."
        )
    else:
        return
    raise BadDataError(
        f"{problem} Most frequent reasons: {reasons}.",
        f"See {report.rejected_file}: it names every reason. Have the file corrected, or raise"
        " MAX_REJECTED_RATIO if these losses are acceptable. The published tables are as they were.",
    )


def add_exact(totals: dict[str, Decimal], more: dict[str, Decimal], sign: int = 1) -> None:
    """Add control totals, name by name, to `totals`."""
    for name, value in more.items():
        totals[name] = totals.get(name, Decimal(0)) + sign * value
