"""What can go wrong only where files lie in a store: each ends as if it had not, or in one clear error.

What must hold at the end of each test stands in the fixture `run`.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from customer_pipeline.commands.make_sample import make_sample
from faults.conftest import TABLE, Run, Server, dump, empty_warehouse, release, wait_until
from faults.driver import STEPS, TERMINAL, UNAVAILABLE
from faults.files import InStore

pytestmark = pytest.mark.files

AWAY_SECONDS = 20


@pytest.fixture
def store(files: InStore) -> Iterator[InStore]:
    yield files
    files.relay.refuses_conditions = False
    if files.weed.process is None or files.weed.process.poll() is not None:
        files.weed.start()  # the test failed while it was away
    files.deliver(files.work / "run.csv")


def stopping(run: Run, where: str, **environment: str) -> tuple[subprocess.Popen[str], Path]:
    """Start cleaning, and wait until it stands still before a call of the store; it goes on without the mark."""
    mark = run.work / f"stopped-{time.monotonic_ns()}"
    process = run.start("clean", FAULT_AT=f"{where}:{mark}", **environment)
    wait_until(mark.exists, process)
    return process, mark


def end(process: subprocess.Popen[str]) -> tuple[int, str]:
    error = process.stderr.read() if process.stderr else ""
    return process.wait(timeout=600), error


def handed_on(run: Run) -> dict[str, object]:
    report: dict[str, object] = json.loads((run.work / "run.json").read_text())
    return report


@pytest.mark.parametrize("try_again", ["the same attempt comes twice", "the next attempt"])
@pytest.mark.parametrize(("where", "manifests"), [("put_if_absent:1", 0), ("put:1", 1)])
def test_killed_between_the_files_the_manifest_and_the_return(
    run: Run, store: InStore, where: str, manifests: int, try_again: str
) -> None:
    kept = store.read()
    store.take_away()
    process, mark = stopping(run, where)
    process.kill()
    process.wait()
    mark.unlink()
    assert store.read() == kept  # the files were there, and are nobody's yet
    assert len([key for key in store.put_keys() if key.endswith("manifest.json")]) == manifests
    again = {"FAULT_ATTEMPT": str(Run.attempt)} if "twice" in try_again else {}
    assert end(run.start("clean", **again)) == (0, "")
    run.finish("create")
    # What the dead one put counts only where its manifest says so.
    counts = sum(key.endswith("_cleaned.csv") for key in store.put_keys())
    assert counts == 2
    assert store.read() == kept


@pytest.mark.parametrize(("step", "direction"), [("clean", "down"), ("clean", "up"), ("load", "down")])
def test_the_store_is_away_in_the_middle_of_a_transfer(run: Run, store: InStore, step: str, direction: str) -> None:
    for before in STEPS[1 : STEPS.index(step)] if step != "clean" else ():
        assert run.start(before).wait(timeout=60) == 0
    store.relay.break_once(direction, 3 * 2**20, store.weed.stop)
    process = run.start(step)
    wait_until(lambda: store.weed.process is not None and store.weed.process.poll() is not None, process)
    time.sleep(AWAY_SECONDS)
    assert process.poll() is None
    store.weed.start()
    assert end(process) == (0, "")
    run.finish(STEPS[STEPS.index(step) + 1])


def test_the_delivery_is_replaced_between_two_ranges(run: Run, store: InStore) -> None:
    before = handed_on(run)
    process, mark = stopping(run, "_get_range:3")
    shorter = run.work / "other" / "run.csv"
    shorter.parent.mkdir()
    shorter.write_bytes((run.work / "run.csv").read_bytes()[: 2**22])
    store.deliver(shorter)
    mark.unlink()
    code, message = end(process)
    assert (code, "was replaced while it was read" in message) == (UNAVAILABLE, True)
    assert handed_on(run) == before
    shorter.unlink()
    shorter.parent.rmdir()
    store.deliver(run.work / "run.csv")
    run.finish("clean")


def test_two_processes_of_one_attempt_hand_on_one_result(run: Run, store: InStore) -> None:
    store.take_away()
    (first, one), (second, other) = (stopping(run, "put_if_absent:1", FAULT_ATTEMPT="77") for _ in range(2))
    one.unlink()
    other.unlink()
    results = []
    for process in (first, second):
        assert end(process) == (0, "")
        results.append(handed_on(run))
    (manifest,) = [key for key in store.put_keys() if key.endswith("attempt-77/manifest.json")]
    said = json.loads(store.store.read(manifest) or b"")["report"]
    assert results[0] == results[1] == said
    assert sum(key.endswith("_cleaned.csv") for key in store.put_keys()) == 2
    run.finish("create")


def test_a_manifest_of_an_earlier_attempt_at_another_delivery(run: Run, store: InStore) -> None:
    other = run.work / "other" / "run.csv"
    other.parent.mkdir()
    other.write_bytes((run.work / "before.csv").read_bytes())
    store.deliver(other)
    assert end(run.start("clean", FAULT_ATTEMPT="88")) == (0, "")
    earlier = handed_on(run)
    other.unlink()
    other.parent.rmdir()
    store.deliver(run.work / "run.csv")
    # Its place is taken by what another delivery came to: nothing is mixed, and the next attempt has another place.
    code, message = run.fail("clean", FAULT_ATTEMPT="88")
    assert (code, "holds another result" in message) == (UNAVAILABLE, True)
    assert handed_on(run) == earlier
    run.finish("clean")
    assert handed_on(run)["sha256"] != earlier["sha256"]


@pytest.mark.parametrize("step", ["clean", "load"])
def test_wrong_credentials_are_one_clear_error_at_once(run: Run, store: InStore, step: str) -> None:
    for before in ("create", "truncate"):
        assert run.start(before).wait(timeout=60) == 0
    handed, table = handed_on(run), dump(run.server, TABLE)
    store.relay.asked = 0
    code, message = run.fail(step, **store.environment(Run.attempt, key="another"))
    assert store.relay.asked == 1
    assert code == TERMINAL
    assert message.count("refuses the credentials of the connection storage") == 1
    assert "Traceback" not in message
    assert store.weed.access.secret not in message
    assert (handed_on(run), dump(run.server, TABLE)) == (handed, table)
    run.finish("clean")


def test_a_store_that_knows_no_conditional_put_is_refused(run: Run, store: InStore) -> None:
    handed = handed_on(run)
    store.relay.refuses_conditions = True
    code, message = run.fail("clean")
    store.relay.refuses_conditions = False
    assert (code, "conditional puts (If-None-Match)" in message) == (TERMINAL, True)
    assert handed_on(run) == handed
    run.finish("clean")


@pytest.mark.parametrize(("where", "is_left"), [("upload:2", True), ("put:3", False)])
def test_killed_while_what_was_erased_is_put_back(
    server: Server, files: InStore, tmp_path: Path, where: str, is_left: bool
) -> None:
    """Between two objects, and before the manifest is told of what was replaced: the same command finishes it."""
    work = server.runtime.home / f"erasing-{tmp_path.name}"
    work.mkdir()
    store = InStore(work, files.weed, files.relay, work.name)
    make_sample(work / "run.csv", 5_000, 3, 0.025)
    store.deliver(work / "run.csv")
    empty_warehouse(server)
    run = Run(server, work, store)
    run.finish("clean")
    release(server)
    with server.admin() as admin:
        ((customer,),) = admin.execute(
            "select customer_id::text from cleaned_data.customer_transactions"
            " where customer_id is not null group by customer_id order by count(*) desc limit 1"
        ).fetchall()
        sums = admin.execute("select count(*), sum(price) from cleaned_data.customer_transactions").fetchall()
    assert {key.partition("/")[0] for key in holding(store, customer)} == {"data", "runs"}
    told = {"FAULT_ERASED": customer, "FAULT_HOME": str(server.runtime.home)}
    told["FAULT_POSTGRES_PORT"] = str(server.runtime.postgres_port)
    run.kill_when("erase", (work / "put").exists, FAULT_AT=f"{where}:{work / 'put'}", **told)
    (work / "put").unlink()
    assert bool(holding(store, customer)) == is_left
    assert end(run.start("erase", **told)) == (0, "")
    assert holding(store, customer) == []
    with server.admin() as admin:
        left = admin.execute(
            "select count(*) from cleaned_data.customer_transactions where customer_id = %s", [customer]
        ).fetchone()
        assert left == (0,)
        assert (
            admin.execute("select count(*), sum(price) from cleaned_data.customer_transactions").fetchall() == sums
        )
    # The run can be cleared and run again, from what is left: first only what loads it.
    release(server)
    run.finish("create")
    assert store.store.find("erasing/") == []
    release(server)
    run.finish("clean")
    assert holding(store, customer) == []


def holding(store: InStore, customer: str) -> list[str]:
    """Return the keys of the files of records of which one has the customer in its second field."""
    return [
        stored.key
        for stored in (*store.store.find("data/"), *store.store.find("runs/"))
        if stored.key.endswith(".csv")
        for text in [(store.store.read(stored.key) or b"").decode(errors="replace")]
        if any(line.split(",")[1:2] == [customer] for line in text.splitlines())
    ]
