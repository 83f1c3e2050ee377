"""Bytes → which encoding they are in, and their text as UTF-8."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from audited_load.errors import RefusedError, UnusableFileError

# The marks of UTF-32 begin like those of UTF-16.
_BOMS = {
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
_WIDE = {
    "utf-32-le": re.compile(rb"(?:[\t\n\r -~]\0\0\0){8}"),
    "utf-32-be": re.compile(rb"(?:\0\0\0[\t\n\r -~]){8}"),
    "utf-16-le": re.compile(rb"(?:[\t\n\r -~]\0){8}"),
    "utf-16-be": re.compile(rb"(?:\0[\t\n\r -~]){8}"),
}
_MULTIBYTE = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
HEAD_BYTES = 2**16
"""So much is looked at before a file is taken for UTF-8."""
_FALLBACK = "windows-1252"
_BEYOND_ASCII = re.compile(rb"[\xc0-\xff]+")
_LONG = 4
_ASCII = bytes(range(128))
MAX_INVALID = 4
"""Bytes that are no UTF-8 for each of its characters, in a text that is still taken for it."""

_STAND_IN = b"\x1f"
_SWAPPED = {"'": b"'", "none": _STAND_IN}


GUESSED = "guessed"


@dataclass(frozen=True)
class Encoding:
    """How a file's text is encoded.

    Attributes:
        name: A codec of Python's; "utf-8-sig" if a byte order mark comes first.
        origin: How it is known: "declared"; `GUESSED` where the file is not UTF-8 and nothing says what it is; or
            "found".
        quote: What is around fields; "none" if nothing is. Where it is no `"`, `decode_chunks` lets the two change
            places (or a `"` and a control character that no text has), and `encode_text` lets them change back: so
            what reads the text in between, knows but one quote, and offsets stay.
    """

    name: str
    origin: str = "found"
    quote: str = '"'

    @property
    def is_utf8(self) -> bool:
        """Whether the file's bytes are UTF-8 as they are."""
        return self.name in {"utf-8", "utf-8-sig"}

    @property
    def mark(self) -> bytes:
        """The byte order mark that the wide encodings want; UTF-8 keeps its own as text."""
        return next((mark for mark, name in _BOMS.items() if name == self.name and not self.is_utf8), b"")

    def __str__(self) -> str:
        """Name it for people."""
        why = {GUESSED: f" ({GUESSED}: the file is not UTF-8)", "declared": " (declared)"}
        return self.name + why.get(self.origin, "")


def is_guessed(named: str) -> bool:
    """Return whether an encoding was guessed by what `str` made of it, as reports and the ledger keep it."""
    return f"({GUESSED}:" in named


def find_encoding(
    chunks: Iterator[bytes], declared: str | None, name: str, *, is_for_people: bool = True
) -> Encoding:
    """Return how a file is encoded.

    By its byte order mark; else as declared; else UTF-16 or UTF-32 if its characters are so wide; else UTF-8; and
    Windows-1252 only if it holds bytes that are no UTF-8, and nothing that looks like UTF-8.

    Args:
        chunks: The file's bytes.
        declared: A codec's name, or None.
        name: Of the file, for errors.
        is_for_people: Whether its words will be shown, so that a guess has to make sense.

    Raises:
        RefusedError: No such encoding is known.
        UnusableFileError: It was declared otherwise, or Windows-1252 would make no words of it.
    """
    head = next(chunks, b"")
    while len(head) < HEAD_BYTES and (more := next(chunks, b"")):
        head += more
    for mark, codec in _BOMS.items():
        if head.startswith(mark):
            return Encoding(codec)
    if declared is not None:
        codec = known_encoding(declared)
        if not codec.startswith("utf") and not head.isascii() and _decodes(head):
            raise UnusableFileError(
                f"{name}: it was declared to be {codec}, but it is UTF-8.",
                "Leave the declaration out, or declare utf-8. Nothing was loaded.",
            )
        return Encoding(codec, "declared")
    for codec, pattern in _WIDE.items():
        if pattern.match(head):
            return Encoding(codec)
    words = _Words()
    if _is_utf8(head, chunks, words):
        return Encoding("utf-8")
    if is_for_people and words.are_foreign:
        raise UnusableFileError(
            f"{name}: its encoding is not known: it is not UTF-8, and as Windows-1252 most words beyond ASCII would"
            " be nothing but accented letters, as Cyrillic and Greek ones are.",
            "Declare its encoding, such as --encoding windows-1251 (docs/files.md), or ask the supplier for UTF-8."
            " Nothing was loaded.",
        )
    return Encoding(_FALLBACK, GUESSED)


def known_encoding(name: str) -> str:
    """Return the usual name of an encoding, such as "cp1251" for "windows-1251".

    Raises:
        RefusedError: Python knows no such encoding of text.
    """
    try:
        found = codecs.lookup(name)
        # Others, such as "rot13", turn text into text.
        if found._is_text_encoding and "".encode(found.name) is not None:
            return found.name
    except (LookupError, UnicodeError, ValueError):
        pass
    raise RefusedError(
        f"{name[:40]!r} is not an encoding of text that Python knows.",
        "Declare one such as utf-8, windows-1251, windows-1250, mac-roman or shift_jis.",
    )


def decode_chunks(chunks: Iterator[bytes], encoding: Encoding, name: str) -> Iterator[bytes]:
    """Return the text as UTF-8; a byte order mark stays if it was UTF-8 before, so that offsets are the file's.

    Args:
        chunks: The file's bytes.
        encoding: Of them.
        name: Of the file, for errors.

    Raises:
        UnusableFileError: Bytes are not of that encoding.
    """
    decoded = chunks if encoding.is_utf8 else _decode_chunks(chunks, encoding, name)
    if encoding.quote == '"':
        yield from decoded
        return
    for chunk in decoded:
        if encoding.quote == "none" and _STAND_IN in chunk:
            raise UnusableFileError(
                f"{name}: it holds the control character 0x1f, so it can't be read as a file without quotes.",
                "Ask the supplier for the file without it. Nothing was loaded.",
            )
        yield swap_quotes(chunk, encoding.quote)


def swap_quotes(text: bytes, quote: str) -> bytes:
    """Let a file's quote and the `"` change places in a text, or back again.

    Args:
        text: As UTF-8.
        quote: As in `Encoding.quote`.
    """
    other = _SWAPPED.get(quote)
    return text if other is None else text.translate(bytes.maketrans(b'"' + other, other + b'"'))


def _decode_chunks(chunks: Iterator[bytes], encoding: Encoding, name: str) -> Iterator[bytes]:
    # Windows-1252 leaves five bytes undefined; they pass as control characters, which a rule refuses.
    errors = "as_control_characters" if encoding.origin == GUESSED else "strict"
    decoder = codecs.getincrementaldecoder(encoding.name)(errors)
    try:
        yield decoder.decode(next(chunks, b"")).removeprefix("\ufeff").encode()
        for chunk in chunks:
            yield decoder.decode(chunk).encode()
        yield decoder.decode(b"", final=True).encode()
    except UnicodeError as error:
        raise UnusableFileError(
            f"{name}: not valid {encoding.name}: {error}.",
            "Ask the supplier for the file in UTF-8, or declare its encoding (docs/files.md). Nothing was loaded.",
        ) from error


def encode_text(text: bytes, encoding: Encoding) -> bytes:
    """Turn whole characters of UTF-8 back into the bytes that `decode_chunks` read."""
    text = swap_quotes(text, encoding.quote)
    if encoding.is_utf8:
        return text
    return text.decode().encode(encoding.name, "as_control_characters" if encoding.origin == GUESSED else "strict")


def _decodes(head: bytes) -> bool:
    """Return whether all of some bytes are UTF-8, but for a character that is cut at their end."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return True


class _Words:
    """Runs of bytes beyond ASCII: in Windows-1252, long ones are no words of any language that it is for."""

    def __init__(self) -> None:
        self.all, self.long = 0, set[bytes]()
        self.long_number = 0

    def add(self, chunk: bytes) -> None:
        """Count the runs of a part of the text."""
        for run in _BEYOND_ASCII.findall(chunk):
            self.all += 1
            if len(run) >= _LONG:
                self.long_number += 1
                self.long.add(run)

    @property
    def are_foreign(self) -> bool:
        """Whether most of them are long, and not one word again and again."""
        return len(self.long) > 1 and self.long_number * 2 > self.all


def _is_utf8(head: bytes, chunks: Iterator[bytes], words: _Words) -> bool:
    """Return whether the text looks like UTF-8, or is plain ASCII; count its words beyond ASCII.

    One character of UTF-8 is enough, unless the text begins with far more bytes that are none: two letters of
    another encoding look like one now and then.
    """
    if not head.isascii():
        start = head[:HEAD_BYTES]
        decoded = len(_MULTIBYTE.findall(start))
        if decoded and len(_MULTIBYTE.sub(b"", start).translate(None, _ASCII)) > MAX_INVALID * decoded:
            words.add(start)
            for chunk in chunks:
                words.add(chunk)
            return False
    signs = Utf8Signs(words)
    for chunk in chain([head], chunks):
        signs.add(chunk)
        if signs.are_sure:
            break
    return signs.are_utf8


class Utf8Signs:
    """What speaks for UTF-8 in a text, chunk by chunk.

    Args:
        words: Gets the words beyond ASCII, until one character of UTF-8 was found.
    """

    def __init__(self, words: _Words | None = None) -> None:
        self._before, self._invalid = b"", False
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._words = words
        self.are_sure = False

    def add(self, chunk: bytes) -> None:
        """Look at the next chunk."""
        if self.are_sure or (chunk.isascii() and not self._decoder.getstate()[0]):
            return
        # A character may lie across the cut.
        if _MULTIBYTE.search(self._before + chunk):
            self.are_sure = True
            return
        self._before = chunk[-3:]
        if self._words:
            self._words.add(chunk)
        try:
            self._decoder.decode(chunk)
        except UnicodeDecodeError:
            self._invalid = True
            self._decoder.reset()

    @property
    def are_utf8(self) -> bool:
        """Whether what was seen, as a whole, looks like UTF-8 or is plain ASCII."""
        return self.are_sure or not (self._invalid or self._decoder.getstate()[0])


def _as_control_characters(error: UnicodeError) -> tuple[str | bytes, int]:
    if isinstance(error, UnicodeDecodeError):
        return "".join(map(chr, error.object[error.start : error.end])), error.end
    if isinstance(error, UnicodeEncodeError):
        return error.object[error.start : error.end].encode("latin-1"), error.end
    raise error


codecs.register_error("as_control_characters", _as_control_characters)
