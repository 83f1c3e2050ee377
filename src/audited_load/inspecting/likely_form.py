"""What the columns hold → how their writer writes numbers and dates, and how sure that is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from audited_load.cleaning.evidence import AGAINST, FOR, UNDECIDED
from audited_load.form import AUTO
from audited_load.inspecting.column_facts import DAYS, NUMBERS, ColumnFacts
from audited_load.shown import count_of

POINT, COMMA = "decimals after a point", "decimals after a comma"
ONE_POINT, ONE_COMMA = "one point, thousands or decimals", "one comma, thousands or decimals"
_MOSTLY, _FEW = 0.5, 0.02


@dataclass(frozen=True)
class LikelyForm:
    """How numbers and dates are written.

    Attributes:
        decimal: "point", "comma", or "auto" where nothing is to be declared.
        date_order: "day_first", "month_first", or "auto" where nothing is to be declared.
        unsure: Of which of the two that isn't certain, and why: a sentence each.
    """

    decimal: str
    date_order: str
    unsure: dict[str, str]


def find_form(columns: Sequence[ColumnFacts]) -> LikelyForm:
    """Find out how numbers and dates are written, by what the columns hold."""
    numbers, days = Counter[str](), Counter[str]()
    for column in columns:
        if column.share(NUMBERS) > _MOSTLY:
            numbers.update({kind: column.kinds[kind] for kind in (POINT, COMMA, ONE_POINT, ONE_COMMA)})
        if column.share(DAYS) > _MOSTLY:
            days.update(column.days)
    unsure = {}
    decimal, why = _decimal(numbers)
    if why:
        unsure["decimal"] = why
    order, why = _order(days)
    if why:
        unsure["date_order"] = why
    return LikelyForm(decimal, order, unsure)


def _decimal(found: Counter[str]) -> tuple[str, str]:
    """Return the decimal mark, and why that isn't certain."""
    point, comma = found[POINT], found[COMMA]
    either = found[ONE_POINT] + found[ONE_COMMA]
    if point and comma:
        mark, other, fewer = ("point", "comma", comma) if point > comma else ("comma", "point", point)
        if fewer > _FEW * (point + comma):
            return mark, (
                f"{count_of(point, 'number')} can only have decimals after a point, and {comma} only after a comma:"
                " ask the supplier."
            )
        return (mark if mark == "comma" or found[ONE_COMMA] else AUTO), (
            f"{count_of(fewer, 'number')} can only have a {other} before decimals, {max(point, comma)}"
            f" only a {mark}."
        )
    if comma:
        return "comma", ""
    if point:
        return ("point" if found[ONE_COMMA] else AUTO), ""
    if not either:
        return AUTO, ""
    # Who writes decimals at all, seldom writes three of them and nothing else.
    mark, name = ("comma", "point") if found[ONE_POINT] > found[ONE_COMMA] else ("point", "comma")
    return mark, (
        f"{count_of(either, 'number')} like 15{'.' if name == 'point' else ','}000 and no other decimals: taken for"
        f" thousands, since each has three digits behind the {name}. Ask the supplier."
    )


def _order(found: Counter[str]) -> tuple[str, str]:
    """Return what comes first in dates that end with their year, and why that isn't certain."""
    day, month, either = found[FOR], found[AGAINST], found[UNDECIDED]
    if day and month:
        order, fewer, other = ("day_first", month, "month") if day >= month else ("month_first", day, "day")
        first = "day" if other == "month" else "month"
        sentence = f"{count_of(fewer, 'date')} can only have the {other} first, {max(day, month)} only the {first}."
        return (AUTO if order == "day_first" else order), sentence
    if month:
        return "month_first", ""
    if either and not day:
        return AUTO, (
            f"All {count_of(either, 'date')} with the year at the end may have the day or the month first: taken"
            " for day first. Ask the supplier."
        )
    return AUTO, ""
