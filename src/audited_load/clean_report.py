"""What became of every record of a file: the accounting that travels from cleaning to the audit."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from audited_load.errors import RefusedError
from audited_load.reading.encoding import is_guessed

SUPERSEDED = "record:superseded"
"""The reason of a record that a later one with the same key replaces."""


@dataclass(frozen=True)
class Shard:
    """The files of one shard of a large file, or of all of a file that was cleaned in one piece.

    Attributes:
        cleaned_file: Path of its accepted records, with a header; as in `CleanReport`.
        rejected_file: Path of its quarantined records, alike.
        accepted: Records in the cleaned file.
    """

    cleaned_file: str
    rejected_file: str
    accepted: int


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
            Empty if the file was cleaned in shards.
        rejected_file: Path of the quarantined records, alike.
        doubts: What in the file speaks against how it was read, so that it may not be used.
        hints: What may explain why values were refused.
        erased_known: How many erased subjects cleaning knew of; None if it didn't ask.
        columns: Name and type in the table of each column of the cleaned file, in order; no mapping, as one from
            task to task comes in another order.
        unknown_columns: Those of `ignored_columns` that the contract doesn't leave out.
        missing_columns: Optional columns that the file lacks.
        drift: How its columns differ from what was expected: see `loading.drift`.
        contract: The contract by which it was read: its `id`, `version` and `sha256`; empty if there was none.
        code_version: Of code, rules and contract: under another, the same file is another load.
        read_as: What each name of the header was taken for: a column of the feed, or itself, normalised.
        shards: The files of each shard, in the order of the file; none if it was cleaned in one piece.
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
    erased_known: int | None = None
    columns: list[tuple[str, str]] = field(default_factory=list)
    unknown_columns: list[str] = field(default_factory=list)
    missing_columns: list[str] = field(default_factory=list)
    drift: dict[str, list[str]] = field(default_factory=dict)
    contract: dict[str, str] = field(default_factory=dict)
    code_version: str = ""
    read_as: list[str] = field(default_factory=list)
    shards: list[Shard] = field(default_factory=list)

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
        return self.refused / self.read if self.read else 0.0

    @property
    def refused(self) -> int:
        """Records that were refused; superseded ones were not."""
        return self.quarantined - self.superseded

    @property
    def is_guessed(self) -> bool:
        """Whether nothing said how the file's text is encoded, and it was not UTF-8."""
        return is_guessed(self.encoding)

    @property
    def superseded_ratio(self) -> float:
        """Share of the records read that a later one with the same key replaces."""
        return self.superseded / self.read if self.read else 0.0

    @property
    def pieces(self) -> list[Shard]:
        """Its files: those of each shard, or the two of a file that was cleaned in one piece."""
        return self.shards or [Shard(self.cleaned_file, self.rejected_file, self.accepted)]

    def place_files(self, place: Callable[[str], str]) -> CleanReport:
        """Return the report with other places of its files.

        Args:
            place: Gives the new place for one of now; files that it doesn't have are left alone.
        """

        def move(one: str) -> str:
            return place(one) if one else one

        return replace(
            self,
            cleaned_file=move(self.cleaned_file),
            rejected_file=move(self.rejected_file),
            shards=[
                replace(one, cleaned_file=move(one.cleaned_file), rejected_file=move(one.rejected_file))
                for one in self.shards
            ],
        )

    def relative_to(self, folder: Path) -> CleanReport:
        """Return the report with its places relative to a folder, so that another machine can use it."""
        return self.place_files(lambda place: Path(place).relative_to(folder).as_posix())

    def within(self, folder: Path) -> CleanReport:
        """Return the report with its places in a folder of this machine."""
        return self.place_files(lambda place: str(folder / place))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that survive JSON, and a store that keeps no order of names, such as PostgreSQL's."""
        return asdict(self) | {"columns": list(map(list, self.columns))}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> CleanReport:
        """Read what `to_dict` gave."""
        columns = [(name, kind) for name, kind in values.get("columns", ())]
        return cls(**values | {"columns": columns, "shards": [Shard(**one) for one in values.get("shards", ())]})


def gather_columns(reports: Iterable[CleanReport]) -> dict[str, str]:
    """Return the columns that some files bring, each with its type.

    Raises:
        RefusedError: One has two types.
    """
    found: dict[str, str] = {}
    for report in reports:
        for name, kind in report.columns:
            # Whether it may be null, the table says.
            before = found.setdefault(name, kind)
            if before.partition(" ")[0] != kind.partition(" ")[0]:
                raise RefusedError(
                    f"The column {name} is {before} in one file of the run and {kind} in another.",
                    "Declare it alike in both contracts. Nothing was loaded.",
                )
    return found


def add_exact(totals: dict[str, Decimal], more: dict[str, Decimal], sign: int = 1) -> None:
    """Add control totals, name by name, to `totals`."""
    for name, value in more.items():
        totals[name] = totals.get(name, Decimal(0)) + sign * value
