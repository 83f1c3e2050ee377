"""dbt's parse, shared by the tasks that are forked from one process; where the seconds of a run went."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cosmos.dbt import runner as cosmos_runner
from dbt_common.behavior_flags import BehaviorFlagRendered

from customer_pipeline.settings import dbt_project
from customer_pipeline.warming.warm_dbt import share_manifest
from customer_pipeline.warming.warm_modules import own_folders, own_state

HOME = Path(__file__).resolve().parents[2]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("POSTGRES_PORT", "1")
    monkeypatch.setenv("TRANSFORMER_PASSWORD", "none")
    monkeypatch.setattr(cosmos_runner, "_get_cached_dbt_runner", cosmos_runner._get_cached_dbt_runner)
    monkeypatch.setattr(BehaviorFlagRendered, "_default_source", staticmethod(BehaviorFlagRendered._default_source))
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


_FORKS = """
import os, sys
from customer_pipeline.warming.warm_modules import share_own_modules

def modules_of_fork(depth):
    out, into = os.pipe()
    if not os.fork():
        if depth > 1:
            os.write(into, modules_of_fork(depth - 1))
        else:
            names = [name for name in sys.modules if name.startswith(("steps.", "audited_load."))]
            os.write(into, " ".join(names).encode())
        os._exit(0)
    os.wait()
    os.close(into)
    return os.read(out, 65536)

share_own_modules()
print(modules_of_fork(2).decode(), flush=True)
for line in sys.stdin:
    path, _, text = line.strip().partition(" ")
    open(path, "a").write(text)
    print(modules_of_fork(2).decode(), flush=True)
"""


@pytest.fixture(scope="module")
def copied_code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    clone = tmp_path_factory.mktemp("clone")
    for name in ("src", "airflow/dags", "contracts"):
        shutil.copytree(HOME / name, clone / name, ignore=shutil.ignore_patterns("__pycache__"))
    return clone


def in_copy(clone: Path, code: str, told: str = "") -> list[str]:
    path = os.pathsep.join(str(clone / name) for name in ("src", "airflow/dags"))
    plugins = str(HOME / "airflow" / "plugins")
    line = [sys.executable, "-c", code]
    done = subprocess.run(
        line,
        env=os.environ | {"PYTHONPATH": path, "AIRFLOW__CORE__PLUGINS_FOLDER": plugins},
        input=told,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


def test_a_task_has_our_modules_in_memory_unless_a_file_changed_since(copied_code: Path) -> None:
    rule = copied_code / "src" / "audited_load" / "rules" / "number_rules.py"
    *_, unchanged, after = in_copy(copied_code, _FORKS, f"{rule} #\n")
    assert {"steps.data_cleaners", "audited_load.loading.publish"} <= set(unchanged.split())
    # Else a task would clean with what the scheduler had imported, under the name of what lies on the disk.
    assert not after


def test_every_file_that_an_import_reads_counts(copied_code: Path) -> None:
    names = [str(folder.relative_to(HOME)) for folder in own_folders()]
    folders = tuple(copied_code / name for name in names)
    state = own_state(folders)
    assert own_state(folders) == state
    for name in (
        "src/audited_load/rules/number_rules.py",
        "src/customer_pipeline/settings.py",
        "airflow/dags/steps/data_cleaners.py",
        "airflow/dags/steps/new.py",
        "contracts/customer_transactions.odcs.yaml",
    ):
        with (copied_code / name).open("a") as file:
            file.write("#")
        assert own_state(folders) != state, name
        state = own_state(folders)
    moved = copied_code / "src" / "customer_pipeline" / "names.py"
    other = moved.with_name("other")
    shutil.copy2(moved, other)
    state = own_state(folders) - {file for file in own_state(folders) if file[0] == str(other)}
    other.replace(moved)
    assert own_state(folders) != state


_WARM = """
import importlib, os, sys
from airflow.sdk.listener import get_listener_manager
from customer_pipeline.warming.warm_dbt import WARMED
from customer_pipeline.warming.warm_modules import PARSED, share_own_modules

for name in (*WARMED, *PARSED):
    importlib.import_module(name)
get_listener_manager()
page = {"pipeline_page.web"} & set(sys.modules)
share_own_modules()
print(*sorted(page | {"steps.data_cleaners"} & set(sys.modules)))
print(*sorted({"numpy", "polars", "vl_convert"} & set(sys.modules)), len(os.listdir("/proc/self/task")))
"""


def test_what_services_have_in_memory_starts_no_thread_that_a_fork_would_lose(copied_code: Path) -> None:
    *_, ours, others = in_copy(copied_code, _WARM)
    assert ours == "pipeline_page.web steps.data_cleaners"
    assert others.strip() == "1"


_PARSED = """
import os, signal, tempfile
from pathlib import Path
from dbt.cli.main import dbtRunner
from customer_pipeline.warming.warm_dbt import share_manifest
from customer_pipeline.tasks.dbt_manifest import OF_PROFILE, in_project

project = Path(os.environ["PIPELINE_DBT"])
share_manifest(project)
print(len(os.listdir("/proc/self/task")))
model = project / "models" / "facts" / "fact_transactions.sql"
model.write_text(model.read_text() + "\\n")
if not (child := os.fork()):
    signal.alarm(180)
    with tempfile.TemporaryDirectory() as folder:
        done = dbtRunner().invoke(["--quiet", "parse", *OF_PROFILE, *in_project(project), "--target-path", folder])
    os._exit(0 if done.success else 1)
print(os.waitpid(child, 0)[1])
"""


def test_a_task_parses_what_has_changed_since_the_executor_did(
    project: Path, copied_code: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIPELINE_DBT", str(project))
    assert in_copy(copied_code, _PARSED)[-2:] == ["1", "0"]


_WARM_UP = """
import os, sys
from customer_pipeline.warming.warm_dbt import warm_up

warm_up()
from cosmos.dbt import runner
sockets = [fd for fd in os.listdir("/proc/self/fd") if "socket" in os.path.realpath(f"/proc/self/fd/{fd}")]
print({"dbt.task.run", "cosmos", "steps.data_cleaners"} <= set(sys.modules))
print(runner.get_runner().manifest is not None)
print(len(os.listdir("/proc/self/task")), len(sockets))
"""


def test_who_is_warm_has_one_thread_and_no_connection(
    project: Path, copied_code: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIPELINE_DBT", str(project))
    assert in_copy(copied_code, _WARM_UP)[-3:] == ["True", "True", "1 0"]


def test_dbt_names_the_module_of_a_flag_as_before(project: Path) -> None:
    def make_flag() -> str:
        flag = BehaviorFlagRendered({"name": "x", "default": False, "docs_url": "https://x.example"}, {})
        return str(flag._behavior_change_event.flag_source)

    before = make_flag()
    share_manifest(project)
    assert make_flag() == before == __name__
