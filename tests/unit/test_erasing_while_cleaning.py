"""Cleaning leaves out who was erased: no file that it writes ever held the id, and totals are the same."""

from __future__ import annotations

import hashlib
import hmac
import pickle
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from audited_load.clean_report import CleanReport
from audited_load.cleaning import parts, workers
from audited_load.cleaning.clean_file import clean_file
from audited_load.cleaning.layout import Layout
from audited_load.erasing.subjects import ErasedSubjects, hash_subject
from audited_load.errors import RefusedError
from audited_load.reading import compression
from steps.data_cleaners import CUSTOMER_TRANSACTIONS

KEY = "a key"
ID = 730519642
MAIL = "jane@example.org"
ERASED = ErasedSubjects(frozenset({hash_subject(ID, KEY)}), KEY)
HEADER = "transaction_id,customer_id,e_mail,transaction_date,product_id,product_name,quantity,price,tax\n"
SPELLINGS = (f"{ID}", f"C{ID}", f"c{ID}", f"{ID}.0", f" {ID} ", f"00{ID}", f'"{ID}"', f"\ufeff{ID}")


def wide(number: int) -> str:
    return str(number).translate({ord(str(digit)): 0xFF10 + digit for digit in range(10)})


def dirty() -> bytes:
    good = [f"{100 + n},{text},{MAIL},2024-01-02,1,Thing,2,1.10,0.05" for n, text in enumerate(SPELLINGS)]
    others = [f"{n},{n % 5 or ''},x@example.org,2024-01-02,1,Other,1,2.10,0.05" for n in range(300, 3000)]
    refused = [
        f"200,C{ID},{MAIL},31-02-2023,1,Thing,2,1.10,0.05",
        f"201,{ID},{MAIL},2024-01-02,1,Thing,2,1.10,0.05",  # superseded by the next
        f"201,{ID},{MAIL},2024-01-03,1,Thing,3,1.10,0.05",
        f'202,{ID},"stray" quote,2024-01-02,1,Thing,2,1.10,0.05',
        f"203,{ID},{MAIL},2024-01-02",
        f'204,{ID},"{MAIL}\nsecond line",2024-01-02,1,Thing,2,1.10,bad',
        f'205, "{ID}", "2024-01-02", {MAIL}, 1, 1, 1, 1, 1, 1',
        f"206,{ID}\0,{MAIL},2024-01-02,1,Thing,2,1.10,0.05",
        f"207,{wide(50)},x@example.org,2024-01-02,1,Thing,2,1.10,0.05",
        f"208,{wide(ID)},{MAIL},2024-01-02,1,Thing,2,1.10,0.05",
        f"209,1,x@example.org,2024-01-02,1,Thing,{ID}x,1.10,0.05",
    ]
    raw = f"210,{ID}".encode() + b"\xe9\xff," + f"{MAIL},2024-01-02,1,Thing,2,1.10,0.05\n".encode()
    return (HEADER + "\n".join([*good, *others, *refused]) + "\n").encode() + raw


def clean(folder: Path, erased: ErasedSubjects | None) -> CleanReport:
    folder.mkdir(exist_ok=True)
    (folder / "in.csv").write_bytes(dirty())
    return clean_file(folder / "in.csv", CUSTOMER_TRANSACTIONS, folder / "out", erased=erased)


def written(report: CleanReport) -> bytes:
    return Path(report.cleaned_file).read_bytes() + Path(report.rejected_file).read_bytes()


def test_nothing_that_is_written_holds_who_was_erased_and_totals_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = clean(tmp_path / "plain", None)
    assert f"{CUSTOMER_TRANSACTIONS.subject}:erased" not in plain.rules
    seen: list[str] = []
    original = parts.format_rejects

    def watched(rejects: Any) -> str:
        seen.append(original(rejects))
        return seen[-1]

    monkeypatch.setattr(parts, "format_rejects", watched)
    monkeypatch.setattr("audited_load.cleaning.assemble.format_rejects", watched)
    report = clean(tmp_path / "erased", ERASED)
    content = written(report).decode() + "".join(seen)
    assert MAIL not in content
    assert wide(ID) not in content
    assert content.count(str(ID)) == 2 * 2, "another customer's quantity stays: in its record, and in its reason"
    assert report.rules[f"{CUSTOMER_TRANSACTIONS.subject}:erased"] == len(SPELLINGS) + 10
    assert report.totals == plain.totals
    assert (report.read, report.accepted, report.quarantined) == (plain.read, plain.accepted, plain.quarantined)
    assert report.reasons == plain.reasons
    assert {**report.rules, f"{CUSTOMER_TRANSACTIONS.subject}:erased": 0} == {
        **plain.rules,
        f"{CUSTOMER_TRANSACTIONS.subject}:erased": 0,
    }
    assert Decimal(report.totals["gross"]) > 0
    assert b"x@example.org" in written(report), "other people's records are as they were"


def test_processes_that_clean_leave_out_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = clean(tmp_path / "one", ERASED)
    monkeypatch.setattr(workers, "BYTES_PER_WORKER", 2**12)
    monkeypatch.setattr(workers, "MAX_WORKERS", 2)
    monkeypatch.setattr(workers, "_count_processors", lambda: 2)
    monkeypatch.setattr(compression, "CHUNK_BYTES", 2**15)
    several = clean(tmp_path / "several", ERASED)
    assert written(several) == written(one)
    assert several.rules == one.rules


def test_nobody_else_is_left_out(tmp_path: Path) -> None:
    somebody = ErasedSubjects(frozenset({hash_subject(1, KEY), hash_subject(ID - 1, KEY)}), KEY)
    report = clean(tmp_path / "erased", somebody)
    assert report.rules[f"{CUSTOMER_TRANSACTIONS.subject}:erased"] == 540 + 2, (
        "one more has the digit, and no columns"
    )
    assert written(report).count(str(ID).encode()) > len(SPELLINGS)


def test_a_refused_record_that_only_looks_like_theirs_stays_and_is_counted(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text(HEADER + f"1,{ID}X,{MAIL},2024-01-02,1,Thing,2,1.10,0.05\n")
    report = clean_file(tmp_path / "in.csv", CUSTOMER_TRANSACTIONS, tmp_path / "out", erased=ERASED)
    assert f"{ID}X,{MAIL}".encode() in written(report)
    assert report.rules[f"{CUSTOMER_TRANSACTIONS.subject}:may_be_erased"] == 1


def test_who_was_erased_can_be_handed_to_other_processes_and_shows_no_key() -> None:
    assert KEY not in repr(ERASED)
    again: ErasedSubjects = pickle.loads(pickle.dumps(ERASED))  # noqa: S301
    assert again.choose([ID, ID + 1]) == {ID}
    with pytest.raises(RefusedError, match="1 customers were erased with another ERASURE_KEY"):
        ErasedSubjects(ERASED.hashes, "another")


@pytest.mark.parametrize("key", ["a key", "k" * 64, "longer than a block of the hash" * 9])
def test_the_hash_is_that_of_the_standard_so_earlier_registers_are_read(key: str) -> None:
    def of(text: str) -> str:
        return hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()

    assert hash_subject(ID, key) == f"{of('key')[:8]}:{of(str(ID))}"


def test_where_nobody_was_erased_nothing_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Layout(CUSTOMER_TRANSACTIONS, None, ()).erased is None  # type: ignore[arg-type]
    for name in ("scrub_refused", "_blank_erased"):
        monkeypatch.setattr(
            f"audited_load.cleaning.blocks.{name}", lambda *_: pytest.fail("it looks for the erased")
        )
    clean(tmp_path / "plain", None)
