"""`customer-pipeline clean`: it overwrites no input, says what it replaces, fits a screen and hides nothing."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cleaning import HEADER, ROW

from audited_load.errors import BadDataError
from audited_load.shown import escape_text, show_json

Done = subprocess.CompletedProcess[str]
CLI = Path(sys.executable).parent / "customer-pipeline"
GOOD = HEADER + ROW.format(1) + ROW.format(2)
OUTPUTS = ("customer_transactions_cleaned.csv", "customer_transactions_rejected.csv", "report.json")
_CAPBSET_DROP, _DAC_OVERRIDE, _DAC_READ_SEARCH = 24, 1, 2


def run_clean(file: Path, out: Path, *options: str, preexec: Callable[[], None] | None = None) -> Done:
    return subprocess.run(
        [CLI, "clean", file, "--out", out, *options],
        capture_output=True,
        text=True,
        preexec_fn=preexec,
        timeout=60,
        check=False,
    )


def obey_rights() -> None:
    """Take from root, in a process to be, the right to read and write what rights forbid."""
    if os.geteuid() == 0:
        for capability in (_DAC_OVERRIDE, _DAC_READ_SEARCH):
            if ctypes.CDLL(None).prctl(_CAPBSET_DROP, capability, 0, 0, 0):
                raise OSError("the capability can't be dropped")


@pytest.mark.parametrize("name", OUTPUTS)
@pytest.mark.parametrize("way", ["itself", "symbolic link", "hard link"])
def test_its_own_input_is_not_overwritten(tmp_path: Path, name: str, way: str) -> None:
    file = tmp_path / "file.csv"
    file.write_text(GOOD)
    output = tmp_path / "out" / name
    output.parent.mkdir()
    if way == "itself":
        file = file.rename(output)
    elif way == "symbolic link":
        output.symlink_to(file)
    else:
        output.hardlink_to(file)
    done = run_clean(file, tmp_path / "out", "--force")
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    assert "would overwrite it" in done.stderr
    assert file.read_text() == GOOD
    assert [path.name for path in output.parent.iterdir()] == [name]


@pytest.mark.parametrize("name", OUTPUTS)
def test_earlier_outputs_are_replaced_only_if_asked_for_and_with_a_word(tmp_path: Path, name: str) -> None:
    (tmp_path / "file.csv").write_text(GOOD)
    assert "Replaced" not in run_clean(tmp_path / "file.csv", tmp_path / "out").stderr
    for other in set(OUTPUTS) - {name}:
        (tmp_path / "out" / other).unlink()
    (tmp_path / "out" / name).write_text("repaired by hand")
    again = run_clean(tmp_path / "file.csv", tmp_path / "out")
    assert (again.returncode, again.stdout) == (1, "")
    assert "--force" in again.stderr
    assert [path.read_text() for path in (tmp_path / "out").iterdir()] == ["repaired by hand"]
    forced = run_clean(tmp_path / "file.csv", tmp_path / "out", "--json", "--force")
    assert forced.returncode == 0
    assert name in forced.stderr.partition("Replaced: ")[2]
    assert json.loads(forced.stdout)["accepted"] == 2


@pytest.mark.parametrize("what", ["file", "folder above", "output folder"])
def test_what_may_not_be_read_or_written_is_a_clear_word(tmp_path: Path, what: str) -> None:
    file, out = tmp_path / "folder" / "file.csv", tmp_path / "out"
    file.parent.mkdir()
    out.mkdir()
    file.write_text(GOOD)
    shut = {"file": file, "folder above": file.parent, "output folder": out}[what]
    mode = shut.stat().st_mode
    shut.chmod(0o555 if what == "output folder" else 0)
    try:
        done = run_clean(file, out, preexec=obey_rights)
    finally:
        shut.chmod(mode)
    assert "Traceback" not in done.stderr, done.stderr[-800:]
    assert done.returncode == (1 if what == "output folder" else 3), done.stderr
    assert "What to do:" in done.stderr


def test_a_bad_file_fits_a_screen(tmp_path: Path) -> None:
    extra = ",".join(f"more{n}" for n in range(30))
    bad = ["x,x,x,x,Thing,x,x,x", "1,1,31-02-2023,1,Thing,1.5,1e9,inf", '1,"x,1', "1", "C5,T5,2024-13-01,P,,1,1,1"]
    good = [f"T{n},501.0,11-07-2023,P7,Thing,Five,$1.10,0.05" for n in range(9)]
    rows = "\n".join(f"{row},{',' * 29}" for row in bad + good)
    (tmp_path / "file.csv").write_text(f"{HEADER.strip()},{extra}\n{rows}\n")
    done = run_clean(tmp_path / "file.csv", tmp_path / "out")
    assert done.returncode == 2, done.stderr
    text = done.stdout + done.stderr
    assert "more, see report.json" in done.stdout
    assert sum(-(-len(line) // 80) or 1 for line in text.splitlines()) <= 24, text


def test_a_guessed_encoding_is_said_with_how_to_declare_it(tmp_path: Path) -> None:
    (tmp_path / "file.csv").write_bytes((HEADER + ROW.format(1).replace("Thing", "Caf\u00e9")).encode("cp1252"))
    done = run_clean(tmp_path / "file.csv", tmp_path / "out")
    assert "guessed" in done.stdout
    assert "SOURCE_ENCODING" in done.stdout


@pytest.mark.parametrize("options", [(), ("--json",)])
@pytest.mark.parametrize("content", [GOOD, HEADER, "no,header\n1,2\n"])
def test_nothing_from_outside_acts_on_a_terminal(tmp_path: Path, options: tuple[str, ...], content: str) -> None:
    file = tmp_path / "a\x1b[31m\u202e\x9b.csv"
    file.write_text(content.replace("tax\n", "tax,b\x1b]0;x\x07\n", 1))
    done = run_clean(file, tmp_path / "out\x1b[2J", *options)
    text = (done.stdout + done.stderr).replace("\n", "")
    assert text.isprintable(), ascii(text)
    assert "Traceback" not in text


def test_an_error_escapes_what_it_quotes_and_keeps_its_lines() -> None:
    error = BadDataError("a\x1b[31m\nb", "c\u202e")
    assert str(error) == "a\\x1b[31m\nb\n  What to do: c\\u202e"


def test_json_for_a_terminal_says_the_same_to_a_program() -> None:
    value = {"a\x1b": "\x9b\u202e\u00e9\U000e0001\n"}
    assert json.loads(show_json(value)) == value
    assert show_json(value).isprintable()
    assert "\u00e9" in show_json(value)
    assert escape_text("\u00e9\n") == "\u00e9\n"
