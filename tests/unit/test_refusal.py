"""Errors of the database: what becomes of them, wherever they come from."""

from __future__ import annotations

import signal
import sys

import psycopg
import pytest

from audited_load.errors import BadDataError, RefusedError, UnavailableError
from audited_load.warehouse.refusal import as_pipeline_error
from customer_pipeline import cli
from customer_pipeline.commands import status

CLASSES = sorted({psycopg.Error, *psycopg.errors._sqlcodes.values()}, key=lambda kind: kind.__name__)


def test_every_error_of_the_driver_has_a_remedy() -> None:
    for kind in CLASSES:
        found = as_pipeline_error(kind("secret"))
        assert isinstance(found, BadDataError | RefusedError | UnavailableError), kind
        assert found.remedy, kind
        assert isinstance(found, UnavailableError) or "secret" not in str(found), kind


@pytest.mark.parametrize(
    ("error", "code"), [(psycopg.OperationalError("away"), 1), (psycopg.errors.UniqueViolation("secret"), 2)]
)
def test_a_command_ends_with_a_message_and_no_traceback(
    error: psycopg.Error, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(status, "print_status", fail)
    monkeypatch.setattr(sys, "argv", ["customer-pipeline", "status"])
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    signal.signal(signal.SIGINT, before)  # the command had it for itself
    assert ended.value.code == code
    assert "What to do: " in capsys.readouterr().err
