"""The eight columns of the customer transactions: which rules each value must pass.

This is the one place to change when the supplier's data changes. No file, database or Airflow here.
`docs/data-quality.md` shows these tables; a test holds the two together.
"""

from __future__ import annotations

from dataclasses import replace

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
from audited_load.number_words import NUMBER_WORDS, read_number_words

BIGINT_MAX = 2**63 - 1
INTEGER_MIN, INTEGER_MAX = -(2**31), 2**31 - 1
NULL_TOKENS = frozenset({"na", "n/a", "null", "none", "nan", "-"})

WHOLE_FLOAT = Rule("whole_float", r"^([+-]?\d+)\.0+$", "${1}", (("501.0", "501"), ("2.00", "2")))
PLUS_SIGN = Rule("plus_sign", r"^\+(\d)", "${1}", (("+5", "5"),))
NEGATIVE_ZERO = Rule("negative_zero", r"^-0+$", "0", (("-0", "0"),))
LEADING_ZEROS = Rule("leading_zeros", r"^(-?)0+(\d)", "${1}${2}", (("007", "7"),))
IN_WORDS = Rule(
    "number_words",
    NUMBER_WORDS,
    read_number_words,
    (
        ("Five", "5"),
        ("Two Hundred", "200"),
        ("twenty-one", "21"),
        ("minus three", "-3"),
    ),
)

NOT_FINITE = Refusal(
    "not_finite",
    r"(?i)^[+-]?inf(inity)?$",
    "is not a finite number",
    ("inf", "-Infinity"),
)
EXPONENT = Refusal(
    "exponent",
    r"(?i)^[+-]?[\d.,]+e[+-]?\d+$",
    "is written with an exponent, which hides how exact it is",
    ("1e999", "1.5E3"),
)


def remove_commas(text: str) -> str:
    """Take the commas out of an amount: "1,234.50" is 1234.50."""
    return text.replace(",", "")


def put_year_first(text: str) -> str | None:
    """Turn day-month-year, with one separator throughout, into year-month-day."""
    return f"{text[6:]}-{text[3:5]}-{text[:2]}" if text[2] == text[5] else None


def separate_by_hyphens(text: str) -> str | None:
    """Put hyphens into a year-month-day that has another separator, one and the same throughout."""
    return text.replace(text[4], "-") if text[4] == text[7] else None


def letter_prefix(letter: str, name: str) -> Rule:
    """Build the rule for ids that carry one letter in front, in either case."""
    both = f"[{letter.lower()}{letter.upper()}]"
    examples = ((f"{letter.upper()}1010", "1010"), (f"{letter.lower()}1010", "1010"))
    return Rule(name, rf"^{both}(\d+)", "${1}", examples)


def identifier(name: str, prefix: str, *, required: bool) -> Column:
    """Build the column of an id: a bigint from 0, with an optional letter in front."""
    return Column(
        name,
        WholeNumber(0, BIGINT_MAX),
        required,
        NULL_TOKENS,
        rules=(
            letter_prefix(prefix, f"prefix_{prefix.lower()}"),
            WHOLE_FLOAT,
            LEADING_ZEROS,
        ),
        refusals=(
            Refusal("fraction", r"^\d+\.\d*[1-9]\d*$", "has a fraction, so it is no id", ("501.7",)),
            Refusal("out_of_range", r"^\d+$", f"is above {BIGINT_MAX}", ("99999999999999999999",)),
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
        rules=(
            Rule("parentheses", r"^\(([^()+-]+)\)$", "-${1}", (("(12.30)", "-12.30"), ("($5)", "-$5"))),
            Rule(
                "currency",
                r"^([+-]?)\s*(?:\$|US\$|[Uu][Ss][Dd])\s*([+-]?)",
                "${1}${2}",
                (("$1,234.50", "1,234.50"), ("USD 5", "5"), ("-$5", "-5")),
            ),
            Rule("currency_after", r"\s*(?:\$|[Uu][Ss][Dd])$", "", (("5 USD", "5"),)),
            PLUS_SIGN,
            Rule(
                "thousands",
                # Only with a decimal point or a second group: `1,234` alone may be 1.234 elsewhere.
                r"^-?\d{1,3}(?:,\d{3})+\.\d{1,4}$|^-?\d{1,3}(?:,\d{3}){2,}$",
                remove_commas,
                (("1,234.50", "1234.50"), ("1,234,567", "1234567")),
            ),
            LEADING_ZEROS,
            Rule("bare_point", r"^(-?)\.(\d+)$", "${1}0.${2}", ((".5", "0.5"),)),
            Rule("bare_point_after", r"^(-?\d+)\.$", "${1}", (("5.", "5"),)),
            replace(IN_WORDS, examples=(("Two Hundred", "200"), ("one hundred and five point two five", "105.25"))),
        ),
        refusals=(
            NOT_FINITE,
            EXPONENT,
            Refusal(
                "too_many_decimals",
                r"^[^\d]*[\d,]*\.\d{5,}[^\d]*$",
                "has more than 4 decimals, and rounding would change it",
                ("1.23456",),
            ),
            Refusal(
                "ambiguous_comma",
                r"^[^\d]*[\d.]*,[\d,]*[^\d]*$",
                "uses a comma that may mean thousands or decimals",
                ("1.234,50", "12,34", "1,234"),
            ),
            Refusal(
                "out_of_range",
                r"^[+-]?\d{15,}(\.\d+)?$",
                "has more than 14 digits before the point",
                ("123456789012345",),
            ),
            Refusal("not_an_amount", "", "is not an amount", ("abc", "5 EUR", "12.3.4")),
        ),
    )


TRANSACTION_DATE = Column(
    "transaction_date",
    CalendarDate(),
    required=True,
    null_tokens=NULL_TOKENS,
    rules=(
        Rule(
            "timestamp",
            r"^(\d{4}[-/.]\d{2}[-/.]\d{2})[T ](?:[01][0-9]|2[0-3]):[0-5][0-9]"
            r"(?::[0-5][0-9](?:[.,][0-9]{1,9})?)?\s?(?:Z|z|[+-](?:0[0-9]|1[0-4])(?::?[0-5][0-9])?)?$",
            "${1}",
            (("2023-07-11T08:30:00Z", "2023-07-11"), ("2023-07-11 08:30", "2023-07-11")),
        ),
        Rule(
            "day_first",
            r"^(\d{2})([-/.])(\d{2})([-/.])(\d{4})$",
            put_year_first,
            (("11-07-2023", "2023-07-11"), ("11/07/2023", "2023-07-11"), ("11.07.2023", "2023-07-11")),
        ),
        Rule(
            "separator",
            r"^\d{4}([/.])\d{2}([/.])\d{2}$",
            separate_by_hyphens,
            (("2023/07/11", "2023-07-11"), ("2023.07.11", "2023-07-11")),
        ),
    ),
    refusals=(
        Refusal(
            "two_digit_year",
            r"^\d{1,2}[-/.]\d{1,2}[-/.]\d{2}$",
            "has a year of two digits",
            ("11-07-23", "23/07/11"),
        ),
        Refusal(
            "not_in_calendar",
            r"^\d{2}[-/.]\d{2}[-/.]\d{4}$|^\d{4}[-/.]\d{2}[-/.]\d{2}",
            "is not a day of the calendar, read as day-month-year or year-month-day",
            ("31-02-2023", "07-25-2023", "2023-13-01"),
        ),
        Refusal("not_a_date", "", "is not a date", ("yesterday", "2023-7-1", "20230711")),
    ),
)

PRODUCT_NAME = Column(
    "product_name",
    Text(255),
    required=False,
    null_tokens=frozenset(),  # `NA` is a name
    rules=(Rule("fold_spaces", r"\p{Zs}{2,}|[\p{Zs}--\x20]", " ", (("Product  A", "Product A"),)),),
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
    rules=(IN_WORDS, PLUS_SIGN, WHOLE_FLOAT, LEADING_ZEROS, NEGATIVE_ZERO),
    refusals=(
        NOT_FINITE,
        EXPONENT,
        Refusal("fraction", r"^[+-]?\d*\.\d*[1-9]\d*$", "has a fraction", ("1.5", ".5")),
        Refusal("out_of_range", r"^[+-]?\d+(\.0+)?$", "does not fit an integer", ("2147483648",)),
        Refusal("not_a_number", "", "is not a whole number", ("abc", "1,000", "two or three")),
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
