"""Missing rights to read a file → an error that says so, and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from audited_load.errors import UnusableFileError

CORRECT_RIGHTS = "Correct the rights of the file and of the folders above it (chmod, chown). Nothing was loaded."


@contextmanager
def readable(path: Path, faults: type[OSError] = PermissionError) -> Iterator[None]:
    """Say it if a file or folder can't be read.

    Args:
        path: Named if the system doesn't name one.
        faults: What counts as that.

    Raises:
        UnusableFileError: It can't.
    """
    try:
        yield
    except faults as error:
        raise UnusableFileError(
            f"{error.filename or path}: can't be read: {error.strerror}.", CORRECT_RIGHTS
        ) from error
