"""One column of texts → typed values, the reasons of what was refused, the counts of what was changed.

Most values are canonical already and are cast as a whole column. Only the distinct others go through the
rules, so that a clever rule costs by the variety of the dirt, not by the number of rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import polars as pl

from audited_load.cleaning.evidence import Sign, Signs, weigh_column, weigh_distinct
from audited_load.columns import Amount, CalendarDate, Column, Part, Refusal, Rule, Text, WholeNumber
from audited_load.shown import MASKED

SHOWN_CHARACTERS = 80
SAMPLED = 4000
SPACES = " \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000\t"


_Any = TypeVar("_Any", Rule, Refusal)


@dataclass(frozen=True)
class CleanedColumn:
    """A column after its rules.

    Attributes:
        values: Typed values, null where there is none or where it was refused.
        reasons: Row and reason of each refusal.
        refused: Values refused, by `column:refusal`.
        changed: Values changed, by `column:rule`.
        signs: What the texts show of how their writer writes, with a row each.
    """

    values: pl.Series
    reasons: list[tuple[int, str]]
    refused: Counter[str]
    changed: Counter[str]
    signs: Signs


def clean_column(texts: pl.Series, column: Column) -> CleanedColumn:
    """Read every text of a column by the column's rules.

    Args:
        texts: What the file holds, null or empty for a blank.
        column: The rules.

    Returns:
        Values and reasons in the order of the texts.
    """
    if _repeats(texts):
        cleaned = _clean_by_distinct(texts, column)
    else:
        values = _cast_written(texts, column)
        rows = (values.is_null() & texts.is_not_null()).arg_true()
        rest = _clean_by_distinct(texts.gather(rows), column)
        reasons = [(int(rows[row]), reason) for row, reason in rest.reasons]
        cleaned = CleanedColumn(
            values.rename(column.name).scatter(rows, rest.values),
            reasons,
            rest.refused,
            rest.changed,
            {name: Sign(count, int(rows[row])) for name, (count, row) in rest.signs.items()},
        )
    cleaned.signs.update(weigh_column(texts, cleaned.values.is_not_null(), column))
    return require_values(cleaned, column) if column.required else cleaned


def _repeats(texts: pl.Series) -> bool:
    """Tell from a sample whether a column holds the same texts again and again."""
    sample = texts.gather_every(max(1, len(texts) // SAMPLED))
    return sample.n_unique() < 0.75 * len(sample)


def _clean_by_distinct(texts: pl.Series, column: Column) -> CleanedColumn:
    """Put each distinct text through the rules once."""
    codes, rows_of = _encode(texts)
    distinct = texts.gather(rows_of)
    counts = pl.Series("count", np.bincount(codes.drop_nulls().to_numpy(), minlength=len(distinct)))
    solved, changed = _solve(distinct, counts, column)
    values = solved["value"].gather(codes)
    bad = solved.with_row_index("code").filter(pl.col("refusal").is_not_null())
    refused: Counter[str] = Counter()
    reasons: list[tuple[int, str]] = []
    if bad.height:
        for refusal, number in bad.select("refusal", "count").iter_rows():
            refused[f"{column.name}:{refusal}"] += number
        why = dict(bad.select("code", _reason(column)).iter_rows())
        rows = codes.is_in(bad["code"].implode()).arg_true()
        reasons = [(row, why[code]) for row, code in zip(rows, codes.gather(rows), strict=True)]
    found = weigh_distinct(solved["text"], counts, solved["refusal"].is_null(), column)
    signs = {name: Sign(count, int(rows_of[code])) for name, (count, code) in found.items()}
    return CleanedColumn(values.rename(column.name), reasons, refused, changed, signs)


def _encode(texts: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Number the distinct texts from 0: the number of each text, null for null, and each number's first row."""
    codes = texts.cast(pl.Categorical(pl.Categories.random())).to_physical()
    known = codes.is_not_null().arg_true().to_numpy()
    numbers = codes.drop_nulls().to_numpy()
    first = np.empty(int(numbers.max()) + 1 if len(numbers) else 0, np.uint32)
    # Of several rows the one that is written last stays.
    first[numbers[::-1]] = known[::-1]
    return codes, pl.Series(first)


def require_values(cleaned: CleanedColumn, column: Column) -> CleanedColumn:
    """Refuse the rows without a value that have no other reason."""
    missing = cleaned.values.is_null()
    missing.scatter([row for row, _ in cleaned.reasons], False)
    blanks = missing.arg_true().to_list()
    if not blanks:
        return cleaned
    reason = f"{column.name}:missing: a value is required"
    refused = cleaned.refused + Counter({f"{column.name}:missing": len(blanks)})
    return replace(cleaned, reasons=cleaned.reasons + [(row, reason) for row in blanks], refused=refused)


def _solve(texts: pl.Series, counts: pl.Series, column: Column) -> tuple[pl.DataFrame, Counter[str]]:
    """Read distinct texts: a frame of text, count, value and refusal; and how many values each rule changed."""
    trimmed = _trim(texts, column)
    values = _cast_written(trimmed, column)
    frame = pl.DataFrame({"text": trimmed, "count": counts, "value": values})
    frame = frame.with_columns(refusal=pl.lit(None, pl.String))
    changed: Counter[str] = Counter()
    _count(changed, f"{column.name}:trim", counts, trimmed != texts)
    rows = (values.is_null() & (trimmed != "")).arg_true()
    if not len(rows):
        return frame, changed
    opened = trimmed.gather(rows)
    numbers = counts.gather(rows)
    together = _join(opened)
    now, applied = _apply(opened, _choose(column.wrappers, together, column))
    if applied:
        now = _trim(now, column)
    is_token = now.str.to_lowercase().is_in(list(column.null_tokens))
    is_null = is_token | (now == "")
    if column.swaps_marks:
        now = _swap_marks(now)
    if applied or column.swaps_marks:
        together = _join(now)
    now, by_rules = _apply(now, _choose(column.rules, together, column), skip=is_null)
    applied |= {"null_token": is_token, **by_rules}
    if isinstance(column.kind, Text):
        composed = now.str.normalize("NFC")
        applied["unicode_nfc"] = composed != now
        now = composed
    found = _cast(now, column).zip_with(~is_null, pl.Series([None], dtype=pl.Null).cast(_dtype(column)))
    refused = found.is_null() & ~is_null
    for name, mask in applied.items():
        _count(changed, f"{column.name}:{name}", numbers, mask & ~refused)
    bad = refused.arg_true()
    refusals = _explain(now.gather(bad), column)
    return frame.with_columns(
        frame["value"].scatter(rows, found), frame["refusal"].scatter(rows.gather(bad), refusals)
    ), changed


def _trim(texts: pl.Series, column: Column) -> pl.Series:
    return texts.str.strip_chars(SPACES) if isinstance(column.kind, Text) else texts.str.strip_chars()


def _swap_marks(texts: pl.Series) -> pl.Series:
    """Let comma and point change places in numbers: `1.234,50` is 1,234.50."""
    rows = texts.str.contains("[0-9]").arg_true()
    return texts.clone().scatter(rows, texts.gather(rows).str.replace_many([",", "."], [".", ","]))


def _count(changed: Counter[str], name: str, counts: pl.Series, mask: pl.Series) -> None:
    if number := int(counts.filter(mask).sum()):
        changed[name] += number


def _choose(rules: Sequence[_Any], together: str, column: Column) -> list[_Any]:
    """Choose the rules or refusals of the column's form that any of the joined texts can match."""
    return [
        rule
        for rule in rules
        if column.form.holds(rule.when) and (not rule.needs or any(char in together for char in rule.needs))
    ]


def _join(texts: pl.Series) -> str:
    return str(texts.str.join("\n").item())


def _apply(
    texts: pl.Series, rules: Sequence[Rule], skip: pl.Series | None = None
) -> tuple[pl.Series, dict[str, pl.Series]]:
    """Rewrite texts by rules, one after the other; tell which texts each rule changed."""
    applied = {}
    for rule in rules:
        # Looking is five times cheaper than replacing, and most texts need no replacing.
        found = texts.str.contains(rule.pattern)
        if skip is not None:
            found &= ~skip
        if found.any():
            rows = found.arg_true()
            rewritten = texts.clone().scatter(rows, _rewrite(texts.gather(rows), rule))
            applied[rule.name] = rewritten != texts
            texts = rewritten
    return texts, applied


def _rewrite(texts: pl.Series, rule: Rule) -> pl.Series:
    if isinstance(rule.rewrite, str):
        return texts.str.replace_all(rule.pattern, rule.rewrite)
    if isinstance(rule.rewrite, Part):
        kept = texts.str.slice(rule.rewrite.start)
        return kept.str.splitn(rule.rewrite.end, 2).struct.field("field_0") if rule.rewrite.end else kept
    rewritten = map(rule.rewrite, texts.to_list())
    return pl.Series(rewritten, dtype=pl.String).fill_null(texts)


def _dtype(column: Column) -> pl.DataType:
    match column.kind:
        case WholeNumber():
            return pl.Int64()
        case Amount(precision, scale):
            return pl.Decimal(precision, scale)
        case CalendarDate():
            return pl.Date()
        case Text():
            return pl.String()


def _cast_written(texts: pl.Series, column: Column) -> pl.Series:
    """Cast texts that are canonical in the form of the file; null for every other text."""
    return _cast(texts, column, mark="," if column.swaps_marks else ".")


def _cast(texts: pl.Series, column: Column, mark: str = ".") -> pl.Series:
    """Cast canonical texts of the column's type, with this mark before decimals; null for every other text."""
    blank = pl.Series([None], dtype=pl.Null).cast(_dtype(column))
    match column.kind:
        case WholeNumber(minimum, maximum):
            number = texts.cast(pl.Int64, strict=False)
            return number.zip_with((number.cast(pl.String) == texts) & number.is_between(minimum, maximum), blank)
        case Amount(precision, scale):
            # The cast alone would round, and would read `1e5`.
            canonical = rf"^-?(0|[1-9][0-9]{{0,{precision - scale - 1}}})([{mark}][0-9]{{1,{scale}}})?$"
            exact = texts.zip_with(texts.str.contains(canonical), pl.Series([None], dtype=pl.String))
            pointed = exact if mark == "." else exact.str.replace(mark, ".", literal=True)
            return pointed.cast(pl.Decimal(precision, scale), strict=False)
        case CalendarDate(first, last):
            date = texts.str.to_date("%Y-%m-%d", strict=False)
            good = (date.dt.to_string("%Y-%m-%d") == texts) & date.is_between(first, last)
            return date.zip_with(good, blank)
        case Text(maximum):
            wrapped = [rule.pattern for rule in column.wrappers]
            odd = "|".join([r"\p{Cc}|\p{Zs}{2,}|[\p{Zs}--\x20]|^ | $", *wrapped])
            good = (texts != "") & (texts.str.len_chars() <= maximum) & ~texts.str.contains(odd)
            if column.null_tokens:
                good &= ~texts.str.to_lowercase().is_in(list(column.null_tokens))
            wide = (texts.str.len_bytes() != texts.str.len_chars()).arg_true()
            if len(wide):
                written = texts.gather(wide)
                good.scatter(wide, good.gather(wide) & (written.str.normalize("NFC") == written))
            return texts.zip_with(good, blank)


def _explain(texts: pl.Series, column: Column) -> pl.Series:
    """Name for each refused text the first refusal that explains it."""
    if not len(texts):
        return pl.Series(dtype=pl.String)
    expression: pl.Expr = pl.lit("unreadable")
    for refusal in reversed(_choose(column.refusals, _join(texts), column)):
        if refusal.pattern:
            explains = pl.col("text").str.contains(refusal.pattern)
            expression = pl.when(explains).then(pl.lit(refusal.name)).otherwise(expression)
        else:
            expression = pl.lit(refusal.name)
    return texts.to_frame("text").select(pl.col("text"), refusal=expression)["refusal"]


def _reason(column: Column) -> pl.Expr:
    why = {refusal.name: refusal.why for refusal in column.refusals if column.form.holds(refusal.when)}
    text = pl.col("text")
    shown = pl.when(text.str.len_chars() > SHOWN_CHARACTERS).then(text.str.slice(0, SHOWN_CHARACTERS) + "[cut]")
    return pl.format(
        "{}:{}: '{}' {}",
        pl.lit(column.name),
        pl.col("refusal"),
        pl.lit(MASKED) if column.masking else shown.otherwise(text),
        pl.col("refusal").replace_strict(why, default="can't be read", return_dtype=pl.String),
    )
