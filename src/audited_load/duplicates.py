"""Keys of all accepted records → the records that must give way. Keys lie on disk, so memory stays flat.

Of the records with one key the last in the file wins. One with the same content is a duplicate of it; one
with other content is superseded.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

BUCKET_BYTES = 128 * 2**20
"""Bytes of source file per bucket of keys."""

KEY_SCHEMA = {
    "record": pl.Int64(),
    "line": pl.Int64(),
    "offset": pl.Int64(),
    "length": pl.Int64(),
    "key": pl.Int64(),
    "content": pl.UInt64(),
}
"""Number, line, place and length of a record; its key; a hash of its cleaned values."""

DUPLICATE, SUPERSEDED = "duplicate", "superseded"


class KeyStore:
    """Keys on disk, in buckets that each fit into memory.

    Args:
        folder: An empty folder for the buckets.
        source_bytes: Size of the file, to choose the number of buckets.
    """

    def __init__(self, folder: Path, source_bytes: int) -> None:
        self._folder = folder
        self._buckets = 1 + source_bytes // BUCKET_BYTES
        self._parts = 0

    def add(self, keys: pl.DataFrame) -> None:
        """Keep the keys of one block: columns of `KEY_SCHEMA`."""
        for bucket in range(self._buckets):
            part = keys if self._buckets == 1 else keys.filter(pl.col("key") % self._buckets == bucket)
            part.select(*KEY_SCHEMA).write_ipc(self._folder / f"{bucket}-{self._parts}.arrow")
        self._parts += 1

    def find_losers(self) -> pl.DataFrame:
        """Find the records that give way.

        Returns:
            Columns `record`, `fate` (`duplicate` or `superseded`), `line`, `offset`, `length` and
            `winner_line`, ordered by record.
        """
        losers = [self._losers_in(bucket) for bucket in range(self._buckets)]
        return pl.concat(losers).sort("record")

    def _losers_in(self, bucket: int) -> pl.DataFrame:
        paths = [self._folder / f"{bucket}-{part}.arrow" for part in range(self._parts)]
        keys = pl.concat([pl.DataFrame(schema=KEY_SCHEMA), *(pl.read_ipc(path) for path in paths)])
        repeated = keys.filter(pl.col("key").is_duplicated()).sort("record")
        for path in paths:
            path.unlink()
        return (
            repeated.with_columns(
                winner=pl.col("record").last().over("key"),
                winner_line=pl.col("line").last().over("key"),
                same=pl.col("content") == pl.col("content").last().over("key"),
            )
            .filter(pl.col("record") != pl.col("winner"))
            .select(
                "record",
                pl.when("same").then(pl.lit(DUPLICATE)).otherwise(pl.lit(SUPERSEDED)).alias("fate"),
                "line",
                "offset",
                "length",
                "winner_line",
            )
        )
