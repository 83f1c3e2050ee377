"""`quarantine` tells records of loads that readers see from those of others, and takes the others only if asked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import psycopg
import pytest

from audited_load.cleaning.outputs import write_whole
from audited_load.errors import RefusedError
from customer_pipeline.commands.accounting import describe_counts
from integration.loading import HEADER, load_file
from integration.test_merging import undo
from integration.test_quarantine import ALSO_BAD, BAD, GOOD, Dsn, execute, found, ids, write
from integration.test_run_commands import call, confs

__all__ = ["confs"]

OTHER = "7,1,2024-01-02,1,Thing,2,never,0.05\n"


def test_what_a_load_that_was_taken_back_refused_is_no_longer_open(dsn: Dsn, tmp_path: Path) -> None:
    loader = dsn("loader")
    load_file(loader, write(tmp_path / "a.csv", GOOD, BAD), "run-1")
    load_file(loader, write(tmp_path / "b.csv", GOOD, BAD, ALSO_BAD, OTHER), "run-2", day=2)
    assert {(one.status, one.load_id) for one in found(loader)} == {("open", 2)}
    undo(loader)
    statuses = {one.raw_record + "\n": (one.status, one.load_id, one.is_visible) for one in found(loader)}
    taken_back = ("unpublished", 2, False)
    assert statuses == {BAD: ("open", 1, True), ALSO_BAD: taken_back, OTHER: taken_back}
    # Readers see the counts, too.
    counts = "select status, sum(records)::int from cleaned_data.quarantine_counts group by 1 order by 1"
    assert execute(dsn("reader"), counts) == [("open", 1), ("unpublished", 2)]


@pytest.mark.parametrize("name", ["a.csv", "another.csv"])
def test_what_the_file_before_held_is_gone_under_whatever_name_the_next_one_comes(
    dsn: Dsn, tmp_path: Path, name: str
) -> None:
    loader = dsn("loader")
    load_file(loader, write(tmp_path / "a.csv", GOOD, BAD), "run-1")
    load_file(loader, write(tmp_path / name, GOOD, ALSO_BAD), "run-2", day=2)
    assert {one.raw_record + "\n": one.status for one in found(loader)} == {BAD: "gone", ALSO_BAD: "open"}


def test_a_load_that_never_became_visible_has_nothing_open(dsn: Dsn, tmp_path: Path) -> None:
    loader = dsn("loader")
    load_file(loader, write(tmp_path / "a.csv", GOOD, GOOD.replace("1,", "5,", 1), OTHER), "run-1", day=2)
    with pytest.raises(RefusedError, match="newer"):
        load_file(loader, write(tmp_path / "b.csv", GOOD, BAD), "run-2", day=1)
    assert {one.raw_record + "\n": one.status for one in found(loader)} == {BAD: "unpublished", OTHER: "open"}


def test_the_commands_are_of_the_loads_that_readers_see_and_others_are_named(
    confs: list[dict[str, Any]], dsn: Dsn, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    loader, repair = dsn("loader"), tmp_path / "repair.csv"
    corrected = GOOD.replace("Thing", "Other")
    load_file(loader, write(tmp_path / "a.csv", corrected, GOOD, BAD, BAD), "run-1")
    load_file(loader, write(tmp_path / "b.csv", GOOD, OTHER), "run-2", day=2)
    undo(loader)

    assert call("quarantine", "list") == 0
    said = capsys.readouterr().out
    assert (
        "Load 1, a.csv, replace for 2025-12-01 00:00, readers see it: 2 refused, 1 superseded, 0 outdated" in said
    )
    assert "Records, each once, however often it came: 1 open, 1 superseded" in said
    counts = {"record:superseded": 1, "price:not_an_amount": 2}
    assert "\n".join(describe_counts("", counts, 1, None)[1:]) in said
    assert "Load 2, b.csv, replace for 2025-12-02 00:00, taken back: 1 refused" in said
    assert "unpublished" not in said
    assert call("quarantine", "list", "--load", "2", "--json") == 0
    (one,) = json.loads(capsys.readouterr().out)
    assert (one["status"], one["load_id"], one["is_visible"]) == ("unpublished", 2, False)
    with pytest.raises(RefusedError, match="load 9"):
        call("quarantine", "list", "--load", "9")

    # By default, only what readers' load refused gets into an export.
    assert call("quarantine", "export", "--out", repair) == 0
    assert capsys.readouterr().out.startswith("1 records to ")
    assert call("quarantine", "export", "--load", "1", "--load", "2", "--out", repair, "--force") == 0
    said = capsys.readouterr().out
    assert "1 of them were refused by no load that readers see" in said
    assert "--load 2" in said

    # Nor does a replay take the others along.
    repair.write_text(repair.read_text().replace('"abc"', '"1"').replace('"never"', '"1"'))
    assert call("quarantine", "replay", repair) == 2
    said = capsys.readouterr().out
    assert "1 records are left out" in said
    assert "Load 2 refused some (taken back): add --load 2." in said
    assert (ids(loader), len(confs)) == ([1, 2], 1)
    assert call("quarantine", "replay", repair, "--load", "2") == 2  # now the other one is left out
    assert ids(loader) == [1, 2, 7]
    assert {record.status for record in found(loader) if record.reasons.startswith("price")} == {"closed"}
    assert call("quarantine", "replay", repair, "--load", "1", "--load", "2") == 0


def test_a_replay_of_nothing_that_readers_see_triggers_no_run(
    confs: list[dict[str, Any]], dsn: Dsn, tmp_path: Path
) -> None:
    loader, repair = dsn("loader"), tmp_path / "repair.csv"
    load_file(loader, write(tmp_path / "a.csv", GOOD, BAD), "run-1")
    assert call("quarantine", "export", "--out", repair) == 0
    repair.write_text(repair.read_text().replace('"abc"', '"1"'))
    load_file(loader, write(tmp_path / "a.csv", GOOD, ALSO_BAD), "run-2", day=2)
    assert call("quarantine", "replay", repair) == 2
    assert confs == []
    # An id that the quarantine doesn't know is of no load at all.
    repair.write_text("reject_id," + HEADER + "00000000-0000-0000-0000-000000000000," + GOOD)
    assert call("quarantine", "replay", repair) == 2
    assert confs == []


@pytest.mark.usefixtures("confs")
def test_an_export_that_somebody_repairs_is_not_written_over(dsn: Dsn, tmp_path: Path) -> None:
    repair = tmp_path / "repair.csv"
    load_file(dsn("loader"), write(tmp_path / "a.csv", GOOD, BAD), "run-1")
    repair.write_text("repaired by hand")
    with pytest.raises(RefusedError, match="already there"):
        call("quarantine", "export", "--out", repair)
    with pytest.raises(RefusedError, match="already there"):
        write_whole(repair, b"came between", force=False)
    with pytest.raises(RefusedError, match="already there"):
        call("report", "--out", repair)
    assert repair.read_text() == "repaired by hand"
    assert call("quarantine", "export", "--out", repair, "--force") == 0
    assert "abc" in repair.read_text()


@pytest.mark.usefixtures("confs")
@pytest.mark.parametrize("command", ["list", "replay"])
def test_a_quarantine_of_an_earlier_commit_is_brought_up_to_date(dsn: Dsn, tmp_path: Path, command: str) -> None:
    loader, repair = dsn("loader"), tmp_path / "repair.csv"
    load_file(loader, write(tmp_path / "a.csv", GOOD, BAD), "run-1")
    assert call("quarantine", "export", "--out", repair) == 0
    repair.write_text(repair.read_text().replace('"abc"', '"1"'))
    with psycopg.connect(loader, autocommit=True) as connection:
        connection.execute(
            "drop table cleaned_data.migrations, cleaned_data.customer_transactions_rejected_replays"
        )
        connection.execute("drop view cleaned_data.quarantine_counts, cleaned_data.customer_transactions_rejected")
        connection.execute(
            "create view cleaned_data.customer_transactions_rejected as select reject_id, 'open' as status,"
            " reasons from cleaned_data.customer_transactions_rejected_by_load"
        )
        connection.execute(
            "create view cleaned_data.quarantine_counts as select status, count(*) as records"
            " from cleaned_data.customer_transactions_rejected group by 1"
        )
    assert call("quarantine", command, *([repair] if command == "replay" else [])) == 0
    assert [one.status for one in found(loader)] == ["closed" if command == "replay" else "open"]
    assert execute(dsn("reader"), "select sum(records)::int from cleaned_data.quarantine_counts") == [(1,)]
