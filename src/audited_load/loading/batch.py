"""What a run brings: the files' accounting, on its way from step to step."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, TypeAlias

from audited_load.clean_report import CleanReport
from audited_load.errors import RefusedError

MODES = ("replace", "merge")
"""The file is the whole truth; or it holds new and corrected records."""
Content: TypeAlias = tuple[str, str]
"""The sha256 of a file, and what named the code, rules and contract that read it: together, what a load holds."""


@dataclass(frozen=True)
class Load:
    """One file on its way.

    Attributes:
        load_id: Its row in the ledger.
        report: Its accounting.
    """

    load_id: int
    report: CleanReport


@dataclass(frozen=True)
class Batch:
    """The files of a run, which readers see together or not at all; as the steps hand it on.

    Attributes:
        run_id: The run that brings them.
        generation: The generation that they fill or merge into, or None if readers see their content already.
        merges: Whether they go into a generation that readers see already.
        loads: What is to be loaded, in the order in which later files win.
        mode: What was asked for, one of `MODES`: the first merge of all finds nothing to merge into.
        left_out: Sha256 and code version of the files that readers saw already, in the order of the files' names.
        files: Names the cleaned files: see `name_files`.
    """

    run_id: str
    generation: int | None
    merges: bool
    loads: tuple[Load, ...]
    mode: str = "replace"
    left_out: tuple[Content, ...] = ()
    files: str = ""

    @property
    def load_ids(self) -> list[int]:
        """Ids of the loads, in order."""
        return [load.load_id for load in self.loads]

    @property
    def only_load(self) -> int | None:
        """Id of its load, if there is only one: its rows need not tell whose they are."""
        return self.loads[0].load_id if len(self.loads) == 1 else None

    def within(self, folder: Path) -> Batch:
        """Return the batch with the places of its files in a folder of this machine."""
        loads = tuple(Load(load.load_id, load.report.within(folder)) for load in self.loads)
        return replace(self, loads=loads)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that survive JSON."""
        return asdict(self) | {
            "loads": [{"load_id": load.load_id, "report": load.report.to_dict()} for load in self.loads]
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Batch:
        """Read what `to_dict` gave."""
        loads = tuple(Load(load["load_id"], CleanReport.from_dict(load["report"])) for load in values["loads"])
        # An earlier commit named only the content: nothing is found so, and the run is to be cleared.
        left_out = tuple((one, "") if isinstance(one, str) else (one[0], one[1]) for one in values["left_out"])
        return cls(
            values["run_id"],
            values["generation"],
            values["merges"],
            loads,
            values["mode"],
            left_out,
            values.get("files", ""),
        )


def name_files(loads: Iterable[Load]) -> str:
    """Name the cleaned files of some loads: those of another attempt, or cut otherwise, have another name."""
    places = [(load.load_id, piece.cleaned_file, piece.accepted) for load in loads for piece in load.report.pieces]
    return hashlib.sha256(json.dumps(places).encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Delivery:
    """What a run brings, and how.

    Attributes:
        run_id: The run.
        run_date: The day that it is for: of two values for one key in merge mode, that of the later day wins.
        mode: One of `MODES`.
        started_by: Who or what started it, such as a user's name or `scheduled`.
        params: What it was asked for, by name.
        started_at: When it began; None if nobody knows.
    """

    run_id: str
    run_date: datetime
    mode: str
    started_by: str | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    started_at: datetime | None = None

    def __post_init__(self) -> None:
        """Check the mode.

        Raises:
            RefusedError: There is no such mode.
        """
        if self.mode not in MODES:
            raise RefusedError(f"There is no mode {self.mode!r}.", f"Use one of {', '.join(MODES)}.")
