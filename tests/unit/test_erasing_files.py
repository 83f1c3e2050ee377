"""Files lose a customer; one that is being written, or changes meanwhile, is left alone."""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from audited_load.clean import clean_file
from audited_load.erasing import data_files
from audited_load.erasing.data_files import Folder, ScrubbedFile, look_into_folder, scrub_folder
from audited_load.erasing.raw_texts import RawLayout
from audited_load.erasing.rewriting import Wanted
from audited_load.erasing.traces import find_traces
from audited_load.rejects import HEADER as REJECTED_HEADER
from customer_pipeline.feed import load_feed

FEED = load_feed()
HEADER = "transaction_id,customer_id,transaction_date,product_id,product_name,quantity,price,tax\n"
WANTED = Wanted(FEED, frozenset({501}))


def line(number: int, customer: object) -> str:
    return f"{number},{customer},2023-05-05,101,Item,1,5.00,1.00\n"


def scrub(folder: Path, layouts: Sequence[RawLayout] = (), seconds: float = 0) -> tuple[Folder, list[ScrubbedFile]]:
    noted: list[ScrubbedFile] = []
    return scrub_folder(folder, WANTED, lambda _: layouts, noted.append, seconds), noted


def test_a_delivery_that_is_being_uploaded_is_left_alone_and_named(tmp_path: Path) -> None:
    """`upload.py` of the faults: the scrubbed copy took its place, and what its writer wrote went to nobody."""
    file, at_half, go_on = tmp_path / "incoming.csv", threading.Event(), threading.Event()

    def upload() -> None:
        with file.open("w") as out:
            out.write(HEADER + "".join(line(number, 501) for number in range(100)))
            out.flush()
            at_half.set()
            go_on.wait(60)
            out.write("".join(line(number, 501) for number in range(100, 200)))

    thread = threading.Thread(target=upload)
    thread.start()
    at_half.wait(60)
    done, noted = scrub(tmp_path)
    go_on.set()
    thread.join()
    assert done.unsettled == [file]
    assert not noted
    assert file.read_text().count("\n") == 201, "no row is lost"
    done, noted = scrub(tmp_path)
    assert not done.unsettled
    assert noted[0].records == 200
    assert ",501," not in file.read_text()


def test_a_file_that_grows_while_it_settles_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "incoming.csv"
    file.write_text(HEADER + line(1, 501))

    def sleep(_: float) -> None:
        with file.open("a") as out:
            out.write(line(2, 501))

    monkeypatch.setattr("audited_load.erasing.settled.time.sleep", sleep)
    done, noted = scrub(tmp_path, seconds=5)
    assert (done.unsettled, noted) == ([file], [])
    assert file.read_text() == HEADER + line(1, 501) + line(2, 501)


@pytest.mark.parametrize("how", ["grows", "is replaced", "is removed"])
def test_a_file_that_changes_while_it_is_copied_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    file = tmp_path / "incoming.csv"
    file.write_text(HEADER + line(1, 501))
    original = data_files.hash_file

    def meanwhile(path: Path) -> str:
        if path != file:  # the copy is made
            if how == "grows":
                file.write_text(HEADER + line(1, 501) + line(2, 501))
            elif how == "is replaced":
                (tmp_path / "fresh").write_text(HEADER + line(3, 501))
                (tmp_path / "fresh").replace(file)
            else:
                file.unlink()
        return original(path)

    monkeypatch.setattr(data_files, "hash_file", meanwhile)
    done, noted = scrub(tmp_path)
    assert done.unsettled == [file]
    assert not noted
    assert file.exists() == (how != "is removed")
    assert how == "is removed" or ",501," in file.read_text()
    assert [path.name for path in tmp_path.iterdir() if path != file] == [], "nothing else stays"


def test_a_folder_in_which_another_process_cleans_is_left_alone(tmp_path: Path) -> None:
    for name in (".cleaning-dead", ".cleaning-alive", ".erasing-dead"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "0.csv").write_text("1,501\n")
    (tmp_path / ".cleaning-dead" / "lock").touch()
    with (tmp_path / ".cleaning-alive" / "lock").open("w") as lock:
        data_files.fcntl.flock(lock, data_files.fcntl.LOCK_EX)
        done, _ = scrub(tmp_path)
    assert tmp_path / ".cleaning-alive" in done.unsettled
    assert [path.name for path in tmp_path.iterdir()] == [".cleaning-alive"]


def test_an_export_of_the_quarantine_loses_the_raw_text_that_it_quotes(tmp_path: Path) -> None:
    file = tmp_path / "export.csv"
    wide = RawLayout((*FEED.names, "email"), ",")
    rows = [
        "reject_id,reasons,raw_record," + HEADER.strip(),
        'a,record:stray_quote: field 3,"1,501,""x"" y,jane@example.org",,,,,,,,',
        "b,price:odd: 'abc' is odd,\"2,7,2023-05-05,1,Item,501,abc,1,m@x\",2,7,2023-05-05,1,Item,501,abc,1",
        "c,price:odd: 'abc' is odd,\"3,501,2023-05-05,1,Item,5,abc,1,j@x\",3,501,2023-05-05,1,Item,5,abc,1",
    ]
    file.write_text("\n".join(rows) + "\n")
    scrub(tmp_path, [wide])
    after = file.read_text().splitlines()
    assert "jane" not in after[1]
    assert after[2] == rows[2]
    assert after[3] == ",,,3,,2023-05-05,1,Item,5,abc,1"


def test_a_rejected_file_loses_the_record_and_the_reason_that_quotes_it(tmp_path: Path) -> None:
    file, before = tmp_path / "rejected.csv", ",".join(REJECTED_HEADER) + "\n"
    own = "4,\uff15\uff10\uff11,2023-05-05,101,Item,1,5.00,1.00"
    other = '2,3,70,"quantity:not_a_number: \'501 x\' is not a whole number","5,7,2023-05-05,1,Item,501 x,1,1"\n'
    file.write_text(
        before + f'1,2,60,"customer_id:other_digits: \'\uff15\uff10\uff11\' has digits","{own}"\n' + other
    )
    scrub(tmp_path, [RawLayout(tuple(FEED.names), ",")])
    assert file.read_text() == (
        before
        + '1,2,60,"customer_id:other_digits: \'[erased]\' has digits","4,,2023-05-05,101,Item,1,5.00,1.00"\n'
        + other
    )


def test_looking_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "one.csv.gz").write_bytes(gzip.compress((HEADER + line(1, 501) + line(2, 7)).encode()))
    (tmp_path / "two.csv").write_text(HEADER + line(1, 7))
    (tmp_path / "note.txt").write_text("ask 501 about it")
    (tmp_path / "book.xlsx").write_bytes(b"PK\x03\x04" + b"x" * 100)
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in tmp_path.iterdir()}
    found = look_into_folder(tmp_path, WANTED, lambda _: [])
    assert (found.files, found.records, found.held) == (1, 1, [tmp_path / "one.csv.gz"])
    assert found.unread == [tmp_path / "book.xlsx", tmp_path / "note.txt"], "what can't be looked into is named"
    assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in tmp_path.iterdir()} == before


def test_a_wide_file_keeps_its_whole_header_and_its_other_customers(tmp_path: Path) -> None:
    """`wide.py` of the faults, from the file to the scrubbed rejected file."""
    extra = [f"c{number}" for number in range(60)]
    filler = "," + ",".join(["v"] * 60) + "\n"
    rows = ["1,777,2023-05-05,101,Item,abc,501,1.00", "2,778,2023-05-05,101,Item,501,xx,1.00"]
    good = [line(number, 900).strip() for number in range(10, 100)]
    (tmp_path / "w.csv").write_text(
        HEADER.strip() + "," + ",".join(extra) + "\n" + "".join(row + filler for row in [*rows, *good])
    )
    report = clean_file(tmp_path / "w.csv", FEED, tmp_path / "out")
    assert report.header == [*FEED.names, *extra]
    assert len(report.ignored_columns) == 51, "what is shown to people is short"
    before = Path(report.rejected_file).read_bytes()
    _, noted = scrub(tmp_path / "out", [RawLayout(tuple(report.header), report.delimiter)])
    assert noted == []
    assert Path(report.rejected_file).read_bytes() == before


def test_logs_with_the_digits_are_found_and_times_are_not_taken_for_ids(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "a.log"
    log.parent.mkdir()
    log.write_text("12:00:01.501 took 12.501 s\nKey (customer_id)=(501) is missing\nrow 00501\n15010\n")
    (log.parent / "b.log").write_text("nothing of 5010\n")
    (trace,) = find_traces([log.parent, tmp_path / "absent"], {501}, "customer_id")
    assert (trace.path, trace.lines, trace.named) == (log, 2, 1)


def test_a_settled_file_costs_no_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "old.csv"
    file.write_text(HEADER + line(1, 501))
    now = time.time()
    monkeypatch.setattr("audited_load.erasing.settled.time.time", lambda: now + 60)
    monkeypatch.setattr("audited_load.erasing.settled.time.sleep", lambda _: pytest.fail("it waits"))
    done, noted = scrub(tmp_path, seconds=10)
    assert (done.files, len(noted)) == (1, 1)
