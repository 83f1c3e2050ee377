"""The rules of the customer transactions: which texts each sort of column reads, and why it refuses the rest.

Which columns there are, and the sort, type and null tokens of each, says the contract,
`contracts/customer_transactions.odcs.yaml`. No database or Airflow here. The rules that several sorts share
stand in `value_rules.py`, `number_rules.py` and `date_rules.py`.
`docs/data-quality.md` shows the columns with their rules; a test holds them together.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from audited_load.columns import Amount, CalendarDate, Column, Kind, Part, Refusal, Rule, Text, WholeNumber
from audited_load.contracts.build import Declared, build_feed
from audited_load.contracts.contract import CLONE, read_contract
from audited_load.rules.date_rules import DATE_REFUSALS, DATE_RULES, outside
from audited_load.rules.number_rules import (
    BARE_POINT,
    BARE_POINT_AFTER,
    DECIMAL_REFUSALS,
    EXPONENT,
    IN_WORDS,
    LEADING_ZEROS,
    MARK_REFUSALS,
    NEGATIVE_ZERO,
    NOT_FINITE,
    SIGN_RULES,
    THOUSANDS_RULES,
    TRAILING_ZEROS,
    WHOLE_FLOAT,
    WHOLE_ID,
    currency_rules,
    minus_sign,
    other_currency,
)
from audited_load.rules.value_rules import NAME_FORMULA, ODD_CHARACTERS, wrappers

# Beside the DAGs' folder; where only that was copied, in the clone that the engine is installed from.
_CONTRACTS = [
    home / "contracts" / "customer_transactions.odcs.yaml" for home in (Path(__file__).resolve().parents[3], CLONE)
]
CONTRACT = next((path for path in _CONTRACTS if path.exists()), _CONTRACTS[0])
BIGINT_MAX = 2**63 - 1
INTEGER_MIN, INTEGER_MAX = -(2**31), 2**31 - 1


def letter_prefix(letter: str, name: str) -> Rule:
    """Build the rule for ids that carry one letter in front, in either case."""
    both = f"[{letter.lower()}{letter.upper()}]"
    examples = ((f"{letter.upper()}1010", "1010"), (f"{letter.lower()}1010", "1010"))
    return Rule(name, rf"^{both}[0-9]", Part(start=1), examples)


def prefix_rule(prefix: str) -> Rule:
    """Build the rule for ids that carry a prefix, in either case, such as RE- in RE-1010."""
    letters = prefix.rstrip("-_/").lower()
    if prefix.lower() == letters and len(letters) == 1:
        return letter_prefix(prefix, f"prefix_{letters}")
    return Rule(f"prefix_{letters}", rf"^(?i-u:{prefix})([0-9])", "${1}", ((f"{prefix}1010", "1010"),))


def read_as(declared: Declared, kind: Kind) -> None:
    """Check that a column has the type that its rules are written for.

    Raises:
        ValueError: It has another.
    """
    if declared.kind != kind:
        raise ValueError(f"whose rules read {kind} and not {declared.kind}")
    if declared.id_prefix and kind != WholeNumber(0, BIGINT_MAX):
        raise ValueError("which has no idPrefix")


def identifier(declared: Declared) -> Column:
    """Build the column of an id: a bigint from 0, with an optional letter in front.

    Raises:
        ValueError: It is declared to be something else.
    """
    read_as(declared, WholeNumber(0, BIGINT_MAX))
    prefix = declared.id_prefix
    if prefix and not re.fullmatch("[A-Za-z]{1,10}[-_/]?", prefix):
        raise ValueError("whose idPrefix must be one to ten letters, and perhaps one of - _ /")
    prefixes = (prefix_rule(prefix),) if prefix else ()
    return Column(
        declared.name,
        declared.kind,
        declared.required,
        declared.null_tokens,
        wrappers=wrappers("1001"),
        rules=(*prefixes, WHOLE_ID, LEADING_ZEROS),
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


def amount(declared: Declared) -> Column:
    """Build the column of an amount of money: numeric(18,4), in the table's one currency.

    Raises:
        ValueError: It is declared to be something else.
    """
    read_as(declared, Amount(18, 4))
    return Column(
        declared.name,
        declared.kind,
        declared.required,
        declared.null_tokens,
        wrappers=wrappers("-76"),
        rules=(
            minus_sign(declared.currency),
            *currency_rules(declared.currency),
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
            other_currency(declared.currency),
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


def day(declared: Declared) -> Column:
    """Build the column of a day, from one that is declared to another: no rule looks at a clock.

    Raises:
        ValueError: It is declared to be something else.
    """
    if not isinstance(declared.kind, CalendarDate):
        raise ValueError("whose rules read a day")  # noqa: TRY004 - a fault of the contract, and not of its caller
    read_as(declared, declared.kind)
    return Column(
        declared.name,
        declared.kind,
        declared.required,
        declared.null_tokens,
        wrappers=wrappers("2023-07-11"),
        rules=DATE_RULES,
        refusals=(*ODD_CHARACTERS, outside(declared.kind.first, declared.kind.last), *DATE_REFUSALS),
    )


def short_name(declared: Declared) -> Column:
    """Build the column of a name: a text of at most 255 characters.

    Raises:
        ValueError: It is declared to be something else.
    """
    read_as(declared, Text(255))
    return Column(
        declared.name,
        declared.kind,
        declared.required,
        declared.null_tokens,
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


def count(declared: Declared) -> Column:
    """Build the column of a count: an integer, negative for what came back.

    Raises:
        ValueError: It is declared to be something else.
    """
    read_as(declared, WholeNumber(INTEGER_MIN, INTEGER_MAX))
    return Column(
        declared.name,
        declared.kind,
        declared.required,
        declared.null_tokens,
        wrappers=wrappers("5"),
        rules=(
            IN_WORDS,
            minus_sign(),
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


RULES = {"id": identifier, "day": day, "name": short_name, "count": count, "amount": amount}
"""What a column of the contract may name as its rules."""

TAKEN = frozenset(
    {
        *("sign", "loaded_at", "load_id", "source_record", "confirmed_by", "generation"),
        *("transaction_month", "transaction_year", "transaction_quarter", "month_number"),
        *("gross_amount", "total_amount", "net_amount"),
        *("reject_id", "reasons", "raw_record", "record"),
        *("ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"),
        *("is_valid_quantity", "is_valid_price", "is_valid_transaction"),
    }
)
"""What tables, exports and the staging model add to a record: no column of a contract may be called so."""

CUSTOMER_TRANSACTIONS = build_feed(read_contract(CONTRACT), RULES, TAKEN)
