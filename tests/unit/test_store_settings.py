"""In which store files lie, and who asks it: the words of an Airflow connection, and a root that is remembered."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from audited_load.errors import RefusedError
from audited_load.storage import Access
from customer_pipeline.commands.erase import erase_customer
from customer_pipeline.runtime.environment import process_environment
from customer_pipeline.runtime.installation import Runtime, read_runtime, remember_start
from customer_pipeline.storing.store_access import VARIABLE, read_access

WORDS = {"login": "key", "password": "se/cr+et", "extra": {"endpoint_url": "http://s3:8333", "region_name": "eu"}}
ACCESS = Access("http://s3:8333", "eu", "key", "se/cr+et")


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"conn_type": "aws", **WORDS}),
        json.dumps({"conn_type": "aws", **WORDS, "extra": json.dumps(WORDS["extra"])}),
        "aws://key:se%2Fcr%2Bet@/?endpoint_url=http%3A%2F%2Fs3%3A8333&region_name=eu",
    ],
)
def test_a_connection_is_read_as_airflow_reads_it(text: str) -> None:
    assert read_access({VARIABLE: text}) == ACCESS


def test_without_a_login_the_machine_asks() -> None:
    assert read_access({VARIABLE: '{"conn_type": "aws"}'}) == Access()


@pytest.mark.parametrize("text", ["", "{", '{"extra": "no JSON", "password": "se/cr+et"}', "se/cr+et"])
def test_what_is_no_connection_is_said_and_not_shown(text: str) -> None:
    with pytest.raises(RefusedError, match=VARIABLE) as caught:
        read_access({VARIABLE: text})
    assert "se/cr+et" not in str(caught.value)


def read(home: Path, **environment: str) -> Runtime:
    return read_runtime({"PIPELINE_HOME": str(home), **environment})


def test_the_store_of_the_last_start_is_remembered_until_another_is_named(tmp_path: Path) -> None:
    assert read(tmp_path).storage == ""
    started = read(tmp_path, STORAGE_ROOT="s3://bucket/prefix")
    remember_start(started)
    assert read(tmp_path).storage == "s3://bucket/prefix"
    assert process_environment(read(tmp_path))["STORAGE_ROOT"] == "s3://bucket/prefix"
    assert read(tmp_path, STORAGE_ROOT="").storage == ""


def test_nobody_is_erased_in_part_because_the_store_can_t_be_reached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIPELINE_HOME", str(tmp_path))
    monkeypatch.delenv(VARIABLE, raising=False)
    remember_start(read(tmp_path, STORAGE_ROOT="s3://bucket/prefix"))
    with pytest.raises(RefusedError, match=VARIABLE):
        erase_customer("501")
