"""The services as an operator starts them, in a clone of their own, with somebody who listens to the alerts."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psycopg
import pytest
from aiosmtpd.controller import Controller

from customer_pipeline.runtime.installation import Runtime, free_port, read_runtime

ROOT = Path(__file__).parents[2]
COMMAND = str(Path(sys.executable).with_name("customer-pipeline"))
RETRY_SECONDS = 5


@dataclass
class Alerts:
    """What was sent, as it arrived."""

    slack: list[str] = field(default_factory=list)
    mails: list[tuple[list[str], str, str]] = field(default_factory=list)

    def about(self, run_id: str, title: str) -> list[str]:
        """Return the messages of a run to Slack, by their title."""
        return [text for text in self.slack if run_id in text and title in text.splitlines()[0]]


@dataclass(frozen=True)
class Stack:
    """The services, and the environment that they were started in."""

    runtime: Runtime
    environment: dict[str, str]
    alerts: Alerts

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start the operator's command."""
        return subprocess.Popen(
            [COMMAND, *arguments], env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """Run the operator's `run`; give its exit code, the run's id, and what it printed."""
        process = self.start("run", *arguments)
        printed, _ = process.communicate(timeout=300)
        run_id = next((line[4:] for line in printed.splitlines() if line.startswith("Run manual__")), "")
        return process.returncode, run_id, printed

    def ask(self, database: str, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Ask a database as the superuser."""
        with psycopg.connect(self.runtime.dsn("postgres", database), autocommit=True) as connection:
            cursor = connection.execute(statement, values)  # type: ignore[arg-type]
            return cursor.fetchall() if cursor.description else []

    def tries(self, run_id: str) -> dict[str, tuple[str, int]]:
        """Return state and number of tries of each task of a run, by its id without the groups."""
        rows = self.ask("airflow", "select task_id, state, try_number from task_instance where run_id = %s", run_id)
        return {task.split(".", 1)[-1]: (state, number) for task, state, number in rows}


@pytest.fixture(scope="session")
def alerts() -> Iterator[tuple[Alerts, int, int]]:
    """A webhook and a mail server on this machine; gives what they get, and their ports."""
    got = Alerts()

    class Webhook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            got.slack.append(body["text"])
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_: Any) -> None:
            pass

    class Mailbox:
        async def handle_DATA(  # noqa: N802 - the interface's
            self, _server: Any, _session: Any, envelope: Any
        ) -> str:
            mail = message_from_bytes(envelope.content, policy=policy.default)
            body = mail.get_body(("html", "plain"))
            got.mails.append((envelope.rcpt_tos, str(mail["Subject"]), body.get_content() if body else ""))
            return "250 OK"

    web = ThreadingHTTPServer(("127.0.0.1", 0), Webhook)
    threading.Thread(target=web.serve_forever, daemon=True).start()
    mail = Controller(Mailbox(), hostname="127.0.0.1", port=free_port())
    mail.start()
    yield got, web.server_port, mail.port
    mail.stop()
    web.shutdown()


@pytest.fixture(scope="session")
def stack(alerts: tuple[Alerts, int, int]) -> Iterator[Stack]:
    """Services of a clone, all of them real."""
    got, web, mail = alerts
    home = Path(tempfile.mkdtemp(prefix="customer-pipeline-e2e-"))
    home.chmod(0o755)
    for name in ("airflow/dags", "airflow/plugins", "contracts", "dbt", "data"):
        if (ROOT / name).exists():
            ignored = shutil.ignore_patterns("target", "logs", "runs", "incoming", "__pycache__", ".*")
            shutil.copytree(ROOT / name, home / name, ignore=ignored)
    smtp = {
        "conn_type": "smtp",
        "host": "127.0.0.1",
        "port": mail,
        "extra": {"disable_ssl": True, "disable_tls": True, "from_email": "pipeline@example.com"},
    }
    environment = os.environ | {
        "PIPELINE_HOME": str(home),
        "RUNTIME": "embedded",  # also where a Docker engine answers
        "API_PORT": str(free_port()),
        "RETRY_DELAY_SECONDS": str(RETRY_SECONDS),
        "SLACK_WEBHOOK_URL": f"http://127.0.0.1:{web}/services/T/B/secret",
        "ALERT_EMAIL": "operator@example.com, other@example.com",
        "AIRFLOW_CONN_SMTP_DEFAULT": json.dumps(smtp),
        "WARN_REJECTED_RATIO": "0.03",
        "DEADLINE_HOURS": "0.001",
    }
    started = subprocess.run([COMMAND, "up"], env=environment, capture_output=True, text=True, check=False)
    try:
        assert started.returncode == 0, started.stdout + started.stderr
        yield Stack(read_runtime(environment), environment, got)
    finally:
        subprocess.run([COMMAND, "down"], env=environment, capture_output=True, check=False)
        runtime = read_runtime(environment)
        shutil.rmtree(home, ignore_errors=True)
        shutil.rmtree(Path("/var/lib/customer-pipeline") / runtime.identity, ignore_errors=True)
