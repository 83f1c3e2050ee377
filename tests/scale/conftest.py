"""The cluster of these tests, and one machine to compare it with."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from customer_pipeline.commands.make_sample import make_sample
from scale.cluster import Cluster, Stack, running_cluster, running_stack


@pytest.fixture(scope="session")
def both() -> Iterator[tuple[Cluster, Stack]]:
    """Start them side by side: most of it is waiting."""
    if os.geteuid() or not shutil.which("unshare"):
        pytest.skip("A worker with a disk of its own needs root and unshare.")
    many, one = running_cluster(), running_stack({})
    with ThreadPoolExecutor(2) as threads:
        starting = [(started, threads.submit(started.__enter__)) for started in (many, one)]
    try:
        yield starting[0][1].result(), starting[1][1].result()
    finally:
        for started, entered in starting:
            if not entered.exception():
                started.__exit__(None, None, None)


@pytest.fixture(scope="session")
def cluster(both: tuple[Cluster, Stack]) -> Cluster:
    return both[0]


@pytest.fixture(scope="session")
def alone(both: tuple[Cluster, Stack]) -> Stack:
    """One machine, with the executor and the folder of always."""
    return both[1]


@pytest.fixture(scope="session")
def days(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Deliveries: a first one of three files, whose records some of the second and the third correct."""
    folder = tmp_path_factory.mktemp("days")
    for day, (rows, seed, files) in {
        "first": (90_000, 1, 3),
        "second": (9_000, 2, 2),
        "third": (3_000, 3, 1),
    }.items():
        make_sample(folder / f"{day}.csv", rows, seed, 0.025)
        header, *lines = (folder / f"{day}.csv").read_bytes().splitlines(keepends=True)
        (folder / day).mkdir()
        for number in range(files):
            part = lines[number * len(lines) // files : (number + 1) * len(lines) // files]
            (folder / day / f"part-{number}.csv").write_bytes(b"".join([header, *part]))
    return folder
