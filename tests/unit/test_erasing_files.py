"""Files lose a customer; one that is being written, or changes meanwhile, is left alone."""

from __future__ import annotations

import errno
import gzip
import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from audited_load.cleaning.clean_file import clean_file
from audited_load.cleaning.rejects import HEADER as REJECTED_HEADER
from audited_load.erasing import data_files
from audited_load.erasing.data_files import Folder, ScrubbedFile, look_into_folder, scrub_folder
from audited_load.erasing.layout_files import Layouts, write_layout_beside
from audited_load.erasing.rewriting import Wanted
from audited_load.erasing.splitting import RawLayout
from audited_load.erasing.traces import find_traces
from audited_load.form import Form
from customer_pipeline.feed import FEED

HEADER = "transaction_id,customer_id,transaction_date,product_id,product_name,quantity,price,tax\n"
WANTED = Wanted((FEED,), frozenset({501}))


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
    assert after[3] == ',,"",3,,2023-05-05,1,Item,5,abc,1'


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
        + "1,2,60,\"customer_id:other_digits: '[erased]' has digits\","
        + '"4,[erased],2023-05-05,101,Item,1,5.00,1.00"\n'
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


SPACED = HEADER + "".join(
    f'{number}, "{customer}", "2023-05-05", "101", "It, em", "1", "5.00", "1.00"\n'
    for number, customer in enumerate((901, 501, 902, 903))
)
LINES = HEADER + line(1, 901) + '10,501,2023-05-05,101,"It\nem",1,5.00,1.00\n' + line(11, 7)
REFUSED = HEADER + line(1, 901) + "".join(line(number, text) for number, text in enumerate(("#501", "50\x001"), 2))


@pytest.mark.parametrize(
    "content",
    [
        SPACED,
        LINES,
        LINES.replace("It\n", "It\r"),
        REFUSED,
        (HEADER + line(1, 901) + line(2, 501)).replace("\n", "\r"),
    ],
    ids=["spaces before quotes", "two lines", "a carriage return", "refused ids", "an old Mac"],
)
def test_a_scrubbed_delivery_is_read_as_it_was_but_for_the_customer(tmp_path: Path, content: str) -> None:
    file = tmp_path / "data" / "in.csv"
    file.parent.mkdir()
    file.write_bytes(content.encode())
    before = clean_file(file, FEED, tmp_path / "before")
    done, _ = scrub(file.parent)
    assert (done.failed, done.unread) == ({}, [])
    assert done.records
    after = clean_file(file, FEED, tmp_path / "after")
    assert (after.read, after.accepted, after.quarantined, after.totals) == (
        before.read, before.accepted, before.quarantined, before.totals,
    )  # fmt: skip
    assert "501" not in file.read_text()


REJECTED = ",".join(REJECTED_HEADER) + "\n" + '1,2,60,"record:odd: Ünï","7,501,bad,1,It,1,5.00,1.00"\n'


@pytest.mark.parametrize(
    "data",
    [
        gzip.compress(REJECTED.encode()), REJECTED.encode("utf-16"), REJECTED.encode("cp1252"),
        (REJECTED + "\n").encode(), REJECTED.replace("\n", "\r\n").encode(), REJECTED.replace("\n", "\r").encode(),
        REJECTED.replace("raw_record", "raw_record,note").replace('1.00"', '1.00",mine').encode(),
        REJECTED.replace(',"', ';"').replace("1,2,60", "1;2;60").replace(",".join(REJECTED_HEADER),
            ";".join(REJECTED_HEADER)).encode(),
    ],
    ids=["gzip", "utf-16", "cp1252", "blank line", "crlf", "cr", "one more column", "semicolons"],
)  # fmt: skip
def test_a_rejected_file_in_another_shape_loses_the_customer_and_nothing_else(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "rejected.csv"
    file.write_bytes(data)
    done, _ = scrub(tmp_path, [RawLayout(tuple(FEED.names), ",")])
    assert (done.records, done.failed, done.unread) == (1, {}, [])
    old, new = (gzip.decompress(one) if data[:2] == b"\x1f\x8b" else one for one in (data, file.read_bytes()))
    code = "utf-16" if old[:1] in b"\xff\xfe" else "cp1252" if b"\xdc" in old else "utf-8"
    assert new.decode(code) == old.decode(code).replace("7,501,bad", "7,,bad")


def test_an_empty_rejected_file_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress((",".join(REJECTED_HEADER) + "\n").encode()))
    (tmp_path / "b.csv").write_text(HEADER + line(1, 501))
    done, _ = scrub(tmp_path)
    assert (done.files, done.failed) == (1, {})


def test_a_rejected_file_of_unknown_order_is_left_alone_and_named(tmp_path: Path) -> None:
    """A run that was refused reached no ledger: read by another header, somebody else's record was blanked."""
    swapped = RawLayout(
        tuple(FEED.names[:1] + FEED.names[3:4] + FEED.names[2:3] + FEED.names[1:2] + FEED.names[4:]), ","
    )
    plain, file = RawLayout(tuple(FEED.names), ","), tmp_path / "rejected.csv"
    guess = RawLayout(tuple(FEED.names), ",", is_guess=True)
    both = ([plain, swapped], [guess])
    for raw, unsure in (
        ("7,501,bad,777,Item,1,5.00,1.00", both),
        ("7,777,bad,501,Item,1,5.00,1.00", both),
        ("7,501,bad", ([guess],)),
    ):
        file.write_text(before := ",".join(REJECTED_HEADER) + f'\n1,2,60,"record:odd: x","{raw}"\n')
        for layouts in unsure:
            done, noted = scrub(tmp_path, layouts)
            assert list(done.failed) == [file]
            assert (noted, file.read_text()) == ([], before)


def test_the_order_that_is_noted_beside_a_rejected_file_counts_first(tmp_path: Path) -> None:
    names = [FEED.names[place] for place in (0, 3, 2, 1, 4, 5, 6, 7)]
    file = tmp_path / "in.csv"
    file.write_text(",".join(names) + "\n7,501,bad,777,Item,1,5.00,1.00\n8,777,bad,501,Item,1,5.00,1.00\n")
    run = tmp_path / "data" / "runs" / "one" / "attempt-1"
    report = clean_file(file, FEED, run)
    plain = Layouts({"other": [RawLayout(tuple(FEED.names), ",")]}, RawLayout(tuple(FEED.names), ","))
    rejected = Path(report.rejected_file)
    assert all(layout.is_guess for layout in plain.of(tmp_path / "data", [rejected]))
    write_layout_beside(report)
    scrub_folder(tmp_path / "data", WANTED, lambda paths: plain.of(tmp_path / "data", paths), lambda _: None, 0)
    assert [row.split(",\"")[-1] for row in rejected.read_text().splitlines()[1:]] == [
        '7,501,bad,777,Item,1,5.00,1.00"', '8,777,bad,,Item,1,5.00,1.00"',
    ]  # fmt: skip


def test_what_is_wrong_with_one_file_stops_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b", "c", "d"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.csv").write_text(HEADER + line(1, 501))
    original, folders = data_files.rewrite, data_files.tempfile.TemporaryDirectory
    scan = os.scandir

    def odd(path: Path, *rest: object) -> object:
        if path.parent.name == "a":
            raise IndexError
        return original(path, *rest)  # type: ignore[arg-type]

    def unwritable(**of: object) -> object:
        if of["dir"] == tmp_path / "b":
            raise PermissionError(errno.EACCES, "Permission denied")
        return folders(**of)  # type: ignore[call-overload]

    def unreadable(path: object) -> object:
        if path in {str(tmp_path / "c"), tmp_path / "c"}:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scan(path)  # type: ignore[call-overload]

    monkeypatch.setattr(data_files, "rewrite", odd)
    monkeypatch.setattr(data_files.tempfile, "TemporaryDirectory", unwritable)
    monkeypatch.setattr(os, "scandir", unreadable)
    done, noted = scrub(tmp_path)
    assert set(done.failed) == {tmp_path / "a" / "x.csv", tmp_path / "b" / "x.csv", tmp_path / "c"}
    assert [file.paths for file in noted] == [(tmp_path / "d" / "x.csv",)]


def test_an_encoding_that_was_declared_is_tried_and_another_is_named(tmp_path: Path) -> None:
    file = tmp_path / "in.csv"
    file.write_bytes((HEADER + line(1, 501) + line(2, 7)).encode("cp037"))
    done, _ = scrub(tmp_path)
    assert done.unread == [file]
    wanted = Wanted((FEED,), frozenset({501}), ("cp500", "cp037"))
    scrub_folder(tmp_path, wanted, lambda _: [], lambda _: None, 0)
    assert file.read_bytes().decode("cp037") == HEADER + line(1, "") + line(2, 7)
    report = clean_file(file, FEED.in_form(Form(encoding="cp037")), tmp_path / "out")
    assert report.accepted == 2


def test_names_titles_and_links_that_may_tell_of_the_customer_are_named(tmp_path: Path) -> None:
    data, outside = tmp_path / "data", tmp_path / "outside.csv"
    data.mkdir()
    outside.write_text(HEADER + line(1, 501))
    os.link(outside, data / "a.csv")
    (data / "b.csv").symlink_to(outside)
    (data / "customer_501.csv").write_text(HEADER + line(1, 7))
    (data / "title.csv").write_text("Statement of customer C501, Jane Doe\n" + HEADER + line(1, 7))
    (data / "odd.csv").write_text(HEADER + line(1, "501X") + line(2, "5010"))
    done, _ = scrub(data)
    found = look_into_folder(data, WANTED, lambda _: [])
    assert set(done.named) == {data / "a.csv", data / "b.csv", data / "customer_501.csv"}
    assert set(found.named) == {data / name for name in ("b.csv", "customer_501.csv", "odd.csv", "title.csv")}
