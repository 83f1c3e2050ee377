r"""What a file shows of how its writer writes → whether it may be read as it is.

`2.037` is two thousand to one writer and two to another, `03/04/2023` a day of April or of March. No rule can tell
from the value alone. But the other values of the file may: one `12,50` shows a decimal comma, one `07/13/2023` that
the month comes first. So signs for and against the usual reading are counted over the whole file, column by column,
and a file that speaks against that reading, and nowhere for it, is not read. What no other value settles can't be
known: a file of the days 1 to 12 only, a file with commas between its fields whose amounts all have three decimals.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

import polars as pl

from audited_load.columns import Amount, CalendarDate, Column, Text, WholeNumber
from audited_load.form import AUTO
from audited_load.shown import count_of

FOR, AGAINST, UNDECIDED = "for", "against", "undecided"
DECIMAL = "decimal"
APOSTROPHES = "apostrophes"
SAMPLED = 256

_EDGE = r"[^0-9.,]*"
_GROUP = r"[ '\u2019\u00a0\u2009\u202f]?"


class Sign(NamedTuple):
    """How many values say so, and where the first of them is: a text, a row, or a line of the file."""

    number: int
    place: int


Signs: TypeAlias = dict[tuple[str, str], Sign]
"""By topic (`decimal`, `apostrophes` or the separator of a date) and by what they say."""
Evidence: TypeAlias = dict[tuple[str, str, str], Sign]
"""Signs by column, topic and what they say."""


def _decimal_pattern(mark: str, other: str) -> str:
    """Describe the amounts in which only `mark` can be before decimals, or only `other` between thousands."""
    mark, other = (rf"\{sign}" for sign in (mark, other))
    whole = rf"[0-9]{{1,3}}(?:{_GROUP}[0-9]{{3}})*|[0-9]+"
    return (
        rf"^{_EDGE}(?:(?:{whole})?{mark}(?:[0-9]{{1,2}}|[0-9]{{4,}})"
        rf"|0*{mark}[0-9]+"
        rf"|(?:0[0-9]+|[0-9]{{4,}}|[0-9]{{1,3}}(?:{_GROUP[:-1]}[0-9]{{3}})+){mark}[0-9]{{3}}"
        rf"|[0-9]{{1,3}}(?:{other}[0-9]{{3}})+{mark}[0-9]*"
        rf"|[0-9]{{1,3}}(?:{other}[0-9]{{3}}){{2,}}){_EDGE}$"
    )


POINT_ONLY, COMMA_ONLY = _decimal_pattern(".", ","), _decimal_pattern(",", ".")
_EITHER = rf"^{_EDGE}[1-9][0-9]{{0,2}}\.[0-9]{{3}}{_EDGE}$"
_WHOLE = {
    # Whole numbers have no decimals but zeros; `2.500` may be a fraction, which is refused, or thousands.
    FOR: rf"^{_EDGE}[0-9]+\.(?:0{{1,2}}|0{{4,}}){_EDGE}$",
    AGAINST: rf"^{_EDGE}[1-9][0-9]{{0,2}}(?:\.[0-9]{{3}}){{2,}}{_EDGE}$",
    UNDECIDED: rf"^{_EDGE}[1-9][0-9]{{0,2}}\.000{_EDGE}$",
}
_AMOUNT = {FOR: POINT_ONLY, AGAINST: COMMA_ONLY, UNDECIDED: _EITHER}
_DATE = r"^[^0-9]*([0-9]{1,2})([-/.])([0-9]{1,2})([-/.])[0-9]{4}(?:[^0-9].*)?$"


def weigh_column(texts: pl.Series, accepted: pl.Series, column: Column) -> Signs:
    """Look at all texts of a column, where the canonical ones may be signs, too.

    Args:
        texts: As they stand in the file.
        accepted: Whether each was: `Nr.7` or `5.0%` in an amount proves no decimal point.
        column: Their type, and the form of the file: of what was declared no signs are wanted.

    Returns:
        Signs with the number of a row each.
    """
    match column.kind:
        case Amount() if column.form.decimal == AUTO:
            return _weigh_amounts(texts, accepted)
        case Text():
            return _weigh_names(texts)
        case _:
            return {}


def weigh_distinct(texts: pl.Series, counts: pl.Series, accepted: pl.Series, column: Column) -> Signs:
    """Look at the distinct texts of a column, where canonical ones are no signs.

    Args:
        texts: Distinct, and all of them that are not canonical.
        counts: How often each is in the file.
        accepted: Whether each was.
        column: Their type, and the form of the file: of what was declared no signs are wanted.

    Returns:
        Signs with the number of a text each.
    """
    match column.kind:
        case WholeNumber() if column.form.decimal == AUTO:
            pointed = texts.str.contains(".", literal=True).arg_true()
            return _count_matches(texts, pointed, counts, accepted, _WHOLE)
        case CalendarDate() if column.form.date_order == AUTO:
            return _weigh_dates(texts, counts)
        case _:
            return {}


def _weigh_amounts(texts: pl.Series, accepted: pl.Series) -> Signs:
    """Look for decimal marks: where a few amounts prove the point, no further."""
    step = max(1, len(texts) // SAMPLED)
    proved = (texts.gather_every(step).str.contains(POINT_ONLY) & accepted.gather_every(step)).arg_true()
    # Looking at all of them would cost more than cleaning them.
    if len(proved):
        return {(DECIMAL, FOR): Sign(len(proved), int(proved[0]) * step)}
    marked = texts.str.contains("[.,]").arg_true()
    return _count_matches(texts, marked, pl.ones(len(texts), pl.Int64, eager=True), accepted, _AMOUNT)


def _count_matches(
    texts: pl.Series, rows: pl.Series, counts: pl.Series, accepted: pl.Series, patterns: Mapping[str, str]
) -> Signs:
    """Count what matches each pattern in some rows. What was refused speaks against the point at most."""
    suspects, numbers, is_accepted, signs = texts.gather(rows), counts.gather(rows), accepted.gather(rows), {}
    for side, pattern in patterns.items():
        matches = suspects.str.contains(pattern)
        found = (matches & is_accepted if side == FOR else matches).arg_true()
        if len(found):
            signs[DECIMAL, side] = Sign(int(numbers.gather(found).sum()), int(rows[int(found[0])]))
    return signs


def _weigh_names(texts: pl.Series) -> Signs:
    """Count the names that stand in apostrophes; a few are named so, but a writer may mean quotes."""
    rows = texts.str.starts_with("'").arg_true()
    quoted = rows.filter(texts.gather(rows).str.contains(r"(?s)^'.+'$"))
    return {(APOSTROPHES, FOR): Sign(len(quoted), int(quoted[0]))} if len(quoted) else {}


def _weigh_dates(texts: pl.Series, counts: pl.Series) -> Signs:
    """Count the dates with the year at their end of which the day, the month or either may come first."""
    rows = texts.str.contains(_DATE).arg_true()
    if not len(rows):
        return {}
    found = (
        pl.DataFrame({"place": rows, "text": texts.gather(rows), "count": counts.gather(rows)})
        .with_columns(pl.col("text").str.extract_groups(_DATE).alias("parts"))
        .unnest("parts")
        .filter(pl.col("2") == pl.col("4"))
        .select("place", "count", mark=pl.col("2"), first=pl.col("1").cast(int), second=pl.col("3").cast(int))
    )
    first, second = pl.col("first"), pl.col("second")
    is_month = first.is_between(1, 12), second.is_between(1, 12)
    side = (
        pl.when(first.is_between(13, 31) & is_month[1]).then(pl.lit(FOR))
        .when(is_month[0] & second.is_between(13, 31)).then(pl.lit(AGAINST))
        .when(is_month[0] & is_month[1] & (first != second)).then(pl.lit(UNDECIDED))
    )  # fmt: skip
    grouped = (
        found.with_columns(side=side)
        .drop_nulls("side")
        .group_by("mark", "side")
        .agg(pl.col("count").sum(), pl.col("place").min())
    )
    return {(mark, side): Sign(count, place) for mark, side, count, place in grouped.iter_rows()}


def add_evidence(evidence: Evidence, more: Evidence) -> None:
    """Add the signs of another part of the file; the first place stays."""
    for name, sign in more.items():
        known = evidence.get(name)
        evidence[name] = Sign(sign.number + known.number, min(sign.place, known.place)) if known else sign


@dataclass(frozen=True)
class Judgement:
    """What the evidence comes to.

    Attributes:
        doubts: Why the file may not be read as it is, one sentence for each column; none if it may.
        hints: What may explain why values were refused.
        notes: What else was seen, counted by `column:note`.
    """

    doubts: list[str] = field(default_factory=list)
    hints: list[str] = field(default_factory=list)
    notes: dict[str, int] = field(default_factory=dict)


def judge(evidence: Mapping[tuple[str, str, str], Sign], delimiter: str) -> Judgement:
    """Judge whether a file may be read with decimal points and the day first.

    Args:
        evidence: Of the whole file, with lines for places.
        delimiter: Between its fields; writers of decimal commas don't use the comma.

    Returns:
        The doubts, in which no value is shown.
    """
    result = Judgement()
    for column, topic in dict.fromkeys((column, topic) for column, topic, _ in evidence):
        sides = {side: evidence.get((column, topic, side)) for side in (FOR, AGAINST, UNDECIDED)}
        if topic == APOSTROPHES:
            if sign := sides[FOR]:
                result.notes[f"{column}:in_apostrophes"] = sign.number
        elif topic == DECIMAL:
            _judge_decimals(result, column, sides, evidence, delimiter)
        else:
            _judge_dates(result, column, topic, sides, _sum_dates(evidence, column))
    return result


def _judge_decimals(
    result: Judgement,
    column: str,
    sides: Mapping[str, Sign | None],
    evidence: Mapping[tuple[str, str, str], Sign],
    delimiter: str,
) -> None:
    if sides[FOR]:
        return
    against, undecided = sides[AGAINST], sides[UNDECIDED]
    others = {name for name, topic, side in evidence if topic == DECIMAL and side == FOR}
    contrary = [
        (name, sign)
        for (name, topic, side), sign in evidence.items()
        if topic == DECIMAL and side == AGAINST and name not in others
    ]
    other_way = "with a comma before decimals or a point between thousands, and none the other way round"
    if undecided and (contrary or (not others and delimiter != ",")):
        name, sign = (column, against) if against else next(iter(contrary), (column, undecided))
        why = (
            f"{count_of(sign.number, 'value')} of {name} (line {sign.place}) can only be written {other_way}"
            if contrary
            else f"the fields are separated by {delimiter!r}, and no amount shows what the decimal mark is"
        )
        result.doubts.append(
            f"{column}: {count_of(undecided.number, 'value')} (line {undecided.place}) may be thousands: {why}."
        )
    elif against:
        result.hints.append(
            f"{column}: {count_of(against.number, 'value')} (line {against.place}) can only be written {other_way}."
        )


def _sum_dates(evidence: Mapping[tuple[str, str, str], Sign], column: str) -> dict[str, Sign]:
    """Add up the signs of a column's dates, whatever separates them."""
    sums: dict[str, Sign] = {}
    for (name, topic, side), sign in evidence.items():
        if name == column and topic not in {DECIMAL, APOSTROPHES}:
            known = sums.get(side, Sign(0, sign.place))
            sums[side] = Sign(known.number + sign.number, min(known.place, sign.place))
    return sums


def _judge_dates(
    result: Judgement, column: str, mark: str, sides: Mapping[str, Sign | None], all_dates: Mapping[str, Sign]
) -> None:
    undecided = sides[UNDECIDED]
    # Another separator may be another writer's; it is asked where this one says nothing.
    asked: Mapping[str, Sign | None] = sides if sides[FOR] or sides[AGAINST] else all_dates
    against, usual = asked.get(AGAINST), sign.number if (sign := asked.get(FOR)) else 0
    if not against or against.number <= usual:
        return
    with_mark = f" with {mark}" if asked is sides else ""
    only = (
        f"{column}: {count_of(against.number, 'date')}{with_mark} (line {against.place}) can only have the month"
        f" first, and {usual or 'none'} only the day first"
    )
    if undecided:
        either = f"{undecided.number} with {mark} (line {undecided.place}) may be either"
        result.doubts.append(f"{only}; {either}.")
    else:
        result.hints.append(f"{only}.")
