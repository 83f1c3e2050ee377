"""`customer-pipeline quarantine list|export|replay`: look at refused records, repair them, bring them in again."""

from __future__ import annotations

import argparse
import csv
import io
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from audited_load.cleaning.outputs import refuse_existing, write_whole
from audited_load.cleaning.rejects import guard_formula
from audited_load.columns import Feed
from audited_load.command import command
from audited_load.errors import UnusableFileError
from audited_load.loading.quarantine import (
    STATUSES,
    TO_REPAIR,
    Quarantined,
    RefusingLoad,
    find_loads,
    find_rejects,
)
from audited_load.reading.dialect import normalise_name
from audited_load.shown import escape_text, show_json, show_text
from customer_pipeline.commands.declared import add_form, declared_form
from customer_pipeline.commands.refused_loads import choose_loads, describe_load, opened_quarantine
from customer_pipeline.commands.replay import REJECT_ID, replay
from customer_pipeline.feed import TABLES
from customer_pipeline.runtime.installation import read_runtime

SHOWN = 20
RAW_SHOWN = 60
_REASONS, _RAW = "reasons", "raw_record"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the subcommands."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION", help="what to do")
    text = {
        "list": "what the loads that readers see refused, by reason, and the newest of it",
        "export": "write what is to be repaired to a CSV, for a spreadsheet",
        "replay": "load the repaired records of an export, and close them",
    }
    listed, exported, replayed = (
        actions.add_parser(name, help=words, description=words) for name, words in text.items()
    )
    for action in (listed, exported, replayed):
        action.add_argument(
            "--load", type=int, action="append", default=[], metavar="N",
            help="what load N refused, in place of the loads that readers see; may be said several times",
        )  # fmt: skip
    for action in (listed, exported):
        action.add_argument("--reason", default="", metavar="PREFIX", help="only reasons that begin so: price:")
    listed.add_argument("--all", action="store_true", help="of all loads")
    listed.add_argument("--raw", action="store_true", help="show the raw text, too: it may be personal data")
    listed.add_argument("--json", action="store_true", help="all of it, for programs")
    text_of_all = "of all loads, and those that need no repair, too"
    exported.add_argument("--all", action="store_true", help=text_of_all)
    exported.add_argument("--out", type=Path, required=True, metavar="FILE", help="the file to write")
    exported.add_argument("--force", action="store_true", help="replace the file if it is there")
    replayed.add_argument("file", type=Path, metavar="FILE", help="the repaired export")
    add_form(replayed)


def run(arguments: argparse.Namespace) -> int:
    """Do what the subcommand says; gives the exit code."""
    if arguments.action == "replay":
        return replay(arguments.file, declared_form(arguments), arguments.load)
    is_export = arguments.action == "export"
    if is_export:
        refuse_existing([arguments.out], force=arguments.force)
    tables = TABLES
    with opened_quarantine(read_runtime(), tables) as connection:
        loads = find_loads(connection, tables)
        chosen = loads if arguments.all and not arguments.load else choose_loads(connection, tables, arguments.load)
        statuses = TO_REPAIR if is_export and not arguments.all else STATUSES
        ids = None if chosen == loads else [load.load_id for load in chosen]
        found = find_rejects(connection, tables, statuses, arguments.reason, ids)
    if is_export:
        export(found, tables.feed, arguments.out, force=arguments.force)
        sys.stdout.write(f"{len(found)} records to {escape_text(str(arguments.out))}. It may hold personal data.\n")
        _say_unseen(found)
    elif arguments.json:
        sys.stdout.write(show_json([asdict(record) for record in found]) + "\n")
    else:
        _print(found, chosen, loads, show_raw=arguments.raw)
    return 0


def _say_unseen(found: list[Quarantined]) -> None:
    """Say what a replay would leave out."""
    unseen = [record for record in found if not record.is_visible]
    if unseen:
        options = " ".join(f"--load {load_id}" for load_id in sorted({record.load_id for record in unseen}))
        sys.stdout.write(
            f"{len(unseen)} of them were refused by no load that readers see: replay leaves them out, unless you"
            f" add {options}.\n"
        )


def _print(
    found: list[Quarantined], chosen: list[RefusingLoad], loads: list[RefusingLoad], *, show_raw: bool
) -> None:
    console = Console(highlight=False, markup=False, soft_wrap=True)
    for load in chosen:
        console.print(describe_load(load))
    counts = Counter((record.status, _kind(record)) for record in found)
    for (status, kind), count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        console.print(f"{count:>8}  {status:<11}  {kind}")
    console.print(f"{len(found):>8}  in all; a record that came several times is one")
    for record in found[:SHOWN]:
        # Reasons quote the value, which is raw text, too.
        raw = f"{escape_text(record.reasons)}  {record.raw_record[:RAW_SHOWN]!r}"
        what = raw if show_raw else _kind(record)
        place = show_text(record.source_name, 200) + (f":{record.source_line}" if record.source_line else "")
        seen = f"load {record.load_id}, seen {record.times_seen}x, last {record.last_seen:%Y-%m-%d %H:%M}"
        console.print(f"{str(record.reject_id)[:8]}  {record.status:<11}  {place}  {seen}  {what}")
    if len(found) > SHOWN:
        all_of_it = command("quarantine export --out FILE")
        console.print(f"The newest {SHOWN} are shown; {all_of_it} gives what is to be repaired.")
    for load in loads:
        if load not in chosen and not load.is_visible and load.status != "published":
            console.print(f"{describe_load(load)}. See it with --load {load.load_id}.")


def _kind(record: Quarantined) -> str:
    """Give column and refusal of the first reason."""
    return show_text(":".join(record.reasons.split(":")[:2]), 200)


def export(found: Iterable[Quarantined], feed: Feed, out: Path, *, force: bool = False) -> None:
    """Write records so that they can be repaired: id, reasons, raw text, and the columns if they can be told apart.

    Args:
        found: The records.
        feed: Its columns.
        out: The file to write; only its owner may read it.
        force: Replace it if it is there.

    Raises:
        RefusedError: It is there, perhaps with what somebody has repaired.
        UnusableFileError: It can't be written.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=csv.QUOTE_ALL)
    writer.writerow([REJECT_ID, _REASONS, _RAW, *feed.names])
    for record in found:
        cells = [record.reasons, record.raw_record, *_split(record, feed)]
        writer.writerow([record.reject_id, *map(guard_formula, cells)])
    try:
        write_whole(out, text.getvalue().encode(), force=force)
    except OSError as error:
        raise UnusableFileError(f"{out}: {error.strerror}.", "Give another file.") from error


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
