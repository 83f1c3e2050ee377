"""SeaweedFS as the store of tests and benches, which can be stopped and started again with what it keeps."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from audited_load.errors import PipelineError
from audited_load.storage import Access, Store
from customer_pipeline.runtime.installation import free_port

WEED = str(Path(sys.executable).with_name("weed"))
BUCKET = "pipeline"
PATIENCE = 900
"""Seconds for a run on a busy machine."""


@dataclass
class Server:
    """A program that can be stopped and started again, with what it keeps."""

    line: list[str]
    log: Path
    answers: Callable[[], bool]
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.line, stdout=log, stderr=log, cwd=self.log.parent)
        wait_until(self.answers, f"{self.line[0]}: {self.log}", 120)

    def stop(self) -> None:
        """Stop it at once."""
        if self.process:
            self.process.kill()
            self.process.wait()


@dataclass
class SeaweedFS(Server):
    """The store.

    Attributes:
        access: Where it is, and who asks.
        identities: The file that says whom it lets in.
    """

    access: Access = field(default_factory=Access)
    identities: Path = Path()

    def let_in(self, key: str) -> None:
        """Let it take this access key from its next start on, with the secret of always, and no other."""
        self.identities.write_text(json.dumps(identities_of(key)))


def identities_of(key: str) -> dict[str, Any]:
    """Return SeaweedFS's configuration with one user."""
    credentials = [{"accessKey": key, "secretKey": "a secret of the tests"}]
    return {"identities": [{"name": "pipeline", "credentials": credentials, "actions": ["Admin", "Read", "Write"]}]}


@contextmanager
def running_store() -> Iterator[SeaweedFS]:
    """Start a store with an empty bucket, and remove all of it afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="customer-pipeline-store-", dir="/var/tmp"))
    ports = dict(zip(("s3", "master", "volume", "filer"), small_ports(4), strict=True))
    access = Access(f"http://127.0.0.1:{ports['s3']}", "", "known", "a secret of the tests")
    identities = folder / "s3.json"
    identities.write_text(json.dumps(identities_of("known")))
    (folder / "objects").mkdir()
    weed = SeaweedFS(
        [WEED, "server", "-dir", str(folder / "objects"), "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
         "-master.telemetry=false", "-master.volumeSizeLimitMB=256", "-volume.max=20", "-filer", "-s3",
         f"-s3.config={identities}", "-s3.port.iceberg=0", "-s3.port.lance=0",
         f"-filer.localSocket={folder / 'filer.sock'}",
         f"-s3.port={ports['s3']}", f"-master.port={ports['master']}", f"-volume.port={ports['volume']}",
         f"-filer.port={ports['filer']}"],
        folder / "weed.log",
        lambda: serves(access),
        access=access,
        identities=identities,
    )  # fmt: skip
    try:
        weed.start()
        yield weed
    finally:
        weed.stop()
        shutil.rmtree(folder, ignore_errors=True)


def small_ports(count: int) -> list[int]:
    """Choose ports to which SeaweedFS can add 10,000, without coming to those of outgoing connections."""
    found: list[int] = []
    while len(found) < count:
        port = free_port()
        if port < 22000 and port not in found:
            found.append(port)
    return found


def serves(access: Access) -> bool:
    """Return whether the store answers; make the bucket."""
    store = Store(f"s3://{BUCKET}", access, wait_seconds=0)
    with suppress(PipelineError):
        store.find("")
        return True
    with suppress(Exception):
        store._client.create_bucket(Bucket=BUCKET)
    return False


def wait_until(holds: Callable[[], object], what: str, seconds: float = PATIENCE, pause: float = 0.1) -> None:
    """Wait for something, but not for ever."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not after {seconds} s: {what}"
        time.sleep(pause)
