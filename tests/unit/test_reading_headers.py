"""Where a header may be, and what a file without one is told: each kind of file is called by its name."""

from __future__ import annotations

import gzip
import io
import zipfile
from pathlib import Path

import pytest
from cleaning import HEADER, ROW, accepted_values, clean
from oracle import COLUMNS

from audited_load.errors import UnusableFileError
from customer_pipeline.commands.clean import describe

ROWS = ROW.format(1) + ROW.format(2) + ROW.format(3)
GOOD = HEADER + ROWS


def in_zip(content: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("customers.csv", content)
    return out.getvalue()


def refusal(path: Path, content: str | bytes) -> str:
    with pytest.raises(UnusableFileError) as caught:
        clean(path, content)
    said = str(caught.value)
    assert "What to do:" in said
    assert said.endswith("Nothing was loaded.")
    assert len(said) < 900
    return said


@pytest.mark.parametrize(
    ("content", "rules"),
    [
        ("sep=;\n" + GOOD.replace(",", ";"), {"file:sep_line": 1}),
        ("\ufeffsep=;\r\n" + GOOD.replace(",", ";"), {"file:sep_line": 1}),
        ('"sep=\t"\n' + GOOD.replace(",", "\t"), {"file:sep_line": 1}),
        ("SEP=^\n" + GOOD.replace(",", "^"), {"file:sep_line": 1}),
        ("Sales of July\n\n" + GOOD, {"file:lines_above_header": 1}),
        ("Sales of July,,,,,,,\nmade on,2023-08-01,,,,,,\n,,,,,,,\n" + GOOD, {"file:lines_above_header": 2}),
        ("# comment\n# more\n" + GOOD, {"file:lines_above_header": 2}),
        ("\n\n\n" + GOOD, {}),
        ("\ufeff\ufeff" + GOOD, {}),
        ("\ufeff\n" + GOOD, {}),
        (GOOD.replace("price", "\u200bprice\u200b").replace("tax", "tax\ufeff"), {}),
        (GOOD.replace("customer_id", " Customer-ID "), {}),
        (GOOD.replace("tax", "t\u200bax"), {}),
        (GOOD.replace(",", "|"), {}),
        (GOOD.replace(",", "||"), {}),
        (HEADER.replace(",", ", ") + ROWS, {}),
    ],
)
def test_a_header_is_found_where_it_is(tmp_path: Path, content: str, rules: dict[str, int]) -> None:
    report = clean(tmp_path / "file.csv", content)
    assert (report.read, report.accepted, report.rules) == (3, 3, rules)
    assert sorted(accepted_values(report)) == [1, 2, 3]


def test_a_header_below_records_is_refused(tmp_path: Path) -> None:
    """They would be taken for titles, and lost."""
    assert "below what looks like records" in refusal(tmp_path / "file.csv", ROW.format(9) + GOOD)
    for line in (
        "9,5",
        "ORD/1,,,5,Lamp,2,10.50,1.00",
        ROW.format(9).strip().replace(",", ";"),
        "0 1000,1,2023-07-13",
    ):
        assert "below what looks like records" in refusal(tmp_path / "file.csv", f"{line}\n{GOOD}")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (in_zip(GOOD), "zip archive"),
        (in_zip(GOOD).replace(b"customers.csv", b"xl/wb.xml..csv"), "Excel"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 500, "xls"),
        (gzip.compress(gzip.compress(GOOD.encode())), "gzip"),
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj", "PDF"),
        (b"<!DOCTYPE html>\n<html><body>404 Not Found</body></html>", "HTML"),
        (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "XML"),
        (b'[{"transaction_id": 1, "customer_id": 2}]', "JSON"),
        (b'{"transaction_id": 1}\n{"transaction_id": 2}\n', "JSON"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 12\n", "LFS"),
        (b"PAR1" + b"\0" * 100 + b"PAR1", "Parquet"),
        (b"SQLite format 3\0" + b"\0" * 100, "SQLite"),
        (b"\xfd7zXZ\0" + b"\0" * 100, "xz"),
        (b"BZh91AY&SY" + b"\0" * 100, "bzip2"),
        (GOOD.replace(",", "^"), "separated by '^'"),
        (GOOD.replace(",", "~"), "separated by '~'"),
        (GOOD.replace(",", "\x01"), r"separated by '\\x01'"),
        (GOOD.replace(",", "~|~"), "separated by several characters"),
        (GOOD.replace(",", "  "), "separated by spaces"),
        ("sep=;\n" + GOOD, "its first line says that fields are separated by ';'"),
        ("\n".join(f'"{line}"' for line in GOOD.splitlines()), "each line stands in quotes"),
        (HEADER.replace("tax", '"tax\n"') + ROWS, "holds a line end within quotes"),
        (",".join(f"'{name}'" for name in COLUMNS) + "\n" + ROWS, "single quotes"),
        (HEADER.replace("quantity", "qty") + ROWS, "Did you mean quantity (found qty)?"),
        (HEADER.replace("transaction_date", "date") + ROWS, "Did you mean transaction_date (found date)?"),
        (HEADER.replace("customer_id", "custmer_id") + ROWS, "Did you mean customer_id (found custmer_id)?"),
        ("title\nmade on 2023\n" + HEADER.replace(",tax", "") + ROWS, "the header seems to be line 3"),
        (HEADER.replace("tax", "price") + ROWS, "lacks the column tax"),
        (HEADER.replace("tax", "t\u200btx") + ROWS, r"Found: transaction_id, "),
        (ROWS, "line 1 looks like a record"),
        ("hello\nworld\n", "no line looks like a header"),
        ("\n \n,,,\n", "no header found"),
        ("sep=\u00a6\n" + GOOD.replace(",", "\u00a6"), "separated by '\u00a6'"),
        (GOOD.replace("\n", "\r", 1), "line ends are mixed"),
    ],
)
def test_what_is_no_csv_with_its_header_is_called_by_its_name(
    tmp_path: Path, content: str | bytes, words: str
) -> None:
    assert words in refusal(tmp_path / "file.csv", content)


def test_a_refusal_shows_nothing_of_a_record(tmp_path: Path) -> None:
    secrets = ["Jane", "Doe", "4929", "jane@example.org"]
    row = "Jane Doe,4929123412341234,jane@example.org,7,Thing,2,1.10,0.05\n"
    for content in (
        row * 3,
        "sep=;\n" + row,
        row.replace(",", "^"),
        f'"{row.strip()}"\n' * 2,
        row.replace(",", "\x01"),
        "[" + row,
        "title\n" + row,
        HEADER.replace("tax", "4929123412341234") + row,
        HEADER.replace("tax", "jane@example.org") + row,
        "product_name,Jane Doe,John\ncustomer_id,Jane,John\n",
    ):
        said = refusal(tmp_path / "file.csv", content)
        assert not [secret for secret in secrets if secret in said], said


def test_a_record_that_got_into_the_header_is_not_shown(tmp_path: Path) -> None:
    glued = HEADER.strip() + ",email," + ROW.format(1).replace("Thing", "Jane Doe").strip() + ",jane\n"
    report = clean(tmp_path / "file.csv", glued + ROW.format(2))
    assert "Jane" not in describe(report) + str(report.to_dict())


def test_a_csv_that_speaks_of_mustard_is_no_tar_archive(tmp_path: Path) -> None:
    start = HEADER + ROW.format(1) + ROW.format(2) + ROW.format(3)
    row = ROW.format(4)
    name = "x" * (256 - len(start) - row.index("Thing")) + "Mustard"
    content = start + row.replace("Thing", name)
    assert content[257:262] == "ustar"
    assert clean(tmp_path / "file.csv", content).accepted == 4


def test_what_a_terminal_would_obey_is_shown_as_text(tmp_path: Path) -> None:
    name = "\x1b[31mred\x1b]0;title\x07"
    said = refusal(tmp_path / f"{name}.csv", HEADER.replace("tax", name) + ROWS)
    report = clean(tmp_path / f"{name}.csv", HEADER.strip() + f",{name}\n" + ROWS.replace("\n", ",\n"))
    for text in (said, describe(report)):
        assert not [char for char in text if ord(char) < 32 and char != "\n"], text
