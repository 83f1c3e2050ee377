"""dbt's parse, shared by the tasks that are forked from one process; where the seconds of a run went."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cosmos.dbt import runner as cosmos_runner

from customer_pipeline.commands.run_progress import where_time_went
from customer_pipeline.runtime.warm_executor import share_manifest
from customer_pipeline.settings import dbt_project


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("POSTGRES_PORT", "1")
    monkeypatch.setenv("TRANSFORMER_PASSWORD", "none")
    monkeypatch.setattr(cosmos_runner, "_get_cached_dbt_runner", cosmos_runner._get_cached_dbt_runner)
    folder = tmp_path / "dbt"
    shutil.copytree(dbt_project(), folder, ignore=shutil.ignore_patterns("target", "logs"))
    return folder


def test_tasks_share_the_parsed_project_until_it_changes(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    share_manifest(project)
    shared = cosmos_runner.get_runner().manifest
    assert shared is not None
    assert "model.ebury.fact_transactions" in shared.nodes
    assert cosmos_runner.get_runner().manifest is shared
    with monkeypatch.context() as other:
        other.setenv("POSTGRES_PORT", "2")
        assert cosmos_runner.get_runner().manifest is None
    model = project / "models" / "facts" / "fact_transactions.sql"
    model.write_text(model.read_text() + "\n")
    assert cosmos_runner.get_runner().manifest is None


_FORK = """
import sys
from customer_pipeline.runtime.warm_executor import LocalExecutor, WarmLocalExecutor

import audited_load.reading.encoding, pipeline_page

LocalExecutor._spawn_worker = lambda self: print(*(name for name in sys.modules if name.partition(".")[0] in OWN))
OWN = {"audited_load", "customer_pipeline", "pipeline_page", "steps"}
WarmLocalExecutor(parallelism=1)._spawn_worker()
"""


def test_a_task_inherits_no_module_of_ours_so_that_it_runs_the_code_that_its_load_is_named_after() -> None:
    done = subprocess.run([sys.executable, "-c", _FORK], capture_output=True, text=True, check=True)
    assert not done.stdout.splitlines()[-1].strip()


def test_where_the_seconds_of_a_run_went() -> None:
    def task(name: str, start: int | None, end: int | None) -> dict[str, str | None]:
        moments = [None if second is None else f"2026-01-01T00:00:{second:02}Z" for second in (start, end)]
        return {"task_id": name, "start_date": moments[0], "end_date": moments[1]}

    tasks = [
        task("B.two", 5, 8),
        task("A.one", 1, 3),
        task("B.models.x.run", 7, 9),
        task("B.models.y.run", 7, 8),
        task("A.skipped", None, None),
    ]
    assert where_time_went(tasks, 10.0) == "A 2.0 s, B 4.0 s, between tasks 4.0 s"
    assert where_time_went([], 1.5) == "between tasks 1.5 s"
