"""The column rules → `docs/data-quality.md`. Run it with `make docs`; a test holds page and rules together."""

from __future__ import annotations

import sys
from pathlib import Path

from audited_load.columns import Amount, CalendarDate, Column, Feed, Text, WholeNumber
from customer_pipeline.feed import load_feed

PAGE = Path(__file__).resolve().parents[2] / "docs" / "data-quality.md"
_HEAD = """# Data quality

What the pipeline accepts, and why it refuses the rest. This page is made from
`airflow/dags/steps/data_cleaners.py` by `make docs`.

A value is accepted by a rule, or its record goes to quarantine with a reason that names column, rule and
value. A blank is null; so is a null token where a column lists some. Every change is counted by rule in the
ledger.

Broken records are quarantined too, under the column name `record`: `too_few_fields`, `too_many_fields`,
`stray_quote`, `unclosed_quote`, `nul_byte`, `undecodable_bytes`. So is a record with the same key as a later
one (`superseded`). Equal records collapse to one, and count as `duplicates`.
"""


def render(feed: Feed) -> str:
    """Give the page as Markdown."""
    return "\n".join([_HEAD, *(_section(column) for column in feed.columns)])


def _section(column: Column) -> str:
    tokens = ", ".join(f"`{token}`" for token in sorted(column.null_tokens)) or "none"
    lines = [
        f"## {column.name}",
        "",
        f"{_kind(column)}, {'required' if column.required else 'may be null'}. Null tokens: {tokens}.",
        "",
        "| rule | reads | as |",
        "|---|---|---|",
        *(
            f"| `{rule.name}` | {_code(dirty)} | {_code(tidy)} |"
            for rule in column.rules
            for dirty, tidy in rule.examples
        ),
        "",
        "| refusal | because the value | such as |",
        "|---|---|---|",
        *(
            f"| `{refusal.name}` | {refusal.why} | {', '.join(_code(text) for text in refusal.examples)} |"
            for refusal in column.refusals
        ),
        "",
    ]
    return "\n".join(lines)


def _code(text: str) -> str:
    shown = text if len(text) <= 40 else f"{text[:5]}... ({len(text)} characters)"  # noqa: PLR2004 - fits the table
    return "`" + shown.encode("unicode_escape").decode().replace("|", "\\|") + "`"


def _kind(column: Column) -> str:
    match column.kind:
        case WholeNumber(minimum, maximum):
            return f"Whole number from {minimum} to {maximum}"
        case Amount(precision, scale):
            return f"Exact decimal, {precision} digits, {scale} of them after the point"
        case CalendarDate():
            return "Day of the calendar, read as year-month-day or day-month-year"
        case Text(maximum):
            return f"Text of at most {maximum} characters"


if __name__ == "__main__":
    PAGE.write_text(render(load_feed()), encoding="utf-8")
    sys.stdout.write(f"{PAGE}\n")
