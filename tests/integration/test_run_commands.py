"""A command line → the params of the run that it triggers, through the command's own path."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from audited_load.errors import RefusedError
from command_line import call
from customer_pipeline.commands import refused_records as quarantine
from customer_pipeline.commands import replay, run, status
from customer_pipeline.runtime.installation import Runtime
from customer_pipeline.watching import run_steps
from customer_pipeline.watching.stack_status import Airflow, ask_warehouse
from integration.loading import HEADER, load_file

Dsn = Callable[[str], str]
GOOD, BAD = "1,1,2024-01-02,1,Thing,2,1.10,0.05\n", "2,1,2024-01-02,1,Thing,2,abc,0.05\n"


class Api:
    """Airflow, in as far as a run is triggered: it loads the file, as the tasks do."""

    def __init__(self, load: Callable[[str, dict[str, Any]], None]) -> None:
        self.trigger = load

    def wait_for_dag(self) -> None:
        pass

    def run(self, _: str) -> dict[str, str]:
        return {"state": "success"}

    def find_runs(self, _: list[str]) -> list[dict[str, Any]]:
        return []

    def tasks(self, _: str) -> list[dict[str, Any]]:
        return []


@pytest.fixture
def confs(runtime: Runtime, dsn: Dsn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Params of the runs that commands trigger, on a data folder of their own."""
    here, triggered = replace(runtime, data=tmp_path / "data"), []
    here.data.mkdir()

    def load(run_id: str, conf: dict[str, Any]) -> None:
        triggered.append(conf)
        load_file(dsn("loader"), here.data / conf["source"], run_id, mode=conf["mode"], day=len(triggered) + 1)

    for module in (run, quarantine, replay):
        monkeypatch.setattr(module, "read_runtime", lambda: here)
    for module in (run, replay):
        monkeypatch.setattr(module, "start_services", lambda runtime: runtime)
    monkeypatch.setattr(run, "AirflowApi", lambda _: Api(load))
    return triggered


def conf_source(file: Path) -> str:
    return f"given/{hashlib.sha256(file.read_bytes()).hexdigest()[:12]}/{file.name}"


def test_a_repaired_export_is_replayed_by_its_command(
    confs: list[dict[str, Any]], dsn: Dsn, tmp_path: Path
) -> None:
    file, repair = tmp_path / "day.csv", tmp_path / "repair.csv"
    file.write_text(HEADER + GOOD + BAD)
    load_file(dsn("loader"), file, "run-1")
    assert call("quarantine", "export", "--out", repair) == 0
    repair.write_text(repair.read_text().replace('"abc"', '"1.10"'))
    assert call("quarantine", "replay", repair) == 0
    (conf,) = confs
    # What was cleaned once has the form that needs no telling, whatever the settings say of the supplier's files.
    form = {"encoding": "utf-8", "decimal": "point", "date_order": "day_first"}
    form["contract"] = "customer-transactions"
    assert conf == {"mode": "merge", "source": conf["source"], "sha256": conf["sha256"], **form}
    assert conf["source"].startswith(f"replayed/replay-{conf['sha256'][:12]}")


def test_what_the_command_line_asks_for_is_what_the_run_gets(confs: list[dict[str, Any]], tmp_path: Path) -> None:
    file = tmp_path / "day.csv"
    file.write_text(HEADER + GOOD)
    assert call("run", file, "--mode", "merge", "--full-refresh") == 0
    assert call("run", file, "--force") == 0
    given = {"source": conf_source(file), "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
    assert confs == [{"mode": "merge", "full_refresh": True, **given}, {"mode": "replace", "force": True, **given}]


def test_a_run_says_only_what_its_options_declare(
    confs: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The settings are those of the services, and not of the shell."""
    file = tmp_path / "day.csv"
    file.write_text(HEADER + GOOD)
    monkeypatch.setenv("SOURCE_DECIMAL", "comma")
    assert call("run", file, "--date-order", "month_first") == 0
    given = {"source": conf_source(file), "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
    assert confs == [{"mode": "replace", "date_order": "month_first", **given}]
    with pytest.raises(RefusedError, match="klingon"):
        call("run", file, "--encoding", "klingon")


def test_what_a_supplier_wrote_acts_on_no_terminal(
    confs: list[dict[str, Any]],
    runtime: Runtime,
    dsn: Dsn,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Neither the name of a file nor what is in it, wherever it is printed."""
    file, repair = tmp_path / "\x1b]0;x\x07\u202ed.csv", tmp_path / "repair.csv"
    file.write_text(
        HEADER + GOOD + BAD.replace("abc", "a\x1b[31mbc\u202e") + "3,1,2024-01-02,1,Thi\x1b[31mng\u202e\n"
    )
    load_file(dsn("loader"), file, "run-1")
    for line in ("list", "list --raw", "list --json", f"export --out {repair}"):
        assert call("quarantine", *line.split()) == 0
    assert call("quarantine", "replay", repair) == 2
    status.print_warehouse(ask_warehouse(runtime, None), Airflow(), Console(markup=False))
    print(run_steps.name_task({"task_id": "clean", "map_index": 0, "rendered_map_index": file.name}))
    printed = capsys.readouterr().out
    assert printed.count(r"\x1b]0;x\x07\u202ed.csv") >= 4
    assert r"\x1b[31m" in printed
    assert {char for char in printed if not char.isprintable()} == {"\n"}
    assert confs == []
