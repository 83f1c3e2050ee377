"""What an operator may type to keep the pipeline going: back up, restore, clear away what is old.

As in `customer_pipeline.cli`, a command imports what it needs when it runs.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from customer_pipeline.cli_data import PLAIN, UNCHECKED, examples

upkeep = typer.Typer(**PLAIN)
Folder = Annotated[Path, Argument(metavar="FOLDER", **UNCHECKED, help="Of the backup.", show_default=False)]


@upkeep.command("backup", epilog=examples("backup /backups/2025-12-31"))
def _backup(folder: Folder) -> None:
    """Write the warehouse, the erasure key and the contracts into a folder; runs and readers may go on."""
    from customer_pipeline.runtime.installation import read_runtime
    from customer_pipeline.runtime.services import require_up
    from customer_pipeline.upkeep.backup import describe, write_backup

    runtime = read_runtime()
    require_up(runtime)
    sys.stdout.write(f"{describe(write_backup(runtime, folder))} It holds a secret and personal data.\n")


@upkeep.command("restore", epilog=examples("restore /backups/2025-12-31"))
def _restore(
    folder: Folder,
    *,
    force: Annotated[bool, Option("--force", help="Also in place of a warehouse that holds loads.")] = False,
) -> int:
    """Let readers see what a backup holds: made beside the warehouse, audited, then swapped."""
    from customer_pipeline.upkeep.restore import restore

    return restore(folder, force=force)


@upkeep.command("tidy", epilog=examples("tidy --dry-run", "tidy"))
def _tidy(*, dry_run: Annotated[bool, Option("--dry-run", help="Only say what would go.")] = False) -> None:
    """Remove Airflow's runs and their logs that are older than RUN_HISTORY_DAYS."""
    from customer_pipeline.commands.programs import run_program

    module = ["customer_pipeline.interrupts", "customer_pipeline.upkeep.tidy"]
    run_program(["python", "-m", *module, *(["--dry-run"] if dry_run else [])], needs_services=True)
