"""The cluster of these tests, and one machine to compare it with."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from customer_pipeline.commands.make_sample import make_sample
from scale.cluster import Cluster, Stack, running_cluster, running_stack


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    if os.geteuid() or not shutil.which("unshare"):
        pytest.skip("A worker with a disk of its own needs root and unshare.")
    with running_cluster() as started:
        yield started


@pytest.fixture(scope="session")
def alone() -> Iterator[Stack]:
    """One machine, with the executor and the folder of always."""
    with running_stack({}) as started:
        yield started


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
