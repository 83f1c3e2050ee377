"""A folder of which one process at a time has the use: the lock goes with its process, and leaves no file."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from audited_load.errors import PipelineError


@contextmanager
def locked_folder(folder: Path, busy: PipelineError | None = None) -> Iterator[None]:
    """Keep other processes away from a folder while the block runs, as far as they ask here, too.

    Args:
        folder: It has to be there.
        busy: Raised if another process has it; None to wait until it is free.
    """
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | (fcntl.LOCK_NB if busy else 0))
        except BlockingIOError as error:
            raise busy or error from error
        yield
    finally:
        os.close(opened)
