"""Who may sign in, and with which keys: what lets strangers in is refused before anything starts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from audited_load.errors import RefusedError
from customer_pipeline.runtime.env_file import SECRETS, new_env_file, new_secret, read_env_file
from customer_pipeline.runtime.environment import process_environment
from customer_pipeline.runtime.installation import read_runtime
from customer_pipeline.runtime.login import FAB, SIMPLE, refuse_open_login, refuse_weak_secrets
from customer_pipeline.runtime.services import start_services

ANYWHERE = "0.0.0.0"  # noqa: S104 - what is refused
KEYS = {
    "AIRFLOW__CORE__FERNET_KEY": new_secret("fernet"),
    "AIRFLOW__API__SECRET_KEY": new_secret("api"),
    "AIRFLOW__API_AUTH__JWT_SECRET": new_secret("jwt"),
}
SAFE = {name: new_secret(name) for name in SECRETS}


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_simple_login_is_taken_on_this_machine_only(host: str) -> None:
    refuse_open_login(KEYS | {"AIRFLOW__CORE__AUTH_MANAGER": SIMPLE, "AIRFLOW__API__HOST": host})


@pytest.mark.parametrize("host", [ANYWHERE, "::", "192.168.1.5", "example.org", "", None])
@pytest.mark.parametrize("manager", [SIMPLE, "", None])
def test_simple_login_is_refused_on_every_other_address(host: str | None, manager: str | None) -> None:
    given = {"AIRFLOW__CORE__AUTH_MANAGER": manager, "AIRFLOW__API__HOST": host}
    environment = KEYS | {name: value for name, value in given.items() if value is not None}
    with pytest.raises(RefusedError, match="SimpleAuthManager"):
        refuse_open_login(environment)


def test_a_login_with_users_of_its_own_is_taken_on_every_address() -> None:
    refuse_open_login(KEYS | {"AIRFLOW__CORE__AUTH_MANAGER": FAB, "AIRFLOW__API__HOST": ANYWHERE})


@pytest.mark.parametrize("name", KEYS)
@pytest.mark.parametrize(
    "value",
    ["", "airflow", "temporary_key", "short", "a" * 64, "46BKJoQYlPPOexq0OhDZnIlNepKFf87WFwLbfzqDDho="],
)
def test_a_key_that_is_empty_known_or_short_is_refused_by_name(name: str, value: str) -> None:
    environment = KEYS | {"AIRFLOW__CORE__AUTH_MANAGER": FAB, name: value}
    with pytest.raises(RefusedError, match=name):
        refuse_open_login(environment)


def test_a_fernet_key_that_is_none_is_refused() -> None:
    environment = KEYS | {"AIRFLOW__CORE__AUTH_MANAGER": FAB, "AIRFLOW__CORE__FERNET_KEY": "x1" * 22}
    with pytest.raises(RefusedError, match="no Fernet key"):
        refuse_open_login(environment)


def test_airflow_may_not_sign_in_with_airflow() -> None:
    refuse_weak_secrets(SAFE, "airflow", "a-real-password")
    with pytest.raises(RefusedError, match="ADMIN_PASSWORD"):
        refuse_weak_secrets(SAFE, "airflow", "airflow")
    with pytest.raises(RefusedError, match="ADMIN_PASSWORD"):
        refuse_weak_secrets(SAFE, "somebody-long", "somebody-long")
    with pytest.raises(RefusedError, match="ADMIN_USER"):
        refuse_weak_secrets(SAFE, "", "a-real-password")


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize("value", ["", "airflow", "postgres", "loader", "Password"])
def test_a_secret_of_the_stack_that_is_empty_or_known_is_refused_without_being_shown(name: str, value: str) -> None:
    with pytest.raises(RefusedError, match=SECRETS[name]) as refusal:
        refuse_weak_secrets(SAFE | {name: value}, "admin", "a-real-password")
    assert not value or value not in str(refusal.value).replace(SECRETS[name], "").lower()


def test_a_password_that_breaks_a_connections_url_is_refused() -> None:
    with pytest.raises(RefusedError, match="LOADER_PASSWORD"):
        refuse_weak_secrets(SAFE | {"loader": "with@and/slash"}, "admin", "a-real-password")


def test_what_is_made_is_taken(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.touch(mode=0o600)
    path.write_text(new_env_file("0123456789ab", 8081, 5432))
    told = read_env_file(path)
    secrets = {secret: told[name] for secret, name in SECRETS.items()}
    refuse_weak_secrets(secrets, told["ADMIN_USER"], told["ADMIN_PASSWORD"])
    assert len(set(secrets.values())) == len(secrets)


def test_the_runtime_without_docker_does_not_open_the_developers_login_to_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = read_runtime({"PIPELINE_HOME": str(tmp_path)})
    refuse_open_login(process_environment(runtime))
    monkeypatch.setenv("AIRFLOW__API__HOST", ANYWHERE)
    with pytest.raises(RefusedError, match="SimpleAuthManager"):
        start_services(runtime)
    assert not (runtime.folder / "postgres").exists()


def test_a_container_does_not_start_a_service_that_lets_strangers_in() -> None:
    for command in ("webserver", "scheduler", "dag-processor", "triggerer", "init"):
        done = subprocess.run(
            [sys.executable, "-m", "customer_pipeline.runtime.container", command],
            env={"AIRFLOW__API__HOST": ANYWHERE},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 1
        assert "SimpleAuthManager" in done.stderr
        assert "Traceback" not in done.stderr
