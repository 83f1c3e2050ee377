"""Every example that a rule or a refusal declares is true, and nothing is accepted beside the rules."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from num2words import num2words
from number_words_oracle import SCALES, SMALL, TENS, read_words, spell

from audited_load.cleaning.values import clean_column
from audited_load.columns import Column, Refusal, Rule
from audited_load.errors import RefusedError
from audited_load.form import Form
from audited_load.rules.number_rules import digits_below
from audited_load.rules.number_words import _read_groups, _read_whole, read_number_words
from audited_load.shown import INVISIBLE
from steps.data_cleaners import CUSTOMER_TRANSACTIONS

FORMS = [Form(), Form(decimal="point"), Form(decimal="comma"), Form(date_order="month_first")]
COLUMNS = [column for form in FORMS for column in CUSTOMER_TRANSACTIONS.in_form(form).columns]
DIFFERENT = [
    column for column in COLUMNS if column.form == FORMS[0] or column.name in {"transaction_date", "price"}
]
RULES = [
    pytest.param(column, rule, id=f"{column.name}-{rule.name}-{column.form.decimal}-{column.form.date_order}")
    for column in COLUMNS
    for rule in (*column.wrappers, *column.rules)
    if column.form.holds(rule.when)
]
REFUSALS = [
    pytest.param(column, refusal, id=f"{column.name}-{refusal.name}-{column.form.decimal}-{column.form.date_order}")
    for column in COLUMNS
    for refusal in column.refusals
    if column.form.holds(refusal.when)
]


def clean(name: str, text: str | None, form: Form = FORMS[0]) -> object:
    column = next(column for column in CUSTOMER_TRANSACTIONS.in_form(form).columns if column.name == name)
    cleaned = clean_column(pl.Series([text], dtype=pl.String), column)
    if cleaned.reasons:
        return cleaned.reasons[0][1].split(":")[1].strip()
    return cleaned.values[0]


def write(text: str, column: Column, when: tuple[str, ...]) -> str:
    """Write an example as a file of the column's form has it; what holds for commas only, is written so already."""
    swap = column.swaps_marks and when != ("decimal=comma",) and any(char in "0123456789" for char in text)
    return text.translate(str.maketrans(".,", ",.")) if swap else text


@pytest.mark.parametrize(("column", "rule"), RULES)
def test_a_rule_reads_its_examples_and_counts_them(column: Column, rule: Rule) -> None:
    assert rule.examples
    for example in rule.examples:
        dirty, tidy = (write(text, column, rule.when) for text in example)
        cleaned = clean_column(pl.Series([dirty]), column)
        expected = clean_column(pl.Series([tidy]), column)
        assert cleaned.values[0] is not None
        assert cleaned.values[0] == expected.values[0]
        assert cleaned.changed[f"{column.name}:{rule.name}"] == 1


@pytest.mark.parametrize(("column", "refusal"), REFUSALS)
def test_a_refusal_refuses_its_examples_by_its_name_and_shows_them(column: Column, refusal: Refusal) -> None:
    assert refusal.examples
    for example in refusal.examples:
        text = write(example, column, refusal.when)
        cleaned = clean_column(pl.Series([text]), column)
        assert cleaned.values[0] is None
        assert cleaned.refused == {f"{column.name}:{refusal.name}": 1}
        assert cleaned.reasons[0][1].endswith(f"{refusal.why}")
        assert f"'{text[:80]}" in cleaned.reasons[0][1]


def test_a_rule_of_one_name_has_one_form_at_a_time() -> None:
    for column in COLUMNS:
        for holding in (
            [rule.name for rule in (*column.wrappers, *column.rules) if column.form.holds(rule.when)],
            [refusal.name for refusal in column.refusals if column.form.holds(refusal.when)],
        ):
            assert len(set(holding)) == len(holding)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("transaction_id", " 1001 ", 1001),
        ("transaction_id", "t1010", 1010),
        ("transaction_id", "", "missing"),
        ("transaction_id", "\ufeff", "missing"),
        ("transaction_id", '=""', "missing"),
        ("transaction_id", "\ufeff 1001 \u200b", 1001),
        ("transaction_id", "\u202a1001\u202c", 1001),
        ("transaction_id", "\u202e1001", "reversed"),
        ("transaction_id", '="T1001"', 1001),
        ("transaction_id", "'", "not_an_id"),
        ("transaction_id", "1.23457E+11", "exponent"),
        ("transaction_id", "10\ufeff01", "invisible_inside"),
        ("customer_id", "501.0", 501),
        ("customer_id", "9007199254740991.0", 2**53 - 1),
        ("customer_id", "9007199254740992.0", "rounded"),
        ("customer_id", "9007199254740992", 2**53),
        ("customer_id", "C9007199254740996.0", "rounded"),
        ("customer_id", "00000000000000501.0", 501),
        ("customer_id", "C99999999999999999999", "out_of_range"),
        ("customer_id", "501,0", "decimal_comma"),
        ("customer_id", "\uff15\uff10\uff11", "other_digits"),
        ("customer_id", "", None),
        ("customer_id", "-1", "not_an_id"),
        ("customer_id", "501.7", "fraction"),
        ("customer_id", "'NULL", None),
        ("customer_id", "\\N", None),
        ("transaction_date", "11/07/2023", date(2023, 7, 11)),
        ("transaction_date", "7/11/2023", date(2023, 11, 7)),
        ("transaction_date", "07/13/2023", "not_in_calendar"),
        ("transaction_date", "2024-02-29", date(2024, 2, 29)),
        ("transaction_date", "29-02-2023", "not_in_calendar"),
        ("transaction_date", "07-25-2023", "not_in_calendar"),
        ("transaction_date", "11-07/2023", "mixed_separators"),
        ("transaction_date", "2023-07-11 8:30", date(2023, 7, 11)),
        ("transaction_date", "11/07/2023 8:30 PM", date(2023, 7, 11)),
        ("transaction_date", "7/11/2023, 8:30:00\u202fPM", date(2023, 11, 7)),
        ("transaction_date", "11.07.2023 20:30:15,123", date(2023, 7, 11)),
        ("transaction_date", "2023-07-11 08:30:00.123456+00:00", date(2023, 7, 11)),
        ("transaction_date", "20230711 08:30 UTC", date(2023, 7, 11)),
        ("transaction_date", "11 Jul 2023 08:30", date(2023, 7, 11)),
        ("transaction_date", "11/07/2023 13:30 PM", "not_a_date"),
        ("transaction_date", "2023-07-11 24:00", "not_a_time"),
        ("transaction_date", "2023-07-11T08:30:60Z", "not_a_time"),
        ("transaction_date", "July 11th, 2023", date(2023, 7, 11)),
        ("transaction_date", "Sept. 5, 2023", date(2023, 9, 5)),
        ("transaction_date", "2023-Jul-11", date(2023, 7, 11)),
        ("transaction_date", "11 Au\u017f 2023", "not_a_date"),
        ("transaction_date", "31 Feb 2023", "not_in_calendar"),
        ("transaction_date", "20231301", "digits_only"),
        ("transaction_date", "1900-01-01", date(1900, 1, 1)),
        ("transaction_date", "31-12-2100", date(2100, 12, 31)),
        ("transaction_date", "1899-12-31", "out_of_range"),
        ("transaction_date", "1 Jan 2101 08:30", "out_of_range"),
        ("transaction_date", "0001-01-01 00:00:00", "out_of_range"),
        ("transaction_date", "9999-12-31", "out_of_range"),
        ("transaction_date", "0000-00-00", "not_in_calendar"),
        ("transaction_date", "10111213", "digits_only"),
        ("product_name", "NA", "NA"),
        ("product_name", "", None),
        ("product_name", "a\tb", "a b"),
        ("product_name", "\tLamp\t ", "Lamp"),
        ("product_name", "a\t b", "a b"),
        ("product_name", "'Kettle", "'Kettle"),
        ("product_name", "\ufeffKettle", "\ufeffKettle"),
        ("product_name", '="12"" Desk"', '12" Desk'),
        ("product_name", '=" =""Desk"" "', "Desk"),
        ("product_name", '=""', None),
        ("product_name", '="a"b"', '="a"b"'),
        ("product_name", "=Kettle", "=Kettle"),
        ("quantity", "Five", 5),
        ("quantity", "-3", -3),
        ("quantity", "-", None),
        ("quantity", "(5)", -5),
        ("quantity", "5-", -5),
        ("quantity", "- 5", -5),
        ("quantity", "\u22125", -5),
        ("quantity", "1 234", 1234),
        ("quantity", "1,234", "ambiguous_comma"),
        ("quantity", "2,0", "decimal_comma"),
        ("quantity", "three billion", "out_of_range"),
        ("quantity", "1.5", "fraction"),
        ("price", "Two Hundred", Decimal("200.0000")),
        ("price", "(12.30)", Decimal("-12.3000")),
        ("price", "$(12.30)", Decimal("-12.3000")),
        ("price", "(5 USD)", Decimal(-5)),
        ("price", "76.270000", Decimal("76.2700")),
        ("price", "76.270010", "too_many_decimals"),
        ("price", "76.27-", Decimal("-76.2700")),
        ("price", "76.27\u2212", Decimal("-76.2700")),
        ("price", "\u201376.27", Decimal("-76.2700")),
        ("price", "\u201476.27", "not_an_amount"),  # an em dash
        ("price", "76.-", "not_an_amount"),  # how the Swiss write 76.00
        ("price", "-5-", "not_an_amount"),
        ("price", "(-5)", "not_an_amount"),
        ("price", "1'234.50", Decimal("1234.5000")),
        ("price", "'1'234.50", Decimal("1234.5000")),
        ("price", "1\xa0234.50", Decimal("1234.5000")),
        ("price", "1\u2009234\u202f567", Decimal(1234567)),
        ("price", "12 34", "not_an_amount"),
        ("price", "0 234", "not_an_amount"),
        ("price", "1 234,50", "decimal_comma"),
        ("price", "\u2212100,00", "decimal_comma"),
        ("price", "12,50 \u20ac", "other_currency"),
        ("price", "$123456789012345", "out_of_range"),
        ("price", "USD", "not_an_amount"),
        ("price", "1,234", "ambiguous_comma"),
        ("price", "1.23456", "too_many_decimals"),
        ("price", "99999999999999.9999", Decimal("99999999999999.9999")),
        ("price", "1e5", "exponent"),
        ("price", "#DIV/0!", None),
        ("price", "tbd", "not_an_amount"),
        ("tax", "NaN", None),
        ("tax", "inf", "not_finite"),
    ],
)
def test_the_contract_holds(name: str, text: str, expected: object) -> None:
    assert clean(name, text) == expected


@pytest.mark.parametrize(
    ("name", "text", "comma", "point"),
    [
        ("price", "12,50", Decimal("12.5"), "decimal_comma"),
        ("price", "12.50", "decimal_point", Decimal("12.5")),
        ("price", "1.234", Decimal(1234), Decimal("1.234")),
        ("price", "1,234", Decimal("1.234"), Decimal(1234)),
        ("price", "1.234,50", Decimal("1234.5"), "decimal_comma"),
        ("price", "1,234.50", "decimal_point", Decimal("1234.5")),
        ("price", "1.234.567", Decimal(1234567), "point_thousands"),
        ("price", "1,234,567", "comma_thousands", Decimal(1234567)),
        ("price", "1 234,50", Decimal("1234.5"), "decimal_comma"),
        ("price", "1'234,50-", Decimal("-1234.5"), "decimal_comma"),
        ("price", "0.234", "decimal_point", Decimal("0.234")),
        ("price", "$12,50", Decimal("12.5"), "decimal_comma"),
        ("price", "76,270000", Decimal("76.27"), "decimal_comma"),
        ("price", "76,27001", "too_many_decimals", "decimal_comma"),
        ("price", "7", Decimal(7), Decimal(7)),
        ("price", "Two Hundred, and five", Decimal(205), Decimal(205)),
        ("price", "n.a.", None, None),
        ("price", ".", None, None),
        ("quantity", "5,0", 5, "decimal_comma"),
        ("quantity", "5.0", "decimal_point", 5),
        ("quantity", "1.234", 1234, "fraction"),
        ("quantity", "1,234", "fraction", 1234),
        ("customer_id", "501,0", 501, "decimal_comma"),
        ("customer_id", "501.0", "decimal_point", 501),
        ("transaction_date", "11.07.2023", date(2023, 7, 11), date(2023, 7, 11)),
        ("product_name", "1,5 l", "1,5 l", "1,5 l"),
    ],
)
def test_a_declared_mark_decides_what_comma_and_point_are(
    name: str, text: str, comma: object, point: object
) -> None:
    assert clean(name, text, Form(decimal="comma")) == comma
    assert clean(name, text, Form(decimal="point")) == point


@given(st.integers(1, 9999), st.integers(0, 13), st.sampled_from([0, 1, 28, 29, 30, 31, 32]))
def test_a_day_of_the_calendar_is_accepted_or_out_of_range_and_no_other_text_is(
    year: int, month: int, day: int
) -> None:
    found = clean("transaction_date", f"{year:04}-{month:02}-{day:02}")
    try:
        expected: object = date(year, month, day)
    except ValueError:
        expected = "not_in_calendar"
    else:
        expected = expected if 1900 <= year <= 2100 else "out_of_range"
    assert found == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("07/13/2023", date(2023, 7, 13)),
        ("7/1/2023 8:30 AM", date(2023, 7, 1)),
        ("13/07/2023", "not_in_calendar"),
        ("2023-07-13", date(2023, 7, 13)),
        ("13 Jul 2023", date(2023, 7, 13)),
    ],
)
def test_a_declared_order_decides_what_comes_first_in_a_date(text: str, expected: object) -> None:
    assert clean("transaction_date", text, Form(date_order="month_first")) == expected


def test_day_first_is_what_is_not_declared() -> None:
    for form in (Form(), Form(date_order="day_first")):
        assert clean("transaction_date", "07/11/2023", form) == date(2023, 11, 7)


@pytest.mark.parametrize("decimal", ["auto", "point", "comma"])
def test_texts_that_never_repeat_are_read_like_those_that_do(decimal: str) -> None:
    """A column of distinct texts is cast as a whole, another one by its distinct texts."""
    marks = [".", ",", ""]
    texts = pl.Series([f"{number}{marks[number % 3]}{number % 7 * 125}" for number in range(900, 1500)])
    for column in CUSTOMER_TRANSACTIONS.in_form(Form(decimal=decimal)).columns:
        whole, twice = clean_column(texts, column), clean_column(pl.concat([texts, texts]), column)
        assert twice.values.to_list() == whole.values.to_list() * 2
        assert dict(twice.refused) == {name: 2 * count for name, count in whole.refused.items()}
        assert dict(twice.changed) == {name: 2 * count for name, count in whole.changed.items()}


@given(st.integers(0, 2**54))
def test_a_pattern_of_numbers_below_a_limit_matches_these(number: int) -> None:
    for limit in (2**53, 1000, 907, 10):
        for near in (number, number % (2 * limit), limit - 1, limit):
            assert bool(re.fullmatch(digits_below(limit), str(near))) == (near < limit)


@given(st.decimals(min_value=-(10**13), max_value=10**13, places=4))
def test_every_amount_keeps_its_exact_value(amount: Decimal) -> None:
    assert clean("price", str(amount)) == amount


@settings(deadline=None)
@given(st.text(max_size=20))
def test_any_text_is_read_exactly_or_refused_with_a_reason(text: str) -> None:
    for column in DIFFERENT:
        cleaned = clean_column(pl.Series([text]), column)
        refused = bool(cleaned.reasons)
        bare = text.strip().strip(INVISIBLE + " ").strip()
        is_null = not bare or bare.lower() in column.null_tokens
        assert refused or cleaned.values[0] is not None or is_null


@pytest.mark.parametrize(
    "words",
    [
        "one two three", "two or three", "first", "five and", "hundred", "dozen", "", "five hundred and thousand",
        "one hundred and thousand and five", "twenty and five", "one hundred and and five",
        "five-", "twenty-one-", "one hundred -", "one point five-", "twenty--one",
    ],
)  # fmt: skip
def test_words_that_are_not_one_number_are_not_read(words: str) -> None:
    assert read_number_words(words) is None


VOCABULARY = [*SMALL, *filter(None, TENS), "hundred", *(name for _, name in SCALES), "and", "a", "point", "minus"]
TEXTS_OF_WORDS = st.lists(
    st.tuples(st.sampled_from(VOCABULARY), st.sampled_from([" ", " ", " ", "-", ", "])), min_size=1, max_size=7
).map(lambda pairs: "".join(f"{word}{joint}" for word, joint in pairs)[: -len(pairs[-1][1])])
NEARLY_A_NUMBER = st.tuples(
    st.integers(0, 10**13), st.integers(0, 20), st.sampled_from(["and ", "a ", "thousand ", "hundred ", ""])
).map(lambda drawn: with_a_slip(*drawn))


def with_a_slip(number: int, place: int, word: str) -> str:
    """Spell a number, with a word put in somewhere."""
    words = spell(number).split(" ")
    return " ".join([*words[:place], *word.split(), *words[place:]])


@settings(deadline=None, max_examples=1000)
@given(TEXTS_OF_WORDS | NEARLY_A_NUMBER)
def test_words_are_read_as_by_a_grammar_or_not_at_all(text: str) -> None:
    expected, read = read_words(text), read_number_words(text)
    assert (None if read is None else Decimal(read)) == expected


def test_a_form_can_be_taken_back() -> None:
    back = CUSTOMER_TRANSACTIONS.in_form(Form(decimal="comma")).in_form(Form())
    assert back == CUSTOMER_TRANSACTIONS


def test_columns_follow_the_form_of_their_feed_whoever_puts_them_in() -> None:
    feed = CUSTOMER_TRANSACTIONS.in_form(Form(decimal="comma"))
    more = replace(feed, columns=(*CUSTOMER_TRANSACTIONS.columns, feed.columns[0]))
    assert {column.form for column in more.columns} == {feed.form}


@pytest.mark.parametrize(
    "fault",
    [
        {"decimal": "dot"},
        {"decimal": ""},
        {"date_order": "day-first"},
        {"encoding": "klingon"},
        {"encoding": "base64"},
        {"encoding": ""},
    ],
)
def test_a_form_that_does_not_exist_is_refused_with_those_that_do(fault: dict[str, str]) -> None:
    ((_, word),) = fault.items()
    with pytest.raises(RefusedError) as refused:
        Form(**fault)
    assert repr(word) in refused.value.message
    assert any(known in refused.value.remedy for known in ("auto, point", "auto, day_first", "utf-8, windows-1251"))


def test_what_a_rule_needs_stands_in_every_text_that_it_matches() -> None:
    rules = {rule for column in COLUMNS for rule in (*column.wrappers, *column.rules, *column.refusals)}
    texts = {text for rule in rules for example in rule.examples for text in [*example, "".join(example)]}
    texts |= {text.translate(str.maketrans(".,", ",.")) for text in texts}
    texts |= {
        f"{before}{text}{after}" for text in texts for before in ("", "-", "$", "1") for after in ("", "-", "0")
    }
    corpus = pl.Series(sorted(texts))
    for rule in rules:
        if rule.needs:
            matching = corpus.filter(corpus.str.contains(rule.pattern))
            assert len(matching)
            assert [text for text in matching if not set(text) & set(rule.needs)] == [], rule.name


@pytest.mark.parametrize("number", [1_001, 21_100, 2_005_006, 999_999_999, 1_000_000_011, 7_000_300_000])
def test_words_are_read_by_groups_as_they_are_read_whole(number: int) -> None:
    words = num2words(number).replace(",", "").replace("-", " ").replace(" and ", " ")
    assert _read_groups(words.split()) == _read_whole(words) == number


@pytest.mark.parametrize(
    "words",
    [
        "five and",
        "one thousand and",
        "thousand five",
        "one thousand two thousand",
        "two thousand one million",
        "twelve hundred thousand",
        "one thousand a hundred",
        "zero thousand five",
        "one thousand zero",
    ],
)
def test_words_that_are_not_strictly_groups_are_not_read_by_groups(words: str) -> None:
    assert _read_groups(words.split()) is None
