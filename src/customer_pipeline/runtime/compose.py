"""The runtime with Docker: the stack of docker-compose.yml → started, healthy, stopped, looked into."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType

from audited_load.errors import UnavailableError
from customer_pipeline.runtime.env_file import CONTAINER_USER, DECIDED_BY_ENV_FILE, read_env_file
from customer_pipeline.runtime.health import warm_execution_api
from customer_pipeline.runtime.installation import Runtime, operators_environment
from customer_pipeline.runtime.login import refuse_weak_secrets

SERVICES = {
    "postgres": "postgres",
    "api-server": "airflow-webserver",
    "scheduler": "airflow-scheduler",
    "dag-processor": "airflow-dag-processor",
    "triggerer": "airflow-triggerer",
}
"""Our names of the services → those in docker-compose.yml."""
SERVICES_OF_WORKERS = {
    "redis": "redis",
    "store": "store",
    "worker-a": "airflow-worker-a",
    "worker-b": "airflow-worker-b",
}
"""The same of those that the profile `celery` adds."""

INIT = "airflow-init"
CELERY = "celery"
PROFILES = ("--profile", "monitoring", "--profile", CELERY)
SILENT_SECONDS = 300
"""How long the containers may log nothing at all before they are healthy."""
MOST_SECONDS = 1200
"""How long they may take in all."""
_IMAGES = (
    "If an image or a package can't be had: connect, or name copies of the images that you can reach, PYTHON_IMAGE"
    " and POSTGRES_IMAGE in `.env` (see .env.example). Without Docker: `RUNTIME=embedded make up`."
)
_WRITTEN = ("airflow/logs", "airflow/plugins", "dbt/target", "dbt/logs")


@dataclass(frozen=True)
class Container:
    """What Docker says of a container.

    Attributes:
        state: `running`, `restarting`, `exited`, ...
        status: The same for people: `Up 3 minutes (healthy)`.
    """

    state: str
    status: str

    @property
    def is_healthy(self) -> bool:
        """Whether it runs and its health check passes."""
        return self.state == "running" and "(healthy)" in self.status


def docker_answers() -> bool:
    """Return whether an engine answers and compose is there to ask it."""
    return _engine_answers() and _compose_program() is not None


def start_stack(runtime: Runtime) -> None:
    """Build the image, start what is down, and wait until all of it is healthy.

    A stack that is healthy stays as it is: changed code and settings need a restart, as in the other runtime.

    Raises:
        RefusedError: A secret in `.env` is empty or known.
        UnavailableError: Docker does not answer, an image can't be had, or a container does not become healthy.
    """
    refuse_weak_secrets(runtime.secrets, runtime.user, runtime.password)
    _require_docker()
    if not _unhealthy(runtime):
        return
    _make_folders(runtime)
    _build(runtime)
    since = datetime.now(UTC)
    if _compose(runtime, "up", "-d", "--remove-orphans").returncode:
        ended = read_containers(runtime).get(INIT)
        if ended and ended.state == "exited" and not ended.status.startswith("Exited (0)"):
            raise _failure(runtime, INIT, "could not prepare the database", since)
        raise UnavailableError(
            "Docker could not start the stack; what it said is above.",
            f"If a port is taken: change it in `.env`, then `make up` again. {_IMAGES}",
        )
    _wait_until_healthy(runtime, since)
    warm_execution_api(runtime)


def stop_stack(runtime: Runtime, *, with_data: bool = False) -> None:
    """Stop and remove the containers; the database stays, unless its volume is to go too."""
    _require_docker()
    if _compose(runtime, *PROFILES, "down", *(["--volumes"] if with_data else [])).returncode:
        raise UnavailableError("Docker could not stop the stack; what it said is above.", "Try again.")


def services_of(runtime: Runtime) -> dict[str, str]:
    """Return the services that this clone's stack has to have, by our names: with workers if `.env` says so."""
    file = runtime.home / ".env"
    profiles = read_env_file(file).get("COMPOSE_PROFILES", "") if file.exists() else ""
    return SERVICES | (SERVICES_OF_WORKERS if CELERY in profiles.split(",") else {})


def stack_is_up(runtime: Runtime) -> bool:
    """Return whether a container of this clone's stack runs; without asking if it never had one."""
    return (runtime.home / ".env").exists() and any(
        container.state in {"running", "restarting"} for container in read_containers(runtime).values()
    )


def read_containers(runtime: Runtime) -> dict[str, Container]:
    """Ask Docker for the containers of this clone's stack, by their service in docker-compose.yml."""
    docker = shutil.which("docker")
    if docker is None:
        return {}
    label, form = "com.docker.compose", '{{.Label "com.docker.compose.service"}}\t{{.State}}\t{{.Status}}'
    filters = [
        "--filter",
        f"label={label}.project.working_dir={runtime.home}",
        "--filter",
        f"label={label}.oneoff=False",
    ]
    try:
        done = subprocess.run(
            [docker, "ps", "--all", *filters, "--format", form],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
    except subprocess.TimeoutExpired:
        return {}
    rows = (line.split("\t") for line in done.stdout.splitlines())
    return {service: Container(state, status) for service, state, status in rows}


def compose_command(runtime: Runtime, *arguments: str) -> tuple[list[str], dict[str, str]]:
    """Return a command line of compose and its environment.

    In the environment, nothing that `.env` says is said otherwise: it alone decides.
    """
    program = _compose_program()
    if program is None:
        raise _no_docker()
    given = operators_environment(os.environ)
    environment = {name: value for name, value in given.items() if name not in DECIDED_BY_ENV_FILE}
    return [*program, "--project-directory", str(runtime.home), *_file(runtime), *arguments], environment


def exec_command(
    runtime: Runtime,
    service: str,
    *arguments: str,
    folder: str = "",
    variables: Mapping[str, str] = MappingProxyType({}),
) -> tuple[list[str], dict[str, str]]:
    """Return the command line that runs a command in a container, with variables beside those of the container."""
    terminal = [] if sys.stdin.isatty() and sys.stdout.isatty() else ["-T"]
    place = ["-w", folder] if folder else []
    place += [part for name, value in variables.items() for part in ("-e", f"{name}={value}")]
    return compose_command(runtime, "exec", *terminal, *place, SERVICES[service], *arguments)


def _file(runtime: Runtime) -> list[str]:
    files = [runtime.home / "docker-compose.yml", runtime.home / "docker-compose.override.yml"]
    return [part for file in files if file.exists() for part in ("-f", str(file))]


def _compose(runtime: Runtime, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    command, environment = compose_command(runtime, *arguments)
    sys.stdout.flush()
    return subprocess.run(command, env=environment, cwd=runtime.home, check=False)


def _build(runtime: Runtime) -> None:
    """Build the image. What Docker prints goes to a file: when nothing has changed, it is long and says nothing."""
    log = runtime.folder / "docker-build.log"
    print(f"Building the image; the first time, this takes some minutes. See {log}.", flush=True)
    command, environment = compose_command(runtime, "build", INIT)
    with log.open("wb") as file:
        done = subprocess.run(command, env=environment, cwd=runtime.home, check=False, stdout=file, stderr=file)
    if done.returncode:
        end = "\n".join(log.read_text(errors="replace").splitlines()[-10:])
        raise UnavailableError(f"Docker could not build the image:\n{end}", _IMAGES)


def _wait_until_healthy(runtime: Runtime, since: datetime) -> None:
    """Wait for as long as the containers make progress, which their logs show."""
    began = changed = time.monotonic()
    said = ""
    while waiting := _unhealthy(runtime):
        now = time.monotonic()
        if (says := _logs(runtime, since, "--tail=1")) != said:
            said, changed = says, now
        if now - changed > SILENT_SECONDS or now - began > MOST_SECONDS:
            raise _failure(runtime, waiting[0], f"is not healthy after {now - began:.0f} s", since)
        time.sleep(1)


def _unhealthy(runtime: Runtime) -> list[str]:
    containers, services = read_containers(runtime), services_of(runtime).values()
    return [name for name in services if name not in containers or not containers[name].is_healthy]


def _failure(runtime: Runtime, service: str, problem: str, since: datetime) -> UnavailableError:
    return UnavailableError(
        f"{service} {problem}. The end of its log since the start:\n"
        f"{_logs(runtime, since, '--tail=25', service).strip()[-3000:]}",
        "Correct what the log names, then `make restart`.",
    )


def _logs(runtime: Runtime, since: datetime, *arguments: str) -> str:
    moment = since.isoformat(timespec="seconds")
    command, environment = compose_command(runtime, "logs", "--no-color", f"--since={moment}", *arguments)
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False).stdout


def _make_folders(runtime: Runtime) -> None:
    """Make what the containers write to before Docker does, which would make it root's.

    Root, whom no container runs as, gives it to the containers' user; a folder outside the clone stays as it is.
    """
    folders = [*(runtime.home / name for name in _WRITTEN), runtime.data]
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    if os.geteuid() != 0:
        return
    user = int(read_env_file(runtime.home / ".env").get("AIRFLOW_UID") or CONTAINER_USER)
    for folder in folders:
        for path in (folder, *folder.rglob("*")) if folder.is_relative_to(runtime.home) else ():
            with contextlib.suppress(FileNotFoundError):
                os.chown(path, user, 0, follow_symlinks=False)


def _require_docker() -> None:
    if not docker_answers():
        raise _no_docker()


def _no_docker() -> UnavailableError:
    return UnavailableError(
        "Docker does not answer, or has no compose.",
        "Start it, see that `docker version` and `docker compose version` work for you, or use the other runtime:"
        " `RUNTIME=embedded make up`.",
    )


def _engine_answers() -> bool:
    return _works(["docker", "version", "--format", "{{.Server.Version}}"])


def _compose_program() -> list[str] | None:
    """Find compose: the plug-in of Docker, or the program of before."""
    for program in (["docker", "compose"], ["docker-compose"]):
        if _works([*program, "version"]):
            return program
    return None


def _works(command: list[str]) -> bool:
    try:
        done = subprocess.run(command, capture_output=True, check=False, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
