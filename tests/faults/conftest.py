"""A PostgreSQL that can be stopped and started, a run that can be killed, and a reader that looks on all along.

With `FAULT_ROOT=store`, the tests that touch files, and more, run with a real store as the place of the files.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from customer_pipeline.runtime.installation import Runtime, free_port, read_runtime
from customer_pipeline.runtime.postgres_server import (
    locate_server,
    make_cluster,
    server_command,
    wait_for_server,
)
from customer_pipeline.runtime.roles import make_roles_and_databases
from customer_pipeline.sample.generator import write_sample
from faults.driver import STEPS, run_step
from faults.files import Files, InFolder, InStore, Relay
from scale.seaweed import running_store

ROWS = 150_000
TABLE = (
    "copy (select transaction_id, customer_id, transaction_date, product_id, product_name, quantity, price, tax,"
    " source_record from cleaned_data.customer_transactions order by 1) to stdout"
)
QUARANTINE = (
    "copy (select source_record, source_line, byte_offset, reasons, raw_record"
    " from cleaned_data.customer_transactions_rejected_by_load where load_id ="
    " (select load_id from cleaned_data.published_load) order by 1) to stdout"
)
SEEN = "select count(*), sum(quantity), sum(quantity * price) from cleaned_data.customer_transactions"
SURVIVED = "survived"
IN_STORE = os.environ.get("FAULT_ROOT") == "store"
collect_ignore = ["test_mid_dbt.py", "test_readers.py"] if IN_STORE else ["test_in_a_store.py"]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "files: a test of what becomes of files, which may lie in a store")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if "faults" in item.path.parts:
            item.add_marker(pytest.mark.timeout(1500))  # the first test of a process also waits for its servers
    if IN_STORE:
        kept = [item for item in items if item.get_closest_marker("files")]
        config.hook.pytest_deselected(items=[item for item in items if item not in kept])
        items[:] = kept


class Server:
    """The embedded PostgreSQL, in the test's hands."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self._server = locate_server(runtime)
        make_cluster(self._server, runtime.secrets["postgres"])
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def user(self) -> str | None:
        """Who runs it; None for the caller."""
        return self._server.user

    def start(self) -> None:
        """Start it, and wait until it answers."""
        who: dict[str, Any] = {}
        if self._server.user:
            entry = pwd.getpwnam(self._server.user)
            who = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
        with (self.runtime.home / "postgres.log").open("a") as log:
            command = server_command(self._server, self.runtime.postgres_port)
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd="/", **who)
        wait_for_server(self.runtime)

    def stop(self, how: signal.Signals) -> None:
        """Stop it: SIGINT kindly, SIGQUIT as if the power failed."""
        assert self._process is not None
        self._process.send_signal(how)
        self._process.wait(timeout=60)

    def admin(self) -> psycopg.Connection:
        """Connect to the warehouse as the superuser."""
        return psycopg.connect(self.runtime.dsn("postgres"), autocommit=True)

    def remove(self) -> None:
        """Remove all of it."""
        shutil.rmtree(self.runtime.home, ignore_errors=True)
        if os.geteuid() == 0 and self._server.data.parent.name == self.runtime.identity:
            shutil.rmtree(self._server.data.parent, ignore_errors=True)


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    home = Path(tempfile.mkdtemp(prefix="customer-pipeline-faults-"))
    home.chmod(0o755)
    server = Server(read_runtime({"PIPELINE_HOME": str(home), "POSTGRES_PORT": str(free_port())}))
    server.start()
    try:
        make_roles_and_databases(server.runtime)
        yield server
    finally:
        server.stop(signal.SIGINT)
        server.remove()


class Run:
    """A run of the load's steps, each a process."""

    attempt = 0

    def __init__(self, server: Server, work: Path, files: Files, name: str = "run") -> None:
        self.server, self.work, self.files, self.name, self.steps = server, work, files, name, STEPS

    def start(self, step: str, **environment: str) -> subprocess.Popen[str]:
        """Start a step; of cleaning, each start is another attempt, as a retry is."""
        Run.attempt += step == "clean"
        command = [sys.executable, str(Path(__file__).with_name("driver.py")), step, str(self.work), self.name]
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(sys.path),
                **self.files.environment(Run.attempt),
                **environment,
            },
        )
        assert process.stdin is not None
        process.stdin.write(self.server.runtime.dsn("loader") + "\n")
        process.stdin.close()
        return process

    def finish(self, first: str = "create") -> None:
        """Run the steps from `first` to the last, each of which must succeed."""
        for step in self.steps[self.steps.index(first) :]:
            process = self.start(step)
            error = process.stderr.read() if process.stderr else ""
            assert process.wait(timeout=600) == 0, f"{step}: {error}"

    def kill_when(self, step: str, condition: Callable[[], bool], **environment: str) -> None:
        """Start a step, and kill it as soon as a condition holds."""
        process = self.start(step, **environment)
        try:
            wait_until(condition, process)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()

    def fail(self, step: str, **environment: str) -> tuple[int, str]:
        """Run a step that fails; give its exit code and its message."""
        process = self.start(step, **environment)
        error = process.stderr.read() if process.stderr else ""
        return process.wait(timeout=600), error


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[str] | None = None) -> None:
    """Wait for a condition, at most five minutes and not beyond the end of a process."""
    deadline = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < deadline, "the point was never reached"
        if process is not None and process.poll() is not None:
            raise AssertionError(f"the step ended before the point: {process.stderr and process.stderr.read()}")
        time.sleep(0.001)


def dump(server: Server, statement: str) -> bytes:
    with server.admin() as connection, connection.cursor().copy(statement) as copy:
        return b"".join(bytes(chunk) for chunk in copy)


@pytest.fixture(scope="session")
def files(server: Server) -> Iterator[Files]:
    """Where files lie: of all tests in a folder, or in a store."""
    folder = server.runtime.home / "work"
    folder.mkdir()
    if not IN_STORE:
        yield InFolder(folder)
        return
    with running_store() as weed:
        relay = Relay(weed)
        yield InStore(folder, weed, relay)
        relay.close()


@pytest.fixture(scope="session")
def work(server: Server, files: Files) -> Path:
    """A folder with a small load's file and a large one's, both cleaned."""
    folder = server.runtime.home / "work"
    for name, rows in {"before": 5_000, "run": ROWS}.items():
        with (folder / f"{name}.csv").open("wb") as file:
            write_sample(file, rows, seed=11)
        files.deliver(folder / f"{name}.csv")
        process = Run(server, folder, files, name).start("clean")
        assert process.wait(timeout=300) == 0, process.stderr and process.stderr.read()
        release(server)
    return folder


def release(server: Server) -> None:
    with server.admin() as connection:
        connection.execute("delete from cleaned_data.lease")


@pytest.fixture(scope="session")
def undisturbed(server: Server, work: Path, files: Files) -> tuple[bytes, bytes]:
    """What the table and the quarantine hold after a run that nobody disturbed."""
    load_before(server, work, files)
    Run(server, work, files).finish()
    return dump(server, TABLE), dump(server, QUARANTINE)


def load_before(server: Server, work: Path, files: Files | None = None) -> None:
    empty_warehouse(server)
    for step in STEPS[1:]:
        run_step(step, work, "before", server.runtime.dsn("loader"), files.environment(1) if files else {})


def empty_warehouse(server: Server) -> None:
    with server.admin() as connection:
        connection.execute("drop schema if exists cleaned_data cascade")
        connection.execute("create schema cleaned_data authorization loader")


@contextmanager
def watched(server: Server, statement: str = SEEN) -> Iterator[set[tuple[Any, ...]]]:
    """Let a reader look all along, through restarts of the server; gives what it saw."""
    seen: set[tuple[Any, ...]] = set()
    errors: list[str] = []
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            try:
                with psycopg.connect(
                    server.runtime.dsn("reader"), autocommit=True, connect_timeout=5
                ) as connection:
                    while not stop.is_set():
                        seen.add(tuple(connection.execute(statement).fetchone() or ()))  # type: ignore[call-overload]
                        stop.wait(0.02)
            except psycopg.OperationalError:
                stop.wait(0.05)  # the server is away
            except psycopg.Error as error:
                errors.append(repr(error))
                return

    thread = threading.Thread(target=read)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()
    assert not errors


@pytest.fixture
def run(
    server: Server, work: Path, files: Files, undisturbed: tuple[bytes, bytes], request: pytest.FixtureRequest
) -> Iterator[Run]:
    """A run that is to be disturbed; afterwards everything is as if it had not been."""
    load_before(server, work, files)
    with server.admin() as connection:
        before = connection.execute(SEEN).fetchone()
    with watched(server) as seen:
        yield Run(server, work, files)
        wait_until(lambda: len(seen) > 1)
    with server.admin() as connection:
        after = connection.execute(SEEN).fetchone()
        ledger = connection.execute("select run_id, status from cleaned_data.loads order by load_id").fetchall()
        tables = connection.execute(
            "select relname from pg_class where relnamespace = 'cleaned_data'::regnamespace and relkind = 'r'"
        ).fetchall()
    assert (dump(server, TABLE), dump(server, QUARANTINE)) == undisturbed
    assert ledger == [("before", "published"), ("run", "published")]
    partitions = [name for (name,) in tables if "_g" in name]
    rest = {name.removeprefix("customer_transactions_") for (name,) in tables} - {
        name.removeprefix("customer_transactions_") for name in partitions
    }
    assert len(partitions) == 2
    assert rest == {
        "loads",
        "copied_pieces",
        "published",
        "lease",
        "rejected_by_load",
        "rejected_closed",
        "rejected_replays",
        "changes",
        "erasures",
        "scrubbed_files",
        "migrations",
    }
    files.clear()
    assert seen == {before, after}
    request.node.user_properties.append((SURVIVED, request.node.name))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    ended = [report for name in ("passed", "failed", "error") for report in terminalreporter.stats.get(name, [])]
    tried = len({report.nodeid for report in ended if "test_readers" not in report.nodeid})
    passed = terminalreporter.getreports("")
    names = [value for report in passed for name, value in report.user_properties if name == SURVIVED]
    terminalreporter.write_line(
        f"Points tried: {tried}; survived with byte-for-byte the same tables: {len(names)}."
    )
    for name in names:
        terminalreporter.write_line(f"  survived {name.removeprefix('test_')}")
