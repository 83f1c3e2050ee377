"""Files of other suppliers, read by a contract of their own: German, American, Indonesian, and any locale."""

from __future__ import annotations

import csv
import io
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audited_load.cleaning.values import clean_column
from audited_load.columns import Feed
from audited_load.contracts.build import build_feed
from audited_load.contracts.contract import read_contract
from audited_load.contracts.other_file import build_other_feed
from audited_load.errors import RefusedError, UnusableFileError
from audited_load.form import Form
from command_line import call
from steps.data_cleaners import CONTRACT, CUSTOMER_TRANSACTIONS, RULES
from unit.cleaning import read_rows

HEAD = """apiVersion: v3.2.0
kind: DataContract
id: {id}
version: 1.0.0
status: active
servers:
  - server: incoming
    type: local
    path: incoming/*.csv
    format: csv
    encoding: {encoding}
    customProperties: [{{property: delimiter, value: "{delimiter}"}}]
schema:
  - name: customer_transactions
    customProperties: [{{property: decimal, value: {decimal}}}, {{property: dateOrder, value: {dates}}}]
    properties:
"""
TYPES = ("integer", "integer", "date", "integer", "string", "integer", "number", "number")


def contract(path: Path, names: list[str], prefix: str = "", **words: str) -> Path:
    lines = []
    for name, kind, other in zip(CUSTOMER_TRANSACTIONS.names, TYPES, names, strict=True):
        more = (
            f", customProperties: [{{property: idPrefix, value: {prefix}}}]"
            if prefix and name == "transaction_id"
            else ""
        )
        lines.append(f"      - {{name: {name}, logicalType: {kind}, synonyms: [{{synonym: {other}}}]{more}}}\n")
    path.write_text(HEAD.format(id="other", **words) + "".join(lines), encoding="utf-8")
    return path


GERMAN = ["Belegnummer", "Kundennr.", "Datum", "Artikelnr", "Bezeichnung", "Menge", "Einzelpreis", "Steuer"]
AMERICAN = ["Order No", "Account", "Sold On", "SKU", "Item", "Qty", "Unit Price", "Sales Tax"]
INDONESIAN = ["Nomor", "Pelanggan", "Tanggal", "Kode Barang", "Nama Barang", "Jumlah", "Harga", "Pajak"]


@pytest.mark.parametrize(
    ("names", "words", "content", "expected"),
    [
        (
            GERMAN,
            {"encoding": "cp1252", "delimiter": ";", "decimal": "comma", "dates": "day_first", "prefix": "RE-"},
            "Datum;Menge;Bezeichnung;Einzelpreis;Belegnummer;KUNDENNR.;Artikelnr;Steuer;E-Mail\n"
            "11.07.2023;2;Schraubenschl\u00fcssel;1.234,50;RE-1001;C501;100;19,00;a@example.com\n"
            "12.07.2023;1;Mutter;1.234;RE-1002;;101;;\n",
            [
                "1001,501,2023-07-11,100,Schraubenschl\u00fcssel,2,1234.5000,19.0000,1",
                "1002,,2023-07-12,101,Mutter,1,1234.0000,,2",
            ],
        ),
        (
            AMERICAN,
            {"encoding": "utf-8", "delimiter": ",", "decimal": "point", "dates": "month_first"},
            "Order No,Account,Sold On,SKU,Item,Qty,Unit Price,Sales Tax\n"
            '7,5,07/11/2023,9,Lamp,"1,234",$12.50,0.5\n',
            ["7,5,2023-07-11,9,Lamp,1234,12.5000,0.5000,1"],
        ),
        (
            INDONESIAN,
            {"encoding": "utf-8", "delimiter": ";", "decimal": "comma", "dates": "day_first"},
            "Nomor;Pelanggan;Tanggal;Kode Barang;Nama Barang;Jumlah;Harga;Pajak\n"
            "7;5;11/07/2023;9;Lampu;3;15.000;1.650,25\n",
            ["7,5,2023-07-11,9,Lampu,3,15000.0000,1650.2500,1"],
        ),
    ],
    ids=["german", "american", "indonesian"],
)
def test_a_file_is_read_as_its_contract_says(
    tmp_path: Path, names: list[str], words: dict[str, str], content: str, expected: list[str]
) -> None:
    file = tmp_path / "file.csv"
    file.write_bytes(content.encode(words["encoding"]))
    assert (
        call("clean", file, "--out", tmp_path / "out", "--contract", contract(tmp_path / "c.yaml", names, **words))
        == 0
    )
    lines = (tmp_path / "out" / "customer_transactions_cleaned.csv").read_text(encoding="utf-8").splitlines()
    assert lines[1:] == expected


def feed(tmp_path: Path, text: str) -> Feed:
    path = tmp_path / "other.yaml"
    path.write_text(text, encoding="utf-8")
    return build_other_feed(read_contract(path), read_contract(CONTRACT), RULES)


def german(tmp_path: Path) -> str:
    words = {"encoding": "cp1252", "delimiter": ";", "decimal": "comma", "dates": "day_first"}
    return contract(tmp_path / "c.yaml", GERMAN, **words).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("word", "wrong", "said"),
    [
        ("name: tax, logicalType: number", "name: tax, logicalType: string", "is 'number' in the table"),
        ("name: tax,", "name: price,", "is 'price' for a second time"),
        ("synonym: Steuer", "synonym: einzelpreis", "is 'einzelpreis', which is blank or means a column already"),
        ("synonym: Steuer", "synonym: Quantity", "which is blank or means a column already"),
        ("encoding: cp1252", "encoding: cp9999", "servers"),
        ('value: ";"', 'value: "x"', "delimiter is 'x'"),
        ("value: comma", "value: coma", "did you mean 'comma'"),
        ("format: csv", "format: json", "format can't be 'json'"),
        ("name: customer_transactions", "name: orders", "must be 'customer_transactions'"),
        ("name: tax,", "required: false, name: tax,", None),
        ("name: transaction_id,", "required: false, name: transaction_id,", "required is true in the table"),
    ],
)  # fmt: skip
def test_what_is_the_tables_or_is_not_read_is_refused(
    tmp_path: Path, word: str, wrong: str, said: str | None
) -> None:
    text = german(tmp_path)
    assert word in text
    if said is None:
        assert feed(tmp_path, text.replace(word, wrong, 1)).names == CUSTOMER_TRANSACTIONS.names
        return
    with pytest.raises(RefusedError, match=said):
        feed(tmp_path, text.replace(word, wrong, 1))


def test_what_is_left_out_is_as_in_the_default(tmp_path: Path) -> None:
    text = german(tmp_path)
    found = feed(tmp_path, text[: text.index("      - {name: customer_id")])
    default = build_feed(read_contract(CONTRACT), RULES)
    assert [column.null_tokens for column in found.columns] == [column.null_tokens for column in default.columns]
    assert (found.key, found.totals, found.subject) == (default.key, default.totals, default.subject)
    assert found.form == Form("cp1252", "comma", "day_first", ";")
    assert found.contract != default.contract


def test_a_header_without_a_column_names_the_suppliers_own_word(tmp_path: Path) -> None:
    file = tmp_path / "file.csv"
    file.write_text(";".join(GERMAN[:-1]) + "\n1;2;11.07.2023;3;x;1;1,5\n")
    words = {"encoding": "utf-8", "delimiter": ";", "decimal": "comma", "dates": "day_first"}
    with pytest.raises(UnusableFileError, match="lacks the column steuer"):
        call("clean", file, "--out", tmp_path / "out", "--contract", contract(tmp_path / "c.yaml", GERMAN, **words))


def test_the_declared_delimiter_is_the_only_one(tmp_path: Path) -> None:
    file = tmp_path / "file.csv"
    file.write_text(",".join(GERMAN) + "\n1,2,11.07.2023,3,x,1,5,6\n")
    words = {"encoding": "utf-8", "delimiter": ";", "decimal": "comma", "dates": "day_first"}
    with pytest.raises(UnusableFileError):
        call("clean", file, "--out", tmp_path / "out", "--contract", contract(tmp_path / "c.yaml", GERMAN, **words))


def test_an_option_goes_before_the_contract(tmp_path: Path) -> None:
    file = tmp_path / "file.csv"
    row = ["1", "2", "11.07.2023", "3", "x", "1", "1.5", "6"]
    text = io.StringIO()
    csv.writer(text, delimiter=";").writerows([GERMAN, row])
    file.write_text(text.getvalue())
    words = {"encoding": "utf-8", "delimiter": ";", "decimal": "comma", "dates": "day_first"}
    made = contract(tmp_path / "c.yaml", GERMAN, **words)
    assert call("clean", file, "--out", tmp_path / "out", "--contract", made, "--decimal", "point") == 0
    (found,) = read_rows(str(tmp_path / "out" / "customer_transactions_cleaned.csv"))
    assert found["price"] == "1.5000"


@given(
    st.decimals(min_value="-99999999", max_value="99999999", places=4),
    st.sampled_from(
        [("point", ","), ("comma", "."), ("point", " "), ("comma", "\u00a0"), ("comma", "'"), ("point", "")]
    ),
    st.integers(0, 4),
)
@settings(deadline=None)
def test_an_amount_that_a_locale_writes_is_read_as_it_was(
    value: Decimal, locale: tuple[str, str], places: int
) -> None:
    import polars as pl  # noqa: PLC0415

    decimal, group = locale
    value = value.quantize(Decimal(1).scaleb(-places)) if abs(value) >= 1 else value
    text = f"{value:,f}".translate(str.maketrans({",": group, ".": "," if decimal == "comma" else "."}))
    (column,) = [one for one in CUSTOMER_TRANSACTIONS.in_form(Form(decimal=decimal)).columns if one.name == "price"]
    cleaned = clean_column(pl.Series([text]), column)
    assert cleaned.reasons == []
    assert cleaned.values[0] == value
