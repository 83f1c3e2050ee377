"""The beginning of a file without a usable header → an error that names the case, and the remedy.

What stands in such a file may be a person's data: only names that look like those of columns are shown, and only of
a line that looks like a header.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches
from typing import NamedTuple

from audited_load.errors import UnusableFileError
from audited_load.reading.dialect import normalise_name, split_names
from audited_load.reading.formats import name_text_format
from audited_load.shown import INVISIBLE, count_of, show_name, show_text

SHOWN_NAMES = 20
LOOKED_AT = 100
"""Lines that may be meant as a header."""

_OTHER_DELIMITERS = ("^", "~", ":", "#", "!", "*", "%", "&", "\x1f", "\x01", "\xa7", "¦")
_NOTHING = "Nothing was loaded."


class _Candidate(NamedTuple):
    """A line that may be meant as a header: its number among those with text, its fields, what separates them."""

    number: int
    fields: list[str]
    delimiter: str
    known: int


def explain_missing_header(
    name: str, head: bytes, lines: Sequence[str], delimiters: Sequence[str], required: Sequence[str]
) -> UnusableFileError:
    """Say why no header was found.

    Args:
        name: Of the file.
        head: Its beginning, as UTF-8.
        lines: Its first lines that hold something.
        delimiters: Those that were tried.
        required: Names that a header must have.

    Returns:
        The error, to be raised.
    """
    what, remedy = _explain(head, lines[:LOOKED_AT], delimiters, list(required))
    return UnusableFileError(f"{name}: {what}", f"{remedy} {_NOTHING}")


def _explain(head: bytes, lines: Sequence[str], delimiters: Sequence[str], required: list[str]) -> tuple[str, str]:
    if not lines:
        return "no header found: the file holds blank lines only.", "Check the supplier's delivery."
    if found := name_text_format(head):
        return f"this is no CSV: it is {found.name}.", found.remedy
    if head.count(b"\0") * 4 > len(head):
        return "this is no CSV: it holds NUL bytes.", "Fetch it again, or ask the supplier for the file in UTF-8."
    best = max((_judge(number, line, delimiters, required) for number, line in enumerate(lines, 1)), key=_worth)
    for explain in (_mixed_line_ends, _quoted_line_end, _whole_lines_quoted, _other_quote, _other_delimiter):
        if said := explain(lines, delimiters, required):
            return said
    return _missing_names(best, len(lines), required)


def _judge(number: int, line: str, delimiters: Sequence[str], required: list[str]) -> _Candidate:
    split = [(split_names(line, mark), mark) for mark in delimiters]
    fields, mark = max(split, key=lambda one: (len(_known(one[0], required)), len(one[0])))
    return _Candidate(number, fields, mark, len(_known(fields, required)))


def _worth(candidate: _Candidate) -> tuple[int, int]:
    return candidate.known, -candidate.number


def _known(fields: Sequence[str], required: Sequence[str]) -> set[str]:
    return {normalise_name(field) for field in fields}.intersection(required)


def _mixed_line_ends(
    lines: Sequence[str], delimiters: Sequence[str], required: list[str]
) -> tuple[str, str] | None:
    for line in lines:
        if any(
            _is_complete(split_names(part, mark), required) for part in line.split("\r")[:-1] for mark in delimiters
        ):
            return (
                "its line ends are mixed: some are CR, others LF.",
                "Ask the supplier for one kind of line ends, LF or CRLF.",
            )
    return None


def _quoted_line_end(
    lines: Sequence[str], delimiters: Sequence[str], required: list[str]
) -> tuple[str, str] | None:
    for number, line in enumerate(lines, start=1):
        if line.count('"') % 2 and any(_known(split_names(line, mark), required) for mark in delimiters):
            return (
                f"a name in the header (line {number}) holds a line end within quotes, or its quote is not closed.",
                "Ask the supplier for a header on one line.",
            )
    return None


def _whole_lines_quoted(
    lines: Sequence[str], delimiters: Sequence[str], required: list[str]
) -> tuple[str, str] | None:
    for line in lines:
        inner = line.strip()[1:-1]
        if line.strip().startswith('"') and any(
            _is_complete(split_names(inner, mark), required) for mark in delimiters
        ):
            return (
                "each line stands in quotes as a whole, so that it is one field.",
                "Ask the supplier for quotes around fields, or for none; or take the first and last quote of each"
                " line away.",
            )
    return None


def _other_quote(lines: Sequence[str], delimiters: Sequence[str], required: list[str]) -> tuple[str, str] | None:
    for line in lines:
        for mark in delimiters:
            if _is_complete([field.strip().strip("'`\u00b4") for field in split_names(line, mark)], required):
                return (
                    "the header's names stand in single quotes; fields are quoted by double quotes, if nothing else"
                    " is declared.",
                    "Declare the quote in a contract (docs/contracts.md), or ask the supplier for double quotes"
                    ' (") around fields, or for none.',
                )
    return None


def _other_delimiter(
    lines: Sequence[str], delimiters: Sequence[str], required: list[str]
) -> tuple[str, str] | None:
    read = "those that are read are comma, semicolon, tab and |"
    for line in lines:
        if _is_complete(re.split(r"[^\w\s\"']{2,3}", line), required):
            return f"its fields are separated by several characters; {read}.", _DELIMIT
        for mark in _OTHER_DELIMITERS:
            if _is_complete(line.split(mark), required):
                return f"its fields are separated by {show_text(mark)!r}; {read}.", _DELIMIT
        if _is_complete(re.split(r"\s+", line.strip()), required):
            return f"its fields are separated by spaces; {read}.", _DELIMIT
        if len(delimiters) == 1 and any(_is_complete(split_names(line, mark), required) for mark in ",;\t|"):
            return (
                f"its first line says that fields are separated by {show_text(delimiters[0])!r}, but they are not.",
                "Take that line (sep=) away, or correct it.",
            )
    return None


_DELIMIT = "Ask the supplier for one of these; or put a line such as sep=^ above the header."


def _is_complete(fields: Sequence[str], required: Sequence[str]) -> bool:
    return len(_known(fields, required)) == len(required)


def _missing_names(best: _Candidate, lines: int, required: list[str]) -> tuple[str, str]:
    header = ",".join(required)
    numbers = sum(bool(re.match(r"\W*\d", field)) for field in best.fields)
    if not best.known or best.known <= numbers:
        first = "line 1 looks like a record, not like a header" if numbers else "no line looks like a header"
        fields = count_of(len(best.fields), "field")
        tried = f" between {show_text(best.delimiter)!r}" if len(best.fields) > 1 else ""
        return (
            f"no header found: {first}. Line {best.number} of {lines} that were looked at has {fields}{tried};"
            f" missing: column {', '.join(required)}.",
            f"Put the header {header} on the first line, with a delimiter that is read (comma, semicolon, tab, |).",
        )
    names = [normalise_name(field) for field in best.fields]
    missing = [name for name in required if name not in names]
    where = f"the header seems to be line {best.number}; it" if best.number > 1 else "the header"
    shown = ", ".join(show_name(field) for field in best.fields[:SHOWN_NAMES])
    more = f" and {len(best.fields) - SHOWN_NAMES} more" if len(best.fields) > SHOWN_NAMES else ""
    # A line with one known word in it may be a record.
    found = f" Found: {shown}{more}." if best.known * 2 >= len(required) else ""
    hidden = " A name holds characters that can't be seen." if _hides(best.fields) else ""
    unknown = [name for name in names if name and name not in required]
    guesses = [f"{name} (found {show_name(guess)})" for name in missing if (guess := _near(name, unknown))]
    meant = f" Did you mean {', '.join(guesses)}?" if guesses else ""
    plural = "column" if len(missing) == 1 else "columns"
    return (
        f"{where} lacks the {plural} {', '.join(missing)}: missing.{meant}{found}{hidden}",
        f"Ask the supplier for the file with the header {header}, or rename its columns.",
    )


def _hides(fields: Sequence[str]) -> bool:
    return any(character in field for field in fields for character in INVISIBLE)


def _near(name: str, found: Sequence[str]) -> str | None:
    """Find the name that may be meant: written nearly so, shortened, or with a word more."""
    close = get_close_matches(name, found, 1, 0.75)
    longer = [other for other in found if f"_{name}_" in f"_{other}_" or f"_{other}_" in f"_{name}_"]
    shorter = [other for other in found if len(other) > 1 and other[0] == name[0] and _is_shortened(other, name)]
    return next(iter([*close, *longer, *shorter]), None)


def _is_shortened(short: str, name: str) -> bool:
    letters = iter(name)
    return all(letter in letters for letter in short)
