"""What the tasks need of the place where files lie, be it a folder or a store."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from audited_load.clean_report import CleanReport, Shard
from audited_load.columns import Feed
from audited_load.loading.batch import Batch

if TYPE_CHECKING:
    from customer_pipeline.storing.object_shards import CutFile, ObjectShards


class Attempt(Protocol):
    """The output of one attempt at one file."""

    @property
    def folder(self) -> Path:
        """Where to write, on this machine."""

    def keep(self, report: CleanReport, source: str) -> CleanReport:
        """Keep what was written for the tasks that follow.

        Args:
            report: The accounting, with its files in `folder`.
            source: The delivery, as `find` gave it.

        Returns:
            The accounting, with its files where people find them.
        """

    def hand_on(self, report: CleanReport) -> CleanReport:
        """Return what `keep` gave with places that mean the same on every machine."""


class RunFiles(Protocol):
    """Deliveries, and the files of runs."""

    def find(self, source: str, moment: datetime, own: Collection[str], *, is_literal: bool = False) -> list[str]:
        """Find deliveries: see `deliveries.find_sources`."""

    def digest(self, source: str) -> str | None:
        """Return the sha256 of a delivery; None if nobody can tell without reading it from afar."""

    def opened(self, source: str) -> AbstractContextManager[Path]:
        """Give a delivery as a file of this machine while the block runs, when it is complete."""

    def cut(self, source: str, feed: Callable[[], Feed], shard_bytes: int, most: int) -> CutFile | None:
        """Find out where to cut a large delivery; None if it is cleaned in one piece.

        Args:
            source: The delivery.
            feed: Gives that by which it is read; asked only of a large one.
            shard_bytes: About how large shards should be; 0 for one piece.
            most: How many there may be.
        """

    def shards(self, cut: CutFile, run_id: str, number: int) -> ObjectShards:
        """Reach the shards of a delivery of a run that was cut, by the delivery's number."""

    def attempt(self, run_id: str, attempt: int, number: int | None = None) -> AbstractContextManager[Attempt]:
        """Give room for the output of one attempt of one run, or of one of its files by number."""

    def fetched(self, batch: Batch) -> AbstractContextManager[Batch]:
        """Give a batch with its files on this machine while the block runs, but for the cleaned files of shards."""

    def cleaned_shard(self, shard: Shard) -> AbstractContextManager[Path]:
        """Give the cleaned file of one shard as a file of this machine while the block runs.

        Args:
            shard: With the places that the report of its file was handed on with.
        """

    def conclude(
        self, run_id: str, attempt: int, reports: Sequence[CleanReport], names: Sequence[str], kept: int
    ) -> None:
        """Show the files of a run as the newest, and remove those of old runs.

        Args:
            run_id: The run.
            attempt: The attempt that gathered them.
            reports: The accounting of each file, as it is handed on.
            names: The well-known names of the newest files.
            kept: Of how many runs the files stay.
        """

    def bring_contracts(self) -> None:
        """Bring the contracts that runs were given into the data folder of this machine."""
