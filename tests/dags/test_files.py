"""Which files a source means."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from audited_load.errors import RefusedError, UnusableFileError
from customer_pipeline.runtime.environment import shared_settings
from customer_pipeline.settings import read_settings
from customer_pipeline.storing.deliveries import (
    attempt_folder,
    delivered_name,
    find_sources,
    locate_source,
    require_few,
    show_latest,
)

DAY = datetime(2025, 12, 31, 23, 59, tzinfo=UTC)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    for name in (
        "one.csv", "incoming/b.csv", "incoming/a.csv.gz", "incoming/notes.md", "incoming/.hidden.csv",
        "incoming/2025-12-31.csv", "days/20251231/x.csv", "runs/r/attempt-1/own.csv", "own.csv", "odd[1].csv",
    ):  # fmt: skip
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")
    return folder


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("one.csv", ["one.csv"]),
        ("incoming", ["incoming/2025-12-31.csv", "incoming/a.csv.gz", "incoming/b.csv"]),
        ("incoming/*.csv", ["incoming/2025-12-31.csv", "incoming/b.csv"]),
        ("incoming/[ab].*", ["incoming/a.csv.gz", "incoming/b.csv"]),
        ("incoming/{ds}.csv", ["incoming/2025-12-31.csv"]),
        ("days/{ds_nodash}", ["days/20251231/x.csv"]),
        ("**/x.csv", ["days/20251231/x.csv"]),
        ("odd[1].csv", ["odd[1].csv"]),
        ("*.csv", ["odd[1].csv", "one.csv"]),
        ("**/*.csv", ["days/20251231/x.csv", "incoming/2025-12-31.csv", "incoming/b.csv", "odd[1].csv", "one.csv"]),
    ],
)
def test_a_source_is_a_file_a_folder_or_a_pattern(data: Path, source: str, found: list[str]) -> None:
    assert find_sources(data, source, DAY, {"own.csv"}) == found


@pytest.mark.parametrize("source", ["own.csv", "runs/r/attempt-1/own.csv", "./own.csv"])
def test_the_pipelines_own_file_is_no_source(data: Path, source: str) -> None:
    """A run would read it, and write over it."""
    with pytest.raises(RefusedError, match="itself wrote"):
        find_sources(data, source, DAY, {"own.csv"})


@pytest.mark.parametrize("source", ["../outside.csv", "/etc/passwd", "link.csv", "links", "*/../../*.csv"])
def test_a_source_outside_the_data_folder_is_refused(data: Path, source: str) -> None:
    (data.parent / "outside.csv").write_text("x")
    (data / "links").mkdir()
    for link in ("link.csv", "links/link.csv"):
        (data / link).symlink_to(data.parent / "outside.csv")
    with pytest.raises(RefusedError, match="outside the data folder"):
        find_sources(data, source, DAY)


@pytest.mark.parametrize("source", ["absent.csv", "absent/*.csv", "incoming/*.txt", "absent"])
def test_a_missing_source_is_a_clear_word(data: Path, source: str) -> None:
    with pytest.raises(UnusableFileError, match="No file") as caught:
        find_sources(data, source, DAY)
    assert ("b.csv" if source.startswith("incoming") else "one.csv") in str(caught.value)


def test_an_unknown_placeholder_is_named(data: Path) -> None:
    with pytest.raises(RefusedError, match=r"unknown placeholder \{date\}"):
        find_sources(data, "incoming/{date}.csv", DAY)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("a" * 300, "more than 255 bytes"),
        (f"incoming/{'ü' * 130}.csv", "more than 255 bytes"),
        ("***b", "stands alone"),
        ("incoming/**b/*.csv", "stands alone"),
        ("**/**/**/**/*.csv", "once"),
        ("*/" * 300, "300 folders"),
        ("a/" * 5000, "5000 folders"),
        ("a\0b.csv", "character that can't be"),
        ("a\udce9b.csv", "character that can't be"),
    ],
    ids=ascii,
)
def test_a_source_that_can_be_no_file_is_refused_with_a_remedy(data: Path, source: str, said: str) -> None:
    with pytest.raises(RefusedError, match=said) as caught:
        find_sources(data, source, DAY)
    assert "Nothing was loaded" in caught.value.remedy
    assert len(str(caught.value)) < 500


ODD = {
    b"caf\xe9.csv": r"caf\xe9.csv",
    b"line\nend.csv": "line\nend.csv",
    b"\x1b[31mred.csv": "\x1b[31mred.csv",
    b'it\'s "quoted" $HOME; x.csv': 'it\'s "quoted" $HOME; x.csv',
    b"l" * 251 + b".csv": "l" * 251 + ".csv",
    b"back\\slash.csv": "back\\slash.csv",
}


def test_no_name_of_a_file_blocks_its_folder_or_is_left_out(data: Path) -> None:
    (data / "odd").mkdir()
    for name in ODD:
        (data / "odd" / os.fsdecode(name)).write_text("x")
    found = find_sources(data, "odd", DAY)
    assert set(found) == {f"odd/{name}" for name in ODD.values()}
    json.dumps(found, ensure_ascii=False).encode()  # from task to task, and into the ledger
    usable = [name for name in found if "xe9" not in name]
    assert all(locate_source(data, name).read_text() == "x" for name in usable)
    with pytest.raises(UnusableFileError, match="not UTF-8") as caught:
        locate_source(data, r"odd/caf\xe9.csv")
    assert "Rename" in caught.value.remedy


def test_names_that_look_alike_when_written_are_refused(data: Path) -> None:
    (data / "odd").mkdir()
    for name in ("caf\udce9.csv", r"caf\xe9.csv"):
        (data / "odd" / name).write_text("x")
    with pytest.raises(RefusedError, match="told apart"):
        find_sources(data, "odd", DAY)


def test_a_file_that_is_gone_is_a_clear_word(data: Path) -> None:
    with pytest.raises(UnusableFileError, match=r"gone.csv is gone"):
        locate_source(data, "gone.csv")


def test_more_files_than_a_run_takes_are_refused_with_their_number() -> None:
    limit = read_settings({"PIPELINE_DATA": "data", **shared_settings()}).max_files
    require_few(["x.csv"] * limit, limit)
    with pytest.raises(RefusedError, match=f"These are {limit + 1} files, and one run takes {limit}") as caught:
        require_few(["x.csv"] * (limit + 1), limit)
    assert "--source" in caught.value.remedy


def test_each_file_of_each_attempt_has_a_folder_of_its_own(data: Path) -> None:
    folders = {attempt_folder(data, "manual__1", attempt, file) for attempt in (1, 2) for file in (None, 0, 1)}
    assert len(folders) == 6


def test_the_well_known_names_are_never_those_of_another_run(data: Path) -> None:
    show_latest(data / "runs" / "r" / "attempt-1", data, ["own.csv"])
    assert (data / "own.csv").samefile(data / "runs" / "r" / "attempt-1" / "own.csv")
    show_latest(data / "days", data, ["own.csv"])
    assert not (data / "own.csv").exists()


@pytest.mark.parametrize("name", ["given/day.csv", "day.csv", "incoming/0123456789ab/day.csv"])
def test_a_daily_file_is_the_same_feed_whatever_its_content(name: str) -> None:
    assert delivered_name(name) == name
    assert {delivered_name(f"given/{digest * 12}/day.csv") for digest in "0a"} == {"given/day.csv"}


@pytest.mark.parametrize("name", ["sales{1}.csv", "{ds}.csv", "a***b.csv", "[1].csv"])
def test_a_source_whose_content_is_known_is_a_name_and_no_pattern(tmp_path: Path, name: str) -> None:
    for other in (name, "1.csv", f"{DAY:%Y-%m-%d}.csv", "axxb.csv"):
        (tmp_path / other).write_text("x")
    assert find_sources(tmp_path, name, DAY, is_literal=True) == [name]
