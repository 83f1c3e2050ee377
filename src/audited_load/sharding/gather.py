"""Shards → the accounting of their file: the records that give way to later ones are found, and taken out.

Of a shard without such records nothing is read but its keys. The others are written anew, one at a time: no file is
put together, and no more than one shard lies on the disk.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from audited_load.clean_report import CleanReport, Shard, add_exact
from audited_load.cleaning.assemble import (
    Dropped,
    cleaned_header,
    split_lines,
    write_superseded,
)
from audited_load.cleaning.blocks import PLACE, sum_totals
from audited_load.cleaning.clean_file import layout_of, report_of
from audited_load.cleaning.duplicates import KEY, in_order, losers_among
from audited_load.cleaning.layout import Layout
from audited_load.cleaning.outputs import cleaned_and_rejected
from audited_load.cleaning.parts import Tally
from audited_load.columns import Feed
from audited_load.erasing.subjects import ErasedSubjects
from audited_load.errors import RefusedError, UnavailableError
from audited_load.reading.source import as_records
from audited_load.sharding.plan import Plan
from audited_load.sharding.shard import ShardResult

AT_ONCE = 8
"""Files of keys, which are many and small, are waited for side by side."""


class Shards(Protocol):
    """How the gathering reaches what the shards of a file wrote."""

    def work_file(self, number: int, name: str) -> AbstractContextManager[Path]:
        """Give a file of `WorkFiles` of a shard while the block runs."""

    def output(self, number: int) -> AbstractContextManager[tuple[Path, Path]]:
        """Give the cleaned and the rejected file of a shard while the block runs."""

    def read_span(self, number: int) -> Iterator[bytes]:
        """Read the bytes of a shard's span of the source."""

    def rewrite(self, number: int) -> AbstractContextManager[tuple[Path, Callable[[CleanReport], CleanReport]]]:
        """Give a folder for files that take the place of a shard's, and what keeps them.

        It takes the shard's accounting with its files there, and gives it with them where the next task finds them.
        """


def gather_shards(
    plan: Plan,
    results: Sequence[ShardResult],
    shards: Shards,
    feed: Feed,
    erased: ErasedSubjects | None = None,
    masking_key: str = "",
) -> CleanReport:
    """Gather the shards of a file. Can be killed anywhere and called again.

    Args:
        plan: Of the file.
        results: Of all its shards.
        shards: How to reach them.
        feed: The columns and their rules.
        erased: As for `clean_file`.
        masking_key: As for `clean_file`. Secret.

    Returns:
        The accounting of the file.

    Raises:
        RefusedError: Shards are missing or of another cut, or were made by other versions of a library.
    """
    results = sorted(results, key=lambda result: result.number)
    _require_whole(plan, results)
    losers = in_order(losers_among(_read_keys(shards, results, bucket)) for bucket in range(results[0].buckets))
    winner_lines = _find_lines(shards, losers)
    layout = layout_of(plan.source, feed, erased, masking_key)
    tally, dropped, files = Tally(), Dropped(), list[Shard]()
    tally.totals = {total.name: Decimal(0) for total in feed.totals}
    for result in results:
        number, report = result.number, result.report
        tally.add(result.tally)
        first, last = np.searchsorted(losers["part"], [number, number + 1])
        if first < last:
            own = losers[first:last]
            with shards.rewrite(number) as (folder, keep):
                rewritten = _rewrite(plan, result, shards, layout, own, winner_lines[first:last], folder)
                dropped.duplicates += rewritten.dropped.duplicates
                dropped.superseded += rewritten.dropped.superseded
                add_exact(dropped.totals, rewritten.dropped.totals)
                report = keep(rewritten.report)
        files.append(Shard(report.cleaned_file, report.rejected_file, report.accepted))
    whole = report_of(plan.source, plan.sha256, feed, tally, dropped, ("", ""))
    if whole.accepted != sum(one.accepted for one in files):
        raise AssertionError(f"{whole.accepted} records accepted, but {[one.accepted for one in files]} in shards")
    return replace(whole, shards=files)


def _require_whole(plan: Plan, results: Sequence[ShardResult]) -> None:
    whole = [(number, span, plan.sha256) for number, span in enumerate(plan.spans)]
    if [(result.number, result.span, result.report.sha256) for result in results] != whole:
        found = len({result.number for result in results})
        raise RefusedError(
            f"{found} of {len(plan.spans)} shards of {plan.source.path.name} are there, or some of another cut.",
            "Clear the run from its first task on. Nothing was loaded.",
        )
    if len(made := {(result.hashed_by, result.buckets) for result in results}) > 1:
        versions = ", ".join(sorted({name for name, _ in made}))
        raise RefusedError(
            f"Shards of {plan.source.path.name} were made with different libraries or keys: {versions}.",
            "Give all workers the same image and ERASURE_KEY, then clear the run from its first task on.",
        )


def _read_keys(shards: Shards, results: Sequence[ShardResult], bucket: int) -> NDArray[np.void]:
    def read(result: ShardResult) -> NDArray[np.void]:
        with shards.work_file(result.number, f"keys-{bucket}") as path:
            return np.fromfile(path, KEY)

    with ThreadPoolExecutor(AT_ONCE) as threads:
        return np.concatenate(list(threads.map(read, results)))


def _find_lines(shards: Shards, losers: NDArray[np.void]) -> NDArray[np.uint64]:
    """Find the line of the winner of each superseded record; 0 for the duplicates."""
    lines = np.zeros(len(losers), np.uint64)
    wanted = np.flatnonzero(losers["superseded"])
    for number in np.unique(losers["winner_part"][wanted]).tolist():
        rows = wanted[losers["winner_part"][wanted] == number]
        with shards.work_file(number, "places") as path:
            lines[rows] = np.fromfile(path, PLACE)["line"][losers["winner_row"][rows]]
    return lines


@dataclass(frozen=True)
class _Rewritten:
    report: CleanReport
    dropped: Dropped


def _rewrite(
    plan: Plan,
    result: ShardResult,
    shards: Shards,
    layout: Layout,
    losers: NDArray[np.void],
    winner_lines: NDArray[np.uint64],
    folder: Path,
) -> _Rewritten:
    """Write the files of a shard without the records that give way."""
    feed, number = layout.feed, result.number
    is_superseded = losers["superseded"]
    superseded = int(is_superseded.sum())
    dropped = Dropped(len(losers) - superseded, superseded)
    cleaned, rejected = cleaned_and_rejected(folder, feed.name)
    with shards.work_file(number, "places") as path:
        places = np.fromfile(path, PLACE)
    with shards.output(number) as (all_cleaned, all_rejected):
        size, first = all_cleaned.stat().st_size, len(cleaned_header(feed))
        if len(places) != result.report.accepted or int(places["csv_end"][-1]) != size:
            raise UnavailableError(
                f"Shard {number + 1} of {plan.source.path.name} is not what was cleaned.",
                "Clear the run from its first task on, so that the file is cleaned anew.",
            )
        kept, gone = split_lines(lambda: places, losers["row"], first, size)
        with (
            all_cleaned.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as lines,
            cleaned.open("wb") as accepted,
        ):
            accepted.write(lines[:first])
            accepted.writelines(lines[start:end] for start, end in kept)
            dropped.totals = sum_totals(b"".join([lines[start:end] for start, end in gone]), feed)
        with rejected.open("wb") as refused:
            refused.write(all_rejected.read_bytes())
            chunks = as_records(shards.read_span(number), plan.source) if superseded else iter(())
            own = places[losers["row"][is_superseded]]
            write_superseded(refused, own, winner_lines[is_superseded], chunks, plan.spans[number].start, layout)
    report = replace(
        result.report,
        accepted=result.report.accepted - len(losers),
        quarantined=result.report.quarantined + superseded,
        duplicates=dropped.duplicates,
        superseded=superseded,
        cleaned_file=str(cleaned),
        rejected_file=str(rejected),
    )
    return _Rewritten(report, dropped)
