"""Ids → those of them that were erased, of which only keyed hashes are known."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache

from audited_load.errors import RefusedError

REMEMBERED = 2**18
"""Ids of which a process knows whether they were erased, so that memory is flat."""


@dataclass(frozen=True)
class ErasedSubjects:
    """Who was erased. It can be pickled, for the processes that clean.

    Attributes:
        hashes: What `hash_subject` gave for each.
        key: The key that they were hashed with. Secret.

    Raises:
        RefusedError: Some were hashed with another key.
    """

    hashes: frozenset[str]
    key: str = field(repr=False)

    def __post_init__(self) -> None:
        """Check the key: with another, nobody would be found, and nobody would notice."""
        others = sum(not subject.startswith(f"{_mark_of(self.key)}:") for subject in self.hashes)
        if others:
            raise RefusedError(
                f"{others} customers were erased with another ERASURE_KEY than the one that is set now.",
                "Put the key of then back: `.runtime/erasure.key`, under Docker `ERASURE_KEY` in `.env`.",
            )

    def choose(self, numbers: Iterable[int]) -> frozenset[int]:
        """Choose those ids that were erased."""
        return frozenset(number for number in numbers if _is_erased(number, self.key, self.hashes))


def hash_subject(number: int, key: str) -> str:
    """Give what is kept of an id: numbers could be tried one by one, if the key were in the database, too.

    It begins with what tells the key from others.
    """
    return f"{_mark_of(key)}:{_hash(str(number), key)}"


@lru_cache(REMEMBERED)
def _is_erased(number: int, key: str, hashes: frozenset[str]) -> bool:
    return hash_subject(number, key) in hashes


@lru_cache(8)
def _mark_of(key: str) -> str:
    return _hash("key", key)[:8]


def _hash(text: str, key: str) -> str:
    return hmac.digest(key.encode(), text.encode(), hashlib.sha256).hex()
