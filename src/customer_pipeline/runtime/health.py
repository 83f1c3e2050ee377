"""The services of the embedded runtime → healthy, or an error that shows what they said since they were started."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import httpx
import psutil

from audited_load.command import command
from audited_load.errors import UnavailableError
from customer_pipeline.runtime.installation import Runtime
from customer_pipeline.runtime.supervisor import AIRFLOW, Service, listens, log_file, log_tail, read_services

SILENT_SECONDS = 150
"""How long a service may do nothing at all before it is healthy."""
MOST_SECONDS = 1200
"""How long it may take in all: one that writes to its log for ever is not starting."""
_TOLD_AFTER_SECONDS = 60
_HEALTH = {"scheduler": "scheduler", "dag-processor": "dag_processor", "triggerer": "triggerer"}


def wait_until_healthy(runtime: Runtime, marks: Mapping[str, int]) -> None:
    """Wait until the API says that every part of Airflow is healthy, for as long as they make progress.

    Args:
        runtime: The settings.
        marks: Where the logs ended before the services were started, in bytes.

    Raises:
        UnavailableError: A part ends at once, does nothing for `SILENT_SECONDS`, or is not healthy after
            `MOST_SECONDS`; the message ends with its log since the start.
    """
    began = changed = time.monotonic()
    seen: object = None
    is_told = False
    while True:
        services = read_services(runtime) or {}
        waiting = sorted(find_unhealthy(runtime, services))
        if not waiting:
            warm_execution_api(runtime)
            return
        now = time.monotonic()
        if (signs := _signs_of_life(runtime, services, waiting)) != seen:
            seen, changed = signs, now
        failed = [name for name, service in services.items() if service.state == "FATAL"]
        if failed:
            raise _failure(runtime, failed[0], "ends as soon as it starts", marks)
        if now - changed > SILENT_SECONDS or now - began > MOST_SECONDS:
            silent = f" and has done nothing for {SILENT_SECONDS} s" if now - changed > SILENT_SECONDS else ""
            raise _failure(runtime, waiting[0], f"is not healthy after {now - began:.0f} s{silent}", marks)
        if not is_told and now - began > _TOLD_AFTER_SECONDS:
            print(f"Slow to start, and still at it: {', '.join(waiting)}.", flush=True)
            is_told = True
        time.sleep(0.2)


def warm_execution_api(runtime: Runtime) -> None:
    """Ask the tasks' API once: it builds its routes at the first call, and the first task would wait for that.

    Args:
        runtime: Where it listens.
    """
    with contextlib.suppress(httpx.HTTPError):
        httpx.get(f"{runtime.url}/execution/health", timeout=60, trust_env=False)


def _failure(runtime: Runtime, name: str, problem: str, marks: Mapping[str, int]) -> UnavailableError:
    said = log_tail(runtime, name, since=marks.get(name, 0))
    return UnavailableError(
        f"{name} {problem}. The end of its log since the start:\n{said}",
        f"Correct what the log names (all of it: {command(f'logs {name}')}), then `make restart`.",
    )


def _signs_of_life(runtime: Runtime, services: Mapping[str, Service], waiting: list[str]) -> object:
    """Return what changes while services start: their processes, their logs, the processor time that they took."""
    signs = []
    for name in waiting:
        log, service, seconds = log_file(runtime, name), services.get(name), 0
        if service and service.pid:
            with contextlib.suppress(psutil.Error):
                times = psutil.Process(service.pid).cpu_times()
                seconds = int(times.user + times.system)
        signs.append((name, service, log.stat().st_size if log.exists() else 0, seconds))
    return signs


def find_unhealthy(runtime: Runtime, services: dict[str, Service]) -> set[str]:
    """Name what is not healthy yet. Another clone's API that answers on our port is not ours."""
    api = services.get("api-server")
    if api is None or not listens(api.pid, runtime.api_port):
        return set(AIRFLOW)
    try:
        health = httpx.get(f"{runtime.url}/api/v2/monitor/health", timeout=5, trust_env=False).json()
    except (httpx.HTTPError, ValueError):
        return set(AIRFLOW)
    return {
        name for name, key in _HEALTH.items() if not _is_healthy(health.get(key) or {}, key, services.get(name))
    }


def _is_healthy(health: dict[str, Any], key: str, service: Service | None) -> bool:
    """Believe a heartbeat only if this process sent it: after a kill, that of the last one still looks alive."""
    beat = health.get(f"latest_{key}_heartbeat")
    if service is None or health.get("status") != "healthy" or not beat:
        return False
    return service.pid != 0 and datetime.fromisoformat(beat).timestamp() >= service.started
