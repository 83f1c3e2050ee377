"""A large file cleaned in shards comes to what it comes to in one piece, wherever it is cut."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path

import pytest
from cleaning import HEADER, ROW, clean
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from local_shards import LocalShards, clean_by_shards, in_chunks, join, plan

from audited_load.clean_report import CleanReport
from audited_load.cleaning.clean_file import clean_file
from audited_load.erasing.subjects import ErasedSubjects, hash_subject
from audited_load.errors import RefusedError, UnavailableError
from audited_load.sharding.gather import gather_shards
from audited_load.sharding.plan import Plan, UncutError
from audited_load.sharding.shard import clean_shard
from steps.data_cleaners import CUSTOMER_TRANSACTIONS

FEED = CUSTOMER_TRANSACTIONS
MANY = settings(
    deadline=None,
    derandomize=True,
    max_examples=100,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
NAMES = [
    *("Thing", '"a ""b"" c"', '"two\nlines"', '"x,y"', 'say "hi"', '"open', 'end"', '"a\r\nb"', "é", "\x1a", "\0"),
    *('"', '""', '"""', "", "=1+1", '"1,5,2024-01-02,7,a,2,1.10,0.05\n"', "\udc00"),
]
KEYS = ["1", "2", "3", "T4", "5.0", "", "x"]
ROWS = st.lists(
    st.builds(
        lambda key, customer, day, name, price, cut, more: (
            ",".join([key, customer, day, "7", name, "2", price, "0.05"][:cut]) + more
        ),
        st.one_of(st.sampled_from(KEYS), st.integers(10, 60).map(str)),
        st.sampled_from(["5", "6", "", "C7"]),
        st.sampled_from(["2024-01-02", "03-01-2024", "31-02-2024"]),
        st.sampled_from(NAMES),
        st.sampled_from(["1.10", "$2", "Two Hundred", "x"]),
        st.sampled_from([8, 8, 8, 8, 8, 8, 3]),
        st.sampled_from(["", "", "", "", "", ",", '"', "\n", "\x1a", " "]),
    ),
    max_size=60,
)


def compare(report: CleanReport, whole: CleanReport) -> None:
    """Hold that two accountings and their files are alike, but for where the files lie."""
    assert join(report) == join(whole)
    without = {"cleaned_file": "", "rejected_file": "", "shards": []}
    assert replace(report, **without) == replace(whole, **without)  # type: ignore[arg-type]
    assert report.accepted == sum(one.accepted for one in report.pieces)


@MANY
@given(
    ROWS,
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.sampled_from(["utf-8", "utf-8-sig"]),
    st.booleans(),
    st.integers(1, 50),
    st.integers(5, 400),
)
def test_any_cut_comes_to_the_same(
    tmp_path: Path, rows: list[str], newline: str, encoding: str, last_newline: bool, shards: int, chunk: int
) -> None:
    text = HEADER + "".join(f"{row}\n" for row in [*rows, ROW.format(70).strip(), ROW.format(71).strip()])
    text = text if last_newline else text.removesuffix("\n")
    content = text.replace("\r\n", "\n").replace("\n", newline).encode(encoding, "surrogatepass")
    whole = clean(tmp_path / "file.csv", content)
    try:
        report = clean_by_shards(
            tmp_path / "file.csv", FEED, tmp_path / "shards", max(1, len(content) // shards), chunk
        )
    except UncutError:
        return
    compare(report, whole)


def many_rows(tmp_path: Path, number: int = 200) -> tuple[Path, CleanReport]:
    """Write a file in which records of far apart have one key."""
    rows = [ROW.format(key % 150 + 1).replace("1.10", f"{1 + (key % 7 == 0)}.10") for key in range(number)]
    path = tmp_path / "many.csv"
    return path, clean(path, HEADER + "".join(rows))


@pytest.mark.parametrize("shards", [2, 7, 50])
def test_a_key_of_several_shards_gives_way_to_its_last_record(tmp_path: Path, shards: int) -> None:
    path, whole = many_rows(tmp_path)
    report = clean_by_shards(path, FEED, tmp_path / "shards", path.stat().st_size // shards)
    assert shards // 2 <= len(report.shards) <= shards + 1
    assert whole.superseded
    assert whole.duplicates
    compare(report, whole)


def test_keys_in_several_buckets_come_to_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, whole = many_rows(tmp_path)
    monkeypatch.setattr("audited_load.cleaning.duplicates.BUCKET_BYTES", 1000)
    compare(clean_by_shards(path, FEED, tmp_path / "shards", 2000), whole)


def test_what_one_shard_shows_counts_for_all(tmp_path: Path) -> None:
    rows = [ROW.format(key).replace("1.10", '"2.037"') for key in range(1, 60)]
    path = tmp_path / "doubtful.csv"
    content = HEADER + "".join([*rows, ROW.format(60).replace("1.10", '"12,50"')])
    whole = clean(path, content)
    assert whole.doubts
    compare(clean_by_shards(path, FEED, tmp_path / "shards", 500), whole)


def test_an_erased_customer_is_in_no_shard(tmp_path: Path) -> None:
    path, _ = many_rows(tmp_path)
    path.write_text(path.read_text().replace(",5,2024", ",730519642,2024") + "x,C730519642,,,,,,\n")
    erased = ErasedSubjects(frozenset({hash_subject(730519642, "a key")}), "a key")
    whole = clean_file(path, FEED, tmp_path / "whole", erased=erased)
    report = clean_by_shards(path, FEED, tmp_path / "shards", 2000, erased=erased)
    compare(report, whole)
    assert whole.rules["customer_id:erased"] > 100
    held = [
        file for file in (tmp_path / "shards").rglob("*") if file.is_file() and b"730519642" in file.read_bytes()
    ]
    assert not held


def test_the_end_mark_of_an_old_file_ends_only_the_file(tmp_path: Path) -> None:
    rows = "".join(ROW.format(key).replace("Thing", "Th\x1a") for key in range(1, 40))
    path = tmp_path / "old.csv"
    whole = clean(path, HEADER + rows.replace("0.05\n", "0.05\x1a\n") + "\x1a")
    compare(clean_by_shards(path, FEED, tmp_path / "shards", 300, chunk=50), whole)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (gzip.compress((HEADER + ROW.format(1) * 200).encode()), "compressed"),
        ((HEADER + ROW.format(1) * 200).encode("utf-16-le"), "utf-16-le"),
        (
            (HEADER + ROW.format(1) * 200).encode() + "1,5,2024-01-02,7,Café,2,1.1,0\n".encode("cp1252"),
            "is encoded",
        ),
        ((HEADER + ROW.format(1)).encode(), "one piece"),
    ],
)
def test_what_has_to_be_read_from_its_beginning_is_not_cut(tmp_path: Path, content: bytes, why: str) -> None:
    path = tmp_path / "file.csv"
    path.write_bytes(content)
    with pytest.raises(UncutError, match=why):
        plan(path, FEED, 500, 64, head_bytes=2000)


def test_a_plan_survives_json(tmp_path: Path) -> None:
    path, _ = many_rows(tmp_path)
    found = plan(path, FEED, 1000, 64)
    assert Plan.from_dict(json.loads(json.dumps(found.to_dict()))) == found
    assert (
        b"".join([path.read_bytes()[span.start : span.end] for span in found.spans])
        == (path.read_bytes()[found.source.body_offset :])
    )


def test_bytes_that_are_not_those_of_the_plan_are_refused(tmp_path: Path) -> None:
    path, _ = many_rows(tmp_path)
    found = plan(path, FEED, 1000, 64)
    shards = LocalShards(path, found, tmp_path / "shards", FEED, 64)
    span = found.spans[1]
    other = path.read_bytes()[span.start : span.end].replace(b"Thing", b"Thong", 1)
    with pytest.raises(UnavailableError, match="changed while it was read"):
        clean_shard(found, 1, in_chunks(other, 64), FEED, shards.of(1, "out"), shards.of(1, "work"))
    assert not list(shards.of(1, "out").iterdir())


def test_shards_of_other_libraries_are_refused(tmp_path: Path) -> None:
    path, _ = many_rows(tmp_path)
    found = plan(path, FEED, 1000, 64)
    shards = LocalShards(path, found, tmp_path / "shards", FEED, 64)
    results = [
        clean_shard(
            found, number, shards.read_span(number), FEED, shards.of(number, "out"), shards.of(number, "work")
        )
        for number in range(len(found.spans))
    ]
    with pytest.raises(RefusedError, match="different libraries or keys: polars 0, polars "):
        gather_shards(found, [*results[:-1], replace(results[-1], hashed_by="polars 0")], shards, FEED)
    with pytest.raises(RefusedError, match=f"{len(results) - 1} of {len(results)} shards"):
        gather_shards(found, results[1:], shards, FEED)
    # As many shards, of another cut or another content.
    moved = replace(results[1], span=replace(results[1].span, start=results[1].span.start + 30))
    other = replace(results[1], report=replace(results[1].report, sha256="0" * 64))
    for stale in (moved, other):
        with pytest.raises(RefusedError, match="some of another cut"):
            gather_shards(found, [results[0], stale, *results[2:]], shards, FEED)
    # Nothing was used up: it can be gathered again.
    assert gather_shards(found, results, shards, FEED) == gather_shards(found, results, shards, FEED)
