"""The dbt project → its manifest, parsed again only when a file of the project changed."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from audited_load.errors import RefusedError
from audited_load.marts.mart_manifest import Mart, read_marts
from customer_pipeline.names import DATABASE
from customer_pipeline.settings import dbt_project

_WATCHED = ("dbt_project.yml", "profiles.yml", "models", "macros", "tests", "snapshots", "seeds")
_CONNECTION = ("POSTGRES_HOST", "POSTGRES_PORT", "POSTGRES_DB", "TRANSFORMER_USER")
TARGET = "dev"
OF_PROFILE = ("--profile", DATABASE, "--target", TARGET)
"""As Cosmos says it: under other words, dbt would parse anew in each task."""


def in_project(project: Path) -> list[str]:
    """Return the options by which dbt finds a project, and the profile that lies in it."""
    return ["--project-dir", str(project), "--profiles-dir", str(project)]


def find_marts(project: Path | None = None) -> tuple[Mart, ...]:
    """Return the marts of a dbt project, those that others are built from first.

    Args:
        project: Folder of `dbt_project.yml`; that of the settings if none is given.

    Raises:
        RefusedError: dbt can't parse the project, or a foreign key leads to no mart.
    """
    return read_marts(fresh_manifest(project or dbt_project()))


def fresh_manifest(project: Path) -> Path:
    """Return the manifest of a dbt project, making it first if it is absent or stale.

    The DAG file calls this at every parse, so the usual case only looks at the files' times. Processes that
    come at once wait for the one that parses.

    Args:
        project: Folder of `dbt_project.yml`.

    Returns:
        Path of the manifest.

    Raises:
        RefusedError: dbt can't parse the project.
    """
    target = project / "target"
    target.mkdir(exist_ok=True)
    state = project_state(project)
    manifest, stamp = target / "manifest.json", target / "manifest.state"
    with (target / ".manifest.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (manifest.exists() and stamp.exists() and stamp.read_text() == state):
            _parse(project, target)
            stamp.write_text(state)
    return manifest


def project_state(project: Path) -> str:
    """Sum up what dbt's parse of a project depends on: its files by size and time, and the connection.

    Args:
        project: Folder of `dbt_project.yml`.

    Returns:
        64 hexadecimal characters.
    """
    files = sorted(
        path
        for name in _WATCHED
        for path in ((project / name).rglob("*") if (project / name).is_dir() else [project / name])
        if path.is_file()
    )
    lines = [f"{path.relative_to(project)} {path.stat().st_size} {path.stat().st_mtime_ns}" for path in files]
    lines += [f"{name}={os.environ.get(name)}" for name in _CONNECTION]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _parse(project: Path, target: Path) -> None:
    """Run `dbt parse` beside, then put its results in place: a killed parse leaves no half manifest."""
    with tempfile.TemporaryDirectory(prefix=".parse-", dir=target) as folder:
        command = [sys.executable, "-m", "dbt.cli.main", "--quiet", "parse", "--no-partial-parse"]
        places = [*in_project(project), "--target-path", folder]
        done = subprocess.run([*command, *OF_PROFILE, *places], capture_output=True, text=True, check=False)
        if done.returncode:
            raise RefusedError(
                f"dbt can't parse {project}: {(done.stdout + done.stderr).strip()[-2000:]}",
                "Correct the model that it names; `make dbt-compile` shows the same.",
            )
        for name in ("partial_parse.msgpack", "manifest.json"):
            (Path(folder) / name).replace(target / name)
