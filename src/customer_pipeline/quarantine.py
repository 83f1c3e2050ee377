"""`customer-pipeline quarantine list|export|replay`: look at refused records, repair them, bring them in again."""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from uuid import UUID

from rich.console import Console

from audited_load.clean import clean_file
from audited_load.columns import Column, Feed, Refusal, Text
from audited_load.command import command
from audited_load.errors import BadDataError, RefusedError, UnavailableError, UnusableFileError
from audited_load.form import Form
from audited_load.limits import DECLARE_FORM
from audited_load.reading.dialect import normalise_name
from audited_load.reading.source import inspect_file
from audited_load.rejects import guard_formula, read_rejects, unguard_formula
from audited_load.shown import escape_text, show_json, show_text
from audited_load.warehouse.load import connect
from audited_load.warehouse.quarantine import (
    STATUSES,
    Quarantined,
    close_rejects,
    find_rejects,
    find_replayed,
    is_made,
)
from customer_pipeline.declared import add_form, declared_form
from customer_pipeline.feed import load_tables
from customer_pipeline.run import REPLAYED, run_pipeline
from customer_pipeline.settings import read_runtime

BAD_DATA = 2
SHOWN = 20
RAW_SHOWN = 60
_ID, _REASONS, _RAW = "reject_id", "reasons", "raw_record"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the subcommands."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, text in (
        ("list", "how many records by reason, and the newest of them"),
        ("export", "write them to a CSV, to be repaired in a spreadsheet"),
    ):
        action = actions.add_parser(name, help=text, description=text)
        action.add_argument("--all", action="store_true", help="those that need no repair, too")
        action.add_argument("--reason", default="", metavar="PREFIX", help="only reasons that begin so: price:")
        if name == "list":
            action.add_argument(
                "--raw", action="store_true", help="show the raw text, too: it may be personal data"
            )
            action.add_argument("--json", action="store_true", help="all of it, for programs")
        else:
            action.add_argument("--out", type=Path, required=True, metavar="FILE", help="the file to write")
    text = "load the repaired records of an export, and close them"
    replay = actions.add_parser("replay", help=text, description=text)
    replay.add_argument("file", type=Path, metavar="FILE", help="the repaired export")
    add_form(replay)


def run(arguments: argparse.Namespace) -> int:
    """Do what the subcommand says; gives the exit code."""
    if arguments.action == "replay":
        return replay(arguments.file, declared_form(arguments))
    tables, _ = load_tables()
    with connect(read_runtime().dsn("loader")) as connection:
        if not is_made(connection, tables):
            raise RefusedError("Nothing was loaded yet.", f"Load a file with {command('run FILE')}.")
        found = find_rejects(connection, tables, STATUSES if arguments.all else ("open",), arguments.reason)
    if arguments.action == "export":
        export(found, tables.feed, arguments.out)
        sys.stdout.write(f"{len(found)} records to {escape_text(str(arguments.out))}. It may hold personal data.\n")
    elif arguments.json:
        sys.stdout.write(show_json([asdict(record) for record in found]) + "\n")
    else:
        _print(found, show_raw=arguments.raw)
    return 0


def _print(found: list[Quarantined], *, show_raw: bool) -> None:
    console = Console(highlight=False, markup=False, soft_wrap=True)
    counts = Counter((record.status, _kind(record)) for record in found)
    for (status, kind), count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        console.print(f"{count:>8}  {status:<10}  {kind}")
    console.print(f"{len(found):>8}  in all")
    for record in found[:SHOWN]:
        # Reasons quote the value, which is raw text, too.
        raw = f"{escape_text(record.reasons)}  {record.raw_record[:RAW_SHOWN]!r}"
        what = raw if show_raw else _kind(record)
        place = show_text(record.source_name, 200) + (f":{record.source_line}" if record.source_line else "")
        seen = f"seen {record.times_seen}x, last {record.last_seen:%Y-%m-%d %H:%M}"
        console.print(f"{str(record.reject_id)[:8]}  {place}  {seen}  {what}")
    if len(found) > SHOWN:
        console.print(f"The newest {SHOWN} are shown; {command('quarantine export --out FILE')} gives all of them.")


def _kind(record: Quarantined) -> str:
    """Give column and refusal of the first reason."""
    return show_text(":".join(record.reasons.split(":")[:2]), 200)


def export(found: Iterable[Quarantined], feed: Feed, out: Path) -> None:
    """Write records so that they can be repaired: id, reasons, raw text, and the columns if they can be told apart.

    Args:
        found: The records.
        feed: Its columns.
        out: The file to write; only its owner may read it.

    Raises:
        UnusableFileError: It can't be written.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=csv.QUOTE_ALL)
    writer.writerow([_ID, _REASONS, _RAW, *feed.names])
    for record in found:
        cells = [record.reasons, record.raw_record, *_split(record, feed)]
        writer.writerow([record.reject_id, *map(guard_formula, cells)])
    try:
        _write_beside(out.absolute(), text.getvalue().encode())
    except OSError as error:
        raise UnusableFileError(f"{out}: {error.strerror}.", "Give another file.") from error


def _write_beside(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, for its owner only; nothing else of it stays on the disk."""
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".") as folder:
        fresh = Path(folder) / path.name
        fresh.touch(mode=0o600)
        fresh.write_bytes(content)
        fresh.replace(path)


def _split(record: Quarantined, feed: Feed) -> list[str]:
    """Split a raw record into the feed's columns.

    They are empty if it can't be told which text belongs where, or is not shown as it was: somebody has to look.
    """
    if "record:" in record.reasons:
        return [""] * len(feed.names)
    rows = list(csv.reader(io.StringIO(record.raw_record, newline=""), delimiter=record.delimiter))
    names = [normalise_name(name) for name in record.header]
    if len(rows) != 1 or len(rows[0]) != len(names):
        return [""] * len(feed.names)
    fields = dict(zip(names, rows[0], strict=True))
    return [fields.get(name, "") for name in feed.names]


def replay(file: Path, form: Form) -> int:
    """Load the good records of a repaired export in mode `merge`, and close them.

    Killed at any point, it can be run again: what was loaded is not loaded twice, and is closed then.

    Args:
        file: The export.
        form: How the repaired values are written.

    Returns:
        0 if all of them are in, 2 if some are still refused, else what the run ended with.
    """
    console = Console(highlight=False, markup=False, soft_wrap=True)
    runtime, (tables, _) = read_runtime(), load_tables()
    if not file.is_file():
        raise UnusableFileError(f"{file}: no such file.", "Give an export of the quarantine, repaired.")
    good, refused = clean_export(file, tables.feed.in_form(replace(form, encoding=None)))
    for line, _, reasons in refused:
        console.print(f"line {line}: {escape_text(reasons)}")
    console.print(f"{len(good)} records are good now, {len(refused)} are still refused.")
    if not good:
        return BAD_DATA
    content = format_records((values for _, values in good), tables.feed)
    digest = hashlib.sha256(content).hexdigest()
    source = runtime.data / REPLAYED / f"replay-{digest[:12]}.csv"
    try:
        source.parent.mkdir(parents=True, exist_ok=True)
        _write_beside(source, content)
    except OSError as error:
        raise UnavailableError(f"{source}: {error.strerror}.", "Check the disk, then replay again.") from error
    code = run_pipeline(source, mode="merge", form=Form("utf-8", "point", "day_first").words())
    if code:
        return code
    repaired = find_repaired(good, refused)
    closed = close_replayed(runtime.dsn("loader"), digest, repaired)
    console.print(
        f"{closed} records of the quarantine are closed; {len(repaired) - closed} were before, or are unknown."
    )
    return BAD_DATA if refused else 0


def find_repaired(good: Iterable[tuple[UUID, list[str]]], refused: Iterable[tuple[int, str, str]]) -> list[UUID]:
    """Find the ids of which every line is good: a record may have been repaired into several lines."""
    still = {reject_id.strip().lower() for _, reject_id, _ in refused}
    return sorted({reject_id for reject_id, _ in good if str(reject_id) not in still})


def close_replayed(dsn: str, sha256: str, reject_ids: list[UUID]) -> int:
    """Close records whose repaired copies lie in a file that was merged; gives how many were not closed before."""
    tables, _ = load_tables()
    with connect(dsn) as connection:
        load_id = find_replayed(connection, tables, sha256)
        return close_rejects(connection, tables, reject_ids, load_id) if load_id else 0


def clean_export(file: Path, feed: Feed) -> tuple[list[tuple[UUID, list[str]]], list[tuple[int, str, str]]]:
    """Clean a repaired export by the feed's rules.

    Args:
        file: The export; a spreadsheet may have written it anew.
        feed: Its columns and rules.

    Returns:
        Id and values of the good lines; line, id and reasons of the others.

    Raises:
        UnusableFileError: It is no export.
    """
    good: list[tuple[UUID, list[str]]] = []
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "export.csv"
        _remove_guards(file, plain, feed)
        report = clean_file(plain, with_reject_id(feed), Path(folder) / "out")
        if report.doubts:
            raise BadDataError(f"{file}: {' '.join(report.doubts)}", f"{DECLARE_FORM} Nothing was loaded.")
        refused = [
            (reject.line, reject.raw.decode().partition(",")[0].strip('"'), "; ".join(reject.reasons))
            for reject in read_rejects(Path(report.rejected_file))
        ]
        with Path(report.cleaned_file).open(newline="", encoding="utf-8") as cleaned:
            for reject_id, *values, record in list(csv.reader(cleaned))[1:]:
                try:
                    good.append((UUID(reject_id), values))
                except ValueError:
                    reason = f"{_ID}:not_an_id: {reject_id} is no id of the quarantine"
                    refused.append((int(record) + 1, reject_id, reason))
    return good, refused


def _remove_guards(file: Path, plain: Path, feed: Feed) -> None:
    """Write an export anew, in plain CSV: the id first, and without the guards against formulas.

    All fields stand in quotes, so that a raw record of several lines can't be taken for some that lost theirs.
    """
    names = [_ID, *feed.names]
    source = inspect_file(file, names, feed.key)
    place = source.positions(names)[0]
    csv.field_size_limit(sys.maxsize)
    with (
        file.open(newline="", encoding="utf-8-sig" if source.encoding.is_utf8 else source.encoding.name) as before,
        plain.open("w", newline="", encoding="utf-8") as after,
    ):
        rows = csv.reader(before, delimiter=source.dialect.delimiter)
        csv.writer(after, quoting=csv.QUOTE_ALL).writerows(
            map(unguard_formula, [*row[place : place + 1], *row[:place], *row[place + 1 :]]) for row in rows
        )


def with_reject_id(feed: Feed) -> Feed:
    """Give the feed with the id of the quarantined record as its first column."""
    refusals = (Refusal("not_an_id", "", "is no id of the quarantine", ("x" * 37,)),)
    return replace(feed, columns=(Column(_ID, Text(36), True, frozenset(), (), refusals), *feed.columns))


def format_records(records: Iterable[list[str]], feed: Feed) -> bytes:
    """Format cleaned records as a CSV of the feed."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(feed.names)
    writer.writerows(records)
    return text.getvalue().encode()
