"""What it costs to hand files on through a store in place of a folder, and to clean a file in shards: ratios.

Each task is a process of its own, as under Airflow: one fetches the delivery and cleans it, the next one fetches
what came of it and copies it into the table. The store is SeaweedFS on this machine, so its own work is in the
figures, and a network is not.

Usage: `make bench-store`, or `python bench/hand_over.py --rows 2000000 --shards 4 --rounds 5`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, TypeAlias

from machine import describe_machine
from peak import Peak, disk_of, memory_of
from server import running_server

from audited_load.storage import Access, Store
from customer_pipeline.sample.generator import write_sample

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent / "tests"))  # a store is what tests need, too
from scale.seaweed import BUCKET, SeaweedFS, running_store  # noqa: E402

FOLDER, STORE, SHARDS = "folder", "store", "store, in shards"
AT_ONCE = 2
"""Shards that are cleaned at once, as on two workers."""


@dataclass(frozen=True)
class Timing:
    """A task: its seconds, and the peaks of its memory and of its private disk in bytes."""

    seconds: float
    memory: int
    disk: int


Timings: TypeAlias = dict[str, list[tuple[list[Timing], list[Timing]]]]
"""By way and round: the tasks that clean, and those that load."""


class Round:
    """One run of a way: its tasks, each a process with a folder for temporary files of its own."""

    def __init__(self, state: Path, told: dict[str, Any], shards: int) -> None:
        self._state, self._told, self._shards = state, told, shards

    def forget(self) -> None:
        """Remove what a run has put, as the place of an attempt is taken once."""
        if "store" not in self._told:
            shutil.rmtree(Path(self._told["data"]) / "runs")
            return
        store = Store(
            self._told["store"], Access(self._told["endpoint"], "", self._told["key"], self._told["secret"])
        )
        store.delete([stored.key for under in ("runs/", "work/") for stored in store.find(under)])

    def clean(self) -> list[Timing]:
        """Clean in one piece."""
        return [self._run("clean")]

    def clean_in_shards(self) -> list[Timing]:
        """Cut, clean the shards, several at once, and gather them."""
        return [self._run("cut"), self._run_shards("shard"), self._run("gather")]

    def load(self, *, in_shards: bool) -> list[Timing]:
        """Load what was handed on; entering it into the ledger doesn't count."""
        self._run("register")
        return [*([self._run_shards("copy")] if in_shards else []), self._run("load")]

    def _run_shards(self, step: str) -> Timing:
        """Run a step of each shard, several at once; they count as long as they take together."""
        tasks = [Task(step, self._state) for _ in range(self._shards)]
        told = [self._tell(number=number) for number in range(self._shards)]
        started = time.monotonic()
        with ThreadPoolExecutor(AT_ONCE) as threads:
            done = list(threads.map(Task.run, tasks, told))
        return Timing(time.monotonic() - started, max(one.memory for one in done), max(one.disk for one in done))

    def _run(self, step: str) -> Timing:
        return Task(step, self._state).run(self._tell())

    def _tell(self, **more: int) -> str:
        return json.dumps(self._told | {"shards": self._shards} | more)


class Task:
    """A process that has imported what all tasks import, and waits for what is to be done."""

    def __init__(self, step: str, state: Path) -> None:
        self._temporary = tempfile.TemporaryDirectory(dir=state, prefix="temporary-")
        self._step = step
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "task_step.py"), step, str(state)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            # Byte code is kept as the services keep it, whatever is set on this machine.
            env=os.environ | {
                "TMPDIR": self._temporary.name,
                "PYTHONDONTWRITEBYTECODE": "",
                "PYTHONPYCACHEPREFIX": str(state.parent / "pycache"),
            },
        )  # fmt: skip
        if self._process.stdout:
            self._process.stdout.readline()  # it is ready

    def run(self, told: str) -> Timing:
        """Let it do its step."""
        memory = Peak(memory_of(self._process.pid))
        disk = Peak(disk_of(Path(self._temporary.name)), 0.1)
        printed, _ = self._process.communicate(told + "\n")
        peaks = memory.stop(), disk.stop()
        self._temporary.cleanup()
        if self._process.returncode:
            raise SystemExit(f"{self._step} failed: {self._process.returncode}")
        return Timing(float(printed), *peaks)


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=2_000_000, help="records of the file")
    parser.add_argument("--shards", type=int, default=4, help="into how many shards it is cut")
    parser.add_argument("--rounds", type=int, default=5, help="how often each way runs")
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="customer-pipeline-bench-") as name,
        running_server() as runtime,
        running_store() as weed,
    ):
        folder = Path(name)
        folder.chmod(0o755)
        print(describe_machine(), flush=True)
        ways = make_ways(folder, weed, runtime.dsn("loader"), arguments)
        timings = measure(ways, arguments.rounds)
    report(arguments, timings)


def make_ways(folder: Path, weed: SeaweedFS, dsn: str, arguments: argparse.Namespace) -> dict[str, Round]:
    """Make the delivery, and put it where each way looks for it."""
    delivery = folder / "day.csv"
    with delivery.open("wb") as file:
        write_sample(file, arguments.rows, seed=7)
    os.utime(delivery, (0, 0))  # else a folder waits until it is settled
    root, access = f"s3://{BUCKET}/bench", weed.access
    Store(root, access).upload(delivery, "data/day.csv")
    in_store = {"store": root, "endpoint": access.endpoint, "key": access.key_id, "secret": access.secret}
    places = {FOLDER: {"data": str(folder)}, STORE: in_store, SHARDS: in_store}
    ways = {}
    for number, (way, place) in enumerate(places.items()):
        state = folder / f"state-{number}"
        state.mkdir()
        told = {"dsn": dsn, "bytes": delivery.stat().st_size, **place}
        ways[way] = Round(state, told, arguments.shards)
    return ways


def measure(ways: dict[str, Round], rounds: int) -> Timings:
    """Run the ways in turn, so that a noisy neighbour meets all of them."""
    timings: Timings = {way: [] for way in ways}
    for number in range(rounds):
        for way in sorted(ways, key=list(ways).index, reverse=bool(number % 2)):
            one = ways[way]
            clean = one.clean_in_shards() if way == SHARDS else one.clean()
            timings[way].append((clean, one.load(in_shards=way == SHARDS)))
            tasks = ", ".join(f"{task.seconds:.2f}" for tasks in timings[way][-1] for task in tasks)
            print(f"{way}: {tasks} s", flush=True)
            one.forget()
    return timings


def report(arguments: argparse.Namespace, timings: Timings) -> None:
    """Print each way against the folder, and shards against one piece, as a table in Markdown."""
    print(
        f"\n{arguments.rows:,} records; {arguments.shards} shards, {AT_ONCE} at once; {arguments.rounds} rounds\n"
    )
    print("| what | cleaning | loading | both | most memory of a task | most private disk of a task |")
    print("|---|---|---|---|---|---|")
    for way, rounds in timings.items():
        cells = [
            f"{median(values):.2f} s" if all(values) else "" for values in zip(*map(sums, rounds), strict=True)
        ]
        tasks = [task for both in rounds for tasks in both for task in tasks]
        cells += [f"{max(task.memory for task in tasks) / 2**20:.0f} MiB"]
        cells += [f"{max(task.disk for task in tasks) / 2**20:.0f} MiB"]
        print(f"| {way} | {' | '.join(cells)} |")
    for way, other in ((STORE, FOLDER), (SHARDS, STORE)):
        pairs = zip(map(sums, timings[way]), map(sums, timings[other]), strict=True)
        ratios = zip(*([own / base for own, base in zip(*pair, strict=True)] for pair in pairs), strict=True)
        cells = [f"{median(one):.2f} ({min(one):.2f} to {max(one):.2f})" for one in ratios]
        print(f"| {way}, against {other} | {' | '.join(cells)} | | |")
    print("\nA task counts from when what all import is there, shards until their processes have ended.")


def sums(tasks: tuple[list[Timing], list[Timing]]) -> tuple[float, float, float]:
    """Return the seconds of cleaning, of loading, and of both."""
    clean, load = (sum(task.seconds for task in some) for some in tasks)
    return clean, load, clean + load


if __name__ == "__main__":
    main()
