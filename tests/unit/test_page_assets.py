"""The charts' script is made once, at set-up, and served from its file."""

from __future__ import annotations

import gzip
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline_page import web_assets

ROOT = Path(__file__).parents[2]


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """Count how often the script is made; a little slow, so that two at once would be seen."""
    times: list[float] = []

    def bundle() -> bytes:
        times.append(time.monotonic())
        time.sleep(0.2)
        return gzip.compress(b"script")

    monkeypatch.setattr(web_assets, "_bundle", bundle)
    web_assets._kept_script.cache_clear()
    yield times
    web_assets._kept_script.cache_clear()


def side_by_side(call: object, number: int = 4) -> list[bytes]:
    answers: list[bytes] = []
    threads = [threading.Thread(target=lambda: answers.append(call())) for _ in range(number)]  # type: ignore[operator]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def test_it_is_made_once_and_then_read(tmp_path: Path, made: list[float]) -> None:
    folder = tmp_path / "share" / "here"
    answers = side_by_side(lambda: web_assets.prepare_script(folder))
    assert {gzip.decompress(answer) for answer in answers} == {b"script"}
    assert len(made) == 1
    assert [path.suffix for path in folder.iterdir() if path.name != "lock"] == [".gz"], "nothing half-made is left"
    web_assets.prepare_script(folder)
    assert len(made) == 1


def test_where_the_file_cant_be_written_it_is_made_once_in_memory(
    tmp_path: Path, made: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.touch()
    monkeypatch.setattr(web_assets.prepare_script, "__defaults__", (in_the_way / "folder",))
    answers = side_by_side(lambda: web_assets.serve("vega.js").body)
    assert {gzip.decompress(answer) for answer in answers} == {b"script"}
    assert len(made) == 1


def test_another_release_of_the_package_has_a_file_of_its_own(
    tmp_path: Path, made: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    web_assets.prepare_script(tmp_path)
    monkeypatch.setattr(web_assets, "version", lambda _: "99")
    web_assets.prepare_script(tmp_path)
    assert len(made) == 2


def test_two_processes_at_once_make_it_once(tmp_path: Path) -> None:
    program = (
        "import pathlib, sys, time; from pipeline_page import web_assets as w\n"
        "def bundle():\n"
        "    with open(sys.argv[1] + '/made', 'a') as file: file.write('x')\n"
        "    time.sleep(1)\n"
        "    return b'script'\n"
        "w._bundle = bundle\n"
        "print(w.prepare_script(pathlib.Path(sys.argv[1])))"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    assert [process.communicate(timeout=120)[0] for process in started] == ["b'script'\n"] * 2
    assert (tmp_path / "made").read_text() == "x"


def test_the_script_of_the_set_up_is_the_one_that_draws_charts() -> None:
    script = gzip.decompress(web_assets.prepare_script()).decode()
    assert "vegaEmbed" in script
    assert len(script) > 500_000


@pytest.mark.parametrize(
    ("file", "program"), [("Makefile", r"\$\(BIN\)/python"), ("Dockerfile", "/opt/venv/bin/python")]
)
def test_both_ways_to_set_up_make_it(file: str, program: str) -> None:
    assert re.search(rf"{program} -m pipeline_page\.web_assets$", (ROOT / file).read_text(), re.MULTILINE)
