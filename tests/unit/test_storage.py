"""A store gives back what was put there, is waited for while it is away, and says why it refuses."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from audited_load import storage
from audited_load.errors import RefusedError, UnavailableError, UnusableFileError
from audited_load.storage import Access, split_root
from unit.s3_server import S3Server, running_server


@pytest.fixture
def server() -> Iterator[S3Server]:
    with running_server() as started:
        yield started


@pytest.mark.parametrize(
    ("root", "split"),
    [
        ("s3://bucket", ("bucket", "")),
        ("s3://bucket/", ("bucket", "")),
        ("s3://a.b-c/of/day=1/", ("a.b-c", "of/day=1/")),
    ],
)
def test_a_root_is_a_bucket_and_a_prefix(root: str, split: tuple[str, str]) -> None:
    assert split_root(root) == split


@pytest.mark.parametrize(
    "root", ["/data", "s3://", "s3:/bucket", "https://bucket", "s3://Bucket", "s3://bucket//x"]
)
def test_another_text_is_no_root(root: str) -> None:
    with pytest.raises(RefusedError, match="STORAGE_ROOT"):
        split_root(root)


def test_all_pages_of_a_list_are_read(server: S3Server) -> None:
    store = server.store()
    names = [f"x/{number:02}" for number in range(10)]
    for name in [*names, "y"]:
        store.put(name, b"1")
    assert [stored.key for stored in store.find("x/")] == names
    store.delete(names)
    assert server.keys() == ["y"]


def test_of_two_that_put_an_object_if_absent_the_first_wins(server: S3Server) -> None:
    assert server.store().put_if_absent("manifest", b"first") == b"first"
    assert server.store().put_if_absent("manifest", b"second") == b"first"
    assert server.store().read("manifest") == b"first"
    assert server.store().read("absent") is None
    assert server.store().look("absent") is None


def test_a_store_that_would_take_both_of_two_is_refused(server: S3Server) -> None:
    server.is_old = True
    with pytest.raises(RefusedError, match="takes no notice of If-None-Match"):
        server.store().put_if_absent("manifest", b"first")


def test_what_a_store_does_with_conditions_is_asked_once(server: S3Server) -> None:
    store = server.store()
    for name in "abc":
        store.put_if_absent(name, b"")
    assert [server.asked.count(f"PUT /bucket/pre/fix/{name}") for name in "abc"] == [2, 1, 1]


@pytest.mark.parametrize("size", [0, 1, 999, 1000, 2500])
def test_a_file_comes_back_as_it_was_also_when_the_connection_breaks(
    server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(storage, "RANGE_BYTES", 1000)
    (tmp_path / "there").write_bytes(bytes(number % 251 for number in range(size)))
    put = server.store().upload(tmp_path / "there", "big")
    server.breaks = 2
    server.store().download(put, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == (tmp_path / "there").read_bytes()


def test_an_object_that_is_replaced_while_it_is_read_is_never_half_the_one_and_half_the_other(
    server: S3Server, tmp_path: Path
) -> None:
    store = server.store()
    store.put("day", b"one")
    before = store.look("day")
    assert before is not None
    store.put("day", b"two")
    with pytest.raises(UnavailableError, match="replaced"):
        store.download(before, tmp_path / "day")
    store.delete(["day"])
    with pytest.raises(UnusableFileError, match="gone"):
        store.download(before, tmp_path / "day")


def test_wrong_credentials_are_said_at_once_and_never_shown(server: S3Server) -> None:
    store = server.store(key="another-key")
    for ask in (lambda: store.find(""), lambda: store.put("x", b""), lambda: store.look("x")):
        server.asked.clear()
        with pytest.raises(RefusedError, match="refuses the credentials") as caught:
            ask()
        assert len(server.asked) == 1
        assert "a secret" not in str(caught.value)
    assert "a secret" not in repr(Access("", "", "key", "a secret"))


def test_a_store_that_is_away_for_a_while_is_waited_for(server: S3Server) -> None:
    server.away = 4
    server.store().put("x", b"1")
    assert server.keys() == ["x"]


def test_a_store_that_stays_away_may_be_there_at_the_next_try(server: S3Server) -> None:
    server.away = 1000
    with pytest.raises(UnavailableError, match="ServiceUnavailable"):
        server.store(wait_seconds=1).find("")
    assert len(server.asked) > 1
    absent = storage.Store("s3://bucket", Access("http://127.0.0.1:1", "", "a", "b"), wait_seconds=0)
    with pytest.raises(UnavailableError, match="EndpointConnectionError"):
        absent.find("")


def test_a_bucket_and_an_address_that_are_none_are_named(server: S3Server) -> None:
    access = Access(f"http://127.0.0.1:{server.port}", "", "a-key", "x")
    with pytest.raises(RefusedError, match="no bucket other"):
        storage.Store("s3://other", access).find("")
    with pytest.raises(RefusedError, match="no address"):
        storage.Store("s3://other", Access("nowhere"))


def test_without_a_store_nobody_imports_its_client() -> None:
    modules = "sys, steps.clean_transactions_pipeline, customer_pipeline.commands.run"
    code = f"import {modules}; print('boto3' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip().endswith("False"), done.stderr
