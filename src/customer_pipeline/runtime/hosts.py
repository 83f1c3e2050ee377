"""Under which names the UI and the API are served: a request that asks for another one is refused.

A web page can give its own name the address of this machine (DNS rebinding), and would then be let into the API by
the browser of somebody who works here. The name that it asked for gives it away.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from audited_load.errors import RefusedError

SETTING = "API_HOSTS"
"""Environment variable: more names, separated by commas; `*.example.com` stands for all below it."""

_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_NAME = re.compile(r"(\*\.)?[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?|\[[0-9a-f:.]+\]", re.IGNORECASE | re.ASCII)


def served_hosts(environment: Mapping[str, str], *urls: str) -> list[str]:
    """Name the hosts, without ports.

    Args:
        environment: May hold `API_HOSTS`.
        urls: Addresses that are known to lead here, such as Airflow's base URL; an empty one says nothing.

    Raises:
        RefusedError: A name in `API_HOSTS` is none.
    """
    more = [name.strip() for name in environment.get(SETTING, "").split(",") if name.strip()]
    for name in more:
        if not _NAME.fullmatch(name):
            raise RefusedError(
                f"{SETTING} has {name!r}, which is not a name of a host.",
                "Give names without port and path, separated by commas: `API_HOSTS=airflow.example.com,*.test`.",
            )
    known = [re.sub(r"^.*@|:\d*$", "", urlsplit(url).netloc) for url in urls]
    return list(dict.fromkeys([*_LOOPBACK, *(name for name in known if name), *more]))
