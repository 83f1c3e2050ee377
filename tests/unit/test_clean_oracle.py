"""Every accepted value, and every refusal, is the one that a second, independent cleaner finds.

`oracle.py` was written from the design alone. Where the two differ one of them is wrong.
"""

from __future__ import annotations

import csv
import io
from decimal import Decimal
from pathlib import Path

import pytest
from cleaning import HEADER, SAMPLE, accepted_values, clean, refusing_columns, superseded_records
from dirty_cells import GOOD, cells, comma_cells, identifiers, swap_marks, write_csv
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from oracle import COLUMNS, NOTHING, Declared, judge_file

from audited_load.clean_report import CleanReport
from audited_load.cleaning.clean_file import clean_file
from audited_load.form import Form
from customer_pipeline.sample.generator import write_sample
from steps.data_cleaners import CUSTOMER_TRANSACTIONS

# Shrinking a file costs minutes and the differing records are named anyway; a fixed seed keeps a build repeatable.
QUIET = settings(
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def assert_oracle_agrees(report: CleanReport, content: bytes, declared: Declared = NOTHING) -> None:
    refused = refusing_columns(report)
    expected = judge_file(content, refused, declared)
    assert refused == expected.refused
    assert accepted_values(report) == expected.accepted
    assert superseded_records(report) == expected.superseded
    assert (report.read, report.duplicates) == (expected.read, len(expected.duplicates))
    assert {name: Decimal(total) for name, total in report.totals.items()} == expected.totals()


def test_the_oracle_agrees_on_the_sample(tmp_path: Path) -> None:
    assert_oracle_agrees(clean(tmp_path / "file.csv", SAMPLE.read_bytes()), SAMPLE.read_bytes())


@pytest.mark.parametrize(("seed", "dirt"), [(1, 0.0), (2, 0.03), (3, 0.3), (4, 0.9), (5, 1.0)])
def test_the_oracle_agrees_on_generated_files(tmp_path: Path, seed: int, dirt: float) -> None:
    out = io.BytesIO()
    write_sample(out, 3000, seed, dirt)
    assert_oracle_agrees(clean(tmp_path / "file.csv", out.getvalue()), out.getvalue())


@settings(QUIET, max_examples=80)
@given(st.lists(cells(), min_size=5, max_size=25))
def test_the_oracle_agrees_on_any_cells(tmp_path: Path, rows: list[dict[str, str]]) -> None:
    content = HEADER + write_csv(
        [[str(number), *(row[name] for name in COLUMNS[1:])] for number, row in enumerate(rows, start=1)]
    )
    assert_oracle_agrees(clean(tmp_path / "file.csv", content), content.encode())


@settings(QUIET, max_examples=80)
@given(
    st.sampled_from(["auto", "point", "comma"]),
    st.booleans(),
    st.lists(st.one_of(cells(), comma_cells()), min_size=5, max_size=25),
)
def test_the_oracle_agrees_on_any_cells_of_a_declared_form(
    tmp_path: Path, decimal: str, month_first: bool, rows: list[dict[str, str]]
) -> None:
    content = HEADER + write_csv(
        [[str(number), *(row[name] for name in COLUMNS[1:])] for number, row in enumerate(rows, start=1)]
    )
    (path := tmp_path / "file.csv").write_text(content, encoding="utf-8", newline="")
    form = Form(decimal=decimal, date_order="month_first" if month_first else "auto")
    report = clean_file(path, CUSTOMER_TRANSACTIONS.in_form(form), tmp_path / "out")
    assert_oracle_agrees(report, content.encode(), Declared(decimal, month_first))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_sample_of_commas_declared_is_cleaned_like_one_of_points(tmp_path: Path, seed: int) -> None:
    out = io.BytesIO()
    write_sample(out, 3000, seed, 0.0)
    rows = list(csv.reader(io.StringIO(out.getvalue().decode(), newline="")))
    numbers = {place for place, name in enumerate(rows[0]) if name not in {"transaction_date", "product_name"}}
    swapped = [
        [
            swap_marks(text) if place in numbers and any(map(str.isdigit, text)) else text
            for place, text in enumerate(row)
        ]
        for row in rows[1:]
    ]
    feed = CUSTOMER_TRANSACTIONS.in_form(Form(decimal="comma"))
    (path := tmp_path / "commas.csv").write_text(HEADER + write_csv(swapped), encoding="utf-8", newline="")
    commas = clean_file(path, feed, tmp_path / "out")
    points = clean(tmp_path / "points.csv", HEADER + write_csv(rows[1:]))
    assert accepted_values(commas) == accepted_values(points)
    assert (commas.read, commas.duplicates, commas.rules) == (points.read, points.duplicates, points.rules)
    assert commas.totals == points.totals


@settings(QUIET, max_examples=50)
@given(st.lists(st.one_of(identifiers("T"), st.sampled_from(["1", "T1", "01", "1.0"])), min_size=5, max_size=40))
def test_the_oracle_agrees_on_any_keys(tmp_path: Path, keys: list[str]) -> None:
    """Keys that repeat, in all their styles, make duplicates and superseded records."""
    good = [GOOD[name] for name in COLUMNS[1:]]
    rows = [[key, *good[:-1], str(place % 3)] for place, key in enumerate(keys)]
    content = HEADER + write_csv(rows)
    assert_oracle_agrees(clean(tmp_path / "file.csv", content), content.encode())


@settings(QUIET, max_examples=150)
@given(
    st.lists(
        st.lists(st.sampled_from([*'",,,""\n\n', "\r\n", "1", "5", "2024-01-02", "a", "é", " "]), max_size=24).map(
            "".join
        ),
        max_size=8,
    )
)
@example(['1,5,2024-01-02,7,"a\n\n', "b,2,1.10,0.05\n"])
def test_the_oracle_agrees_on_where_records_end(tmp_path: Path, junk: list[str]) -> None:
    rows = [
        f"{number},5,2024-01-02,7,{name},2,1.10,0.05\n"
        for number, name in enumerate(["Thing", '"a, ""b"""', '"a\n\nb"', "Café", '""'])
    ]
    content = HEADER + "".join(part + row for part, row in zip([*junk, *[""] * 5], rows * 2, strict=False))
    assert_oracle_agrees(clean(tmp_path / "file.csv", content), content.encode())


@pytest.mark.parametrize(
    ("column", "text"),
    [
        ("transaction_date", "2023-07-11T25:61:61Z"),
        ("transaction_date", "2023-07-11T08:60"),
        ("transaction_date", "2023-07-11T08:30+99:99"),
        ("transaction_date", "2023-07-11T\u0660\u0668:\u0663\u0660"),  # digits of another script
        ("price", "U\u017fD 5"),  # a long s
    ],
)
def test_a_text_that_only_looks_like_a_value_is_refused(tmp_path: Path, column: str, text: str) -> None:
    cells = {**GOOD, "transaction_id": "1", column: text}
    report = clean(tmp_path / "file.csv", HEADER + write_csv([[cells[name] for name in COLUMNS]]))
    assert refusing_columns(report) == {1: {column}}


@pytest.mark.parametrize(("text", "number"), [("minus zero", 0), ("five point zero", 5)])
def test_words_pass_the_same_rules_as_digits(tmp_path: Path, text: str, number: int) -> None:
    report = clean(tmp_path / "file.csv", HEADER + f"1,5,2024-01-02,7,Thing,{text},1.10,0.05\n")
    assert accepted_values(report)[1][5] == number
