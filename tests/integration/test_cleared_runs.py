"""Runs that are cleared, overtaken or begun anew: the ledger of what was published stays as it is."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest

from audited_load.errors import RefusedError, UnavailableError
from audited_load.loading.incoming import audit_incoming
from audited_load.loading.publish import audit_and_publish
from audited_load.warehouse.connection import connect
from audited_load.warehouse.lease import held_lease
from integration import test_quarantine as quarantine
from integration.loading import TABLES, fill, load_file, prepare, publish
from integration.test_merging import prices, query, totals_tie, undo, write

Dsn = Callable[[str], str]


def give_lease_back(loader: str) -> None:
    """As a step that failed does."""
    with psycopg.connect(loader, autocommit=True) as connection:
        connection.execute("delete from cleaned_data.lease")


def test_a_rollback_after_a_corrected_file_of_the_same_run_shows_what_was_before(dsn: Dsn, tmp_path: Path) -> None:
    loader = dsn("loader")
    files = [write(tmp_path / "a.csv", {1: "1.00", 2: "2.00"}), write(tmp_path / "b.csv", {3: "3.00"})]
    load_file(loader, files, "run-1")
    before = prices(loader)
    write(tmp_path / "a.csv", {1: "9.00", 2: "2.00"})
    load_file(loader, files, "run-1")
    assert prices(loader)[1] == Decimal("9.00")
    undo(loader)
    assert prices(loader) == before
    assert totals_tie(dsn("reader"))
    load_file(loader, write(tmp_path / "c.csv", {1: "5.00", 7: "7.00"}), "run-2", day=2, mode="merge")
    assert prices(loader) == before | {1: Decimal("5.00"), 7: Decimal("7.00")}


def test_a_run_that_is_cleared_after_a_merge_can_be_rolled_back_and_merged_into(dsn: Dsn, tmp_path: Path) -> None:
    loader = dsn("loader")
    file = write(tmp_path / "f.csv", {1: "1.00", 2: "2.00"})
    load_file(loader, file, "run-1", day=3)
    load_file(loader, write(tmp_path / "m.csv", {3: "3.00"}), "run-2", day=2, mode="merge", force=True)
    merged = prices(loader)
    load_file(loader, file, "run-1", day=3)
    undo(loader)
    assert prices(loader) == merged
    load_file(loader, write(tmp_path / "n.csv", {1: "9.00", 4: "4.00"}), "run-4", day=4, mode="merge")
    assert prices(loader) == merged | {1: Decimal("9.00"), 4: Decimal("4.00")}
    assert totals_tie(dsn("reader"))


def test_a_run_that_is_refused_leaves_the_figures_of_what_readers_see(dsn: Dsn, tmp_path: Path) -> None:
    loader = dsn("loader")
    files = [write(tmp_path / "a.csv", dict.fromkeys(range(10), "1.00")), write(tmp_path / "b.csv", {30: "3.00"})]
    load_file(loader, files, "run-1")
    write(tmp_path / "a.csv", {1: "9.00"})
    with pytest.raises(RefusedError, match="MIN_ROW_RATIO"):
        load_file(loader, files, "run-1")
    assert totals_tie(dsn("reader"))
    load_file(loader, write(tmp_path / "c.csv", {77: "9.00"}), "run-2", day=2, mode="merge")
    assert totals_tie(dsn("reader"))
    undo(loader)
    assert len(prices(loader)) == 11


def test_an_old_merge_that_is_cleared_and_dies_after_its_audit_spoils_no_rollback(dsn: Dsn, tmp_path: Path) -> None:
    loader = dsn("loader")
    load_file(loader, write(tmp_path / "f.csv", dict.fromkeys(range(5), "1.00")), "run-1")
    merge = write(tmp_path / "m.csv", {6: "6.00"})
    load_file(loader, merge, "run-2", day=2, mode="merge")
    before = prices(loader)
    load_file(loader, write(tmp_path / "g.csv", dict.fromkeys(range(5), "2.00")), "run-3", day=3)
    batch = prepare(loader, merge, "run-2", day=2, mode="merge")
    fill(loader, batch)
    with connect(loader) as connection:
        audit_incoming(connection, TABLES, batch)
    give_lease_back(loader)
    undo(loader)
    assert prices(loader) == before


def test_a_first_merge_that_another_run_overtook_replaces_nothing(dsn: Dsn, tmp_path: Path) -> None:
    loader = dsn("loader")
    batch = prepare(loader, write(tmp_path / "m.csv", {1: "1.00"}), "run-m", mode="merge", day=2)
    give_lease_back(loader)
    load_file(loader, write(tmp_path / "full.csv", dict.fromkeys(range(1, 50), "4.00")), "run-full")
    fill(loader, batch)
    with pytest.raises(RefusedError, match="was to be the first"):
        publish(loader, batch)
    assert len(prices(loader)) == 49
    load_file(loader, tmp_path / "m.csv", "run-m", mode="merge", day=2)
    assert prices(loader)[1] == Decimal("1.00")


def test_what_a_run_once_left_out_does_not_block_it(dsn: Dsn, tmp_path: Path) -> None:
    loader, file = dsn("loader"), write(tmp_path / "f.csv", {1: "1.00"})
    load_file(loader, file, "run-1")
    load_file(loader, file, "run-2", day=2)
    load_file(loader, write(tmp_path / "f.csv", {1: "2.00"}), "run-3", day=3)
    write(tmp_path / "f.csv", {1: "7.00"})
    batch = prepare(loader, file, "run-2", day=2)
    fill(loader, batch)
    assert publish(loader, batch, force=True).changed
    assert not publish(loader, batch, force=True).changed, "killed after the commit, it is tried again"
    assert prices(loader) == {1: Decimal("7.00")}


def test_a_cleared_run_that_another_overtook_does_not_say_that_its_files_are_visible(
    dsn: Dsn, tmp_path: Path
) -> None:
    loader, file = dsn("loader"), write(tmp_path / "f.csv", {1: "1.00"})
    load_file(loader, file, "run-1")
    batch = prepare(loader, file, "run-1")
    give_lease_back(loader)
    load_file(loader, write(tmp_path / "g.csv", {1: "2.00"}), "run-2")
    with pytest.raises(RefusedError, match="taken for visible"):
        publish(loader, batch)


def test_a_run_that_is_begun_anew_in_another_mode_is_entered_so(dsn: Dsn, tmp_path: Path) -> None:
    loader = dsn("loader")
    load_file(loader, write(tmp_path / "f.csv", dict.fromkeys(range(5), "1.00")), "run-1")
    file = write(tmp_path / "f.csv", {7: "3.00"})
    with pytest.raises(RefusedError, match="MIN_ROW_RATIO"):
        load_file(loader, file, "run-2", day=4)
    load_file(loader, file, "run-2", day=4, mode="merge")
    load_file(loader, write(tmp_path / "y.csv", {8: "8.00"}), "run-3", day=3, mode="merge")
    assert prices(loader)[8] == Decimal("8.00")
    modes = query(loader, "select run_id, mode, status from cleaned_data.loads order by load_id")
    assert modes[1:] == [("run-2", "merge", "published"), ("run-3", "merge", "published")]


def test_without_its_lease_a_run_publishes_nothing(dsn: Dsn, tmp_path: Path) -> None:
    loader = dsn("loader")
    load_file(loader, write(tmp_path / "f.csv", {1: "1.00"}), "run-1")
    for mode in ("merge", "replace"):
        batch = prepare(loader, write(tmp_path / "g.csv", {1: "2.00"}), f"run-{mode}", day=2, mode=mode)
        fill(loader, batch)
        give_lease_back(loader)
        with (
            pytest.raises(UnavailableError, match="has lost its lease"),
            connect(loader) as connection,
            held_lease(connection, TABLES, "somebody else", 0),
        ):
            audit_and_publish(connection, TABLES, batch, min_row_ratio=0, force=False)
        give_lease_back(loader)
        assert prices(loader) == {1: Decimal("1.00")}


def test_a_repaired_copy_that_came_too_late_closes_nothing(dsn: Dsn, tmp_path: Path) -> None:
    loader = dsn("loader")
    load_file(loader, quarantine.write(tmp_path / "a.csv", quarantine.GOOD, quarantine.BAD), "run-1")
    repaired = quarantine.export_as_good(loader, tmp_path)
    later = quarantine.GOOD.replace("1.10", "1.20")
    load_file(loader, quarantine.write(tmp_path / "a.csv", later, quarantine.BAD), "run-2", day=4)
    assert quarantine.replay(loader, repaired, "run-3", 3) == (0, 0)
    assert [record.status for record in quarantine.found(loader, ("open",))] == ["open"]


def test_a_record_is_open_again_when_a_load_that_began_before_its_replay_brings_it(
    dsn: Dsn, tmp_path: Path
) -> None:
    loader = dsn("loader")
    good, bad = quarantine.GOOD, quarantine.BAD
    load_file(loader, quarantine.write(tmp_path / "a.csv", good), "run-1")
    second = quarantine.write(tmp_path / "b.csv", good.replace("1,", "5,", 1), bad)
    batch = prepare(loader, second, "run-2", mode="merge", day=2)
    give_lease_back(loader)
    third = quarantine.write(tmp_path / "c.csv", good.replace("1,", "6,", 1), bad)
    load_file(loader, third, "run-3", mode="merge", day=3)
    assert quarantine.replay(loader, quarantine.export_as_good(loader, tmp_path), "run-4", 4) == (1, 0)
    fill(loader, batch)
    publish(loader, batch)
    assert [record.load_id for record in quarantine.found(loader, ("open",))] == batch.load_ids
