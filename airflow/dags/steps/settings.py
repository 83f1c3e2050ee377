"""The settings of the steps: read once from the environment, frozen."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from audited_load.errors import RefusedError

CONNECTION_ID = "postgres_default"
MAX_DAYS = 36_500


@dataclass(frozen=True)
class Settings:
    """What an operator may set.

    Attributes:
        data: Folder of the input files (`PIPELINE_DATA`).
        max_rejected_ratio: Largest share of refused records, from 0 to 1 (`MAX_REJECTED_RATIO`).
        min_row_ratio: Smallest share of the visible rows that a new file may have, from 0 (`MIN_ROW_RATIO`).
        quarantine_days: For how long refused records are kept; 0 for ever (`QUARANTINE_DAYS`).
        readers: Roles that may read the cleaned view (`TRANSFORMER_USER`, `READER_USER`).
    """

    data: Path
    max_rejected_ratio: float
    min_row_ratio: float
    quarantine_days: int
    readers: tuple[str, ...]


def read_settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings.

    Raises:
        RefusedError: A variable is missing or has an unusable value.
    """
    if not environment.get("PIPELINE_DATA"):
        raise RefusedError(
            "The environment variable PIPELINE_DATA is not set.",
            "Set it to the folder of the input files; `customer-pipeline exec -- CMD` sets all of them.",
        )
    return Settings(
        data=Path(environment["PIPELINE_DATA"]).resolve(),
        max_rejected_ratio=_ratio(environment, "MAX_REJECTED_RATIO", "0.05"),
        min_row_ratio=_ratio(environment, "MIN_ROW_RATIO", "0.5"),
        quarantine_days=_days(environment, "QUARANTINE_DAYS", "365"),
        readers=(
            environment.get("TRANSFORMER_USER", "transformer"),
            environment.get("READER_USER", "reader"),
        ),
    )


def _ratio(environment: Mapping[str, str], name: str, default: str) -> float:
    text = environment.get(name) or default
    try:
        ratio = float(text)
    except ValueError:
        ratio = -1.0
    if not 0 <= ratio <= 1:
        raise RefusedError(f"{name} is {text!r}, which is no share.", f"Set {name} to a number from 0 to 1.")
    return ratio


def _days(environment: Mapping[str, str], name: str, default: str) -> int:
    text = environment.get(name) or default
    if not text.isascii() or not text.isdigit() or int(text) > MAX_DAYS:
        raise RefusedError(f"{name} is {text!r}, which is no number of days.", f"Set {name} to 0 or more days.")
    return int(text)
