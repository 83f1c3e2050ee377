"""Airflow's API server answers only those who ask for a name under which it is served."""

from __future__ import annotations

import os
from typing import Any

from airflow.configuration import conf
from airflow.plugins_manager import AirflowPlugin
from starlette.middleware.trustedhost import TrustedHostMiddleware

from customer_pipeline.runtime.hosts import served_hosts

# Tasks and the browser come by these; with Docker, tasks by the name of a service.
HOSTS = served_hosts(
    os.environ, conf.get("api", "base_url", fallback=""), conf.get("core", "execution_api_server_url", fallback="")
)


class ServedHosts(AirflowPlugin):
    """The check, before everything that the API server serves: UI, API, pages, the tasks' own API."""

    name = "served_hosts"
    fastapi_root_middlewares: list[dict[str, Any]] = [  # noqa: RUF012 - as Airflow declares it
        {
            "name": "served_hosts",
            "middleware": TrustedHostMiddleware,
            "kwargs": {"allowed_hosts": HOSTS, "www_redirect": False},
        }
    ]
