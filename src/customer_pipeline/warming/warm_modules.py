"""What forks of a service need → imported once, before the fork; the project's own modules anew if a file changed.

As a program it is Airflow's dag-processor, which forks a process for each parse of a DAG file, every 15 seconds.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from airflow import __main__ as airflow_command
from airflow.sdk.listener import get_listener_manager

log = logging.getLogger(__name__)

OWN = ("audited_load", "customer_pipeline", "pipeline_page", "steps")
"""Packages that tasks use as their files are: what an edit changed is used, and named, by the next task."""

ENTRIES = (
    "steps.clean_transactions_pipeline",
    "steps.dbt_transformations_pipeline",
    "steps.load_to_postgres_pipeline",
)
"""What the DAG file imports; with what these import, all that tasks need but for what cleans a file (Polars)."""

PARSED = (
    "airflow.providers.standard.decorators.python",
    "cosmos.airflow.task_group",
    "cosmos.operators.local",
    "cosmos.plugin.airflow3",
)
"""What a parse of the DAG files needs beside that."""

FORKS = 2
"""A service forks workers, and these the tasks; a fork that a task makes is the task's affair."""


def main() -> None:
    """Be `airflow dag-processor`, with what a parse imports in memory."""
    for name in PARSED:
        importlib.import_module(name)
    get_listener_manager()  # loads the plugins
    share_own_modules()
    airflow_command.main()  # type: ignore[no-untyped-call]


def share_own_modules() -> None:
    """Import the project's modules, and let forks of this process forget them if a file of theirs changed since.

    Else a task would clean with what the service had imported, under the name of what lies on the disk.
    """
    forget_own_modules()
    folders = own_folders()
    state = own_state(folders)
    try:
        for name in ENTRIES:
            importlib.import_module(name)
        warehouse = sys.modules["customer_pipeline.tasks.task_warehouse"]
        feed = sys.modules["steps.data_cleaners"].CUSTOMER_TRANSACTIONS
        warehouse.code_version(feed)  # reads many files, and keeps their sum in mind
    except Exception:
        log.exception("Each task imports the project's modules by itself")
        forget_own_modules()
        return
    forks = 0

    def check() -> None:
        nonlocal forks
        forks += 1
        if forks <= FORKS and _has_changed(folders, state):
            forget_own_modules()

    os.register_at_fork(after_in_child=check)


def forget_own_modules() -> None:
    """Let the project's modules be imported from the files as they now are."""
    for name in [name for name in sys.modules if name.partition(".")[0] in OWN]:
        del sys.modules[name]
    importlib.invalidate_caches()


def own_folders() -> tuple[Path, ...]:
    """Return the folders that an import depends on: the packages, all of the DAGs' folder, the contracts."""
    specs = [spec for spec in map(find_spec, OWN) if spec]
    packages = [Path(folder).resolve() for spec in specs for folder in spec.submodule_search_locations or ()]
    # A package is two or three folders below the clone that has the contracts.
    contracts = {home / "contracts" for package in packages for home in package.parents[1:3]}
    code = {package.parent if package.name == "steps" else package for package in packages}
    return tuple(sorted(code | {folder for folder in contracts if folder.is_dir()}))


def own_state(folders: tuple[Path, ...]) -> frozenset[tuple[str, int, int, int]]:
    """Sum up some folders: path, size in bytes and times in nanoseconds of each file below them."""
    return frozenset(file for folder in folders for file in _files(str(folder)))


def _has_changed(folders: tuple[Path, ...], state: frozenset[tuple[str, int, int, int]]) -> bool:
    try:
        return own_state(folders) != state
    except OSError:  # it is changing just now
        return True


def _files(folder: str) -> Iterator[tuple[str, int, int, int]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                if entry.name != "__pycache__":
                    yield from _files(entry.path)
            else:
                status = entry.stat()
                # The second time is that of the file's place, too: an older file may have been moved there.
                yield entry.path, status.st_size, status.st_mtime_ns, status.st_ctime_ns


if __name__ == "__main__":
    main()
