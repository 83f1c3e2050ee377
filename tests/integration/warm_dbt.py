"""dbt in a process of its own for each call, forked from one that has imported it: the import takes three seconds.

A parse of a project is kept, too, for the calls to come; dbt itself says whether it still fits.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["dbt.cli.main", "dbt.adapters.postgres"])
_PARSES = Path(tempfile.mkdtemp(prefix="customer-pipeline-parses-"))
_PARSE = "partial_parse.msgpack"


def call_dbt(
    project: Path, target: Path, arguments: Sequence[str], environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Call dbt as its command line does, with both outputs in one."""
    line = ["--no-use-colors", *arguments]
    line += ["--project-dir", str(project), "--profiles-dir", str(project), "--target-path", str(target)]
    target.mkdir(parents=True, exist_ok=True)
    # A parse is of one target.
    kept = _PARSES / f"{abs(hash((str(project), environment.get('DBT_TARGET'))))}-{_PARSE}"
    if kept.exists() and not (target / _PARSE).exists():
        shutil.copy(kept, target / _PARSE)
    with tempfile.NamedTemporaryFile(mode="r+", prefix="customer-pipeline-dbt-") as out:
        process = _CONTEXT.Process(target=_invoke, args=(line, dict(environment), out.name))
        process.start()
        process.join()
        said = out.read()
    if (target / _PARSE).exists():
        shutil.copy(target / _PARSE, kept)
    return subprocess.CompletedProcess(line, process.exitcode or 0, said, "")


def _invoke(line: list[str], environment: dict[str, str], out: str) -> None:
    file = os.open(out, os.O_WRONLY)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.environ.clear()
    os.environ.update(environment)

    from dbt.cli.main import dbtRunner  # noqa: PLC0415 - preloaded

    result = dbtRunner().invoke(line)
    if result.exception:
        print(result.exception, flush=True)
    os._exit(0 if result.success else 1 if result.result is not None else 2)
