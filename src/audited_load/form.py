"""How a file is written, as far as somebody declares it: what no file says of itself for certain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from audited_load.errors import RefusedError
from audited_load.reading.encoding import known_encoding
from audited_load.shown import show_text

AUTO = "auto"
DECIMALS = (AUTO, "point", "comma")
SETTINGS = {"encoding": "SOURCE_ENCODING", "decimal": "SOURCE_DECIMAL", "date_order": "SOURCE_DATE_ORDER"}
DELIMITERS = (",", ";", "\t", "|")
DATE_ORDERS = (AUTO, "day_first", "month_first")
QUOTES = ('"', "'", "none")
GROUPS = (AUTO, "point", "comma", "space", "apostrophe", "none")
_OTHER_MARK = {"point": "comma", "comma": "point"}


@dataclass(frozen=True)
class Form:
    """How a file is written, as far as somebody declared it.

    Attributes:
        encoding: Name of a text encoding that Python knows; None to find out.
        decimal: What stands before the decimals; "auto" is a point, where a comma that could be one is refused.
        date_order: What comes first in a date that ends with its year; "auto" is the day.
        delimiter: Between fields; None to find out.
        quote: Around fields; with "none", a quote is a character like any other.
        skip_lines: Lines at the beginning of the file that are not read, whatever they hold.
        group: The only thing that may stand between thousands, spaces of any width being one; "auto" is each that
            the decimal mark leaves. A point or a comma also says that the other one is the decimal mark.

    Raises:
        RefusedError: A word that is none of these, or two that contradict each other.
    """

    encoding: str | None = None
    decimal: str = AUTO
    date_order: str = AUTO
    delimiter: str | None = None
    quote: str = '"'
    skip_lines: int = 0
    group: str = AUTO

    def __post_init__(self) -> None:
        """Refuse what is no form."""
        for name, word, words in (
            ("decimal", self.decimal, DECIMALS),
            ("date_order", self.date_order, DATE_ORDERS),
            ("quote", self.quote, QUOTES),
            ("group", self.group, GROUPS),
        ):
            if word not in words:
                raise RefusedError(
                    f"{name} is {show_text(word)!r}, which is not a form of a file.",
                    f"Give one of {', '.join(words)}.",
                )
        if self.delimiter is not None and self.delimiter not in DELIMITERS:
            raise RefusedError(
                f"delimiter is {show_text(self.delimiter)!r}, which is none that is read.",
                "Give a comma, a semicolon, a tab or a vertical bar.",
            )
        if self.skip_lines < 0:
            raise RefusedError("skip_lines is below 0.", "Give the number of lines above the header.")
        if self.group in _OTHER_MARK:
            if self.group == self.decimal:
                raise RefusedError(
                    f"a {self.group} can't stand both before decimals and between thousands.",
                    "Declare one of the two otherwise.",
                )
            object.__setattr__(self, "decimal", _OTHER_MARK[self.group])
        if self.encoding is not None:
            object.__setattr__(self, "encoding", known_encoding(self.encoding))

    def holds(self, when: tuple[str, ...]) -> bool:
        """Return whether this is one of some forms; no form at all is any.

        Args:
            when: Such as `decimal=comma` or `group=mark`, which is a point or a comma. Of those about one
                thing, one must hold.
        """
        group = "mark" if self.group in _OTHER_MARK else self.group
        facts = {"decimal": self.decimal, "date_order": self.date_order, "group": group}
        return all(f"{fact.partition('=')[0]}={facts[fact.partition('=')[0]]}" in when for fact in when)

    def words(self) -> dict[str, str]:
        """Return the form as the params of a run."""
        return {"encoding": self.encoding or AUTO, "decimal": self.decimal, "date_order": self.date_order}


UNDECLARED = Form()
"""Nothing is declared: what can be found out is, and the rest is as usual."""


def read_form(words: Mapping[str, str | None]) -> Form:
    """Read a form from the params of a run, or from a command line.

    Args:
        words: `encoding`, `decimal` and `date_order`; blank or absent ones are found out.

    Raises:
        RefusedError: A word is none of those known.
    """
    given = {name: (words.get(name) or "").strip() for name in SETTINGS}
    encoding = given["encoding"] if given["encoding"].lower() not in {"", AUTO} else None
    return Form(encoding, given["decimal"] or AUTO, given["date_order"] or AUTO)


def form_of_all(environment: Mapping[str, str]) -> Form:
    """Read the form declared for all files: `SOURCE_ENCODING`, `SOURCE_DECIMAL`, `SOURCE_DATE_ORDER`.

    Raises:
        RefusedError: A variable has an unusable value.
    """
    return read_form({name: environment.get(variable) for name, variable in SETTINGS.items()})
