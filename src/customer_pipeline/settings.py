"""The runtime's settings: environment and `.runtime/` → folders, ports and secrets, read once, frozen."""

from __future__ import annotations

import hashlib
import json
import os
import random
import secrets
import socket
import tempfile
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from audited_load.errors import RefusedError

HOST = "127.0.0.1"
ROLES = ("postgres", "airflow", "loader", "transformer", "reader")
DEFAULT_API_PORT = 8081
PORTS = range(15432, 32000)
"""To choose from: below those that the kernel gives to outgoing connections, which may be busy at a restart."""
MADE = "PIPELINE_VARIABLES"
"""Environment variable that names the variables which `process_environment` set."""


@dataclass(frozen=True)
class Runtime:
    """Where this clone keeps and runs things.

    Attributes:
        home: The clone.
        folder: Everything that the runtime makes, `.runtime/`.
        data: The input files.
        api_port: TCP port of the UI and the API (`API_PORT`; otherwise that of the last start, at first 8081).
        postgres_port: TCP port of PostgreSQL (`POSTGRES_PORT`; otherwise chosen at the first start).
        port_is_fixed: Whether the operator chose PostgreSQL's port.
        secrets: Passwords by role, and Airflow's keys. Never printed.
    """

    home: Path
    folder: Path
    data: Path
    api_port: int
    postgres_port: int
    port_is_fixed: bool
    secrets: Mapping[str, str]

    def __repr__(self) -> str:
        """Leave the secrets out."""
        return f"Runtime(home={self.home}, api_port={self.api_port}, postgres_port={self.postgres_port})"

    @property
    def identity(self) -> str:
        """Twelve characters that tell this clone from others on the machine."""
        return hashlib.sha256(os.fsencode(self.home)).hexdigest()[:12]

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
        RefusedError: A setting has an unusable value, or the runtime belongs to another user.
    """
    environment = operators_environment(environment)
    home = Path(environment.get("PIPELINE_HOME") or Path(__file__).resolve().parents[2]).resolve()
    folder = _make_folder(home / ".runtime")
    postgres_port = read_port(environment, "POSTGRES_PORT")
    return Runtime(
        home=home,
        folder=folder,
        data=Path(environment.get("PIPELINE_DATA") or home / "data").resolve(),
        api_port=read_port(environment, "API_PORT") or remembered_port(folder, "api") or DEFAULT_API_PORT,
        postgres_port=postgres_port or int(_write_once(folder / "postgres.port", f"{free_port()}\n")),
        port_is_fixed=postgres_port is not None,
        secrets={
            **json.loads(_write_once(folder / "secrets.json", json.dumps(_new_secrets()))),
            # A file of its own: it must outlive all other secrets, and earlier runtimes lack it.
            "erasure": _write_once(folder / "erasure.key", secrets.token_urlsafe(32)),
        },
    )


def read_port(environment: Mapping[str, str], name: str) -> int | None:
    """Read a TCP port from the environment.

    Returns:
        None if the variable is not set.

    Raises:
        RefusedError: The text is no port.
    """
    text = environment.get(name)
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and 0 < int(text) < 2**16):
        raise RefusedError(f"{name} is {text!r}, which is no TCP port.", f"Set {name} to a number from 1 to 65535.")
    return int(text)


def port_is_taken(port: int) -> bool:
    """Tell whether a server could not listen on a port of this machine.

    Tried both ways: a listener on every interface lets nobody else bind, but a port may also be bound and silent.
    """
    with socket.socket() as caller:
        caller.settimeout(1)
        if caller.connect_ex((HOST, port)) == 0:
            return True
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            server.bind((HOST, port))
        except OSError:
            return True
    return False


def free_port() -> int:
    """Choose a port that nobody uses."""
    for port in random.SystemRandom().sample(PORTS, 200):
        if not port_is_taken(port):
            return port
    raise RefusedError("No free TCP port was found.", "Set POSTGRES_PORT to a free port.")


def operators_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Leave out what `customer-pipeline shell` or `exec` of this or another clone has put in.

    Otherwise a command that is given in such a shell would work on that clone's folders, ports and databases.
    """
    made = {*environment.get(MADE, "").split(), MADE}
    return {name: value for name, value in environment.items() if name not in made}


def remember_port(folder: Path, name: str, port: int) -> None:
    """Keep a port for the commands and the starts to come."""
    (folder / f"{name}.port").write_text(f"{port}\n")


def remembered_port(folder: Path, name: str) -> int | None:
    """Give the port with which the services were started."""
    path = folder / f"{name}.port"
    return int(path.read_text()) if path.exists() else None


def _make_folder(folder: Path) -> Path:
    try:
        folder.mkdir(exist_ok=True)
        owner = folder.stat().st_uid
    except OSError as error:
        raise RefusedError(
            f"{folder} can't be made: {error.strerror}.", "Use a clone that you may write to."
        ) from error
    if owner != os.geteuid():
        raise RefusedError(
            f"{folder} belongs to another user (uid {owner}), so do the services that run from it.",
            "Run the command as that user, or make a clone of your own.",
        )
    # As root, PostgreSQL runs as another user, who passes through; what is secret in it is closed on its own.
    folder.chmod(0o711 if owner == 0 else 0o700)
    return folder


def _new_secrets() -> dict[str, str]:
    made = {role: secrets.token_urlsafe(24) for role in ROLES}
    made |= {name: secrets.token_urlsafe(32) for name in ("jwt", "api")}
    return made | {"fernet": urlsafe_b64encode(secrets.token_bytes(32)).decode()}


def _write_once(path: Path, text: str) -> str:
    """Write a file for the owner only, unless it is there; give its text. Of two writers at once, one wins."""
    if not path.exists():
        number, name = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(number, "w") as file:
            file.write(text)
        try:
            os.link(name, path)
        except FileExistsError:
            pass
        finally:
            Path(name).unlink()
    return path.read_text()
