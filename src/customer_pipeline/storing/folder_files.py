"""The data folder as the place of deliveries and runs: every task works on its files, and nothing is copied."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from audited_load.clean_report import CleanReport, Shard
from audited_load.columns import Feed
from audited_load.errors import RefusedError
from audited_load.loading.batch import Batch
from customer_pipeline.storing.deliveries import (
    attempt_folder,
    find_sources,
    hash_file,
    locate_source,
    remove_old_runs,
    show_latest,
    wait_until_settled,
)

if TYPE_CHECKING:
    from customer_pipeline.storing.object_shards import CutFile, ObjectShards


@dataclass(frozen=True)
class FolderAttempt:
    """See `Attempt`."""

    folder: Path
    data: Path

    def keep(self, report: CleanReport, source: str) -> CleanReport:  # noqa: ARG002 - the file lies there
        """Return it as it is."""
        return report

    def hand_on(self, report: CleanReport) -> CleanReport:
        """Return the report with its places relative to the data folder."""
        return report.relative_to(self.data)


@dataclass(frozen=True)
class FolderFiles:
    """See `RunFiles`.

    Attributes:
        data: The data folder.
    """

    data: Path

    def find(self, source: str, moment: datetime, own: Collection[str], *, is_literal: bool = False) -> list[str]:
        """Look into the data folder."""
        return find_sources(self.data, source, moment, own, is_literal=is_literal)

    def digest(self, source: str) -> str:
        """Read the file."""
        return hash_file(locate_source(self.data, source))

    @contextmanager
    def opened(self, source: str) -> Iterator[Path]:
        """Wait while the file is still being written."""
        path = locate_source(self.data, source)
        wait_until_settled(path)
        yield path

    def cut(
        self,
        source: str,  # noqa: ARG002 - one machine's own processes share a file
        feed: Callable[[], Feed],  # noqa: ARG002
        shard_bytes: int,  # noqa: ARG002
        most: int,  # noqa: ARG002
    ) -> CutFile | None:
        """Clean every file in one piece."""
        return None

    def shards(self, cut: CutFile, run_id: str, number: int) -> ObjectShards:  # noqa: ARG002
        """Refuse: they are in a store."""
        raise RefusedError(
            "The run's files were cut in a store, but STORAGE_ROOT is not set any more.",
            "Clear the run from its first task on. Nothing was loaded.",
        )

    @contextmanager
    def attempt(self, run_id: str, attempt: int, number: int | None = None) -> Iterator[FolderAttempt]:
        """Name a folder of its own."""
        yield FolderAttempt(attempt_folder(self.data, run_id, attempt, number), self.data)

    @contextmanager
    def fetched(self, batch: Batch) -> Iterator[Batch]:
        """Say where the files are."""
        yield batch.within(self.data)

    @contextmanager
    def cleaned_shard(self, shard: Shard) -> Iterator[Path]:
        """Say where it is."""
        yield self.data / shard.cleaned_file

    def conclude(
        self,
        run_id: str,
        attempt: int,
        reports: Sequence[CleanReport],  # noqa: ARG002 - their files are found by name
        names: Sequence[str],
        kept: int,
    ) -> None:
        """Link the files of a run to their well-known names; of a run of several files, there are none."""
        out = attempt_folder(self.data, run_id, attempt)
        out.mkdir(parents=True, exist_ok=True)
        show_latest(out, self.data, names)
        remove_old_runs(self.data, out, kept)

    def bring_contracts(self) -> None:
        """They lie there."""
