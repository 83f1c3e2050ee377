"""The objects of a store → copies in the data folder while a customer is erased; what was changed → the store."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from audited_load.content import hash_file
from audited_load.errors import UnavailableError
from audited_load.storage import Store, Stored
from customer_pipeline.storing.deliveries import RUNS
from customer_pipeline.storing.folder_lock import locked_folder
from customer_pipeline.storing.kept_objects import DATA, ERASING, MANIFEST

PREFIX = ".store-"
_AGAIN = "Give the same command again when no other erasure is going on."


@dataclass(frozen=True)
class Mirror:
    """Copies of objects.

    Attributes:
        store: Where they are from.
        folder: Where they lie: `data/…` and `runs/…`, as in the store.
        copied: What each object was, and the sha256 of its copy, by key.
    """

    store: Store
    folder: Path
    copied: dict[str, tuple[Stored, str]] = field(default_factory=dict)

    def fill(self) -> None:
        """Copy the deliveries and the files of runs."""
        for stored in self._find():
            path = self.folder / stored.key
            path.parent.mkdir(parents=True, exist_ok=True)
            self.store.download(stored, path)
            self.copied[stored.key] = stored, hash_file(path)

    def put_back(self) -> list[str]:
        """Put the copies that were changed in place of their objects, and delete those that are gone.

        Returns:
            Keys of objects that came or changed meanwhile, which were left alone.

        Raises:
            UnavailableError: The copies are gone. Nothing was changed.
        """
        if not self.folder.is_dir():
            raise UnavailableError(
                f"The copies of the store in {self.folder} are gone; the store was not changed.", _AGAIN
            )
        now = {stored.key: stored for stored in self._find()}
        others = [key for key, stored in now.items() if key not in self.copied or self.copied[key][0] != stored]
        told = self._finish_killed()
        for key, (_, before) in self.copied.items():
            path = self.folder / key
            if key in others or key not in now:
                continue
            there = self.store.look(key)
            if key not in told and (there is None or there.etag != now[key].etag):
                others.append(key)  # it came while others were put back
                continue
            if not path.exists():
                self.store.delete([key])
            elif hash_file(path) != before:
                self.store.put(f"{ERASING}/{key}", b"")
                told.add(self._tell_manifest(self.store.upload(path, key)))
                self.store.delete([f"{ERASING}/{key}"])
        return others

    def _finish_killed(self) -> set[str]:
        """Tell the manifests of files that a killed erasure replaced, which they may not have been told.

        Returns:
            The keys of these manifests.
        """
        told: set[str] = set()
        for mark in self.store.find(f"{ERASING}/"):
            put = self.store.look(mark.key.removeprefix(f"{ERASING}/"))
            if put:
                told.add(self._tell_manifest(put))
            self.store.delete([mark.key])
        return told

    def _find(self) -> list[Stored]:
        found = [*self.store.find(f"{DATA}/"), *self.store.find(f"{RUNS}/")]
        return [stored for stored in found if not stored.key.endswith("/")]

    def _tell_manifest(self, put: Stored) -> str:
        """Note in the manifest of an attempt that a file of it was replaced, so that it can still be loaded.

        Returns:
            The manifest's key, whether there is one or not.
        """
        key = str(PurePosixPath(put.key).parent.parent / MANIFEST)
        # As it is now: what is in the copy may have been told more since.
        now = self.store.read(key) if put.key.startswith(f"{RUNS}/") else None
        if now:
            manifest = json.loads(now)
            manifest["files"][PurePosixPath(put.key).name] = {"size": put.size, "etag": put.etag}
            self.store.put(key, json.dumps(manifest, ensure_ascii=False, indent=1).encode())
        return key


@contextmanager
def mirrored(store: Store, data: Path) -> Iterator[Mirror]:
    """Copy what a store holds into a hidden folder of the data folder while the block runs.

    What a killed command left of such a folder is removed before.

    Raises:
        UnavailableError: Another command does so just now: its copies are left alone.
    """
    data.mkdir(parents=True, exist_ok=True)
    busy = UnavailableError("Another erasure is at work with this data folder.", _AGAIN)
    with locked_folder(data, busy):
        for left in data.glob(f"{PREFIX}*"):
            shutil.rmtree(left)
        with tempfile.TemporaryDirectory(dir=data, prefix=PREFIX) as folder:
            mirror = Mirror(store, Path(folder))
            mirror.fill()
            yield mirror
