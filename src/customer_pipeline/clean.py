"""`customer-pipeline clean FILE --out DIR`: cleaning alone, without a database."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from rich.console import Console

from audited_load.clean import clean_file
from audited_load.limits import check_limits, read_limits
from audited_load.progress import measured
from audited_load.report import CleanReport
from customer_pipeline.feed import load_feed
from customer_pipeline.progress import Display, describe_cleaning


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("file", type=Path, metavar="FILE", help="the dirty CSV")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for what it writes")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Clean the file, write the cleaned file, the rejected file and `report.json`.

    Returns:
        0 within the threshold of rejects.

    Raises:
        BadDataError: Above it; all three files are written before.
        UnusableFileError: The file can't be read as records.
    """
    limits, feed = read_limits(os.environ), load_feed()
    report = _clean(arguments.file, arguments.out)
    text = json.dumps(report.to_dict(), indent=2, ensure_ascii=False)
    (arguments.out / "report.json").write_text(text + "\n", encoding="utf-8")
    sys.stdout.write(text + "\n" if arguments.json else describe(report))
    sys.stdout.flush()
    check_limits(report, limits, feed.key)
    return 0


def _clean(file: Path, out: Path) -> CleanReport:
    """Clean the file, and show on standard error how far it is."""
    total = file.stat().st_size if file.is_file() else 0
    with Display(Console(stderr=True, highlight=False, soft_wrap=True)).shown() as display:
        progress = measured(total, lambda cleaned: display.show([describe_cleaning("cleaning", cleaned)]))
        return clean_file(file, load_feed(), out, progress)


def describe(report: CleanReport) -> str:
    """Put a report into lines for people."""
    totals = ", ".join(f"{name} {value}" for name, value in report.totals.items())
    lines = [
        f"{report.source}: {report.bytes} bytes, {report.encoding}, delimiter {report.delimiter!r}",
        f"  read {report.read} = accepted {report.accepted} + quarantined {report.quarantined}"
        f" + duplicates {report.duplicates}",
        f"  control totals: {totals}",
        *(f"  refused {count:>8} {name}" for name, count in report.reasons.items()),
        *(f"  changed {count:>8} {name}" for name, count in report.rules.items()),
        f"  {report.cleaned_file}",
        f"  {report.rejected_file}",
    ]
    if report.ignored_columns:
        lines.insert(1, f"  columns not kept: {', '.join(report.ignored_columns)}")
    return "\n".join(lines) + "\n"
