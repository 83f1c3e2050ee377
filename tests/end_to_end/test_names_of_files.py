"""In a real Airflow: a file's name, and their number, may be anything; nothing is left out without a word."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from end_to_end.conftest import Stack
from integration.loading import write_csv

ODD = (b"caf\xe9.csv", b"line\nend.csv", b"\x1b[31mred.csv", b'it\'s "a" $HOME; x.csv', b"l" * 251 + b".csv")


def test_a_bad_name_does_not_block_its_folder(stack: Stack) -> None:
    folder = stack.runtime.data / "odd"
    for number, name in enumerate(ODD):
        write_csv(folder / os.fsdecode(name), range(900_000 + number, 900_001 + number))
    code, run_id, printed = stack.run("--source", "odd", "--mode", "merge")
    assert code == 3, printed
    assert r"The name of odd/caf\xe9.csv is not UTF-8" in printed
    assert "Traceback" not in printed
    assert "\x1b[31m" not in printed
    loaded = stack.ask("ebury", "select source_name from cleaned_data.loads where run_id = %s", run_id)
    assert {name for (name,) in loaded} == {f"odd/{name.decode()}" for name in ODD[1:]}
    assert stack.tries(run_id)["clean_and_transform_csv"] == ("success", 1)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("many", "These are 1025 files, and one run takes 1024"),
        ("*/" * 300, "300 folders"),
    ],
    ids=["many", "deep"],
)
def test_what_no_run_can_take_is_refused_at_once_with_a_remedy(stack: Stack, source: str, said: str) -> None:
    many = stack.runtime.data / "many"
    many.mkdir(exist_ok=True)
    for number in range(1025):
        (many / f"{number}.csv").touch()
    code, run_id, printed = stack.run("--source", source)
    assert code == 1, printed
    assert said in printed
    assert "What to do: " in printed
    assert "Traceback" not in printed
    assert stack.tries(run_id)["clean_and_transform_csv"] == ("failed", 1)
    assert stack.ask("ebury", "select holder from cleaned_data.lease") == []


def test_a_name_that_can_not_be_sent_is_refused_before_anything_is_started(stack: Stack) -> None:
    file = Path(os.fsdecode(os.fsencode(stack.runtime.data) + b"/odd/" + ODD[0]))
    code, run_id, printed = stack.run(os.fspath(file))
    assert (code, run_id) == (3, "")
    assert r"caf\xe9.csv is not UTF-8" in printed
