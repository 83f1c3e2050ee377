"""How the fields lay in a cleaned file → noted beside its rejected file, and read again there or in the ledger."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import psycopg

from audited_load.clean_report import CleanReport
from audited_load.erasing.register import exists
from audited_load.erasing.splitting import RawLayout
from audited_load.warehouse.tables import Tables

NAMES = ("layout.json", "report.json")
"""What is written here, and what `clean` writes."""
_LAYOUTS = """
    select distinct run_id, header, delimiter, to_jsonb(l) ->> 'contract_id', to_jsonb(l) ->> 'contract_sha256'
    from {loads} as l
"""
_ENCODINGS = "select distinct encoding from {loads} where encoding like '% (declared)'"


def write_layout_beside(report: CleanReport) -> None:
    """Note the header of a cleaned file, and what was taken for which column, beside its rejected file.

    A run that is refused afterwards reaches no ledger, and its rejected file holds records without their header.

    Args:
        report: The accounting, with its files in folders of this machine.
    """
    rejected = Path(report.rejected_file)
    noted = {name: getattr(report, name) for name in ("header", "delimiter", "read_as", "contract")}
    noted["rejected_file"] = rejected.name
    (rejected.parent / NAMES[0]).write_text(json.dumps(noted, ensure_ascii=False), encoding="utf-8")


def read_layout_beside(path: Path) -> RawLayout | None:
    """Read what is noted beside a rejected file; None if nothing is."""
    for name in NAMES:
        try:
            noted = json.loads((path.parent / name).read_text(encoding="utf-8"))
            if Path(noted["rejected_file"]).name == path.name:
                layout = RawLayout.of_ledger([str(one) for one in noted["header"]], str(noted["delimiter"]))
                said = dict(noted.get("contract", {}))
                contract = str(said.get("id", "")), str(said.get("sha256", ""))
                return replace(layout, read_as=tuple(map(str, noted.get("read_as", ()))), contract=contract)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
    return None


class Layouts:
    """How the fields lay in the files that were loaded: of those of a run, and of all."""

    def __init__(self, by_run: dict[str, list[RawLayout]], plain: RawLayout) -> None:
        self._by_run = by_run
        known = dict.fromkeys([*(one for of_run in by_run.values() for one in of_run), plain])
        self._guesses = [replace(layout, is_guess=True) for layout in known]

    def of(self, data: Path, paths: Sequence[Path]) -> list[RawLayout]:
        """Return those that a rejected file may have.

        What lies beside the file counts first, then what the ledger says of its run. A file of another run, or of
        none, may have had another header than all that the ledger knows: these are guesses.

        Args:
            data: The data folder.
            paths: The file's names, below it.
        """
        for path in paths:
            if (own := read_layout_beside(path)) is not None:
                return [own]
        folders = {part for path in paths for part in path.relative_to(data).parent.parts}
        for folder in folders & self._by_run.keys():
            return self._by_run[folder]
        return self._guesses


def read_layouts(connection: psycopg.Connection, tables: Tables) -> Layouts:
    """Read from the ledger how the fields lay in the files that were loaded, by the names of runs' folders."""
    by_run: dict[str, list[RawLayout]] = {}
    if exists(connection, tables, "loads"):
        for run_id, *layout in connection.execute(tables.fill(_LAYOUTS)).fetchall():
            by_run.setdefault(name_run_folder(run_id), []).append(RawLayout.of_ledger(*layout))
    return Layouts(by_run, RawLayout(tuple(tables.feed.names), ","))


def read_encodings(connection: psycopg.Connection, tables: Tables) -> set[str]:
    """Read from the ledger which encodings files were declared to have."""
    if not exists(connection, tables, "loads"):
        return set()
    return {row[0].partition(" ")[0] for row in connection.execute(tables.fill(_ENCODINGS)).fetchall()}


def name_run_folder(run_id: str) -> str:
    """Name the folder of a run's files."""
    return re.sub(r"[^\w.+-]", "_", run_id)
