"""A store as the place of deliveries and runs: each task copies what it needs, and leaves what others need."""

from __future__ import annotations

import json
import logging
import secrets
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from audited_load.clean_report import CleanReport, Shard
from audited_load.cleaning.outputs import write_whole
from audited_load.columns import Feed
from audited_load.errors import RefusedError, UnavailableError, UnusableFileError
from audited_load.loading.batch import Batch
from audited_load.shown import show_text
from audited_load.storage import Store, Stored
from customer_pipeline.contract_of_run import BROUGHT
from customer_pipeline.storing.deliveries import RUNS, find_sources
from customer_pipeline.storing.kept_objects import (
    DATA,
    LATEST,
    MANIFEST,
    PRIVATE,
    SHARD,
    WORK,
    keep_first,
    known,
    note_digest,
    place_of,
    put_files,
    require_same,
)

if TYPE_CHECKING:
    from customer_pipeline.storing.object_shards import CutFile, ObjectShards

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ObjectAttempt:
    """See `Attempt`.

    Attributes:
        folder: A private one.
        place: What the keys of the attempt begin with.
        store: Where to.
        read: What is known of the deliveries that this task has read.
    """

    folder: Path
    place: str
    store: Store
    read: dict[str, Stored]

    def keep(self, report: CleanReport, source: str) -> CleanReport:
        """Put the files, then the manifest. If another process did so for this attempt, its files count.

        Raises:
            UnavailableError: The other one came to another result.
        """
        place = f"{self.place}/{secrets.token_hex(4)}"
        files = put_files(self.store, self.folder, place)
        placed = report.place_files(lambda name: f"{place}/{Path(name).name}")
        delivery = self.read[source]
        manifest = {
            "source": {"key": delivery.key, "size": delivery.size, "etag": delivery.etag},
            "files": files,
            "report": placed.to_dict(),
        }
        kept = CleanReport.from_dict(keep_first(self.store, self.place, manifest)["report"])
        require_same(kept, placed, f"{self.store.root}/{self.place}")
        note_digest(self.store, delivery, report.sha256)
        return kept.place_files(lambda key: f"{self.store.root}/{key}")

    def hand_on(self, report: CleanReport) -> CleanReport:
        """Return the report with its places relative to the root of the store."""
        return report.place_files(lambda place: place.removeprefix(f"{self.store.root}/"))


@dataclass(frozen=True)
class ObjectFiles:
    """See `RunFiles`.

    Attributes:
        store: The store.
        data: A folder of this machine, for contracts.
    """

    store: Store
    data: Path
    _read: dict[str, Stored] = field(default_factory=dict)

    def find(self, source: str, moment: datetime, own: Collection[str], *, is_literal: bool = False) -> list[str]:
        """Look into a tree of empty files that are named as the deliveries, so that patterns mean the same."""
        with tempfile.TemporaryDirectory(prefix=PRIVATE) as folder:
            tree = Path(folder).resolve()
            for stored in self.store.find(f"{DATA}/"):
                _name_file(tree, stored.key.removeprefix(f"{DATA}/"))
            return find_sources(tree, source, moment, own, is_literal=is_literal)

    def digest(self, source: str) -> str | None:
        """Ask for what was noted when this content was read; it need not be read for that."""
        stored = self.store.look(f"{DATA}/{source}")
        noted = self.store.read(known(stored)) if stored else None
        return noted.decode() if noted else None

    @contextmanager
    def opened(self, source: str) -> Iterator[Path]:
        """Copy the delivery into a private folder: it is read more than once, and objects appear whole."""
        stored = self.store.look(f"{DATA}/{source}")
        if stored is None:
            raise UnusableFileError(
                f"{show_text(source, 200)} is gone: it was there when the run began.",
                "Put it there, then run again.",
            )
        with tempfile.TemporaryDirectory(prefix=PRIVATE) as folder:
            path = Path(folder) / PurePosixPath(source).name
            self.store.download(stored, path)
            self._read[source] = stored
            yield path

    @contextmanager
    def attempt(self, run_id: str, attempt: int, number: int | None = None) -> Iterator[ObjectAttempt]:
        """Make a private folder."""
        place = f"{place_of(run_id, number)}/{SHARD}/attempt-{attempt}"
        with tempfile.TemporaryDirectory(prefix=PRIVATE) as folder:
            yield ObjectAttempt(Path(folder), place, self.store, self._read)

    def cut(self, source: str, feed: Callable[[], Feed], shard_bytes: int, most: int) -> CutFile | None:
        """Find out where to cut a large delivery, in one pass over it and without a copy."""
        if not shard_bytes or most < 2:  # noqa: PLR2004 - one is all of it
            return None
        stored = self.store.look(f"{DATA}/{source}")
        if stored is None or stored.size <= shard_bytes:
            return None
        self.bring_contracts()
        from customer_pipeline.storing.object_shards import cut_object  # noqa: PLC0415 - it brings Polars

        return cut_object(self.store, stored, feed, shard_bytes, most)

    def shards(self, cut: CutFile, run_id: str, number: int) -> ObjectShards:
        """Reach the shards of a large delivery."""
        from customer_pipeline.storing.object_shards import ObjectShards  # noqa: PLC0415 - it brings Polars

        return ObjectShards(self.store, cut, place_of(run_id, number))

    @contextmanager
    def fetched(self, batch: Batch) -> Iterator[Batch]:
        """Copy the files into a private folder, after a look into their manifests."""
        with tempfile.TemporaryDirectory(prefix=PRIVATE) as folder:
            for load in batch.loads:
                cleaned = [load.report.cleaned_file] if load.report.cleaned_file else []
                self._fetch(Path(folder), *cleaned, *(piece.rejected_file for piece in load.report.pieces))
            yield batch.within(Path(folder))

    @contextmanager
    def cleaned_shard(self, shard: Shard) -> Iterator[Path]:
        """Copy it into a private folder, after a look into its manifest."""
        with tempfile.TemporaryDirectory(prefix=PRIVATE) as folder:
            self._fetch(Path(folder), shard.cleaned_file)
            yield Path(folder) / shard.cleaned_file

    def _fetch(self, folder: Path, *keys: str) -> None:
        """Copy files to where their keys lead in a folder.

        Raises:
            RefusedError: One is not what the manifest of its attempt names, by size and ETag.
        """
        noted = dict[PurePosixPath, dict[str, Any]]()
        for key in keys:
            place, path = PurePosixPath(key).parent.parent, folder / key
            if place not in noted:
                noted[place] = json.loads(self.store.read(f"{place}/{MANIFEST}") or b"{}").get("files", {})
            stored = self.store.look(key)
            if stored is None or noted[place].get(path.name) != {"size": stored.size, "etag": stored.etag}:
                raise RefusedError(
                    f"{self.store.root}/{key} is gone, or is not what was written there.",
                    "Clear the run from its first task on, so that the file is cleaned anew.",
                )
            path.parent.mkdir(parents=True, exist_ok=True)
            self.store.download(stored, path)

    def conclude(
        self,
        run_id: str,
        attempt: int,
        reports: Sequence[CleanReport],
        names: Sequence[str],  # noqa: ARG002 - a copy under another name would cost as much as the files
        kept: int,
    ) -> None:
        """Note which run is the newest, and where its files are."""
        pieces = [piece for report in reports for piece in report.pieces]
        files = [{"cleaned": piece.cleaned_file, "rejected": piece.rejected_file} for piece in pieces]
        latest = {"run_id": run_id, "attempt": attempt, "files": files}
        self.store.put(f"{RUNS}/{LATEST}", json.dumps(latest, indent=1).encode())
        self._remove_old_runs(place_of(run_id, None).split("/")[1], kept)

    def _remove_old_runs(self, current: str, kept: int) -> None:
        runs: dict[str, list[Stored]] = {}
        for stored in self.store.find(f"{RUNS}/"):
            if (name := stored.key.split("/")[1]) != LATEST:
                runs.setdefault(name, []).append(stored)
        newest_first = sorted(runs, key=lambda name: max(one.modified for one in runs[name]), reverse=True)
        gone = [name for name in newest_first[kept:] if name != current]
        self.store.delete([stored.key for name in gone for stored in runs[name]])
        # What shards hand on to their gathering, nobody needs after it; a run that is tried again may.
        left = [stored.key for stored in self.store.find(f"{WORK}/")]
        self.store.delete([key for key in left if key.split("/")[1] != current])

    def bring_contracts(self) -> None:
        """Copy those that this machine lacks: their names tell their content."""
        for stored in self.store.find(f"{DATA}/{BROUGHT}/"):
            path = self.data / BROUGHT / PurePosixPath(stored.key).name
            if not path.exists() and (content := self.store.read(stored.key)) is not None:
                try:
                    path.parent.mkdir(parents=True, exist_ok=True)
                    write_whole(path, content, force=True, mode=0o644)
                except OSError as error:
                    raise UnavailableError(
                        f"The contract {path.name} can't be copied to {path.parent}: {error.strerror}.",
                        "Let the task write there (PIPELINE_DATA), then run again.",
                    ) from error


def _name_file(tree: Path, name: str) -> None:
    """Make an empty file of a name; what can't be a file's name is left out, and said."""
    parts = name.split("/")
    if parts[-1] == "":
        return  # the mark that some programs put for a folder
    if not {"", ".", ".."} & set(parts):
        with suppress(OSError, ValueError):
            path = tree.joinpath(*parts)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
            return
    log.warning("The object %s has no name that a file can have: left out", show_text(name, 200))
