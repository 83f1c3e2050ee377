"""`.env`, the settings and secrets of the runtime with Docker: made once with random values, then read."""

from __future__ import annotations

import os
import re
import secrets
from base64 import urlsafe_b64encode
from pathlib import Path

from audited_load.errors import RefusedError

SECRETS = {
    "postgres": "POSTGRES_PASSWORD",
    "airflow": "AIRFLOW_DB_PASSWORD",
    "loader": "LOADER_PASSWORD",
    "transformer": "TRANSFORMER_PASSWORD",
    "reader": "READER_PASSWORD",
    "jwt": "JWT_SECRET",
    "api": "API_SECRET_KEY",
    "fernet": "FERNET_KEY",
    "erasure": "ERASURE_KEY",
}
"""Passwords of the database's roles and keys of Airflow, by the name that `.env` has for each."""

_OF_WORKERS = ("REDIS_PASSWORD", "STORE_SECRET")
STORE_HOST, STORE_PORT = "store", 8333
"""What containers call the store of docker-compose.yml, and its port there."""
DECIDED_BY_ENV_FILE = {
    *SECRETS.values(),
    *("ADMIN_USER", "ADMIN_PASSWORD", "AIRFLOW_UID", "API_PORT", "POSTGRES_PORT", "PIPELINE_DATA"),
    *("COMPOSE_PROJECT_NAME", "COMPOSE_FILE", "COMPOSE_PROFILES", "STORAGE_ROOT", "AIRFLOW_CONN_STORAGE"),
    *("EXECUTOR_SETTINGS", "EXTRA_LOCK", "STORE_PORT", *_OF_WORKERS),
}
"""What compose must not take from the shell: our commands would not know of it."""

_QUOTED = re.compile("'([{].*[}])'")
CONTAINER_USER = 50000
"""Who runs the image's processes if the operator is root."""


def new_env_file(identity: str, api_port: int, postgres_port: int) -> str:
    """Return the text of a `.env` with fresh secrets.

    Args:
        identity: Tells this clone's containers and volumes from another's.
        api_port: Port of the UI and the API on 127.0.0.1.
        postgres_port: Port of PostgreSQL on 127.0.0.1.
    """
    of_workers = {name: secrets.token_urlsafe(24) for name in _OF_WORKERS}
    store = f"aws://pipeline:{of_workers['STORE_SECRET']}@/?endpoint_url=http%3A%2F%2F{STORE_HOST}%3A{STORE_PORT}"
    lines = [
        "# Made by `make up`; .env.example says what each line means. Lost passwords can't be read from elsewhere.",
        f"COMPOSE_PROJECT_NAME=customer-pipeline-{identity[:6]}",
        f"API_PORT={api_port}",
        f"POSTGRES_PORT={postgres_port}",
        f"AIRFLOW_UID={os.geteuid() or CONTAINER_USER}",
        "ADMIN_USER=admin",
        f"ADMIN_PASSWORD={secrets.token_urlsafe(12)}",
        *(f"{name}={new_secret(secret)}" for secret, name in SECRETS.items()),
        f"GRAFANA_PASSWORD={secrets.token_urlsafe(12)}",
        *(f"{name}={value}" for name, value in of_workers.items()),
        "# Several workers (docs/scale-out.md): take away the `# ` before each of these, then `make restart`.",
        "# COMPOSE_PROFILES=celery",
        "# EXECUTOR_SETTINGS=deploy/celery.env",
        "# EXTRA_LOCK=deploy/celery.lock",
        "# STORAGE_ROOT=s3://pipeline/customers",
        f"# AIRFLOW_CONN_STORAGE={store}",
    ]
    return "\n".join(lines) + "\n"


def new_secret(name: str) -> str:
    """Make a random value of the form that the secret of this name has."""
    if name == "fernet":
        return urlsafe_b64encode(secrets.token_bytes(32)).decode()
    # Airflow signs with SHA-512, which wants a key of 64 bytes.
    return secrets.token_urlsafe(48 if name in {"api", "jwt"} else 24)


def read_env_file(path: Path) -> dict[str, str]:
    """Read `.env` as compose does, as far as its releases agree.

    Raises:
        RefusedError: Others may read it, or a line is none of ours.
    """
    if path.stat().st_mode & 0o077:
        raise RefusedError(f"Others may read {path}, which holds passwords.", f"Run `chmod 600 {path}`.")
    found = {}
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, equals, value = line.partition("=")
        quoted = _QUOTED.fullmatch(value)
        value = quoted[1] if quoted else value
        # Two releases of compose read these differently; JSON between single quotes both read as it is.
        odd = set(value) & set("'$\\#" if quoted else "\"'$\\#")
        if not equals or name != name.strip() or value != value.strip() or odd:
            raise RefusedError(
                f"Line {number} of {path} is not NAME=value, or its value has a quote, `$`, `#` or `\\`.",
                "Correct it; take another password if it is one. JSON may stand between single quotes.",
            )
        found[name] = value
    return found
