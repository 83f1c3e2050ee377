"""A file of unknown make → UTF-8 bytes, its fingerprint, its dialect and its header.

Compression, encoding, delimiter and header are found here once, so that nothing further down needs to
know them. Offsets are counted in the UTF-8 text after decompression, which is the file itself for the
usual case of a plain UTF-8 file.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from audited_load.content import hash_file
from audited_load.errors import UnusableFileError
from audited_load.form import DELIMITERS, UNDECLARED, Form
from audited_load.reading.compression import Digest, NoDigest, expand_file, find_compression
from audited_load.reading.dialect import Dialect, normalise_name
from audited_load.reading.encoding import Encoding, decode_chunks, find_encoding, swap_quotes
from audited_load.reading.formats import name_binary_format
from audited_load.reading.header import HEADER_BYTES, Names, find_header
from audited_load.shown import show_name, show_text


@dataclass(frozen=True)
class Source:
    r"""A file that can be read as records.

    Attributes:
        path: Where it is.
        bytes: Its size on disk.
        identity: Changes when the file is written to or replaced.
        compression: "gzip", "zstd" or None.
        encoding: Of its text, and how it is known.
        dialect: How its lines split into fields, and the header's names.
        newline: "\n", or "\r" for the files of old Macs. "\r\n" counts as "\n".
        body_offset: Where the first record starts, in bytes of UTF-8 text.
        body_line: The line on which the first record starts, from 1.
        lines_above: Lines above the header that hold something.
        sep_line: Whether a line such as `sep=;` is above the header.
        aliases: Other names for columns in a header, normalised, each with the column's.
    """

    path: Path
    bytes: int
    identity: tuple[int, ...]
    compression: str | None
    encoding: Encoding
    dialect: Dialect
    newline: str
    body_offset: int
    body_line: int
    lines_above: int
    sep_line: bool
    aliases: tuple[tuple[str, str], ...] = ()

    @property
    def names(self) -> list[str]:
        """The names of the header's columns, as the feed has them where it knows them."""
        aliases = dict(self.aliases)
        written = [_swap(name, self.dialect.quote) for name in self.dialect.header]
        return [aliases.get(name, name) for name in map(normalise_name, written)]

    def positions(self, names: Sequence[str]) -> list[int]:
        """Where the named columns are in the header; case and spaces don't matter.

        Raises:
            UnusableFileError: A column is missing or there twice.
        """
        places = self.find(names)
        found = [place for place in places if place is not None]
        if len(found) < len(names):
            missing = [name for name, place in zip(names, places, strict=True) if place is None]
            raise self._unlike(names, f"column {', '.join(missing)} missing")
        return found

    def find(self, names: Sequence[str]) -> list[int | None]:
        """Where the named columns are in the header; None for one that is missing.

        Raises:
            UnusableFileError: A column is there twice.
        """
        found = self.names
        if twice := [name for name in names if found.count(name) > 1]:
            raise self._unlike(names, f"column {', '.join(twice)} twice")
        return [found.index(name) if name in found else None for name in names]

    def _unlike(self, names: Sequence[str], problem: str) -> UnusableFileError:
        return UnusableFileError(
            f"{show_text(self.path.name)}: {problem} in the header."
            f" Found: {', '.join(map(show_name, self.dialect.header[:50]))}.",
            "Ask the supplier for the file with the header "
            f"{','.join(names)}, or rename its columns. Nothing was loaded.",
        )


@dataclass(frozen=True)
class Start:
    r"""The beginning of a file that may hold records.

    Attributes:
        size: The file's size on disk, in bytes.
        identity: Changes when the file is written to or replaced.
        compression: "gzip", "zstd" or None.
        encoding: Of its text, and how it is known.
        head: Its text as UTF-8, at least a mebibyte if it is that long.
        newline: "\n", or "\r" for the files of old Macs.
    """

    size: int
    identity: tuple[int, ...]
    compression: str | None
    encoding: Encoding
    head: bytes
    newline: str


def read_start(path: Path, form: Form, *, is_for_people: bool = True) -> Start:
    """Read the beginning of a file, and find out its compression and encoding.

    Args:
        path: A regular file.
        form: How it is written, as far as that is declared.
        is_for_people: Whether its words will be shown, so that a guessed encoding has to make sense.

    Raises:
        UnusableFileError: There is no such file, or it can't hold text.
        RefusedError: The declared encoding is unknown.
    """
    name = show_text(path.name)
    size, identity = _check_regular(path)
    compression = find_compression(_first_bytes(path))
    raw = expand_file(path, compression, size, NoDigest())
    first = next(raw, b"")
    if other := name_binary_format(first):
        what = f"{name}: this is no CSV: it is {other.name}."
        raise UnusableFileError(what, f"{other.remedy} Nothing was loaded.")
    found = find_encoding(chain([first], raw), form.encoding, name, is_for_people=is_for_people)
    encoding = replace(found, quote=form.quote)
    head = b""
    for chunk in decode_chunks(expand_file(path, compression, size, NoDigest()), encoding, name):
        head += chunk
        if len(head) >= HEADER_BYTES:
            break
    newline = "\r" if b"\r" in head and b"\n" not in head else "\n"
    return Start(size, identity, compression, encoding, head, newline)


def inspect_file(
    path: Path,
    expected: Sequence[str],
    key: str,
    required: Sequence[str] | None = None,
    form: Form = UNDECLARED,
    aliases: tuple[tuple[str, str], ...] = (),
    *,
    is_for_people: bool = True,
) -> Source:
    """Find out how to read a file.

    Args:
        path: A regular file.
        expected: Names of columns.
        key: The column that identifies a record; a line that begins a record has a key in it.
        required: The columns that its header must have; by default those that are expected.
        form: How it is written, as far as that is declared.
        aliases: Other names for columns in its header, normalised, each with the column's.
        is_for_people: Whether its words will be shown, so that a guessed encoding has to make sense.

    Returns:
        What is needed to read its records.

    Raises:
        UnusableFileError: There is no such file, or it can't hold records.
        RefusedError: The declared encoding is unknown.
    """
    start = read_start(path, form, is_for_people=is_for_people)
    others = {_swap(alias, form.quote): column for alias, column in aliases}
    names = Names(tuple(expected), key, tuple(expected if required is None else required), others)
    delimiters = (form.delimiter,) if form.delimiter else DELIMITERS
    newline = start.newline.encode()
    header = find_header(show_text(path.name), start.head, newline, names, delimiters, form.skip_lines)
    lines = start.head[: header.end].count(newline)
    return Source(
        path,
        start.size,
        start.identity,
        start.compression,
        start.encoding,
        replace(header.dialect, quote=form.quote),
        start.newline,
        header.end,
        lines + 1,
        header.lines_above,
        header.sep_line,
        aliases,
    )


def _swap(name: str, quote: str) -> str:
    return swap_quotes(name.encode(), quote).decode()


def read_chunks(source: Source, digest: Digest | None = None) -> Iterator[bytes]:
    r"""Read the records' bytes, header left out, as UTF-8 with "\n" between lines.

    Args:
        source: The file.
        digest: Gets every byte of the file, as it lies on disk.

    Returns:
        Chunks of up to 8 MiB, cut anywhere.

    Raises:
        UnusableFileError: The file can't be decompressed or decoded to its end.
    """
    raw = expand_file(source.path, source.compression, source.bytes, digest or NoDigest())
    return as_records(raw, source, source.body_offset)


def as_records(raw: Iterator[bytes], source: Source, skip: int = 0) -> Iterator[bytes]:
    r"""Turn bytes of a file into those of records: UTF-8 with "\n" between lines.

    Args:
        raw: The file's bytes, or those of a part of it if it is UTF-8 by itself; without compression.
        source: The file.
        skip: How many bytes of the text to leave out at the beginning.

    Yields:
        Chunks, cut anywhere.

    Raises:
        UnusableFileError: They can't be decoded to their end.
    """
    for chunk in decode_chunks(raw, source.encoding, show_text(source.path.name)):
        if skip >= len(chunk):
            skip -= len(chunk)
            continue
        body = chunk[skip:] if skip else chunk
        skip = 0
        yield body.replace(b"\r", b"\n") if source.newline == "\r" else body


def read_head(source: Source) -> bytes:
    """Read what comes before the first record, as UTF-8."""
    head = b""
    for chunk in decode_chunks(
        expand_file(source.path, source.compression, source.bytes, NoDigest()),
        source.encoding,
        show_text(source.path.name),
    ):
        head += chunk
        if len(head) >= source.body_offset:
            break
    return head[: source.body_offset]


def has_changed(source: Source, sha256: str) -> bool:
    """Return whether the file is no longer the one that was read.

    Args:
        source: The file, as it was found.
        sha256: Of the bytes that were read.
    """
    try:
        return _check_regular(source.path)[1] != source.identity or hash_file(source.path) != sha256
    except (UnusableFileError, OSError):
        return True


def _first_bytes(path: Path) -> bytes:
    return next(expand_file(path, None, 4, NoDigest()), b"")


def _check_regular(path: Path) -> tuple[int, tuple[int, ...]]:
    """Return the size of a regular file, and what tells it from others and from its later self."""
    remedy = "Check the path and the supplier's delivery. Nothing was loaded."
    shown = show_text(str(path), 4096)
    try:
        status = path.stat()
    except FileNotFoundError as error:
        raise UnusableFileError(f"{shown}: no such file.", remedy) from error
    except OSError as error:
        raise UnusableFileError(f"{shown}: {error.strerror}.", remedy) from error
    if not stat.S_ISREG(status.st_mode):
        raise UnusableFileError(f"{shown}: not a regular file.", remedy)
    if status.st_size == 0:
        raise UnusableFileError(f"{shown}: the file is empty.", remedy)
    return status.st_size, (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
