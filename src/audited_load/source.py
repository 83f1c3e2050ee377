"""A file of unknown make → UTF-8 bytes, its fingerprint, its dialect and its header.

Compression, encoding, delimiter and header are found here once, so that nothing further down needs to
know them. Offsets are counted in the UTF-8 text after decompression, which is the file itself for the
usual case of a plain UTF-8 file.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import hashlib
import io
import re
import stat
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

import zstandard

from audited_load.errors import UnusableFileError

CHUNK_BYTES = 8 * 2**20
HEADER_BYTES = 2**20
MAX_EXPANSION = 200
"""Decompressed bytes per compressed byte above which a file is taken for a decompression bomb."""

_ZSTD_BYTES = 2**12
"""Compressed bytes that are expanded at a time: even of a bomb they make no more than memory holds."""

_DELIMITERS = (",", ";", "\t", "|")
_BOMS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
_MULTIBYTE = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")


@dataclass(frozen=True)
class Source:
    r"""A file that can be read as records.

    Attributes:
        path: Where it is.
        bytes: Its size on disk.
        identity: Changes when the file is written to or replaced.
        compression: "gzip", "zstd" or None.
        encoding: "utf-8", "utf-8-sig", "utf-16-le", "utf-16-be" or "windows-1252".
        delimiter: Between fields.
        newline: "\n", or "\r" for the files of old Macs. "\r\n" counts as "\n".
        header: The names, as found.
        body_offset: Where the first record starts, in bytes of UTF-8 text.
        body_line: The line on which the first record starts, from 1.
    """

    path: Path
    bytes: int
    identity: tuple[int, ...]
    compression: str | None
    encoding: str
    delimiter: str
    newline: str
    header: tuple[str, ...]
    body_offset: int
    body_line: int

    def positions(self, names: list[str]) -> list[int]:
        """Where the named columns are in the header; case and spaces don't matter.

        Raises:
            UnusableFileError: A column is missing or there twice.
        """
        found = [normalise_name(name) for name in self.header]
        missing = [name for name in names if name not in found]
        twice = [name for name in names if found.count(name) > 1]
        if missing or twice:
            raise UnusableFileError(
                f"{self.path.name}: "
                + (f"column {', '.join(missing)} missing" if missing else f"column {', '.join(twice)} twice")
                + f" in the header. Found: {', '.join(name[:60] for name in self.header[:50])}.",
                "Ask the supplier for the file with the header "
                f"{','.join(names)}, or rename its columns. Nothing was loaded.",
            )
        return [found.index(name) for name in names]


def normalise_name(name: str) -> str:
    """Fold case, spaces and hyphens of a column's name: " Customer ID" is `customer_id`."""
    return re.sub(r"[\s-]+", "_", name.strip().lower())


def inspect_file(path: Path, expected: list[str]) -> Source:
    """Find out how to read a file.

    Args:
        path: A regular file.
        expected: Names of the columns that tell the header's delimiter.

    Returns:
        What is needed to read its records.

    Raises:
        UnusableFileError: There is no such file, or it can't hold records.
    """
    size, identity = _check_regular(path)
    with path.open("rb") as file:
        magic = file.read(4)
    compression = "gzip" if magic[:2] == b"\x1f\x8b" else "zstd" if magic == b"\x28\xb5\x2f\xfd" else None
    encoding = _find_encoding(_raw_chunks(path, compression, size, _NoDigest()))
    head = b""
    for chunk in _decoded(_raw_chunks(path, compression, size, _NoDigest()), path, encoding):
        head += chunk
        if len(head) >= HEADER_BYTES:
            break
    newline = "\r" if b"\r" in head and b"\n" not in head else "\n"
    start = len(head) - len(head.removeprefix(codecs.BOM_UTF8).lstrip(b"\r\n"))
    delimiter, header, end = _read_header(path, head, start, newline, expected)
    lines = head[:end].count(newline.encode())
    return Source(path, size, identity, compression, encoding, delimiter, newline, header, end, lines + 1)


def read_chunks(source: Source, digest: Digest | None = None) -> Iterator[bytes]:
    r"""Read the records' bytes, header left out, as UTF-8 with "\n" between lines.

    Args:
        source: The file.
        digest: Gets every byte of the file, as it lies on disk.

    Yields:
        Chunks of up to 8 MiB, cut anywhere.

    Raises:
        UnusableFileError: The file can't be decompressed or decoded to its end.
    """
    skip = source.body_offset
    raw = _raw_chunks(source.path, source.compression, source.bytes, digest or _NoDigest())
    for chunk in _decoded(raw, source.path, source.encoding):
        if skip >= len(chunk):
            skip -= len(chunk)
            continue
        body = chunk[skip:] if skip else chunk
        skip = 0
        yield body.replace(b"\r", b"\n") if source.newline == "\r" else body


def hash_file(path: Path) -> str:
    """Compute the sha256 of a file's bytes, as hexadecimal text."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def has_changed(source: Source, sha256: str) -> bool:
    """Tell whether the file is no longer the one that was read.

    Args:
        source: The file, as it was found.
        sha256: Of the bytes that were read.
    """
    try:
        return _check_regular(source.path)[1] != source.identity or hash_file(source.path) != sha256
    except (UnusableFileError, OSError):
        return True


def _check_regular(path: Path) -> tuple[int, tuple[int, ...]]:
    """Give the size of a regular file, and what tells it from others and from its later self."""
    remedy = "Check the path and the supplier's delivery. Nothing was loaded."
    try:
        status = path.stat()
    except FileNotFoundError as error:
        raise UnusableFileError(f"{path}: no such file.", remedy) from error
    except OSError as error:
        raise UnusableFileError(f"{path}: {error.strerror}.", remedy) from error
    if not stat.S_ISREG(status.st_mode):
        raise UnusableFileError(f"{path}: not a regular file.", remedy)
    if status.st_size == 0:
        raise UnusableFileError(f"{path}: the file is empty.", remedy)
    return status.st_size, (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


class Digest(Protocol):
    """What takes bytes and sums them up, such as hashlib's objects."""

    def update(self, data: bytes, /) -> object:
        """Take more bytes."""


class _NoDigest:
    def update(self, data: bytes, /) -> None:
        """Forget the bytes."""


class _HashedFile(io.RawIOBase):
    """A file whose bytes go to a digest as they are read."""

    def __init__(self, file: IO[bytes], digest: Digest) -> None:
        self._file, self._digest = file, digest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        view = memoryview(buffer)
        chunk = self._file.read(len(view))
        self._digest.update(chunk)
        view[: len(chunk)] = chunk
        return len(chunk)


def _expand_gzip(file: IO[bytes]) -> Iterator[bytes]:
    with gzip.GzipFile(fileobj=file) as expanded:
        while chunk := expanded.read(CHUNK_BYTES):
            yield chunk


def _expand_zstd(file: IO[bytes]) -> Iterator[bytes]:
    """Expand frame by frame: the library's stream takes a frame that was cut off for a whole one."""
    frame = zstandard.ZstdDecompressor().decompressobj()
    gathered, size = [], 0
    while piece := file.read(_ZSTD_BYTES):
        while piece:
            if frame.eof:
                frame = zstandard.ZstdDecompressor().decompressobj()
            gathered.append(frame.decompress(piece))
            size += len(gathered[-1])
            piece = frame.unused_data
        if size >= CHUNK_BYTES:
            yield b"".join(gathered)
            gathered, size = [], 0
    if not frame.eof:
        raise EOFError("the last frame has no end")
    yield b"".join(gathered)


def _raw_chunks(path: Path, compression: str | None, size: int, digest: Digest) -> Iterator[bytes]:
    """Read the file, decompressed; never past `size` bytes of a plain file, which may grow meanwhile."""
    try:
        with path.open("rb") as file:
            if compression is None:
                while chunk := file.read(min(CHUNK_BYTES, size)):
                    size -= len(chunk)
                    digest.update(chunk)
                    yield chunk
                return
            raw, limit = io.BufferedReader(_HashedFile(file, digest), 2**20), size * MAX_EXPANSION + HEADER_BYTES
            for chunk in (_expand_gzip if compression == "gzip" else _expand_zstd)(raw):
                limit -= len(chunk)
                if limit < 0:
                    raise UnusableFileError(
                        f"{path.name}: expands to more than {MAX_EXPANSION} times its size.",
                        "Deliver it uncompressed if it is genuine. Nothing was loaded.",
                    )
                yield chunk
            # What the decompressor left unread belongs to the file, too.
            while raw.read(2**20):
                pass
    except (EOFError, gzip.BadGzipFile, zlib.error, zstandard.ZstdError, OSError) as error:
        raise UnusableFileError(
            f"{path.name}: can't be read to its end: {error}.",
            "The delivery is damaged or incomplete: fetch it again. Nothing was loaded.",
        ) from error


def _decoded(chunks: Iterator[bytes], path: Path, encoding: str) -> Iterator[bytes]:
    """Give the text as UTF-8; a byte order mark stays if it was UTF-8 before, so that offsets are the file's."""
    if encoding in {"utf-8", "utf-8-sig"}:
        yield from chunks
        return
    # Windows-1252 leaves five bytes undefined; they pass as control characters, which a rule refuses.
    decoder = codecs.getincrementaldecoder(encoding)("strict" if encoding.startswith("utf") else "cp1252_or_c1")
    try:
        yield decoder.decode(next(chunks, b"")).removeprefix("\ufeff").encode()
        for chunk in chunks:
            yield decoder.decode(chunk).encode()
        yield decoder.decode(b"", final=True).encode()
    except UnicodeError as error:
        raise UnusableFileError(
            f"{path.name}: not valid {encoding}: {error}.",
            "Ask the supplier for the file in UTF-8. Nothing was loaded.",
        ) from error


def _c1(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "".join(map(chr, error.object[error.start : error.end])), error.end


codecs.register_error("cp1252_or_c1", _c1)


def _find_encoding(chunks: Iterator[bytes]) -> str:
    """Tell the encoding: by its mark, else UTF-8, else Windows-1252 if nothing in it looks like UTF-8."""
    invalid = multibyte = False
    before = b""
    decoder = codecs.getincrementaldecoder("utf-8")()
    for number, chunk in enumerate(chunks):
        if number == 0:
            for mark, name in _BOMS.items():
                if chunk.startswith(mark):
                    return name
        if chunk.isascii() and not decoder.getstate()[0]:
            continue
        # A character may lie across the cut.
        multibyte = multibyte or _MULTIBYTE.search(before + chunk) is not None
        before = chunk[-3:]
        try:
            decoder.decode(chunk)
        except UnicodeDecodeError:
            invalid = True
            decoder.reset()
        if multibyte:
            return "utf-8"
    return "windows-1252" if invalid or decoder.getstate()[0] else "utf-8"


def _read_header(
    path: Path, head: bytes, start: int, newline: str, expected: list[str]
) -> tuple[str, tuple[str, ...], int]:
    """Read the first line; the delimiter is the one that finds most of the expected names."""
    end = head.find(newline.encode(), start) + 1 or len(head)
    line = head[start:end].decode(errors="replace").strip("\r\n")
    if end - start > HEADER_BYTES or line.count('"') % 2:
        raise UnusableFileError(
            f"{path.name}: the header is longer than {HEADER_BYTES // 2**10} KiB, or has a line end within quotes.",
            "Ask the supplier for a header of one line. Nothing was loaded.",
        )
    if not line.strip():
        raise UnusableFileError(
            f"{path.name}: no header found.", "Check the supplier's delivery. Nothing was loaded."
        )

    def known(delimiter: str) -> tuple[int, int]:
        fields = _fields_of(line, delimiter)
        return sum(normalise_name(name) in expected for name in fields), len(fields)

    delimiter = max(_DELIMITERS, key=known)
    return delimiter, tuple(_fields_of(line, delimiter)), end


def _fields_of(line: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:
        return [line]
