"""Blocks → parts on disk: what one block came to, so that any process can make it and another put it together.

A part is `N.csv` (accepted records), `N.places` (where they were) and `N.rejected.csv`, beside the keys.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audited_load.clean_report import add_exact
from audited_load.cleaning.blocks import PLACE, clean_block
from audited_load.cleaning.duplicates import KeyStore
from audited_load.cleaning.evidence import Evidence, Sign, add_evidence
from audited_load.cleaning.layout import Layout
from audited_load.cleaning.rejects import format_rejects
from audited_load.reading.records import Block


@dataclass(frozen=True)
class PartFiles:
    """Names of a part's files."""

    folder: Path
    number: int

    @property
    def csv(self) -> Path:
        """Accepted records, without a header."""
        return self.folder / f"{self.number}.csv"

    @property
    def rejected(self) -> Path:
        """Refused records, without a header."""
        return self.folder / f"{self.number}.rejected.csv"

    @property
    def places(self) -> Path:
        """Where the accepted records were."""
        return self.folder / f"{self.number}.places"

    def read_places(self) -> NDArray[np.void]:
        """Read where the accepted records were, as an array of `PLACE`."""
        return np.fromfile(self.places, PLACE)

    def remove(self) -> None:
        """Remove all files of the part."""
        for path in (self.csv, self.rejected, self.places):
            path.unlink()


@dataclass
class Tally:
    """The accounting of a block, or of all so far.

    Attributes:
        read: Records.
        blank_lines: Empty lines.
        accepted: Records accepted.
        quarantined: Records refused.
        refused: Refusals by `column:refusal` or `record:fault`.
        changed: Values changed by `column:rule`, and what was noted beside them.
        totals: Control totals of the accepted records.
        evidence: What the texts show of how their writer writes.
    """

    read: int = 0
    blank_lines: int = 0
    accepted: int = 0
    quarantined: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    changed: Counter[str] = field(default_factory=Counter)
    totals: dict[str, Decimal] = field(default_factory=dict)
    evidence: Evidence = field(default_factory=dict)

    def add(self, other: Tally) -> None:
        """Add what another block came to."""
        self.read += other.read
        self.blank_lines += other.blank_lines
        self.accepted += other.accepted
        self.quarantined += other.quarantined
        self.refused.update(other.refused)
        self.changed.update(other.changed)
        add_exact(self.totals, other.totals)
        add_evidence(self.evidence, other.evidence)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that survive JSON."""
        # `asdict` makes no counters: their items would be counted.
        return vars(self) | {
            "refused": dict(self.refused),
            "changed": dict(self.changed),
            "totals": {name: str(value) for name, value in self.totals.items()},
            "evidence": [[*about, *sign] for about, sign in self.evidence.items()],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Tally:
        """Read what `to_dict` gave."""
        return cls(
            **dict(values)
            | {
                "refused": Counter(values["refused"]),
                "changed": Counter(values["changed"]),
                "totals": {name: Decimal(value) for name, value in values["totals"].items()},
                "evidence": {
                    (column, topic, side): Sign(number, place)
                    for column, topic, side, number, place in values["evidence"]
                },
            }
        )


@dataclass(frozen=True)
class PartMaker:
    """What is needed to make a part of any block.

    Attributes:
        layout: How to read the block.
        folder: Where the parts lie.
        source_bytes: Size of the source.
    """

    layout: Layout
    folder: Path
    source_bytes: int

    def make_part(self, number: int, block: Block) -> Tally:
        """Clean a block and write its part.

        Args:
            number: Of the block in the file, from 0.
            block: Whole records.

        Returns:
            Its accounting.
        """
        done, files = clean_block(block, self.layout), PartFiles(self.folder, number)
        files.csv.write_bytes(done.csv)
        files.rejected.write_text(format_rejects(done.rejects), encoding="utf-8", newline="")
        done.places.tofile(files.places)
        KeyStore(self.folder, self.source_bytes).add(number, done.keys, done.contents)
        return Tally(
            done.read,
            done.blank_lines,
            len(done.keys),
            len(done.rejects),
            done.refused,
            done.changed,
            done.totals,
            done.evidence,
        )
