"""The beginning of a file → its dialect and where its records begin: a header is where all required names are."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from audited_load.errors import UnusableFileError
from audited_load.form import DELIMITERS
from audited_load.reading.dialect import Dialect, grammar_of, normalise_name, split_names
from audited_load.reading.odd_records import looks_like_key
from audited_load.reading.refused_header import explain_missing_header
from audited_load.shown import INVISIBLE, count_of

HEADER_BYTES = 2**20
MAX_TITLES = 50
"""Lines that hold something above a header; what is more may be records that nobody would miss."""

SAMPLED_LINES, SAMPLED_BYTES = 200, 2**16

BLANK = ' \t,;|"'
SEP_LINE = re.compile(r'"?sep=([!#-/:-@\[-`{-~]|\t)"?[,;\t|]*', re.IGNORECASE)


@dataclass(frozen=True)
class Header:
    """What the beginning of a file says.

    Attributes:
        dialect: How its lines split into fields.
        end: Bytes before the first record.
        lines_above: Lines above the header that hold something: a title, a date.
        sep_line: Whether a line such as `sep=;` says what the delimiter is.
    """

    dialect: Dialect
    end: int
    lines_above: int
    sep_line: bool


@dataclass(frozen=True)
class Names:
    """What the columns of a file may be called.

    Attributes:
        expected: Names of columns.
        key: The one that identifies a record.
        required: Those that a header must have.
        aliases: Other names, normalised, each with the column's.
    """

    expected: tuple[str, ...]
    key: str
    required: tuple[str, ...]
    aliases: Mapping[str, str] = field(default_factory=dict)

    def column_of(self, name: str) -> str:
        """Return the column that a name in a header means, or the name, normalised."""
        bare = normalise_name(name)
        return self.aliases.get(bare, bare)

    def in_header(self) -> list[str]:
        """Return the names that a header must have, by the first other name of those that have one."""
        others = {column: other for other, column in reversed([*self.aliases.items()])}
        return [others.get(name, name) for name in self.required]


@dataclass(frozen=True)
class Line:
    """A line of text, and the bytes before and after it."""

    text: str
    start: int
    end: int


def find_header(
    name: str,
    head: bytes,
    newline: bytes,
    names: Names,
    delimiters: Sequence[str] = DELIMITERS,
    skip_lines: int = 0,
) -> Header:
    r"""Find the header: the first line that has all required names, between delimiters of one kind.

    Args:
        name: Of the file, for errors.
        head: The file's beginning as UTF-8, at least a mebibyte if it is that long.
        newline: b"\n" or b"\r".
        names: What its columns may be called.
        delimiters: What may be between its fields.
        skip_lines: Lines at the beginning that are not looked at.

    Returns:
        What it says.

    Raises:
        UnusableFileError: There is no header, or records are above it.
    """
    above: list[Line] = []
    sep_line = False
    for line in islice(read_lines(head, newline), skip_lines, None):
        if not line.text.strip(BLANK):
            continue
        said = SEP_LINE.fullmatch(line.text.strip()) if not above else None
        if said and not sep_line:
            delimiters, sep_line = (said[1],), True
            continue
        if line.end - line.start > HEADER_BYTES:
            raise UnusableFileError(
                f"{name}: the header is longer than {HEADER_BYTES // 2**10} KiB.",
                "This is no CSV with a header, or its line ends were lost: fetch it again. Nothing was loaded.",
            )
        fields = {mark: split_names(line.text, mark) for mark in delimiters}
        known = {mark: set(map(names.column_of, found)) for mark, found in fields.items()}
        complete = [
            mark for mark in delimiters if known[mark].issuperset(names.required) and not line.text.count('"') % 2
        ]
        if complete:
            delimiter = max(
                complete, key=lambda mark: (len(known[mark].intersection(names.expected)), len(fields[mark]))
            )
            found = tuple(fields[delimiter])
            places = [names.column_of(field) for field in found]
            dialect = Dialect(delimiter, found, places.index(names.key) if names.key in places else None)
            _require_no_records(name, above, dialect)
            return Header(_look_at_records(dialect, head[line.end :], newline), line.end, len(above), sep_line)
        above.append(line)
    if skip_lines:
        _refuse_skipping(name, head, newline, names, delimiters, skip_lines)
    raise explain_missing_header(name, head, [line.text for line in above], delimiters, names.in_header())


def _refuse_skipping(
    name: str, head: bytes, newline: bytes, names: Names, delimiters: Sequence[str], skip_lines: int
) -> None:
    """Refuse to skip the header itself, or all there is."""
    skipped = [line.text for line in islice(read_lines(head, newline), skip_lines + 1)]
    for number, text in enumerate(skipped[:skip_lines], start=1):
        if any({*map(names.column_of, split_names(text, mark))}.issuperset(names.required) for mark in delimiters):
            raise UnusableFileError(
                f"{name}: the header is line {number}, among the {skip_lines} that are declared to be skipped.",
                f"Declare skipLines: {number - 1}. Nothing was loaded.",
            )
    if len(skipped) <= skip_lines:
        raise UnusableFileError(
            f"{name}: nothing is below the {count_of(skip_lines, 'line')} that are declared to be skipped.",
            "Correct skipLines, or check the supplier's delivery. Nothing was loaded.",
        )


def read_lines(head: bytes, newline: bytes) -> Iterator[Line]:
    """Return the lines that start in the first mebibyte, without line ends and without marks before them."""
    start = 0
    while start < min(len(head), HEADER_BYTES):
        end = head.find(newline, start) + 1 or len(head)
        text = head[start:end].decode(errors="replace").strip("\r\n").lstrip(INVISIBLE)
        yield Line(text, start, end)
        start = end


def _require_no_records(name: str, above: Sequence[Line], dialect: Dialect) -> None:
    """Refuse a header below its records: they would be taken for titles, and lost."""
    for number, line in enumerate(above, start=1):
        filled = max(_count_as_record(line.text, mark, dialect) for mark in {*DELIMITERS, dialect.delimiter})
        if filled:
            raise UnusableFileError(
                f"{name}: the header is below what looks like records: line {number} of those above it has"
                f" {filled} values.",
                "Ask the supplier for the file with its header on the first line. Nothing was loaded.",
            )
        if _says_most(line.text, dialect):
            raise UnusableFileError(
                f"{name}: line {number} of those above the header says the header, too, but written in another way:"
                " the file is several files joined.",
                "Deliver them one by one. Nothing was loaded.",
            )
    if len(above) > MAX_TITLES:
        raise UnusableFileError(
            f"{name}: {len(above)} lines are above the header, too many to be titles.",
            "If none of them is a record, declare skipLines in the contract. Nothing was loaded.",
        )


def _says_most(line: str, dialect: Dialect) -> bool:
    """Tell whether a line holds most names of the header, whatever is between them; a note may hold some."""
    said, names = _words(line), [words for name in dialect.header if (words := _words(name))]
    return len(names) > 1 and sum(name in said for name in names) * 4 >= len(names) * 3


def _words(text: str) -> str:
    return re.sub(r"[\W_]+", " ", text.casefold()).strip()


def _is_header(line: str, dialect: Dialect) -> bool:
    fields = split_names(line, dialect.delimiter)
    if not fields or normalise_name(fields[0]) != normalise_name(dialect.header[0]):
        return False
    return [*map(normalise_name, fields)] == [*map(normalise_name, dialect.header)]


def _count_as_record(line: str, delimiter: str, dialect: Dialect) -> int:
    """Count the values of a line that looks like a record; 0 for a title, a period, a note."""
    fields = split_names(line, delimiter)
    filled = [field for field in fields if field.strip()]
    is_keyed = (
        dialect.key is not None and len(fields) > dialect.key and looks_like_key(fields[dialect.key].encode())
    )
    is_full = len(filled) * 2 > dialect.fields > 1
    # A period, such as from one day to another, has two.
    all_numbers = len(filled) > 2 and all(re.search(r"[0-9]", field) for field in filled)  # noqa: PLR2004
    return len(filled) if (is_keyed and len(filled) > 1) or is_full or all_numbers else 0


def _look_at_records(dialect: Dialect, body: bytes, newline: bytes) -> Dialect:
    """Find out what the writer does throughout, by the first records."""
    mark = re.escape(dialect.mark)
    start = body[:SAMPLED_BYTES]
    if len(body) > len(start):
        # Only whole lines have all their fields.
        start = start[: start.rfind(newline) + 1]
    # Looking for blanks before quotes at all is a hundred times cheaper.
    spaced = b' "' in start and re.search(rb"(?:^|" + mark + rb") +\"", start, re.MULTILINE)
    tight = spaced and re.search(rb"(?:^|" + mark + rb")\"", start, re.MULTILINE)
    dialect = replace(dialect, spaced_quotes=bool(spaced) and tight is None)
    piece = grammar_of(dialect.delimiter, spaced_quotes=dialect.spaced_quotes).piece
    counts: Counter[tuple[int, bool]] = Counter()
    for line in islice(read_lines(start, newline), SAMPLED_LINES):
        fields = piece.findall(line.text.encode())
        if any(field.strip() for field in fields) and not _is_header(line.text, dialect):
            counts[len(fields), not fields[-1].strip(b' \t"')] += 1
    named, total = dialect.fields, counts.total()
    if any(count for (fields, _), count in counts.items() if fields == named):
        return dialect
    if counts[named + 1, True] * 2 > total:
        return replace(dialect, header=(*dialect.header, ""), blank_last=True)
    nameless = not normalise_name(dialect.header[-1])
    if nameless and (counts[named - 1, True] + counts[named - 1, False]) * 2 > total:
        return replace(dialect, header=dialect.header[:-1])
    return dialect
