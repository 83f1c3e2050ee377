"""A large object cleaned by several machines, which share a store and nothing else; twins and replaced objects."""

from __future__ import annotations

import gzip
import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from cleaning import HEADER, ROW

from audited_load.clean_report import CleanReport
from audited_load.cleaning.clean_file import clean_file
from audited_load.errors import RefusedError, UnavailableError
from audited_load.sharding.gather import gather_shards
from audited_load.sharding.shard import ShardResult, clean_shard
from customer_pipeline.storing.folder_files import FolderFiles
from customer_pipeline.storing.object_files import ObjectFiles
from customer_pipeline.storing.object_shards import CutFile
from steps.data_cleaners import CUSTOMER_TRANSACTIONS
from unit.local_shards import join
from unit.s3_server import S3Server, running_server

FEED = CUSTOMER_TRANSACTIONS
# Keys come again far apart, some with another price; the last ones are refused.
FILE = (
    HEADER
    + "".join(ROW.format(n % 700 + 1).replace("1.10", f"{1 + (n % 9 == 0)}.10") for n in range(1000))
    + ROW.format("x") * 3
).encode()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    monkeypatch.setattr("audited_load.storage.SPAN_BYTES", 1000)
    with running_server() as started:
        started.store().put("data/large.csv", FILE)
        yield started


def machine(server: S3Server, tmp_path: Path, name: str) -> ObjectFiles:
    """Return what a task on a machine of its own has."""
    data = tmp_path / name
    data.mkdir(exist_ok=True)
    return ObjectFiles(server.store(), data)


def cut(server: S3Server, tmp_path: Path, shard_bytes: int = 6000, most: int = 1000) -> CutFile:
    found = machine(server, tmp_path, "planner").cut("large.csv", lambda: FEED, shard_bytes, most)
    assert found
    return CutFile.from_dict(json.loads(json.dumps(found.to_dict())))


def clean_one(server: S3Server, tmp_path: Path, planned: CutFile, number: int, attempt: int = 1) -> ShardResult:
    shards = machine(server, tmp_path, f"worker-{number % 2}").shards(planned, "run", 0)
    with shards.cleaning(number, attempt) as output:
        result = clean_shard(planned.plan, number, shards.read_span(number), FEED, output.out, output.work)
        kept = output.keep(result)
    assert not output.out.exists()
    return ShardResult.from_dict(json.loads(json.dumps(kept.to_dict())))


def gather(
    server: S3Server, tmp_path: Path, planned: CutFile, results: list[ShardResult], attempt: int = 1
) -> CleanReport:
    shards = machine(server, tmp_path, "gatherer").shards(planned, "run", 0).gathered(results, attempt)
    return gather_shards(planned.plan, results, shards, FEED)


def fetched(server: S3Server, tmp_path: Path, report: CleanReport) -> CleanReport:
    """Return a report with its files copied to a folder."""
    for piece in report.pieces:
        for key in (piece.cleaned_file, piece.rejected_file):
            path = tmp_path / "fetched" / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(server.store().read(key) or b"")
    return report.within(tmp_path / "fetched")


def test_machines_come_to_what_one_comes_to(server: S3Server, tmp_path: Path) -> None:
    planned = cut(server, tmp_path)
    results = [clean_one(server, tmp_path, planned, number) for number in range(len(planned.plan.spans))]
    assert len(results) > 4
    report = gather(server, tmp_path, planned, results)
    (tmp_path / "large.csv").write_bytes(FILE)
    whole = clean_file(tmp_path / "large.csv", FEED, tmp_path / "whole")
    assert join(fetched(server, tmp_path, report)) == join(whole)
    assert report.place_files(lambda _: "") == replace(
        whole.place_files(lambda _: ""),
        shards=report.place_files(lambda _: "").shards,
        cleaned_file="",
        rejected_file="",
    )
    assert whole.superseded
    assert whole.duplicates
    for name in ("planner", "worker-0", "worker-1", "gatherer"):
        assert list((tmp_path / name).iterdir()) == []
    # Erasing finds the header of each rejected file beside it.
    rejected = {key.rpartition("/")[0] for key in server.keys("runs/") if key.endswith("_rejected.csv")}
    assert {key.rpartition("/")[0] for key in server.keys("runs/") if key.endswith("layout.json")} == rejected
    # Gathered again after a kill, it comes to the same.
    again = gather(server, tmp_path, planned, results, attempt=2)
    assert join(fetched(server, tmp_path, again)) == join(whole)


def test_a_twin_and_a_second_attempt_hand_on_what_the_first_did(server: S3Server, tmp_path: Path) -> None:
    planned = cut(server, tmp_path)
    first, twin = (clean_one(server, tmp_path, planned, 1) for _ in range(2))
    assert twin == first
    second = clean_one(server, tmp_path, planned, 1, attempt=2)
    assert second.report.cleaned_file != first.report.cleaned_file
    assert second.tally == first.tally


def test_an_object_that_takes_its_place_is_read_by_nobody(server: S3Server, tmp_path: Path) -> None:
    planned = cut(server, tmp_path)
    results = [clean_one(server, tmp_path, planned, number) for number in range(len(planned.plan.spans))]
    server.store().put("data/large.csv", FILE.replace(b"Thing", b"Thong"))
    with pytest.raises(UnavailableError, match="was replaced or deleted since the run began"):
        clean_one(server, tmp_path, planned, 0, attempt=2)
    with pytest.raises(UnavailableError, match="was replaced or deleted since the run began"):
        gather(server, tmp_path, planned, results)


@pytest.mark.parametrize(("under", "end"), [("work/", "places"), ("work/", "keys-0"), ("runs/", "_cleaned.csv")])
def test_what_was_changed_since_it_was_cleaned_is_not_gathered(
    server: S3Server, tmp_path: Path, under: str, end: str
) -> None:
    planned = cut(server, tmp_path)
    results = [clean_one(server, tmp_path, planned, number) for number in range(len(planned.plan.spans))]
    key = next(key for key in server.keys(under) if key.endswith(end))
    server.store().put(key, b"another")
    with pytest.raises(RefusedError, match="is not what was written there"):
        gather(server, tmp_path, planned, results)
    server.store().delete([key])
    with pytest.raises(RefusedError, match="is gone"):
        gather(server, tmp_path, planned, results)


def test_what_shards_hand_on_goes_with_the_next_run(server: S3Server, tmp_path: Path) -> None:
    planned = cut(server, tmp_path)
    results = [clean_one(server, tmp_path, planned, number) for number in range(len(planned.plan.spans))]
    report, files = gather(server, tmp_path, planned, results), machine(server, tmp_path, "a")
    files.conclude("run", 1, [report], (), 5)
    assert server.keys("work/run/")
    latest = json.loads(server.store().read("runs/latest.json") or b"")
    assert [file["cleaned"] for file in latest["files"]] == [piece.cleaned_file for piece in report.shards]
    files.conclude("next", 1, [report], (), 5)
    assert not server.keys("work/")
    assert server.keys("runs/run/")


def test_no_more_shards_than_tasks_are_mapped(
    server: S3Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        assert len(cut(server, tmp_path, 1000, most=3).plan.spans) == 3
        assert "a run maps at most 3 more tasks (AIRFLOW__CORE__MAX_MAP_LENGTH)" in caplog.text
        files = machine(server, tmp_path, "a")
        assert files.cut("large.csv", lambda: FEED, 1000, 1) is None
        assert files.cut("large.csv", lambda: FEED, len(FILE), 9) is None
        assert files.cut("large.csv", lambda: FEED, 0, 9) is None
        assert files.cut("gone.csv", lambda: FEED, 10, 9) is None
        for name, content in {
            "large.csv.gz": gzip.compress(FILE),
            "wide.csv": FILE.decode().encode("utf-16"),
        }.items():
            server.store().put(f"data/{name}", content)
            assert files.cut(name, lambda: FEED, 100, 900) is None
    assert "large.csv.gz is cleaned in one piece: it is compressed" in caplog.text
    assert "wide.csv is cleaned in one piece: its encoding is utf-16" in caplog.text


def test_a_fault_of_the_file_is_left_to_the_task_that_cleans_it(server: S3Server, tmp_path: Path) -> None:
    server.store().put("data/other.csv", b"a,b\n" + b"1,2\n" * 5000)

    def no_contract() -> None:
        raise RefusedError("There is no such contract.", "Name another.")

    files = machine(server, tmp_path, "a")
    assert files.cut("other.csv", lambda: FEED, 1000, 900) is None
    assert files.cut("large.csv", no_contract, 1000, 900) is None  # type: ignore[arg-type]


def test_in_a_folder_every_file_is_one_piece(tmp_path: Path) -> None:
    (tmp_path / "large.csv").write_bytes(FILE)
    assert FolderFiles(tmp_path).cut("large.csv", lambda: FEED, 10, 900) is None
    with pytest.raises(RefusedError, match="STORAGE_ROOT is not set any more"):
        FolderFiles(tmp_path).shards(None, "run", 0)  # type: ignore[arg-type]
