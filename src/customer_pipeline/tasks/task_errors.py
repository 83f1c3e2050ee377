"""The pipeline's errors → what Airflow does about them: fail at once, or retry."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from airflow.sdk.exceptions import AirflowException, AirflowFailException

from audited_load.errors import PipelineError, UnavailableError

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
