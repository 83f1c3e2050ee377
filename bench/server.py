"""A PostgreSQL of the bench's own: the embedded one, with the settings that the pipeline's has."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from customer_pipeline.runtime.installation import Runtime, free_port, read_runtime
from customer_pipeline.runtime.postgres_server import (
    locate_server,
    make_cluster,
    server_command,
    wait_for_server,
)
from customer_pipeline.runtime.roles import make_roles_and_databases


@contextmanager
def running_server() -> Iterator[Runtime]:
    """Start a server with empty databases, and remove all of it afterwards."""
    home = Path(tempfile.mkdtemp(prefix="customer-pipeline-bench-"))
    home.chmod(0o755)
    runtime = read_runtime({"PIPELINE_HOME": str(home), "POSTGRES_PORT": str(free_port())})
    server = locate_server(runtime)
    make_cluster(server, runtime.secrets["postgres"])
    who: dict[str, Any] = {}
    if server.user:
        entry = pwd.getpwnam(server.user)
        who = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    command = server_command(server, runtime.postgres_port)
    with (home / "postgres.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd="/", **who)
        try:
            wait_for_server(runtime)
            make_roles_and_databases(runtime)
            yield runtime
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=60)
            shutil.rmtree(home, ignore_errors=True)
            if os.geteuid() == 0 and server.data.parent.name == runtime.identity:
                shutil.rmtree(server.data.parent, ignore_errors=True)
