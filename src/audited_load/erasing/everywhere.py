"""One id → looked for everywhere; erased everywhere; and what is left of it, named.

An erasure is entered into the register first. Each step can be killed and repeated, so the same call finishes it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from audited_load.columns import Feed
from audited_load.command import command
from audited_load.erasing.cleaned_tables import (
    clean_up,
    count_in_tables,
    count_lookalikes,
    erase_from_tables,
)
from audited_load.erasing.data_files import Folder, ScrubbedFile, look_into_folder, scrub_folder
from audited_load.erasing.layout_files import read_encodings, read_layouts
from audited_load.erasing.register import enter_erasure, enter_scrubbed, finish_erasure, read_erased
from audited_load.erasing.rewriting import Wanted
from audited_load.erasing.settled import SETTLING_SECONDS
from audited_load.erasing.splitting import RawLayout
from audited_load.erasing.subjects import ErasedSubjects, hash_subject
from audited_load.erasing.traces import Trace, find_traces
from audited_load.errors import BadDataError, UnavailableError
from audited_load.marts.mart_erasure import (
    count_in_marts,
    drop_given_up,
    erase_from_marts,
    erase_history,
    make_marts_unfit,
    wait_for_readers,
)
from audited_load.marts.mart_manifest import Mart
from audited_load.marts.mart_tables import Marts
from audited_load.shown import escape_text
from audited_load.warehouse.catalogue import find_holders, find_tables
from audited_load.warehouse.connection import connect, locked
from audited_load.warehouse.create import create_tables
from audited_load.warehouse.lease import held_lease, kept_lease, release_lease
from audited_load.warehouse.tables import Tables

HOLDER = "customer-pipeline erase-customer"
_LOCK = "erase a customer"
FILES, RECORDS = "files in the data folder", "records in them"
OWNERS = ("loader", "transformer", "postgres")
"""Whose tables are looked into, each as its owner: who reads a table may run code of who owns it."""


@dataclass(frozen=True)
class Places:
    """Everywhere that an id may be.

    Attributes:
        dsn: Connection strings, by role.
        tables: The cleaned tables.
        marts: The marts.
        data: The data folder.
        artifacts: Folders of logs and of what was built, which are only looked through.
        key: That of the register. Secret.
        build: Builds and tests all marts, from all rows; gives which there are.
        say: Told what takes long.
        reader_seconds: How long a reader's transaction may last.
        readers: The roles that may read the cleaned view; the last of them is the one that people use.
        settling_seconds: For how long a file must stay as it is, so that it counts as whole.
        refuse_beside_runs: Asked once more under the lease: ends with an error if a run is going on.
        others: The feeds of other suppliers' files for the same tables.
    """

    dsn: Callable[[str], str]
    tables: Tables
    marts: Marts
    data: Path
    artifacts: tuple[Path, ...]
    key: str = field(repr=False)
    build: Callable[[], Sequence[Mart]]
    say: Callable[[str], object]
    reader_seconds: float
    readers: tuple[str, ...] = ("transformer", "reader")
    settling_seconds: float = SETTLING_SECONDS
    refuse_beside_runs: Callable[[], object] = lambda: None
    others: tuple[Feed, ...] = ()

    @property
    def subject(self) -> str:
        """The column that holds the id."""
        return self.tables.feed.subject


@dataclass
class Found:
    """Where an id is, or was.

    Attributes:
        counts: Rows by table, files, records.
        held: Files of the data folder that hold it now.
        unread: Files of the data folder that hold its digits, or can't be looked into, and are no files of records.
        unsettled: Files that were left alone, since somebody is writing them.
        failed: Files and folders that could not be dealt with, and why.
        named: Files of which something else stays to be looked at, and what.
        lookalikes: Refused records in the tables that hold these digits in a spelling that may be another's.
        traces: Logs and artifacts that hold its digits.
        is_registered: Whether it was erased before.
    """

    counts: dict[str, int] = field(default_factory=dict)
    held: list[Path] = field(default_factory=list)
    unread: list[Path] = field(default_factory=list)
    unsettled: list[Path] = field(default_factory=list)
    failed: dict[Path, str] = field(default_factory=dict)
    named: dict[Path, str] = field(default_factory=dict)
    lookalikes: int = 0
    traces: list[Trace] = field(default_factory=list)
    is_registered: bool = False


def look_everywhere(places: Places, number: int) -> Found:
    """Find all that an erasure would change, and change nothing.

    Raises:
        UnavailableError: The database is away.
    """
    wanted = _wanted(places, number)
    found = Found(is_registered=_is_registered(places, number))
    found.counts = _count_rows(places, wanted)
    files = look_into_folder(places.data, wanted, _layouts(places))
    found.counts |= _count_files(files)
    found.held, found.unread, found.failed, found.named = files.held, files.unread, files.failed, files.named
    found.lookalikes = _count_lookalikes(places, wanted)
    found.traces = find_traces(places.artifacts, wanted.ids, places.subject)
    return found


def is_known(places: Places, number: int) -> bool:
    """Return whether a table or a file holds an id, or whether it was erased before."""
    wanted = _wanted(places, number)
    if _is_registered(places, number) or _count_rows(places, wanted):
        return True
    return look_into_folder(places.data, wanted, _layouts(places), is_one_enough=True).files > 0


def erase_everywhere(places: Places, number: int, requested_by: str) -> Found:
    """Erase a person everywhere. Killed at any point, it can be called again.

    Args:
        places: Where.
        number: The id.
        requested_by: Who asks for it.

    Returns:
        What was erased, and what is left that nobody may rewrite.

    Raises:
        RefusedError: Others were erased with another key.
        UnavailableError: A run is going on, the database is away, or a file is still being written.
        BadDataError: A table still holds the id, or a file could not be dealt with; all else is done.
    """
    wanted, loader, tables = _wanted(places, number), places.dsn("loader"), places.tables
    with connect(loader) as connection:
        create_tables(connection, tables, places.readers)
    with connect(loader) as connection, locked(connection, _LOCK):
        with held_lease(connection, tables, HOLDER, 0), kept_lease(loader, tables, HOLDER):
            try:
                ErasedSubjects(read_erased(connection, tables), places.key)
                subject = hash_subject(number, places.key)
                places.refuse_beside_runs()
                erasure_id = enter_erasure(connection, tables, subject, requested_by)
                files = _scrub_files(places, connection, wanted)
                counts, given_up = _erase_rows(places, connection, wanted)
            finally:
                release_lease(connection, tables, HOLDER)
        # Readers may take their time: no load waits for them meanwhile.
        if given_up is not None:
            with connect(places.dsn("postgres")) as admin:
                wait_for_readers(admin, places.readers[-1:], places.reader_seconds, places.say)
            with connect(places.dsn("transformer")) as transformer:
                counts["kept sets of marts dropped"] = drop_given_up(transformer, places.marts, given_up)
        clean_up(connection, tables)
        left = _look_again(places, wanted)
        left.unsettled, left.named = files.unsettled, files.named | left.named
        left.failed |= files.failed
        left.held = [path for path in left.held if path not in {*files.unsettled, *left.failed}]
        left.counts = _count_files(files) | counts
        if files.unsettled:
            raise UnavailableError(
                f"These files are still being written, and were left alone: {_names(files.unsettled)}."
                " All else is done.",
                f"When they are complete, finish it: {command(f'erase-customer {number}')}.",
            )
        if left.failed:
            raise BadDataError(
                f"These could not be dealt with, and were left as they are: {_reasons(left.failed)}."
                " All else is done.",
                "Give this user the rights to read and write them, or look at them yourself and remove what holds"
                f" the customer; then finish it: {command(f'erase-customer {number}')}.",
            )
        finish_erasure(connection, tables, erasure_id, left.counts)
    return left


def _scrub_files(places: Places, connection: psycopg.Connection, wanted: Wanted) -> Folder:
    def note(file: ScrubbedFile) -> None:
        """Note it before it takes the place of the other: a kill between must leave no unknown file."""
        name = file.paths[0].relative_to(places.data).as_posix()
        enter_scrubbed(connection, places.tables, name, file.records, before=file.before, after=file.after)

    return scrub_folder(places.data, wanted, _layouts(places), note, places.settling_seconds)


def _erase_rows(
    places: Places, connection: psycopg.Connection, wanted: Wanted
) -> tuple[dict[str, int], int | None]:
    """Erase from all tables; give rows by table, and before which set of marts all are given up."""
    marts, subject = places.marts, places.subject

    def build() -> Sequence[Mart]:
        places.say("Building the marts anew without the customer.")
        return places.build()

    with connect(places.dsn("transformer")) as transformer:
        in_marts = count_in_marts(transformer, marts, subject, wanted.ids)
        make_marts_unfit(transformer, marts, subject, wanted.ids)
        counts = erase_from_tables(connection, places.tables, wanted)
        given_up = erase_from_marts(transformer, marts, subject, wanted.ids, build)
        erase_history(transformer, marts, subject, wanted.ids)
    return counts | in_marts, given_up


def _look_again(places: Places, wanted: Wanted) -> Found:
    """Look everywhere again, also where nobody knows of.

    Raises:
        BadDataError: A table still holds the id.
    """
    names = []
    with connect(places.dsn("postgres")) as admin:
        ours = find_tables(admin, None, places.subject, OWNERS)
        foreign = sorted(set(find_tables(admin, None, places.subject)) - set(ours))
    for owner in OWNERS:
        with connect(places.dsn(owner)) as connection:
            held = find_holders(connection, None, places.subject, wanted.ids, [owner])
            names += [".".join(name) for name in held]
    with connect(places.dsn("loader")) as connection:
        names += sorted(count_in_tables(connection, places.tables, wanted).keys() - set(names))
    if names:
        raise BadDataError(
            f"The customer is still in {', '.join(names)}.",
            "Drop the tables that are yours, then give the same command again.",
        )
    files = look_into_folder(places.data, wanted, _layouts(places))
    return Found(
        held=files.held,
        unread=[*files.unread, *(Path(f"the table {'.'.join(name)}") for name in foreign)],
        failed=files.failed,
        named=files.named,
        lookalikes=_count_lookalikes(places, wanted),
        traces=find_traces(places.artifacts, wanted.ids, places.subject),
        is_registered=True,
    )


def _count_rows(places: Places, wanted: Wanted) -> dict[str, int]:
    with connect(places.dsn("loader")) as connection:
        counts = count_in_tables(connection, places.tables, wanted)
    with connect(places.dsn("transformer")) as connection:
        return counts | count_in_marts(connection, places.marts, places.subject, wanted.ids)


def _count_files(files: Folder) -> dict[str, int]:
    return {name: count for name, count in ((FILES, files.files), (RECORDS, files.records)) if count}


def _is_registered(places: Places, number: int) -> bool:
    with connect(places.dsn("loader")) as connection:
        erased = read_erased(connection, places.tables)
    return bool(erased) and number in ErasedSubjects(erased, places.key).choose([number])


def _layouts(places: Places) -> Callable[[Sequence[Path]], Sequence[RawLayout]]:
    with connect(places.dsn("loader")) as connection:
        layouts = read_layouts(connection, places.tables)
    return lambda paths: layouts.of(places.data, paths)


def _wanted(places: Places, number: int) -> Wanted:
    feeds = (places.tables.feed, *places.others)
    with connect(places.dsn("loader")) as connection:
        encodings = read_encodings(connection, places.tables)
    encodings |= {feed.form.encoding for feed in feeds if feed.form.encoding}
    return Wanted(feeds, frozenset({number}), tuple(sorted(encodings)))


def _count_lookalikes(places: Places, wanted: Wanted) -> int:
    with connect(places.dsn("loader")) as connection:
        return count_lookalikes(connection, places.tables, wanted)


def _reasons(failed: dict[Path, str]) -> str:
    return "; ".join(f"{escape_text(str(path))}: {why}" for path, why in failed.items())


def _names(paths: Sequence[Path]) -> str:
    return ", ".join(escape_text(str(path)) for path in paths)
