"""How numbers are written: signs, thousands, words, currencies; and why a text is none.

The comma is written of here as the mark of thousands, the point as that of decimals: in files of decimal commas
the engine lets them change places first.
"""

from __future__ import annotations

import re

from audited_load.columns import Part, Refusal, Rule
from audited_load.rules.currencies import NO_CURRENCY, Currency, other_currencies
from audited_load.rules.number_words import NUMBER_WORDS, read_number_words

DECLARED = ("decimal=point", "decimal=comma")
BY_MARK, BY_SPACE, BY_APOSTROPHE = (("group=auto", f"group={one}") for one in ("mark", "space", "apostrophe"))
COMMA, POINT, UNDECLARED = ("decimal=comma",), ("decimal=point",), ("decimal=auto",)
_MINUS = "\u2010\u2011\u2013\u2212\ufe63\uff0d"
_SPACES = " \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
EXACT_FLOATS = 2**53
"""From here on a float can't hold every whole number."""


def remove_commas(text: str) -> str:
    """Take the commas out of an amount: "1,234.50" is 1234.50."""
    return text.replace(",", "")


def remove_spaces(text: str) -> str:
    """Take the spaces, of any width, out of an amount: "1 234.50" is 1234.50."""
    return "".join(text.split())


def remove_apostrophes(text: str) -> str:
    """Take the apostrophes out of an amount: "1'234.50" is 1234.50."""
    return text.replace("'", "").replace("\u2019", "")


def digits_below(limit: int) -> str:
    """Build the pattern of the whole numbers below a limit, without leading zeros."""
    digits = str(limit)
    same_length = [
        f"{digits[:place]}[{'1' if place == 0 else '0'}-{int(digit) - 1}][0-9]{{{len(digits) - place - 1}}}"
        for place, digit in enumerate(digits)
        if int(digit) > (place == 0)
    ]
    return "|".join([f"[0-9]{{1,{len(digits) - 1}}}", *same_length])


PLUS_SIGN = Rule("plus_sign", r"^\+([0-9.])", "${1}", (("+5", "5"),), needs="+")
NEGATIVE_ZERO = Rule("negative_zero", r"^-0+$", "0", (("-0", "0"),))
LEADING_ZEROS = Rule("leading_zeros", r"^(-?)0+([0-9])", "${1}${2}", (("007", "7"),))
WHOLE_FLOAT = Rule("whole_float", r"^(-?[0-9]+)\.0*$", "${1}", (("501.0", "501"), ("2.00", "2")))
WHOLE_ID = Rule(
    "whole_float",
    rf"^0*(?:{digits_below(EXACT_FLOATS)})\.0*$",
    Part(end="."),
    (("501.0", "501"), ("2.00", "2"), ("9007199254740991.0", "9007199254740991")),
)
TRAILING_ZEROS = Rule(
    "trailing_zeros", r"^(-?[0-9]+\.[0-9]{4})0+$", "${1}", (("76.270000", "76.2700"), ("5.00000", "5.0000"))
)
BARE_POINT = Rule("bare_point", r"^(-?)\.([0-9])", "${1}0.${2}", ((".0", "0.0"),))
BARE_POINT_AFTER = Rule("bare_point_after", r"^(-?[0-9]+)\.$", "${1}", (("5.", "5"),))
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


def currency_rules(currency: Currency) -> tuple[Rule, ...]:
    """Build the rules for what may stand beside an amount in a currency; none if there is no currency."""
    if not currency.code:
        return ()
    sign, code = next(one for one in currency.spellings if "." not in one), currency.code
    forms = ((".", (*UNDECLARED, *POINT)), (",", COMMA)) if currency.has_points else ((".", ()),)
    return tuple(
        rule
        for point, when in forms
        for rule in (
            Rule(
                "currency",
                rf"^(\(?[+-]?)\s*{currency.pattern(point)}\s*([+(-]?)",
                "${1}${2}",
                ((f"{sign}1,234.50", "1,234.50"), (f"{code} 5", "5"), (f"-{sign}5", "-5")),
                when,
                needs=currency.starts,
            ),
            Rule(
                "currency_after",
                rf"\s*{currency.pattern(point)}(\)?)$",
                "${1}",
                ((f"5 {code}", "5"),),
                when,
                needs=currency.starts,
            ),
        )
    )


def minus_sign(currency: Currency = NO_CURRENCY) -> Rule:
    """Build the rule for a minus as typesetters write it, which a currency may stand before."""
    sign = rf"{currency.pattern()}?\s*" if currency.code else ""
    return Rule(
        "minus_sign",
        rf"^(\(?\s*{sign})[{_MINUS}]|([0-9])\u2212$",
        "${1}${2}-",
        (("\u221276", "-76"), ("\u20135", "-5")),
        needs=_MINUS,
    )


SIGN_RULES = (
    Rule(
        "parentheses",
        r"^\(\s*([^()+\s-][^()+-]*?)\s*\)$",
        "-${1}",
        (("(5)", "-5"), ("(1,234,567)", "-1234567")),
        needs="(",
    ),
    Rule("trailing_minus", r"^([0-9.](?:.*[0-9])?)-$", "-${1}", (("5-", "-5"), ("1,234,567-", "-1234567"))),
    Rule(
        "sign_apart",
        r"^([+-])\s+([0-9.])",
        "${1}${2}",
        (("- 5", "-5"),),
        needs=_SPACES + "\t\n\v\f\r\x85\u2028\u2029",
    ),
    PLUS_SIGN,
)
THOUSANDS_RULES = (
    Rule(
        "thousands",
        # Only with a decimal point or a second group: `1,234` alone may be 1.234 elsewhere.
        r"^-?[0-9]{1,3}(?:,[0-9]{3})+\.[0-9]*$|^-?[0-9]{1,3}(?:,[0-9]{3}){2,}$",
        remove_commas,
        (("1,234.00", "1234.00"), ("1,234,567", "1234567")),
        BY_MARK,
        needs=",",
    ),
    Rule(
        "one_group",
        r"^-?[1-9][0-9]{0,2},[0-9]{3}$",
        remove_commas,
        (("1,234", "1234"),),
        (*DECLARED, *BY_MARK),
        needs=",",
    ),
    Rule(
        "thousands_space",
        r"^-?[1-9][0-9]{0,2}(?:\p{Zs}[0-9]{3})+(?:\.[0-9]*)?$",
        remove_spaces,
        (("1 234", "1234"), ("1\u202f234\u202f567.00", "1234567.00")),
        BY_SPACE,
        needs=_SPACES,
    ),
    Rule(
        "thousands_apostrophe",
        r"^-?[1-9][0-9]{0,2}(?:['\x{2019}][0-9]{3})+(?:\.[0-9]*)?$",
        remove_apostrophes,
        (("1'234.00", "1234.00"), ("1\u2019234", "1234")),
        BY_APOSTROPHE,
        needs="'\u2019",
    ),
)

NOT_FINITE = Refusal(
    "not_finite",
    r"(?i)^[+-]?inf(inity)?$",
    "is not a finite number",
    ("inf", "-Infinity"),
    needs="fF",
)
EXPONENT = Refusal(
    "exponent",
    r"(?i)^[+-]?[0-9.,]*[0-9][.,]?e[+-]?[0-9]+$",
    "is in scientific notation, as Excel shows long numbers: digits may be lost",
    ("1e999", "1.5E3", "1.23E+11"),
    needs="eE",
)
_COMMA_LAST = (
    r"^-?(?:[0-9]*,(?:[0-9]{1,2}|[0-9]{4,})"  # decimals that are no group of three
    r"|(?:0?|[0-9]{4,}),[0-9]{3}"  # before the comma, what can't be thousands
    r"|[0-9]{1,3}(?:[.'\x{2019}\p{Zs}][0-9]{3})+,[0-9]+)$"  # thousands by another mark
)
_POINTS = r"^-?[1-9][0-9]{0,2}(?:\.[0-9]{3}){2,}$"
_LOST_COMMA = r"^-?[0-9.]*,[0-9.,]*$"
DECIMAL_REFUSALS = (
    Refusal(
        "decimal_comma",
        _COMMA_LAST,
        "has a decimal comma; if the file has them throughout, declare decimal=comma",
        ("12,34", "1.234,50", "0,234"),
        UNDECLARED,
        needs=",",
    ),
    Refusal(
        "decimal_comma",
        _COMMA_LAST,
        "has a decimal comma, but the file was declared to have decimal points",
        ("12,34", "1.234,50"),
        POINT,
        needs=",",
    ),
    Refusal(
        "decimal_point",
        _COMMA_LAST,
        "has a decimal point, but the file was declared to have decimal commas",
        ("12.34", "1,234.50"),
        COMMA,
        needs=",",
    ),
)
MARK_REFUSALS = (
    Refusal(
        "other_group",
        r"^-?[1-9][0-9]{0,2}(?:[,'\x{2019}\p{Zs}][0-9]{3})+(?:\.[0-9]*)?$",
        "has thousands by another mark than the file was declared to have",
        ("1,234,567.00", "1 234"),
        ("group=none",),
    ),
    Refusal(
        "other_group",
        r"^-?[1-9][0-9]{0,2}(?:['\x{2019}\p{Zs}][0-9]{3})+(?:\.[0-9]*)?$",
        "has thousands by another mark than the file was declared to have",
        ("1'234", "1 234.00"),
        ("group=mark",),
    ),
    Refusal(
        "other_group",
        r"^-?[1-9][0-9]{0,2}(?:[,'\x{2019}][0-9]{3})+(?:\.[0-9]*)?$",
        "has thousands by another mark than the file was declared to have",
        ("1,234,567.00", "1'234"),
        ("group=space",),
    ),
    Refusal(
        "other_group",
        r"^-?[1-9][0-9]{0,2}(?:[,\p{Zs}][0-9]{3})+(?:\.[0-9]*)?$",
        "has thousands by another mark than the file was declared to have",
        ("1,234,567.00", "1 234"),
        ("group=apostrophe",),
    ),
    *DECIMAL_REFUSALS,
    Refusal(
        "ambiguous_comma",
        r"^-?[1-9][0-9]{0,2},[0-9]{3}$",
        "has a comma that may mean thousands or decimals; declare decimal=point or decimal=comma",
        ("1,234",),
        UNDECLARED,
        needs=",",
    ),
    Refusal(
        "point_thousands",
        _POINTS,
        "has points between thousands; if the file has decimal commas, declare decimal=comma",
        ("1.234.567",),
        UNDECLARED,
    ),
    Refusal(
        "point_thousands",
        _POINTS,
        "has points between thousands, but the file was declared to have decimal points",
        ("1.234.567",),
        POINT,
    ),
    Refusal(
        "comma_thousands",
        _POINTS,
        "has commas between thousands, but the file was declared to have decimal commas",
        ("1,234,567",),
        COMMA,
    ),
    Refusal(
        "misplaced_comma",
        _LOST_COMMA,
        "has a comma where neither thousands nor decimals have one",
        ("1,23,456", "5,"),
        ("decimal=auto", "decimal=point"),
        needs=",",
    ),
    Refusal(
        "misplaced_point",
        _LOST_COMMA,
        "has a point where neither thousands nor decimals have one",
        ("1.23.456", "5."),
        COMMA,
        needs=",",
    ),
)


def other_currency(own: Currency) -> Refusal:
    """Build the refusal of amounts in another currency than the table's."""
    others = other_currencies(own)
    return Refusal(
        "other_currency",
        rf"^[-+(\s]*{others}\s*[-+]?\s*[0-9.].*$|^.*[0-9.][\s-]*{others}[\s)]*$",
        f"is in another currency than {own}" if own.code else "is in a currency, and the contract declares none",
        tuple(text for text in ("5 EUR", "\u20ac5", "GBP 12.50", "$5") if not re.search(own.pattern(), text))
        if own.code
        else ("5 EUR", "$5"),
    )
