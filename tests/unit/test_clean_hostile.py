"""A supplier's worst file ends in a right result or a clear error: no traceback, no hang, no silent loss."""

from __future__ import annotations

import gzip
import json
import os
import resource
import socket
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
import zstandard
from cleaning import HEADER, ROW, accepted_values, clean, read_rows, refusing_columns

from audited_load.cleaning.clean_file import clean_file
from audited_load.errors import PipelineError, RefusedError, UnavailableError, UnusableFileError
from customer_pipeline.storing.deliveries import find_sources
from steps.data_cleaners import CUSTOMER_TRANSACTIONS

CLI = Path(sys.executable).parent / "customer-pipeline"
GOOD = (HEADER + ROW.format(1) + ROW.format(2)).encode()


def run_clean(path: Path, out: Path, *, file_limit: int | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command as an operator does; it is given 20 s."""

    def limit() -> None:
        if file_limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, file_limit))

    return subprocess.run(
        [CLI, "clean", path, "--out", out, "--json"],
        capture_output=True,
        text=True,
        timeout=20,
        preexec_fn=limit,
        check=False,
    )


def assert_clear(done: subprocess.CompletedProcess[str], code: int) -> None:
    assert "Traceback" not in done.stderr, done.stderr[-800:]
    assert done.returncode == code, done.stderr
    assert 1 <= len(done.stderr.splitlines()) <= 3
    assert len(done.stderr) < 2000
    assert "What to do:" in done.stderr


@pytest.mark.parametrize(
    "name",
    [
        "'; DROP TABLE x; --",
        "=cmd()",
        "+1",
        "-1",
        "@SUM(A1)",
        "\u202eevil\u202c",
        "🧾👩‍👩‍👧",
        "{0} %s ${x}",
        "\\N",
        "\\",
        "\u0301",
    ],
)
def test_hostile_text_is_a_name_like_any_other(tmp_path: Path, name: str) -> None:
    report = clean(tmp_path / "file.csv", HEADER + ROW.format(1).replace("Thing", name))
    assert accepted_values(report)[1][4] == name


@pytest.mark.parametrize("size", [2**20 - 100, 2**20, 2**21])
@pytest.mark.parametrize("quoted", [True, False])
def test_a_huge_field_costs_its_own_record(tmp_path: Path, size: int, *, quoted: bool) -> None:
    huge = '"' + "x" * size + '"' if quoted else "x" * size
    content = HEADER + ROW.format(1) + ROW.format(2).replace("Thing", huge) + ROW.format(3)
    report = clean(tmp_path / "file.csv", content)
    assert (report.read, report.accepted, report.quarantined) == (3, 2, 1)
    (row,) = read_rows(report.rejected_file)
    assert row["raw_record"] == content.splitlines()[2]
    assert len(row["reasons"]) < 1000


def test_a_record_of_a_million_fields_costs_its_own_record(tmp_path: Path) -> None:
    report = clean(tmp_path / "file.csv", HEADER + ROW.format(1) + "9," * 10**6 + "\n" + ROW.format(2))
    assert (report.accepted, report.reasons) == (2, {"record:too_many_fields": 1})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"\n" * 10**6, "header"),
        (b"\xef\xbb\xbf", "header"),
        (b'"' * 1000, "no header"),
        (b"\0" * 1000, "NUL"),
        (GOOD.decode().encode("utf-16") + b"x", "utf-16"),
        (HEADER.replace("tax", "t\udcffax").encode(errors="surrogateescape"), "missing"),
        (HEADER.replace("tax", "tax,Tax ").encode(), "tax twice"),
        (gzip.compress(GOOD * 1000)[:-9], "to its end"),
        (gzip.compress(GOOD) + b"garbage", "to its end"),
        (zstandard.compress(GOOD * 1000)[:-9], "to its end"),
        (zstandard.compress(GOOD) + zstandard.compress(GOOD)[:-3], "to its end"),
        (zstandard.compress(GOOD) + b"garbage", "to its end"),
        (zstandard.compress(b"\0" * 10**8), "expands"),
        (gzip.compress(b"\0" * 10**8), "expands"),
    ],
)
def test_what_holds_no_records_is_refused_with_a_remedy(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(UnusableFileError, match=message) as caught:
        clean(tmp_path / "file.csv", content)
    assert caught.value.remedy
    assert len(str(caught.value)) < 4000
    assert not list(tmp_path.glob("**/customer_transactions_*"))


def test_a_header_of_very_many_columns_is_no_trouble(tmp_path: Path) -> None:
    """110,000 columns: a header has to fit into a mebibyte."""
    extra = "".join(f",c{n // 1000}_{n % 1000}" for n in range(110_000))
    report = clean(tmp_path / "file.csv", HEADER.strip() + extra + "\n" + ROW.format(1))
    assert (report.read, report.reasons) == (1, {"record:too_few_fields": 1})
    assert (report.ignored_columns[0], report.ignored_columns[-1]) == ("c0_0", "and 109950 more")


def test_a_header_and_a_record_of_a_million_fields_are_a_clear_error(tmp_path: Path) -> None:
    header = HEADER.strip() + "".join(f",c{n}" for n in range(10**6)) + "\n"
    with pytest.raises(UnusableFileError, match="header is longer"):
        clean(tmp_path / "header.csv", header + ROW.format(1))
    report = clean(tmp_path / "record.csv", HEADER + ROW.format(1) + "9," * 10**6 + "\n" + ROW.format(2))
    assert (report.accepted, report.reasons) == (2, {"record:too_many_fields": 1})


def test_a_header_longer_than_a_chunk_is_refused_or_read_whole(tmp_path: Path) -> None:
    content = HEADER.strip() + "," + "x" * (9 * 2**20) + "\n" + ROW.format(1)
    try:
        report = clean(tmp_path / "file.csv", content)
    except PipelineError:
        return
    assert report.read == 1


@pytest.mark.parametrize(
    ("content", "read"),
    [
        (gzip.compress(GOOD) + gzip.compress(ROW.format(3).encode()), 3),
        (zstandard.compress(GOOD) + zstandard.compress(ROW.format(3).encode()), 3),
        (
            "".join(f'"{name}",' for name in HEADER.strip().split(",")).rstrip(",").encode()
            + GOOD[len(HEADER) - 1 :],
            2,
        ),
        (GOOD.rstrip(b"\n"), 2),
        (GOOD.replace(b"\n", b"\r"), 2),
        (GOOD.decode().encode("utf-16-le"), 2),
        (GOOD.replace(b"\n", b"\r\n", 2), 2),
        (GOOD + b"\n" * 10**6, 2),
        (GOOD + b"\r\n" * 10**5, 2),
    ],
)
def test_an_odd_but_good_file_is_read_whole(tmp_path: Path, content: bytes, read: int) -> None:
    report = clean(tmp_path / "file.csv", content)
    assert (report.read, report.accepted, report.quarantined) == (read, read, 0)


@pytest.mark.parametrize("junk", [b"\0" * 5000, b'"' * 5001, b"\xff" * 5000, b'",' * 5000, b"\r" * 50 + b"x"])
def test_junk_between_records_costs_only_itself(tmp_path: Path, junk: bytes) -> None:
    content = GOOD.replace(b"Thing", "Café".encode()) + junk + b"\n" + ROW.format(3).encode()
    report = clean(tmp_path / "file.csv", content)
    assert (report.read, report.accepted, report.quarantined) == (4, 3, 1)


def test_a_header_name_with_a_newline_is_refused_or_read_whole(tmp_path: Path) -> None:
    try:
        report = clean(tmp_path / "file.csv", HEADER.replace("tax", '"tax\n"') + ROW.format(1))
    except UnusableFileError:
        return
    assert (report.read, report.accepted) == (1, 1)


def test_a_header_alone_is_a_file_of_no_records(tmp_path: Path) -> None:
    for name, content in {"with.csv": HEADER, "without.csv": HEADER.strip()}.items():
        report = clean(tmp_path / name, content)
        assert (report.read, report.accepted) == (0, 0)


@pytest.mark.parametrize(
    "change",
    [
        "grows",
        "shrinks",
        "is replaced",
        "is edited",
        "is deleted",
    ],
)
def test_a_file_that_changes_while_it_is_read_gives_nothing(tmp_path: Path, change: str) -> None:
    path, out = tmp_path / "file.csv", tmp_path / "out"
    path.write_bytes(GOOD)

    def disturb(_bytes: int, _records: int) -> None:
        if change == "grows":
            path.write_bytes(GOOD + ROW.format(3).encode())
        elif change == "shrinks":
            os.truncate(path, len(HEADER))
        elif change == "is replaced":
            (tmp_path / "other").write_bytes(GOOD.replace(b"Thing", b"Other"))
            (tmp_path / "other").replace(path)
        elif change == "is edited":
            path.write_bytes(GOOD.replace(b"1.10", b"9.10"))
        else:
            path.unlink(missing_ok=True)

    with pytest.raises(UnavailableError):
        clean_file(path, CUSTOMER_TRANSACTIONS, out, disturb)
    assert list(out.iterdir()) == []


def test_special_files_are_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the command, under a timeout: a FIFO or /dev/zero would be read for ever."""
    monkeypatch.chdir(tmp_path)
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        for path in ("fifo", "/dev/zero", "dangling", "loop", "socket", ".", "x" * 300):
            with pytest.raises(UnusableFileError):
                clean_file(Path(path), CUSTOMER_TRANSACTIONS, tmp_path / "out")
        assert_clear(run_clean(tmp_path / "fifo", tmp_path / "out"), 3)
        assert_clear(run_clean(Path("/dev/zero"), tmp_path / "out"), 3)


def test_a_symbolic_link_inside_the_data_folder_is_followed_and_one_that_leads_out_is_not(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "file.csv").write_bytes(GOOD)
    (tmp_path / "secret.csv").write_bytes(GOOD)
    (data / "inside").symlink_to(data / "file.csv")
    (data / "outside").symlink_to(tmp_path / "secret.csv")
    (inside,) = find_sources(data, "inside", datetime.now(UTC))
    assert clean_file(data / inside, CUSTOMER_TRANSACTIONS, tmp_path / "out").accepted == 2
    for source in ("outside", "../secret.csv", str(tmp_path / "secret.csv")):
        with pytest.raises(RefusedError):
            find_sources(data, source, datetime.now(UTC))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file.csv").write_bytes(GOOD)
    (tmp_path / "file.csv").chmod(0)
    assert_clear(run_clean(tmp_path / "file.csv", tmp_path / "out"), 3)


def test_the_command_counts_as_the_library_does(tmp_path: Path) -> None:
    (tmp_path / "file.csv").write_bytes(GOOD)
    done = run_clean(tmp_path / "file.csv", tmp_path / "out")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["accepted"] == 2


def test_too_many_rejects_end_the_command_with_2(tmp_path: Path) -> None:
    (tmp_path / "file.csv").write_bytes(GOOD + ROW.format("x").encode())
    assert_clear(run_clean(tmp_path / "file.csv", tmp_path / "out"), 2)


@pytest.mark.parametrize("trouble", ["the disk is full", "the folder is a file", "the folder is in a file"])
def test_an_output_that_cannot_be_written_is_a_clear_error(tmp_path: Path, trouble: str) -> None:
    (tmp_path / "file.csv").write_bytes(GOOD + b"".join(ROW.format(n).encode() for n in range(3, 5000)))
    (tmp_path / "taken").write_text("")
    out = {
        "the disk is full": tmp_path / "out",
        "the folder is a file": tmp_path / "taken",
        "the folder is in a file": tmp_path / "taken" / "out",
    }[trouble]
    done = run_clean(tmp_path / "file.csv", out, file_limit=20_000 if "disk" in trouble else None)
    assert not list(tmp_path.glob("out/customer_transactions_*"))
    assert_clear(done, 1)


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc")
def test_a_line_of_50_mb_costs_its_own_record_and_little_memory(tmp_path: Path) -> None:
    with (tmp_path / "file.csv").open("wb") as file:
        file.write(GOOD)
        for _ in range(50):
            file.write(b"x" * 2**20)
    script = (
        "import sys; from customer_pipeline.cli import main\n"
        "sys.argv = ['customer-pipeline', 'clean', *sys.argv[1:]]\n"
        "try: main()\n"
        # ru_maxrss would count the parent's memory too, from before the exec.
        "finally: print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "file.csv", "--out", tmp_path / "out", "--json"],
        capture_output=True,
        text=True,
        timeout=30,
        env={**os.environ, "MAX_REJECTED_RATIO": "0.5"},
        check=False,
    )
    report = json.loads(done.stdout)
    assert (report["read"], report["accepted"], report["reasons"]) == (3, 2, {"record:too_few_fields": 1})
    assert int(done.stderr.split()[-1]) < 800 * 1024, "KiB at the peak"


def test_reasons_name_the_column_for_hostile_cells(tmp_path: Path) -> None:
    content = HEADER + "'; DROP TABLE x; --,=1,@x,+x,Thing,-x,🧾,\u202ex\n"
    assert refusing_columns(clean(tmp_path / "file.csv", content)) == {
        1: {"transaction_id", "customer_id", "transaction_date", "product_id", "quantity", "price", "tax"}
    }
