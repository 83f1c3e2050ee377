"""The words of Cosmos' exception → which dbt tests failed, and what to do; for tasks and commands."""

from __future__ import annotations

import re

_FAILED_TEST = re.compile(r"([\w.]+): (Got (\d+) results?, configured to fail)")
REMEDY = (
    "The data of this load contradict a rule; readers keep the marts that they have. Look into the load, then clear"
    " the task group of the models."
)


def failed_tests(message: str) -> list[tuple[str, int]]:
    """Find the dbt tests that failed, and how many rows each found, in the words of Cosmos' exception."""
    return [(match[1], int(match[3])) for match in _FAILED_TEST.finditer(message)]


def describe_failed_tests(message: str) -> str:
    """Name them in one line; empty if there are none."""
    tests = ", ".join(f"{name} ({rows} rows)" for name, rows in failed_tests(message))
    return f"Failed dbt tests: {tests}" if tests else ""
