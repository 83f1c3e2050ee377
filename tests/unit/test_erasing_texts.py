"""Raw records lose a customer's id, wherever it lay and however it was spelled; nobody else's record is touched."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from audited_load.erasing.raw_texts import Doubts, scrub_refused, scrub_texts, split_reasons
from audited_load.erasing.spellings import read_ids
from audited_load.erasing.splitting import ERASED, RawLayout
from audited_load.errors import RefusedError
from customer_pipeline.commands import erase
from customer_pipeline.feed import TABLES

FEED = TABLES.feed
NAMES = FEED.names
FORWARD, BACKWARD = RawLayout((*NAMES, "email"), ","), RawLayout((*NAMES[::-1], "email"), ",")
PLAIN = RawLayout(tuple(NAMES), ",")
PLACE = NAMES.index(FEED.subject)
ONE = frozenset({987654321}).intersection
SUBJECT = next(column for column in FEED.columns if column.name == FEED.subject)


def record(layout: RawLayout, customer: str) -> str:
    values = {name: f"{100 + place}" for place, name in enumerate(NAMES)} | {FEED.subject: customer}
    return ",".join(values.get(name, "a@example.org") for name in layout.header)


def test_the_id_goes_by_the_order_that_the_file_had() -> None:
    for layout in (FORWARD, BACKWARD):
        mine, other = (
            scrub_texts([record(layout, customer)], [layout], [FEED], frozenset({501}).intersection)
            for customer in ("C501", "502")
        )
        assert other == [None], "only the customer's change"
        assert mine == [record(layout, "").removesuffix("a@example.org")], "nor do unknown columns stay"


def test_where_known_orders_tell_different_things_nothing_is_touched_and_it_is_counted() -> None:
    raws = [record(layout, customer) for layout in (FORWARD, BACKWARD) for customer in ("C501", "502")]
    for known in ([FORWARD, BACKWARD], [BACKWARD, FORWARD]):
        doubts = Doubts()
        assert scrub_texts(raws, known, [FEED], frozenset({501}).intersection, doubts) == [None] * 4
        assert doubts.unsure == 2
    guess = replace(PLAIN, is_guess=True)
    doubts = Doubts()
    raws = ["7,501,bad,777,Item,1,5.00,1.00", "7,777,bad,501,Item,1,5.00,1.00", "7,777,bad,1,Item,1,5.00,1.00"]
    assert scrub_texts(raws, [guess], [FEED], frozenset({501}).intersection, doubts) == [None] * 3
    assert doubts.unsure == 2


def test_what_fits_no_order_loses_each_word_that_means_the_id() -> None:
    texts = scrub_texts(["1,C501,x", "1,5010,x"], [PLAIN], [FEED], frozenset({501}).intersection)
    assert texts == ["1,,x", None]


SPELLINGS = [
    "987654321", "C987654321", "c987654321", "987654321.0", "987654321,0", "000987654321", "'987654321",
    '"987654321"', '="987654321"', "  987654321\t", "987654321\\x00", "\\x00987654321", "987654321\\xe9",
    "\\xff987654321", "987654321\0", "987654321\udce9", "\udcff987654321",
    "9\0008\0007\0006\0005\0004\0003\0002\0001", "987\u200b654321", "\ufeff987654321",
    "\uff19\uff18\uff17\uff16\uff15\uff14\uff13\uff12\uff11", "987 654 321", "987'654'321",
    "987\u202f654\u202f321", "987.654.321", '"987,654,321"',
    "\u0669\u0668\u0667\u0666\u0665\u0664\u0663\u0662\u0661",
]  # fmt: skip


@pytest.mark.parametrize("spelling", SPELLINGS, ids=ascii)
@pytest.mark.parametrize("layout", [PLAIN, FORWARD], ids=["plain", "unknown columns"])
def test_in_a_text_that_cannot_be_split_every_spelling_is_found(spelling: str, layout: RawLayout) -> None:
    raw = f"900004,{spelling},2024-01-02,1,jane@example.org"
    (text,) = scrub_texts([raw], [layout], [FEED], ONE)
    assert text is not None
    assert not re.search("9.*8.*7.*6.*5.*4.*3.*2.*1", text.partition(",2024")[0][6:])
    assert (text == ERASED) == (layout is FORWARD), "where an address may be, nothing stays"


@pytest.mark.parametrize("spelling", SPELLINGS, ids=ascii)
def test_in_its_own_column_every_spelling_is_found(spelling: str) -> None:
    cell = spelling if spelling.startswith('"') else f'"{spelling}"' if "," in spelling else spelling
    (text,) = scrub_texts([record(PLAIN, cell)], [PLAIN], [FEED], ONE)
    # What was refused for its subject stays refused; quotes stay.
    (number,) = read_ids([cell[1:-1] if cell.startswith('"') else cell], FEED)
    blank = "" if number else ERASED
    assert text == record(PLAIN, f'"{blank}"' if cell.startswith('"') else blank)


def test_each_example_of_the_rules_is_a_spelling_that_is_found() -> None:
    for rule in (*SUBJECT.wrappers, *SUBJECT.rules):
        for text, read in rule.examples:
            number = re.fullmatch(r"[0-9]+(?=(?:\.0*)?)", read.partition(".")[0].lstrip("0") or "0")
            assert number, rule
            raw = f"not split,{text},x"
            (scrubbed,) = scrub_texts([raw], [PLAIN], [FEED], frozenset({int(number[0])}).intersection)
            assert scrubbed is not None, (rule.name, text)
            assert number[0] not in scrubbed


@pytest.mark.parametrize(
    "raw",
    [
        "4,780,2023-05-05,101,Item,501,5.00,1.00",  # a quantity
        "4,780,2023-05-05,101,Item,many,501,1.00",
        "501,780,2023-05-05,101,Item 501,many,501.00,501",
        "4,,2023-05-05,501,Item,many,501,1.00",
        "4,C5010,2023-05-05,101,Item,many,5,1.00",
        "4,1 501,2023-05-05,101,Item,many,5,1.00",  # 1501, as a spreadsheet shows it
        "4,501.7,2023-05-05,101,Item,many,5,1.00",  # refused, and no spelling of 501
        '4,780,2023-05-05,101,"Item" 501,501,5.00,1.00',  # its quotes are not in order, but it shows whose it is
    ],
)
def test_the_same_digits_in_another_column_are_nobody(raw: str) -> None:
    assert scrub_texts([raw], [PLAIN], [FEED], frozenset({501}).intersection) == [None]


@pytest.mark.parametrize("raw", ["4,780,2023-05-01,P501", "4,780,2023-05-01,12.501", "4,780,12:501,T501,x501y"])
def test_parts_of_days_amounts_and_other_ids_are_no_id(raw: str) -> None:
    assert scrub_texts([raw], [PLAIN], [FEED], frozenset({1, 5, 501}).intersection) == [None]


def test_what_a_csv_reader_splits_and_our_parser_does_not_is_split() -> None:
    raw = '900004, "987654321", "2024-01-02", 1, "Lamp, green", 2, 1.10, 0.05, "jane@example.org"'
    (text,) = scrub_texts([raw], [FORWARD], [FEED], ONE)
    assert text is not None
    assert "Lamp, green" in text
    assert "987654321" not in text
    assert "jane" not in text


def test_a_wide_header_of_an_earlier_ledger_was_cut_and_still_tells_the_columns() -> None:
    """`wide.py` of the faults: in a file of more than 50 columns any record with the word 501 became `[erased]`."""
    extra = [f"c{number}" for number in range(60)]
    cut = RawLayout.of_ledger([*NAMES, *extra[:42], "and 18 more"], ",")
    filler = ",".join(["v"] * 60)
    others = [
        f"1,777,2023-05-05,101,Item,abc,501,1.00,{filler}",
        f"2,778,2023-05-05,101,Item,501,xx,1.00,{filler}",
        f"501,779,2023-05-05,101,Item,xx,5.00,1.00,{filler}",
        "4,780,2023-05-05,101,Item,xx,5.00,1.00," + ",".join(["501"] * 60),
    ]
    own = f"5,501,2023-05-05,101,Item,xx,5.00,1.00,{filler}"
    texts = scrub_texts([*others, own], [cut], [FEED], frozenset({501}).intersection)
    assert texts[:-1] == [None] * 4
    assert texts[-1] == "5,,2023-05-05,101,Item,xx,5.00,1.00," + "," * 59


def test_reasons_that_quote_the_id_lose_it_and_others_stay() -> None:
    joined = (
        f"{FEED.subject}:other_digits: 'C501; and ''501' has digits of another script than 0 to 9;"
        " price:fraction: '1.5' has a fraction; quantity:not_a_number: '501 pcs' is not a whole number"
    )
    reasons = split_reasons(joined, FEED)
    assert len(reasons) == 3
    raw = "4,\uff15\uff10\uff11,2023-05-05,101,Item,501 pcs,1.5,1.00"
    ((text, fresh),) = scrub_refused([raw], [reasons], [PLAIN], [FEED], frozenset({501}).intersection)  # type: ignore[misc]
    assert text == "4,[erased],2023-05-05,101,Item,501 pcs,1.5,1.00"
    assert fresh == (
        f"{FEED.subject}:other_digits: '[erased]' has digits of another script than 0 to 9",
        "price:fraction: '1.5' has a fraction",
        "quantity:not_a_number: '[erased]' is not a whole number",
    )


def test_only_the_spans_of_what_goes_are_replaced() -> None:
    """Written anew, quotes and line ends within a record were lost, and the file was read differently."""
    wide = RawLayout((*NAMES, "email"), ",")
    raws = {
        '1, "501", "2023-05-05", 101, "It, em" , "1", 5.00, 1.00': (
            PLAIN, '1, "", "2023-05-05", 101, "It, em" , "1", 5.00, 1.00'),
        '1,501,2024-01-02,1,"Thing" ,2,100.00,0.05,j@e': (wide, '1,,2024-01-02,1,"Thing" ,2,100.00,0.05,'),
        '1,501,2024-01-02,501,"Thing" ,501,100.00,0.05': (PLAIN, '1,,2024-01-02,501,"Thing" ,501,100.00,0.05'),
        '1,501,2024-01-02,1,"It\nem",2,1.00,0.05': (PLAIN, '1,,2024-01-02,1,"It\nem",2,1.00,0.05'),
        '1,501,2024-01-02,1,"It\rem",2,1.00,0.05,"j@e\nx"': (wide, '1,,2024-01-02,1,"It\rem",2,1.00,0.05,""'),
        '1,501,2024-01-02,1,5" It,2,1.00,0.05,j@e': (wide, '1,,2024-01-02,1,5" It,2,1.00,0.05,'),
    }  # fmt: skip
    for raw, (layout, fresh) in raws.items():
        assert scrub_texts([raw], [layout], [FEED], frozenset({501}).intersection) == [fresh]


@pytest.mark.parametrize("layout", [PLAIN, RawLayout((*NAMES, "email"), ",")], ids=["plain", "wide"])
@pytest.mark.parametrize("name", ["Thing", "Thing, big", '"customer_id": 501,'])
def test_what_is_kept_as_json_is_read_as_such(layout: RawLayout, name: str) -> None:
    """As a line of CSV, it is of the same width now and then, and `"product_id":501` became `[erased]`."""
    values = dict.fromkeys(NAMES, 1) | {"product_id": 501, "product_name": name}
    raws = [json.dumps(values | {FEED.subject: customer}) for customer in (77, 501)]
    other, mine = scrub_refused(raws, [("a",), ("b",)], [layout], [FEED], frozenset({501}).intersection)
    assert other is None
    assert mine is not None
    assert json.loads(mine[0]) == values | {FEED.subject: None}


def test_one_group_of_three_zeros_is_no_decimals() -> None:
    assert read_ids(["501,000", "501.000", "501,0", "501.00", "C501"], FEED) == [None, None, 501, 501, 501]
    for text in ("501,000", "501.000"):
        with pytest.raises(RefusedError, match="is no id of a customer"):
            erase._read_id(text, [FEED])
    raw = '9,"501,000",2023-05-05,101,Item,1,5.00,1.00'
    for who in (501, 501_000):
        doubts = Doubts()
        assert scrub_texts([raw], [PLAIN], [FEED], frozenset({who}).intersection, doubts) == [None]
        assert doubts.lookalikes == 1, "it is named"


@pytest.mark.parametrize(
    "cell",
    ["9.87654321E+08", "9.87654321e8", "CUST987654321", "ID-987654321", "987_654_321", "987-654-321",
     "\uff23\uff19\uff18\uff17\uff16\uff15\uff14\uff13\uff12\uff11", "⁹⁸⁷⁶⁵⁴³²¹"],
    ids=ascii,
)  # fmt: skip
def test_in_the_subjects_column_more_spellings_count(cell: str) -> None:
    assert scrub_texts([record(FORWARD, cell)], [FORWARD], [FEED], ONE) == [
        record(FORWARD, ERASED).removesuffix("a@example.org")
    ]


@pytest.mark.parametrize("cell", ["987654321X", "987654321/1", "x987-654321"])
def test_what_only_looks_like_the_id_stays_and_is_counted(cell: str) -> None:
    for raw in (record(PLAIN, cell), f"1,{cell},2023-05-05"):
        doubts = Doubts()
        assert scrub_texts([raw], [PLAIN], [FEED], ONE, doubts) == [None]
        assert (doubts.lookalikes, doubts.unsure) == ((cell != "x987-654321" or raw.count(",") > 2), 0), raw


def test_a_number_lost_its_last_digits_in_notation_of_spreadsheets_is_nobody() -> None:
    raws = [record(PLAIN, "9.88E+08"), record(PLAIN, "7.3E+08")]
    assert scrub_texts(raws, [PLAIN], [FEED], frozenset({8, 988_000_000}).intersection) == [None, None]


def test_a_delimiter_that_stands_in_times_divides_fields() -> None:
    colons = RawLayout(tuple(NAMES), ":")
    texts = scrub_texts(["12:501:2023-05-05"], [colons], [FEED], frozenset({501}).intersection)
    assert texts == ["12::2023-05-05"]
