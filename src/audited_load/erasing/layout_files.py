"""How the fields lay in a cleaned file → noted beside its rejected file, before any ledger knows of it."""

from __future__ import annotations

import json
from pathlib import Path

from audited_load.clean_report import CleanReport
from audited_load.erasing.splitting import RawLayout

NAMES = ("layout.json", "report.json")
"""What is written here, and what `clean` writes."""


def write_layout_beside(report: CleanReport) -> None:
    """Note the header of a cleaned file beside its rejected file.

    A run that is refused afterwards reaches no ledger, and its rejected file holds records without their header.

    Args:
        report: The accounting, with its files in folders of this machine.
    """
    rejected = Path(report.rejected_file)
    noted = {"rejected_file": rejected.name, "header": report.header, "delimiter": report.delimiter}
    (rejected.parent / NAMES[0]).write_text(json.dumps(noted, ensure_ascii=False), encoding="utf-8")


def read_layout_beside(path: Path) -> RawLayout | None:
    """Read what is noted beside a rejected file; None if nothing is."""
    for name in NAMES:
        try:
            noted = json.loads((path.parent / name).read_text(encoding="utf-8"))
            if Path(noted["rejected_file"]).name == path.name:
                return RawLayout.of_ledger([str(one) for one in noted["header"]], str(noted["delimiter"]))
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return None
