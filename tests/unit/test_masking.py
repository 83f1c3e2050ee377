"""Further and personal columns of another supplier's file: kept, hashed or dropped, before anything is written."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audited_load.clean_report import CleanReport
from audited_load.cleaning.clean_file import clean_file
from audited_load.columns import Feed
from audited_load.errors import BadDataError, RefusedError, UnusableFileError
from audited_load.loading.drift import Drift, check_drift
from command_line import call
from unit.cleaning import read_rows
from unit.shop import CONTRACT, HEADER, KEY, hashed, shop

MAIL, PHONE = "anna@example.com", "0170-5551234"


def clean(folder: Path, *lines: str, header: str = HEADER, feed: Feed | None = None) -> CleanReport:
    file = folder / "shop.csv"
    file.write_text("\n".join([header, *lines]) + "\n")
    return clean_file(file, feed or shop(folder), folder / "out", masking_key=KEY)


def written(folder: Path) -> str:
    return "".join(path.read_text() for path in (folder / "out").iterdir())


def test_a_further_column_is_kept_a_masked_one_hashed_and_a_dropped_one_nowhere(tmp_path: Path) -> None:
    report = clean(
        tmp_path,
        f"1,5,2024-01-02,7,Thing,2,1.10,0.05,North,{MAIL},{PHONE}",
        f"2,5,2024-01-02,7,Thing,2,1.10,0.05,North, {MAIL} ,",
        "3,5,2024-01-02,7,Thing,2,1.10,0.05,,,",
    )
    rows = read_rows(report.cleaned_file)
    assert [row["branch"] for row in rows] == ["North", "North", ""]
    assert [row["email"] for row in rows] == [hashed(MAIL), hashed(MAIL), ""]
    assert "phone" not in rows[0]
    assert report.columns[8:] == [("branch", "text null"), ("email", "text null")]
    assert (report.unknown_columns, report.missing_columns) == ([], [])
    assert MAIL not in written(tmp_path)
    assert PHONE not in written(tmp_path)


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (f"1,5,2024-01-02,7,Thing,2,oops,0.05,North,{MAIL},{PHONE}",
         f'1,5,2024-01-02,7,Thing,2,oops,0.05,North,"masked:{hashed(MAIL)}",[masked]'),
        (f'1,5,2024-01-02,7,"Thing, red",2,oops,0.05,North,"{MAIL}","{PHONE}"',
         f'1,5,2024-01-02,7,"Thing, red",2,oops,0.05,North,"masked:{hashed(MAIL)}","[masked]"'),
        ("1,5,2024-01-02,7,Thing,2,oops,0.05,North,,", "1,5,2024-01-02,7,Thing,2,oops,0.05,North,,"),
        (f"1,5,2024-01-02,7,Thing,2,1.10,0.05,North,{MAIL * 20},{PHONE}",
         "1,5,2024-01-02,7,Thing,2,1.10,0.05,North,[masked],[masked]"),
    ],
    ids=["plain", "quoted", "blank", "refused itself"],
)  # fmt: skip
def test_a_refused_record_shows_no_masked_value(tmp_path: Path, line: str, shown: str) -> None:
    report = clean(tmp_path, line)
    (reject,) = read_rows(report.rejected_file)
    assert reject["raw_record"] == shown
    assert MAIL not in reject["reasons"]
    assert MAIL not in written(tmp_path)
    assert PHONE not in written(tmp_path)


def test_of_a_record_that_cannot_be_split_only_a_hash_is_kept(tmp_path: Path) -> None:
    report = clean(tmp_path, f"1,5,2024-01-02,{MAIL},{PHONE}", f"2,5,2024-01-02,{MAIL},{PHONE}")
    first, second = (row["raw_record"] for row in read_rows(report.rejected_file))
    assert first.startswith("[masked] ")
    assert first != second
    assert MAIL not in written(tmp_path)


def test_what_gave_way_to_a_later_record_is_masked(tmp_path: Path) -> None:
    report = clean(
        tmp_path,
        f"1,5,2024-01-02,7,Thing,2,1.10,0.05,North,{MAIL},{PHONE}",
        f"1,5,2024-01-02,7,Thing,3,1.10,0.05,North,{MAIL},{PHONE}",
    )
    assert (report.accepted, report.superseded) == (1, 1)
    assert MAIL not in written(tmp_path)
    assert f"masked:{hashed(MAIL)}" in read_rows(report.rejected_file)[0]["raw_record"]


def test_a_repaired_record_has_the_hash_of_before_and_a_withheld_value_must_be_given(tmp_path: Path) -> None:
    broken = clean(tmp_path, f"1,5,2024-01-02,7,Thing,2,oops,0.05,North,{MAIL},{PHONE}")
    repaired = read_rows(broken.rejected_file)[0]["raw_record"].replace("oops", "1.10")
    again = clean(tmp_path, repaired, "2,5,2024-01-02,7,Thing,2,1.10,0.05,North,[masked],")
    assert read_rows(again.cleaned_file)[0]["email"] == hashed(MAIL)
    assert again.reasons == {"email:withheld": 1}


def test_a_token_for_no_value_is_none_in_texts_too_masked_or_not(tmp_path: Path) -> None:
    report = clean(
        tmp_path, "1,5,2024-01-02,7,Thing,2,1.10,0.05,n/a,N/A,", "2,5,2024-01-02,7,n/a,2,oops,0.05,NULL,-,"
    )
    (row,) = read_rows(report.cleaned_file)
    assert (row["branch"], row["email"]) == ("", "")
    assert (report.rules["branch:null_token"], report.rules["email:null_token"]) == (2, 2)
    assert read_rows(report.rejected_file)[0]["raw_record"] == "2,5,2024-01-02,7,n/a,2,oops,0.05,NULL,,"


def test_without_a_key_nothing_is_read(tmp_path: Path) -> None:
    (tmp_path / "shop.csv").write_text(f"{HEADER}\n")
    with pytest.raises(RefusedError, match="ERASURE_KEY is not set"):
        clean_file(tmp_path / "shop.csv", shop(tmp_path), tmp_path / "out")


def test_a_further_column_may_be_missing_unless_it_is_required(tmp_path: Path) -> None:
    header = HEADER.removesuffix(",branch,E-Mail,phone")
    report = clean(tmp_path, "1,5,2024-01-02,7,Thing,2,1.10,0.05", header=header)
    assert read_rows(report.cleaned_file)[0]["branch"] == ""
    assert report.missing_columns == ["branch", "email"]
    needed = shop(tmp_path, CONTRACT.replace("logicalType: string}", "logicalType: string, required: true}", 1))
    with pytest.raises(UnusableFileError, match="branch"):
        clean(tmp_path, "1,5,2024-01-02,7,Thing,2,1.10,0.05", header=header, feed=needed)
    blank = clean(tmp_path, "1,5,2024-01-02,7,Thing,2,1.10,0.05,,,", feed=needed)
    assert blank.reasons == {"branch:missing": 1}
    assert blank.columns[8] == ("branch", "text null")


@pytest.mark.parametrize(
    ("word", "wrong", "said"),
    [
        ("        customProperties: [{property: masking, value: drop}]\n", "", "so the column needs `masking`"),
        ("        customProperties: [{property: masking, value: hash}]\n", "", "so the column needs `masking`"),
        ("value: drop", "value: blur", "can't be 'blur'"),
        ("name: branch,", "name: ctid,", "which tables and models add themselves"),
        ("{name: branch, logicalType: string}",
         "{name: tax, logicalType: number, customProperties: [{property: optional, value: true}, "
         "{property: masking, value: drop}]}",
         "can't be of a column of the default contract"),
        ("{name: branch, logicalType: string}", "{name: branch, logicalType: string, classification: PII}",
         "so the column needs `masking`"),
        ("name: branch,", "name: loaded_at,", "which tables and models add themselves"),
        ("name: branch,", "name: gross_amount,", "which tables and models add themselves"),
        ("logicalType: string}", "logicalType: string, primaryKey: true}", "is the table's"),
        ("{name: branch, logicalType: string}",
         "{name: tax, logicalType: number, customProperties: [{property: masking, value: hash}]}",
         "can't be of a column of the default contract"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_with_its_place(tmp_path: Path, word: str, wrong: str, said: str) -> None:
    assert word in CONTRACT
    with pytest.raises(RefusedError, match=said) as caught:
        shop(tmp_path, CONTRACT.replace(word, wrong, 1))
    assert r"schema[0].properties[" in caught.value.message


def test_a_check_says_which_columns_are_further_hashed_and_dropped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shop(tmp_path)
    assert call("contract", "check", tmp_path / "shop.odcs.yaml") == 0
    said = capsys.readouterr().out
    assert "further: branch, email" in said
    assert "hashed: email" in said
    assert "dropped: phone" in said


def test_an_unknown_column_is_said_or_refused_as_the_contract_says(tmp_path: Path) -> None:
    row, header = f"1,5,2024-01-02,7,Thing,2,1.10,0.05,North,{MAIL},{PHONE},7", f"{HEADER},colour"
    report = clean(tmp_path, row, header=header)
    drift = Drift(tuple(report.unknown_columns))
    assert report.unknown_columns == ["colour"]
    assert check_drift(report, drift, shop(tmp_path)) == ["1 column, which the contract does not know: colour."]
    policy = "    customProperties: [{{property: unknownColumns, value: {}}}]\n    properties:\n"
    for word, said in (("fail", None), ("ignore", [])):
        feed = shop(tmp_path, CONTRACT.replace("    properties:\n", policy.format(word), 1))
        if said is None:
            with pytest.raises(BadDataError, match="colour"):
                check_drift(report, drift, feed)
        else:
            assert check_drift(report, drift, feed) == said


def test_a_vanished_column_is_refused_unless_the_contract_says_otherwise(tmp_path: Path) -> None:
    feed, report = shop(tmp_path), clean(tmp_path, "1,5,2024-01-02,7,Thing,2,1.10,0.05,North,,")
    with pytest.raises(BadDataError, match="which the load before had, and the file lacks: branch"):
        check_drift(report, Drift(missing=("branch",), vanished=("branch",)), feed)
    assert check_drift(report, Drift(missing=("branch",)), feed) == []


CELLS = st.text(st.sampled_from("ab@. ,\"'=;-\u00e4"), min_size=1, max_size=12)


@settings(deadline=None, max_examples=60)
@given(
    secret=st.text(st.sampled_from("QXZ\u00df"), min_size=6, max_size=10),
    others=st.lists(CELLS, min_size=2, max_size=2),
    spaced=st.booleans(),
    good=st.booleans(),
    cut=st.integers(0, 3),
)
def test_no_masked_value_is_written_whatever_stands_around_it(
    tmp_path_factory: pytest.TempPathFactory, secret: str, others: list[str], *, spaced: bool, good: bool, cut: int
) -> None:
    folder = tmp_path_factory.mktemp("masked")
    fields = [
        "1",
        "5",
        "2024-01-02",
        "7",
        others[0],
        "2",
        "1.10" if good else "oops",
        "0.05",
        others[1],
        secret,
        secret,
    ]
    quoted = ['"' + field.replace('"', '""') + '"' for field in fields[: len(fields) - cut]]
    with (folder / "shop.csv").open("w", newline="") as file:
        csv.writer(file).writerow(HEADER.split(","))
        file.write((", " if spaced else ",").join(quoted) + "\n")
        file.write(",".join(field.replace(",", " ") for field in fields) + "\n")
    clean_file(folder / "shop.csv", shop(folder), folder / "out", masking_key=KEY)
    assert secret not in written(folder)
