"""A file on disk, plain or compressed → its bytes, in chunks; never more of them than the file can hold."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Protocol

import zstandard

from audited_load.errors import UnusableFileError
from audited_load.shown import show_text

CHUNK_BYTES = 8 * 2**20
MAX_EXPANSION = 200
"""Decompressed bytes per compressed byte above which a file is taken for a decompression bomb."""

_SPARE_BYTES = 2**20
_ZSTD_BYTES = 2**12
"""Compressed bytes that are expanded at a time: even of a bomb they make no more than memory holds."""


class Digest(Protocol):
    """What takes bytes and sums them up, such as hashlib's objects."""

    def update(self, data: bytes, /) -> object:
        """Take more bytes."""


class NoDigest:
    """A digest that nobody asks for."""

    def update(self, data: bytes, /) -> None:
        """Forget the bytes."""


def find_compression(head: bytes) -> str | None:
    """Tell a compression that is read by a file's first bytes: "gzip", "zstd" or None."""
    return "gzip" if head.startswith(b"\x1f\x8b") else "zstd" if head.startswith(b"\x28\xb5\x2f\xfd") else None


def expand_file(path: Path, compression: str | None, size: int, digest: Digest) -> Iterator[bytes]:
    """Read a file, decompressed; never past `size` bytes of a plain file, which may grow meanwhile.

    Args:
        path: The file.
        compression: As `find_compression` tells it.
        size: Bytes of the file on disk.
        digest: Gets every byte of the file, as it lies on disk.

    Yields:
        Chunks of up to 8 MiB.

    Raises:
        UnusableFileError: The file can't be read to its end, or expands to far more than it holds.
    """
    try:
        with path.open("rb") as file:
            if compression is None:
                while chunk := file.read(min(CHUNK_BYTES, size)):
                    size -= len(chunk)
                    digest.update(chunk)
                    yield chunk
                return
            raw, limit = io.BufferedReader(_HashedFile(file, digest), 2**20), size * MAX_EXPANSION + _SPARE_BYTES
            for chunk in (_expand_gzip if compression == "gzip" else _expand_zstd)(raw):
                limit -= len(chunk)
                if limit < 0:
                    raise UnusableFileError(
                        f"{show_text(path.name)}: expands to more than {MAX_EXPANSION} times its size.",
                        "Deliver it uncompressed if it is genuine. Nothing was loaded.",
                    )
                yield chunk
            # What the decompressor left unread belongs to the file, too.
            while raw.read(2**20):
                pass
    except PermissionError as error:
        raise UnusableFileError(
            f"{show_text(str(path))}: may not be read by this user.",
            "Give the user that runs the pipeline the right to read it (chmod, chown). Nothing was loaded.",
        ) from error
    except (EOFError, gzip.BadGzipFile, zlib.error, zstandard.ZstdError, OSError) as error:
        raise UnusableFileError(
            f"{show_text(path.name)}: can't be read to its end: {error}.",
            "The delivery is damaged or incomplete: fetch it again. Nothing was loaded.",
        ) from error


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
