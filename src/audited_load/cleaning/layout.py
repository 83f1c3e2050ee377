"""How a feed's columns lie in a file, and what is kept of a record that was refused."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from audited_load.columns import Feed
from audited_load.erasing.subjects import ErasedSubjects
from audited_load.reading.dialect import Dialect


@dataclass(frozen=True)
class Layout:
    """How the feed's columns lie in this file.

    Attributes:
        feed: The columns and their rules.
        dialect: How lines split into fields.
        positions: Where the feed's columns are among them, in the feed's order; None for one that the file lacks.
        dropped: Where the fields are that must not be written anywhere.
        is_guessed: Whether the encoding is a guess, so that what depends on it is counted.
        erased: Who was erased, and is blanked; None if nobody was.
        masking_key: What values are hashed with that must not be written. Secret.
    """

    feed: Feed
    dialect: Dialect
    positions: tuple[int | None, ...]
    dropped: tuple[int, ...] = ()
    is_guessed: bool = False
    erased: ErasedSubjects | None = None
    masking_key: str = field(default="", repr=False)


class Reject(NamedTuple):
    """A record that was refused: where it was, why, and its bytes without the line end."""

    record: int
    line: int
    offset: int
    reasons: tuple[str, ...]
    raw: bytes
