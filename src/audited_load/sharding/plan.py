"""A large file → where to cut it, found by the scanner of records in one pass over its bytes.

Nothing else can tell: whether a line end lies between quotes is known only to who has read what comes before, and
a broken record ends where the scanner says. So a shard is what the scanner calls whole records.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from math import ceil
from pathlib import Path
from typing import Any

from audited_load.cleaning.clean_file import find_source
from audited_load.columns import Feed
from audited_load.reading.compression import CHUNK_BYTES, find_compression
from audited_load.reading.dialect import Dialect
from audited_load.reading.encoding import Encoding, Utf8Signs, find_encoding
from audited_load.reading.records import Block, cut_blocks
from audited_load.reading.source import Source, as_records
from audited_load.shown import show_text

HEAD_BYTES = CHUNK_BYTES
"""How much of a file is looked at to find out how to read it: as much as where it is not cut."""


@dataclass(frozen=True)
class Span:
    """Whole records of a file that one machine cleans.

    Attributes:
        start: Their first byte in the file.
        end: The first byte after them.
        line: The line on which they start, from 1.
        record: Number of the first of them, from 1.
        sha256: Of their bytes.
    """

    start: int
    end: int
    line: int
    record: int
    sha256: str


@dataclass(frozen=True)
class Plan:
    """How a file is read, and where it is cut.

    Attributes:
        source: The file; its path is only a name.
        sha256: Of its bytes.
        spans: In order; they are all of it but the header.
    """

    source: Source
    sha256: str
    spans: tuple[Span, ...]

    def ends_file(self, number: int) -> bool:
        """Return whether a span is the last one."""
        return number == len(self.spans) - 1

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that survive JSON."""
        return asdict(self) | {"source": asdict(self.source) | {"path": str(self.source.path)}}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Plan:
        """Read what `to_dict` gave."""
        source = dict(values["source"])
        read = {
            "path": Path(source["path"]),
            "identity": tuple(source["identity"]),
            "encoding": Encoding(**source["encoding"]),
            "dialect": Dialect(**source["dialect"] | {"header": tuple(source["dialect"]["header"])}),
            "aliases": tuple((alias, name) for alias, name in source["aliases"]),
        }
        return cls(Source(**source | read), values["sha256"], tuple(Span(**span) for span in values["spans"]))


class UncutError(Exception):
    """A file can't be cut; its text says why, in words for a log."""


def plan_shards(head: Path, size: int, chunks: Iterator[bytes], feed: Feed, shard_bytes: int) -> Plan:
    """Find out where to cut a file.

    Args:
        head: A file with its beginning, at least `HEAD_BYTES` if it is that long, under its own name.
        size: Of the whole file, in bytes.
        chunks: All of its bytes, cut anywhere. A shard ends at the end of a chunk at the earliest.
        feed: By which it is read.
        shard_bytes: How large shards should be; all become about as large.

    Returns:
        Where to cut it.

    Raises:
        UncutError: It has to be read from its beginning, or is one shard.
        UnusableFileError: It can't be read as records of this feed.
    """
    source = replace(_find_source(head, size, feed), bytes=size)
    digest, signs, raw = hashlib.sha256(), Utf8Signs(), _Raw()

    def read() -> Iterator[bytes]:
        for chunk in chunks:
            digest.update(chunk)
            signs.add(chunk)
            raw.add(chunk)
            yield chunk

    wanted = size / ceil(size / shard_bytes)
    body = as_records(read(), source, source.body_offset)
    spans, begun, shard = list[Span](), None, hashlib.sha256()
    for block in cut_blocks(body, source.dialect, offset=source.body_offset, first_line=source.body_line):
        before = raw.take(block.offset)
        if begun is not None:
            shard.update(before)
        if begun is None or (block.offset - begun.offset >= wanted and size - block.offset >= wanted / 2):
            if begun is not None:
                spans.append(_span(begun, block.offset, shard))
            begun, shard = block, hashlib.sha256()
    if begun is not None:
        shard.update(raw.take(size))
        spans.append(_span(begun, size, shard))
    if source.encoding.origin == "found" and source.encoding.name == "utf-8" and not signs.are_utf8:
        raise UncutError("nothing says how its text is encoded")
    if len(spans) < 2:  # noqa: PLR2004 - one is all of it
        raise UncutError("its records come in one piece")
    return Plan(source, digest.hexdigest(), tuple(spans))


def _find_source(head: Path, size: int, feed: Feed) -> Source:
    """Find out how to read a file by its beginning."""
    text = head.read_bytes()
    if find_compression(text[:4]):
        raise UncutError("it is compressed")
    if len(text) < size:
        text = text[: text.rfind(b"\n") + 1] or text  # no character of UTF-8 is cut
        head.write_bytes(text)
    encoding = find_encoding(iter([text]), feed.form.encoding, show_text(head.name))
    if not encoding.is_utf8:
        raise UncutError(f"its encoding is {encoding}")
    return find_source(head, feed)


class _Raw:
    """The bytes that were read, and are in no block yet."""

    def __init__(self) -> None:
        self._bytes, self._at = bytearray(), 0

    def add(self, chunk: bytes) -> None:
        """Keep the next bytes."""
        self._bytes += chunk

    def take(self, end: int) -> bytes:
        """Give the bytes up to a place in the file, and forget them."""
        taken = bytes(self._bytes[: end - self._at])
        del self._bytes[: end - self._at]
        self._at = end
        return taken


def _span(begun: Block, end: int, shard: hashlib._Hash) -> Span:
    return Span(begun.offset, end, begun.first_line, begun.first_record, shard.hexdigest())
