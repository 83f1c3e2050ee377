"""The rejected file: each record can be found, repaired and handed in again; a spreadsheet runs nothing."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from cleaning import HEADER, ROW, accepted_texts, clean, read_rows

from audited_load.clean_report import CleanReport
from customer_pipeline.sample.generator import write_sample

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001 - full width ones count
HOSTILE = [
    "=cmd()",
    "+1",
    "-1+1",
    "@SUM(A1)",
    "\t=1",
    "'=1",
    "''x",
    "=1\n=2",
    "\u202e=1",
    "'; DROP TABLE x; --",
    "x;=1",
]


def take_guard_off(text: str) -> str:
    return text.removeprefix("'")


def assert_rejects_are_in_the_file(report: CleanReport, content: bytes) -> None:
    for row in read_rows(report.rejected_file):
        start = int(row["byte_offset"])
        raw = take_guard_off(row["raw_record"])
        found = content[start:].decode(errors="backslashreplace").replace("\0", "\\x00")
        assert found.startswith(raw)
        assert found[len(raw) : len(raw) + 1] in {"", "\r", "\n"}
        assert content.count(b"\n", 0, start) + 1 == int(row["source_line"])


def test_each_reject_is_where_the_file_says_it_is(tmp_path: Path) -> None:
    out = io.BytesIO()
    write_sample(out, 2000, 9, 0.5)
    report = clean(tmp_path / "file.csv", out.getvalue())
    assert report.quarantined > 500
    assert_rejects_are_in_the_file(report, out.getvalue())


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_hostile_rejects_are_where_the_file_says_they_are(tmp_path: Path, newline: str) -> None:
    rows = [ROW.format('"' + text + '"') + text + "\n" for text in HOSTILE]
    content = (HEADER + ROW.format(1) + "\n" + "".join(rows)).replace("\n", newline).encode()
    content += b"7,\xff\0,=,\\xff" + newline.encode()
    report = clean(tmp_path / "file.csv", content)
    assert (report.accepted, report.quarantined) == (1, report.read - 1)
    assert_rejects_are_in_the_file(report, content)


def test_a_byte_order_mark_counts_as_bytes(tmp_path: Path) -> None:
    content = b"\xef\xbb\xbf" + (HEADER + ROW.format("x")).encode()
    assert_rejects_are_in_the_file(clean(tmp_path / "file.csv", content), content)


def test_repaired_rejects_are_all_accepted_when_handed_in_again(tmp_path: Path) -> None:
    good = [ROW.format(n) for n in range(1, 40)]
    spoilt = [
        row.replace("2024-01-02", "31-02-2023")
        if n % 3 == 0
        else row.replace(",2,", ",=2,")
        if n % 3 == 1
        else "=" + row
        for n, row in enumerate(good)
    ]
    spoilt[7] = spoilt[7].replace("Thing", '"Thi""n\ng"')
    report = clean(tmp_path / "bad.csv", HEADER + "".join(spoilt))
    assert (report.accepted, report.quarantined) == (0, len(good))
    repaired = []
    for row in read_rows(report.rejected_file):
        (fields,) = csv.reader(io.StringIO(take_guard_off(row["raw_record"]), newline=""))
        fields[0] = fields[0].removeprefix("=")
        fields[2], fields[4], fields[5] = "2024-01-02", "Thing", "2"
        repaired.append(",".join(fields) + "\n")
    again = clean(tmp_path / "repaired.csv", HEADER + "".join(repaired))
    assert (again.accepted, again.quarantined) == (len(good), 0)
    assert accepted_texts(again) == accepted_texts(clean(tmp_path / "good.csv", HEADER + "".join(good)))


def test_no_cell_of_the_rejected_file_starts_like_a_formula(tmp_path: Path) -> None:
    cells = [f'"{start}1+1"' for start in FORMULA_STARTS if start != "\r"]
    lines = [start + "cmd()" for start in FORMULA_STARTS if start not in "\r\n＝＋－＠"]  # noqa: RUF001
    content = (
        HEADER + "".join(ROW.format(1).replace("2024-01-02", cell) for cell in cells) + "\n".join(lines) + "\n"
    )
    report = clean(tmp_path / "file.csv", content)
    assert report.quarantined == len(cells) + len(lines)
    for row in read_rows(report.rejected_file):
        assert not [text for text in row.values() if text.startswith(FORMULA_STARTS)]


def test_a_full_width_sign_is_guarded_too(tmp_path: Path) -> None:
    report = clean(tmp_path / "file.csv", HEADER + "＝cmd(),5,2024-01-02,7,Thing,2,1.10,0.05\n")  # noqa: RUF001
    assert read_rows(report.rejected_file)[0]["raw_record"].startswith("'")


@pytest.mark.parametrize("raw", ["x\ry", "x\r=cmd()", '1,5,2024-01-02,7,Thing,2,"1\r=1",0.05'])
def test_a_lone_carriage_return_does_not_break_the_rejected_file(tmp_path: Path, raw: str) -> None:
    report = clean(tmp_path / "file.csv", HEADER + raw + "\n" + ROW.format(2))
    (row,) = read_rows(report.rejected_file)
    assert row["raw_record"] == raw


def test_a_lone_carriage_return_and_a_superseded_record_go_together(tmp_path: Path) -> None:
    report = clean(tmp_path / "file.csv", HEADER + "x\ry\n" + ROW.format(2) + ROW.format(2).replace("1.10", "9"))
    assert report.quarantined == 2
