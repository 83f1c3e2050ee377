"""The eight columns of the customer transactions: which rules each value must pass.

This is the one place to change when the supplier's data changes. No file, database or Airflow here. The rules that
several columns share stand in `value_rules.py`, `number_rules.py` and `date_rules.py`.
`docs/data-quality.md` shows these tables; a test holds the two together.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from audited_load.columns import (
    Amount,
    CalendarDate,
    Column,
    ControlTotal,
    Feed,
    Refusal,
    Rule,
    Text,
    WholeNumber,
)
from audited_load.rules.date_rules import DATE_REFUSALS, DATE_RULES, outside
from audited_load.rules.number_rules import (
    BARE_POINT,
    BARE_POINT_AFTER,
    CURRENCY_RULES,
    DECIMAL_REFUSALS,
    EXPONENT,
    IN_WORDS,
    LEADING_ZEROS,
    MARK_REFUSALS,
    NEGATIVE_ZERO,
    NOT_FINITE,
    OTHER_CURRENCY,
    SIGN_RULES,
    THOUSANDS_RULES,
    TRAILING_ZEROS,
    TYPOGRAPHIC_MINUS,
    WHOLE_FLOAT,
    WHOLE_ID,
)
from audited_load.rules.value_rules import NAME_FORMULA, NULL_TOKENS, ODD_CHARACTERS, wrappers

BIGINT_MAX = 2**63 - 1
INTEGER_MIN, INTEGER_MAX = -(2**31), 2**31 - 1
FIRST_DAY, LAST_DAY = date(1900, 1, 1), date(2100, 12, 31)
"""Declared, so that no rule looks at a clock: the same file is read in the same way in every year."""


def drop_letter(text: str) -> str:
    """Leave out the first character: "T1010" is 1010."""
    return text[1:]


def letter_prefix(letter: str, name: str) -> Rule:
    """Build the rule for ids that carry one letter in front, in either case."""
    both = f"[{letter.lower()}{letter.upper()}]"
    examples = ((f"{letter.upper()}1010", "1010"), (f"{letter.lower()}1010", "1010"))
    return Rule(name, rf"^{both}[0-9]", drop_letter, examples)


def identifier(name: str, prefix: str, *, required: bool) -> Column:
    """Build the column of an id: a bigint from 0, with an optional letter in front."""
    return Column(
        name,
        WholeNumber(0, BIGINT_MAX),
        required,
        NULL_TOKENS,
        wrappers=wrappers("1001"),
        rules=(letter_prefix(prefix, f"prefix_{prefix.lower()}"), WHOLE_ID, LEADING_ZEROS),
        refusals=(
            *ODD_CHARACTERS,
            EXPONENT,
            Refusal(
                "rounded",
                r"^[0-9]{16,}\.0*$",
                "is a decimal number from 2^53 on: whoever wrote it may have rounded it",
                ("9007199254740996.0",),
            ),
            Refusal("fraction", r"^[0-9]+\.[0-9]*[1-9][0-9]*$", "has a fraction, so it is no id", ("501.7",)),
            *DECIMAL_REFUSALS,
            Refusal("out_of_range", r"^[0-9]+$", f"is above {BIGINT_MAX}", ("99999999999999999999",)),
            Refusal("not_an_id", "", "is not an id", ("abc", "-5", "10 01")),
        ),
    )


def amount(name: str) -> Column:
    """Build the column of an amount of money: numeric(18,4), in the feed's one currency."""
    return Column(
        name,
        Amount(18, 4),
        required=False,
        null_tokens=NULL_TOKENS,
        wrappers=wrappers("-76"),
        rules=(
            TYPOGRAPHIC_MINUS,
            *CURRENCY_RULES,
            replace(IN_WORDS, examples=(("Two Hundred", "200"), ("one hundred and five point two five", "105.25"))),
            *SIGN_RULES,
            *THOUSANDS_RULES,
            LEADING_ZEROS,
            replace(BARE_POINT, examples=((".5", "0.5"),)),
            BARE_POINT_AFTER,
            TRAILING_ZEROS,
        ),
        refusals=(
            *ODD_CHARACTERS,
            NOT_FINITE,
            EXPONENT,
            OTHER_CURRENCY,
            Refusal(
                "too_many_decimals",
                r"^-?[0-9]+\.[0-9]{4}[0-9]*[1-9][0-9]*$",
                "has more than 4 decimals, and rounding would change it",
                ("1.23456", "1,234.00001"),
            ),
            Refusal(
                "out_of_range",
                r"^-?[0-9]{15,}(\.[0-9]*)?$",
                "has more than 14 digits before the decimals",
                ("123456789012345",),
            ),
            *MARK_REFUSALS,
            Refusal("not_an_amount", "", "is not an amount", ("abc", "5%", "12.3.4")),
        ),
    )


TRANSACTION_DATE = Column(
    "transaction_date",
    CalendarDate(FIRST_DAY, LAST_DAY),
    required=True,
    null_tokens=NULL_TOKENS,
    wrappers=wrappers("2023-07-11"),
    rules=DATE_RULES,
    refusals=(*ODD_CHARACTERS, outside(FIRST_DAY, LAST_DAY), *DATE_REFUSALS),
)

PRODUCT_NAME = Column(
    "product_name",
    Text(255),
    required=False,
    null_tokens=frozenset(),  # `NA` is a name
    wrappers=(NAME_FORMULA,),
    rules=(
        Rule(
            "fold_spaces",
            r"[\p{Zs}\t]{2,}|[[\p{Zs}\t]--\x20]",
            " ",
            (("Product  A", "Product A"), ("Green\tLamp", "Green Lamp")),
        ),
    ),
    refusals=(
        Refusal("control_characters", r"\p{Cc}", "holds control characters", ("a\x07b", "a\nb")),
        Refusal("too_long", "", "is longer than 255 characters", ("x" * 256,)),
    ),
)

QUANTITY = Column(
    "quantity",
    WholeNumber(INTEGER_MIN, INTEGER_MAX),
    required=False,
    null_tokens=NULL_TOKENS,
    wrappers=wrappers("5"),
    rules=(
        IN_WORDS,
        TYPOGRAPHIC_MINUS,
        *SIGN_RULES,
        *THOUSANDS_RULES,
        BARE_POINT,
        WHOLE_FLOAT,
        LEADING_ZEROS,
        NEGATIVE_ZERO,
    ),
    refusals=(
        *ODD_CHARACTERS,
        NOT_FINITE,
        EXPONENT,
        Refusal("fraction", r"^-?[0-9]+\.[0-9]*[1-9][0-9]*$", "has a fraction", ("1.5", ".5")),
        Refusal("out_of_range", r"^-?[0-9]+$", "does not fit an integer", ("2147483648", "three billion")),
        *MARK_REFUSALS,
        Refusal("not_a_number", "", "is not a whole number", ("abc", "5 pcs", "two or three")),
    ),
)

CUSTOMER_TRANSACTIONS = Feed(
    name="customer_transactions",
    columns=(
        identifier("transaction_id", "T", required=True),
        identifier("customer_id", "C", required=False),
        TRANSACTION_DATE,
        identifier("product_id", "P", required=True),
        PRODUCT_NAME,
        QUANTITY,
        amount("price"),
        amount("tax"),
    ),
    key="transaction_id",
    totals=(
        ControlTotal("quantity", ("quantity",)),
        ControlTotal("gross", ("quantity", "price")),
        ControlTotal("tax", ("tax",)),
    ),
    subject="customer_id",
)
