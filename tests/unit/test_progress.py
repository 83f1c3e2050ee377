"""What a look at a cleaning shows is true, and never stands in its way."""

from __future__ import annotations

import gzip
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from audited_load.cleaning.clean_file import clean_file
from audited_load.progress import PROGRESS_FILE, Cleaned, measured, progress_in_file, read_progress
from customer_pipeline.commands import run_progress as shown
from customer_pipeline.commands.run_progress import Display, Step, describe_cleaning
from customer_pipeline.sample.generator import write_sample
from steps.data_cleaners import CUSTOMER_TRANSACTIONS

CLI = Path(sys.executable).with_name("customer-pipeline")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sample") / "big.csv"
    with path.open("wb") as out:
        write_sample(out, 200_000, 5, 0.02)
    return path


@pytest.mark.parametrize("is_compressed", [False, True])
def test_bytes_and_records_grow_to_those_of_the_file(file: Path, tmp_path: Path, is_compressed: bool) -> None:
    if is_compressed:
        packed = tmp_path / "big.csv.gz"
        packed.write_bytes(gzip.compress(file.read_bytes(), 1))
        file = packed
    seen: list[tuple[int, int]] = []
    report = clean_file(
        file, CUSTOMER_TRANSACTIONS, tmp_path / "out", lambda done, records: seen.append((done, records))
    )
    assert len(seen) > 1
    assert seen == sorted(seen)
    # Of a compressed file, what the decompressor leaves unread is counted after its last record.
    assert file.stat().st_size - seen[-1][0] <= (2**20 if is_compressed else 0)
    assert seen[-1][1] == report.read


def test_another_process_can_read_how_far_it_is_and_nothing_is_left_after(file: Path, tmp_path: Path) -> None:
    found = []
    with progress_in_file(tmp_path / "out", file) as progress:

        def watched(done: int, records: int) -> None:
            progress(done, records)
            found.append(read_progress(tmp_path / "out"))

        clean_file(file, CUSTOMER_TRANSACTIONS, tmp_path / "out", watched)
    assert found[-1] is not None
    assert (found[-1].bytes, found[-1].total) == (file.stat().st_size, file.stat().st_size)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "customer_transactions_cleaned.csv",
        "customer_transactions_rejected.csv",
    ]


def test_a_progress_that_cant_be_written_or_shown_is_no_failure(file: Path, tmp_path: Path) -> None:
    (tmp_path / "out" / PROGRESS_FILE).mkdir(parents=True)
    with progress_in_file(tmp_path / "out", file) as progress:
        clean_file(file, CUSTOMER_TRANSACTIONS, tmp_path / "out", progress)
    assert read_progress(tmp_path / "out") is None

    def broken(_: Cleaned) -> None:
        raise RuntimeError("no terminal")

    measured(10, broken)(10, 1)


def test_a_progress_file_that_is_none_says_nothing(tmp_path: Path) -> None:
    for text in ("", "{", "[]", '{"bytes": 1}'):
        (tmp_path / PROGRESS_FILE).write_text(text)
        assert read_progress(tmp_path) is None


@pytest.mark.parametrize(
    ("cleaned", "share", "words"),
    [
        (Cleaned(0, 0, 0, 0.0), None, "just begun"),
        (Cleaned(2**20, 4 * 2**20, 1000, 2.0), 0.25, "1 of 4 MiB, 500 rows/s, 6 s left"),
        (Cleaned(2**20, 1000 * 2**20, 1000, 2.0), 0.001, "33 min left"),
        (Cleaned(4, 4, 1000, 2.0), 1.0, "1,000 records read; now putting the cleaned file together"),
    ],
)
def test_it_says_bytes_pace_and_time_left(cleaned: Cleaned, share: float | None, words: str) -> None:
    step = describe_cleaning("cleaning", cleaned)
    assert step.share == share
    assert words in step.detail


def test_without_a_terminal_a_long_step_gets_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    text, clock = io.StringIO(), [0.0]
    monkeypatch.setattr(shown.time, "monotonic", lambda: clock[0])
    with Display(Console(file=text, soft_wrap=True)).shown() as display:
        for clock[0] in (0.0, 15.0, 30.0, 45.0, 60.0):
            display.show([Step("cleaning [a]", 0.5, "1 of 2 MiB")])
    assert text.getvalue().splitlines() == ["     ...    cleaning [a]: 50%, 1 of 2 MiB"] * 2


def test_in_a_terminal_nothing_of_the_bars_is_left() -> None:
    text = io.StringIO()
    console = Console(file=text, force_terminal=True, width=100)
    with Display(console).shown() as display:
        display.show([Step("cleaning", 0.5, "1 of 2 MiB"), Step("run", None, "3 of 4")])
        display.show([Step("run", 1.0, "[x] 4 of 4")])
    assert "[x] 4 of 4" in text.getvalue()
    assert text.getvalue().endswith("\x1b[2K")  # the line is wiped


def test_a_display_that_breaks_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with Display(Console(file=io.StringIO(), force_terminal=True)).shown() as display:
        monkeypatch.setattr(display, "_move", None)
        display.show([Step("run", 1.0, "2 of 2")])


def test_clean_shows_it_beside_its_report_never_in_it(file: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [CLI, "clean", file, "--out", tmp_path, "--json"],
        capture_output=True, text=True, check=True, env={"FORCE_COLOR": "1", "COLUMNS": "120"},
    )  # fmt: skip
    assert json.loads(done.stdout)["read"] == 200_000
    assert "MiB" in done.stderr or "records read" in done.stderr
