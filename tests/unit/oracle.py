"""A second cleaner, for the tests only: slow, plain Python, written from the design and not from the engine.

Bytes of a UTF-8 file with commas → the verdict on each of its records. It uses `re`, `decimal`, `datetime` and
`unicodedata`, and nothing of `audited_load`.

Some texts are in no rule and no refusal of the design ("$5$"). Then either fate is right, but not every value: such
a `Verdict` has `certain=False`.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from day_oracle import WHITE_SPACE, is_digits, read_date
from number_words_oracle import read_words
from record_oracle import split_records

COLUMNS = (
    "transaction_id",
    "customer_id",
    "transaction_date",
    "product_id",
    "product_name",
    "quantity",
    "price",
    "tax",
)
REQUIRED = {"transaction_id", "transaction_date", "product_id"}
NULL_TOKENS = {
    "na", "n/a", "n.a.", "n.a", "null", "none", "nil", "nan", "nat", "-nan", "unknown", "missing", "undefined",
    "error", "(null)", "[null]", "<null>", "<na>", "<nat>", "(blank)", "(empty)", "\\n", "?", ".", "-", "--", "---",
    "#n/a", "#na", "#null!", "#value!", "#ref!", "#div/0!", "#name?", "#num!", "#error!", "#n/a n/a",
    "-nan(ind)", "1.#ind", "-1.#ind", "1.#qnan", "-1.#qnan", "\u2013", "\u2014", "\u2212",
}  # fmt: skip

SPACES = "".join(char for char in map(chr, range(0x3001)) if unicodedata.category(char) == "Zs")
# Not U+202E: it turns around what a person sees.
INVISIBLE = "\u00ad\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u2060\u2066\u2067\u2068\u2069\ufeff"
DASHES = "\u2010\u2011\u2013\u2212\ufe63\uff0d"
"""Read as a minus in front of a number; behind it only the minus sign itself is."""


@dataclass(frozen=True)
class Declared:
    """What was declared of the file."""

    decimal: str = "auto"
    month_first: bool = False


NOTHING = Declared()


@dataclass(frozen=True)
class Verdict:
    """What must become of one cell; `value` is None for NULL."""

    accepted: bool
    value: Any = None
    certain: bool = True


REFUSED = Verdict(accepted=False)


@dataclass
class Expected:
    """What must become of one file.

    Attributes:
        read: Records.
        refused: For each refused record, by number from 1, the columns that refuse it, or {"record"}.
        superseded: Numbers of the records that a later one with their key replaced.
        duplicates: Numbers of the records that equal the one that stands for them.
        accepted: Values of the others, by number.
    """

    read: int = 0
    refused: dict[int, set[str]] = field(default_factory=dict)
    superseded: set[int] = field(default_factory=set)
    duplicates: set[int] = field(default_factory=set)
    accepted: dict[int, tuple[Any, ...]] = field(default_factory=dict)

    def totals(self) -> dict[str, Decimal]:
        rows = [dict(zip(COLUMNS, values, strict=True)) for values in self.accepted.values()]
        return {
            "quantity": sum((Decimal(row["quantity"] or 0) for row in rows), Decimal(0)),
            "gross": sum(((row["quantity"] or 0) * (row["price"] or Decimal(0)) for row in rows), Decimal(0)),
            "tax": sum((row["tax"] or Decimal(0) for row in rows), Decimal(0)),
        }


def judge_cell(column: str, text: str, declared: Declared = NOTHING) -> Verdict:
    """Say what must become of one cell."""
    if column == "product_name":
        return _judge_name(text)
    text = _unwrap(text)
    if text == "" or text.lower() in NULL_TOKENS:
        return REFUSED if column in REQUIRED else Verdict(accepted=True)
    if column == "transaction_date":
        return _judge_date(text, month_first=declared.month_first)
    if declared.decimal == "comma" and any(char in "0123456789" for char in text):
        text = "".join({",": ".", ".": ","}.get(char, char) for char in text)
    if column in _LETTERS:
        return _judge_id(text, _LETTERS[column])
    judge = _judge_quantity if column == "quantity" else _judge_amount
    return judge(text, single_comma=declared.decimal != "auto")


def _unwrap(text: str) -> str:
    """Take away what is around a value: blanks, what nobody sees, and a spreadsheet's guards."""
    text = text.strip(WHITE_SPACE).strip(WHITE_SPACE + INVISIBLE)
    if text.startswith("'") and (inner := text[1:].strip(WHITE_SPACE)):
        text = inner[:1] + inner[1:].removesuffix("'").rstrip(WHITE_SPACE)
    if text.startswith('="') and text.endswith('"') and text.count('"') == 2:
        text = text[2:-1]
    return text.strip(WHITE_SPACE)


def judge_file(
    content: bytes, engine_refused: dict[int, set[str]] | None = None, declared: Declared = NOTHING
) -> Expected:
    """Say what must become of a file with a plain header, commas and line feeds, in UTF-8.

    Args:
        content: Its bytes.
        engine_refused: What the engine refused; it decides about the cells for which the design has no word.
        declared: How the file was declared to be written.
    """
    expected, good = Expected(), {}
    for number, (_, fields) in enumerate(split_records(content, len(COLUMNS)), start=1):
        expected.read += 1
        if isinstance(fields, str):
            expected.refused[number] = {"record"}
            continue
        verdicts = {name: judge_cell(name, text, declared) for name, text in zip(COLUMNS, fields, strict=True)}
        said = (engine_refused or {}).get(number, set())
        bad = {name for name, one in verdicts.items() if not one.accepted or (not one.certain and name in said)}
        if bad:
            expected.refused[number] = bad
        else:
            good[number] = tuple(one.value for one in verdicts.values())
    last = {values[0]: (number, values) for number, values in good.items()}
    for number, values in good.items():
        winner, winning = last[values[0]]
        if number == winner:
            expected.accepted[number] = values
        else:
            (expected.duplicates if values == winning else expected.superseded).add(number)
    return expected


def _judge_id(text: str, letter: str) -> Verdict:
    bare = text[1:] if text[0] in {letter, letter.lower()} else text
    digits, point, zeros = bare.partition(".")
    if not is_digits(digits) or zeros.strip("0"):
        return REFUSED
    if int(digits) >= (2**53 if point else 2**63):
        return REFUSED
    # The design shows a letter and a decimal point, but never both.
    return Verdict(accepted=True, value=int(digits), certain=not (point and bare != text))


def _judge_date(text: str, *, month_first: bool) -> Verdict:
    day = read_date(text, month_first=month_first)
    return Verdict(accepted=True, value=day) if day and 1900 <= day.year <= 2100 else REFUSED


def _judge_name(text: str) -> Verdict:
    blank = SPACES + "\t"
    text = text.strip(blank)
    while (
        text.startswith('="') and text.endswith('"') and len(text) > 2 and '"' not in text[2:-1].replace('""', "")
    ):
        text = text[2:-1].replace('""', '"').strip(blank)
    if any(unicodedata.category(char) == "Cc" and char != "\t" for char in text):
        return REFUSED
    spaced = "".join(" " if char in blank else char for char in text)
    name = unicodedata.normalize("NFC", re.sub(" +", " ", spaced).strip(" "))
    return REFUSED if len(name) > 255 else Verdict(accepted=True, value=name or None)


def _read_plain(text: str, *, single_comma: bool) -> Decimal | None:
    """Read a number without a sign: digits, perhaps in thousands, perhaps with decimals."""
    whole, point, decimals = text.partition(".")
    if decimals and not is_digits(decimals):
        return None
    if is_digits(whole) or (whole == "" and decimals):
        return Decimal(f"{whole or 0}.{decimals or 0}")
    for marks in (",", SPACES, "'\u2019"):
        first, *groups = re.split(f"[{marks}]", whole)
        if not groups or not is_digits(first) or len(first) > 3:
            continue
        if any(not is_digits(group) or len(group) != 3 for group in groups):
            continue
        if marks == ",":
            good = bool(point) or len(groups) > 1 or (single_comma and first[0] != "0")
        else:
            good = first[0] != "0"
        if good:
            return Decimal(first + "".join(groups) + "." + (decimals or "0"))
    return None


def _read_signed(text: str, *, single_comma: bool) -> Decimal | None:
    """Read a number with a sign before it, behind it, or around it; or with none."""
    if text.startswith("(") and text.endswith(")"):
        inner, sign = text[1:-1].strip(WHITE_SPACE), -1
    elif text[:1] in {*"+-", *DASHES}:
        inner, sign = text[1:].lstrip(WHITE_SPACE), 1 if text[0] == "+" else -1
    elif text[-1:] in {"-", "\u2212"} and is_digits(text[-2:-1]):
        inner, sign = text[:-1], -1
    else:
        inner, sign = text, 1
    number = _read_plain(inner, single_comma=single_comma)
    return None if number is None else sign * number


def _judge_quantity(text: str, *, single_comma: bool) -> Verdict:
    words = read_words(text)
    number = _read_signed(text, single_comma=single_comma) if words is None else words
    if number is None or number != number.to_integral_value():
        return REFUSED
    value = int(number)
    certain = "point" not in text.lower() and text.lower() not in {"minus zero", "negative zero"}
    return Verdict(accepted=True, value=value, certain=certain) if -(2**31) <= value < 2**31 else REFUSED


_CURRENCY = r"(?:US\$|\$|[Uu][Ss][Dd])"


def _judge_amount(text: str, *, single_comma: bool) -> Verdict:
    """Certain is what the design shows; then come its marks combined in ways that it does not show."""
    words = read_words(text)
    if words is not None:
        return _amount(words, certain=True)
    bare = re.sub(rf"^([(+-]?){_CURRENCY} ?(?=[0-9])", r"\1", text, count=1)
    number = _read_signed(bare, single_comma=single_comma)
    if number is not None:
        return _amount(number, certain=True)
    number = _read_liberally(text, single_comma=single_comma)
    return REFUSED if number is None else _amount(number, certain=False)


def _read_liberally(text: str, *, single_comma: bool) -> Decimal | None:
    """Peel marks off a number from outside, in any order; two signs are none."""
    signs: list[int] = []
    while True:
        text = text.strip(WHITE_SPACE)
        peeled = re.sub(rf"^{_CURRENCY}|{_CURRENCY}$", "", text, count=1)
        if peeled == text and text.startswith("(") and text.endswith(")"):
            peeled = text[1:-1]
            signs.append(-1)
        elif peeled == text and text[:1] in {*"+-", *DASHES}:
            peeled = text[1:]
            signs.append(1 if text[0] == "+" else -1)
        elif peeled == text and text[-1:] in {"-", "\u2212"} and is_digits(text[-2:-1]):
            peeled = text[:-1]
            signs.append(-1)
        if peeled == text:
            break
        text = peeled
    number = read_words(text)
    if number is None:
        number = _read_plain(text, single_comma=single_comma)
    if number is None or len(signs) > 1:
        return None
    return number * (signs[0] if signs else 1)


def _amount(value: Decimal, *, certain: bool) -> Verdict:
    if abs(value) >= 10**14 or value != value.quantize(Decimal("0.0001")):
        return REFUSED
    return Verdict(accepted=True, value=value, certain=certain)


_LETTERS = {"transaction_id": "T", "customer_id": "C", "product_id": "P"}
