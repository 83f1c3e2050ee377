"""The column rules → `docs/data-quality.md`. Run it with `make docs`; a test holds page and rules together."""

from __future__ import annotations

import sys
from pathlib import Path

from audited_load.columns import Amount, CalendarDate, Column, Feed, Text, WholeNumber
from customer_pipeline.feed import FEED

PAGE = Path(__file__).resolve().parents[2] / "docs" / "data-quality.md"
_HEAD = """# Data quality

What the pipeline accepts, and why it refuses the rest. This page is made from
`contracts/customer_transactions.odcs.yaml` and `airflow/dags/steps/data_cleaners.py` by `make docs`.

A value is accepted by a rule, or its record goes to quarantine with a reason that names column, rule and
value. A blank is null; so is a null token where a column lists some. Every change is counted by rule in the
ledger. *Quality* on [the page](page.md) says beside each count what its rule or reason means.

Broken records are quarantined too, under the column name `record`: `too_few_fields`, `too_many_fields`,
`stray_quote`, `unclosed_quote`, `nul_byte`, `undecodable_bytes`. So is a record with the same key as a later
one (`superseded`). Equal records collapse to one, and count as `duplicates`.

## Declared forms

What a value means can hang on its file. `encoding`, `decimal` and `date_order` can be declared for a run; how,
and what a file may look like at all, says [files.md](files.md); a [contract](contracts.md) may declare more. A rule
or a refusal that stands with a form below holds in files of that form only; all others hold in every file.

| declared | so that |
|---|---|
| `decimal=auto`, or nothing | decimals follow a point; a comma that could be one is refused |
| `decimal=point` | decimals follow a point, and `1,234` is certainly 1234 |
| `decimal=comma` | decimals follow a comma, and `1.234` is certainly 1234 |
| `group=auto`, or nothing | spaces, apostrophes, and a comma or a point may stand between thousands |
| `group=mark` | only the point, or only the comma, may; so with `space`, `apostrophe` and `none` |
| `date_order=auto`, or nothing | the day comes first in `07/11/2023` |
| `date_order=day_first` | the day comes first in `07/11/2023` |
| `date_order=month_first` | the month comes first in `07/11/2023` |

With `decimal=comma`, comma and point change places in numbers and ids before the rules read them. The examples
show a file of decimal points, but for what holds with `decimal=comma` only.
"""


def render(feed: Feed) -> str:
    """Return the page as Markdown."""
    shown: dict[frozenset[str], str] = {frozenset(): "none"}
    sections = []
    for column in feed.columns:
        sections.append(_section(column, shown.get(column.null_tokens) or _list(column.null_tokens)))
        shown.setdefault(column.null_tokens, f"as for {column.name}")
    return "\n".join([_HEAD, *sections])


def _list(tokens: frozenset[str]) -> str:
    return "in any case, " + ", ".join(_code(token, escape=not token.isascii()) for token in sorted(tokens))


def _section(column: Column, tokens: str) -> str:
    lines = [
        f"## {column.name}",
        "",
        f"{_kind(column)}, {'required' if column.required else 'may be null'}. Null tokens: {tokens}.",
        "",
        "| rule | reads | as | in files of |",
        "|---|---|---|---|",
        *(
            f"| `{rule.name}` | {_code(dirty)} | {_code(tidy)} | {_forms(rule.when)} |"
            for rule in (*column.wrappers, *column.rules)
            for dirty, tidy in rule.examples
        ),
        "",
        "| refusal | because the value | such as | in files of |",
        "|---|---|---|---|",
        *(
            f"| `{refusal.name}` | {refusal.why} | {', '.join(map(_code, refusal.examples))} "
            f"| {_forms(refusal.when)} |"
            for refusal in column.refusals
        ),
        "",
    ]
    return "\n".join(lines)


def _forms(when: tuple[str, ...]) -> str:
    return ", ".join(f"`{form}`" for form in when) if when else "any form"


def _code(text: str, *, escape: bool = True) -> str:
    shown = text if len(text) <= 40 else f"{text[:5]}... ({len(text)} characters)"  # noqa: PLR2004 - fits the table
    return "`" + (shown.encode("unicode_escape").decode() if escape else shown).replace("|", "\\|") + "`"


def _kind(column: Column) -> str:
    match column.kind:
        case WholeNumber(minimum, maximum):
            return f"Whole number from {minimum} to {maximum}"
        case Amount(precision, scale):
            return f"Exact decimal, {precision} digits, {scale} of them after the point"
        case CalendarDate(first, last):
            return f"Day of the calendar from {first} to {last}"
        case Text(maximum):
            return f"Text of at most {maximum} characters"


if __name__ == "__main__":
    PAGE.write_text(render(FEED), encoding="utf-8")
    sys.stdout.write(f"{PAGE}\n")
