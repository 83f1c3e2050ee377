"""The generator of samples: the same bytes always, every kind of dirt, whole files only."""

import hashlib
import json
import os
import re
import stat
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import pytest
from typer._click.exceptions import UsageError

from audited_load.errors import RefusedError, UnavailableError
from command_line import call
from customer_pipeline.sample import generator, styles, true_values
from customer_pipeline.sample.dirt import FAULTS
from customer_pipeline.sample.generator import DEFAULT_DIRT, describe, write_sample

COMMITTED = Path(__file__).parents[2] / "data" / "customer_transactions.csv"
NUMBER = r"\d+(\.\d+)?"
STYLES = {
    0: [r"\d+", r"T\d+", r"t\d+", r"\d+\.0", r" \d+ "],
    1: [r"\d+", r"\d+\.0", r"C\d+", r" \d+ ", ""],
    2: [
        r"\d{4}-\d\d-\d\d",
        r"\d\d-\d\d-\d{4}",
        r"\d\d/\d\d/\d{4}",
        r"\d\d\.\d\d\.\d{4}",
        r"\d{4}/\d\d/\d\d",
        r"\d{4}\.\d\d\.\d\d",
        r".{10}T08:15:00",
        r".{10} 17:30:05",
        r".{10}T23:59:59Z",
    ],
    3: [r"\d+", r"P\d+", r"p\d+", r"\d+\.0", r"\d+ "],
    5: [r"\d+", r"\d+\.0", r"-\d+", r"[A-Z][a-z]+", r"[a-z]+", r" \d+ ", ""],
    6: [NUMBER, rf"\${NUMBER}", r'"\$\d,\d{3}\.\d\d"', rf"USD {NUMBER}", r" [\d.]+  ", "", r"\d+\.\d{4}"],
    7: [NUMBER, rf"-{NUMBER}", r"\(\d+\.\d\d\)", rf"\${NUMBER}", rf"USD {NUMBER}", ""],
}


def generate(rows, seed, dirt=DEFAULT_DIRT):
    out = BytesIO()
    truth = write_sample(out, rows, seed, dirt)
    return out.getvalue(), truth


def run(*arguments):
    return call("sample", *arguments)


def test_the_committed_sample_is_what_the_generator_writes():
    assert generate(1000, 42)[0] == COMMITTED.read_bytes()


def test_a_large_sample_has_the_same_bytes_in_every_version():
    data, _ = generate(20_000, 7)
    assert hashlib.sha256(data).hexdigest() == "b3ad8aa96334e3c63c5c86a695fc92f591549cad55a6d2cd8cbbdb772b719120"


def test_another_seed_gives_other_records():
    assert generate(50, 1)[0] != generate(50, 2)[0]


def test_a_shorter_sample_of_the_same_catalogue_is_the_start_of_a_longer_one():
    assert generate(149, 42)[0].startswith(generate(100, 42)[0])


def test_chunks_differ(monkeypatch):
    for module in (generator, true_values):
        monkeypatch.setattr(module, "CHUNK_ROWS", 1_000)
    lines = generate(2_000, 42, 0.0)[0].split(b"\n")[1:]
    assert not {line.partition(b",")[2] for line in lines[:500]} & {
        line.partition(b",")[2] for line in lines[1_000:]
    }


def test_one_core_and_another_hash_seed_give_the_same_bytes():
    module = "customer_pipeline.sample.generator"
    code = f"import sys; from {module} import write_sample; write_sample(sys.stdout.buffer, 3000, 42)"
    environment = os.environ | {"POLARS_MAX_THREADS": "1", "PYTHONHASHSEED": "1", "TZ": "Asia/Tokyo"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True)
    assert done.stdout == generate(3000, 42)[0]


@pytest.mark.parametrize("seed", [42, 0, 1, -7, 2**70])
def test_every_fault_occurs_in_a_thousand_records(seed):
    expected = {reason for named, *_ in FAULTS for reason in named.split()}
    truth = generate(1000, seed)[1]
    assert set(truth["reasons"]) == expected | {"record:superseded"}
    assert truth["duplicates"] >= 4
    assert truth["superseded"] >= 4


@pytest.mark.parametrize(
    "text", ["501.7", "31-02-2023", "07-25-2023", "1.5", "inf", '"1.234,50"', '"12,34"', "1e999"]
)
def test_the_examples_of_the_column_rules_are_in_the_committed_sample(text):
    assert f",{text}," in COMMITTED.read_text(errors="replace").replace("\n", ",\n")


def fields_of_simple_lines():
    for line in COMMITTED.read_text(errors="replace").split("\n")[1:]:
        fields = re.findall(r'(?:^|,)("(?:[^"]|"")*"|[^",]*)', line)
        if len(fields) == 8:
            yield fields


@pytest.mark.parametrize(
    ("place", "style"), [(place, style) for place, styles in STYLES.items() for style in styles]
)
def test_every_style_occurs_in_the_committed_sample(place, style):
    assert any(re.fullmatch(style, fields[place]) for fields in fields_of_simple_lines())


@pytest.mark.parametrize("token", ["", "NA", "N/A", "NULL", "None", "NaN", "-"])
def test_every_null_token_occurs_in_the_committed_sample(token):
    assert any(token in fields[5:] or token == fields[1] for fields in fields_of_simple_lines())


@pytest.mark.parametrize("words", [r"[A-Z]\w+ Hundred", r"hundred and", r"[Pp]oint", r"[a-z]-[a-z]"])
def test_amounts_in_words_occur_in_the_committed_sample(words):
    assert any(re.search(words, ",".join(fields[6:])) for fields in fields_of_simple_lines())


def test_weights_of_styles_are_per_mille():
    for column, weights in styles.WEIGHTS.items():
        assert sum(weights) == 1000, column


def test_doubles_come_as_the_same_bytes_and_in_another_format():
    lines = COMMITTED.read_bytes().split(b"\n")
    by_id = {}
    for line in lines:
        if match := re.match(rb" ?[Tt]?(\d{4})(?:\.0| )?,", line):
            by_id.setdefault(match[1], []).append(line)
    pairs = [pair for pair in by_id.values() if len(pair) == 2]
    assert sum(first == second for first, second in pairs) >= 2
    assert len(pairs) == len([lines for lines in by_id.values() if len(lines) > 1])  # never three
    truth = generate(1000, 42)[1]
    assert truth["duplicates"] + truth["superseded"] == len(pairs)
    assert truth["duplicates"] > sum(first == second for first, second in pairs)


def test_no_later_quote_could_close_the_unclosed_one_into_a_whole_record():
    opened, later = COMMITTED.read_text(errors="replace").split(',"20', 1)
    assert opened.rpartition("\n")[2].count(",") == 1
    for quote in re.finditer('"', later):
        rest = later[quote.end() :].partition("\n")[0]
        assert not rest.startswith(",") or 2 + 1 + rest.count(",") != 8


@pytest.mark.parametrize("rows", [0, 1, 38, 63, 200, 999, 1000, 1001, 30_000])
def test_the_default_stays_below_the_threshold(rows):
    truth = generate(rows, 42)[1]
    assert (truth["quarantined"] - truth["superseded"]) <= 0.05 * rows


@pytest.mark.parametrize("dirt", [0.0, 0.01, 0.2, 1.0])
def test_dirt_is_the_share_of_broken_records(dirt):
    truth = generate(20_000, 3, dirt)[1]
    assert (truth["quarantined"] - truth["superseded"]) / 20_000 == pytest.approx(dirt, abs=0.01)
    if dirt == 0:
        assert set(truth["reasons"]) == {"record:superseded"}


def test_the_file_and_its_truth_are_written(tmp_path, capsys):
    out, truth = tmp_path / "a.csv", tmp_path / "a.json"
    assert run("--rows", 1000, "--seed", 42, "--out", out, "--truth", truth) == 0
    assert out.read_bytes() == COMMITTED.read_bytes()
    assert json.loads(truth.read_text()) == describe(1000, 42)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "a.json"]
    assert "1,000 records" in capsys.readouterr().err


def test_a_dash_is_standard_output(capsysbinary):
    assert run("--rows", 1000, "--seed", 42, "--out", "-") == 0
    assert capsysbinary.readouterr().out == COMMITTED.read_bytes()


def test_a_failure_midway_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    out = tmp_path / "a.csv"
    out.write_text("old")

    def fail(*_arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(generator, "write_lines", fail)
    with pytest.raises(UnavailableError, match="No space left"):
        run("--rows", 10, "--seed", 1, "--out", out, "--force")
    assert out.read_text() == "old"
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize("taken", ["a.csv", "a.json"])
def test_a_file_that_is_there_is_replaced_only_if_asked_for(tmp_path, taken):
    out, truth = tmp_path / "a.csv", tmp_path / "a.json"
    (tmp_path / taken).write_text("precious")
    arguments = ("--rows", 3, "--seed", 1, "--out", out, "--truth", truth)
    with pytest.raises(RefusedError, match=rf"{taken} in .*already there(?s:.*)--force"):
        run(*arguments)
    assert [path.name for path in tmp_path.iterdir()] == [taken]
    assert (tmp_path / taken).read_text() == "precious"
    assert run(*arguments, "--force") == 0
    assert out.read_bytes() == generate(3, 1)[0]


def test_a_link_stays_a_link(tmp_path):
    link, target = tmp_path / "link.csv", tmp_path / "target.csv"
    link.symlink_to(target)
    run("--rows", 3, "--seed", 1, "--out", link)
    assert link.is_symlink()
    assert target.read_bytes() == generate(3, 1)[0]


def test_a_pipe_is_written_into_and_not_replaced(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    run("--rows", 3, "--seed", 1, "--out", pipe)
    assert os.read(reader, 65536) == generate(3, 1)[0]
    os.close(reader)
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(UnavailableError, match=r"nowhere/a.csv: can't be written: No such file"):
        run("--rows", 3, "--seed", 1, "--out", tmp_path / "nowhere" / "a.csv")


@pytest.mark.parametrize(
    "arguments", [("--rows", "-1"), ("--rows", "x"), ("--dirt", "1.1"), ("--dirt", "nan"), ("--dirt", "much")]
)
def test_wrong_arguments_are_refused_before_anything_is_written(tmp_path, arguments):
    with pytest.raises(UsageError):
        run("--rows", 3, "--seed", 1, "--out", tmp_path / "a.csv", *arguments)
    assert not list(tmp_path.iterdir())
