"""Which encoding a file is read in: said when it is a guess, refused when the guess makes no words."""

from __future__ import annotations

from pathlib import Path

import pytest
from cleaning import HEADER, ROW, accepted_values, clean
from oracle import COLUMNS

from audited_load.clean_report import CleanReport
from audited_load.cleaning.clean_file import clean_file
from audited_load.errors import UnusableFileError
from audited_load.form import Form
from customer_pipeline.commands.clean import describe
from steps.data_cleaners import CUSTOMER_TRANSACTIONS

RUSSIAN, FRENCH = ("Монитор", "Клавиатура", "Молоко"), ("Crème brûlée", "Café", "Thé à la menthe")
NAME = COLUMNS.index("product_name")


def content(names: tuple[str, ...]) -> str:
    return HEADER + "".join(ROW.format(n).replace("Thing", name) for n, name in enumerate(names, start=1))


def clean_as(path: Path, data: bytes, encoding: str | None) -> CleanReport:
    path.write_bytes(data)
    return clean_file(path, CUSTOMER_TRANSACTIONS.in_form(Form(encoding=encoding)), path.parent / "out")


def names(report: CleanReport) -> tuple[str, ...]:
    return tuple(values[NAME] for values in accepted_values(report).values())


@pytest.mark.parametrize(
    "encoding",
    ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"],
)
def test_unicode_is_found_with_and_without_a_mark(tmp_path: Path, encoding: str) -> None:
    report = clean(tmp_path / "file.csv", content(RUSSIAN).encode(encoding))
    assert names(report) == RUSSIAN
    assert "guessed" not in report.encoding


def test_a_guess_is_counted_and_said(tmp_path: Path) -> None:
    report = clean(tmp_path / "file.csv", content((*FRENCH, "plain")).encode("cp1252"))
    assert names(report) == (*FRENCH, "plain")
    assert report.rules == {"file:guessed_encoding": 3}
    assert "guessed: the file is not UTF-8" in describe(report)
    assert "--encoding" in describe(report)


@pytest.mark.parametrize(
    ("encoding", "words"), [("cp1251", RUSSIAN), ("koi8-r", RUSSIAN), ("cp1253", ("Οθόνη", "Γάλα"))]
)
def test_words_of_accented_letters_only_are_no_guess(tmp_path: Path, encoding: str, words: tuple[str, ...]) -> None:
    with pytest.raises(UnusableFileError, match="encoding is not known"):
        clean(tmp_path / "file.csv", content(words).encode(encoding))
    report = clean_as(tmp_path / "file.csv", content(words).encode(encoding), encoding)
    assert names(report) == words
    assert "declared" in report.encoding
    assert report.rules == {}


@pytest.mark.parametrize(("encoding", "word"), [("cp1250", "Łódź"), ("mac-roman", "Café"), ("shift_jis", "東京")])
def test_a_declared_encoding_is_taken_at_its_word(tmp_path: Path, encoding: str, word: str) -> None:
    assert names(clean_as(tmp_path / "file.csv", content((word,)).encode(encoding), encoding)) == (word,)


def test_utf_8_that_was_declared_to_be_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnusableFileError, match="but it is UTF-8"):
        clean_as(tmp_path / "file.csv", content(FRENCH).encode(), "cp1251")
    assert names(clean_as(tmp_path / "file.csv", content(FRENCH).encode("utf-8-sig"), "cp1251")) == FRENCH
    assert names(clean_as(tmp_path / "file.csv", content(("plain",)).encode(), "cp1251")) == ("plain",)


def test_bytes_that_are_not_of_the_declared_encoding_refuse_the_file(tmp_path: Path) -> None:
    with pytest.raises(UnusableFileError, match="not valid"):
        clean_as(tmp_path / "file.csv", content(FRENCH).encode("cp1252"), "ascii")


def test_two_letters_that_look_like_utf_8_do_not_make_a_file_utf_8(tmp_path: Path) -> None:
    words = ("Анна", "Пётр", "Иван", "Мария")
    assert words[1].encode("cp1251")[:2].decode()
    with pytest.raises(UnusableFileError, match="encoding is not known"):
        clean(tmp_path / "file.csv", content(words).encode("cp1251"))
    assert names(clean_as(tmp_path / "file.csv", content(words).encode("cp1251"), "cp1251")) == words
