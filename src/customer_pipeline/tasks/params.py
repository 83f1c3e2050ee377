"""What a run was asked for → checked: a name that nobody declared is a typing error, and not nothing."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from audited_load.errors import RefusedError


def require_known_params(conf: Mapping[str, Any] | None, declared: Collection[str]) -> None:
    """Check the names in a run's configuration; Airflow checks the values of those that are declared.

    Args:
        conf: The run's configuration.
        declared: Names of the DAG's params.

    Raises:
        RefusedError: A name is not declared: the run would silently do what nobody asked for.
    """
    unknown = sorted(set(conf or {}) - set(declared))
    if unknown:
        raise RefusedError(
            f"There is no param {', '.join(repr(name[:60]) for name in unknown[:5])}.",
            f"Known are {', '.join(sorted(declared))}. Trigger the run again. Nothing was loaded.",
        )
