"""Files of other suppliers lose a customer: by their own headings, prefixes and marks, and never somebody else."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from audited_load.cleaning.clean_file import clean_file
from audited_load.columns import Feed
from audited_load.erasing.data_files import Folder, look_into_folder, scrub_folder
from audited_load.erasing.layout_files import Layouts, write_layout_beside
from audited_load.erasing.raw_texts import Doubts, scrub_texts
from audited_load.erasing.rewriting import Wanted
from audited_load.erasing.splitting import ERASED, RawLayout
from audited_load.erasing.subjects import ErasedSubjects, hash_subject
from audited_load.errors import RefusedError
from customer_pipeline import contract_of_run
from customer_pipeline.commands import erase
from customer_pipeline.contract_of_run import feed_by_contract, known_feeds
from customer_pipeline.feed import FEED
from steps.data_cleaners import CONTRACT
from unit.cleaning import read_rows
from unit.suppliers import GERMAN, german, write_contract, write_german

MAIL = "jane@example.org"
HEAD = "Datum;Menge;Bezeichnung;Einzelpreis;Belegnummer;KUNDENNR.;Artikelnr;Straßensteuer;E-Mail\n"
ONE = frozenset({501})


@pytest.fixture
def supplier(tmp_path: Path) -> Feed:
    return german(tmp_path)


def row(number: int, customer: str, mail: str = MAIL, **other: str) -> str:
    cells = {"menge": "2", "name": "Schlüssel", "preis": "1.234,50", "artikel": "100"} | other
    return (
        f"11.07.2023;{cells['menge']};{cells['name']};{cells['preis']};RE-{number};{customer};{cells['artikel']}"
        f";19,00;{mail}\n"
    )


def scrub(folder: Path, *feeds: Feed, ids: frozenset[int] = ONE) -> Folder:
    layouts = Layouts({}, RawLayout(tuple(FEED.names), ","))
    wanted = Wanted((FEED, *feeds), ids, tuple(feed.form.encoding for feed in feeds if feed.form.encoding))
    return scrub_folder(folder, wanted, lambda paths: layouts.of(folder, paths), lambda _: None, 0)


def scrub_file(path: Path, text: str, *feeds: Feed, encoding: str = "cp1252") -> str:
    """Scrub a file, and give its new text; nothing of it may be in doubt."""
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(text.encode(encoding))
    done = scrub(path.parent, *feeds)
    assert (done.failed, done.unread, done.unsettled, done.named) == ({}, [], [], {})
    return path.read_bytes().decode(encoding)


SPELLINGS = ("K-501", "k-501", "501", "K-0501", "501,0", "501,000", '"K-501"', " K-501 ", "K-501,00")


def test_in_the_suppliers_column_every_spelling_goes_and_all_else_stays(tmp_path: Path, supplier: Feed) -> None:
    mine = [row(number, text) for number, text in enumerate(SPELLINGS)]
    others = [
        row(501, "K-7", "joe@x", artikel="501", preis="501,00"),
        row(502, "K-5010", "joe@x"),
        row(503, "", "joe@x", menge="501"),
        row(504, "T501", "joe@x"),
        '11.07.2023;1;"Schl" x;1,0;RE-501;K-9\n',  # can't be split; the digits are those of a transaction
    ]
    blanks = ['""' if text.startswith('"') else "" for text in SPELLINGS]
    after = scrub_file(tmp_path / "data" / "in.csv", HEAD + "".join([*mine, *others[:3]]), supplier)
    assert after == HEAD + "".join(row(number, text, "") for number, text in enumerate(blanks)) + "".join(
        others[:3]
    )
    scrub_file(tmp_path / "data" / "in.csv", HEAD + "".join(others[:3]), supplier)
    file = tmp_path / "data" / "in.csv"
    file.write_bytes((HEAD + "".join(others)).encode("cp1252"))
    assert scrub(file.parent, supplier).records == 0


def test_a_refused_id_stays_refused_and_what_cannot_be_split_loses_all(tmp_path: Path, supplier: Feed) -> None:
    text = HEAD + row(1, "Kunde 501") + f'11.07.2023;1;"Schl" x;1,0;RE-1;K-501;100;19,00;{MAIL}\n' + row(2, "K-7")
    after = scrub_file(tmp_path / "data" / "in.csv", text, supplier)
    assert after == HEAD + row(1, ERASED, "") + ERASED + "\n" + row(2, "K-7")


@pytest.mark.parametrize(
    "header",
    [
        HEAD.lower(),
        ";".join(f'"{name}"' for name in HEAD.strip().split(";")) + "\n",
        HEAD.replace("KUNDENNR.", " Kundennr. "),
        HEAD.replace("KUNDENNR.", "customer id"),
        "Umsätze der Kundennr.;Juli\n" + HEAD,  # a title with a word of the header
        "sep=;\n" + HEAD,
        HEAD.replace("Belegnummer", "Beleg"),  # no feed takes it, and yet it has the column
    ],
    ids=["lower case", "quoted", "spaces", "own name", "title", "sep", "column missing"],
)  # fmt: skip
@pytest.mark.parametrize("encoding", ["cp1252", "utf-8", "utf-16"])
def test_however_the_heading_is_written_the_column_is_found(
    tmp_path: Path, supplier: Feed, header: str, encoding: str
) -> None:
    text = header + row(1, "K-501") + row(2, "K-7", "joe@x")
    after = scrub_file(tmp_path / "data" / "in.csv", text, supplier, encoding=encoding)
    mine, other = after.removeprefix(header).splitlines(keepends=True)
    assert after.startswith(header)
    assert other == row(2, "K-7", "joe@x")
    assert "501" not in mine.replace("1.234,50", "")
    assert MAIL not in mine


def test_a_delimiter_or_encoding_that_the_contract_does_not_say_hides_nobody(
    tmp_path: Path, supplier: Feed
) -> None:
    text = (HEAD + row(1, "K-501") + row(2, "K-7")).replace(",", ".").replace(";", "|")
    after = scrub_file(tmp_path / "data" / "in.csv", text, supplier, encoding="utf-8")
    assert after == text.replace("K-501", "").replace(MAIL, "", 1)
    odd = tmp_path / "odd" / "in.csv"
    odd.parent.mkdir()
    odd.write_bytes((HEAD + row(1, "K-501") + row(2, "K-7")).replace("ß", "s").encode("cp037"))
    ebcdic = feed_by_contract(
        write_contract(tmp_path / "x.odcs.yaml", {**GERMAN, "tax": "Strassensteuer"}, {"customer_id": "K-"},
                       encoding="cp037", delimiter=";")
    )  # fmt: skip
    assert scrub(odd.parent, supplier, ebcdic).records == 1
    assert "501" not in odd.read_bytes().decode("cp037").replace("1.234,50", "")


@pytest.mark.parametrize("quote", ["'", "none"])
def test_in_other_quotes_and_below_lines_that_are_skipped_the_customer_is_found(tmp_path: Path, quote: str) -> None:
    path, form = tmp_path / "x.odcs.yaml", {"quote": quote, "skipLines": 2, "delimiter": ";"}
    supplier = feed_by_contract(write_contract(path, {"customer_id": "Kunde"}, {"customer_id": "K-"}, **form))
    mark = "'" if quote == "'" else ""
    head = (
        "1;501;2;3\n2;501;2;3\n"
        + ";".join(f"{mark}{name}{mark}" for name in ["Kunde", *FEED.names]).replace(
            f"{mark}customer_id{mark};", ""
        )
        + ";mail\n"
    )
    others = [f'{mark}K-7{mark};2;2023-05-05;501;{mark}5" screw{mark};1;1;1;o@x', '8;501;2023-05-05;1;"x;1;1;1;o@x']
    mine = [
        f'{mark}K-501{mark};1;2023-05-05;9;{mark}5" screw{mark};1;1;1;j@x',
        '"501";4;2023-05-05;9;x;one;1;1;j@x',
    ]
    file, text = tmp_path / "data" / "in.csv", head + "\n".join([*others, *mine]) + "\n"
    file.parent.mkdir()
    file.write_text(text)
    before = clean_file(file, supplier, tmp_path / "before")
    run = clean_file(file, supplier, file.parent / "runs" / "one" / "attempt-1")
    write_layout_beside(run)
    done = scrub(file.parent, supplier)
    assert (done.failed, done.unread, done.records) == ({}, [], 4)
    lines = file.read_text().removeprefix(head).splitlines()
    assert lines[:2] == others
    assert "501" not in "".join(lines[2:])
    assert "j@x" not in "".join([*lines[2:], Path(run.rejected_file).read_text()])
    after = clean_file(file, supplier, tmp_path / "after")
    assert (after.accepted, after.reasons, after.totals) == (before.accepted, before.reasons, before.totals)


def run_files(tmp_path: Path, supplier: Feed) -> tuple[Path, list[Path]]:
    """Clean a file of the supplier into a run's folder, as a run does; give its rejected and its cleaned file."""
    file = tmp_path / "in.csv"
    good = [row(1, "K-501"), row(2, "K-7", "joe@x")]
    bad = [
        row(3, "K-501", menge="zwei"),
        row(4, "K-7", "joe@x", menge="501x"),
        row(501, "K-7", "joe@x", menge="zwei", artikel="501"),
        row(6, "Kunde 501"),
        '11.07.2023;1;"Schl" x;1,0;RE-501;K-9\n',
    ]
    file.write_bytes((HEAD + "".join([*good, *bad])).encode("cp1252"))
    report = clean_file(file, supplier, tmp_path / "data" / "runs" / "one" / "attempt-1", masking_key="a key")
    write_layout_beside(report)
    return tmp_path / "data", [Path(report.rejected_file), Path(report.cleaned_file)]


@pytest.mark.parametrize("is_known", [True, False], ids=["the contract is there", "it is gone"])
def test_the_files_of_a_run_lose_the_customer(tmp_path: Path, supplier: Feed, is_known: bool) -> None:
    """What cleaning took for which column stands beside them, so that a contract may change."""
    data, files = run_files(tmp_path, supplier)
    before = [read_rows(str(file)) for file in files]
    done = scrub(data, *([supplier] if is_known else []))
    assert (done.failed, done.unread) == ({}, [])
    refused, good = [
        [new for old, new in zip(was, read_rows(str(file)), strict=True) if old != new]
        for was, file in zip(before, files, strict=True)
    ]
    mark = "" if is_known else ERASED  # to no rule that is left, K-501 is an id
    assert [one["raw_record"].replace('""', "") + "\n" for one in refused] == [
        row(3, mark, "", menge="zwei"), row(6, ERASED, ""),
    ]  # fmt: skip
    assert "'[erased]' is not an id" in refused[1]["reasons"]
    # Nor does the hash of an address stay.
    assert [(one["transaction_id"], one["customer_id"], one["mail"]) for one in good] == [("1", "", "")]


def test_a_rejected_file_without_its_layout_is_left_alone_and_named(tmp_path: Path, supplier: Feed) -> None:
    data, (rejected, _) = run_files(tmp_path, supplier)
    (rejected.parent / "layout.json").unlink()
    before = rejected.read_bytes()
    assert list(scrub(data, supplier).failed) == [rejected]
    assert rejected.read_bytes() == before


def test_where_no_contract_knows_the_heading_the_file_is_named_and_not_touched(
    tmp_path: Path, supplier: Feed
) -> None:
    file = tmp_path / "data" / "in.csv"
    file.parent.mkdir()
    content = (HEAD.replace("KUNDENNR.", "Konto") + row(1, "K-501")).encode("cp1252")
    file.write_bytes(content)
    assert scrub(file.parent, supplier).unread == [file]
    assert file.read_bytes() == content
    doubts, layout = Doubts(), RawLayout(tuple(HEAD.replace("KUNDENNR.", "Konto").strip().split(";")), ";")
    raws = [row(1, "K-501").strip(), row(2, "K-7").strip(), "11.07.2023;K-501"]
    assert scrub_texts(raws, [layout], [FEED, supplier], ONE.intersection, doubts) == [None] * 3
    assert doubts.unsure == 2


def test_cleaning_leaves_out_who_was_erased_also_of_a_suppliers_file(tmp_path: Path, supplier: Feed) -> None:
    file = tmp_path / "in.csv"
    lines = [row(number, text) for number, text in enumerate(SPELLINGS)]
    lines += [row(100, text, menge="zwei") for text in SPELLINGS] + [
        row(101, "Kunde 501"),
        row(102, "K-7", "joe@x"),
    ]
    lines += [row(103, "K-501"), row(103, "K-501", preis="1,0")]  # superseded: read from the file again
    file.write_bytes((HEAD + "".join(lines)).encode("cp1252"))
    erased = ErasedSubjects(frozenset({hash_subject(501, "a key")}), "a key")
    report = clean_file(file, supplier, tmp_path / "out", erased=erased, masking_key="a key")
    assert report.rules["customer_id:erased"] == len(lines) - 1
    written = b"".join(path.read_bytes() for path in (tmp_path / "out").iterdir())
    assert b"501" not in written.replace(b"1.234,50", b"")
    assert MAIL.encode() not in written
    assert written.count(b",7,") == 1


def other(tmp_path: Path, name: str, synonyms: dict[str, str], **form: str) -> Feed:
    return feed_by_contract(write_contract(tmp_path / f"{name}.odcs.yaml", synonyms, {}, **form))


def lines(header: Sequence[str], *records: dict[str, str]) -> str:
    values = {"transaction_date": "2023-05-05", "product_name": "Item"}
    rows = [
        ",".join(header),
        *(
            ",".join((dict.fromkeys(header, "1") | values | one).get(name, "") for name in header)
            for one in records
        ),
    ]
    return "\n".join(rows) + "\n"


def test_a_word_that_means_another_column_to_another_supplier_is_that_in_its_files(tmp_path: Path) -> None:
    """In each file the customers' column is blank, and the transactions' never."""
    first = other(tmp_path, "a", {"customer_id": "Nummer", "transaction_id": "Beleg"})
    second = other(tmp_path, "b", {"transaction_id": "Nummer", "customer_id": "Kunde"})
    rest = FEED.names[2:]
    data = tmp_path / "data"
    data.mkdir()
    for name, header, mark in (("a.csv", ["Beleg", "Nummer"], "Nummer"), ("b.csv", ["Nummer", "Kunde"], "Kunde")):
        other_mark = next(word for word in header if word != mark)
        text = lines([*header, *rest], {mark: "501", other_mark: "9"}, {mark: "7", other_mark: "501"})
        (data / name).write_text(text)
        done = scrub(data, first, second)
        assert (done.records, done.failed, done.named) == (1, {}, {})
        assert (data / name).read_text() == lines(
            [*header, *rest], {mark: "", other_mark: "9"}, {mark: "7", other_mark: "501"}
        )


def test_a_file_that_two_contracts_read_differently_is_touched_only_where_both_mean_the_person(
    tmp_path: Path,
) -> None:
    first = other(tmp_path, "a", {"customer_id": "Eins", "transaction_id": "Zwei"})
    second = other(tmp_path, "b", {"customer_id": "Zwei", "transaction_id": "Eins"})
    header = ["Eins", "Zwei", *FEED.names[2:]]
    file = tmp_path / "data" / "in.csv"
    file.parent.mkdir()
    file.write_text(before := lines(header, {"Eins": "501", "Zwei": "7"}))
    done = scrub(file.parent, first, second)
    assert list(done.failed) == [file]
    assert file.read_text() == before
    file.write_text(before := lines(header, {"Eins": "5", "Zwei": "7"}))
    done = scrub(file.parent, first, second)
    assert (done.failed, done.records, file.read_text()) == ({}, 0, before)


def test_what_was_read_by_a_contract_that_is_gone_is_not_read_by_another(tmp_path: Path) -> None:
    """A word may have meant another column: the record stays, and is counted; so with one that was changed, not."""
    gone = other(tmp_path, "a", {"customer_id": "Eins", "transaction_id": "Zwei"})
    left = other(tmp_path, "b", {"customer_id": "Zwei", "transaction_id": "Eins"})
    header, raw = ("Eins", "Zwei", *FEED.names[2:]), "7,501,2023-05-05,1,Item,x,1,1"
    for name, feeds, text, unsure in (
        ("a", [FEED, left], None, 1),
        ("a", [FEED, gone, left], None, 0),
        ("b", [FEED, gone, left], raw.replace("501", ""), 0),
        ("", [FEED, left], raw.replace("501", ""), 0),
        ("", [FEED, gone, left], None, 1),
    ):
        doubts, layout = Doubts(), RawLayout.of_ledger(header, ",", name, "of before")
        assert scrub_texts([raw], [layout], feeds, ONE.intersection, doubts) == [text]
        assert doubts.unsure == unsure
    canonical = RawLayout.of_ledger(FEED.names, ",", "a", "of before")
    assert scrub_texts([raw.replace("7,501", "501,7")], [canonical], [FEED, left], ONE.intersection) == [None]
    assert scrub_texts([raw], [canonical], [FEED, left], ONE.intersection) == [raw.replace("501", "")]


def test_two_columns_of_one_file_may_name_a_person(tmp_path: Path) -> None:
    """Its own decides whose the record is; in the other the id goes, and nothing else of somebody else's record."""
    supplier = other(tmp_path, "a", {"customer_id": "Kunde"})
    header = [*FEED.names, "Kunde", "mail"]
    cases = [
        ({"customer_id": "501", "Kunde": "Jane", "mail": "j@x"}, {"customer_id": "", "Kunde": "", "mail": ""}),
        ({"customer_id": "501", "Kunde": "501", "mail": "j@x"}, {"customer_id": "", "Kunde": "", "mail": ""}),
        ({"customer_id": "", "Kunde": "501", "mail": "j@x"}, {"customer_id": "", "Kunde": "", "mail": ""}),
        ({"customer_id": "7", "Kunde": "501", "mail": "o@x"}, {"customer_id": "7", "Kunde": "", "mail": "o@x"}),
        ({"customer_id": "7", "Kunde": "Joe", "mail": "o@x"}, {"customer_id": "7", "Kunde": "Joe", "mail": "o@x"}),
        ({"customer_id": "7", "Kunde": "8", "tax": "501"}, {"customer_id": "7", "Kunde": "8", "tax": "501"}),
    ]  # fmt: skip
    text = lines(header, *(before for before, _ in cases))
    after = scrub_file(tmp_path / "data" / "in.csv", text, supplier, encoding="utf-8")
    assert after == lines(header, *(after for _, after in cases))


def test_in_a_further_column_the_digits_are_nobody_and_go_with_the_persons_own_record(
    tmp_path: Path, supplier: Feed
) -> None:
    text = HEAD + row(1, "K-501", "ref 501") + row(2, "K-7", "ref 501")
    after = scrub_file(tmp_path / "data" / "in.csv", text, supplier)
    assert after == HEAD + row(1, "", "") + row(2, "K-7", "ref 501")


def test_files_of_the_default_contract_are_read_as_before_beside_others(tmp_path: Path, supplier: Feed) -> None:
    text = lines([*FEED.names, "mail"], {"customer_id": "C501"}, {"customer_id": "7", "product_id": "501"})
    after = scrub_file(tmp_path / "data" / "in.csv", text, supplier, encoding="utf-8")
    assert after == lines(
        [*FEED.names, "mail"], {"customer_id": "", "mail": ""}, {"customer_id": "7", "product_id": "501"}
    )


def test_the_contracts_beside_the_default_one_are_known_and_a_broken_one_stops_erasing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    default = Path(shutil.copy(CONTRACT, tmp_path))
    monkeypatch.setattr(contract_of_run, "CONTRACT", default)
    assert known_feeds() == (FEED,)
    write_german(tmp_path / "b.odcs.yaml")
    (tmp_path / "notes.yaml").write_text("no contract")
    first, second = known_feeds()
    assert (first, second.contract.id) == (FEED, "b")
    assert erase._read_id("K-501", known_feeds()) == erase._read_id("C501", known_feeds()) == 501
    with pytest.raises(RefusedError, match="is no id of a customer"):
        erase._read_id("K-501", (FEED,))
    broken = tmp_path / "c.odcs.yaml"
    broken.write_text((tmp_path / "b.odcs.yaml").read_text().replace('"integer"', '"intger"', 1))
    with pytest.raises(RefusedError, match=r"c\.odcs\.yaml is no contract that can be obeyed(?s:.*)did you mean"):
        erase.erase_customer("501", dry_run=True)


def test_looking_finds_the_same_and_changes_nothing(tmp_path: Path, supplier: Feed) -> None:
    data, files = run_files(tmp_path, supplier)
    before = [file.read_bytes() for file in files]
    layouts = Layouts({}, RawLayout(tuple(FEED.names), ","))
    found = look_into_folder(data, Wanted((FEED, supplier), ONE), lambda paths: layouts.of(data, paths))
    assert [file.read_bytes() for file in files] == before
    assert sorted(found.held) == sorted(files)
    assert scrub(data, supplier).records == found.records == 3
