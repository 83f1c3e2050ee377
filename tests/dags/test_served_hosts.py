"""Airflow's app, with our plugins and without a database: which Host headers it answers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from audited_load.errors import RefusedError
from customer_pipeline.runtime.environment import process_environment, write_airflow_users
from customer_pipeline.runtime.hosts import served_hosts
from customer_pipeline.runtime.installation import read_runtime
from customer_pipeline.runtime.login import refuse_open_login

PLUGINS = Path(__file__).parents[2] / "airflow" / "plugins"
ANSWERED = (
    "127.0.0.1:8081", "localhost:8081", "LOCALHOST", "[::1]:8081", "airflow-webserver:8080", "ui.example.com",
    "a.example.org",
)  # fmt: skip
REFUSED = (
    "evil.example", "evil.example:8081", "127.0.0.1.evil.example", "localhost.evil.example", "0.0.0.0:8081",
    "127.0.0.2", "example.org", "xexample.org", "ui.example.com.evil", "evil@127.0.0.1", "127.0.0.1:8081@evil", "",
)  # fmt: skip
# The page, the API, what tasks report to, the sign-in, and the pipeline's own page.
PATHS = ("/", "/api/v2/version", "/execution/health", "/auth/token/login", "/pipeline/icon.svg")
ASK = """
import json, sys
from airflow.api_fastapi.app import create_app
from starlette.testclient import TestClient
client = TestClient(create_app(), follow_redirects=False, raise_server_exceptions=False)
hosts, paths = json.loads(sys.argv[1])
answers = {host: [client.get(path, headers={"host": host}).status_code for path in paths] for host in hosts}
print(json.dumps(answers))
"""


def test_it_answers_under_the_names_that_it_is_served_under_and_no_other(tmp_path: Path) -> None:
    runtime = read_runtime({"PIPELINE_HOME": str(tmp_path), "API_PORT": "8081"})
    write_airflow_users(runtime)
    environment = process_environment(runtime) | {
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(PLUGINS),
        # As with Docker, where tasks find it under the name of a service.
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": "http://airflow-webserver:8080/execution/",
        "API_HOSTS": "ui.example.com, *.example.org",
    }
    asked = json.dumps([[*ANSWERED, *REFUSED], PATHS])
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", ASK, asked],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    answers = json.loads(done.stdout.splitlines()[-1])
    assert {host for host in answers if 400 not in answers[host]} == set(ANSWERED)
    assert {host for host in answers if set(answers[host]) == {400}} == set(REFUSED)


@pytest.mark.parametrize("text", ["*", "a b", "http://a", "a:80", "*a", "a.*", "a/b", "-", "é.example"])
def test_what_is_no_name_of_a_host_is_refused_before_the_start(text: str) -> None:
    with pytest.raises(RefusedError, match="API_HOSTS"):
        served_hosts({"API_HOSTS": text})
    with pytest.raises(RefusedError, match="API_HOSTS"):
        refuse_open_login({"API_HOSTS": text})


def test_the_hosts_of_known_addresses_are_served() -> None:
    found = served_hosts({}, "http://airflow-webserver:8080/execution/", "", "https://user@[fd00::1]:1/x")
    assert found == ["127.0.0.1", "localhost", "[::1]", "airflow-webserver", "[fd00::1]"]
