"""Whole files: every record is accounted for, exactly, whatever the file is like."""

from __future__ import annotations

import csv
import gzip
import json
from decimal import Decimal
from pathlib import Path

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audited_load.clean_report import CleanReport
from audited_load.cleaning.clean_file import clean_file
from audited_load.errors import UnavailableError, UnusableFileError
from audited_load.reading import odd_records
from customer_pipeline.sample.generator import describe
from steps.data_cleaners import CUSTOMER_TRANSACTIONS

HEADER = "transaction_id,customer_id,transaction_date,product_id,product_name,quantity,price,tax\n"
ROW = "{},5,2024-01-02,7,Thing,2,1.10,0.05\n"
SAMPLE = Path(__file__).parents[2] / "data" / "customer_transactions.csv"


def clean(path: Path, content: str | bytes | None = None) -> CleanReport:
    if content is not None:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return clean_file(path, CUSTOMER_TRANSACTIONS, path.parent / f"{path.name}-out")


def accepted(report: CleanReport) -> list[dict[str, str]]:
    with Path(report.cleaned_file).open(newline="") as file:
        return list(csv.DictReader(file))


def rejected(report: CleanReport) -> list[dict[str, str]]:
    with Path(report.rejected_file).open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_sample_gives_what_its_generator_knows(tmp_path: Path) -> None:
    report = clean_file(SAMPLE, CUSTOMER_TRANSACTIONS, tmp_path)
    truth = describe(1000, 42)
    for name in ("read", "accepted", "quarantined", "duplicates", "superseded", "reasons"):
        assert getattr(report, name) == truth[name]
    assert {name: Decimal(value) for name, value in report.totals.items()} == {
        name: Decimal(value) for name, value in truth["totals"].items()
    }


def test_cleaning_a_cleaned_file_changes_nothing(tmp_path: Path) -> None:
    once = clean_file(SAMPLE, CUSTOMER_TRANSACTIONS, tmp_path / "once")
    twice = clean_file(Path(once.cleaned_file), CUSTOMER_TRANSACTIONS, tmp_path / "twice")
    assert (twice.rules, twice.reasons, twice.totals) == ({}, {}, once.totals)
    without = [{k: v for k, v in row.items() if k != "source_record"} for row in accepted(once)]
    assert [{k: v for k, v in row.items() if k != "source_record"} for row in accepted(twice)] == without


def test_small_blocks_give_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = clean_file(SAMPLE, CUSTOMER_TRANSACTIONS, tmp_path / "whole")
    monkeypatch.setattr("audited_load.reading.compression.CHUNK_BYTES", 777)
    parts = clean_file(SAMPLE, CUSTOMER_TRANSACTIONS, tmp_path / "parts")
    assert Path(parts.cleaned_file).read_bytes() == Path(whole.cleaned_file).read_bytes()
    assert Path(parts.rejected_file).read_bytes() == Path(whole.rejected_file).read_bytes()
    assert (parts.rules, parts.reasons, parts.totals) == (whole.rules, whole.reasons, whole.totals)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_every_dialect_reads_the_same(tmp_path: Path, delimiter: str, newline: str, encoding: str) -> None:
    text = (HEADER + ROW.format(1) + ROW.format(2).replace("Thing", "Café")).replace(",", delimiter)
    report = clean(tmp_path / "file.csv", text.replace("\n", newline).encode(encoding))
    assert [row["product_name"] for row in accepted(report)] == ["Thing", "Café"]
    assert (report.read, report.quarantined) == (2, 0)


@pytest.mark.parametrize("compress", [gzip.compress, zstandard.compress])
def test_a_compressed_file_reads_the_same(tmp_path: Path, compress: object) -> None:
    report = clean(tmp_path / "file.csv", compress((HEADER + ROW.format(1)).encode()))
    assert report.accepted == 1


def test_columns_are_found_by_name_and_unknown_ones_are_dropped(tmp_path: Path) -> None:
    content = "Secret, TAX ,Price,quantity,product name,product_id,transaction_date,Customer-ID,transaction_id\n"
    report = clean(tmp_path / "file.csv", content + "x,0.05,1.10,2,Thing,7,2024-01-02,5,1\n")
    (row,) = accepted(report)
    assert (row["transaction_id"], row["tax"]) == ("1", "0.0500")
    assert report.ignored_columns == ["Secret"]
    assert "x" not in row.values()


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (b"1,5,2024-01-02,7,Thing,2,1.10", "too_few_fields"),
        (b"1,5,2024-01-02,7,Thing,2,1.10,0.05,9", "too_many_fields"),
        (b'1,5,2024-01-02,7,"Th"ing,2,1.10,0.05', "stray_quote"),
        (b'1,5,2024-01-02,7,"Thing,2,1.10,0.05', "unclosed_quote"),
        (b"1,5,2024-01-02,7,Th\0ing,2,1.10,0.05", "nul_byte"),
        (b"1,5,2024-01-02,7,Th\xffing,2,1.10,0.05", "undecodable_bytes"),
    ],
)
def test_a_broken_record_is_quarantined_and_the_rest_is_read(tmp_path: Path, line: bytes, fault: str) -> None:
    rest = "".join(ROW.format(n) for n in range(10, 20)).replace("Thing", "Café").encode()
    report = clean(tmp_path / "file.csv", HEADER.encode() + rest + line + b"\n" + rest.replace(b"\n1", b"\n2"))
    assert report.reasons == {f"record:{fault}": 1} | (
        {"record:superseded": report.superseded} if report.superseded else {}
    )
    assert report.read == 21
    bad = next(row for row in rejected(report) if fault in row["reasons"])
    assert (bad["source_record"], bad["source_line"]) == ("11", "12")
    assert int(bad["byte_offset"]) == len(HEADER) + len(rest)


def test_one_line_too_long_and_one_too_short_do_not_cancel_out(tmp_path: Path) -> None:
    rows = [ROW.format(n) for n in range(1000)]
    rows[500], rows[700] = "500,5,2024-01-02,7,Thing,2,1.10\n", "700,5,2024-01-02,7,Thing,2,1.10,0.05,9\n"
    report = clean(tmp_path / "file.csv", HEADER + "".join(rows))
    assert report.reasons == {"record:too_few_fields": 1, "record:too_many_fields": 1}
    assert report.accepted == 998


def test_a_quoted_newline_shifts_lines_but_not_records(tmp_path: Path) -> None:
    quoted = ROW.format(1).replace("Thing", '"Thing, ""big"""')
    broken = ROW.format(2).replace("Thing", '"a\nb"')
    report = clean(tmp_path / "file.csv", HEADER + quoted + broken + ROW.format(3) + ROW.format("x"))
    assert [row["product_name"] for row in accepted(report)] == ['Thing, "big"', "Thing"]
    assert [row["source_record"] for row in accepted(report)] == ["1", "3"]
    assert [(row["source_record"], row["source_line"]) for row in rejected(report)] == [("2", "3"), ("4", "6")]


def test_the_last_of_equal_keys_wins_and_equal_records_collapse(tmp_path: Path) -> None:
    other = ROW.format("T1").replace("1.10", "9.99")
    same = ROW.format("1.0").replace("1.10", "1.1000")
    report = clean(tmp_path / "file.csv", HEADER + ROW.format(1) + other + same + ROW.format(2))
    assert (report.accepted, report.duplicates, report.superseded, report.quarantined) == (2, 1, 1, 1)
    assert [row["source_record"] for row in accepted(report)] == ["3", "4"]
    (loser,) = rejected(report)
    assert "line 4" in loser["reasons"]
    assert loser["raw_record"] == other.strip()
    assert Decimal(report.totals["gross"]) == Decimal("4.40")


def test_all_faults_of_a_record_are_listed(tmp_path: Path) -> None:
    report = clean(tmp_path / "file.csv", HEADER + "x,501.7,31-02-2023,7,Thing,1.5,abc,1\n" + ROW.format(1))
    (row,) = rejected(report)
    for name in ("transaction_id", "customer_id", "transaction_date", "quantity", "price"):
        assert f"{name}:" in row["reasons"]
    assert report.quarantined == 1


def test_a_raw_record_that_looks_like_a_formula_is_harmless(tmp_path: Path) -> None:
    report = clean(tmp_path / "file.csv", HEADER + "=cmd(),5,2024-01-02,7,Thing,2,1.10,0.05\n" + ROW.format(1))
    assert rejected(report)[0]["raw_record"].startswith("'=cmd()")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"\n\n", "no header"),
        (b"a,b\n1,2\n", "missing"),
        (HEADER.encode().replace(b"tax", b"price"), "missing"),
        (b"\x1f\x8b\x08\x00broken", "can't be read to its end"),
        (gzip.compress(b"0" * 50_000_000), "expands"),
    ],
)
def test_an_unusable_file_is_a_clear_error(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(UnusableFileError, match=message):
        clean(tmp_path / "file.csv", content)
    assert not list(tmp_path.glob("**/*_cleaned.csv"))


def test_a_directory_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(UnusableFileError, match="not a regular file"):
        clean(tmp_path)


def test_a_file_that_changes_while_it_is_read_gives_nothing(tmp_path: Path) -> None:
    path = tmp_path / "file.csv"
    path.write_text(HEADER + ROW.format(1))

    def grow(_bytes: int, _records: int) -> None:
        with path.open("a") as file:
            file.write(ROW.format(2))

    with pytest.raises(UnavailableError, match="changed"):
        clean_file(path, CUSTOMER_TRANSACTIONS, tmp_path / "out", grow)
    assert list((tmp_path / "out").iterdir()) == []


CELLS = st.sampled_from(
    ["", "1", "2", "501.0", "T7", "2024-01-02", "31-02-2023", "11-07-2023", "Five", "Two Hundred", "abc", '"',
     '"a,b"', '"a\nb"', "é", "\xa0", "-", "inf", "$1,234.50", "1,5", "\0", "x" * 300]
)  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(CELLS, min_size=1, max_size=10).map(",".join), max_size=12), st.integers(30, 300))
def test_any_file_is_accounted_for_and_blocks_do_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: list[str], chunk: int
) -> None:
    content = HEADER + "\n".join(lines)
    whole = clean(tmp_path / "whole.csv", content)
    with monkeypatch.context() as patched:
        patched.setattr("audited_load.reading.compression.CHUNK_BYTES", chunk)
        parts = clean(tmp_path / "parts.csv", content)
    assert (parts.read, parts.accepted, parts.reasons, parts.totals) == (
        whole.read,
        whole.accepted,
        whole.reasons,
        whole.totals,
    )
    assert len(accepted(whole)) == whole.accepted
    assert len(rejected(whole)) == whole.quarantined


def test_a_quote_that_closes_after_the_limit_counts_as_never_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(odd_records, "MAX_RECORD_BYTES", 200)
    long = ROW.format(1).replace("Thing", '"' + "a\n" * 150 + '"')
    report = clean(tmp_path / "file.csv", HEADER + long + ROW.format(2))
    assert "record:unclosed_quote" in report.reasons
    assert report.accepted == 1


def test_a_report_keeps_the_order_of_columns_where_names_lose_theirs_as_in_the_database_of_airflow(
    tmp_path: Path,
) -> None:
    report = clean(tmp_path / "file.csv", HEADER + ROW.format(1))
    stored = json.dumps(report.to_dict(), sort_keys=True)
    assert [*report.columns] != sorted(report.columns)
    assert CleanReport.from_dict(json.loads(stored)) == report
