"""`customer-pipeline quarantine list|export`: look at refused records, write them down to be repaired."""

from __future__ import annotations

import csv
import io
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
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
from audited_load.shown import escape_text, most_frequent, show_json, show_text
from customer_pipeline.commands.refused_loads import choose_loads, describe_load, opened_quarantine
from customer_pipeline.commands.replay import REJECT_ID
from customer_pipeline.contract_of_run import feed_of_contracts
from customer_pipeline.feed import TABLES
from customer_pipeline.runtime.installation import read_runtime

SHOWN = 20
RAW_SHOWN = 60
_COUNTED = """
    select reason, sum(number::bigint) from {loads}, jsonb_each_text(reason_counts) as counted (reason, number)
    where load_id = any(%s) and starts_with(reason, %s) group by reason
"""
_REASONS, _RAW = "reasons", "raw_record"


def list_refused(
    load_ids: Sequence[int], reason: str, *, of_all: bool = False, raw: bool = False, as_json: bool = False
) -> int:
    """Print what loads refused.

    Args:
        load_ids: Numbers of the loads; none: those that readers see.
        reason: Only reasons that begin so.
        of_all: Of all loads, if no numbers are given.
        raw: Show the raw text, too.
        as_json: All of it, for programs.

    Returns:
        0.

    Raises:
        RefusedError: Nothing was loaded yet, or there is no such load.
    """
    found, chosen, loads = _find(load_ids, reason, STATUSES, of_all=of_all)
    if as_json:
        sys.stdout.write(show_json([asdict(record) for record in found]) + "\n")
        return 0
    with opened_quarantine(read_runtime(), TABLES) as connection:
        rows = connection.execute(TABLES.fill(_COUNTED), ([load.load_id for load in chosen], reason)).fetchall()
    _print(found, chosen, loads, {name: int(count) for name, count in rows}, show_raw=raw)
    return 0


def export_refused(
    load_ids: Sequence[int], reason: str, out: Path, *, of_all: bool = False, force: bool = False
) -> int:
    """Write what loads refused to a CSV; without `of_all` only what is to be repaired.

    Args:
        load_ids: Numbers of the loads; none: those that readers see.
        reason: Only reasons that begin so.
        out: The file.
        of_all: Of all loads, if no numbers are given, and what needs no repair, too.
        force: Replace the file if it is there.

    Returns:
        0.

    Raises:
        RefusedError: The file is there, nothing was loaded yet, there is no such load, or the records were read by
            several contracts.
        UnusableFileError: It can't be written.
    """
    refuse_existing([out], force=force)
    found, _, _ = _find(load_ids, reason, STATUSES if of_all else TO_REPAIR, of_all=of_all)
    feed = feed_of_contracts(
        {(record.contract_id, record.contract_sha256) for record in found}, read_runtime().data
    )
    export(found, feed, out, force=force)
    sys.stdout.write(f"{len(found)} records to {escape_text(str(out))}. It may hold personal data.\n")
    _say_unseen(found)
    return 0


def _find(
    load_ids: Sequence[int], reason: str, statuses: Sequence[str], *, of_all: bool
) -> tuple[list[Quarantined], list[RefusingLoad], list[RefusingLoad]]:
    """Find refused records, the loads that they are of, and all loads."""
    with opened_quarantine(read_runtime(), TABLES) as connection:
        loads = find_loads(connection, TABLES)
        chosen = loads if of_all and not load_ids else choose_loads(connection, TABLES, load_ids)
        ids = None if chosen == loads else [load.load_id for load in chosen]
        return find_rejects(connection, TABLES, statuses, reason, ids), chosen, loads


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
    found: list[Quarantined],
    chosen: list[RefusingLoad],
    loads: list[RefusingLoad],
    counted: dict[str, int],
    *,
    show_raw: bool,
) -> None:
    console = Console(highlight=False, markup=False, soft_wrap=True)
    for load in chosen:
        console.print(describe_load(load))
    if counted:
        console.print("Refused, by reason, as the run counted; a record with two reasons counts for both:")
    for name, count in most_frequent(counted):
        console.print(f"{count:>8}  {name}")
    statuses = most_frequent(Counter(record.status for record in found))
    in_words = ", ".join(f"{count} {status}" for status, count in statuses) or "none"
    console.print(f"Records, each once, however often it came: {in_words}")
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
    """Return column and refusal of the first reason."""
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
    aliases = dict(feed.aliases)
    names = [aliases.get(name, name) for name in map(normalise_name, record.header)]
    if len(rows) != 1 or len(rows[0]) != len(names):
        return [""] * len(feed.names)
    fields = dict(zip(names, rows[0], strict=True))
    return [fields.get(name, "") for name in feed.names]
