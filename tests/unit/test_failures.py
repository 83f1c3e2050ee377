"""Why something failed, in words that hold no value of a record."""

from __future__ import annotations

from typing import Any

import pytest

from audited_load.errors import BadDataError, RefusedError, UnavailableError, UnusableFileError
from customer_pipeline.failures import NO_WORD, find_reason, find_reason_in_log
from customer_pipeline.tasks.task_errors import explain_error


def event(*causes: tuple[str, str]) -> dict[str, Any]:
    return {
        "level": "error",
        "event": "x",
        "error_detail": [{"exc_type": kind, "exc_value": text} for kind, text in causes],
    }


@pytest.mark.parametrize("kind", [BadDataError, UnusableFileError, RefusedError, UnavailableError])
def test_the_pipelines_own_errors_are_quoted_with_their_remedy(kind: type[BadDataError]) -> None:
    error = kind("It holds\ntwo lines.", "Do `make run`.")
    reason = find_reason([("AirflowFailException", "another text 4711"), (kind.__name__, str(error))])
    assert (reason.what, reason.remedy) == ("It holds two lines.", "Do `make run`.")


def test_what_was_found_in_place_of_a_header_is_not_quoted() -> None:
    error = UnusableFileError("in.csv: no header. Found: Zoë, 4711.", "Put the header on the first line.")
    assert find_reason([(type(error).__name__, str(error))]).what == "in.csv: no header."


def test_the_words_of_others_are_not_quoted() -> None:
    reason = find_reason([("IntegrityError", "Key (id)=(4711) exists"), ("UniqueViolation", "4711")])
    assert (reason.what, "4711" in reason.remedy) == ("IntegrityError", False)


def test_failed_dbt_tests_are_named_with_their_rows() -> None:
    text = "dbt invocation completed with errors: unique_key: Got 3 results, configured to fail if != 0"
    assert find_reason([("AirflowException", text)]).what == "Failed dbt tests: unique_key (3 rows)"


def test_of_a_log_its_last_error_counts() -> None:
    log = [
        event(("UnavailableError", "Away.\n  What to do: Wait.")),
        {"event": "in between", "error_detail": None},
        event(("AirflowFailException", "x"), ("BadDataError", "Bad.\n  What to do: Mend it.")),
        {"event": "the end"},
    ]
    reason = find_reason_in_log(log)
    assert (reason.what, reason.remedy) == ("Bad.", "Mend it.")


def test_a_log_without_an_error_is_of_a_process_that_was_killed() -> None:
    assert find_reason_in_log([{"event": "all is well"}]) == NO_WORD
    assert find_reason_in_log([]) == NO_WORD


def test_page_and_alert_say_the_same_of_an_exception() -> None:
    error = RuntimeError("row 4711")
    error.__cause__ = BadDataError("Bad.", "Mend it.")
    assert explain_error(error) == ("Bad.", "Mend it.")
    assert explain_error(RuntimeError("row 4711"))[0] == "RuntimeError"
    assert explain_error(None) == (NO_WORD.what, NO_WORD.remedy)
    assert "4711" not in str(explain_error("row 4711"))
