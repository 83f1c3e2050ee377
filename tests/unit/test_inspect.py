"""`inspect`: a file that nobody knows gets a contract that reads it, and nothing is said that isn't so."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audited_load.clean_report import CleanReport
from audited_load.errors import BadDataError, RefusedError, UnusableFileError
from audited_load.form import Form
from audited_load.inspecting import column_facts
from audited_load.inspecting.column_facts import ColumnFacts, mask
from audited_load.inspecting.first_look import look_at
from audited_load.inspecting.likely_columns import in_one_word
from audited_load.inspecting.likely_form import find_form
from audited_load.inspecting.proposal import find_prefixes
from command_line import call
from customer_pipeline.inspection.inspect_source import inspect
from customer_pipeline.inspection.known_names import KNOWN_NAMES
from customer_pipeline.inspection.shown_inspection import Inspection, describe, find_doubts, to_json
from steps.data_cleaners import CUSTOMER_TRANSACTIONS
from unit.cleaning import accepted_values

RECORDS = [
    (
        1000 + number,
        500 + number % 90 if number % 9 else None,
        date(2023, 1, 1) + timedelta(days=number),
        10 + number % 7,
        f"Thing {'ABC'[number % 3]}",
        (number * 37) % 1500 + 1,
        Decimal((number * 9173) % 2_000_000) / 100,
        Decimal((number * 917) % 300_000) / 100,
    )
    for number in range(1, 301)
]
"""What every supplier sends, each in his own way."""


def amount(value: Decimal | int, group: str, decimal: str) -> str:
    text = f"{value:,.2f}" if isinstance(value, Decimal) else f"{value:,d}"
    return text.translate(str.maketrans({",": group, ".": decimal}))


def write(path: Path, rows: Sequence[Sequence[Any]], encoding: str = "utf-8", above: str = "", **how: Any) -> Path:
    text = io.StringIO()
    text.write(above)
    csv.writer(text, lineterminator="\n", **how).writerows(
        ["" if cell is None else cell for cell in row] for row in rows
    )
    path.write_bytes(text.getvalue().encode(encoding))
    return path


def header(names: str) -> list[list[Any]]:
    return [names.split(", ")]


def german(path: Path) -> Path:
    rows = header(
        "Belegdatum, Filiale, Menge, Bezeichnung, Einzelpreis, Belegnummer, Kundennr., Artikelnr, MwSt, E-Mail"
    )
    for number, person, day, product, name, count, price, tax in RECORDS:
        numbers = [amount(value, ".", ",") for value in (count, price, tax)]
        mail = f"erika{number}@example.de"
        rows.append([f"{day:%d.%m.%Y}", "K\u00f6ln", numbers[0], name, numbers[1], f"RE-{number}", person, product])
        rows[-1] += [numbers[2], mail]
    return write(path, rows, "cp1252", delimiter=";")


def american(path: Path) -> Path:
    rows = header("Order No, Account, Sold On, SKU, Item Name, Qty, Unit Price, Sales Tax")
    for number, person, day, product, name, count, price, tax in RECORDS:
        numbers = [amount(count, ",", "."), f"${amount(price, ',', '.')}", amount(tax, ",", ".")]
        rows.append([number, person, f"{day.month}/{day.day}/{day.year}", product, name, *numbers])
    return write(path, rows)


def indonesian(path: Path) -> Path:
    rows = header("Nomor Transaksi, Pelanggan, Tanggal, Kode Barang, Nama Barang, Jumlah, Harga, Pajak")
    for number, person, day, product, name, count, price, tax in RECORDS:
        numbers = [amount(int(value) % 900 * 1000, ".", ",") for value in (price, tax)]
        rows.append([number, person, f"{day:%d/%m/%Y}", product, name, count, *numbers])
    return write(path, rows, delimiter=";")


def french(path: Path) -> Path:
    names = "N\u00b0 facture, Code client, Date facture, R\u00e9f. article, Libell\u00e9, Qt\u00e9, P.U., TVA"
    rows = header(names)
    for number, person, day, product, name, *numbers in RECORDS:
        written = [amount(value, "\u00a0", ",") for value in numbers]
        rows.append([number, person and f"C{person}", f"{day:%d/%m/%Y}", product, name, *written])
    above = "Export du 01/02/2023;;;;;;;\nSoci\u00e9t\u00e9;12;13;14;15;16;17;18\n\n"
    return write(path, rows, "cp1252", above, delimiter=";")


def dutch(path: Path) -> Path:
    rows = header("Factuurnr, Klantnummer, Besteldatum, Artikelcode, Omschrijving, Aantal, Stukprijs, BTW")
    for number, person, day, product, name, *numbers in RECORDS:
        written = [amount(value, ".", ",") for value in numbers]
        rows.append([number, person or "n.v.t.", f"{day:%d-%m-%Y}", product, name, *written])
    return write(path, rows, quotechar="'", quoting=csv.QUOTE_ALL)


def wide(path: Path) -> Path:
    rows = header("Transaction, Client ID, Date, Item No., Product, Units, Price, VAT")
    return write(path, [*rows, *RECORDS], "utf-16", delimiter="\t")


SUPPLIERS = [german, american, indonesian, french, dutch, wide]


def expected(supplier: Any) -> dict[int, tuple[Any, ...]]:
    records = RECORDS
    if supplier is indonesian:
        records = [(*one[:6], *(Decimal(int(value) % 900 * 1000) for value in one[6:])) for one in RECORDS]
    return {place: (*record,) for place, record in enumerate(records, start=1)}


def cleaned(out: Path) -> dict[int, tuple[Any, ...]]:
    known = json.loads((out / "report.json").read_text(encoding="utf-8"))
    fields = {name: known[name] for name in known if name in CleanReport.__dataclass_fields__}
    return accepted_values(CleanReport(**fields))


@pytest.mark.parametrize("supplier", SUPPLIERS)
def test_the_proposed_contract_reads_every_value_right(tmp_path: Path, supplier: Any) -> None:
    file, contract, out = supplier(tmp_path / "file.csv"), tmp_path / "file.odcs.yaml", tmp_path / "out"
    assert call("inspect", file, "--contract", contract) == 0
    assert 10 <= len(contract.read_text(encoding="utf-8").splitlines()) <= 30
    assert call("contract", "check", contract) == 0
    assert call("clean", file, "--out", out, "--contract", contract) == 0
    assert cleaned(out) == expected(supplier)


@pytest.mark.parametrize("supplier", SUPPLIERS)
def test_no_persons_data_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str], supplier: Any) -> None:
    file, contract = supplier(tmp_path / "file.csv"), tmp_path / "file.odcs.yaml"
    assert call("inspect", file, "--contract", contract) == 0
    assert call("inspect", file, "--json") == 0
    shown = "".join(capsys.readouterr()) + contract.read_text(encoding="utf-8")
    people = {str(record[1]) for record in RECORDS if record[1] is not None} - {"500", "512"}
    words = set(shown.replace(",", " ").replace('"', " ").replace("'", " ").split())
    counts = {str(number) for number in range(301)} | {"1"}
    assert not (people - counts) & words
    assert "erika1" not in shown
    assert "Thing A" not in shown
    assert "Thing" not in words


def test_what_differs_from_the_default_is_all_that_the_contract_says(tmp_path: Path) -> None:
    found = yaml.safe_load(inspect(german(tmp_path / "file.csv"), None, None).proposal)
    (server,), (table,) = found["servers"], found["schema"]
    assert server["encoding"] == "windows-1252"
    assert server["customProperties"] == [{"property": "delimiter", "value": ";"}]
    assert table["customProperties"] == [
        {"property": "decimal", "value": "comma"},
        {"property": "leftOut", "value": ["Filiale", "E-Mail"]},
    ]
    assert table["properties"][0] == {
        "name": "transaction_id",
        "logicalType": "integer",
        "synonyms": [{"synonym": "Belegnummer"}],
        "customProperties": [{"property": "idPrefix", "value": "RE-"}],
    }
    plain = yaml.safe_load(inspect(default(tmp_path / "plain.csv"), None, None).proposal)
    assert "customProperties" not in plain["schema"][0]
    assert plain["schema"][0]["properties"] == [{"name": "transaction_id", "logicalType": "integer"}]


def default(path: Path) -> Path:
    return write(path, [CUSTOMER_TRANSACTIONS.names, *RECORDS])


def test_personal_columns_are_told(tmp_path: Path) -> None:
    found = inspect(german(tmp_path / "file.csv"), None, None)
    assert [found.facts.columns[place].name for place in sorted(found.personal)] == ["Kundennr.", "E-Mail"]
    assert "# personal, it seems; better dropped: E-Mail" in found.proposal


def order_lines(path: Path) -> Path:
    rows = header("InvoiceNo, StockCode, Description, Quantity, InvoiceDate, UnitPrice, CustomerID, Country")
    for number in range(400):
        day = f"12/{number % 28 + 1}/2010 8:26"
        rows.append([536365 + number // 4, f"8512{number % 4}A", "WHITE HEART", 6, day, 2.55, 17850, "France"])
    return write(path, rows)


def test_order_lines_are_refused_with_the_remedy(tmp_path: Path) -> None:
    file, contract = order_lines(tmp_path / "lines.csv"), tmp_path / "lines.odcs.yaml"
    assert call("inspect", file) == 0
    with pytest.raises(BadDataError, match="InvoiceNo doesn't tell records apart: 300 of 400") as refused:
        call("inspect", file, "--contract", contract)
    assert "StockCode" in refused.value.message
    assert "id of its own in each line" in refused.value.remedy
    assert not contract.exists()
    doubts = " ".join(find_doubts(inspect(file, None, None)))
    assert "Not found: tax" in doubts
    assert "product_id: 400 of 400 values would be refused (not_an_id 400)" in doubts


def test_equal_records_are_no_order_lines(tmp_path: Path) -> None:
    file = write(tmp_path / "twice.csv", [CUSTOMER_TRANSACTIONS.names, *RECORDS, *RECORDS])
    found = inspect(file, None, None)
    assert found.trial.key_again == 0
    assert find_doubts(found) == []


def test_a_column_that_is_not_found_has_a_place_in_the_contract(tmp_path: Path) -> None:
    other = {"price": "Zqx", "tax": "Vwy"}
    names = [other.get(name, name) for name in CUSTOMER_TRANSACTIONS.names]
    file, contract = write(tmp_path / "file.csv", [names, *RECORDS]), tmp_path / "c.yaml"
    assert call("inspect", file, "--contract", contract) == 0
    lines = []
    for line in contract.read_text(encoding="utf-8").splitlines():
        (name,) = [name for name in other if f"# {{name: {name}" in line] or [""]
        lines.append(line.replace("# {", "- {").replace('"?"', other[name]) if name else line)
        if "leftOut" in line:
            lines.pop()
    text = "\n".join(lines).replace("    customProperties:\n    properties:", "    properties:")
    contract.write_text(text, encoding="utf-8")
    assert text.count("synonym:") == 2
    assert call("clean", file, "--out", tmp_path / "out", "--contract", contract) == 0
    assert cleaned(tmp_path / "out") == expected(american)


def test_the_one_column_of_a_type_that_is_left_is_a_guess(tmp_path: Path) -> None:
    names = ["Zqx" if name == "price" else name for name in CUSTOMER_TRANSACTIONS.names]
    found = inspect(write(tmp_path / "file.csv", [names, *RECORDS]), None, None)
    assert found.matches["price"].how_sure == "a guess"
    assert "Zqx as price is a guess: no other column holds such values." in find_doubts(found)


def test_a_file_without_the_tables_columns_gets_no_contract(tmp_path: Path) -> None:
    file = write(tmp_path / "file.csv", [["transaction_id", "customer_id"], [1, 2], [2, 3]])
    with pytest.raises(BadDataError, match="nothing in it can be the table's transaction_date, product_id"):
        call("inspect", file, "--contract", tmp_path / "c.yaml")
    assert not (tmp_path / "c.yaml").exists()


def test_what_a_file_has_not_is_optional(tmp_path: Path) -> None:
    rows = [[*CUSTOMER_TRANSACTIONS.names][:-1], *(record[:-1] for record in RECORDS)]
    file, contract = write(tmp_path / "file.csv", rows), tmp_path / "c.yaml"
    assert call("inspect", file, "--contract", contract) == 0
    assert call("clean", file, "--out", tmp_path / "out", "--contract", contract) == 0
    assert cleaned(tmp_path / "out") == {place: (*record[:-1], None) for place, record in enumerate(RECORDS, 1)}


def test_the_path_of_a_proposal_is_that_file_and_no_pattern(tmp_path: Path) -> None:
    file = american(tmp_path / "sales [2023]*.csv")
    (server,) = yaml.safe_load(inspect(file, None, None).proposal)["servers"]
    assert [path.name for path in tmp_path.glob(server["path"])] == [file.name]


def facts_of(kinds: dict[str, int], days: dict[str, int] | None = None) -> ColumnFacts:
    return ColumnFacts("x", sum(kinds.values()), kinds=Counter(kinds), days=Counter(days or {}))


POINT, COMMA = "decimals after a point", "decimals after a comma"
ONE_POINT, ONE_COMMA = "one point, thousands or decimals", "one comma, thousands or decimals"
LAST = "day, year last"


@pytest.mark.parametrize(
    ("kinds", "decimal", "unsure"),
    [
        ({"integer": 5}, "auto", False),
        ({POINT: 5}, "auto", False),
        ({POINT: 5, ONE_COMMA: 2}, "point", False),
        ({COMMA: 5, ONE_POINT: 5}, "comma", False),
        ({ONE_POINT: 5, "integer": 9}, "comma", True),
        ({ONE_COMMA: 5}, "point", True),
        ({COMMA: 500, POINT: 1}, "comma", True),
        ({COMMA: 50, POINT: 60}, "point", True),
    ],
)
def test_the_decimal_mark_is_what_the_numbers_show(kinds: dict[str, int], decimal: str, unsure: bool) -> None:
    found = find_form([facts_of(kinds)])
    assert (found.decimal, "decimal" in found.unsure) == (decimal, unsure)


@pytest.mark.parametrize(
    ("days", "order", "unsure"),
    [
        ({"for": 3, "undecided": 2}, "auto", False),
        ({"against": 3, "undecided": 2}, "month_first", False),
        ({"undecided": 2}, "auto", True),
        ({"for": 3, "against": 1}, "auto", True),
        ({"for": 1, "against": 3}, "month_first", True),
        ({}, "auto", False),
    ],
)
def test_the_order_of_dates_is_what_the_dates_show(days: dict[str, int], order: str, unsure: bool) -> None:
    found = find_form([facts_of({LAST: 6}, days)])
    assert (found.date_order, "date_order" in found.unsure) == (order, unsure)


def test_what_is_not_certain_is_said(tmp_path: Path) -> None:
    doubts = " ".join(find_doubts(inspect(indonesian(tmp_path / "id.csv"), None, None)))
    assert "numbers like 15.000" in doubts
    rows = [CUSTOMER_TRANSACTIONS.names, *([n, 5, f"0{n}/0{n + 1}/2023", 7, "x", 1, 1, 1] for n in range(1, 8))]
    assert "may have the day or the month first" in " ".join(
        find_doubts(inspect(write(tmp_path / "d.csv", rows), None, None))
    )
    assert "The encoding is guessed" in " ".join(find_doubts(inspect(german(tmp_path / "de.csv"), None, None)))
    assert "The encoding is guessed" not in " ".join(
        find_doubts(inspect(german(tmp_path / "de.csv"), None, "cp1252"))
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "the file is empty"),
        (b"\n\n , ,\n", "blank lines only"),
        (bytes(range(256)) * 20, "control characters|no CSV"),
        (b"one\ntwo\nthree\n", "no columns found"),
        (b'{"a": 1}\n', "it is JSON"),
        (b"%PDF-1.7\n", "it is a PDF"),
        (b"1,5,2023-07-11,7\n2,5,2023-07-12,8\n", "no header found"),
        (b"Max Mustermann,Berlin\nErika Beispiel,Bonn\n", "no header found: line 1 looks like the records"),
    ],
)
def test_what_holds_no_records_is_told_so(tmp_path: Path, content: bytes, said: str) -> None:
    file = tmp_path / "file.csv"
    file.write_bytes(content)
    with pytest.raises(UnusableFileError, match=said):
        call("inspect", file)


def test_a_header_alone_is_looked_at(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("inspect", write(tmp_path / "file.csv", [["Order No", "Qty", "Nothing"]])) == 0
    assert "There is no record under the header" in capsys.readouterr().out


PIECES = [
    *(b"a", b"1", b",", b";", b"\n", b"\r", b'"', b"'", b"\t", b"\xe4", b"\xff", b"\0", b" "),
    *(b"2023-01-02", b"1,5", b"x@y.z", b"price", b"Price,", b"Datum;", b"K- 1", b"\xef\xbb\xbf"),
]


@settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(PIECES), max_size=60).map(b"".join))
def test_no_file_makes_it_crash(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "any.csv"
    file.write_bytes(b"transaction_id;Menge\n" * (len(content) % 2) + content)
    try:
        found = inspect(file, 50, None)
    except UnusableFileError:
        return  # which is said; any other error would be ours
    assert isinstance(found, Inspection)
    find_doubts(found)


@given(st.text(max_size=30))
def test_a_mask_keeps_no_letter_and_no_digit(text: str) -> None:
    (masked,) = pl.DataFrame({"text": [text]}).select(mask(pl.col("text"))).to_series()
    assert set(masked) <= {"9", "x", "X", *(char for char in text if not char.isalnum())}


def test_only_so_many_records_are_looked_at(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = american(tmp_path / "file.csv")
    found = inspect(file, 10, None)
    assert (found.facts.records, found.facts.is_whole) == (10, False)
    assert found.trial.columns["price"].values == 10
    assert inspect(file, 300, None).facts.is_whole
    assert call("inspect", file, "--rows", "10") == 0
    assert "10 records looked at, the file holds more" in capsys.readouterr().out


def test_many_different_values_are_counted_up_to_a_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(column_facts, "MAX_DISTINCT", 100)
    found = inspect(american(tmp_path / "file.csv"), None, None)
    assert found.facts.columns[0].distinct.number == 100


def test_a_contract_that_is_there_stays_unless_forced(tmp_path: Path) -> None:
    contract = tmp_path / "c.yaml"
    contract.write_text("mine")
    with pytest.raises(RefusedError, match="already there"):
        call("inspect", american(tmp_path / "file.csv"), "--contract", contract)
    assert contract.read_text() == "mine"
    assert call("inspect", american(tmp_path / "file.csv"), "--contract", contract, "--force") == 0
    assert contract.read_text(encoding="utf-8").startswith("# Proposed")


def test_programs_get_all_of_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("inspect", german(tmp_path / "file.csv"), "--json") == 0
    found = json.loads(capsys.readouterr().out)
    by_name = {one["name"]: one for one in found["columns"]}
    assert by_name["Einzelpreis"]["column"] == "price"
    assert by_name["Einzelpreis"]["read"] == 300
    assert by_name["Einzelpreis"]["maximum"] == str(
        max(record[6] for record in RECORDS).quantize(Decimal("0.0001"))
    )
    assert by_name["Kundennr."]["minimum"] is None
    assert by_name["E-Mail"]["personal"]
    assert found["form"]["decimal"] == "comma"
    assert yaml.safe_load(found["contract"])["kind"] == "DataContract"


@pytest.mark.parametrize("name", ["price", "Einzelpreis", "Notes", ""])
def test_names_that_are_there_twice_are_told(tmp_path: Path, name: str) -> None:
    rows = [[*CUSTOMER_TRANSACTIONS.names, name, name, "Kundennr."], *([*record, 1, 2, 3] for record in RECORDS)]
    found = inspect(write(tmp_path / "file.csv", rows), None, None)
    assert ("price" in found.missing) == (name == "price")
    assert any("several times" in doubt for doubt in find_doubts(found)) == bool(name)


def test_text_with_many_semicolons_is_no_semicolon_file(tmp_path: Path) -> None:
    rows = [[*record[:4], "a; b; c; d; e; f; g; h; i", *record[5:]] for record in RECORDS]
    look = look_at(write(tmp_path / "file.csv", [CUSTOMER_TRANSACTIONS.names, *rows]), Form())
    assert (look.form.delimiter, look.source.lines_above) == (",", 0)


def test_a_table_in_no_known_language_is_matched_by_its_values_at_most(tmp_path: Path) -> None:
    names = ["\u041d\u043e\u043c\u0435\u0440", "\u0414\u0430\u0442\u0430", "\u0422\u043e\u0432\u0430\u0440"]
    rows = [names, *([record[0], f"{record[2]:%d.%m.%Y}", record[4]] for record in RECORDS)]
    found = inspect(write(tmp_path / "file.csv", rows), None, None)
    assert {name: match.how_sure for name, match in found.matches.items()} == {
        "transaction_date": "a guess",
        "product_name": "a guess",
    }


def test_single_quotes_and_title_lines_are_seen(tmp_path: Path) -> None:
    look = look_at(dutch(tmp_path / "nl.csv"), Form())
    assert (look.form.quote, look.form.delimiter) == ("'", ",")
    look = look_at(french(tmp_path / "fr.csv"), Form())
    assert (look.form.skip_lines, look.source.body_line) == (3, 5)
    assert any("look like records" in doubt for doubt in look.doubts)


def test_ids_of_several_kinds_are_told(tmp_path: Path) -> None:
    rows = [[f"{'RE' if record[0] % 3 else 'GS'}-{record[0]}", *record[1:]] for record in RECORDS]
    found = inspect(write(tmp_path / "file.csv", [CUSTOMER_TRANSACTIONS.names, *rows]), None, None)
    assert [prefix for prefix, _ in find_prefixes(found.facts.columns[0])] == ["RE-", "GS-"]
    assert any("begin in several ways (RE-, GS-)" in doubt for doubt in find_doubts(found))


def test_names_that_stand_before_ids_are_not_shown(tmp_path: Path) -> None:
    rows = [[record[0], f"{'ABCDEFGHIJKLMNOPQRSTUVWXYZ'[number % 26]}mith{record[1] or 1}", *record[2:]]
            for number, record in enumerate(RECORDS[:40])]  # fmt: skip
    found = inspect(write(tmp_path / "file.csv", [CUSTOMER_TRANSACTIONS.names, *rows]), None, None)
    assert "mith" not in found.proposal + describe(found) + json.dumps(to_json(found), default=str)
    assert sum(found.facts.columns[1].prefixes.values()) == 40


def test_no_known_name_means_two_columns() -> None:
    names = [name for names in KNOWN_NAMES.values() for name in names]
    assert [name for name, count in Counter(names).items() if count > 1] == []
    assert all(name == in_one_word(name) for name in names)
    assert set(KNOWN_NAMES) == set(CUSTOMER_TRANSACTIONS.names)
