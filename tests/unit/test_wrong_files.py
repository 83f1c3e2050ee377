"""A file that is none, or the wrong one: each command says so fittingly, and starts nothing for it."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer._click.exceptions import UsageError

from audited_load.errors import PipelineError, UnusableFileError
from command_line import call
from customer_pipeline.commands import replay

KINDS = {
    "missing": ("no such file", None),
    "folder": ("not a regular file", None),
    "empty": ("is empty", b""),
    "program": ("a program", b"\x7fELF" + bytes(range(256)) * 40),
    "other columns": ("column", b"a,b\n1,2\n"),
}


def make(kind: str, folder: Path) -> Path:
    path = folder / "wrong.csv"
    content = KINDS[kind][1]
    if content is not None:
        path.write_bytes(content)
    elif kind == "folder":
        path.mkdir()
    return path


@pytest.fixture(autouse=True)
def nothing_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("it starts services")

    monkeypatch.setenv("PIPELINE_HOME", str(tmp_path))
    monkeypatch.setenv("RUNTIME", "embedded")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(replay, "start_services", fail)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("line", ["clean FILE --out out", "quarantine replay FILE"])
def test_a_file_that_cant_be_used_is_told_why(line: str, kind: str, tmp_path: Path) -> None:
    path = make(kind, tmp_path)
    with pytest.raises(UnusableFileError) as raised:
        call(*(path if word == "FILE" else word for word in line.split()))
    assert KINDS[kind][0] in raised.value.message
    if line.startswith("quarantine"):
        assert "is no export of the quarantine" in raised.value.message
        assert "quarantine export --out FILE" in raised.value.remedy
        assert "supplier" not in str(raised.value)


@pytest.mark.parametrize("kind", ["missing", "folder", "empty", "program"])
def test_inspect_says_what_is_wrong_with_a_file(kind: str, tmp_path: Path) -> None:
    with pytest.raises(UnusableFileError, match=KINDS[kind][0]):
        call("inspect", make(kind, tmp_path))


@pytest.mark.parametrize("kind", ["missing", "folder"])
def test_run_says_what_is_wrong_with_a_file_before_it_starts_anything(kind: str, tmp_path: Path) -> None:
    with pytest.raises(UnusableFileError, match=KINDS[kind][0]):
        call("run", make(kind, tmp_path))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("line", ["contract check FILE", "clean good.csv --out out --contract FILE"])
def test_a_file_that_is_no_contract_is_told_as_one(line: str, kind: str, tmp_path: Path) -> None:
    path = make(kind, tmp_path)
    (tmp_path / "good.csv").write_text("x\n")
    with pytest.raises(PipelineError, match="contract"):
        call(*(path if word == "FILE" else word for word in line.split()))


@pytest.mark.parametrize(
    "line",
    ["run ''", "run --source ''", "clean '' --out x", "clean x --out ''", "inspect ''", "quarantine replay ''",
     "quarantine export --out ''", "report --out ''", "sample --rows 1 --seed 1 --out ''"],
)  # fmt: skip
def test_an_empty_path_is_wrong_usage_and_not_the_working_directory(line: str, tmp_path: Path) -> None:
    before = set(tmp_path.iterdir())
    with pytest.raises(UsageError, match="empty"):
        call(*("" if word == "''" else word for word in line.split()))
    assert set(tmp_path.iterdir()) == before


def test_an_odd_name_is_shown_alike_by_sample_and_clean(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    odd = tmp_path / "a\x1b[31mb\u202e.csv"
    assert call("sample", "--rows", "50", "--seed", "1", "--dirt", "0", "--out", odd) == 0
    assert call("clean", odd, "--out", tmp_path / "out") == 0
    said = capsys.readouterr()
    for text in (said.out, said.err):
        assert r"a\x1b[31mb\u202e.csv" in text
        assert "\x1b" not in text
