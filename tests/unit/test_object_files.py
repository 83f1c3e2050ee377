"""Tasks that share a store and nothing else hand on files; twins, zombies and old runs do no harm."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from audited_load.clean_report import CleanReport, Shard
from audited_load.cleaning.clean_file import clean_file
from audited_load.errors import RefusedError, UnavailableError, UnusableFileError
from audited_load.loading.batch import Batch, Load
from customer_pipeline.commands.given import give_object, prune_given_objects, share_contracts
from customer_pipeline.storing.folder_files import FolderFiles
from customer_pipeline.storing.mirror import Mirror, mirrored
from customer_pipeline.storing.object_files import ObjectFiles
from steps.data_cleaners import CUSTOMER_TRANSACTIONS
from unit.s3_server import S3Server, running_server

DAY = datetime(2025, 12, 31, tzinfo=UTC)
FILE = b"""transaction_id,customer_id,transaction_date,product_id,product_name,quantity,price,tax
1,501,2024-01-05,9001,Thing,2,10.10,0.05
2,502,2024-01-06,9002,Thing,many,70.00,0.05
"""
NAMES = (
    "one.csv", "incoming/b.csv", "incoming/a.csv.gz", "incoming/.hidden.csv", "incoming/notes.md",
    "odd[1].csv", "days/20251231/x.csv", "customer_transactions_cleaned.csv",
)  # fmt: skip


@pytest.fixture
def server() -> Iterator[S3Server]:
    with running_server() as started:
        yield started


def machine(server: S3Server, tmp_path: Path, name: str) -> ObjectFiles:
    """Return what a task on a machine of its own has."""
    data = tmp_path / name
    data.mkdir(exist_ok=True)
    return ObjectFiles(server.store(), data)


def clean(
    files: ObjectFiles, run: str, attempt: int, *, source: str = "day.csv", version: str = "v1"
) -> CleanReport:
    with files.opened(source) as path, files.attempt(run, attempt) as output:
        report = clean_file(path, CUSTOMER_TRANSACTIONS, output.folder)
        return output.hand_on(output.keep(replace(report, source=source, code_version=version), source))


def batch_of(report: CleanReport) -> Batch:
    through_xcom = CleanReport.from_dict(json.loads(json.dumps(report.to_dict())))
    return Batch("run", 1, False, (Load(1, through_xcom),))


@pytest.mark.parametrize(
    "source", ["one.csv", "incoming", "incoming/*", "**/*.csv", "days/{ds_nodash}", "odd[1].csv"]
)
def test_a_source_means_in_a_store_what_it_means_in_a_folder(server: S3Server, tmp_path: Path, source: str) -> None:
    store, folder = server.store(), tmp_path / "folder"
    for name in NAMES:
        store.put(f"data/{name}", b"x")
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")
    for odd in ("data/incoming/", "data/../out.csv", "data//x.csv", f"data/{'l' * 300}.csv", "data/one.csv/x.csv"):
        store.put(odd, b"x")
    own = ["customer_transactions_cleaned.csv"]
    found = machine(server, tmp_path, "a").find(source, DAY, own)
    assert found == FolderFiles(folder.resolve()).find(source, DAY, own)
    assert found


def test_what_one_machine_cleans_another_loads(server: S3Server, tmp_path: Path) -> None:
    server.store().put("data/day.csv", FILE)
    report = clean(machine(server, tmp_path, "a"), "scheduled__2025-12-31T00:00:00+00:00", 1)
    alone = clean_file(_write(tmp_path / "day.csv"), CUSTOMER_TRANSACTIONS, tmp_path / "alone")
    assert report.cleaned_file.startswith("runs/scheduled__2025-12-31T00_00_00+00_00/file/shard-0001/attempt-1/")
    with machine(server, tmp_path, "b").fetched(batch_of(report)) as batch:
        there = batch.loads[0].report
        assert Path(there.cleaned_file).read_bytes() == Path(alone.cleaned_file).read_bytes()
        assert Path(there.rejected_file).read_bytes() == Path(alone.rejected_file).read_bytes()
    assert not Path(there.cleaned_file).exists()
    assert list((tmp_path / "a").iterdir()) == list((tmp_path / "b").iterdir()) == []
    # Read once: opening, digest and check are of what lies here then.
    assert sum(asked == "GET /bucket/pre/fix/data/day.csv" for asked in server.asked) == 1
    server.asked.clear()
    assert machine(server, tmp_path, "c").digest("day.csv") == alone.sha256
    assert "GET /bucket/pre/fix/data/day.csv" not in server.asked
    server.store().put("data/day.csv", FILE + b"3,503,2024-01-06,9002,Thing,1,70.00,0.05\n")
    assert machine(server, tmp_path, "c").digest("day.csv") is None


def test_a_twin_of_an_attempt_hands_on_what_the_first_one_did(server: S3Server, tmp_path: Path) -> None:
    server.store().put("data/day.csv", FILE)
    first, twin = (clean(machine(server, tmp_path, name), "run", 1) for name in "ab")
    assert twin == first
    files = machine(server, tmp_path, "c")
    with files.fetched(batch_of(first)):
        pass
    server.store().put("data/day.csv", FILE.replace(b"10.10", b"11.11"))
    with pytest.raises(UnavailableError, match="another result"):
        clean(machine(server, tmp_path, "a"), "run", 1)
    retried = clean(machine(server, tmp_path, "a"), "run", 2)
    assert retried.sha256 != first.sha256
    with files.fetched(batch_of(first)) as batch:  # what was handed on before is as it was
        assert "11.11" not in Path(batch.loads[0].report.cleaned_file).read_text()


def test_without_its_manifest_a_file_is_not_whole(server: S3Server, tmp_path: Path) -> None:
    server.store().put("data/day.csv", FILE)
    report, files = clean(machine(server, tmp_path, "a"), "run", 1), machine(server, tmp_path, "b")
    server.store().put(report.cleaned_file, b"another")
    with pytest.raises(RefusedError, match="is not what was written"), files.fetched(batch_of(report)):
        pass
    report = clean(machine(server, tmp_path, "a"), "run", 2)
    server.store().delete(["runs/run/file/shard-0001/attempt-2/manifest.json"])
    with pytest.raises(RefusedError, match="gone"), files.fetched(batch_of(report)):
        pass


def test_cleaned_files_of_shards_are_copied_one_by_one(server: S3Server, tmp_path: Path) -> None:
    server.store().put("data/day.csv", FILE)
    cleaned = [clean(machine(server, tmp_path, "a"), "run", attempt) for attempt in (1, 2)]
    shards = [Shard(one.cleaned_file, one.rejected_file, one.accepted) for one in cleaned]
    report = replace(cleaned[0], cleaned_file="", rejected_file="", shards=shards)
    files, alone = machine(server, tmp_path, "b"), _write(tmp_path / "day.csv")
    whole = clean_file(alone, CUSTOMER_TRANSACTIONS, tmp_path / "alone")
    with files.fetched(batch_of(report)) as batch:
        pieces = batch.loads[0].report.pieces
        assert [Path(piece.rejected_file).read_bytes() for piece in pieces] == [
            Path(whole.rejected_file).read_bytes()
        ] * 2
        assert not any(Path(piece.cleaned_file).exists() for piece in pieces)
    with files.cleaned_shard(shards[1]) as path:
        assert path.read_bytes() == Path(whole.cleaned_file).read_bytes()
    assert not path.exists()
    in_folder = Shard(str(Path(whole.cleaned_file).relative_to(tmp_path)), "", whole.accepted)
    with FolderFiles(tmp_path).cleaned_shard(in_folder) as path:
        assert path == Path(whole.cleaned_file)
    server.store().put(shards[1].cleaned_file, b"another")
    with pytest.raises(RefusedError, match="is not what was written"), files.cleaned_shard(shards[1]):
        pass
    with files.cleaned_shard(shards[0]):
        pass


def test_files_of_the_newest_runs_stay_and_so_do_those_of_this_one(server: S3Server, tmp_path: Path) -> None:
    server.store().put("data/day.csv", FILE)
    files = machine(server, tmp_path, "a")
    reports = {run: clean(files, run, 1) for run in ("old", "older", "new", "this")}
    for hours, run in enumerate(("new", "old", "older", "this")):
        for key in server.keys(f"runs/{run}/"):
            server.age(key, datetime.now(UTC) - timedelta(hours=hours))
    files.conclude("this", 1, [reports["this"]], (), 2)
    assert {key.split("/")[1] for key in server.keys("runs/")} == {"new", "old", "this", "latest.json"}
    latest = json.loads(server.store().read("runs/latest.json") or b"")
    assert latest["files"] == [{"cleaned": reports["this"].cleaned_file, "rejected": reports["this"].rejected_file}]
    assert server.keys("data/") == ["data/day.csv"]


def test_a_delivery_that_went_meanwhile_is_a_clear_word(server: S3Server, tmp_path: Path) -> None:
    with (
        pytest.raises(UnusableFileError, match=r"day.csv is gone"),
        machine(server, tmp_path, "a").opened("day.csv"),
    ):
        pass


def test_a_given_file_lies_under_its_content_and_repaired_records_where_they_lay(
    server: S3Server, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    source, digest = give_object(server.store(), _write(tmp_path / "my day.csv"), data)
    assert source == f"given/{digest[:12]}/my_day.csv"
    replayed, _ = give_object(server.store(), _write(data / "replayed" / "replay-1.csv"), data)
    assert replayed == "replayed/replay-1.csv"
    assert server.keys() == [f"data/{source}", "data/replayed/replay-1.csv"]
    with pytest.raises(UnusableFileError, match="no such file"):
        give_object(server.store(), tmp_path / "absent.csv", data)


def test_of_given_files_the_newest_stay_and_those_that_are_needed(server: S3Server, tmp_path: Path) -> None:
    given = []
    for number in range(8):
        source, digest = give_object(
            server.store(), _write(tmp_path / "day.csv", FILE + b"#" * number), tmp_path / "data"
        )
        server.age(f"data/{source}", datetime.now(UTC) - timedelta(hours=number + 2))
        given.append((source, digest))
    server.store().put("data/given/by-hand.csv", b"x")
    prune_given_objects(server.store(), {given[6][0], given[7][1]})
    kept = {f"data/{source}" for source, _ in [*given[:5], given[6], given[7]]}
    assert set(server.keys("data/given/")) == {*kept, "data/given/by-hand.csv"}


def test_contracts_of_a_run_come_to_those_who_clean(server: S3Server, tmp_path: Path) -> None:
    contract = _write(tmp_path / "operator" / "contracts" / "b-0123456789ab.odcs.yaml", b"id: b\n")
    share_contracts(server.store(), tmp_path / "operator")
    for _ in range(2):
        machine(server, tmp_path, "a").bring_contracts()
    assert (tmp_path / "a" / "contracts" / contract.name).read_bytes() == b"id: b\n"


def _write(path: Path, content: bytes = FILE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_what_is_erased_in_copies_is_put_back_and_can_still_be_loaded(server: S3Server, tmp_path: Path) -> None:
    store = server.store()
    for name in ("day.csv", "other.csv"):
        store.put(f"data/{name}", FILE)
    store.put("data/secret.csv", FILE)
    report = clean(machine(server, tmp_path, "a"), "run", 1)
    (tmp_path / "data" / ".store-of-a-killed-command").mkdir(parents=True)
    server.asked.clear()
    with mirrored(store, tmp_path / "data") as mirror:
        assert len(list((tmp_path / "data").glob(".store-*"))) == 1
        for key in ("data/day.csv", report.cleaned_file):
            path = mirror.folder / key
            path.write_text(path.read_text().replace("501", ""))
        (mirror.folder / "data" / "secret.csv").unlink()
        server.store().put("data/other.csv", FILE + b"3")
        server.store().put("data/new.csv", FILE)
        assert mirror.put_back() == ["data/new.csv", "data/other.csv"]
    assert not list((tmp_path / "data").glob(".store-*"))
    assert b"501" not in (store.read("data/day.csv") or b"501")
    assert store.read("data/other.csv") == FILE + b"3"
    assert "data/secret.csv" not in server.keys("data")
    untouched = report.rejected_file
    assert f"PUT /bucket/pre/fix/{untouched}" not in server.asked
    with machine(server, tmp_path, "b").fetched(batch_of(report)) as batch:
        assert "501" not in Path(batch.loads[0].report.cleaned_file).read_text()
    with pytest.raises(RuntimeError), mirrored(store, tmp_path / "data"):
        raise RuntimeError
    assert not list((tmp_path / "data").glob(".store-*"))


def test_an_erasure_killed_before_a_manifest_was_told_is_finished_by_the_next(
    server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = server.store()
    store.put("data/day.csv", FILE)
    report = clean(machine(server, tmp_path, "a"), "run", 1)

    def scrub(mirror: Mirror) -> None:
        path = mirror.folder / report.cleaned_file
        path.write_text(path.read_text().replace("501", ""))

    with monkeypatch.context() as killed, mirrored(store, tmp_path / "data") as mirror:
        scrub(mirror)
        killed.setattr(Mirror, "_tell_manifest", lambda *_: sys.exit())
        with pytest.raises(SystemExit):
            mirror.put_back()
    with pytest.raises(RefusedError), machine(server, tmp_path, "b").fetched(batch_of(report)):
        pass
    with mirrored(store, tmp_path / "data") as mirror:
        scrub(mirror)  # nothing is left to do in it
        assert mirror.put_back() == []
    assert server.keys("erasing/") == []
    with machine(server, tmp_path, "b").fetched(batch_of(report)) as batch:
        assert "501" not in Path(batch.loads[0].report.cleaned_file).read_text()


def test_a_second_erasure_leaves_the_copies_of_the_first_alone(server: S3Server, tmp_path: Path) -> None:
    store = server.store()
    store.put("data/day.csv", FILE)
    with mirrored(store, tmp_path / "data") as mirror:
        with pytest.raises(UnavailableError, match="Another erasure"), mirrored(store, tmp_path / "data"):
            pass
        assert (mirror.folder / "data" / "day.csv").read_bytes() == FILE
        shutil.rmtree(mirror.folder)  # whoever does so: an object is not deleted because its copy is gone
        with pytest.raises(UnavailableError, match="are gone"):
            mirror.put_back()
        mirror.folder.mkdir()
    assert store.read("data/day.csv") == FILE
    with mirrored(store, tmp_path / "data"):
        pass
