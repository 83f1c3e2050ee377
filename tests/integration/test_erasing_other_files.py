"""One customer erased from files of a supplier with a contract of its own, and from all that was made of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from audited_load.columns import Feed
from audited_load.erasing import everywhere
from audited_load.erasing.everywhere import look_everywhere
from audited_load.erasing.subjects import keyed_hash
from audited_load.warehouse.connection import connect
from customer_pipeline.runtime.installation import Runtime
from integration.loading import load_file
from integration.test_erasing import erase_it, find_in_files, find_in_tables, killed, pipeline, places_of
from unit.suppliers import german

__all__ = ["pipeline"]
Dsn = Callable[[str], str]
ID, OTHER = 730519642, 730519643
MAIL = "jane@example.org"
HEAD = '"Belegnummer";"KUNDENNR.";E-Mail;Datum;Artikelnr;Bezeichnung;Menge;Einzelpreis;Straßensteuer\n'
MINE = [
    f"RE-1;K-{ID};{MAIL};11.07.2023;1;Schlüssel;2;1.234,50;0,05",
    f'RE-2;"k-{ID}";{MAIL};11.07.2023;1;Schlüssel;2;1,10;0,05',
    f"RE-3;{ID},0;{MAIL};11.07.2023;1;Schlüssel;2;1,10;0,05",
    f"RE-4;K-{ID};{MAIL};31.02.2023;1;Schlüssel;2;1,10;0,05",  # refused for another column
    f"RE-5;K-{ID};{MAIL};11.07.2023;1;Schlüssel;2;1,10;0,05",  # superseded by the next
    f"RE-5;K-{ID};{MAIL};12.07.2023;1;Schlüssel;2;1,10;0,05",
    f'RE-6;K-{ID};"Größe" M;11.07.2023;1;Schlüssel;2;1,10;0,05',  # can't be split
    f"RE-7;Kunde {ID};{MAIL};11.07.2023;1;Schlüssel;2;1,10;0,05",  # its reason quotes it
]
THEIRS = [
    f"RE-{ID};K-{OTHER};x@example.org;11.07.2023;1;Übergröße;2;1,10;0,05",
    f"RE-{ID + 9};K-{OTHER};x@example.org;31.02.2023;{ID};Übergröße;2;1,10;0,05",  # refused
    f'RE-{ID};K-{OTHER};"Größe" M;31.02.2023',  # can't be split: the digits are those of a transaction
]


@pytest.fixture
def supplier(tmp_path: Path) -> Feed:
    return german(tmp_path)


def deliver(
    runtime: Runtime, dsn: Dsn, feed: Feed, run: str = "run-1", mode: str = "replace", day: int = 1
) -> Path:
    file = runtime.data / "incoming" / f"{run}.csv"
    text = HEAD + "\n".join([*MINE, *THEIRS]).replace("1,10", f"{day},10") + "\n"
    file.write_bytes(text.encode("cp1252"))
    load_file(dsn("loader"), file, run, feed=feed, mode=mode, day=day)
    return file


def refused(runtime: Runtime) -> list[tuple[Any, ...]]:
    with psycopg.connect(runtime.dsn("loader")) as connection:
        return connection.execute(
            "select load_id, raw_record, reasons from cleaned_data.customer_transactions_rejected_by_load"
            " where raw_record like %s or raw_record like %s order by 1, 2",
            (f"%{OTHER}%", "%x@example.org%"),
        ).fetchall()


def others_of(folder: Path) -> dict[Path, list[bytes]]:
    """Read all lines of other customers."""
    marks = (str(OTHER).encode(), "Übergröße".encode(), "Übergröße".encode("cp1252"), b"KUNDENNR", b"columns")
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {
        path: [line for line in path.read_bytes().splitlines(True) if any(mark in line for mark in marks)]
        for path in files
    }


def test_nothing_of_a_suppliers_file_holds_the_customer_afterwards(
    pipeline: Runtime, dsn: Dsn, supplier: Feed
) -> None:
    file = deliver(pipeline, dsn, supplier)
    deliver(pipeline, dsn, supplier, "run-2", "merge", 3)
    deliver(pipeline, dsn, supplier, "run-3", "merge", 2)  # too late: kept as JSON
    before, kept = refused(pipeline), others_of(pipeline.data)
    assert len(before) == 4
    assert sum(map(len, kept.values())) > 20
    assert find_in_tables(pipeline, keyed_hash(f"mail\0{MAIL}".encode(), "a key"))
    found = look_everywhere(places_of(pipeline, others=(supplier,)), ID)
    assert file in found.held

    assert erase_it(pipeline, others=(supplier,)) == found.counts, "a dry run counts what goes"

    assert find_in_files(pipeline.data, f"K-{ID}", f"k-{ID}", f";{ID},0", MAIL, f"Kunde {ID}") == []
    mine, theirs = (keyed_hash(f"mail\0{mail}".encode(), "a key") for mail in (MAIL, "x@example.org"))
    assert find_in_files(pipeline.data, mine) == [], "nor the hash that stands for an address"
    assert find_in_tables(pipeline, f"[Kk]-{ID}", f";{ID},0", MAIL, mine, f"Kunde {ID}") == []
    assert find_in_tables(pipeline, theirs)
    with psycopg.connect(pipeline.dsn("loader")) as connection:
        held = "select count(*) from cleaned_data.customer_transactions where customer_id = any(%s)"
        assert connection.execute(held, ([ID],)).fetchone() == (0,)
        assert connection.execute(held, ([OTHER],)).fetchone() != (0,)
    assert refused(pipeline) == before
    assert others_of(pipeline.data) == kept
    again = look_everywhere(places_of(pipeline, others=(supplier,)), ID)
    assert (again.counts, again.held, again.unread, again.failed) == ({}, [], [], {})


@pytest.mark.parametrize(
    ("step", "when"),
    [
        ("enter_scrubbed", "after"),
        ("erase_from_tables", "before"),
        ("erase_from_tables", "after"),
        ("clean_up", "before"),
    ],
)
def test_killed_anywhere_the_same_command_finishes_it(
    pipeline: Runtime, dsn: Dsn, supplier: Feed, monkeypatch: pytest.MonkeyPatch, step: str, when: str
) -> None:
    deliver(pipeline, dsn, supplier)
    before, kept = refused(pipeline), others_of(pipeline.data)
    with killed(monkeypatch, step, when):
        erase_it(pipeline, others=(supplier,))
    erase_it(pipeline, others=(supplier,))
    assert find_in_files(pipeline.data, f"K-{ID}", f"k-{ID}", f";{ID},0", MAIL) == []
    assert find_in_tables(pipeline, f"[Kk]-{ID}", f";{ID},0", MAIL) == []
    assert (refused(pipeline), others_of(pipeline.data)) == (before, kept)


def test_without_its_contract_nothing_of_the_file_is_touched_and_it_is_named(
    pipeline: Runtime, dsn: Dsn, supplier: Feed
) -> None:
    file = deliver(pipeline, dsn, supplier)
    content = file.read_bytes()
    found = everywhere.erase_everywhere(places_of(pipeline), ID, "somebody")
    assert file.read_bytes() == content
    assert file in found.unread
    assert found.lookalikes >= len(MINE) - 4, "nor is what it left in the quarantine"
    with connect(dsn("loader")) as connection:
        held = "select count(*) from cleaned_data.customer_transactions where customer_id = %s"
        assert connection.execute(held, (ID,)).fetchone() == (0,)
