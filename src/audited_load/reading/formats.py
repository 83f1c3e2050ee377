"""The first bytes of a file that is not a CSV → what it is instead, and what to do about it."""

from __future__ import annotations

import re
from typing import NamedTuple


class Format(NamedTuple):
    """What a file is, as the end of a sentence, and the remedy."""

    name: str
    remedy: str


_SAVE = "Save the sheet as CSV (UTF-8) in the spreadsheet program, and deliver that."
_UNPACK = "Unpack it, and deliver the CSV itself, plain or as .gz or .zst."
_AGAIN = "Fetch the file again, and look at what the server said."
_EXPORT = "Ask the supplier for an export as CSV."

_BINARY = (
    (b"\x1f\x8b", Format("compressed with gzip twice", "Unpack it once, and deliver that.")),
    (b"\x28\xb5\x2f\xfd", Format("compressed twice", "Unpack it once, and deliver that.")),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", Format("an Excel workbook of the old kind (xls)", _SAVE)),
    (b"%PDF-", Format("a PDF", _EXPORT)),
    *((b"BZh%d1AY&SY" % level, Format("compressed with bzip2", _UNPACK)) for level in range(1, 10)),
    (b"\xfd7zXZ\0", Format("compressed with xz", _UNPACK)),
    (b"7z\xbc\xaf\x27\x1c", Format("a 7z archive", _UNPACK)),
    (b"Rar!\x1a\x07", Format("a RAR archive", _UNPACK)),
    (b"PAR1", Format("a Parquet file", _EXPORT)),
    (b"Obj\x01", Format("an Avro file", _EXPORT)),
    (b"SQLite format 3\0", Format("a SQLite database", _EXPORT)),
    (b"\x7fELF", Format("a program", _EXPORT)),
    (b"\x89PNG", Format("a picture", _EXPORT)),
    (b"\xff\xd8\xff", Format("a picture", _EXPORT)),
)
_TEXTS = (
    (
        rb"version https://git-lfs",
        Format("a pointer of Git LFS, not the file", "Run `git lfs pull` where it lies."),
    ),
    (rb"<!doctype html|<html|<head|<body", Format("a web page (HTML), perhaps of an error or a sign-in", _AGAIN)),
    (rb"<\?xml|<[a-z][\w:.-]*[\s>/]", Format("XML, perhaps an error of a server", _AGAIN)),
    (rb'[\[{]\s*["\[{\]}]', Format("JSON", _EXPORT)),
    (rb"\{\\rtf", Format("a text document (RTF)", _EXPORT)),
    (rb"-----BEGIN ", Format("encrypted or signed", "Decrypt it first.")),
)


def name_binary_format(head: bytes) -> Format | None:
    """Return which format that is not a text a file has; None if it may be text.

    Args:
        head: Its first bytes, decompressed.
    """
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        start = head[:4096]
        if b"xl/" in start or b"[Content_Types].xml" in start:
            return Format("an Excel workbook (xlsx), or another document of Office", _SAVE)
        if b"opendocument.spreadsheet" in start:
            return Format("a LibreOffice sheet (ods)", _SAVE)
        return Format("a zip archive", _UNPACK)
    if head[257:265] in {b"ustar\x0000", b"ustar  \x00"}:
        return Format("a tar archive", _UNPACK)
    return next((found for magic, found in _BINARY if head.startswith(magic)), None)


def name_text_format(head: bytes) -> Format | None:
    """Return which format of text a file without a header has, if it is a known one.

    Args:
        head: Its first bytes, as UTF-8.
    """
    start = head[:4096].removeprefix(b"\xef\xbb\xbf").lstrip()
    return next((found for pattern, found in _TEXTS if re.match(pattern, start, re.IGNORECASE)), None)
