"""Several processes clean a file as one does, and none of them outlives the other or loses its part."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from cleaning import HEADER, ROW

from audited_load.cleaning import workers
from audited_load.cleaning.blocks import clean_block
from audited_load.cleaning.clean_file import clean_file
from audited_load.cleaning.layout import Layout
from audited_load.errors import UnavailableError
from audited_load.reading import compression
from audited_load.reading.dialect import Dialect
from audited_load.reading.records import cut_blocks
from customer_pipeline.sample.generator import write_sample
from steps.data_cleaners import CUSTOMER_TRANSACTIONS

LAYOUT = Layout(CUSTOMER_TRANSACTIONS, Dialect(",", tuple(CUSTOMER_TRANSACTIONS.names), 0), tuple(range(8)))


@pytest.fixture
def dirty(tmp_path: Path) -> Path:
    path = tmp_path / "dirty.csv"
    with path.open("wb") as file:
        write_sample(file, 20_000, seed=3, dirt=0.1)
    return path


@pytest.fixture
def two_workers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(workers, "BYTES_PER_WORKER", 2**16)
    monkeypatch.setattr(workers, "MAX_WORKERS", 2)
    monkeypatch.setattr(workers, "_count_processors", lambda: 2)
    monkeypatch.setattr(compression, "CHUNK_BYTES", 2**17)
    yield
    assert not workers_of(os.getpid())


def workers_of(pid: int) -> list[psutil.Process]:
    found = []
    for child in psutil.Process(pid).children(recursive=True):
        with suppress(psutil.Error):
            if "audited_load.cleaning.workers" in child.cmdline():
                found.append(child)
    return found


@pytest.mark.usefixtures("two_workers")
def test_workers_make_the_bytes_that_one_process_makes(
    dirty: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = set()
    several = clean_file(
        dirty, CUSTOMER_TRANSACTIONS, tmp_path / "several", lambda *_: seen.add(len(workers_of(os.getpid())))
    )
    assert max(seen) == 2
    monkeypatch.setattr(workers, "MAX_WORKERS", 1)
    one = clean_file(dirty, CUSTOMER_TRANSACTIONS, tmp_path / "one")
    assert replace(several, cleaned_file="", rejected_file="") == replace(one, cleaned_file="", rejected_file="")
    assert Path(several.cleaned_file).read_bytes() == Path(one.cleaned_file).read_bytes()
    assert Path(several.rejected_file).read_bytes() == Path(one.rejected_file).read_bytes()


@pytest.mark.usefixtures("two_workers")
def test_a_worker_that_dies_is_an_error_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # So many blocks that most are still to be made when the first one is done.
    monkeypatch.setattr(compression, "CHUNK_BYTES", 2**14)
    path = tmp_path / "long.csv"
    path.write_text(HEADER + "".join(map(ROW.format, range(40_000))))

    def kill(_bytes: int, _records: int) -> None:
        for worker in workers_of(os.getpid()):
            worker.kill()

    with pytest.raises(UnavailableError, match="died"):
        clean_file(path, CUSTOMER_TRANSACTIONS, tmp_path / "out", kill)
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.usefixtures("two_workers")
def test_an_error_in_a_worker_is_raised_where_the_file_is_cleaned(
    dirty: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_parts = workers.make_parts

    def misplaced(maker: workers.PartMaker, blocks: object) -> object:
        return make_parts(replace(maker, folder=tmp_path / "nowhere"), blocks)  # type: ignore[arg-type]

    monkeypatch.setattr("audited_load.cleaning.clean_file.make_parts", misplaced)
    with pytest.raises(UnavailableError, match="No such file"):
        clean_file(dirty, CUSTOMER_TRANSACTIONS, tmp_path / "out")


def test_workers_end_with_whoever_started_them_and_the_next_run_tidies_up(tmp_path: Path) -> None:
    path, out = tmp_path / "large.csv", tmp_path / "out"
    with path.open("wb") as file:
        write_sample(file, 600_000, seed=3)
    command = [
        sys.executable,
        "-c",
        "from customer_pipeline.cli import main; main()",
        "clean",
        str(path),
        "--out",
        str(out),
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 30
    while not list(out.glob(".cleaning-*/0.csv")):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.01)
    left = workers_of(process.pid)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert left or workers._count_processors() < 2
    assert not psutil.wait_procs(left, timeout=20)[1]
    assert list(out.glob(".cleaning-*"))
    (tmp_path / "small.csv").write_text(HEADER + ROW.format(1))
    clean_file(tmp_path / "small.csv", CUSTOMER_TRANSACTIONS, out)
    assert {file.name for file in out.iterdir()} == {
        "customer_transactions_cleaned.csv",
        "customer_transactions_rejected.csv",
    }


def test_places_far_into_a_very_large_file_are_exact() -> None:
    data = (ROW.format(1) + ROW.format("x") + ROW.format(2)).encode()
    far = 2**40
    (block,) = cut_blocks(iter([data]), LAYOUT.dialect, offset=far, first_line=far)
    done = clean_block(replace(block, first_record=far), LAYOUT)
    assert done.places["record"].tolist() == [far, far + 2]
    assert done.places["line"].tolist() == [far, far + 2]
    assert done.places["offset"].tolist() == [far, far + 2 * len(ROW.format(1))]
    assert [(reject.record, reject.line) for reject in done.rejects] == [(far + 1, far + 1)]
