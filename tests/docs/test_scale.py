"""What docs/scale.md multiplies, it multiplies from the README's measurements, and rightly."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
PAGE = (ROOT / "docs" / "scale.md").read_text()
MILLIONS = 10
"""Of records, in the measurements."""
DAYS = (16, 1_600, 16_000)
"""Millions of records a day: 1 GB, 100 GB, 1 TB."""
BYTES_OF_FILE, BYTES_OF_TABLE, BYTES_OF_INDEX = 74, 150, 32


def figure(what: str) -> float:
    """Return the number of a row of the README's tables."""
    (found,) = re.findall(rf"^\| {re.escape(what)} \| ([\d.]+)", README, re.MULTILINE)
    return float(found)


def seconds(what: str) -> float:
    """Return what a reference of the README took."""
    (found,) = re.findall(rf"^\| {re.escape(what)} \| 1\.00 \(([\d.]+) s\)", README, re.MULTILINE)
    return float(found)


def duration(value: float) -> str:
    return f"{value:.0f} s" if value < 120 else f"{value / 60:.0f} min" if value < 7200 else f"{value / 3600:.1f} h"


def size(megabytes: float) -> str:
    if megabytes >= 1_000_000:
        return f"{megabytes / 1_000_000:.2f} TB"
    return f"{megabytes / 1000:.1f} GB" if megabytes < 10_000 else f"{megabytes / 1000:.0f} GB"


def test_the_table_of_a_days_cost_is_the_measurements_multiplied() -> None:
    copy = seconds("`psql \\copy` of the clean file, 10,000,000 records") / MILLIONS
    marts = seconds("all marts by hand, one after another, 10,000,000 facts") / MILLIONS
    costs = {
        "cleaning": copy * figure("cleaning"),
        "loading": copy * figure("loading, over two connections"),
        "all marts anew, and publishing them": marts
        * (figure("`dbt run` of the project") + figure("publishing the marts, with the sums that the page shows")),
    }
    lines = [
        f"| {what} | {cost:.1f} s | {' | '.join(duration(cost * day) for day in DAYS)} |"
        for what, cost in costs.items()
    ]
    table = BYTES_OF_TABLE + BYTES_OF_INDEX
    kept = 2 * table + 5 * BYTES_OF_FILE
    for what, number in {
        "cleaned file": BYTES_OF_FILE,
        "table and its index": table,
        "two generations and five cleaned files": kept,
    }.items():
        lines.append(f"| {what} | {number} MB | {' | '.join(size(number * day) for day in DAYS)} |")
    assert set(lines) <= set(PAGE.splitlines()), "\n".join(["The table is now:", *lines])
