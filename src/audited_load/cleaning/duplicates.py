"""Keys of all accepted records → the records that must give way. Keys lie on disk, so memory stays flat.

Of the records with one key the last in the file wins. One with the same content is a duplicate of it; one
with other content is superseded.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

BUCKET_BYTES = 128 * 2**20
"""Bytes of source file per bucket of keys."""

KEY = np.dtype([("key", "i8"), ("content", "u8"), ("part", "u4"), ("row", "u4")])
"""A record's key, a hash of its cleaned values, the block that it is in, and its row among those accepted."""

LOSER = np.dtype([("part", "u4"), ("row", "u4"), ("winner_part", "u4"), ("winner_row", "u4"), ("superseded", "?")])
"""A record that gives way, the one that it gives way to, and whether it said something else."""


class KeyStore:
    """Keys on disk, in buckets that each fit into memory. Several processes may add to one store.

    Args:
        folder: A folder for the buckets, the store's own.
        source_bytes: Size of the source, to choose the number of buckets.
    """

    def __init__(self, folder: Path, source_bytes: int) -> None:
        self._folder = folder
        self._buckets = min(1 + source_bytes // BUCKET_BYTES, 2**16)

    def add(self, part: int, keys: NDArray[np.int64], contents: NDArray[np.uint64]) -> None:
        """Keep the keys of one block, in the order of its accepted records."""
        entries = np.empty(len(keys), KEY)
        entries["key"], entries["content"], entries["part"] = keys, contents, part
        entries["row"] = np.arange(len(keys))
        bucket = (keys % self._buckets).astype(np.uint16)  # which numpy sorts without comparing
        order = np.argsort(bucket, kind="stable")
        cuts = np.searchsorted(bucket[order], np.arange(self._buckets + 1))
        for number in range(self._buckets):
            with (self._folder / f"keys-{number}-{os.getpid()}").open("ab") as file:
                entries[order[cuts[number] : cuts[number + 1]]].tofile(file)

    def find_losers(self) -> NDArray[np.void]:
        """Find the records that give way, and forget the keys.

        Returns:
            An array of `LOSER`, in the order of the file.
        """
        return in_order(losers_among(entries) for entries in self.take_buckets())

    def take_buckets(self) -> Iterator[NDArray[np.void]]:
        """Give the keys bucket by bucket, as arrays of `KEY` in any order, and forget them."""
        for number in range(self._buckets):
            paths = sorted(self._folder.glob(f"keys-{number}-*"))
            yield np.concatenate([np.empty(0, KEY), *(np.fromfile(path, KEY) for path in paths)])
            for path in paths:
                path.unlink()


def in_order(losers: Iterable[NDArray[np.void]]) -> NDArray[np.void]:
    """Put arrays of `LOSER` together, in the order of the file."""
    found = np.concatenate([np.empty(0, LOSER), *losers])
    return found[np.lexsort((found["row"], found["part"]))]


def losers_among(entries: NDArray[np.void]) -> NDArray[np.void]:
    """Find the records that give way among some keys, in the order of the keys.

    Args:
        entries: An array of `KEY`, with all records of each key that it holds.

    Returns:
        An array of `LOSER`.
    """
    sorted_keys = np.sort(entries["key"])
    again = np.unique(sorted_keys[1:][sorted_keys[1:] == sorted_keys[:-1]])
    repeated = entries[np.isin(entries["key"], again)]
    repeated = repeated[np.lexsort((repeated["row"], repeated["part"], repeated["key"]))]
    keys = repeated["key"]
    # The winner of each record is the last one of its run of equal keys.
    winner = repeated[np.searchsorted(keys, keys, "right") - 1]
    losers = np.empty(len(repeated), LOSER)
    for name in ("part", "row"):
        losers[name], losers[f"winner_{name}"] = repeated[name], winner[name]
    losers["superseded"] = repeated["content"] != winner["content"]
    is_loser = (losers["part"] != losers["winner_part"]) | (losers["row"] != losers["winner_row"])
    return np.asarray(losers[is_loser])
