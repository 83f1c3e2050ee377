"""Which lines are records: nothing vanishes between quotes, and what is no record is no record."""

from __future__ import annotations

import random
import re
from collections import Counter
from pathlib import Path

import pytest
from cleaning import HEADER, ROW, accepted_values, clean, read_rows
from oracle import COLUMNS

from audited_load.errors import UnusableFileError

NOTED = HEADER.strip() + ",notes\n"
FIRST_ID = 700_001


def noted(number: int, note: str) -> str:
    return ROW.format(number).strip() + f",{note}\n"


def found_ids(report_files: tuple[str, str]) -> Counter[int]:
    """Count every id in the accepted records and in the texts of the refused ones."""
    cleaned, rejected = report_files
    found = Counter(int(row["transaction_id"]) for row in read_rows(cleaned))
    for row in read_rows(rejected):
        found.update(map(int, re.findall(r"\b7\d{5}\b", row["raw_record"])))
    return found


def damaged_file(draw: random.Random, *, key_first: bool) -> tuple[str, int]:
    """Write a file with stray quotes, ragged rows and quoted line ends anywhere; give it and its number of ids."""
    columns = [*COLUMNS, "notes", "remark"]
    if not key_first:
        draw.shuffle(columns)
    good = dict(zip(COLUMNS, ROW.strip().split(","), strict=True)) | {"notes": "ok", "remark": ""}
    lines, count = [",".join(columns)], draw.randint(2, 12)
    for number in range(count):
        fields = {**good, "transaction_id": str(FIRST_ID + number)}
        row = [fields[name] for name in columns]
        for _ in range(draw.choice((0, 0, 1, 1, 2))):
            place = draw.randrange(len(row))
            if columns[place] == "transaction_id":
                continue
            text = row[place]
            row[place] = draw.choice(
                [
                    f'"{text}',
                    f'{text}"',
                    f'{text[:2]}"{text[2:]}',
                    f'"{text}\n{text}"',
                    f'"a, ""b""\r\n{text}"',
                    '"',
                ]
            )
        ragged = draw.random()
        if ragged < 0.1:
            row.append("more")
        elif ragged < 0.2:
            row = row[: max(row.index(fields["transaction_id"]) + 1, draw.randint(1, len(row)))]
        lines.append(",".join(row))
    return draw.choice(("\n", "\r\n")).join(lines) + draw.choice(("", "\n")), count


@pytest.mark.parametrize("seed", range(10))
def test_no_id_of_a_damaged_file_vanishes_or_is_there_twice(tmp_path: Path, seed: int) -> None:
    """A thousand files in all."""
    draw = random.Random(seed)
    for number in range(100):
        content, count = damaged_file(draw, key_first=bool(number % 2))
        report = clean(tmp_path / "file.csv", content.encode())
        expected = Counter(range(FIRST_ID, FIRST_ID + count))
        assert found_ids((report.cleaned_file, report.rejected_file)) == expected, content


def test_two_stray_quotes_in_a_column_that_is_not_kept_swallow_nothing(tmp_path: Path) -> None:
    """At every pair of records; the ones between them were once in no file and no count."""
    for first in range(1, 7):
        for last in range(first + 1, 8):
            notes = {first: '"screen', last: '21"'}
            content = NOTED + "".join(noted(number, notes.get(number, "ok")) for number in range(1, 9))
            report = clean(tmp_path / "file.csv", content)
            assert (report.read, report.accepted) == (8, 7), (first, last)
            assert report.reasons == {"record:unclosed_quote": 1}
            assert report.rules["record:quote_in_field"] == 1


@pytest.mark.parametrize(
    "note",
    ['"a\nb"', '"a, b\nc, d"', '"a\n\nb"', '"said ""yes""\nand left"', '"\n"', '"a\r\nb"', '"1) first\n2) second"'],
)
def test_a_note_over_several_lines_is_one_record(tmp_path: Path, note: str) -> None:
    report = clean(tmp_path / "file.csv", NOTED + noted(1, note) + noted(2, "ok") + noted(3, note))
    assert (report.read, report.accepted, report.rules) == (3, 3, {})


def test_a_first_column_over_several_lines_is_one_record(tmp_path: Path) -> None:
    content = "notes," + HEADER + '"a\nb",' + ROW.format(1) + '"c\nd",' + ROW.format(2)
    report = clean(tmp_path / "file.csv", content)
    assert (report.read, report.accepted) == (2, 2)


def test_a_file_with_each_field_in_quotes_may_hold_anything_over_lines(tmp_path: Path) -> None:
    whole = ",".join(f'"{field}"' for field in [*ROW.format(1).strip().split(","), "x\n" + ROW.format(2) + "y"])
    report = clean(tmp_path / "file.csv", NOTED + whole + "\n" + whole.replace('"1"', '"3"', 1) + "\n")
    assert (report.read, report.accepted) == (2, 2)


@pytest.mark.parametrize(
    "line",
    [",,,,,,,", " , ,\t,,,,, ", '"","","","","","","",""', '""', "   ", "\t", ",", ",,,,,,,,,,,,", "\u00a0",
     "\ufeff", "\u200b,,,", " \x0b\x0c"],
)  # fmt: skip
def test_a_row_of_nothing_is_a_blank_line(tmp_path: Path, line: str) -> None:
    report = clean(tmp_path / "file.csv", HEADER + ROW.format(1) + f"{line}\n" + ROW.format(2) + line)
    assert (report.read, report.accepted, report.blank_lines) == (2, 2, 2)


def test_a_row_of_null_tokens_is_a_record(tmp_path: Path) -> None:
    report = clean(tmp_path / "file.csv", HEADER + ROW.format(1) + "-,-,-,-,-,-,-,-\n")
    assert (report.read, report.quarantined, report.blank_lines) == (2, 1, 0)


@pytest.mark.parametrize(
    "again",
    [
        HEADER,
        HEADER.upper(),
        HEADER.replace("_", " "),
        "\ufeff" + HEADER,
        ",".join(f'"{name}"' for name in COLUMNS) + "\n",
        HEADER.replace("\n", "\r\n"),
    ],
    ids=["same", "upper", "spaces", "mark", "quoted", "crlf"],
)
def test_a_header_in_the_middle_is_no_record(tmp_path: Path, again: str) -> None:
    report = clean(tmp_path / "file.csv", HEADER + ROW.format(1) + again + ROW.format(2) + again + ROW.format(3))
    assert (report.read, report.accepted, report.rules) == (3, 3, {"record:header_again": 2})
    assert sorted(accepted_values(report)) == [1, 2, 3]


def test_many_daily_files_joined_are_read_whole(tmp_path: Path) -> None:
    days = [HEADER + "".join(ROW.format(day * 10 + number) for number in range(10)) for day in range(30)]
    report = clean(tmp_path / "file.csv", "".join(days))
    assert (report.read, report.accepted, report.rules) == (300, 300, {"record:header_again": 29})


def test_a_header_again_in_another_order_is_refused(tmp_path: Path) -> None:
    other, row = ",".join(COLUMNS[::-1]) + "\n", ",".join(ROW.format(2).strip().split(",")[::-1])
    with pytest.raises(UnusableFileError, match="Line 3 says the header again, but in another order"):
        clean(tmp_path / "file.csv", HEADER + ROW.format(1) + other + row)


@pytest.mark.parametrize("start", ["", ",", " ", "\t", "\x1a", "#", "'", "\u00a0", "\u200b", ' "'])
@pytest.mark.parametrize("names", ["tax,price,notes", "tax,price,remark", "price,notes", "total,price,tax"])
def test_a_second_header_with_other_columns_is_seen_too(tmp_path: Path, start: str, names: str) -> None:
    """The records below it would be read in the order of the first."""
    again = start + HEADER.strip().replace("price,tax", names)
    if start.endswith('"'):
        again = again.replace(",", '",', 1)
    with pytest.raises(UnusableFileError, match="Line 3 says the header again, but in another order"):
        clean(tmp_path / "joined.csv", NOTED + noted(1, "x") + again + "\n" + noted(2, "y"))


@pytest.mark.parametrize(
    ("above", "why"),
    [
        ((HEADER + ROW.format(9)).replace(",", "^"), "written in another way"),
        ("".join(f'"{line}"\n' for line in (HEADER + ROW.format(9)).splitlines()), "written in another way"),
        (ROW.format(9).replace(",", "^") * 51, "too many to be titles"),
    ],
)
def test_records_above_the_header_are_not_taken_for_titles(tmp_path: Path, above: str, why: str) -> None:
    with pytest.raises(UnusableFileError, match=why):
        clean(tmp_path / "joined.csv", above + HEADER + ROW.format(1))


@pytest.mark.parametrize("end", ["\x1a", "\x1a\n", "\x1a\r\n", "\n\x1a", "\x1a\x1a"])
def test_the_mark_at_the_end_of_an_old_file_is_no_data(tmp_path: Path, end: str) -> None:
    report = clean(tmp_path / "file.csv", HEADER + ROW.format(1) + ROW.format(2).strip() + end)
    assert (report.read, report.accepted) == (2, 2)


def test_a_blank_field_too_many_throughout_is_read(tmp_path: Path) -> None:
    rows = "".join(ROW.format(number).replace("\n", ",\n") for number in range(1, 6))
    report = clean(tmp_path / "rows.csv", HEADER + rows)
    assert (report.read, report.accepted, report.rules) == (5, 5, {"file:blank_last_field": 1})
    report = clean(tmp_path / "both.csv", HEADER.replace("\n", ",\n") + rows)
    assert (report.read, report.accepted) == (5, 5)
    report = clean(tmp_path / "header.csv", HEADER.replace("\n", ",\n") + rows.replace(",\n", "\n"))
    assert (report.read, report.accepted) == (5, 5)


def test_a_ninth_field_that_holds_something_is_refused_even_if_the_others_are_blank(tmp_path: Path) -> None:
    rows = [ROW.format(number).replace("\n", ",\n") for number in range(1, 21)]
    rows[7] = rows[7].replace(",\n", ",9\n")
    report = clean(tmp_path / "file.csv", HEADER + "".join(rows))
    assert (report.accepted, report.reasons) == (19, {"record:too_many_fields": 1})
    assert "9 fields, the header has 8" in read_rows(report.rejected_file)[0]["reasons"]


def test_a_quoted_field_after_a_space_is_read_if_throughout(tmp_path: Path) -> None:
    row = '1, "5", "2024-01-02", 7, "Thing, big", 2, "1.10", 0.05\n'
    report = clean(tmp_path / "all.csv", HEADER + row + row.replace("1,", "2,", 1))
    assert [values[4] for values in accepted_values(report).values()] == ["Thing, big"] * 2
    assert report.rules["record:space_beside_quote"] == 2
    report = clean(tmp_path / "some.csv", HEADER + row + ROW.format(2).replace("Thing", '"Thing"'))
    assert report.reasons == {"record:stray_quote": 1}


@pytest.mark.parametrize("name", ['Monitor 24" wide', '24"', 'a "b" c', 'x""', "5' 10\""])
def test_a_quote_inside_a_field_is_a_character(tmp_path: Path, name: str) -> None:
    report = clean(tmp_path / "file.csv", HEADER + ROW.format(1).replace("Thing", name) + ROW.format(2))
    assert accepted_values(report)[1][4] == name
    assert report.rules == {"record:quote_in_field": 1}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("9,5,2024-01-02,7,Thing,2,1.10", "record:too_few_fields: 7 fields, the header has 8"),
        ("9", "record:too_few_fields: 1 field, the header has 8"),
        ("9,5,2024-01-02,7,Thing,2,1.10,0.05,x", "record:too_many_fields: 9 fields, the header has 8"),
        ("9,5,2024-01-02,7,Th\0ing,2,1.10,0.05", "record:nul_byte: a NUL at column 20"),
        ("9,5,2024-01-02,7,Caf\udce9,2,1.10,0.05", "byte 0xe9 at column 21 is not UTF-8"),
        ('9,5,2024-01-02,7,"Thing,2,1.10,0.05', "the quote at column 18, in field 5, is not closed"),
        ('9,5,2024-01-02,7, "Thing",2,1.10,0.05', "the quote at column 19, in field 5, has a space before it"),
        ('9,5,2024-01-02,7,"Thi"ng,2,1.10,0.05', "the quote at column 22, in field 5, closes the field, but more"),
    ],
)
def test_the_reason_of_a_broken_record_gives_the_figures(tmp_path: Path, line: str, reason: str) -> None:
    content = HEADER + ROW.format(1).replace("Thing", '"Café"') + line + "\n" + ROW.format(2)
    report = clean(tmp_path / "file.csv", content.encode(errors="surrogateescape"))
    assert reason in read_rows(report.rejected_file)[0]["reasons"]
    assert report.accepted == 2


SHIFTED = "customer_id,product_name,transaction_id,product_id,quantity,tax,price,transaction_date,memo\n"


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        # One field too many, or too few, before the key.
        (
            SHIFTED
            + '1,Lamp,700003,5,2,1.00,10.50,2023-07-11,"\n'
            + '1,Desk, big,700004,5,2,1.00,10.50,2023-07-12,"\n'
            + "1,Lamp,700005,5,2,1.00,10.50,2023-07-12,m\n",
            3,
        ),
        (
            SHIFTED
            + '1,Lamp,700003,5,2,1.00,10.50,2023-07-11,"\n'
            + '1,700004,5,2,1.00,10.50,2023-07-12,"\n'
            + "1,Lamp,700005,5,2,1.00,10.50,2023-07-12,m\n",
            3,
        ),
        # An id with what shows nothing.
        (
            NOTED
            + noted(700_001, '"see').replace("Thing", "a")
            + "700002\u200b,1,2023-07-12,5,Desk,2,10.50,1.00\n"
            + 'end"\n'
            + noted(700_004, "m"),
            3,
        ),
        # A header whose line goes on.
        (HEADER + ROW.format(700_001) + HEADER.strip() + ",700002,1,2023-07-12,5,Desk,2,1.00,1\n", 2),
        # A line end that was lost in a column that is not kept.
        (NOTED + noted(700_001, "a\r700002") + noted(700_003, "b"), 3),
    ],
    ids=["too many", "too few", "invisible", "header and record", "lone return"],
)
def test_no_id_vanishes_in_what_reviewers_found(tmp_path: Path, content: str, lines: int) -> None:
    report = clean(tmp_path / "file.csv", content.encode())
    found = found_ids((report.cleaned_file, report.rejected_file))
    assert sum(found.values()) == lines
    assert set(found.values()) == {1}


@pytest.mark.parametrize("last", ["", ROW.format(2)])
@pytest.mark.parametrize("name", [b"Stra\xdfe", b"\0"])
def test_a_strange_header_in_the_middle_spoils_no_record(tmp_path: Path, name: bytes, last: str) -> None:
    header = HEADER.strip().encode() + b"," + name + b"\n"
    row = ROW.format(1).replace("Thing", "Größe").replace("\n", ",x\n").encode()
    report = clean(tmp_path / "file.csv", header + row + header + last.replace("\n", ",x\n").encode())
    assert (report.accepted, report.quarantined) == (1 + bool(last), 0)


def test_a_mark_at_the_start_of_a_name_does_not_depend_on_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    header = "product_name,transaction_id,customer_id,transaction_date,product_id,quantity,price,tax\n"
    rows = "".join(f"\ufeffLamp,{number},1,2023-07-11,5,2,10.50,1.00\n" for number in range(1, 9))
    whole = accepted_values(clean(tmp_path / "whole.csv", header + rows))
    monkeypatch.setattr("audited_load.reading.compression.CHUNK_BYTES", 101)
    assert accepted_values(clean(tmp_path / "parts.csv", header + rows)) == whole


def test_a_filled_last_field_without_a_name_is_refused(tmp_path: Path) -> None:
    rows = "".join(ROW.format(number).replace("\n", ",\n") for number in range(10, 250))
    report = clean(tmp_path / "file.csv", HEADER + rows + ROW.format(5).replace("\n", ',"9,"\n') + ROW.format(6))
    assert report.reasons == {"record:too_few_fields": 1, "record:too_many_fields": 1}
    assert "the delimiter with which the other records end is missing" in Path(report.rejected_file).read_text()
