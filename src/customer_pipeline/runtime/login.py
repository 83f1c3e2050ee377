"""Who may sign in, and with which keys: an environment that lets strangers in → a refusal to start."""

from __future__ import annotations

import binascii
import ipaddress
import re
from base64 import urlsafe_b64decode
from collections.abc import Mapping

from audited_load.errors import RefusedError
from customer_pipeline.runtime.env_file import SECRETS
from customer_pipeline.runtime.hosts import served_hosts

FAB = "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager"
SIMPLE = "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager"
_KEYS = ("AIRFLOW__CORE__FERNET_KEY", "AIRFLOW__API__SECRET_KEY", "AIRFLOW__API_AUTH__JWT_SECRET")
_KNOWN = {
    "admin", "administrator", "airflow", "airflow_jwt_secret", "changeme", "change-me", "loader", "password",
    "postgres", "reader", "secret", "secret_key", "temporary_key", "transformer",
    # Those of Airflow's documentation and of tutorials that copy it.
    "46BKJoQYlPPOexq0OhDZnIlNepKFf87WFwLbfzqDDho=", "81HqDtbqAywKSOumSha3BhWNOdQ26slT6K0YaZeZyPs=",
    "cryptography_not_found_storing_passwords_in_plain_text", "YOUR_FERNET_KEY",
}  # fmt: skip
_SHORTEST_KEY, _SHORTEST_PASSWORD = 32, 10
_FERNET_BYTES = 32
_REMEDY = "Put a random value in its place, with Docker in `.env`; .env.example says of which form."


def refuse_open_login(environment: Mapping[str, str]) -> None:
    """Refuse to start a service of Airflow that lets strangers in.

    Args:
        environment: The service's environment.

    Raises:
        RefusedError: SimpleAuthManager can be reached from elsewhere, a key is empty, known or too short, or a
            name in `API_HOSTS` is none.
    """
    served_hosts(environment)
    # What Airflow takes if nothing is set.
    manager, host = environment.get("AIRFLOW__CORE__AUTH_MANAGER") or SIMPLE, environment.get("AIRFLOW__API__HOST")
    if manager == SIMPLE and not _is_loopback(host or "0.0.0.0"):  # noqa: S104 - it is refused
        raise RefusedError(
            f"Airflow would listen on {host or 'every interface'} with SimpleAuthManager and a known password.",
            f"Leave AIRFLOW__API__HOST out, or set AIRFLOW__CORE__AUTH_MANAGER to {FAB}.",
        )
    for name in _KEYS:
        _refuse_key(name, environment.get(name, ""))


def refuse_weak_secrets(secrets: Mapping[str, str], user: str, password: str) -> None:
    """Refuse to start a stack whose passwords others know or guess.

    Args:
        secrets: The value of each of `SECRETS`.
        user: The administrator of Airflow.
        password: Their password.

    Raises:
        RefusedError: One is empty, known or too short, or `airflow` may sign in with `airflow`.
    """
    for secret, name in SECRETS.items():
        value = secrets.get(secret, "")
        if secret in {"jwt", "api", "fernet"}:
            _refuse_key(name, value)
            continue
        _refuse_password(name, value)
        if not re.fullmatch(r"[\w.~-]+", value, re.ASCII):
            raise RefusedError(
                f"{name} has characters that a connection's URL can't hold.", "Use letters, digits and `-._~`."
            )
    if not user:
        raise RefusedError("ADMIN_USER is empty.", "Set it to the name of Airflow's administrator.")
    _refuse_password("ADMIN_PASSWORD", password)
    if password == user:
        raise RefusedError("ADMIN_PASSWORD is the same as ADMIN_USER.", _REMEDY)


def _refuse_key(name: str, value: str) -> None:
    if value.lower() in _LOWERED or len(value) < _SHORTEST_KEY or len(set(value)) == 1:
        raise RefusedError(f"{name} is empty, well known or shorter than {_SHORTEST_KEY} characters.", _REMEDY)
    if name.endswith("FERNET_KEY") and not _is_fernet_key(value):
        raise RefusedError(f"{name} is no Fernet key: 32 bytes in URL-safe base64.", _REMEDY)


def _refuse_password(name: str, value: str) -> None:
    if value.lower() in _LOWERED or len(value) < _SHORTEST_PASSWORD:
        raise RefusedError(f"{name} is empty, well known or shorter than {_SHORTEST_PASSWORD} characters.", _REMEDY)


def _is_fernet_key(value: str) -> bool:
    try:
        raw = urlsafe_b64decode(value)
    except (binascii.Error, ValueError):
        return False
    return len(raw) == _FERNET_BYTES and len(set(raw)) > 1


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


_LOWERED = {value.lower() for value in _KNOWN}
