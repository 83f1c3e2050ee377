"""The log of a task goes to the store when it ends, and is read there by whoever has the connection."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from airflow.models.connection import Connection
from airflow.sdk._shared.logging.factory import resolve_remote_task_log
from airflow.sdk._shared.module_loading import import_string
from airflow.sdk.configuration import conf
from airflow.sdk.exceptions import AirflowNotFoundException

from audited_load.errors import UnavailableError
from customer_pipeline.storing import stored_logs
from customer_pipeline.storing.stored_logs import REMOTE_TASK_LOG
from unit.s3_server import KEY, S3Server, running_server

PLACE = "dag_id=d/run_id=r/task_id=t/attempt=1.log"
CELERY = Path(__file__).parents[2] / "deploy" / "celery.env"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    with running_server() as started:
        url = f"aws://{KEY}:a%20secret@/?endpoint_url=http://127.0.0.1:{started.port}"
        monkeypatch.setenv("AIRFLOW_CONN_STORAGE", url)
        monkeypatch.setenv("STORAGE_ROOT", "s3://bucket/pre/fix")
        monkeypatch.setenv("AIRFLOW__LOGGING__BASE_LOG_FOLDER", str(tmp_path))
        yield started


def write_log(folder: Path, text: str) -> Path:
    path = folder / PLACE
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_a_log_is_read_where_it_was_put(server: S3Server, tmp_path: Path) -> None:
    write_log(tmp_path, "one\ntwo\n")
    REMOTE_TASK_LOG.upload(PLACE)
    assert server.keys() == [f"logs/{PLACE}"]
    assert REMOTE_TASK_LOG.read(PLACE) == ([f"s3://bucket/pre/fix/logs/{PLACE}"], ["one\ntwo\n"])


@pytest.mark.usefixtures("server")
def test_what_goes_on_elsewhere_comes_after_what_is_there(tmp_path: Path) -> None:
    write_log(tmp_path, "until it waits\n")
    REMOTE_TASK_LOG.upload(PLACE)
    write_log(tmp_path, "until it waits\nhere again\n")  # the same worker: its file goes on
    REMOTE_TASK_LOG.upload(PLACE)
    write_log(tmp_path, "on another worker\n")
    REMOTE_TASK_LOG.upload(PLACE)
    assert REMOTE_TASK_LOG.read(PLACE)[1] == ["until it waits\nhere again\non another worker\n"]


def test_a_log_stays_on_the_disk_unless_airflow_is_told_otherwise(
    server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_log(tmp_path, "line\n")
    REMOTE_TASK_LOG.upload(PLACE)
    assert path.exists()
    monkeypatch.setenv("AIRFLOW__LOGGING__DELETE_LOCAL_LOGS", "True")
    REMOTE_TASK_LOG.upload(PLACE)
    assert not path.exists()
    REMOTE_TASK_LOG.upload(PLACE)  # and what is not there is no fault
    assert server.keys() == [f"logs/{PLACE}"]


def test_a_log_that_is_not_there_yet_and_a_store_that_is_away_break_no_page(
    server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert REMOTE_TASK_LOG.read(PLACE) == ([], None)
    monkeypatch.setattr(stored_logs, "_READER_WAITS_SECONDS", 0.0)
    server.away = 5
    sources, text = REMOTE_TASK_LOG.read(PLACE)
    assert text is None
    assert "does not answer" in sources[0]


def test_without_a_connection_a_page_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_STORAGE", raising=False)
    monkeypatch.setattr(Connection, "get_connection_from_secrets", raise_not_found)
    sources, text = REMOTE_TASK_LOG.read(PLACE)
    assert text is None
    assert "no Airflow connection storage" in sources[0]


def raise_not_found(connection_id: str) -> Connection:
    raise AirflowNotFoundException(connection_id)


def test_a_log_that_cannot_be_put_stays_on_the_disk(
    server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_log(tmp_path, "line\n")
    monkeypatch.setenv("AIRFLOW__LOGGING__DELETE_LOCAL_LOGS", "True")
    monkeypatch.setattr(stored_logs, "WAIT_SECONDS", 0.0)
    server.away = 5
    with pytest.raises(UnavailableError):
        REMOTE_TASK_LOG.upload(PLACE)
    assert path.exists()


def test_airflow_takes_it_by_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    line = next(line for line in CELERY.read_text().splitlines() if "LOGGING_CONFIG_CLASS=" in line)
    monkeypatch.setenv(*line.split("=", 1))
    found = resolve_remote_task_log(conf=conf, providers_manager=None, import_string=import_string)  # type: ignore[arg-type]
    assert found == (REMOTE_TASK_LOG, "storage")
