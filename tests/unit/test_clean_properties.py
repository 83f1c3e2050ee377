"""What holds for every file: cleaning again, in another order, in parts or in other blocks changes nothing."""

from __future__ import annotations

import csv
import io
import random
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from cleaning import HEADER, ROW, SAMPLE, accepted_texts, accepted_values, clean, read_rows, refusing_columns
from dirty_cells import GOOD, cells, write_csv
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from oracle import COLUMNS
from record_oracle import split_records

from audited_load.reading.faults import find_undecodable

QUIET = settings(
    deadline=None,
    derandomize=True,
    max_examples=25,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
ROWS = st.lists(cells(), min_size=2, max_size=15)


def lines_of(rows: list[dict[str, str]], start: int = 1) -> list[str]:
    """Write records with keys of their own."""
    return [
        write_csv([[str(number), *(row[name] for name in COLUMNS[1:])]])
        for number, row in enumerate(rows, start=start)
    ]


@QUIET
@given(ROWS)
def test_cleaning_a_cleaned_file_changes_nothing(tmp_path: Path, rows: list[dict[str, str]]) -> None:
    once = clean(tmp_path / "once.csv", HEADER + "".join(lines_of([*rows, GOOD])))
    twice = clean(tmp_path / "twice.csv", Path(once.cleaned_file).read_bytes())
    assert (twice.rules, twice.reasons, twice.totals) == ({}, {}, once.totals)
    assert accepted_texts(twice) == accepted_texts(once)
    assert twice.accepted == twice.read == once.accepted


@QUIET
@given(ROWS, st.randoms(use_true_random=False))
def test_the_order_of_records_does_not_matter(
    tmp_path: Path, rows: list[dict[str, str]], dice: random.Random
) -> None:
    lines = lines_of(rows)
    ordered = clean(tmp_path / "ordered.csv", HEADER + "".join(lines))
    dice.shuffle(lines)
    shuffled = clean(tmp_path / "shuffled.csv", HEADER + "".join(lines))
    assert accepted_texts(shuffled) == accepted_texts(ordered)
    assert (shuffled.totals, shuffled.reasons, shuffled.rules) == (ordered.totals, ordered.reasons, ordered.rules)


@QUIET
@given(ROWS, ROWS)
def test_a_file_may_be_split(tmp_path: Path, first: list[dict[str, str]], second: list[dict[str, str]]) -> None:
    parts = lines_of(first), lines_of(second, start=len(first) + 1)
    whole = clean(tmp_path / "whole.csv", HEADER + "".join(parts[0] + parts[1]))
    left, right = (clean(tmp_path / f"{n}.csv", HEADER + "".join(part)) for n, part in enumerate(parts))
    assert accepted_texts(left) | accepted_texts(right) == accepted_texts(whole)
    assert whole.quarantined == left.quarantined + right.quarantined
    for name, total in whole.totals.items():
        assert Decimal(total) == Decimal(left.totals[name]) + Decimal(right.totals[name])


@QUIET
@given(ROWS, st.data())
def test_blanking_a_cell_changes_its_own_record_only(
    tmp_path: Path, rows: list[dict[str, str]], data: st.DataObject
) -> None:
    place, column = data.draw(st.integers(0, len(rows) - 1)), data.draw(st.sampled_from(COLUMNS[1:]))
    before = clean(tmp_path / "before.csv", HEADER + "".join(lines_of(rows)))
    blanked = [row | {column: ""} if number == place else row for number, row in enumerate(rows)]
    after = clean(tmp_path / "after.csv", HEADER + "".join(lines_of(blanked)))
    for read in (accepted_values, refusing_columns):
        old, new = read(before), read(after)
        old.pop(place + 1, None)
        new.pop(place + 1, None)
        assert new == old


@QUIET
@given(ROWS)
def test_no_record_and_no_change_goes_uncounted(tmp_path: Path, rows: list[dict[str, str]]) -> None:
    report = clean(tmp_path / "file.csv", HEADER + "".join([*lines_of(rows), *lines_of(rows)]))
    assert report.read == report.accepted + report.quarantined + report.duplicates == 2 * len(rows)
    assert len(read_rows(report.cleaned_file)) == report.accepted
    assert len(read_rows(report.rejected_file)) == report.quarantined
    for row in lines_of(rows):
        alone = clean(tmp_path / "alone.csv", HEADER + row)
        if alone.accepted:
            (values,) = accepted_texts(alone)
            (texts,) = csv.reader(io.StringIO(row, newline=""))
            for column, text, value in zip(COLUMNS, texts, values, strict=True):
                logged = sum(count for rule, count in alone.rules.items() if rule.startswith(f"{column}:"))
                assert (logged > 0) == (not is_same(column, text, value)), (column, text, value, alone.rules)


def is_same(column: str, text: str, value: str) -> bool:
    """Return whether a cell says its value canonically; up to four decimals, trailing zeros are no change."""
    if column in {"price", "tax"} and text and value and "." in value:
        short = "." in text and len(text.partition(".")[2]) <= 4
        return text == "-0" or value.rstrip("0").rstrip(".") == (text.rstrip("0").rstrip(".") if short else text)
    return text == value


BROKEN = [
    *("1,5,2024-01-02\n", '1,"a"b,c\n', '1,5,2024-01-02,7,"never,2,1.10,0.05\n', "1,\0,,,,,,\n", "\n", "\n\n"),
    *('1,5,2024-01-02,7,"a\nb",2,1.10,0.05\n', '1,5,2024-01-02,7,"a ""b"", c",2,1.10,0.05\n', "1,,,,,,,,,,\n"),
    *(ROW.format(1), ROW.format(2), ROW.format("T1"), ROW.format(3).replace("Thing", "Café 🧾")),
]


@settings(QUIET, max_examples=60)
@given(
    st.lists(st.sampled_from(BROKEN), max_size=12),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252"]),
    st.integers(4, 120),  # a byte order mark is not cut
    st.booleans(),
)
def test_blocks_do_not_matter_to_a_byte(
    tmp_path: Path, lines: list[str], newline: str, encoding: str, chunk: int, last_newline: bool
) -> None:
    text = HEADER + "".join(lines)
    content = (text if last_newline else text.removesuffix("\n")).replace("\n", newline).encode(encoding, "ignore")
    whole = clean(tmp_path / "file.csv", content)
    files = Path(whole.cleaned_file).read_bytes(), Path(whole.rejected_file).read_bytes()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("audited_load.reading.compression.CHUNK_BYTES", chunk)
        parts = clean(tmp_path / "file.csv", content)
    assert (Path(parts.cleaned_file).read_bytes(), Path(parts.rejected_file).read_bytes()) == files
    assert parts == whole


def test_days_that_lie_close_are_written_as_those_that_lie_apart(tmp_path: Path) -> None:
    """Of many days within a short time each is put into words once: that must be the same words."""
    days = [date(2024, 2, 27) + timedelta(days=number % 5) for number in range(40)]
    close = [ROW.format(number).replace("2024-01-02", str(day)) for number, day in enumerate(days, start=1)]
    apart = [*close, ROW.format(41).replace("2024-01-02", "1999-12-31")]
    for name, lines in {"close": close, "apart": apart}.items():
        report = clean(tmp_path / f"{name}.csv", HEADER + "".join(lines))
        written = [row["transaction_date"] for row in read_rows(report.cleaned_file)]
        assert written[:40] == [day.isoformat() for day in days]


@QUIET
@given(
    st.lists(st.sampled_from(["é", "€", "😀", "a", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82"]))
)
def test_bytes_that_python_can_not_decode_are_found_and_no_others(pieces: list[str | bytes]) -> None:
    """Overlong forms, halves of a pair, what is beyond Unicode, and what ends too early."""
    data = b"".join(piece.encode() if isinstance(piece, str) else piece for piece in pieces)
    try:
        data.decode()
    except UnicodeDecodeError:
        assert find_undecodable(data)
    else:
        assert find_undecodable(data) == []


def test_undecodable_records_do_not_depend_on_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = (HEADER + ROW.format(1).replace("Thing", "Café 🧾")).encode() + b"2,\xff,,,,,,\n3,\xf0\x9f,,,,,,\n"
    whole = clean(tmp_path / "file.csv", content)
    rejected = Path(whole.rejected_file).read_bytes()
    assert (whole.encoding, whole.reasons) == ("utf-8", {"record:undecodable_bytes": 2})
    for chunk in range(1, 40):
        monkeypatch.setattr("audited_load.reading.compression.CHUNK_BYTES", chunk)
        assert clean(tmp_path / "file.csv", content) == whole
        assert Path(whole.rejected_file).read_bytes() == rejected


def test_the_sample_shuffled_keeps_its_accounting(tmp_path: Path) -> None:
    """Copies of a key change which record wins, so only records with a key of their own are shuffled."""
    whole = clean(tmp_path / "sample.csv", SAMPLE.read_bytes())
    records = [raw for raw, _ in split_records(SAMPLE.read_bytes(), len(COLUMNS))]
    assert len(records) == whole.read
    kept = {int(row["source_record"]) for row in read_rows(whole.cleaned_file)}
    lines = [raw for number, raw in enumerate(records, start=1) if number in kept]
    random.Random(5).shuffle(lines)
    shuffled = clean(tmp_path / "shuffled.csv", HEADER.encode() + b"\n".join(lines))
    assert (accepted_texts(shuffled), shuffled.totals) == (accepted_texts(whole), whole.totals)
