"""Airflow's runs, and the logs of their tasks, that are older than `RUN_HISTORY_DAYS` → gone, together.

A program of its own, since only processes with the environment of the services may do it: `customer-pipeline tidy`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from audited_load.command import command
from audited_load.errors import PipelineError, RefusedError
from customer_pipeline.names import ExitCode
from customer_pipeline.settings import read_run_history_days

LOG_FOLDER = "AIRFLOW__LOGGING__BASE_LOG_FOLDER"


def find_old_logs(folder: Path, before: datetime) -> list[Path]:
    """Find the log files that nobody has written to since then.

    Args:
        folder: Airflow's folder of logs.
        before: The moment, in UTC.
    """
    found = []
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):  # Airflow removes some itself
            if path.is_file() and not path.is_symlink() and path.stat().st_mtime < before.timestamp():
                found.append(path)
    return sorted(found)


def remove_logs(folder: Path, logs: list[Path]) -> None:
    """Remove log files, and the folders that are empty then.

    Args:
        folder: Airflow's folder of logs, which stays.
        logs: Files in it.
    """
    for path in logs:
        path.unlink(missing_ok=True)
        for parent in path.parents:
            if parent == folder or any(parent.iterdir()):
                break
            parent.rmdir()


def tidy(environment: Mapping[str, str], *, dry_run: bool) -> int:
    """Remove old runs from Airflow's database, and old logs.

    Args:
        environment: Of the services.
        dry_run: Only say what would go.

    Returns:
        The exit code of `airflow db clean`.

    Raises:
        RefusedError: `RUN_HISTORY_DAYS` is no number of days, or the services' environment is not there.
    """
    if not environment.get(LOG_FOLDER):
        raise RefusedError(f"{LOG_FOLDER} is not set.", f"Run it as {command('tidy')}.")
    days = read_run_history_days(environment)
    if not days:
        print("RUN_HISTORY_DAYS is 0: runs and logs are kept for ever.")
        return 0
    before = datetime.now(UTC) - timedelta(days=days)
    folder = Path(environment[LOG_FOLDER])
    logs = find_old_logs(folder, before)
    size = 0
    for path in logs:
        with suppress(FileNotFoundError):
            size += path.stat().st_size
    word = "would go" if dry_run else "go"
    print(f"{len(logs)} log files of before {before:%Y-%m-%d}, {size / 2**20:.1f} MiB, {word}.", flush=True)
    flags = ["--dry-run"] if dry_run else ["--skip-archive", "--yes", "--error-on-cleanup-failure"]
    # The runs first: a run without its logs would look as if they were lost.
    clean = ["airflow", "db", "clean", "--clean-before-timestamp", before.isoformat(), *flags]
    code = subprocess.run(clean, env=dict(environment), check=False).returncode
    if code == 0 and not dry_run:
        remove_logs(folder, logs)
    return code


if __name__ == "__main__":
    try:
        sys.exit(tidy(os.environ, dry_run="--dry-run" in sys.argv[1:]))
    except PipelineError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(ExitCode.FAILED)
