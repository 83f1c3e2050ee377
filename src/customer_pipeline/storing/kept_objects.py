"""What tasks put into a store: files, in a place that nobody else writes to, and then a manifest, once.

```
data/…                                       deliveries, what `run FILE` gave, contracts
runs/RUN/FILE/shard-0001/attempt-N/TOKEN/…   what one process wrote; nobody else writes there
runs/RUN/FILE/shard-0001/attempt-N/manifest.json   put last, and once: it says which process's files count
work/RUN/FILE/…                              what shards hand on to their gathering, beside their files
runs/latest.json                             the newest run, and where its files are
logs/…                                       logs of tasks, where Airflow is told to keep them here (stored_logs.py)
erasing/…                                    a mark for each file that an erasure is just replacing (mirror.py)
known/…                                      the sha256 of each delivery that was read, by its ETag and size
```
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from audited_load.clean_report import CleanReport
from audited_load.erasing.layout_files import name_run_folder
from audited_load.errors import UnavailableError
from audited_load.storage import Store, Stored
from customer_pipeline.storing.deliveries import RUNS

DATA, KNOWN, LOGS, WORK, MANIFEST, LATEST = "data", "known", "logs", "work", "manifest.json", "latest.json"
ERASING = "erasing"
SHARD = "shard-0001"
"""Of a file that is cleaned in one piece."""
PRIVATE = "pipeline-task-"
"""What folders begin with that a task makes for itself, where the machine keeps temporary files."""


def put_files(store: Store, folder: Path, place: str) -> dict[str, dict[str, object]]:
    """Put the files of a folder; give size and ETag of each by its name."""
    files = dict[str, dict[str, object]]()
    for path in sorted(path for path in folder.iterdir() if not path.name.startswith(".")):
        put = store.upload(path, f"{place}/{path.name}")
        files[path.name] = {"size": put.size, "etag": put.etag}
    return files


def keep_first(store: Store, place: str, manifest: Mapping[str, object]) -> dict[str, Any]:
    """Put the manifest of an attempt unless there is one; give the one that is there then."""
    text = json.dumps(manifest, ensure_ascii=False, indent=1).encode()
    there: dict[str, Any] = json.loads(store.put_if_absent(f"{place}/{MANIFEST}", text))
    return there


def require_same(kept: CleanReport, own: CleanReport, place: str) -> None:
    """Check that two processes of one attempt came to the same accounting.

    Raises:
        UnavailableError: They did not.
    """
    if kept.place_files(lambda _: "") != own.place_files(lambda _: ""):
        raise UnavailableError(
            f"{place} holds another result, as of an earlier delivery.", "The next try has a place of its own."
        )


def note_digest(store: Store, delivery: Stored, sha256: str) -> None:
    """Note what a delivery holds, so that it need not be read again to know it."""
    store.put(known(delivery), sha256.encode())


def place_of(run_id: str, number: int | None) -> str:
    """Return what the keys of a run's files begin with, or of one of its deliveries by number."""
    return f"{RUNS}/{name_run_folder(run_id)}/{'file' if number is None else f'file-{number}'}"


def known(stored: Stored) -> str:
    """Name the note of what a delivery holds: another content has another ETag."""
    identity = json.dumps([stored.key, stored.size, stored.etag]).encode()
    return f"{KNOWN}/{hashlib.sha256(identity).hexdigest()}"
