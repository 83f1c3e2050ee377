"""The runtime's settings: environment, `.runtime/`, `.env` → folders, ports and secrets, read once, frozen."""

from __future__ import annotations

import hashlib
import json
import os
import random
import secrets
import socket
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from audited_load.errors import RefusedError
from customer_pipeline.names import DATABASE, STORAGE_ROOT
from customer_pipeline.runtime.env_file import SECRETS, new_env_file, new_secret, read_env_file

HOST = "127.0.0.1"
EMBEDDED, DOCKER = "embedded", "docker"
DEFAULT_API_PORT, USUAL_POSTGRES_PORT = 8081, 5432
PORTS = range(15432, 32000)
"""To choose from: below those that the kernel gives to outgoing connections, which may be busy at a restart."""
MADE = "PIPELINE_VARIABLES"
"""Environment variable that names the variables which `process_environment` set."""


@dataclass(frozen=True)
class Runtime:
    """Where this clone keeps and runs things.

    Attributes:
        kind: `embedded` or `docker`.
        home: The clone.
        folder: Everything that the runtime makes, `.runtime/`.
        data: The input files.
        api_port: TCP port of the UI and the API (`API_PORT`; otherwise that of the last start, at first 8081).
        postgres_port: TCP port of PostgreSQL (`POSTGRES_PORT`; otherwise chosen at the first start).
        port_is_fixed: Whether the operator chose PostgreSQL's port.
        secrets: Passwords by role, and Airflow's keys. Never printed.
        user: Who signs in to Airflow for the operator's commands.
        password: Their password. Never printed.
        postgres_host: Where PostgreSQL is.
        storage: Root of the store that has the files of runs (`STORAGE_ROOT`; otherwise that of the last start, as
            nobody should erase a customer from the wrong place); blank if there is none.
    """

    kind: str
    home: Path
    folder: Path
    data: Path
    api_port: int
    postgres_port: int
    port_is_fixed: bool
    secrets: Mapping[str, str]
    user: str
    password: str
    postgres_host: str = HOST
    storage: str = ""

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

    @property
    def sign_in(self) -> str:
        """How to sign in to the UI, for people."""
        place = f"password {self.password}" if self.kind == EMBEDDED else "password in .env"
        return f"user {self.user}, {place}"

    def dsn(self, role: str, database: str = DATABASE) -> str:
        """Return the connection string of a role."""
        place = f"host={self.postgres_host} port={self.postgres_port} dbname={database}"
        return f"{place} user={role} password={self.secrets[role]}"


def read_runtime(
    environment: Mapping[str, str] = os.environ, kind_at_first: Callable[[], str] = lambda: EMBEDDED
) -> Runtime:
    """Read the settings; the first time, make the folder, the secrets and the choice of a port.

    Args:
        environment: `RUNTIME` in it says which runtime; otherwise it is the one that was started last.
        kind_at_first: Says which one it is if none was started ever.

    Raises:
        RefusedError: A setting has an unusable value, or the runtime belongs to another user.
    """
    environment = operators_environment(environment)
    home = Path(environment.get("PIPELINE_HOME") or Path(__file__).resolve().parents[3]).resolve()
    folder = _make_folder(home / ".runtime")
    kind = _read_kind(environment, folder) or kind_at_first()
    if kind == DOCKER:
        return _read_docker_runtime(environment, home, folder)
    postgres_port = read_port(environment, "POSTGRES_PORT")
    return Runtime(
        kind=EMBEDDED,
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
        user="airflow",
        password="airflow",  # noqa: S106 - on a developer's own machine; login.py refuses it elsewhere
        storage=environment.get(STORAGE_ROOT, remembered_storage(folder)).strip(),
    )


def remember_start(runtime: Runtime) -> None:
    """Keep which runtime was started, and with which store, for the commands to come."""
    (runtime.folder / "runtime").write_text(f"{runtime.kind}\n")
    (runtime.folder / "storage.root").write_text(f"{runtime.storage}\n")


def _read_kind(environment: Mapping[str, str], folder: Path) -> str | None:
    """Return which runtime is asked for, or was started last; None if neither."""
    asked, remembered = environment.get("RUNTIME"), folder / "runtime"
    if asked and asked not in {EMBEDDED, DOCKER}:
        raise RefusedError(f"RUNTIME is {asked!r}.", f"Set it to `{EMBEDDED}` or `{DOCKER}`, or leave it out.")
    if asked or remembered.exists():
        return asked or remembered.read_text().strip()
    # Started by a release that had no choice.
    return EMBEDDED if (folder / "postgres.port").exists() else None


def _read_docker_runtime(environment: Mapping[str, str], home: Path, folder: Path) -> Runtime:
    """Read `.env`, which alone says what compose does; the first time, make it."""
    path, asked = home / ".env", {name: read_port(environment, name) for name in ("API_PORT", "POSTGRES_PORT")}
    if not path.exists():
        identity = hashlib.sha256(os.fsencode(home)).hexdigest()[:12]
        postgres_port = USUAL_POSTGRES_PORT if not port_is_taken(USUAL_POSTGRES_PORT) else free_port()
        api_port, postgres_port = asked["API_PORT"] or DEFAULT_API_PORT, asked["POSTGRES_PORT"] or postgres_port
        _write_once(path, new_env_file(identity, api_port, postgres_port))
    told = read_env_file(path)
    ports = {name: read_port(told, name) for name in asked}
    for name, port in asked.items():
        if port and port != ports[name]:
            raise RefusedError(f"{name} is {port}, but `.env` says {ports[name]}.", f"Change {name} in `.env`.")
    return Runtime(
        kind=DOCKER,
        home=home,
        folder=folder,
        data=(home / (told.get("PIPELINE_DATA") or "data")).resolve(),
        api_port=ports["API_PORT"] or DEFAULT_API_PORT,
        postgres_port=ports["POSTGRES_PORT"] or USUAL_POSTGRES_PORT,
        port_is_fixed=True,
        secrets={secret: told.get(name, "") for secret, name in SECRETS.items()},
        user=told.get("ADMIN_USER", ""),
        password=told.get("ADMIN_PASSWORD", ""),
        storage=told.get(STORAGE_ROOT, "").strip(),
    )


def remembered_storage(folder: Path) -> str:
    """Return the root of the store with which the services were started; blank if there was none."""
    path = folder / "storage.root"
    return path.read_text().strip() if path.exists() else ""


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
        raise RefusedError(
            f"{name} is {text!r}, which is not a TCP port.", f"Set {name} to a number from 1 to 65535."
        )
    return int(text)


def port_is_taken(port: int) -> bool:
    """Return whether a server could not listen on a port of this machine.

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
    """Return the port with which the services were started."""
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
    return {secret: new_secret(secret) for secret in SECRETS}


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
