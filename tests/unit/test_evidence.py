"""A file that speaks against how it is read, and nowhere for it, is not used."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from cleaning import SAMPLE, accepted_values, clean
from oracle import COLUMNS

from audited_load.clean_report import CleanReport
from audited_load.cleaning.clean_file import clean_file
from audited_load.cleaning.limits import Limits, check_limits
from audited_load.errors import BadDataError
from audited_load.form import Form
from steps.data_cleaners import CUSTOMER_TRANSACTIONS

GOOD = {"transaction_id": "", "customer_id": "5", "transaction_date": "2024-01-02", "product_id": "7",
        "product_name": "Thing", "quantity": "2", "price": "", "tax": ""}  # fmt: skip
CLI = Path(sys.executable).parent / "customer-pipeline"
LAX = Limits(1.0, 1.0)


def content(column: str, texts: list[str], delimiter: str = ";", **others: str) -> str:
    rows = [{**GOOD, **others, "transaction_id": str(n), column: text} for n, text in enumerate(texts, start=1)]
    return "\n".join(delimiter.join(row) for row in [COLUMNS, *([row[name] for name in COLUMNS] for row in rows)])


@pytest.mark.parametrize(
    ("column", "texts", "delimiter"),
    [
        ("price", ["12,50", "2.037"], ";"),
        ("price", ["12,5", "1.000", "3"], ";"),
        ("price", ["1.234,50", "2.037"], "\t"),
        ("price", ["1.234.567", "2.037"], "|"),
        ("tax", ["$ 0,50", "(2.037)"], ";"),
        ("price", ["2.037", "15.000"], ";"),
        ("quantity", ["1.000"], ";"),
        ("quantity", ["1.250.000", "1.000"], "|"),
        ("price", ['"12,50"', "2.037"], ","),
        # What is refused proves no point.
        ("price", ["2.037", "Nr.7"], ";"),
        ("price", ["2.037", "5.0%"], ";"),
        ("price", ["1.500,00", "2.037", "ca.5"], ";"),
        ("quantity", ["2.0 pcs", "1.000"], ";"),
    ],
)
def test_amounts_that_may_be_thousands_are_not_used(
    tmp_path: Path, column: str, texts: list[str], delimiter: str
) -> None:
    report = clean(tmp_path / "file.csv", content(column, texts, delimiter))
    (doubt,) = report.doubts
    assert doubt.startswith((f"{column}: 1 value (line ", f"{column}: 2 values (line 2)"))
    with pytest.raises(BadDataError, match="speaks against how it was read") as caught:
        check_limits(report, LAX, "transaction_id")
    assert "--decimal point or comma" in caught.value.remedy


@pytest.mark.parametrize(
    ("texts", "delimiter", "others"),
    [
        (["12,50", "2.037", "12.50"], ";", {}),  # both are there: the commas are refused one by one
        (["2.037", "0.123"], ";", {}),
        (["2.037", "1234.567"], ";", {}),
        (["2.037"], ";", {"tax": "0.50"}),
        (["2.037"], ",", {}),  # nothing says otherwise
        (["12", "13"], ";", {}),
        ([""], ";", {}),
    ],
)
def test_amounts_that_are_proved_to_have_points_are(
    tmp_path: Path, texts: list[str], delimiter: str, others: dict[str, str]
) -> None:
    assert clean(tmp_path / "file.csv", content("price", texts, delimiter, **others)).doubts == []


def test_a_column_without_a_sign_follows_the_others(tmp_path: Path) -> None:
    report = clean(tmp_path / "file.csv", content("price", ["2.037"], tax="0,50"))
    assert [doubt.partition(":")[0] for doubt in report.doubts] == ["price"]
    assert "1 value of tax (line 2)" in report.doubts[0]


@pytest.mark.parametrize(
    ("texts", "refused"),
    [
        (["07/13/2023", "03/04/2023"], True),
        (["07/13/2023 8:30", "3/4/2023"], True),
        (["07/13/2023", "07/14/2023", "13/07/2023", "03/04/2023"], True),
        (["07/13/2023", "13/07/2023", "03/04/2023"], False),
        (["07/13/2023", "05/05/2023"], False),  # the same either way
        (["07/13/2023", "03-04-2023"], True),
        (["07/13/2023", "13-07-2023", "03-04-2023"], False),  # another separator, another writer
        (["03/04/2023", "05/06/2023"], False),  # can't be known
        (["07/13/2023", "2023-04-03"], False),
    ],
)
def test_dates_that_may_be_turned_around_are_not_used(tmp_path: Path, texts: list[str], refused: bool) -> None:
    report = clean(tmp_path / "file.csv", content("transaction_date", texts))
    assert bool(report.doubts) == refused
    if refused:
        with pytest.raises(BadDataError, match="can only have the month first"):
            check_limits(report, LAX, "transaction_id")


def test_what_is_declared_is_not_doubted(tmp_path: Path) -> None:
    def in_form(text: str, form: Form) -> CleanReport:
        (tmp_path / "file.csv").write_text(text)
        return clean_file(tmp_path / "file.csv", CUSTOMER_TRANSACTIONS.in_form(form), tmp_path / "out")

    prices = content("price", ["12,50", "2.037"])
    report = in_form(prices, Form(decimal="comma"))
    assert [str(values[6]) for values in accepted_values(report).values()] == ["12.5000", "2037.0000"]
    assert report.doubts == []
    report = in_form(content("price", ["2.037"]), Form(decimal="point"))
    assert [str(values[6]) for values in accepted_values(report).values()] == ["2.0370"]
    dates = content("transaction_date", ["07/13/2023", "03/04/2023"])
    report = in_form(dates, Form(date_order="month_first"))
    assert [str(values[2]) for values in accepted_values(report).values()] == ["2023-07-13", "2023-03-04"]
    assert in_form(dates, Form(date_order="day_first")).doubts == []


def test_signs_do_not_depend_on_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = content("price", ["2.037"] * 40 + ["12,50"] + ["5"] * 40 + ["1.000"])
    whole = clean(tmp_path / "file.csv", text)
    monkeypatch.setattr("audited_load.reading.compression.CHUNK_BYTES", 90)
    assert clean(tmp_path / "file.csv", text).doubts == whole.doubts
    assert "41 values (line 2)" in whole.doubts[0]
    assert "1 value of price (line 42)" in whole.doubts[0]


def test_a_hint_is_given_where_all_values_show_the_other_form(tmp_path: Path) -> None:
    report = clean(tmp_path / "file.csv", content("price", ["12,50"] * 3))
    with pytest.raises(BadDataError, match="none of 3 records") as caught:
        check_limits(report, LAX, "transaction_id")
    assert "comma before decimals" in caught.value.remedy
    assert "--decimal" in caught.value.remedy


def test_the_sample_is_not_doubted_and_names_in_apostrophes_are_counted(tmp_path: Path) -> None:
    report = clean(tmp_path / "sample.csv", SAMPLE.read_bytes())
    assert (report.doubts, report.hints) == ([], [])
    report = clean(tmp_path / "file.csv", content("product_name", ["'Desk'", "Lamp", "'s"]))
    assert report.rules == {"product_name:in_apostrophes": 1}


def test_the_command_takes_the_form_from_options_and_settings(tmp_path: Path) -> None:
    file = tmp_path / "file.csv"
    file.write_text(content("price", ["12,50", "2.037"]))

    def run(*options: str, **settings: str) -> subprocess.CompletedProcess[str]:
        command = [str(CLI), "clean", str(file), "--out", str(tmp_path / "out"), "--json", "--force", *options]
        return subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | settings)

    assert run().returncode == 2
    assert json.loads(run("--decimal", "comma").stdout)["accepted"] == 2
    assert run(SOURCE_DECIMAL="comma").returncode == 0
    assert run("--decimal", "point", SOURCE_DECIMAL="comma").returncode == 2
    done = run(SOURCE_DECIMAL="dot")
    assert done.returncode != 0
    assert "decimal is 'dot'" in done.stderr


def test_a_report_of_an_earlier_version_has_no_doubts(tmp_path: Path) -> None:
    values = clean(tmp_path / "file.csv", content("price", ["1.00"])).to_dict()
    del values["doubts"], values["hints"]
    assert CleanReport.from_dict(values).doubts == []
