"""Where the files of a disturbed run lie: in a folder, or in a store whose connections can be broken."""

from __future__ import annotations

import json
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from audited_load.storage import Store
from scale.seaweed import BUCKET, SeaweedFS

REFUSED_PUT = (
    b"HTTP/1.1 501 Not Implemented\r\nContent-Type: application/xml\r\nConnection: close\r\n"
    b"Content-Length: 52\r\n\r\n<Error><Code>NotImplemented</Code><Message/></Error>"
)


class Files(Protocol):
    """What the tests do with the files of a run."""

    damage_is_noticed: tuple[tuple[str, ...], str]
    """In which steps a changed file is noticed, and some words of what is said."""

    def environment(self, attempt: int) -> dict[str, str]:
        """Return what a step has to be told."""

    def deliver(self, path: Path) -> None:
        """Put a file where deliveries lie, in place of what is there under its name."""

    def parts(self) -> list[Path]:
        """Return the files that cleaning makes on its way."""

    def read(self) -> dict[str, bytes]:
        """Return the files that the run `run` has handed on, by name."""

    def take_away(self) -> None:
        """Remove them."""

    def damaged(self, name: str) -> Any:
        """Let a file that was handed on be half of it while the block runs."""

    def clear(self) -> None:
        """Remove what killed steps left on the machine."""


@dataclass
class InFolder:
    """See `Files`. Deliveries and outputs lie in the folder of the steps."""

    work: Path
    damage_is_noticed: tuple[tuple[str, ...], str] = (("load", "validate"), "does not tie out")

    @property
    def out(self) -> Path:
        """Where the run `run` is cleaned to."""
        return self.work / "run-out"

    def environment(self, attempt: int) -> dict[str, str]:  # noqa: ARG002 - an attempt has no folder of its own
        return {}

    def deliver(self, path: Path) -> None:
        assert path.parent == self.work

    def parts(self) -> list[Path]:
        return list(self.out.glob(".cleaning-*/0.csv"))

    def read(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.out.glob("*.csv")}

    def take_away(self) -> None:
        shutil.rmtree(self.out)

    @contextmanager
    def damaged(self, name: str) -> Iterator[None]:
        path = self.out / name
        whole = path.read_bytes()
        path.write_bytes(whole[: whole.rindex(b"\n", 0, len(whole) // 2) + 1])
        yield
        path.write_bytes(whole)

    def clear(self) -> None:
        assert not list(self.work.glob("run-out/.cleaning-*"))


@dataclass
class InStore:
    """See `Files`. Steps reach the store through `relay`, tests reach it straight."""

    work: Path
    weed: SeaweedFS
    relay: Relay
    prefix: str = "faults"
    damage_is_noticed: tuple[tuple[str, ...], str] = (("load",), "is not what was written there")
    store: Store = field(init=False)

    def __post_init__(self) -> None:
        self.store = Store(f"s3://{BUCKET}/{self.prefix}", self.weed.access)
        self.temporary.mkdir(exist_ok=True)

    @property
    def temporary(self) -> Path:
        """Where steps make their private folders."""
        return self.work / f"temporary-{self.prefix}"

    def environment(self, attempt: int, key: str = "") -> dict[str, str]:
        access = replace(self.weed.access, endpoint=self.relay.address)
        told = {"root": self.store.root, "endpoint": access.endpoint, "key": key or access.key_id}
        return {
            "FAULT_STORE": json.dumps(told | {"secret": access.secret}),
            "FAULT_ATTEMPT": str(attempt),
            "TMPDIR": str(self.temporary),
        }

    def deliver(self, path: Path) -> None:
        self.store.upload(path, f"data/{path.name}")

    def parts(self) -> list[Path]:
        return list(self.temporary.glob("pipeline-task-*/.cleaning-*/0.csv"))

    def put_keys(self) -> list[str]:
        """Return the keys of what the run `run` has put."""
        return [stored.key for stored in self.store.find("runs/run/")]

    def read(self) -> dict[str, bytes]:
        keys = [key for key in self.put_keys() if key.endswith(".csv")]
        return {PurePosixPath(key).name: self.store.read(key) or b"" for key in keys}

    def take_away(self) -> None:
        self.store.delete(self.put_keys())

    @contextmanager
    def damaged(self, name: str) -> Iterator[None]:
        report = json.loads((self.work / "run.json").read_text())
        key = next(report[file] for file in ("cleaned_file", "rejected_file") if report[file].endswith(name))
        whole, kept = self.store.read(key) or b"", self.temporary / name
        kept.write_bytes(whole)
        self.store.put(key, whole[: len(whole) // 2])
        yield
        self.store.upload(kept, key)
        kept.unlink()

    def clear(self) -> None:
        shutil.rmtree(self.temporary)
        self.temporary.mkdir()


class Relay:
    """A port that passes on to the store what it gets, breaks connections in the middle, and refuses requests.

    Attributes:
        asked: How many requests it was asked to pass on.
        refuses_conditions: Whether it refuses what has the header If-None-Match, as a store that does not know it.
    """

    def __init__(self, weed: SeaweedFS) -> None:
        self._to = int(weed.access.endpoint.rpartition(":")[2])
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._left: dict[str, int] = {}
        self._then: Callable[[], object] = lambda: None
        self._lock = threading.Lock()
        self.refuses_conditions = False
        self.asked = 0
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def address(self) -> str:
        """Where to reach it."""
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def break_once(self, direction: str, count: int, then: Callable[[], object]) -> None:
        """Break the connection that passes on the byte of this number, `up` to the store or `down` from it."""
        self._then, self._left = then, {direction: count}

    def close(self) -> None:
        """Take no more connections."""
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                try:
                    server = socket.create_connection(("127.0.0.1", self._to))
                except OSError:
                    client.close()
                    continue
                for ends in (("up", client, server), ("down", server, client)):
                    threading.Thread(target=self._pass_on, args=ends, daemon=True).start()

    def _pass_on(self, direction: str, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while chunk := source.recv(2**16):
                self.asked += direction == "up" and chunk.startswith((b"GET ", b"HEAD ", b"PUT ", b"POST "))
                if direction == "up" and self.refuses_conditions and b"if-none-match" in chunk.lower():
                    source.sendall(REFUSED_PUT)
                    break
                if self._is_to_break(direction, len(chunk)):
                    self._then()
                    break
                target.sendall(chunk)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _is_to_break(self, direction: str, count: int) -> bool:
        with self._lock:
            if direction not in self._left:
                return False
            self._left[direction] -= count
            if self._left[direction] > 0:
                return False
            del self._left[direction]
            return True
