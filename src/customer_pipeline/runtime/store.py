"""The store of files, as commands of this machine reach it: by the operator's environment, or by `.env`."""

from __future__ import annotations

import os
from dataclasses import replace

from audited_load.storage import WAIT_SECONDS, Store
from customer_pipeline.runtime.env_file import STORE_HOST, STORE_PORT, read_env_file
from customer_pipeline.runtime.installation import DOCKER, HOST, Runtime, read_port
from customer_pipeline.storing.store_access import read_access


def open_store(runtime: Runtime, wait_seconds: float = WAIT_SECONDS) -> Store:
    """Open the store that has the files of runs.

    Args:
        runtime: Whose. With Docker, `.env` alone says who asks, as it does for the containers.
        wait_seconds: How long each request waits for a store that is away.

    Raises:
        RefusedError: Nothing says who asks it.
    """
    told = read_env_file(runtime.home / ".env") if runtime.kind == DOCKER else {}
    access = read_access(told if runtime.kind == DOCKER else os.environ)
    if runtime.kind == DOCKER and access.endpoint == f"http://{STORE_HOST}:{STORE_PORT}":
        # Containers know the stack's own store by its name; this machine reaches it by its port.
        access = replace(access, endpoint=f"http://{HOST}:{read_port(told, 'STORE_PORT') or STORE_PORT}")
    return Store(runtime.storage, access, wait_seconds)
