"""Ids → those of them that were erased, of which only keyed hashes are known."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache

from audited_load.errors import RefusedError

_BLOCK_BYTES = 64
"""Of SHA-256."""


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
        mark, keyed = _mark_of(self.key), _keyed(self.key)
        wanted = {bytes.fromhex(one.removeprefix(f"{mark}:")) for one in self.hashes}
        return frozenset(number for number in numbers if keyed.digest(b"%d" % number) in wanted)


def hash_subject(number: int, key: str) -> str:
    """Return what is kept of an id: numbers could be tried one by one, if the key were in the database, too.

    It begins with what tells the key from others.
    """
    return f"{_mark_of(key)}:{keyed_hash(b'%d' % number, key)}"


class _Keyed:
    """HMAC-SHA256 with one key, which is put in only once: blocks hold very many ids."""

    def __init__(self, key: bytes) -> None:
        padded = (hashlib.sha256(key).digest() if len(key) > _BLOCK_BYTES else key).ljust(_BLOCK_BYTES, b"\0")
        self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in padded))
        self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in padded))

    def digest(self, text: bytes) -> bytes:
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(text)
        outer.update(inner.digest())
        return outer.digest()


@lru_cache(8)
def _keyed(key: str) -> _Keyed:
    return _Keyed(key.encode())


@lru_cache(8)
def _mark_of(key: str) -> str:
    return keyed_hash(b"key", key)[:8]


def keyed_hash(data: bytes, key: str) -> str:
    """Return the HMAC-SHA256 of some bytes, as 64 hexadecimal digits."""
    return _keyed(key).digest(data).hex()
