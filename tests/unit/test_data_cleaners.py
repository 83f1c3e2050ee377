"""Every example that a rule or a refusal declares is true, and nothing is accepted beside the rules."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audited_load.columns import Column, Refusal, Rule, fingerprint
from audited_load.number_words import read_number_words
from audited_load.values import clean_column
from steps.data_cleaners import CUSTOMER_TRANSACTIONS

COLUMNS = {column.name: column for column in CUSTOMER_TRANSACTIONS.columns}
RULES = [(column, rule) for column in COLUMNS.values() for rule in column.rules]
REFUSALS = [(column, refusal) for column in COLUMNS.values() for refusal in column.refusals]


def clean(name: str, text: str | None) -> object:
    cleaned = clean_column(pl.Series([text], dtype=pl.String), COLUMNS[name])
    if cleaned.reasons:
        return cleaned.reasons[0][1].split(":")[1].strip()
    return cleaned.values[0]


@pytest.mark.parametrize(("column", "rule"), RULES, ids=lambda item: getattr(item, "name", None))
def test_a_rule_reads_its_examples_and_counts_them(column: Column, rule: Rule) -> None:
    assert rule.examples
    for dirty, tidy in rule.examples:
        cleaned = clean_column(pl.Series([dirty]), column)
        expected = clean_column(pl.Series([tidy]), column)
        assert cleaned.values[0] is not None
        assert cleaned.values[0] == expected.values[0]
        assert cleaned.changed[f"{column.name}:{rule.name}"] == 1


@pytest.mark.parametrize(("column", "refusal"), REFUSALS, ids=lambda item: getattr(item, "name", None))
def test_a_refusal_refuses_its_examples_by_its_name(column: Column, refusal: Refusal) -> None:
    for text in refusal.examples:
        cleaned = clean_column(pl.Series([text]), column)
        assert cleaned.values[0] is None
        assert cleaned.refused == {f"{column.name}:{refusal.name}": 1}


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("transaction_id", " 1001 ", 1001),
        ("transaction_id", "t1010", 1010),
        ("transaction_id", "", "missing"),
        ("customer_id", "501.0", 501),
        ("customer_id", "", None),
        ("customer_id", "-1", "not_an_id"),
        ("customer_id", "501.7", "fraction"),
        ("transaction_date", "11/07/2023", date(2023, 7, 11)),
        ("transaction_date", "2024-02-29", date(2024, 2, 29)),
        ("transaction_date", "29-02-2023", "not_in_calendar"),
        ("transaction_date", "07-25-2023", "not_in_calendar"),
        ("transaction_date", "11-07/2023", "not_in_calendar"),
        ("product_name", "NA", "NA"),
        ("product_name", "", None),
        ("product_name", "a\tb", "control_characters"),
        ("quantity", "Five", 5),
        ("quantity", "-3", -3),
        ("quantity", "-", None),
        ("quantity", "1.5", "fraction"),
        ("price", "Two Hundred", Decimal("200.0000")),
        ("price", "(12.30)", Decimal("-12.3000")),
        ("price", "USD", "not_an_amount"),
        ("price", "1,234", "ambiguous_comma"),
        ("price", "1.23456", "too_many_decimals"),
        ("price", "99999999999999.9999", Decimal("99999999999999.9999")),
        ("price", "1e5", "exponent"),
        ("tax", "NaN", None),
        ("tax", "inf", "not_finite"),
    ],
)
def test_the_contract_holds(name: str, text: str, expected: object) -> None:
    assert clean(name, text) == expected


@given(st.decimals(min_value=-(10**13), max_value=10**13, places=4))
def test_every_amount_keeps_its_exact_value(amount: Decimal) -> None:
    assert clean("price", str(amount)) == amount


@given(st.text(max_size=20))
def test_any_text_is_read_exactly_or_refused_with_a_reason(text: str) -> None:
    for column in COLUMNS.values():
        cleaned = clean_column(pl.Series([text]), column)
        refused = bool(cleaned.reasons)
        is_null = not text.strip() or text.strip().lower() in column.null_tokens
        assert refused or cleaned.values[0] is not None or is_null


@pytest.mark.parametrize("words", ["one two three", "two or three", "first", "five and", "hundred", "dozen", ""])
def test_words_that_are_not_one_number_are_not_read(words: str) -> None:
    assert read_number_words(words) is None


def test_another_rule_gives_another_fingerprint() -> None:
    from dataclasses import replace  # noqa: PLC0415

    fewer = replace(CUSTOMER_TRANSACTIONS, columns=CUSTOMER_TRANSACTIONS.columns[:-1])
    assert fingerprint(CUSTOMER_TRANSACTIONS) == fingerprint(CUSTOMER_TRANSACTIONS)
    assert fingerprint(CUSTOMER_TRANSACTIONS) != fingerprint(fewer)
