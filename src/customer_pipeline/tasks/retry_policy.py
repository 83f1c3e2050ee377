"""What a failed dbt task means: bad data fails at once, a lost connection is tried again."""

from __future__ import annotations

import re
from typing import Any

from airflow.sdk import Context
from airflow.sdk.definitions.retry_policy import RetryDecision, RetryPolicy

from customer_pipeline.failures import describe_failed_tests

_BROKEN_PROMISE = re.compile(
    r"violates|actual differs from expected|does not exist|permission denied|Compilation Error", re.IGNORECASE
)


class DbtRetryPolicy(RetryPolicy):
    """Retry a dbt task unless its own words say that a retry can't help.

    Cosmos raises one exception type for a failed test and for a lost connection, so the decision reads the
    message: failed tests, broken constraints and errors in a model are final.
    """

    def evaluate(
        self,
        exception: BaseException,
        try_number: int,  # noqa: ARG002 - the interface's
        max_tries: int,  # noqa: ARG002 - the interface's
        context: Context | None = None,  # noqa: ARG002 - the interface's
    ) -> RetryDecision:
        """Decide by the exception's message."""
        message = str(exception)
        if failed := describe_failed_tests(message):
            return RetryDecision.fail(f"{failed}. A retry can't help.")
        if _BROKEN_PROMISE.search(message):
            return RetryDecision.fail("A model or a constraint of it is broken. A retry can't help.")
        return RetryDecision.default()

    def serialize(self) -> dict[str, Any]:
        """Return the arguments of this policy: none."""
        return {}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> RetryPolicy:  # noqa: ARG003 - the interface's
        """Make the policy again."""
        return cls()
