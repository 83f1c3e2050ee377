"""The lexical form that a contract declares: quotes, title lines, thousands, currency, what is left out."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from audited_load.cleaning.clean_file import clean_file
from audited_load.cleaning.values import clean_column
from audited_load.columns import Feed
from audited_load.contracts.build import build_feed
from audited_load.contracts.contract import read_contract
from audited_load.contracts.other_file import build_other_feed
from audited_load.contracts.standard import check_standard
from audited_load.erasing.data_files import scrub_folder
from audited_load.erasing.layout_files import Layouts
from audited_load.erasing.rewriting import Wanted
from audited_load.erasing.splitting import RawLayout
from audited_load.errors import RefusedError, UnusableFileError
from audited_load.form import Form
from audited_load.reading.encoding import Encoding, decode_chunks, encode_text
from audited_load.rules.currencies import CURRENCIES
from steps.data_cleaners import CONTRACT, CUSTOMER_TRANSACTIONS, RULES
from unit.cleaning import accepted_values, read_rows

ROOT = Path(__file__).parents[2]
NAMES = CUSTOMER_TRANSACTIONS.names
GROUPS = {"point": ".", "comma": ",", "space": "\u202f", "apostrophe": "'", "none": ""}


def declare(
    folder: Path, server: Mapping[str, object] | None = None, table: Mapping[str, object] | None = None
) -> Feed:
    """Build the feed of another file, whose contract says this of the file and of the table."""

    def pairs(words: Mapping[str, object]) -> list[dict[str, object]]:
        return [{"property": name, "value": value} for name, value in words.items()]

    own = {
        "server": "in",
        "type": "local",
        "path": "in/*.csv",
        "format": "csv",
        "customProperties": pairs(server or {}),
    }
    content: dict[str, Any] = {
        "apiVersion": "v3.2.0", "kind": "DataContract", "id": "other", "version": "1.0.0", "status": "active",
        "servers": [{**own, "customProperties": pairs(server or {})}],
        "schema": [{"name": "customer_transactions", "customProperties": pairs(table or {}),
                    "properties": [{"name": "tax", "logicalType": "number"}]}],
    }  # fmt: skip
    path = folder / "other.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    contract = read_contract(path)
    check_standard(contract)
    return build_other_feed(contract, read_contract(CONTRACT), RULES)


def price(text: str, form: Form) -> object:
    """Read an amount, or name why it is refused."""
    (column,) = [one for one in CUSTOMER_TRANSACTIONS.in_form(form).columns if one.name == "price"]
    cleaned = clean_column(pl.Series([text]), column)
    return next(iter(cleaned.refused), cleaned.values[0])


@st.composite
def locales(draw: st.DrawFn) -> dict[str, Any]:
    decimal = draw(st.sampled_from(["point", "comma"]))
    group = draw(st.sampled_from([name for name in GROUPS if name != decimal]))
    return {
        "decimal": decimal,
        "group": group,
        "quote": draw(st.sampled_from(['"', "'", "none"])),
        "delimiter": draw(st.sampled_from([";", "\t", "|", ","])),
        "order": draw(st.sampled_from(["day_first", "month_first"])),
        "skip": draw(st.integers(0, 3)),
        "encoding": draw(st.sampled_from(["utf-8", "cp1252", "utf-16"])),
    }


amounts = st.integers(-(10**11), 10**11).map(lambda number: Decimal(number).scaleb(-2))
names_of_products = st.text(st.sampled_from("abC \u00e4\u00e9\"',;|.1"), min_size=1, max_size=12).map(
    lambda text: f"x{text}x"
)
records = st.lists(
    st.tuples(
        st.dates(date(1900, 1, 1), date(2100, 12, 31)),
        names_of_products,
        st.integers(-999999, 999999),
        amounts,
        amounts,
    ),
    min_size=1,
    max_size=5,
)


def write_number(value: Decimal | int, locale: Mapping[str, Any]) -> str:
    text = f"{value:,f}" if isinstance(value, Decimal) else f"{value:,d}"
    return text.translate(str.maketrans({",": GROUPS[locale["group"]], ".": GROUPS[locale["decimal"]]}))


def write_file(rows: list[list[str]], locale: Mapping[str, Any]) -> bytes:
    text = io.StringIO()
    text.write("2 Titel; 2023-01-01, 7, 8 | 9\n" * locale["skip"])
    if locale["quote"] == "none":
        text.writelines(locale["delimiter"].join(row) + "\n" for row in rows)
    else:
        csv.writer(text, delimiter=locale["delimiter"], quotechar=locale["quote"], lineterminator="\n").writerows(
            rows
        )
    return text.getvalue().replace("\u202f", "\u00a0").encode(locale["encoding"])


@given(locale=locales(), wanted=records)
@settings(deadline=None, max_examples=150)
def test_what_a_locale_writes_is_read_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, locale: dict[str, Any], wanted: list[Any]
) -> None:
    folder = tmp_path_factory.mktemp("locale")
    order = "%d.%m.%Y" if locale["order"] == "day_first" else "%m/%d/%Y"
    rows, expected = [[*NAMES]], {}
    for number, (day, name, count, cost, tax) in enumerate(wanted, start=1):
        if locale["quote"] == "none":
            name = name.replace(locale["delimiter"], "")  # noqa: PLW2901
            if any(locale["delimiter"] in write_number(value, locale) for value in (count, cost, tax)):
                return  # no writer without quotes could write that
        name = " ".join(name.split())  # noqa: PLW2901 - spaces in a row are folded
        rows.append(
            [
                str(number),
                "5",
                f"{day:{order}}",
                "7",
                name,
                *(write_number(value, locale) for value in (count, cost, tax)),
            ]
        )
        expected[number] = (number, 5, day, 7, name, count, cost, tax)
    feed = declare(
        folder,
        {"quote": locale["quote"], "skipLines": locale["skip"], "delimiter": locale["delimiter"]},
        {"decimal": locale["decimal"], "groupCharacter": locale["group"], "dateOrder": locale["order"]},
    )
    file = folder / "file.csv"
    file.write_bytes(write_file(rows, locale))
    feed = feed.in_form(
        Form(**{**vars(feed.form), "encoding": None if locale["encoding"] == "utf-16" else locale["encoding"]})
    )
    try:
        report = clean_file(file, feed, folder / "out")
    except UnusableFileError as error:
        assert "but it is UTF-8" in str(error)  # noqa: PT017 - two letters of cp1252 may be one of UTF-8
        return
    assert report.reasons == {}
    assert accepted_values(report) == expected


@pytest.mark.parametrize(
    ("text", "form", "expected"),
    [
        ("1.234", Form(decimal="comma"), Decimal(1234)),
        ("1.234", Form(group="point"), Decimal(1234)),
        ("1.234", Form(decimal="comma", group="space"), "price:other_group"),
        ("1.234", Form(decimal="comma", group="none"), "price:other_group"),
        ("15.000", Form(decimal="comma", group="point"), Decimal(15000)),
        ("1,234", Form(group="comma"), Decimal(1234)),
        ("1.234", Form(group="comma"), Decimal("1.234")),
        ("1 234,5", Form(decimal="comma", group="space"), Decimal("1234.5")),
        ("1 234,5", Form(decimal="comma", group="point"), "price:other_group"),
        ("1'234.50", Form(decimal="point", group="apostrophe"), Decimal("1234.5")),
        ("1'234.50", Form(decimal="point", group="comma"), "price:other_group"),
        ("1,234,567.00", Form(decimal="point", group="none"), "price:other_group"),
        ("1,234,567.00", Form(decimal="point", group="apostrophe"), "price:other_group"),
        ("1 234", Form(decimal="point", group="none"), "price:other_group"),
    ],
)
def test_only_the_declared_mark_stands_between_thousands(text: str, form: Form, expected: object) -> None:
    assert price(text, form) == expected


@pytest.mark.parametrize("quote", ['"', "'", "none"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "cp1252"])
def test_bytes_come_back_whatever_the_quote(quote: str, encoding: str) -> None:
    form = Encoding(encoding, quote=quote)
    before = '\'a;"b"\';c\u00e4\'d""\n'.encode(encoding)
    text = b"".join(decode_chunks(iter([before[:4], before[4:]]), form, "file"))
    assert encode_text(text, form) == before


def test_refused_records_are_kept_with_double_quotes(tmp_path: Path) -> None:
    file = tmp_path / "file.csv"
    file.write_text(
        f"{','.join(NAMES)}\n1,5,2023-07-11,7,'It''s 5\", red',x,1,1\n2,5,2023-07-11,7,'a'b,1,1,1\n",
        encoding="utf-8",
    )
    report = clean_file(file, declare(tmp_path, {"quote": "'"}), tmp_path / "out")
    good, broken = read_rows(report.rejected_file)
    assert next(csv.reader([good["raw_record"]])) == ["1", "5", "2023-07-11", "7", "It's 5\", red", "x", "1", "1"]
    assert broken["raw_record"] == "2,5,2023-07-11,7,'a'b,1,1,1"
    assert broken["reasons"].startswith("record:stray_quote")


def test_superseded_records_are_kept_with_double_quotes(tmp_path: Path) -> None:
    file = tmp_path / "file.csv"
    file.write_text(f"{','.join(NAMES)}\n1,5,2023-07-11,7,'a, b',1,1,1\n1,5,2023-07-11,7,'c',1,1,1\n")
    report = clean_file(file, declare(tmp_path, {"quote": "'"}), tmp_path / "out")
    (row,) = read_rows(report.rejected_file)
    assert row["raw_record"] == '1,5,2023-07-11,7,"a, b",1,1,1'


def test_a_file_without_quotes_holds_none_of_the_character_that_stands_for_them(tmp_path: Path) -> None:
    file = tmp_path / "file.csv"
    file.write_text(f'{",".join(NAMES)}\n1,5,2023-07-11,7,"5 inch,1,1,1\n')
    report = clean_file(file, declare(tmp_path, {"quote": "none"}), tmp_path / "out")
    assert accepted_values(report)[1][4] == '"5 inch'
    file.write_text(f"{','.join(NAMES)}\n1,5,2023-07-11,7,\x1fx,1,1,1\n")
    with pytest.raises(UnusableFileError, match="0x1f"):
        clean_file(file, declare(tmp_path, {"quote": "none"}), tmp_path / "out2")


def test_names_in_the_header_may_hold_the_other_quote(tmp_path: Path) -> None:
    file = tmp_path / "file.csv"
    header = ",".join("'Montant d''achat'" if name == "tax" else name for name in NAMES)
    file.write_text(f"{header}\n1,5,2023-07-11,7,x,1,1,2.5\n")
    feed = declare(tmp_path, {"quote": "'"})
    aliased = build_feed(read_contract(CONTRACT), RULES).in_form(feed.form)
    report = clean_file(
        file, type(aliased)(**{**vars(aliased), "aliases": (("montant_d'achat", "tax"),)}), tmp_path / "out"
    )
    assert report.accepted == 1


@pytest.mark.parametrize("skip", [3, 5, 9])
def test_skipping_the_header_itself_is_refused(tmp_path: Path, skip: int) -> None:
    file = tmp_path / "file.csv"
    titles = "1,5,2023-07-11,7,a,1,1,1\nTitle\n"
    file.write_text(
        f"{titles}{','.join(NAMES)}\n1,5,2023-07-11,7,x,1,1,1\n2,5,2023-07-11,7,x,1,1,1\n3,5,2023-07-11,7,x,1,1,1\n"
    )
    with pytest.raises(UnusableFileError, match="looks like records"):
        clean_file(file, CUSTOMER_TRANSACTIONS, tmp_path / "out")
    report = clean_file(file, declare(tmp_path, {"skipLines": 2}), tmp_path / "out")
    assert report.accepted == 3
    with pytest.raises(UnusableFileError, match=f"the header is line 3, among the {skip}"):
        clean_file(file, declare(tmp_path, {"skipLines": skip}), tmp_path / "out")


def test_skipping_more_lines_than_there_are_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file.csv"
    file.write_text("Title\n")
    with pytest.raises(UnusableFileError, match="nothing is below the 2 lines"):
        clean_file(file, declare(tmp_path, {"skipLines": 2}), tmp_path / "out")


@pytest.mark.parametrize(
    ("quote", "mine", "after"),
    [
        ("'", "2,'501',2023-07-11,7,'a, \"b\"',1,1,1", "2,'',2023-07-11,7,'a, \"b\"',1,1,1"),
        ("'", '2,501,2023-07-11,7,It"s,1,1,1', '2,,2023-07-11,7,It"s,1,1,1'),
        ("none", '2,501,2023-07-11,7,"5 inch,1,1,1', '2,,2023-07-11,7,"5 inch,1,1,1'),
    ],
)
def test_erasing_reads_a_file_by_its_quotes_and_leaves_all_else(
    tmp_path: Path, quote: str, mine: str, after: str
) -> None:
    (tmp_path / "data").mkdir()
    file = tmp_path / "data" / "file.csv"
    other = "3,5010,2023-07-11,501,5\" x 'y',1,1,1"
    head = "1,501,2023-07-11,7,a,1,1,1\n" + ",".join(f"'{name}'" if quote == "'" else name for name in NAMES) + "\n"
    head = head.replace("501", "title")
    file.write_text(f"{head}{other}\n{mine}\n{other}\n", encoding="utf-8")
    feed = declare(tmp_path, {"quote": quote, "skipLines": 1})
    wanted = Wanted((CUSTOMER_TRANSACTIONS, feed), frozenset({501}))
    layouts = Layouts({}, RawLayout(tuple(NAMES), ","))
    done = scrub_folder(file.parent, wanted, lambda paths: layouts.of(file.parent, paths), lambda _: None, 0)
    assert (done.records, done.failed, done.unread) == (1, {}, [])
    assert file.read_text(encoding="utf-8") == f"{head}{other}\n{after}\n{other}\n"


@pytest.mark.parametrize(
    ("server", "table", "said"),
    [
        ({"quote": "`"}, {}, r"line \d+: servers\[0\].customProperties.quote can't be '`'"),
        ({"quote": "non"}, {}, "did you mean 'none'"),
        ({"skipLines": -1}, {}, r"servers\[0\].customProperties.skipLines can't be: skip_lines is below 0"),
        ({"skipLines": "two"}, {}, "skipLines must be a whole number"),
        ({"skipLine": 2}, {}, "can't be 'skipLine': did you mean 'skipLines'"),
        ({}, {"groupCharacter": "dot"}, "groupCharacter can't be 'dot'"),
        ({}, {"groupCharacter": "apostrofe"}, "did you mean 'apostrophe'"),
        ({}, {"groupCharacter": "comma", "decimal": "comma"}, "groupCharacter can't be: a comma can't"),
        ({}, {"currency": "EUR"}, r"line \d+: schema\[0\].customProperties.currency is USD in the table"),
        ({}, {"currency": "\u20ac"}, "currency is USD in the table"),
        ({}, {"currency": "USDD"}, "currency is 'USDD': did you mean 'USD'"),
        ({}, {"leftOut": ["Notes", "notes"]}, r"leftOut\[1\] is 'notes', which is blank, or there twice"),
        ({}, {"leftOut": ["Tax"]}, r"leftOut\[0\] is 'Tax', which means a column"),
        ({}, {"leftOuts": ["x"]}, "did you mean 'leftOut'"),
    ],
)  # fmt: skip
def test_what_cannot_be_so_is_refused_at_its_place(
    tmp_path: Path, server: dict[str, object], table: dict[str, object], said: str
) -> None:
    with pytest.raises(RefusedError, match=said):
        declare(tmp_path, server, table)


def test_what_is_declared_is_the_form(tmp_path: Path) -> None:
    feed = declare(
        tmp_path,
        {"quote": "none", "skipLines": 2, "delimiter": "|"},
        {"groupCharacter": "point", "currency": "$", "leftOut": ["E-Mail", "Filiale"]},
    )
    assert feed.form == Form(None, "comma", "auto", "|", "none", 2, "point")
    assert feed.left_out == ("e_mail", "filiale")


def test_the_currency_of_the_table_is_that_of_the_marts() -> None:
    table = yaml.safe_load(CONTRACT.read_text(encoding="utf-8"))["schema"][0]
    (declared,) = [one["value"] for one in table["customProperties"] if one["property"] == "currency"]
    assert declared == yaml.safe_load((ROOT / "dbt/dbt_project.yml").read_text())["vars"]["currency"]


@pytest.mark.parametrize("code", sorted({one.code for one in CURRENCIES.values()}))
def test_amounts_are_read_in_the_currency_of_the_contract_only(tmp_path: Path, code: str) -> None:
    path = tmp_path / "contract.yaml"
    path.write_text(CONTRACT.read_text(encoding="utf-8").replace("value: USD", f"value: {code}"), encoding="utf-8")
    (column,) = [one for one in build_feed(read_contract(path), RULES).columns if one.name == "price"]
    own = {currency.code: currency for currency in CURRENCIES.values()}[code]
    texts = [text for spelling in own.spellings for text in (f"{spelling}5", f"5 {spelling}", f"-{spelling} 5")]
    assert clean_column(pl.Series(texts), column).values.abs().to_list() == [Decimal(5)] * len(texts)
    other = "EUR" if code != "EUR" else "USD"
    assert clean_column(pl.Series([f"5 {other}"]), column).refused == {"price:other_currency": 1}
    commas = replace(column, form=Form(decimal="comma"))
    texts = [f"{spelling}15.000,5" for spelling in own.spellings]
    assert set(clean_column(pl.Series(texts), commas).values) == {Decimal("15000.5")}
    for rule in column.rules:
        for dirty, tidy in rule.examples if rule.name.startswith("currency") else ():
            assert pl.Series([dirty]).str.replace_all(rule.pattern, str(rule.rewrite))[0] == tidy
    (refusal,) = [one for one in column.refusals if one.name == "other_currency"]
    assert refusal.examples
    assert set(clean_column(pl.Series([*refusal.examples]), column).refused) == {"price:other_currency"}
