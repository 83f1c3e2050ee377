"""A file of unknown make → how its lines split into fields and where its header is, without knowing any name."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from audited_load.errors import UnusableFileError
from audited_load.form import DELIMITERS, Form
from audited_load.reading.dialect import normalise_name, split_names
from audited_load.reading.encoding import swap_quotes
from audited_load.reading.formats import name_text_format
from audited_load.reading.header import BLANK, SEP_LINE, Line, read_lines
from audited_load.reading.source import Source, Start, inspect_file, read_start
from audited_load.shown import count_of, show_name, show_text

SAMPLED = 200
"""Lines that are looked at."""
TITLE_LINES = 50
"""Lines among which the header is looked for."""
_CONTROL = bytes({*range(32), 127} - {*b"\t\n\r\x1a"})
_TEXT, _NEARLY = 0.95, 0.7
_VALUE = re.compile(r"[^\w]*[0-9][0-9.,'\s:/\-]*[^\w]*|.*@.*\..*|[A-Za-z]{0,10}[-_/]?[0-9]{3,}")
_SINGLE_QUOTED = r"(?:^|[,;\t|])'[^'\n]*'(?=[,;\t|\r]|$)"


@dataclass(frozen=True)
class FirstLook:
    """How a file seems to be written.

    Attributes:
        source: The file, readable as records.
        form: As what it was read; a contract would have to declare what differs from the usual.
        doubts: What isn't certain of it, as sentences.
    """

    source: Source
    form: Form
    doubts: tuple[str, ...]


@dataclass(frozen=True)
class _Split:
    """Lines, split in one way: by what, how many fields most of them have, and how good that is."""

    delimiter: str
    fields: int
    worth: float


def look_at(path: Path, form: Form) -> FirstLook:
    """Find out how to read a file of which nothing is known.

    Args:
        path: A regular file.
        form: What is declared of it: its encoding, for instance.

    Returns:
        The file as records, and as what it was read.

    Raises:
        UnusableFileError: It is no text, has no records, or no header.
        RefusedError: The declared encoding is unknown.
    """
    name = show_text(path.name)
    start = read_start(path, form)
    if len(start.head.translate(None, _CONTROL)) < _TEXT * len(start.head):
        raise UnusableFileError(
            f"{name}: this is no CSV: it holds too many control characters.",
            "Fetch it again, or ask the supplier for a text in UTF-8.",
        )
    if form.quote == '"' and _is_single_quoted(start):
        form = replace(form, quote="'")
        start = replace(start, head=swap_quotes(start.head, "'"))
    lines = list(islice(read_lines(start.head, start.newline.encode()), SAMPLED))
    filled = [number for number, line in enumerate(lines) if line.text.strip(BLANK)]
    if not filled:
        raise UnusableFileError(f"{name}: it holds blank lines only.", "Check the supplier's delivery.")
    said = SEP_LINE.fullmatch(lines[filled[0]].text.strip())
    given = (said[1],) if said else (form.delimiter,) if form.delimiter else DELIMITERS
    filled = filled[bool(said) :]
    texts = [lines[number].text for number in filled]
    splits = [one for one in (_split(texts, mark) for mark in given) if one.fields > 1]
    if not splits:
        raise _no_columns(name, start, texts)
    number, split = _find_best(name, lines, filled, splits)
    return _read_as(path, lines[number], number, split, replace(form, delimiter=None if said else split.delimiter))


def _find_best(
    name: str, lines: Sequence[Line], filled: Sequence[int], splits: Sequence[_Split]
) -> tuple[int, _Split]:
    """Find the header, and the split by which it is one: of those that are nearly the best, the earliest header."""
    best = max(splits, key=lambda one: one.worth)
    # Text may hold more semicolons than a line has commas; but then no line of names does.
    headers = [
        (number, -one.worth, one)
        for one in splits
        if one.worth >= _NEARLY * best.worth and (number := _find_header(lines, filled, one)) is not None
    ]
    if not headers:
        tried = min(len(filled), TITLE_LINES)
        raise UnusableFileError(
            f"{name}: no header found: none of the first {count_of(tried, 'line')} holds names for {best.fields}"
            f" columns between {show_text(best.delimiter)!r}.",
            "Ask the supplier for a header, or put one on the first line.",
        )
    number, _, split = min(headers, key=lambda one: one[:2])
    return number, split


def _read_as(path: Path, header: Line, number: int, split: _Split, form: Form) -> FirstLook:
    """Let the usual reader read the file by the header that was found."""
    names = [name for name in map(normalise_name, split_names(header.text, split.delimiter)) if name]
    doubts = []
    expected = [swap_quotes(name.encode(), form.quote).decode() for name in names]
    try:
        source = inspect_file(path, expected, "", form=form)
    except UnusableFileError:
        if not number:
            raise
        form = replace(form, skip_lines=number)
        source = inspect_file(path, expected, "", form=form)
        doubts.append(f"{count_of(number, 'line')} above the header look like records: they are not read.")
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        doubts.append(
            f"{', '.join(map(show_name, twice))}: in the header several times, so none of them can be read."
        )
    return FirstLook(source, form, tuple(doubts))


def _is_single_quoted(start: Start) -> bool:
    """Tell whether fields stand in single quotes throughout, and none in double ones."""
    text = start.head[: 2**16].decode(errors="replace").replace("\r", "\n")
    single = len(re.findall(_SINGLE_QUOTED, text, re.MULTILINE))
    double = len(re.findall(_SINGLE_QUOTED.replace("'", '"'), text, re.MULTILINE))
    return double == 0 and single * 2 > min(text.count("\n"), SAMPLED)


def _split(texts: Sequence[str], delimiter: str) -> _Split:
    """Count the fields that a delimiter makes of lines: the more of them have as many, the better."""
    counts = Counter(max(1, len(split_names(text, delimiter))) for text in texts)
    fields, lines = max(counts.items(), key=lambda item: (item[1] * math.log2(item[0]), item[0]))
    return _Split(delimiter, fields, lines / len(texts) * math.log2(fields))


def _find_header(lines: Sequence[Line], filled: Sequence[int], split: _Split) -> int | None:
    """Find the first line that holds names, and about as many as the others hold fields."""
    for number in filled[:TITLE_LINES]:
        fields = split_names(lines[number].text, split.delimiter)
        named = [field for field in fields if field.strip()]
        # A header may lack the name of one column, or records may end with a delimiter.
        is_full = abs(len(fields) - split.fields) <= 1 and len(named) * 2 > split.fields
        if is_full and not any(_VALUE.fullmatch(field.strip()) for field in named):
            return number
    return None


def _no_columns(name: str, start: Start, texts: Sequence[str]) -> UnusableFileError:
    if found := name_text_format(start.head):
        return UnusableFileError(f"{name}: this is no CSV: it is {found.name}.", found.remedy)
    return UnusableFileError(
        f"{name}: no columns found in {count_of(len(texts), 'line')} between commas, semicolons, tabs or |.",
        "Ask the supplier for one of these between fields, or put a line such as sep=^ above the header.",
    )
