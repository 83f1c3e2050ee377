"""Airflow with Celery, two workers that share the code and nothing else, Redis and an S3 store, all of these tests.

A worker is a machine of its own as far as one can be had without another one: it has its own tree of processes, its
own name, and its own `/tmp`, data folder, logs, home of Airflow and target of dbt. It knows no database of Airflow.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from audited_load.storage import Access, Store
from customer_pipeline.runtime.installation import Runtime, free_port, read_runtime
from scale.seaweed import BUCKET, PATIENCE, SeaweedFS, Server, running_store, wait_until

ROOT = Path(__file__).parents[2]
COMMAND = str(Path(sys.executable).with_name("customer-pipeline"))
SETTINGS = ROOT / "deploy" / "celery.env"
PREFIX = "of/tests"
HIDDEN = ("airflow/logs", "data", "dbt/target", "dbt/logs", ".runtime/airflow")
"""Of the clone, what each worker has for itself."""
DATABASE_OF_AIRFLOW = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"


@dataclass(frozen=True)
class Stack:
    """The services of a clone, and the environment that they were started in."""

    runtime: Runtime
    environment: dict[str, str]

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `customer-pipeline`."""
        line = [COMMAND, *arguments]
        return subprocess.run(
            line, env=self.environment, capture_output=True, text=True, check=False, timeout=PATIENCE
        )

    def start_run(self, *arguments: str) -> subprocess.Popen[str]:
        """Start the operator's `run`, and don't wait for its end."""
        return subprocess.Popen(
            [COMMAND, "run", *arguments],
            env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def ask(self, statement: str, *values: Any, database: str = "ebury") -> list[tuple[Any, ...]]:
        """Ask a database as the superuser."""
        with psycopg.connect(self.runtime.dsn("postgres", database), autocommit=True) as connection:
            return connection.execute(statement, values).fetchall()  # type: ignore[arg-type]

    def tasks(self, run_id: str) -> list[tuple[str, int, str, int, str]]:
        """Return id, number, state, tries and machine of each task of a run."""
        statement = (
            "select task_id, map_index, state, try_number, hostname from task_instance where run_id = %s order by 1"
        )
        return self.ask(statement, run_id, database="airflow")

    def newest_run(self) -> str:
        """Return the id of the run that was made last."""
        return str(self.ask("select run_id from dag_run order by id desc limit 1", database="airflow")[0][0])


@contextmanager
def running_stack(environment: dict[str, str]) -> Iterator[Stack]:
    """Start the services of a new clone, and remove all of it afterwards."""
    home = Path(tempfile.mkdtemp(prefix="customer-pipeline-scale-", dir="/var/tmp"))  # workers hide /tmp
    home.chmod(0o755)
    for name in ("airflow/dags", "airflow/plugins", "contracts", "dbt"):
        shutil.copytree(ROOT / name, home / name, ignore=shutil.ignore_patterns("__pycache__", "target", "logs"))
    (home / "data").mkdir()
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PIPELINE_"))},
        "PIPELINE_HOME": str(home),
        "RUNTIME": "embedded",  # also where a Docker engine would answer
        "API_PORT": str(free_port()),
        "POSTGRES_PORT": str(free_port()),
        "RETRY_DELAY_SECONDS": "5",
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "600",  # nobody edits them meanwhile
        **environment,
    }
    stack = Stack(read_runtime(environment), environment)
    try:
        started = stack.command("up")
        assert started.returncode == 0, started.stdout + started.stderr
        yield stack
    finally:
        stack.command("down")
        shutil.rmtree(home, ignore_errors=True)
        shutil.rmtree(Path("/var/lib/customer-pipeline") / stack.runtime.identity, ignore_errors=True)


@dataclass
class Worker:
    """A worker of Celery on what looks to it like a machine of its own."""

    name: str
    stack: Stack
    environment: dict[str, str]
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it on an empty machine, and wait until it takes tasks."""
        home = self.stack.runtime.home
        log_file = home / f"{self.name}.log"
        before = log_file.stat().st_size if log_file.exists() else 0
        hide = [f"mkdir -p {home / name} && mount -t tmpfs tmpfs {home / name}" for name in HIDDEN]
        celery = "-m airflow celery worker --skip-serve-logs --concurrency 1 --without-gossip --without-mingle"
        script = [
            "set -e",
            "mount --make-rprivate /",
            *hide,
            "mount -t tmpfs tmpfs /tmp",
            f"hostname {self.name}",
            f"cd {home} && exec {sys.executable} {celery} --celery-hostname {self.name}@%h",
        ]
        line = ["unshare", "--mount", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc"]
        with log_file.open("ab") as log:
            process = subprocess.Popen(
                [*line, "bash", "-c", "\n".join(script)], env=self.environment, stdout=log, stderr=log
            )
        self.process = process

        def is_ready() -> bool:
            said = log_file.read_bytes()[before:]
            assert process.poll() is None, said.decode(errors="replace")
            return b" ready." in said

        wait_until(is_ready, f"{self.name} is ready", 300)

    def kill(self) -> None:
        """Let the machine die: every process of it at once."""
        if self.process:
            self.process.kill()
            self.process.wait()

    def see(self, pattern: str) -> list[Path]:
        """Return files of the machine, by a pattern from its root."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children") if self.process else Path("/")
        with suppress(OSError, ValueError, IndexError):
            return sorted(Path(f"/proc/{children.read_text().split()[0]}/root").glob(pattern.lstrip("/")))
        return []


@dataclass
class Cluster:
    """All of it."""

    stack: Stack
    redis: Server
    weed: SeaweedFS
    store: Store
    workers: list[Worker] = field(default_factory=list)


@contextmanager
def running_cluster() -> Iterator[Cluster]:
    """Start a store, a broker, the services and two workers."""
    folder = Path(tempfile.mkdtemp(prefix="customer-pipeline-broker-", dir="/var/tmp"))
    port = free_port()
    redis = Server(
        ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder),
         "--appendonly", "yes", "--save", ""],
        folder / "redis.log",
        lambda: ping(port),
    )  # fmt: skip
    try:
        redis.start()
        with running_store() as weed, running_stack(_settings(weed.access, port)) as stack:
            store = Store(f"s3://{BUCKET}/{PREFIX}", weed.access)
            cluster = Cluster(stack, redis, weed, store)
            try:
                of_worker = worker_environment(stack)
                cluster.workers = [Worker(name, stack, of_worker) for name in ("worker-a", "worker-b")]
                for worker in cluster.workers:
                    worker.start()
                yield cluster
            finally:
                for worker in cluster.workers:
                    worker.kill()
    finally:
        redis.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _settings(access: Access, port: int) -> dict[str, str]:
    return read_settings_file() | {
        "STORAGE_ROOT": f"s3://{BUCKET}/{PREFIX}",
        "SHARD_MIB": "14",  # a million records in five
        "AIRFLOW_CONN_STORAGE": json.dumps(
            {"conn_type": "aws", "login": access.key_id, "password": access.secret,
             "extra": {"endpoint_url": access.endpoint}}
        ),
        "AIRFLOW__CELERY__BROKER_URL": f"redis://127.0.0.1:{port}/0",
        "AIRFLOW__CELERY__RESULT_BACKEND": f"redis://127.0.0.1:{port}/1",
    }  # fmt: skip


def worker_environment(stack: Stack) -> dict[str, str]:
    """Return the environment of the services without the database of Airflow, which workers have no need of."""
    listed = subprocess.run(
        [COMMAND, "exec", "--", "env", "-0"], env=stack.environment, capture_output=True, text=True, check=True
    ).stdout
    told = dict(line.split("=", 1) for line in listed.split("\0") if "=" in line)
    left = {name: value for name, value in told.items() if not name.startswith(DATABASE_OF_AIRFLOW)}
    assert stack.runtime.secrets["airflow"] not in "".join(left.values())
    return left | {"AIRFLOW__CORE__HOSTNAME_CALLABLE": "socket.gethostname", "C_FORCE_ROOT": "1"}


def read_settings_file() -> dict[str, str]:
    """Read the settings that operators are given."""
    lines = SETTINGS.read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def ping(port: int) -> bool:
    """Return whether Redis answers."""
    import redis  # noqa: PLC0415 - of the extra that these tests need

    with suppress(redis.RedisError):
        return bool(redis.Redis(port=port, socket_timeout=2).ping())
    return False


def end(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Wait for a command; give its exit code and what it printed."""
    try:
        printed, _ = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
        printed, _ = process.communicate(timeout=60)
        raise AssertionError(printed) from None
    return process.returncode, printed
