"""A build of the marts that is killed or cut off can be run again, and readers see the old marts or the new."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from audited_load.marts.mart_manifest import read_marts
from audited_load.marts.mart_sets import publish_marts
from audited_load.warehouse.connection import connect
from customer_pipeline.feed import MARTS
from customer_pipeline.runtime.roles import make_roles_and_databases
from faults.conftest import SURVIVED, Server, dump, load_before, wait_until, watched
from faults.driver import STEPS, run_step

PROJECT = Path(__file__).parents[2] / "dbt"
FACT = "copy (select * from analytics.fact_transactions order by 1) to stdout"
SALES = "copy (select * from analytics.agg_monthly_sales order by 1, 2) to stdout"
LOOK = """
    select (select count(*) from analytics.fact_transactions),
        (select sum(lifetime_transactions) from analytics.dim_customers),
        (select sum(transactions) from analytics.agg_monthly_sales)
"""
BUILDING = "select count(*) from pg_stat_activity where usename = 'transformer' and query like '%{}%'"


def build(server: Server, target: Path) -> subprocess.Popen[str]:
    """Start dbt on the whole project, as a process group of its own."""
    environment = os.environ | {
        "POSTGRES_PORT": str(server.runtime.postgres_port),
        "TRANSFORMER_PASSWORD": server.runtime.secrets["transformer"],
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    }
    places = ["--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT), "--target-path", str(target)]
    command = [sys.executable, "-m", "dbt.cli.main", "--quiet", "build", *places]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def publish(server: Server, target: Path) -> None:
    with connect(server.runtime.dsn("transformer")) as connection:
        publish_marts(connection, MARTS, read_marts(target / "manifest.json"))


def finish(server: Server, target: Path) -> None:
    """Build, publish."""
    process = build(server, target)
    printed, _ = process.communicate(timeout=300)
    assert process.returncode == 0, printed
    publish(server, target)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What dbt writes, kept from build to build as in the pipeline."""
    return tmp_path_factory.mktemp("target")


@pytest.fixture(scope="module")
def marts(server: Server, work: Path, folder: Path) -> tuple[bytes, bytes]:
    """The marts of a run that nobody disturbed."""
    prepare(server, work, folder)
    finish(server, folder)
    return dump(server, FACT), dump(server, SALES)


def prepare(server: Server, work: Path, target: Path) -> None:
    with server.admin() as connection:
        for schema in ("analytics", "analytics_sets", "analytics_dbt_staging"):
            connection.execute(f"drop schema if exists {schema} cascade")  # type: ignore[call-overload]
    make_roles_and_databases(server.runtime)
    load_before(server, work)
    finish(server, target)
    for step in STEPS[1:]:
        run_step(step, work, "run", server.runtime.dsn("loader"))


@pytest.fixture
def target(
    server: Server, work: Path, marts: tuple[bytes, bytes], folder: Path, request: pytest.FixtureRequest
) -> Iterator[Path]:
    """A folder for dbt; afterwards the marts are as if nobody had disturbed it."""
    prepare(server, work, folder)
    with server.admin() as admin:
        before = admin.execute(LOOK).fetchone()
    with watched(server, LOOK) as seen:
        yield folder
        finish(server, folder)
        wait_until(lambda: len(seen) > 1)
    with server.admin() as admin:
        after = admin.execute(LOOK).fetchone()
        left = admin.execute(
            "select relname from pg_class where relname like '%\\_\\_dbt\\_%' and relkind <> 'i'"
        ).fetchall()
    assert seen == {before, after}
    # The load ids differ from round to round.
    assert without_load(dump(server, FACT)) == without_load(marts[0])
    assert dump(server, SALES) == marts[1]
    assert not left
    request.node.user_properties.append((SURVIVED, request.node.name))


def without_load(facts: bytes) -> list[bytes]:
    return [line.rpartition(b"\t")[0] for line in facts.splitlines()]


def kill_when(process: subprocess.Popen[str], condition: Callable[[], Any]) -> None:
    wait_until(condition, process)
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=60)


@pytest.mark.parametrize("model", ["fact_transactions", "fact_ties_to_ledger"])
def test_killed_in_the_middle_of_dbt(server: Server, target: Path, model: str) -> None:
    with server.admin() as admin:
        query = BUILDING.format(model)
        kill_when(build(server, target), lambda: (admin.execute(query).fetchone() or (0,))[0])  # type: ignore[call-overload]


def test_the_server_fails_in_the_middle_of_dbt(server: Server, target: Path) -> None:
    process = build(server, target)
    with server.admin() as admin:
        query = BUILDING.format("fact_transactions")
        wait_until(lambda: (admin.execute(query).fetchone() or (0,))[0], process)  # type: ignore[call-overload]
    server.stop(signal.SIGQUIT)
    assert process.wait(timeout=120) != 0
    server.start()


def test_killed_while_it_publishes(server: Server, target: Path) -> None:
    finished = build(server, target)
    assert finished.wait(timeout=300) == 0
    script = (
        "import sys; from pathlib import Path; from audited_load.warehouse.connection import connect;"
        "from audited_load.marts.mart_manifest import read_marts;"
        "from audited_load.marts.mart_sets import publish_marts; from customer_pipeline.feed import MARTS\n"
        "with connect(sys.stdin.readline().strip()) as connection:\n"
        "    publish_marts(connection, MARTS, read_marts(Path(sys.argv[1])))"
    )
    with psycopg.connect(server.runtime.dsn("postgres")) as blocker, server.admin() as admin:
        blocker.execute("lock table analytics_sets.published in share mode")
        process = subprocess.Popen(
            [sys.executable, "-c", script, str(target / "manifest.json")], stdin=subprocess.PIPE, text=True
        )
        assert process.stdin is not None
        process.stdin.write(server.runtime.dsn("transformer") + "\n")
        process.stdin.flush()
        waiting = "select count(*) from pg_stat_activity where usename = 'transformer' and wait_event_type = 'Lock'"
        kill_when(process, lambda: (admin.execute(waiting).fetchone() or (0,))[0])
        blocker.rollback()


def test_killed_at_a_random_moment_of_dbt(server: Server, target: Path) -> None:
    delay = random.Random(int(os.environ.get("FAULT_SEED") or 20251204)).uniform(1, 10)
    print(f"kill after {delay:.2f} s")
    process = build(server, target)
    try:
        process.wait(timeout=delay)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=60)
