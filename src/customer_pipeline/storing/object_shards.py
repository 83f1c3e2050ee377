"""The shards of a large delivery in a store: each machine reads its span, and puts what it came to."""

from __future__ import annotations

import json
import logging
import secrets
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from audited_load.clean_report import CleanReport
from audited_load.columns import Feed
from audited_load.erasing.layout_files import write_layout_beside
from audited_load.errors import RefusedError, UnavailableError, UnusableFileError
from audited_load.sharding.plan import HEAD_BYTES, Plan, UncutError, plan_shards
from audited_load.sharding.shard import ShardResult
from audited_load.shown import show_text
from audited_load.storage import Store, Stored
from customer_pipeline.settings import MAX_SHARD_MIB
from customer_pipeline.storing.deliveries import RUNS
from customer_pipeline.storing.kept_objects import (
    MANIFEST,
    PRIVATE,
    WORK,
    keep_first,
    note_digest,
    put_files,
    require_same,
)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CutFile:
    """A delivery that is cleaned in shards.

    Attributes:
        plan: Where it is cut.
        key: Of the object.
        etag: Of its content: another one that takes its place is not read.
    """

    plan: Plan
    key: str
    etag: str

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that survive JSON."""
        return {"plan": self.plan.to_dict(), "key": self.key, "etag": self.etag}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> CutFile:
        """Read what `to_dict` gave."""
        return cls(Plan.from_dict(values["plan"]), values["key"], values["etag"])


def cut_object(
    store: Store, stored: Stored, feed: Callable[[], Feed], shard_bytes: int, most: int
) -> CutFile | None:
    """Find out where to cut an object; None if it is to be cleaned in one piece, which is said in the log.

    Args:
        store: Where it is.
        stored: The object.
        feed: Gives that by which it is read.
        shard_bytes: About how large shards should be.
        most: How many there may be.
    """
    name = PurePosixPath(stored.key).name
    if stored.size > most * shard_bytes:
        shard_bytes = 1 + stored.size // most
        log.warning(
            "%s: shards are %s MiB: a run maps at most %s more tasks (AIRFLOW__CORE__MAX_MAP_LENGTH)",
            show_text(name), shard_bytes // 2**20, most,
        )  # fmt: skip
    if shard_bytes > MAX_SHARD_MIB * 2**20:
        log.warning(
            "%s is cleaned in one piece: shards would be larger than %s MiB", show_text(name), MAX_SHARD_MIB
        )
        return None
    with tempfile.TemporaryDirectory(prefix=PRIVATE) as folder:
        head = Path(folder) / name
        head.write_bytes(b"".join(store.read_span(stored, 0, min(stored.size, HEAD_BYTES))))
        try:
            plan = plan_shards(head, stored.size, store.read_span(stored, 0, stored.size), feed(), shard_bytes)
        except UncutError as why:
            log.info("%s is cleaned in one piece: %s", show_text(name), why)
            return None
        except (UnusableFileError, RefusedError):
            return None  # the task that cleans it meets the same fault, and says it where people look for it
    return CutFile(replace(plan, source=replace(plan.source, path=Path(name))), stored.key, stored.etag)


@dataclass(frozen=True)
class ShardAttempt:
    """The output of one attempt at one shard.

    Attributes:
        out: A private folder for its files.
        work: One for what the gathering needs.
        place: What the keys of the attempt begin with.
        store: Where to.
    """

    out: Path
    work: Path
    place: str
    store: Store

    def keep(self, result: ShardResult) -> ShardResult:
        """Put the files, then the manifest. If another process did so for this attempt, its files count.

        Raises:
            UnavailableError: The other one came to another result.
        """
        write_layout_beside(result.report)
        place = f"{self.place}/{secrets.token_hex(4)}"
        placed = replace(result, report=result.report.place_files(lambda name: f"{place}/{Path(name).name}"))
        manifest = {
            "files": put_files(self.store, self.out, place),
            "work": put_files(self.store, self.work, work_place(place)),
            "report": placed.report.to_dict(),
            "shard": placed.to_dict(),
        }
        kept = ShardResult.from_dict(keep_first(self.store, self.place, manifest)["shard"])
        require_same(kept.report, placed.report, f"{self.store.root}/{self.place}")
        return kept


@dataclass(frozen=True)
class ObjectShards:
    """See `audited_load.sharding.gather.Shards`.

    Attributes:
        store: The store.
        cut: The delivery.
        place: What the keys of its files begin with.
        results: Of its shards, by number, once they are known.
        attempt: Of the gathering.
    """

    store: Store
    cut: CutFile
    place: str
    results: Mapping[int, ShardResult] = field(default_factory=dict)
    attempt: int = 1
    _manifests: dict[str, dict[str, Any]] = field(default_factory=dict, repr=False)

    def gathered(self, results: Sequence[ShardResult], attempt: int) -> ObjectShards:
        """Return the same with what the shards came to."""
        return replace(self, results={result.number: result for result in results}, attempt=attempt)

    def read_span(self, number: int) -> Iterator[bytes]:
        """Read the bytes of a shard's span of the delivery."""
        span, stored = self.cut.plan.spans[number], self.store.look(self.cut.key)
        if stored is None or stored.etag != self.cut.etag:
            raise UnavailableError(
                f"{show_text(PurePosixPath(self.cut.key).name)} was replaced or deleted since the run began.",
                "Clear the run from its first task on, when the delivery is complete. Nothing was loaded.",
            )
        return self.store.read_span(stored, span.start, span.end)

    @contextmanager
    def cleaning(self, number: int, attempt: int) -> Iterator[ShardAttempt]:
        """Give room for the output of one attempt at a shard."""
        with tempfile.TemporaryDirectory(prefix=PRIVATE) as folder:
            out, work = (Path(folder) / name for name in ("out", "work"))
            for path in (out, work):
                path.mkdir()
            yield ShardAttempt(out, work, f"{self._place(number)}/attempt-{attempt}", self.store)

    @contextmanager
    def work_file(self, number: int, name: str) -> Iterator[Path]:
        """Copy what a shard handed on to the gathering."""
        place = PurePosixPath(self.results[number].report.cleaned_file).parent
        with tempfile.TemporaryDirectory(prefix=PRIVATE) as folder:
            yield self._fetch(place, f"{work_place(str(place))}/{name}", "work", Path(folder))

    @contextmanager
    def output(self, number: int) -> Iterator[tuple[Path, Path]]:
        """Copy the files of a shard."""
        report = self.results[number].report
        with tempfile.TemporaryDirectory(prefix=PRIVATE) as folder:
            cleaned, rejected = (
                self._fetch(PurePosixPath(key).parent, key, "files", Path(folder))
                for key in (report.cleaned_file, report.rejected_file)
            )
            yield cleaned, rejected

    @contextmanager
    def rewrite(self, number: int) -> Iterator[tuple[Path, Callable[[CleanReport], CleanReport]]]:
        """Make a private folder, and put its files beside those that they stand for."""
        with tempfile.TemporaryDirectory(prefix=PRIVATE) as folder:

            def keep(report: CleanReport) -> CleanReport:
                write_layout_beside(report)
                place = f"{self._place(number)}/gathered-{self.attempt}"
                own = f"{place}/{secrets.token_hex(4)}"
                placed = report.place_files(lambda name: f"{own}/{Path(name).name}")
                files = put_files(self.store, Path(folder), own)
                manifest = {"files": files, "report": placed.to_dict()}
                kept = CleanReport.from_dict(keep_first(self.store, place, manifest)["report"])
                require_same(kept, placed, f"{self.store.root}/{place}")
                return kept

            yield Path(folder), keep

    def note_digest(self) -> None:
        """Note what the delivery holds, so that it need not be read again to know it."""
        if (stored := self.store.look(self.cut.key)) and stored.etag == self.cut.etag:
            note_digest(self.store, stored, self.cut.plan.sha256)

    def _place(self, number: int) -> str:
        return f"{self.place}/shard-{number + 1:04}"

    def _fetch(self, place: PurePosixPath, key: str, kind: str, folder: Path) -> Path:
        noted = self._manifest(f"{place.parent}/{MANIFEST}").get(kind, {})
        stored, path = self.store.look(key), folder / PurePosixPath(key).name
        if stored is None or noted.get(path.name) != {"size": stored.size, "etag": stored.etag}:
            raise RefusedError(
                f"{self.store.root}/{key} is gone, or is not what was written there.",
                "Clear the run from its first task on, so that the file is cleaned anew.",
            )
        self.store.download(stored, path)
        return path

    def _manifest(self, key: str) -> dict[str, Any]:
        """Read the manifest of an attempt, once."""
        if key not in self._manifests:
            self._manifests[key] = json.loads(self.store.read(key) or b"{}")
        return self._manifests[key]


def work_place(place: str) -> str:
    """Name the place of what a shard hands on to the gathering, by that of its files."""
    return f"{WORK}/{place.removeprefix(f'{RUNS}/')}"
