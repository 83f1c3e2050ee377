"""A copy of the clone with a `.env` of its own, and commands that are given on it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from docker_images import base_images

from customer_pipeline.runtime.env_file import read_env_file
from customer_pipeline.runtime.installation import DOCKER, Runtime, free_port, read_runtime

ROOT = Path(__file__).parents[2]
CLI = Path(sys.executable).with_name("customer-pipeline")


@contextmanager
def copied_clone(home: Path, settings: Mapping[str, str]) -> Iterator[Runtime]:
    """Copy the clone, write settings into its `.env`; at the end, remove its stack, its volumes and its image."""
    listed = ["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(listed, capture_output=True, text=True, check=True).stdout.split("\0"):
        if name and (ROOT / name).is_file():
            (home / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, home / name)
    given = {"PIPELINE_HOME": str(home), "RUNTIME": DOCKER}
    read_runtime(given | {"API_PORT": str(free_port()), "POSTGRES_PORT": str(free_port())})
    with (home / ".env").open("a") as file:
        file.writelines(f"{name}={value}\n" for name, value in {**base_images(), **settings}.items())
    runtime = read_runtime(given)
    try:
        yield runtime
    finally:
        run(runtime, "down", "--with-data")
        image = f"{project(runtime)}:local"
        subprocess.run(["docker", "image", "rm", "--force", image], capture_output=True, check=False)


def run(runtime: Runtime, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run the operator's command on the clone, without saying which runtime."""
    ours = {"API_PORT", "POSTGRES_PORT", "RUNTIME"}
    environment = {name: value for name, value in os.environ.items() if name not in ours}
    environment |= {"PIPELINE_HOME": str(runtime.home), **more}
    done = subprocess.run([CLI, *arguments], env=environment, capture_output=True, text=True, check=False)
    print(f"$ customer-pipeline {' '.join(arguments)}: {done.returncode}", flush=True)
    return done


def project(runtime: Runtime) -> str:
    """Return compose's name of the stack."""
    return read_env_file(runtime.home / ".env")["COMPOSE_PROJECT_NAME"]


def container(runtime: Runtime, service: str) -> str:
    """Return the number of a service's container."""
    filters = [f"label=com.docker.compose.{what}" for what in (f"service={service}", f"project={project(runtime)}")]
    listed = ["docker", "ps", "-q", *(part for text in filters for part in ("--filter", text))]
    return subprocess.run(listed, capture_output=True, text=True, check=True).stdout.strip()


def inside(runtime: Runtime, service: str, command: str) -> str:
    """Run a shell's command in a container of the clone."""
    line = ["docker", "exec", container(runtime, service), "sh", "-c", command]
    return subprocess.run(line, capture_output=True, text=True, check=False).stdout
