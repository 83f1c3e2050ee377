"""`customer-pipeline clean FILE --out DIR`: cleaning alone, without a database."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console

from audited_load.clean_report import CleanReport
from audited_load.cleaning.clean_file import clean_file
from audited_load.cleaning.limits import check_limits, read_limits
from audited_load.cleaning.outputs import cleaned_and_rejected, refuse_existing, refuse_own_input
from audited_load.columns import Feed
from audited_load.errors import UnavailableError
from audited_load.form import form_of_all
from audited_load.loading.drift import Drift, check_drift
from audited_load.progress import measured
from audited_load.shown import DECLARE_ENCODING, escape_text, most_frequent, show_json, show_text
from audited_load.warehouse.rights import readable
from customer_pipeline.commands.run_progress import Display, describe_cleaning
from customer_pipeline.contract_of_run import feed_by_contract, in_declared_form, in_form_of_run
from customer_pipeline.feed import FEED
from customer_pipeline.runtime.installation import read_runtime

SHOWN = 4
"""Reasons, and rules, that fit a screen with all the rest."""


def clean(
    file: Path,
    out: Path,
    words: Mapping[str, str],
    contract: Path | None = None,
    *,
    force: bool = False,
    as_json: bool = False,
) -> int:
    """Clean a file, write the cleaned file, the rejected file and `report.json`.

    Args:
        file: The dirty CSV.
        out: Folder for what is written.
        words: How the file is written; what they don't say, the contract does, or the settings if there is none.
        contract: The file's contract; None for the default one.
        force: Replace what an earlier cleaning wrote there.
        as_json: Print the report as JSON.

    Returns:
        0 within the limits.

    Raises:
        BadDataError: Above one; all three files are written before.
        RefusedError: The file lies where one of the three is to be written, one of them is there already, or a
            setting is unusable.
        UnusableFileError: The file can't be read, or not as records.
        UnavailableError: The folder can't be written to.
    """
    limits, feed = read_limits(os.environ), _feed(words, contract)
    place = out / "report.json"
    outputs = (*cleaned_and_rejected(out, feed.name), place)
    refuse_own_input(file, outputs)
    earlier = refuse_existing(outputs, force=force)
    report = _clean(file, feed, out)
    text = show_json(report.to_dict(), indent=2)
    try:
        place.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise UnavailableError(
            f"{place}: can't be written: {error.strerror}.", "Check its rights and the disk, then run it again."
        ) from error
    if earlier:
        names = ", ".join(path.name for path in earlier)
        sys.stderr.write(escape_text(f"Replaced: {names} in {out}, of an earlier cleaning.\n"))
    sys.stdout.write(text + "\n" if as_json else describe(report))
    sys.stdout.flush()
    missing, unknown = tuple(report.missing_columns), tuple(report.unknown_columns)
    check_drift(report, Drift(unknown, missing), feed)  # what the load before had, only a run knows
    check_limits(report, limits, feed.key)
    return 0


def _feed(words: Mapping[str, str], contract: Path | None) -> Feed:
    if contract is None:
        return in_form_of_run(FEED, words, form_of_all(os.environ).words())
    return in_declared_form(feed_by_contract(contract), words)


def _clean(file: Path, feed: Feed, out: Path) -> CleanReport:
    """Clean the file, and show on standard error how far it is."""
    with Display(Console(stderr=True, highlight=False, soft_wrap=True)).shown() as display:
        progress = measured(_size(file), lambda cleaned: display.show([describe_cleaning("cleaning", cleaned)]))
        return clean_file(file, feed, out, progress, masking_key=_masking_key(feed))


def _masking_key(feed: Feed) -> str:
    """Return the installation's key; only what needs one makes it."""
    return os.environ.get("ERASURE_KEY") or read_runtime().secrets["erasure"] if feed.needs_key else ""


def _size(file: Path) -> int:
    """Return the size of a file; of what is none, cleaning says so."""
    with readable(file, OSError):
        return file.stat().st_size if file.is_file() else 0


def describe(report: CleanReport) -> str:
    """Put a report into few enough lines for a screen."""
    totals = ", ".join(f"{name} {value}" for name, value in report.totals.items())
    cleaned, rejected = Path(report.cleaned_file), Path(report.rejected_file)
    lines = [
        f"{show_text(report.source, 200)}: {report.bytes} bytes, {report.encoding}, delimiter {report.delimiter!r}",
        *(
            [f"  encoding guessed: if names look wrong, declare it: {DECLARE_ENCODING}"]
            if report.is_guessed
            else []
        ),
        *([f"  columns not kept: {_few_names(report.ignored_columns)}"] if report.ignored_columns else []),
        f"  read {report.read} = accepted {report.accepted} + quarantined {report.quarantined}"
        f" + duplicates {report.duplicates}",
        f"  control totals: {totals}",
        *_describe_counts("refused", report.reasons),
        *_describe_counts("changed", report.rules),
        f"  in {cleaned.parent}: {cleaned.name}, {rejected.name}, report.json",
    ]
    return "\n".join(map(escape_text, lines)) + "\n"


def _describe_counts(what: str, counts: Mapping[str, int]) -> list[str]:
    """Name the most frequent, a line each."""
    ordered = most_frequent(counts)
    lines = [f"  {what} {count:>8} {name}" for name, count in ordered[:SHOWN]]
    return [*lines, f"  {what}  and {len(ordered) - SHOWN} more, see report.json"] if ordered[SHOWN:] else lines


def _few_names(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more, see report.json" if names[SHOWN:] else ""
    return ", ".join(show_text(name) for name in names[:SHOWN]) + more
