"""Shards in folders of one machine, for tests: what the store and the tasks do for those of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audited_load.clean_report import CleanReport
from audited_load.cleaning.outputs import cleaned_and_rejected
from audited_load.columns import Feed
from audited_load.erasing.subjects import ErasedSubjects
from audited_load.sharding.gather import gather_shards
from audited_load.sharding.plan import Plan, plan_shards
from audited_load.sharding.shard import ShardResult, clean_shard


@dataclass(frozen=True)
class LocalShards:
    """See `audited_load.sharding.gather.Shards`."""

    path: Path
    plan: Plan
    folder: Path
    feed: Feed
    chunk: int

    def of(self, number: int, kind: str) -> Path:
        """Return a folder of a shard, made if missing."""
        folder = self.folder / f"{kind}-{number}"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @contextmanager
    def work_file(self, number: int, name: str) -> Iterator[Path]:
        yield self.of(number, "work") / name

    @contextmanager
    def output(self, number: int) -> Iterator[tuple[Path, Path]]:
        yield cleaned_and_rejected(self.of(number, "out"), self.feed.name)

    def read_span(self, number: int) -> Iterator[bytes]:
        span = self.plan.spans[number]
        return in_chunks(self.path.read_bytes()[span.start : span.end], self.chunk)

    @contextmanager
    def rewrite(self, number: int) -> Iterator[tuple[Path, Callable[[CleanReport], CleanReport]]]:
        yield self.of(number, "final"), lambda report: report


def in_chunks(content: bytes, size: int) -> Iterator[bytes]:
    """Cut bytes anywhere."""
    return (content[start : start + size] for start in range(0, len(content), size))


def plan(path: Path, feed: Feed, shard_bytes: int, chunk: int, head_bytes: int | None = None) -> Plan:
    """Plan the shards of a file, of which no more than so many bytes are looked at before."""
    content = path.read_bytes()
    head = path.parent / "head" / path.name
    head.parent.mkdir(exist_ok=True)
    head.write_bytes(content[:head_bytes])
    found = plan_shards(head, len(content), in_chunks(content, chunk), feed, shard_bytes)
    return Plan.from_dict(found.to_dict())


def clean_by_shards(
    path: Path,
    feed: Feed,
    folder: Path,
    shard_bytes: int,
    chunk: int = 64,
    erased: ErasedSubjects | None = None,
    masking_key: str = "",
    change: Mapping[str, Any] | None = None,
) -> CleanReport:
    """Clean a file shard by shard, the last one first, and gather."""
    planned = plan(path, feed, shard_bytes, chunk)
    shards = LocalShards(path, planned, folder, feed, chunk)
    results = []
    for number in reversed(range(len(planned.spans))):
        result = clean_shard(
            planned, number, shards.read_span(number), feed, shards.of(number, "out"), shards.of(number, "work"),
            erased, masking_key,
        )  # fmt: skip
        results.append(ShardResult.from_dict(result.to_dict() | dict(change or {})))
    return gather_shards(planned, results, shards, feed, erased, masking_key)


def join(report: CleanReport) -> tuple[bytes, list[bytes]]:
    """Put the files of the shards together: the cleaned file, and the records of the rejected file in any order."""
    cleaned = [Path(one.cleaned_file).read_bytes().partition(b"\n") for one in report.pieces]
    rejected = [Path(one.rejected_file).read_bytes().partition(b"\n")[2] for one in report.pieces]
    whole = cleaned[0][0] + b"\n" + b"".join(body for _, _, body in cleaned)
    return whole, sorted(b"".join(rejected).splitlines())
