"""What `run FILE` brings in: named by content, never another one, removed when no run needs it."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from audited_load.errors import UnavailableError, UnusableFileError
from customer_pipeline.commands import given
from customer_pipeline.commands.given import KEPT_GIVEN, bring_in, prune_given


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_a_file_from_outside_is_copied_in_and_one_inside_is_not(data: Path, tmp_path: Path) -> None:
    outside, inside = write(tmp_path / "out.csv", "a"), write(data / "in.csv", "b")
    source, digest = bring_in(outside, data)
    assert (source, digest) == (f"given/{sha256('a')[:12]}/out.csv", sha256("a"))
    assert (data / source).read_text() == "a"
    assert bring_in(inside, data) == ("in.csv", sha256("b"))
    with pytest.raises(UnusableFileError):
        bring_in(tmp_path / "absent.csv", data)
    with pytest.raises(UnusableFileError, match="not a regular file"):
        bring_in(data, data)


def test_two_files_of_one_name_at_once_both_stay_as_they_were_given(data: Path, tmp_path: Path) -> None:
    texts = [str(number) * 200_000 for number in range(8)]
    files = [write(tmp_path / str(number) / "day.csv", text) for number, text in enumerate(texts)]
    with ThreadPoolExecutor(8) as threads:
        brought = list(threads.map(lambda file: bring_in(file, data), files))
    assert [(data / source).read_text() for source, _ in brought] == texts
    assert [digest for _, digest in brought] == list(map(sha256, texts))
    assert {Path(source).name for source, _ in brought} == {"day.csv"}


def test_a_file_that_is_still_being_written_is_not_brought_in(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path / "day.csv", "half")

    def copy(source: Path, target: Path) -> None:
        target.write_text("half")
        source.write_text("half and more")

    monkeypatch.setattr(given.shutil, "copyfile", copy)
    with pytest.raises(UnavailableError, match="still being written"):
        bring_in(file, data)


def test_what_a_killed_command_left_is_removed_by_the_next(data: Path, tmp_path: Path) -> None:
    for name in (".given-dead/day.csv", ".ab12_9xz/day.csv", "mine.csv", ".keep/x"):
        write(data / "given" / name, "x")
    bring_in(write(tmp_path / "out.csv", "a"), data)
    assert {path.name for path in (data / "given").iterdir()} == {"mine.csv", ".keep", sha256("a")[:12]}


def test_only_what_no_run_needs_is_removed(data: Path, tmp_path: Path) -> None:
    texts = [f"old {number}" for number in range(KEPT_GIVEN + 5)]
    for age, text in enumerate(texts):
        source, _ = bring_in(write(tmp_path / "day.csv", text), data)
        hours = 0 if age == KEPT_GIVEN + 1 else (age + 2) * 3600
        moment = (data / source).stat().st_mtime - hours
        os.utime((data / source).parent, (moment, moment))
    write(data / "given" / "mine.csv", "x")
    queued, visible = texts[-1], texts[-2]
    prune_given(data, {f"given/{sha256(queued)[:12]}/day.csv", sha256(visible), "incoming/day.csv", "None"})
    kept = {path.name for path in (data / "given").iterdir()} - {"mine.csv"}
    newest = {texts[KEPT_GIVEN + 1], *texts[: KEPT_GIVEN - 1]}
    assert kept == {sha256(text)[:12] for text in {*newest, queued, visible}}
