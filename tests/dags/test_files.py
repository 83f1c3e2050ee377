"""Which files a source means."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from audited_load.errors import RefusedError, UnusableFileError
from steps.files import attempt_folder, delivered_name, find_sources, show_latest

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
