"""`customer-pipeline quarantine replay`: a repaired export → its good records loaded, and closed by that load."""

from __future__ import annotations

import csv
import hashlib
import io
import os
import re
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import psycopg
from rich.console import Console

from audited_load.cleaning.clean_file import clean_file
from audited_load.cleaning.limits import DECLARE_FORM
from audited_load.cleaning.masking import HASHED
from audited_load.cleaning.outputs import write_whole
from audited_load.cleaning.rejects import read_rejects, unguard_formula
from audited_load.columns import Column, Feed, Refusal, Text
from audited_load.command import command
from audited_load.errors import BadDataError, UnavailableError, UnusableFileError
from audited_load.form import Form, form_of_all
from audited_load.loading.quarantine import (
    choose_refused,
    count_closed,
    find_contracts,
    find_holders,
    find_loads,
)
from audited_load.loading.replays import enter_replay
from audited_load.reading.source import inspect_file
from audited_load.shown import escape_text
from audited_load.warehouse.connection import connect
from audited_load.warehouse.tables import Tables
from customer_pipeline.commands.refused_loads import choose_loads, describe_loads, opened_quarantine
from customer_pipeline.commands.run import run_pipeline
from customer_pipeline.contract_of_run import CANONICAL, REPLAYED, feed_of_contracts, in_form_of_run, word_of
from customer_pipeline.feed import TABLES
from customer_pipeline.names import ExitCode
from customer_pipeline.runtime.installation import Runtime, read_runtime
from customer_pipeline.runtime.services import start_services

REJECT_ID = "reject_id"
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def replay(file: Path, words: Mapping[str, str], load_ids: Sequence[int] = ()) -> int:
    """Load the good records of a repaired export in mode `merge`; the load closes them.

    Killed at any point, it can be run again: what was loaded is not loaded twice.

    Args:
        file: The export.
        words: How the repaired values are written; what they don't say, the contract does, or the settings.
        load_ids: Only what these loads refused; none: those that readers see.

    Returns:
        0 if all of them are in, 2 if some are still refused or left out, else what the run ended with.

    Raises:
        UnusableFileError: The file is no export.
        RefusedError: Nothing was loaded yet, there is no such load, or the records were read by several contracts.
    """
    console = Console(highlight=False, markup=False, soft_wrap=True)
    _require_export(file)
    runtime, tables = start_services(read_runtime()), TABLES
    feed = _feed_of(file, runtime, tables, load_ids)
    form = in_form_of_run(feed, words, form_of_all(os.environ).words()).form
    # Of its values; the file is a spreadsheet's.
    form = Form(decimal=form.decimal, date_order=form.date_order, group=form.group)
    all_good, refused = clean_export(file, feed.in_form(form), runtime.secrets["erasure"])
    for line, _, reasons in refused:
        console.print(f"line {line}: {escape_text(reasons)}")
    console.print(f"{len(all_good)} records are good now, {len(refused)} are still refused.")
    if not all_good:
        return ExitCode.BAD_DATA
    with opened_quarantine(runtime, tables) as connection:
        chosen = _choose(connection, tables, [reject_id for reject_id, _ in all_good], load_ids, console)
        good = [(reject_id, values) for reject_id, values in all_good if reject_id in chosen]
        if not good:
            return ExitCode.BAD_DATA
        content, repaired = (
            format_records((values for _, values in good), feed),
            find_repaired(good, refused),
        )
        digest = hashlib.sha256(content).hexdigest()
        source = runtime.data / REPLAYED / f"replay-{digest[:12]}.csv"
        try:
            source.parent.mkdir(parents=True, exist_ok=True)
            write_whole(source, content, force=True)
        except OSError as error:
            raise UnavailableError(f"{source}: {error.strerror}.", "Check the disk, then replay again.") from error
        enter_replay(connection, tables, digest, find_copies(good, repaired, feed))
        before = count_closed(connection, tables, repaired)
    code = run_pipeline(source, mode="merge", contract=word_of(feed, runtime.data), form=CANONICAL.words())
    if code:
        return code
    with connect(runtime.dsn("loader")) as connection:
        closed = count_closed(connection, tables, repaired)
    console.print(f"{closed - before} records of the quarantine are closed; {before} were before.")
    return ExitCode.BAD_DATA if refused or len(good) < len(all_good) else 0


def _require_export(file: Path) -> None:
    """Refuse what is no export of the quarantine, before anything is started."""
    try:
        inspect_file(file, [REJECT_ID], REJECT_ID)
    except UnusableFileError as error:
        what = error.message.rpartition(f"{file.name}: ")[2]
        if "missing: column" in what:
            what = f"it has no column {REJECT_ID}"
        raise UnusableFileError(
            f"{file} is no export of the quarantine: {what.rstrip('.')}.",
            f"Give the file that {command('quarantine export --out FILE')} wrote, repaired. Nothing was loaded.",
        ) from error


def _choose(
    connection: psycopg.Connection, tables: Tables, ids: Sequence[UUID], load_ids: Sequence[int], console: Console
) -> set[UUID]:
    """Choose the records that the loads refused, and say what is left out, and why."""
    loads = choose_loads(connection, tables, load_ids)
    chosen = choose_refused(connection, tables, ids, [load.load_id for load in loads])
    if left := set(ids) - chosen:
        console.print(f"{len(left)} records are left out: not refused by {describe_loads(loads)}.")
        by_id = {load.load_id: load for load in find_loads(connection, tables)}
        for load_id in find_holders(connection, tables, list(left)):
            console.print(f"  Load {load_id} refused some ({by_id[load_id].fate}): add --load {load_id}.")
    return chosen


def find_repaired(good: Iterable[tuple[UUID, list[str]]], refused: Iterable[tuple[int, str, str]]) -> list[UUID]:
    """Find the ids of which every line is good: a record may have been repaired into several lines."""
    still = {reject_id.strip().lower() for _, reject_id, _ in refused}
    return sorted({reject_id for reject_id, _ in good if str(reject_id) not in still})


def find_copies(
    good: Iterable[tuple[UUID, list[str]]], repaired: Iterable[UUID], feed: Feed
) -> list[tuple[UUID, str]]:
    """Return each repaired record with the key of each of its copies."""
    key, wanted = feed.names.index(feed.key), set(repaired)
    return [(reject_id, values[key]) for reject_id, values in good if reject_id in wanted]


def clean_export(
    file: Path, feed: Feed, masking_key: str = ""
) -> tuple[list[tuple[UUID, list[str]]], list[tuple[int, str, str]]]:
    """Clean a repaired export by the feed's rules.

    Args:
        file: The export; a spreadsheet may have written it anew.
        feed: Its columns and rules.
        masking_key: What masked values are hashed with.

    Returns:
        Id and values of the good lines; line, id and reasons of the others.

    Raises:
        UnusableFileError: It is no export.
    """
    good: list[tuple[UUID, list[str]]] = []
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "export.csv"
        _remove_guards(file, plain, feed)
        # Its header has the columns' own names, and others that a synonym could mean.
        report = clean_file(
            plain, replace(with_reject_id(feed), aliases=()), Path(folder) / "out", masking_key=masking_key
        )
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
                    reason = f"{REJECT_ID}:not_an_id: {reject_id} is no id of the quarantine"
                    refused.append((int(record) + 1, reject_id, reason))
    return good, refused


def _feed_of(file: Path, runtime: Runtime, tables: Tables, load_ids: Sequence[int]) -> Feed:
    """Return the feed by which the records of an export were read."""
    place, rows = _rows(file, [REJECT_ID], REJECT_ID)
    ids = [UUID(row[place]) for row in rows if row[place:] and _UUID.fullmatch(row[place])]
    with opened_quarantine(runtime, tables) as connection:
        loads = [load.load_id for load in choose_loads(connection, tables, load_ids)]
        return feed_of_contracts(find_contracts(connection, tables, ids, loads), runtime.data)


def _rows(file: Path, names: Sequence[str], key: str) -> tuple[int, list[list[str]]]:
    """Read an export, without the guards against formulas; give also where the id is."""
    source = inspect_file(file, names, key)
    csv.field_size_limit(sys.maxsize)
    encoding = "utf-8-sig" if source.encoding.is_utf8 else source.encoding.name
    with file.open(newline="", encoding=encoding) as lines:
        rows = csv.reader(lines, delimiter=source.dialect.delimiter)
        return source.positions([REJECT_ID])[0], [list(map(unguard_formula, row)) for row in rows]


def _remove_guards(file: Path, plain: Path, feed: Feed) -> None:
    """Write an export anew, in plain CSV: the id first, and without the guards against formulas.

    All fields stand in quotes, so that a raw record of several lines can't be taken for some that lost theirs.
    """
    place, rows = _rows(file, [REJECT_ID, *feed.names], feed.key)
    with plain.open("w", newline="", encoding="utf-8") as after:
        csv.writer(after, quoting=csv.QUOTE_ALL).writerows(
            [*row[place : place + 1], *row[:place], *row[place + 1 :]] for row in rows
        )


def with_reject_id(feed: Feed) -> Feed:
    """Return the feed with the id of the quarantined record as its first column."""
    refusals = (Refusal("not_an_id", "", "is no id of the quarantine", ("x" * 37,)),)
    return replace(feed, columns=(Column(REJECT_ID, Text(36), True, frozenset(), (), refusals), *feed.columns))


def format_records(records: Iterable[list[str]], feed: Feed) -> bytes:
    """Format cleaned records as a CSV of the feed."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(feed.names)
    masked = [bool(column.masking) for column in feed.columns]
    for record in records:
        writer.writerow([f"{HASHED}{value}" if value and is_masked else value
                         for value, is_masked in zip(record, masked, strict=True)])  # fmt: skip
    return text.getvalue().encode()
