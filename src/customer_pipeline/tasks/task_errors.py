"""The pipeline's errors → what Airflow does about them, fail at once or retry, and what people are told."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from airflow.sdk.exceptions import AirflowException, AirflowFailException

from audited_load.errors import PipelineError, UnavailableError
from customer_pipeline.failures import find_reason

log = logging.getLogger(__name__)


@contextmanager
def reported_errors(parent_group: str) -> Iterator[None]:
    """Tell Airflow which errors may be retried; the log gets what happened and what to do.

    Args:
        parent_group: The task group, for the log.

    Raises:
        AirflowFailException: For bad data and refusals, which no retry can help.
        AirflowException: For what may be there at the next try.
    """
    try:
        yield
    except UnavailableError as error:
        log.warning("[%s] %s", parent_group, error)
        raise AirflowException(str(error)) from error
    except PipelineError as error:
        log.error("[%s] %s", parent_group, error)  # noqa: TRY400 - the traceback comes with the raise
        raise AirflowFailException(str(error)) from error


def find_cause(error: object) -> PipelineError | None:
    """Find the pipeline's own error behind a task's exception, if there is one."""
    cause: BaseException | None = error if isinstance(error, BaseException) else None
    while cause is not None and not isinstance(cause, PipelineError):
        cause = cause.__cause__
    return cause


def explain_error(error: object) -> tuple[str, str]:
    """Say what happened and what to do, without a value of any record.

    Args:
        error: The exception of the task, text, or None, as Airflow gives it.
    """
    causes, cause = [], error
    while isinstance(cause, BaseException):
        causes.append((type(cause).__name__, str(cause)))
        cause = cause.__cause__
    reason = find_reason(causes or ([("", str(error))] if error else []))
    return reason.what, reason.remedy
