"""What goes for ids, days and numbers alike: null tokens, what stands around a value, odd characters."""

from __future__ import annotations

import re

from audited_load.columns import Refusal, Rule
from audited_load.shown import INVISIBLE

_REVERSING = "\u202e"
"""Right-to-left override: a person sees 21 where the file holds 12, so what was meant is not certain."""
_SOFT_HYPHEN = "\u00ad"
"""Text from a PDF has it for a hyphen, so that before a number it may be a minus."""
_HARMLESS = INVISIBLE.replace(_REVERSING, "").replace(_SOFT_HYPHEN, "")


def wrappers(tidy: str) -> tuple[Rule, ...]:
    """Build the rules for guards of spreadsheets, and for characters that show nothing.

    Args:
        tidy: A value of the column, for the examples.
    """
    return (
        Rule(
            "invisible",
            rf"^\s*[{_HARMLESS}][{_HARMLESS}\s]*|[{_HARMLESS}\s]*[{_HARMLESS}]\s*$",
            "",
            ((f"\ufeff{tidy}", tidy), (f"{tidy}\u200b", tidy)),
            needs=_HARMLESS,
        ),
        Rule("apostrophe", r"^'\s*(\S.*?)\s*'?$", "${1}", ((f"'{tidy}", tidy), (f"'{tidy}'", tidy)), needs="'"),
        Rule("formula_text", r'^="([^"]*)"$', "${1}", ((f'="{tidy}"', tidy),), needs="="),
    )


ODD_CHARACTERS = (
    Refusal(
        "other_digits",
        r"[\p{Nd}--[0-9]]",
        "has digits of another script than 0 to 9",
        ("\uff11\uff10\uff10\uff11", "\u0661\u0660"),
    ),
    Refusal(
        "reversed",
        _REVERSING,
        "has a mark that lets it be shown back to front",
        (f"{_REVERSING}12",),
        needs=_REVERSING,
    ),
    Refusal(
        "invisible_inside",
        f"[{INVISIBLE}]",
        "has a character inside that shows nothing, such as a zero-width space",
        ("10\u200b01",),
        needs=INVISIBLE,
    ),
)


def unquote_formula(text: str) -> str:
    """Take a text out of its formula, and that out of another: `="12"" Desk"` is 12" Desk."""
    while match := re.fullmatch(_FORMULA, text):
        text = match[1].replace('""', '"')
    return text


_SPACES = r"[^\S\n\r\f\v\x1c-\x1f\x85]*"
_FORMULA = rf'{_SPACES}="((?:[^"]|"")*)"{_SPACES}'
NAME_FORMULA = Rule(
    "formula_text", r'^="(?:[^"]|"")*"$', unquote_formula, (('="Product A"', "Product A"),), needs="="
)
"""For a name only the full form: an apostrophe in front may belong to it."""
