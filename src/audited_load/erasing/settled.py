"""Files → those that nobody is writing: only they may be replaced by a scrubbed copy."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import time
from collections.abc import Iterable
from pathlib import Path

SETTLING_SECONDS = 10.0
"""A file that stays as it is for so long counts as whole, if nobody has it open for writing."""

Identity = tuple[int, int, int, int]


def identify(path: Path) -> Identity | None:
    """Return what tells a file from others and its later self: device, inode, size, time; None if it is gone."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def wait_for_settled(paths: Iterable[Path], seconds: float) -> dict[Path, Identity]:
    """Find the files that stay as they are for some seconds; those that are older cost no waiting.

    Args:
        paths: The files.
        seconds: For how long.

    Returns:
        The settled ones, with what they are.
    """
    found = {path: identity for path in paths if (identity := identify(path)) is not None}
    young = [path for path in found if _age(path) <= seconds]
    if young:
        time.sleep(seconds)
    return {
        path: identity
        for path, identity in found.items()
        if (path not in young or identify(path) == identity) and not is_being_written(path)
    }


def is_being_written(path: Path) -> bool:
    """Return whether somebody has a file open for writing, if the system tells: Linux does, of one's own files."""
    if not hasattr(fcntl, "F_SETLEASE"):
        return False
    try:
        file = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        # Should a writer come in the meantime, the system sends this signal; the usual one ends the process.
        fcntl.fcntl(file, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as error:
        return error.errno == errno.EAGAIN
    finally:
        os.close(file)
    return False


def _age(path: Path) -> float:
    """Return the seconds since a file was changed; a copy may have the time of its original."""
    try:
        status = path.stat()
    except OSError:
        return 0
    return time.time() - max(status.st_mtime, status.st_ctime)
