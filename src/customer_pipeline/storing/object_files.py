"""A store as the place of deliveries and runs: each task copies what it needs, and leaves what others need.

```
data/…                                       deliveries, what `run FILE` gave, contracts
runs/RUN/FILE/shard-0001/attempt-N/TOKEN/…   what one process wrote; nobody else writes there
runs/RUN/FILE/shard-0001/attempt-N/manifest.json   put last, and once: it says which process's files count
runs/latest.json                             the newest run, and where its files are
known/…                                      the sha256 of each delivery that was read, by its ETag and size
```
"""

from __future__ import annotations

import hashlib
import json
import logging
import secrets
import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path, PurePosixPath

from audited_load.clean_report import CleanReport
from audited_load.cleaning.outputs import write_whole
from audited_load.erasing.layout_files import name_run_folder
from audited_load.errors import RefusedError, UnavailableError, UnusableFileError
from audited_load.loading.batch import Batch
from audited_load.shown import show_text
from audited_load.storage import Store, Stored
from customer_pipeline.contract_of_run import BROUGHT
from customer_pipeline.tasks.files import RUNS, find_sources

log = logging.getLogger(__name__)

DATA, KNOWN, MANIFEST, LATEST = "data", "known", "manifest.json", "latest.json"
SHARD = "shard-0001"
"""A file is one shard so far."""
PRIVATE = "pipeline-task-"
"""What folders begin with that a task makes for itself, where the machine keeps temporary files."""


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
        token, files = secrets.token_hex(4), dict[str, dict[str, object]]()
        for path in sorted(path for path in self.folder.iterdir() if not path.name.startswith(".")):
            put = self.store.upload(path, f"{self.place}/{token}/{path.name}")
            files[path.name] = {"size": put.size, "etag": put.etag}
        places = (f"{self.place}/{token}/{Path(name).name}" for name in (report.cleaned_file, report.rejected_file))
        placed = replace(report, cleaned_file=next(places), rejected_file=next(places))
        delivery = self.read[source]
        manifest = {
            "source": {"key": delivery.key, "size": delivery.size, "etag": delivery.etag},
            "files": files,
            "report": placed.to_dict(),
        }
        text = json.dumps(manifest, ensure_ascii=False, indent=1).encode()
        there = json.loads(self.store.put_if_absent(f"{self.place}/{MANIFEST}", text))
        kept = CleanReport.from_dict(there["report"])
        if replace(kept, cleaned_file="", rejected_file="") != replace(placed, cleaned_file="", rejected_file=""):
            raise UnavailableError(
                f"{self.store.root}/{self.place} holds another result, as of an earlier delivery.",
                "The next try has a place of its own.",
            )
        self.store.put(_known(delivery), report.sha256.encode())
        at = f"{self.store.root}/"
        return replace(kept, cleaned_file=at + kept.cleaned_file, rejected_file=at + kept.rejected_file)

    def hand_on(self, report: CleanReport) -> CleanReport:
        """Return the report with its places relative to the root of the store."""
        at = f"{self.store.root}/"
        places = (place.removeprefix(at) for place in (report.cleaned_file, report.rejected_file))
        return replace(report, cleaned_file=next(places), rejected_file=next(places))


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
        noted = self.store.read(_known(stored)) if stored else None
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
        file = "file" if number is None else f"file-{number}"
        place = f"{RUNS}/{name_run_folder(run_id)}/{file}/{SHARD}/attempt-{attempt}"
        with tempfile.TemporaryDirectory(prefix=PRIVATE) as folder:
            yield ObjectAttempt(Path(folder), place, self.store, self._read)

    @contextmanager
    def fetched(self, batch: Batch) -> Iterator[Batch]:
        """Copy the cleaned and the rejected files into a private folder, after a look into their manifests."""
        with tempfile.TemporaryDirectory(prefix=PRIVATE) as folder:
            for load in batch.loads:
                self._fetch(load.report, Path(folder))
            yield batch.within(Path(folder))

    def _fetch(self, report: CleanReport, folder: Path) -> None:
        place = PurePosixPath(report.cleaned_file).parent
        manifest = self.store.read(f"{place.parent}/{MANIFEST}")
        files = json.loads(manifest)["files"] if manifest else {}
        for key in (report.cleaned_file, report.rejected_file):
            path = folder / key
            stored, noted = self.store.look(key), files.get(path.name)
            if stored is None or noted != {"size": stored.size, "etag": stored.etag}:
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
        files = [{"cleaned": report.cleaned_file, "rejected": report.rejected_file} for report in reports]
        latest = {"run_id": run_id, "attempt": attempt, "files": files}
        self.store.put(f"{RUNS}/{LATEST}", json.dumps(latest, indent=1).encode())
        self._remove_old_runs(name_run_folder(run_id), kept)

    def _remove_old_runs(self, current: str, kept: int) -> None:
        runs: dict[str, list[Stored]] = {}
        for stored in self.store.find(f"{RUNS}/"):
            if (name := stored.key.split("/")[1]) != LATEST:
                runs.setdefault(name, []).append(stored)
        newest_first = sorted(runs, key=lambda name: max(one.modified for one in runs[name]), reverse=True)
        gone = [name for name in newest_first[kept:] if name != current]
        self.store.delete([stored.key for name in gone for stored in runs[name]])

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


def _known(stored: Stored) -> str:
    """Name the note of what a delivery holds: another content has another ETag."""
    identity = json.dumps([stored.key, stored.size, stored.etag]).encode()
    return f"{KNOWN}/{hashlib.sha256(identity).hexdigest()}"


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
