"""dbt's `adapter`, as far as sqlfluff needs it: a macro that differs by database is a call of its name."""

from __future__ import annotations

from collections.abc import Callable


def dispatch(name: str) -> Callable[..., str]:
    """Return what stands for the macro."""
    return lambda *arguments: f"{name}({', '.join(map(str, arguments))})"
