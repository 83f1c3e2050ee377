"""Services that are slow, silent or broken at the start: who is waited for, and what is shown of whose log."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from audited_load.errors import UnavailableError
from customer_pipeline.runtime import health, postgres_server, supervisor
from customer_pipeline.runtime.health import MOST_SECONDS, SILENT_SECONDS, wait_until_healthy
from customer_pipeline.runtime.installation import Runtime, read_runtime
from customer_pipeline.runtime.supervisor import AIRFLOW, Service, log_marks, log_tail


class Slow:
    """Services that need some time, and do something every so often until then."""

    def __init__(
        self, runtime: Runtime, healthy_after: float, writes_every: float, fatal_after: float = 1e9
    ) -> None:
        self.now, self.runtime, self.state = 0.0, runtime, "RUNNING"
        self.healthy_after, self.writes_every, self.fatal_after = healthy_after, writes_every, fatal_after
        self.written = 0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, _seconds: float) -> None:
        self.now += 5
        if self.now // self.writes_every > self.written:
            self.written += 1
            with (self.runtime.folder / "logs" / "scheduler.log").open("a") as log:
                log.write(f"new process: step {self.written}\n")

    def services(self, _runtime: Runtime) -> dict[str, Service]:
        state = "FATAL" if self.now >= self.fatal_after else "RUNNING"
        return {name: Service(state if name == "scheduler" else "RUNNING", 0, 0) for name in AIRFLOW}

    def unhealthy(self, _runtime: Runtime, _services: object) -> set[str]:
        return set() if self.now >= self.healthy_after else {"scheduler"}


@pytest.fixture
def runtime(tmp_path: Path) -> Runtime:
    runtime = read_runtime({"PIPELINE_HOME": str(tmp_path)})
    (runtime.folder / "logs").mkdir()
    (runtime.folder / "logs" / "scheduler.log").write_text("old process: Traceback\n" * 30)
    return runtime


@pytest.fixture
def wait(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> Callable[[Slow], None]:
    marks = log_marks(runtime)

    def wait(slow: Slow) -> None:
        monkeypatch.setattr(health, "time", slow)
        monkeypatch.setattr(health, "read_services", slow.services)
        monkeypatch.setattr(health, "find_unhealthy", slow.unhealthy)
        wait_until_healthy(runtime, marks)

    return wait


def test_who_makes_progress_is_waited_for(
    runtime: Runtime, wait: Callable[[Slow], None], capsys: pytest.CaptureFixture[str]
) -> None:
    wait(Slow(runtime, healthy_after=5 * SILENT_SECONDS, writes_every=SILENT_SECONDS - 20))
    assert capsys.readouterr().out == "Slow to start, and still at it: scheduler.\n"


def test_who_does_nothing_is_not(runtime: Runtime, wait: Callable[[Slow], None]) -> None:
    slow = Slow(runtime, healthy_after=1e9, writes_every=1e9)
    with pytest.raises(UnavailableError, match=f"scheduler is not healthy after .* nothing for {SILENT_SECONDS} s"):
        wait(slow)
    assert slow.now < SILENT_SECONDS + 20


def test_nor_who_writes_for_ever(runtime: Runtime, wait: Callable[[Slow], None]) -> None:
    slow = Slow(runtime, healthy_after=1e9, writes_every=20)
    with pytest.raises(UnavailableError, match=r"not healthy after \d+ s\. The end"):
        wait(slow)
    assert MOST_SECONDS < slow.now < MOST_SECONDS + 20


def test_what_is_shown_is_of_this_start(runtime: Runtime, wait: Callable[[Slow], None]) -> None:
    with pytest.raises(UnavailableError, match="ends as soon as it starts") as caught:
        wait(Slow(runtime, healthy_after=1e9, writes_every=20, fatal_after=60))
    assert re.findall("step [0-9]", str(caught.value)) == ["step 1", "step 2", "step 3"]
    assert "old process" not in str(caught.value)


def test_who_has_said_nothing_since_is_not_given_the_words_of_the_one_before(
    runtime: Runtime, wait: Callable[[Slow], None]
) -> None:
    with pytest.raises(UnavailableError, match=r"\(it has written nothing\)"):
        wait(Slow(runtime, healthy_after=1e9, writes_every=1e9))


def test_a_log_that_was_begun_anew_is_shown_from_its_beginning(runtime: Runtime) -> None:
    marks = log_marks(runtime)
    (runtime.folder / "logs" / "scheduler.log").write_text("new process\n")
    assert log_tail(runtime, "scheduler", since=marks["scheduler"]) == "new process"


def test_a_service_that_runs_already_is_shown_with_its_own_start(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "read_services", lambda _: {"scheduler": Service("RUNNING", 7, 0)})
    assert "scheduler" not in log_marks(runtime)
    assert log_tail(runtime, "scheduler").startswith("old process")


@pytest.mark.parametrize(
    ("said", "is_waited_for"),
    [("the database system is starting up", True), ("connection refused", False)],
)
def test_a_database_that_recovers_from_a_crash_is_waited_for(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch, said: str, is_waited_for: bool
) -> None:
    slow = Slow(runtime, healthy_after=600, writes_every=1e9)

    class Connection:
        def close(self) -> None:
            pass

    def connect(*_: object, **__: object) -> Connection:
        if slow.now < slow.healthy_after:
            raise psycopg.OperationalError(f"FATAL:  {said}")
        return Connection()

    monkeypatch.setattr(postgres_server, "time", slow)
    monkeypatch.setattr(psycopg, "connect", connect)
    if is_waited_for:
        postgres_server.wait_for_server(runtime)
    else:
        with pytest.raises(UnavailableError, match=said):
            postgres_server.wait_for_server(runtime)
    assert (slow.now >= slow.healthy_after) == is_waited_for
