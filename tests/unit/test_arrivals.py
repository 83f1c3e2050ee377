"""Files that arrive: whole ones, once each, whatever is renamed, written again or restarted in between."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from customer_pipeline.arrivals import MEMORY, Arrival, Arrivals
from customer_pipeline.storing.deliveries import SETTLED_SECONDS
from customer_pipeline.tasks.arrival_trigger import ArrivalTrigger


class Clock:
    """Seconds that a test moves on."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "incoming" / "b").mkdir(parents=True)
    return tmp_path


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def arrivals(data: Path, clock: Clock) -> Arrivals:
    """What arrives from now on."""
    found = Arrivals(data, clock)
    assert found.look() == []
    return found


def settle(arrivals: Arrivals, clock: Clock) -> list[str]:
    """Look, wait, look again, and note what is told."""
    told = arrivals.look()
    clock.now += SETTLED_SECONDS
    told += arrivals.look()
    for arrival in told:
        arrivals.note(arrival)
    return [arrival.source for arrival in told]


def test_a_file_is_told_once_when_it_is_whole(data: Path, arrivals: Arrivals, clock: Clock) -> None:
    path = data / "incoming" / "a.csv"
    path.write_text("half")
    assert arrivals.look() == []
    clock.now += SETTLED_SECONDS - 1
    path.write_text("half and the rest")
    assert arrivals.look() == []
    clock.now += SETTLED_SECONDS - 1
    assert arrivals.look() == []
    assert settle(arrivals, clock) == ["incoming/a.csv"]
    assert settle(arrivals, clock) == []


@pytest.mark.parametrize("name", [".a.csv", "a.csv.part", "a.xlsx", "a.csv~", "b/.c/d.csv", "empty.csv"])
def test_what_is_no_delivery_is_not_told(data: Path, arrivals: Arrivals, clock: Clock, name: str) -> None:
    path = data / "incoming" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("" if name == "empty.csv" else "x")
    assert settle(arrivals, clock) == []


def test_a_file_that_was_uploaded_under_another_name_is_told_when_it_gets_its_own(
    data: Path, arrivals: Arrivals, clock: Clock
) -> None:
    part = data / "incoming" / "a.csv.part"
    part.write_text("x")
    assert settle(arrivals, clock) == []
    part.rename(data / "incoming" / "a.csv")
    assert settle(arrivals, clock) == ["incoming/a.csv"]


def test_a_new_name_is_no_new_file_and_new_content_is_one(data: Path, arrivals: Arrivals, clock: Clock) -> None:
    path = data / "incoming" / "a.csv"
    path.write_text("x")
    assert settle(arrivals, clock) == ["incoming/a.csv"]
    path.rename(data / "incoming" / "b" / "z.csv.gz")
    assert settle(arrivals, clock) == []
    path.write_text("x")
    assert settle(arrivals, clock) == ["incoming/a.csv"]
    path.write_text("something new")
    assert settle(arrivals, clock) == ["incoming/a.csv"]


def test_files_come_in_the_order_in_which_they_were_written(data: Path, arrivals: Arrivals, clock: Clock) -> None:
    for number, name in enumerate(["c", "a", "b"]):
        path = data / "incoming" / f"{name}.csv"
        path.write_text(name)
        os.utime(path, ns=(number, number))
    assert settle(arrivals, clock) == ["incoming/c.csv", "incoming/a.csv", "incoming/b.csv"]


def test_what_lay_there_before_starts_nothing_and_a_restart_forgets_nothing(data: Path, clock: Clock) -> None:
    (data / "incoming" / "old.csv").write_text("old")
    assert settle(Arrivals(data, clock), clock) == []
    (data / "incoming" / "new.csv").write_text("new")
    killed = Arrivals(data, clock)
    assert killed.look() == []
    clock.now += SETTLED_SECONDS
    (told,) = killed.look()  # and killed before it could note it
    again = Arrivals(data, clock)
    assert again.look() == []
    clock.now += SETTLED_SECONDS
    assert again.look() == [told]
    again.note(told)
    assert settle(Arrivals(data, clock), clock) == []


def test_a_file_that_changes_while_it_is_read_waits(
    data: Path, arrivals: Arrivals, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = data / "incoming" / "a.csv"
    path.write_text("x")
    arrivals.look()
    clock.now += SETTLED_SECONDS

    def change(_path: Path) -> str:
        path.write_text("other")
        return "0" * 64

    monkeypatch.setattr("customer_pipeline.arrivals.hash_file", change)
    assert arrivals.look() == []


def test_the_trigger_tells_an_arrival_and_notes_it_after_that(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (data / "incoming" / "a.csv").write_text("x")
    (data / MEMORY).write_text("[]")
    monkeypatch.setattr("customer_pipeline.arrivals.SETTLED_SECONDS", 0)

    async def first() -> Arrival:
        events = ArrivalTrigger(str(data), 0.01).run()
        event = await anext(events)
        assert (data / MEMORY).read_text() == "[]"
        waiting = asyncio.ensure_future(anext(events))
        await asyncio.sleep(0.3)
        assert not waiting.done()  # it is told once
        waiting.cancel()
        return Arrival(**event.payload)

    arrival = asyncio.run(first())
    assert arrival.source == "incoming/a.csv"
    assert settle(Arrivals(data), Clock()) == []


def test_the_trigger_is_made_anew_from_what_it_gives() -> None:
    path, words = ArrivalTrigger("/data", 7).serialize()
    assert path == "customer_pipeline.tasks.arrival_trigger.ArrivalTrigger"
    assert vars(ArrivalTrigger(**words))["data"] == "/data"
