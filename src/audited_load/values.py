"""One column of texts → typed values, the reasons of what was refused, the counts of what was changed.

Most values are canonical already and are cast as a whole column. Only the distinct others go through the
rules, so that a clever rule costs by the variety of the dirt, not by the number of rows.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import polars as pl

from audited_load.columns import Amount, CalendarDate, Column, Rule, Text, WholeNumber

SHOWN_CHARACTERS = 80
SPACES = " \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"


@dataclass(frozen=True)
class CleanedColumn:
    """A column after its rules.

    Attributes:
        values: Typed values, null where there is none or where it was refused.
        reasons: For each row the reason of its refusal, or null.
        refused: Values refused, by `column:refusal`.
        changed: Values changed, by `column:rule`.
    """

    values: pl.Series
    reasons: pl.Series | None
    refused: Counter[str]
    changed: Counter[str]


def clean_column(texts: pl.Series, column: Column) -> CleanedColumn:
    """Read every text of a column by the column's rules.

    Args:
        texts: What the file holds, null or empty for a blank.
        column: The rules.

    Returns:
        Values and reasons in the order of the texts.
    """
    changed: Counter[str] = Counter()
    trimmed = texts.str.strip_chars(SPACES) if isinstance(column.kind, Text) else texts.str.strip_chars()
    if trims := int((trimmed != texts).sum()):
        changed[f"{column.name}:trim"] = trims
    values = _cast(trimmed, column)
    open_rows = values.is_null() & (trimmed != "")
    reasons: pl.Series | None = None
    refused: Counter[str] = Counter()
    if open_rows.any():
        solved, rule_counts = _solve(trimmed.filter(open_rows).value_counts(), column)
        changed.update(rule_counts)
        looked_up = trimmed.rename("text").to_frame().join(solved, on="text", how="left", maintain_order="left")
        values = values.fill_null(looked_up["value"])
        for refusal, number in solved.drop_nulls("refusal").select("refusal", "count").iter_rows():
            refused[f"{column.name}:{refusal}"] += number
        if refused:
            reasons = looked_up["reason"]
    if column.required:
        missing = values.is_null() & (reasons.is_null() if reasons is not None else True)
        if missing.any():
            refused[f"{column.name}:missing"] = int(missing.sum())
            reason = pl.Series([f"{column.name}: missing: a value is required"], dtype=pl.String)
            blank = pl.Series([None], dtype=pl.String)
            reasons = (reasons if reasons is not None else blank.new_from_index(0, len(values))).zip_with(
                ~missing, reason.new_from_index(0, len(values))
            )
    return CleanedColumn(values.rename(column.name), reasons, refused, changed)


def _solve(counted: pl.DataFrame, column: Column) -> tuple[pl.DataFrame, Counter[str]]:
    """Put distinct texts through the rules: text, count, value, reason, refusal."""
    frame = counted.rename({counted.columns[0]: "text"}).with_columns(now=pl.col("text"))
    is_null = frame["text"].str.to_lowercase().is_in(list(column.null_tokens))
    applied = {"null_token": is_null}
    for rule in column.rules:
        rewritten = _rewrite(frame["now"], rule, skip=is_null)
        applied[rule.name] = rewritten != frame["now"]
        frame = frame.with_columns(now=rewritten)
    if isinstance(column.kind, Text):
        composed = frame["now"].str.normalize("NFC")
        applied["unicode_nfc"] = composed != frame["now"]
        frame = frame.with_columns(now=composed)
    value = _cast(frame["now"], column).zip_with(~is_null, pl.Series([None], dtype=pl.Null).cast(_dtype(column)))
    refused = value.is_null() & ~is_null
    frame = frame.with_columns(value=value).with_columns(_refusal(column, refused).alias("refusal"))
    frame = frame.with_columns(_reason(column).alias("reason"))
    counts: Counter[str] = Counter()
    for name, mask in applied.items():
        if number := int(frame["count"].filter(mask & ~refused).sum()):
            counts[f"{column.name}:{name}"] += number
    return frame.select("text", "count", "value", "reason", "refusal"), counts


def _rewrite(texts: pl.Series, rule: Rule, *, skip: pl.Series) -> pl.Series:
    matching = texts.str.contains(rule.pattern) & ~skip
    if not matching.any():
        return texts
    if isinstance(rule.rewrite, str):
        return texts.str.replace_all(rule.pattern, rule.rewrite).zip_with(matching, texts)
    rewritten = [
        text if not applies else (rule.rewrite(text) or text)
        for text, applies in zip(texts.to_list(), matching.to_list(), strict=True)
    ]
    return pl.Series(texts.name, rewritten, dtype=pl.String)


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


def _cast(texts: pl.Series, column: Column) -> pl.Series:
    """Cast canonical texts of the column's type; null for every other text."""
    blank = pl.Series([None], dtype=pl.Null).cast(_dtype(column))
    match column.kind:
        case WholeNumber(minimum, maximum):
            number = texts.cast(pl.Int64, strict=False)
            return number.zip_with((number.cast(pl.String) == texts) & number.is_between(minimum, maximum), blank)
        case Amount(precision, scale):
            # The cast alone would round, and would read `1e5`.
            canonical = rf"^-?(0|[1-9]\d{{0,{precision - scale - 1}}})(\.\d{{1,{scale}}})?$"
            exact = texts.zip_with(texts.str.contains(canonical), pl.Series([None], dtype=pl.String))
            return exact.cast(pl.Decimal(precision, scale), strict=False)
        case CalendarDate():
            date = texts.str.to_date("%Y-%m-%d", strict=False)
            good = (date.dt.to_string("%Y-%m-%d") == texts) & (date.dt.year() >= 1)
            return date.zip_with(good, blank)
        case Text(maximum):
            odd = r"\p{Cc}|\p{Zs}{2,}|[\p{Zs}--\x20]"
            good = (texts != "") & (texts.str.len_chars() <= maximum) & ~texts.str.contains(odd)
            return texts.zip_with(good & (texts.str.normalize("NFC") == texts), blank)


def _refusal(column: Column, refused: pl.Series) -> pl.Expr:
    expression: pl.Expr = pl.lit(None, dtype=pl.String)
    for refusal in reversed(column.refusals):
        explains = pl.col("text").str.contains(refusal.pattern)
        expression = pl.when(explains).then(pl.lit(refusal.name)).otherwise(expression)
    return pl.when(pl.lit(refused)).then(expression.fill_null("unreadable"))


def _reason(column: Column) -> pl.Expr:
    why = {refusal.name: refusal.why for refusal in column.refusals}
    text = pl.col("text")
    shown = pl.when(text.str.len_chars() > SHOWN_CHARACTERS).then(text.str.slice(0, SHOWN_CHARACTERS) + "[cut]")
    return pl.format(
        "{}: {}: '{}' {}",
        pl.lit(column.name),
        pl.col("refusal"),
        shown.otherwise(text),
        pl.col("refusal").replace_strict(why, default="can't be read", return_dtype=pl.String),
    )
