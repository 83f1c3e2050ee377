"""The runtime's settings: folders, ports and secrets, read once, frozen."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import socket
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from audited_load.errors import RefusedError

HOST = "127.0.0.1"
ROLES = ("postgres", "airflow", "loader", "transformer", "reader")
DEFAULT_API_PORT = 8081


@dataclass(frozen=True)
class Runtime:
    """Where this clone keeps and runs things.

    Attributes:
        home: The clone.
        folder: Everything that the runtime makes, `.runtime/`.
        data: The input files.
        api_port: TCP port of the UI and the API (`API_PORT`).
        postgres_port: TCP port of PostgreSQL (`POSTGRES_PORT`; otherwise chosen at the first start).
        secrets: Passwords by role, and Airflow's keys. Never printed.
    """

    home: Path
    folder: Path
    data: Path
    api_port: int
    postgres_port: int
    secrets: Mapping[str, str]

    def __repr__(self) -> str:
        """Leave the secrets out."""
        return f"Runtime(home={self.home}, api_port={self.api_port}, postgres_port={self.postgres_port})"

    @property
    def identity(self) -> str:
        """Twelve characters that tell this clone from others on the machine."""
        return hashlib.sha256(str(self.home).encode()).hexdigest()[:12]

    @property
    def url(self) -> str:
        """Address of the UI."""
        return f"http://{HOST}:{self.api_port}"

    def dsn(self, role: str, database: str = "ebury") -> str:
        """Give the connection string of a role."""
        return f"host={HOST} port={self.postgres_port} dbname={database} user={role} password={self.secrets[role]}"


def read_runtime(environment: Mapping[str, str] = os.environ) -> Runtime:
    """Read the settings; the first time, make the folder, the secrets and the choice of a port.

    Raises:
        RefusedError: A setting has an unusable value.
    """
    home = Path(environment.get("PIPELINE_HOME") or Path(__file__).resolve().parents[2]).resolve()
    folder = home / ".runtime"
    folder.mkdir(exist_ok=True)
    folder.chmod(0o711)  # PostgreSQL may run as another user, who passes through
    return Runtime(
        home=home,
        folder=folder,
        data=Path(environment.get("PIPELINE_DATA") or home / "data").resolve(),
        api_port=read_port(environment, "API_PORT") or DEFAULT_API_PORT,
        postgres_port=read_port(environment, "POSTGRES_PORT") or _remembered_port(folder),
        secrets=_read_secrets(folder / "secrets.json"),
    )


def read_port(environment: Mapping[str, str], name: str) -> int | None:
    """Read a TCP port.

    Raises:
        RefusedError: The text is no port.
    """
    text = environment.get(name)
    if not text:
        return None
    if not text.isdecimal() or not 0 < int(text) < 2**16:
        raise RefusedError(f"{name} is {text!r}, which is no TCP port.", f"Set {name} to a number up to 65535.")
    return int(text)


def port_is_taken(port: int) -> bool:
    """Tell whether somebody listens on a port of this machine."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((HOST, port)) == 0


def remember_port(folder: Path, port: int) -> None:
    """Keep the port of PostgreSQL for the next start."""
    (folder / "postgres.port").write_text(f"{port}\n")


def free_port() -> int:
    """Choose a port that nobody uses."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _remembered_port(folder: Path) -> int:
    path = folder / "postgres.port"
    if not path.exists():
        remember_port(folder, free_port())
    return int(path.read_text())


def _read_secrets(path: Path) -> dict[str, str]:
    if path.exists():
        found: dict[str, str] = json.loads(path.read_text())
        return found
    made = {role: secrets.token_urlsafe(24) for role in ROLES}
    made |= {name: secrets.token_urlsafe(32) for name in ("jwt", "api")}
    made["fernet"] = urlsafe_b64encode(secrets.token_bytes(32)).decode()
    fresh = path.with_suffix(".new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(made, file)
    fresh.replace(path)
    return made
