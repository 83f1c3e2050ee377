"""A span of a file → one shard: its cleaned and its rejected file, its keys, and its share of the accounting.

What gives way to a later record of the same key is known only when all shards are there: see `gather`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from audited_load.clean_report import CleanReport
from audited_load.cleaning.assemble import REJECTED_HEADER, Dropped, cleaned_header
from audited_load.cleaning.clean_file import layout_of, report_of, require_key, work_folder
from audited_load.cleaning.duplicates import KEY, KeyStore
from audited_load.cleaning.outputs import cleaned_and_rejected
from audited_load.cleaning.parts import PartFiles, PartMaker, Tally
from audited_load.cleaning.workers import make_parts
from audited_load.columns import Feed
from audited_load.erasing.subjects import ErasedSubjects, keyed_hash
from audited_load.errors import RefusedError, UnavailableError
from audited_load.reading.records import cut_blocks
from audited_load.reading.source import as_records
from audited_load.sharding.plan import Plan, Span
from audited_load.shown import show_text

LONGEST_CLEANED = 2**32 - 2**28
"""Bytes of a cleaned file: where its records end is counted in 32 bits. A part is much smaller than the rest."""


@dataclass(frozen=True)
class ShardResult:
    """What cleaning a shard came to.

    Attributes:
        number: Of the shard in the file, from 0.
        report: The accounting of its records, as if nothing gave way.
        tally: The same, with what is judged over the whole file.
        buckets: Into how many its keys are split.
        hashed_by: With what it hashed: the library whose hashes of contents its keys hold, and what names the key
            of masked values, if there are any. Those of another are others.
        span: What was cleaned.
    """

    number: int
    report: CleanReport
    tally: Tally
    buckets: int
    hashed_by: str
    span: Span

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that survive JSON."""
        return vars(self) | {
            "report": self.report.to_dict(),
            "tally": self.tally.to_dict(),
            "span": asdict(self.span),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ShardResult:
        """Read what `to_dict` gave."""
        read = {
            "report": CleanReport.from_dict(values["report"]),
            "tally": Tally.from_dict(values["tally"]),
            "span": Span(**values["span"]),
        }
        return cls(**dict(values) | read)


@dataclass(frozen=True)
class WorkFiles:
    """What shards hand on to the gathering, and what nobody needs after it.

    Attributes:
        folder: Where they lie.
    """

    folder: Path

    @property
    def places(self) -> Path:
        """Where the accepted records were, as an array of `PLACE`."""
        return self.folder / "places"

    def keys(self, bucket: int) -> Path:
        """Return the file of a bucket of keys, as an array of `KEY`; a shard counts as one part."""
        return self.folder / f"keys-{bucket}"


def clean_shard(
    plan: Plan,
    number: int,
    raw: Iterator[bytes],
    feed: Feed,
    out: Path,
    work: Path,
    erased: ErasedSubjects | None = None,
    masking_key: str = "",
) -> ShardResult:
    """Clean a shard by the rules of a feed.

    Args:
        plan: Of the file.
        number: Of the shard, from 0.
        raw: The bytes of its span.
        feed: The columns and their rules.
        out: Folder for the cleaned and the rejected file.
        work: Folder for what the gathering needs: see `WorkFiles`.
        erased: As for `clean_file`.
        masking_key: As for `clean_file`. Secret.

    Returns:
        The accounting.

    Raises:
        UnavailableError: The bytes are not those of the plan; or as `clean_file`.
        RefusedError: The feed masks values and there is no key.
    """
    require_key(feed, masking_key)
    source, span, digest = plan.source, plan.spans[number], hashlib.sha256()
    layout = layout_of(source, feed, erased, masking_key)
    cleaned, rejected = cleaned_and_rejected(out, feed.name)
    tally, parts = Tally(totals={total.name: Decimal(0) for total in feed.totals}), 0

    def read() -> Iterator[bytes]:
        for chunk in raw:
            digest.update(chunk)
            yield chunk

    with work_folder(out, span.end - span.start) as folder:
        # Buckets by the size of the whole file, so that those of all shards go together.
        maker = PartMaker(layout, folder, source.bytes)
        blocks = cut_blocks(
            as_records(read(), source),
            source.dialect,
            offset=span.start,
            first_line=span.line,
            first_record=span.record,
            ends_file=plan.ends_file(number),
        )
        for _, done in make_parts(maker, blocks):
            tally.add(done)
            parts += 1
        if digest.hexdigest() != span.sha256:
            raise UnavailableError(
                f"{show_text(source.path.name)}: the file changed while it was read.",
                "When the delivery is complete, clear the run from its first task on. Nothing was loaded.",
            )
        first_rows = _join_parts(folder, parts, feed, WorkFiles(work))
        buckets = _join_keys(KeyStore(folder, source.bytes), first_rows, number, WorkFiles(work))
        (folder / "cleaned").replace(cleaned)
        (folder / "rejected").replace(rejected)
    report = report_of(source, plan.sha256, feed, tally, Dropped(), (str(cleaned), str(rejected)))
    hashed_by = f"polars {pl.__version__}"
    if feed.needs_key:
        hashed_by += f", key {keyed_hash(b'the key of masked values', masking_key)[:8]}"
    return ShardResult(number, report, tally, buckets, hashed_by, span)


def _join_parts(folder: Path, parts: int, feed: Feed, work: WorkFiles) -> list[int]:
    """Put the parts of a shard together as one; give the number of the first row of each."""
    first_rows, rows = [], 0
    with (
        (folder / "cleaned").open("wb") as accepted,
        (folder / "rejected").open("wb") as refused,
        work.places.open("wb") as places,
    ):
        accepted.write(cleaned_header(feed))
        refused.write(REJECTED_HEADER)
        for part in range(parts):
            files = PartFiles(folder, part)
            found = files.read_places()
            found["csv_end"] += np.uint32(accepted.tell())
            found.tofile(places)
            first_rows.append(rows)
            rows += len(found)
            accepted.write(files.csv.read_bytes())
            refused.write(files.rejected.read_bytes())
            files.remove()
            if accepted.tell() > LONGEST_CLEANED:
                raise RefusedError(
                    "What a shard comes to is larger than 4 GiB.", "Set SHARD_MIB to less, then run it again."
                )
    return first_rows


def _join_keys(store: KeyStore, first_rows: list[int], number: int, work: WorkFiles) -> int:
    """Write the keys of a shard, bucket by bucket, as those of one part; give the number of buckets."""
    rows, buckets = np.array(first_rows, np.uint32), 0
    for buckets, entries in enumerate(store.take_buckets(), 1):
        moved = np.empty(len(entries), KEY)
        for name in ("key", "content"):
            moved[name] = entries[name]
        moved["row"] = entries["row"] + rows[entries["part"]] if len(entries) else 0
        moved["part"] = number
        moved.tofile(work.keys(buckets - 1))
    return buckets
