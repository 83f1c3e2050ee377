"""The columns' rules → what a reason or a rule means, with examples: what *Quality* says beside its counts."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache

RECORD_REFUSALS = {
    "too_few_fields": "has fewer fields than the header",
    "too_many_fields": "has more fields than the header; its quotes may be lost",
    "stray_quote": "has a quote that closes a field, and more of the field behind it",
    "unclosed_quote": "has a quote that nothing closes before the next record",
    "nul_byte": "holds a byte that is no text",
    "undecodable_bytes": "holds bytes that are no text in the file's encoding",
    "lone_return": "has a carriage return inside, where a line end may be lost",
    "superseded": "has the same key as a later record of the file, which is kept",
    "outdated": "is older than what readers see under its key",
}
"""Why a record is refused as a whole."""
RECORD_NOTES = {
    "record:quote_in_field": "a quote inside a field that does not begin with one is read as a character",
    "record:space_beside_quote": "blanks beside the quotes of a field are left out",
    "record:header_again": "the header comes again between the records, and is no record",
    "file:end_mark": "an end mark of old systems behind the last record is left out",
    "file:lines_above_header": "lines of a title above the header are left out",
    "file:sep_line": "a line `sep=` above the header says the delimiter",
    "file:blank_last_field": "every record ends with a delimiter too many",
}
"""What about a file is beside the common form, and read all the same."""
_OF_EVERY_COLUMN = {
    "trim": ("blanks before and behind are left out", (" 5 ",)),
    "null_token": ("a word that stands for no value is read as none", ("N/A", "-")),
    "unicode_nfc": ("a letter and its accent, as two characters, become one", ()),
    "in_apostrophes": ("the column's values stand in apostrophes", ("'5'",)),
}
_MISSING = "is blank, and the column requires a value"
SHOWN_EXAMPLES = 3
_LONG = 40


@dataclass(frozen=True)
class Explained:
    """What a reason or a rule means.

    Attributes:
        name: Such as `price:exponent`, as it is counted.
        is_refusal: Whether it refuses a value, or changes one.
        texts: What it means; several if it depends on the form of the file.
        examples: Of values, or of what becomes of them, as `501.0 → 501`.
    """

    name: str
    is_refusal: bool
    texts: list[str] = field(default_factory=list)
    examples: list[str] = field(default_factory=list)

    @property
    def anchor(self) -> str:
        """Where the view of all rules has it."""
        return f"{'why' if self.is_refusal else 'how'}-{self.name.replace(':', '-')}"

    @property
    def sentence(self) -> str:
        """All of it, for a tooltip."""
        what = "; or ".join(self.texts)
        if self.is_refusal:
            what = f"Refused because the {'record' if self.name.startswith('record:') else 'value'} {what}"
        else:
            what = f"{what[:1].upper()}{what[1:]}" if what else "Rewritten"
        such_as = ", ".join(self.examples[:SHOWN_EXAMPLES])
        return f"{what}. Such as: {such_as}" if such_as else f"{what}."


def explain(name: str, *, is_refusal: bool) -> Explained | None:
    """Say what a reason or a rule means.

    Args:
        name: As the ledger counts it: `column:refusal`, or `column:rule`.
        is_refusal: Which of the two.

    Returns:
        What it means. A column of another contract is explained by a refusal or a rule of the same name of any
        column; None if there is none.
    """
    known = explain_all()
    found = known.get((is_refusal, name))
    if found:
        return found
    column, _, what = name.partition(":")
    for (refuses, other), same in known.items():
        if refuses is is_refusal and column not in {"record", "file"} and other.endswith(f":{what}"):
            return same
    return None


@cache
def explain_all() -> dict[tuple[bool, str], Explained]:
    """Explain all refusals and rules of the default contract's columns and of records, by name."""
    # The rules bring two libraries of number words; every process of Airflow imports this module.
    from customer_pipeline.feed import FEED  # noqa: PLC0415

    found: dict[tuple[bool, str], Explained] = {}

    def add(name: str, text: str, examples: list[str], *, is_refusal: bool) -> None:
        one = found.setdefault((is_refusal, name), Explained(name, is_refusal))
        if text and text not in one.texts:
            one.texts.append(text)
        one.examples.extend(example for example in examples if example not in one.examples)

    for column in FEED.columns:
        for refusal in column.refusals:
            examples = [_show(text) for text in refusal.examples]
            add(f"{column.name}:{refusal.name}", refusal.why, examples, is_refusal=True)
        if column.required:
            add(f"{column.name}:missing", _MISSING, [], is_refusal=True)
        for rule in (*column.wrappers, *column.rules):
            examples = [f"{_show(dirty)} → {_show(tidy)}" for dirty, tidy in rule.examples]
            add(f"{column.name}:{rule.name}", "", examples, is_refusal=False)
        for name, (text, given) in _OF_EVERY_COLUMN.items():
            add(f"{column.name}:{name}", text, [_show(example) for example in given], is_refusal=False)
    for name, text in RECORD_REFUSALS.items():
        add(f"record:{name}", text, [], is_refusal=True)
    for name, text in RECORD_NOTES.items():
        add(name, text, [], is_refusal=False)
    return found


def _show(text: str) -> str:
    """Write an example so that what shows nothing is seen, and what is long is cut."""
    shown = text if len(text) <= _LONG else f"{text[:5]}... ({len(text)} characters)"
    return "".join(
        char if char.isascii() and char.isprintable() else char.encode("unicode_escape").decode() for char in shown
    )
