"""A second cleaner, for the tests only: slow, plain Python, written from the design and not from the engine.

Bytes of a UTF-8 file with commas → the verdict on each of its records. It uses `re`, `decimal`, `datetime` and
`unicodedata`, and nothing of `audited_load`.

Some texts are in no rule and no refusal of the design ("$5$"). Then either fate is right, but not every value: such
a `Verdict` has `certain=False`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, time
from decimal import Decimal
from typing import Any

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
NULL_TOKENS = {"na", "n/a", "null", "none", "nan", "-"}
WHITE_SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))


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


def judge_cell(column: str, text: str) -> Verdict:
    """Say what must become of one cell."""
    if column == "product_name":
        return _judge_name(text)
    text = text.strip(WHITE_SPACE)
    if text == "" or text.lower() in NULL_TOKENS:
        return REFUSED if column in REQUIRED else Verdict(accepted=True)
    return _JUDGES[column](text)


def judge_file(content: bytes, engine_refused: dict[int, set[str]] | None = None) -> Expected:
    """Say what must become of a file with a plain header, commas and line feeds, in UTF-8.

    Args:
        content: Its bytes.
        engine_refused: What the engine refused; it decides about the cells for which the design has no word.
    """
    expected, good = Expected(), {}
    for number, (_, fields) in enumerate(split_records(content, len(COLUMNS)), start=1):
        expected.read += 1
        if isinstance(fields, str):
            expected.refused[number] = {"record"}
            continue
        verdicts = {name: judge_cell(name, text) for name, text in zip(COLUMNS, fields, strict=True)}
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


def _identifier(letter: str) -> Callable[[str], Verdict]:
    def judge(text: str) -> Verdict:
        match = re.fullmatch(rf"[{letter}{letter.lower()}]?([0-9]+)(\.0+)?", text)
        if match is None or int(match[1]) >= 2**63:
            return REFUSED
        # The design shows a letter and a decimal point, but never both.
        return Verdict(accepted=True, value=int(match[1]), certain=not (match[2] and not text[0].isdigit()))

    return judge


def _judge_date(text: str) -> Verdict:
    certain = True
    stamp = re.fullmatch(
        r"(\d{4}([-/.])\d\d\2\d\d)([Tt ])(\d\d):(\d\d)(:(\d\d)([.,]\d+)?)?(\s?)([Zz]|[+-](\d\d)(:?(\d\d))?)?",
        text,
        re.ASCII,
    )
    if stamp is not None:
        hour, minute, second = int(stamp[4]), int(stamp[5]), int(stamp[7] or 0)
        zone = int(stamp[11] or 0), int(stamp[13] or 0)
        if hour == 24 or second == 60 or len(stamp[8] or "") > 10 or stamp[9] or "," in (stamp[8] or ""):
            certain = False
            hour, second = hour % 24, second % 60
        certain = certain and stamp[2] == "-" and stamp[3] != "t" and "z" not in text
        try:
            time(hour, minute, second)
            time(*zone)
        except ValueError:
            return REFUSED
        text = stamp[1]
    for pattern, order in (
        (r"(\d{4})([-/.])(\d\d)\2(\d\d)", (1, 3, 4)),
        (r"(\d\d)([-/.])(\d\d)\2(\d{4})", (4, 3, 1)),
    ):
        if match := re.fullmatch(pattern, text, re.ASCII):
            year, month, day = (int(match[place]) for place in order)
            try:
                return Verdict(accepted=True, value=date(year, month, day), certain=certain)
            except ValueError:
                return REFUSED
    return REFUSED


def _judge_name(text: str) -> Verdict:
    if any(unicodedata.category(char) == "Cc" for char in text):
        return REFUSED
    spaced = "".join(" " if unicodedata.category(char) == "Zs" else char for char in text)
    name = unicodedata.normalize("NFC", re.sub(" +", " ", spaced).strip(" "))
    return REFUSED if len(name) > 255 else Verdict(accepted=True, value=name or None)


def _judge_quantity(text: str) -> Verdict:
    if re.fullmatch(r"[+-]?[0-9]+(\.0+)?", text):
        number: Decimal | None = Decimal(text)
    else:
        number = read_words(text)
    if number is None or number != number.to_integral_value():
        return REFUSED
    value = int(number)
    certain = "point" not in text.lower() and text.lower() not in {"minus zero", "negative zero"}
    return Verdict(accepted=True, value=value, certain=certain) if -(2**31) <= value < 2**31 else REFUSED


_NUMBER = r"[0-9]+(\.[0-9]{1,4})?|[0-9]{1,3}(,[0-9]{3})+\.[0-9]{1,4}|[0-9]{1,3}(,[0-9]{3}){2,}"
_CURRENCY = r"(\$|US\$|(?a:(?i:USD)))"


def _judge_amount(text: str) -> Verdict:
    """Certain is what the design shows; then come its marks combined in ways that it does not show."""
    words = read_words(text)
    if words is not None:
        return _amount(words, certain=True)
    plain = re.fullmatch(rf"(?P<open>\()?(?P<sign>[+-]?)({_CURRENCY} ?)?(?P<number>{_NUMBER})(?P<close>\))?", text)
    if plain and bool(plain["open"]) == bool(plain["close"]) and not (plain["open"] and plain["sign"]):
        number = Decimal(plain["number"].replace(",", ""))
        return _amount(-number if plain["open"] or plain["sign"] == "-" else number, certain=True)
    bare = text
    for char in WHITE_SPACE:
        bare = bare.replace(char, " ")
    negative = bare.startswith("(") and bare.endswith(")")
    bare = (bare[1:-1] if negative else bare).strip(" ")
    sign = re.match(rf"([+-]?) *(?:{_CURRENCY} *)?([+-]?)", bare)
    assert sign is not None
    if sum(map(bool, (sign[1], sign[3], negative))) > 1:
        return REFUSED
    body = re.sub(rf" *{_CURRENCY}$", "", bare[sign.end() :])
    amount = read_words(body)
    if amount is None and re.fullmatch(rf"{_NUMBER}|\.[0-9]{{1,4}}|[0-9]+\.", body):
        amount = Decimal(body.replace(",", ""))
    if amount is None:
        return REFUSED
    return _amount(-amount if negative or "-" in sign[0] else amount, certain=False)


def _amount(value: Decimal, *, certain: bool) -> Verdict:
    exponent = value.as_tuple().exponent
    assert isinstance(exponent, int)
    if exponent < -4 or abs(value) >= 10**14:
        return REFUSED
    return Verdict(accepted=True, value=value, certain=certain)


_JUDGES: dict[str, Callable[[str], Verdict]] = {
    "transaction_id": _identifier("T"),
    "customer_id": _identifier("C"),
    "transaction_date": _judge_date,
    "product_id": _identifier("P"),
    "quantity": _judge_quantity,
    "price": _judge_amount,
    "tax": _judge_amount,
}
