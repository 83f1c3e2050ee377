"""Clean a file through the public interface and read what came out: shared by the tests of cleaning."""

from __future__ import annotations

import csv
import re
import sys
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from oracle import COLUMNS

from audited_load.clean_report import CleanReport
from audited_load.cleaning.clean_file import clean_file
from steps.data_cleaners import CUSTOMER_TRANSACTIONS

HEADER = ",".join(COLUMNS) + "\n"
ROW = "{},5,2024-01-02,7,Thing,2,1.10,0.05\n"
SAMPLE = Path(__file__).parents[2] / "data" / "customer_transactions.csv"

_REASON = re.compile(rf"(?:^|; )({'|'.join(COLUMNS)}|record)(?:: |:[a-z_]+)")


def clean(path: Path, content: str | bytes | None = None) -> CleanReport:
    """Clean a file, written before if there is content for it; the output goes beside it."""
    if content is not None:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return clean_file(path, CUSTOMER_TRANSACTIONS, path.parent / f"{path.name}-out")


def read_rows(path: str) -> list[dict[str, str]]:
    """Read a cleaned or a rejected file."""
    csv.field_size_limit(sys.maxsize)
    with Path(path).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def accepted_values(report: CleanReport) -> dict[int, tuple[Any, ...]]:
    """Read the typed values of each accepted record, by its number."""
    return {int(row["source_record"]): _typed(row) for row in read_rows(report.cleaned_file)}


def accepted_texts(report: CleanReport) -> set[tuple[str, ...]]:
    """Read the accepted records as texts, without where they came from."""
    return {tuple(row[name] for name in COLUMNS) for row in read_rows(report.cleaned_file)}


def refusing_columns(report: CleanReport) -> dict[int, set[str]]:
    """Read which columns refused each record; superseded records were not refused."""
    found = {
        int(row["source_record"]): set(_REASON.findall(row["reasons"])) for row in read_rows(report.rejected_file)
    }
    superseded = superseded_records(report)
    return {number: columns for number, columns in found.items() if number not in superseded}


def superseded_records(report: CleanReport) -> set[int]:
    """Read the numbers of the superseded records."""
    rows = read_rows(report.rejected_file)
    return {int(row["source_record"]) for row in rows if row["reasons"].startswith("record:superseded")}


def _typed(row: dict[str, str]) -> tuple[Any, ...]:
    values: list[Any] = []
    for name in COLUMNS:
        text = row[name]
        if text == "":
            values.append(None)
        elif name in {"price", "tax"}:
            values.append(Decimal(text))
        elif name == "transaction_date":
            values.append(date.fromisoformat(text))
        else:
            values.append(text if name == "product_name" else int(text))
    return tuple(values)
