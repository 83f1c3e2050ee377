"""An error, or the log of a task → what happened and what to do, without any record's values. Free of Airflow."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from audited_load.command import command
from audited_load.errors import SAYS_REMEDY, PipelineError

TESTS_REMEDY = (
    "the data of this load contradict a rule; readers keep the marts that they have. Look into the load, then clear"
    " the task group of the models."
)
_FAILED_TEST = re.compile(r"([\w.]+): (Got (\d+) results?, configured to fail)")


@dataclass(frozen=True)
class Reason:
    """Why something failed.

    Attributes:
        what: What happened, in one line.
        remedy: What to do, in one line.
    """

    what: str
    remedy: str


NOT_READ = Reason("its log can't be read now", f"open the log; {command('status')} says what is down.")
NO_WORD = Reason("the task's process ended without a word", "read the log; clear the task when the cause is gone.")


def find_reason(causes: Sequence[tuple[str, str]]) -> Reason:
    """Say why something failed.

    Only the pipeline's own errors are quoted: the words of a database or a library may quote a row.

    Args:
        causes: Name of the type and text of the error, and of what caused it, the error first.
    """
    own = own_types()
    for kind, text in causes:
        if kind in own:
            message, _, remedy = text.partition(SAYS_REMEDY)
            # What was found instead of a header may be a record.
            return Reason(_one_line(message.split(" Found: ")[0]), _one_line(remedy))
    if not causes:
        return NO_WORD
    kind, text = causes[0]
    if tests := describe_failed_tests(text):
        return Reason(tests, TESTS_REMEDY)
    return Reason(kind or NO_WORD.what, NO_WORD.remedy)


def find_reason_in_log(events: Iterable[Mapping[str, Any]]) -> Reason:
    """Say why a task failed, by the last error in its log.

    Args:
        events: The log, event by event, as Airflow gives it.
    """
    causes: list[Mapping[str, Any]] = []
    for event in events:
        causes = event.get("error_detail") or causes
    return find_reason([(str(cause.get("exc_type", "")), str(cause.get("exc_value", ""))) for cause in causes])


def failed_tests(message: str) -> list[tuple[str, int]]:
    """Find the dbt tests that failed, and how many rows each found, in the words of Cosmos' exception."""
    return [(match[1], int(match[3])) for match in _FAILED_TEST.finditer(message)]


def describe_failed_tests(message: str) -> str:
    """Name them in one line; empty if there are none."""
    tests = ", ".join(f"{name} ({rows} rows)" for name, rows in failed_tests(message))
    return f"Failed dbt tests: {tests}" if tests else ""


def own_types(kind: type[PipelineError] = PipelineError) -> set[str]:
    """Return the names of the pipeline's own errors."""
    return {kind.__name__}.union(*map(own_types, kind.__subclasses__()))


def _one_line(text: str) -> str:
    return " ".join(text.split())
