"""dbt's second target, `own`: the variables by which a command of dbt works in a schema beside the pipeline's.

Nothing that such a command makes is seen by readers, by the pipeline's builds or by its parse of the project.
"""

from __future__ import annotations

import os
from pathlib import Path

TARGET = "own"
_NAMES = ("DBT_TARGET", "DBT_SCHEMA", "DBT_TARGET_PATH", "DBT_LOG_PATH", "DBT_DEFER", "DBT_STATE")


def own_target(project: Path, schema: str, *, defers: bool = False) -> dict[str, str]:
    """Return the variables.

    Args:
        project: Folder of `dbt_project.yml`.
        schema: Where relations are made; the administrator has made it.
        defers: Whether a model that is not in the schema is taken from where the pipeline builds.
    """
    folder = project / "target"
    variables = {
        "DBT_TARGET": TARGET,
        "DBT_SCHEMA": schema,
        "DBT_TARGET_PATH": str(folder / schema),
        "DBT_LOG_PATH": str(folder / schema),
    }
    # The pipeline's own manifest, which says where it builds.
    return variables | ({"DBT_DEFER": "true", "DBT_STATE": str(folder)} if defers else {})


def leave_own_target() -> None:
    """Forget the variables: what Airflow runs is the pipeline's, also if it is typed in a developer's shell."""
    for name in _NAMES:
        os.environ.pop(name, None)
