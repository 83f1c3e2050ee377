"""What the README shows of `make run` is what is printed: its steps of the DAG, its figures of the sample."""

from __future__ import annotations

import io
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
from airflow.sdk import DAG
from rich.console import Console

from audited_load.cleaning.clean_file import clean_file
from customer_pipeline.commands.accounting import SHOWN, Accounting, print_found
from customer_pipeline.watching.run_steps import find_steps
from steps.data_cleaners import CUSTOMER_TRANSACTIONS

ROOT = Path(__file__).parents[2]
SHOWN_RUN = (ROOT / "README.md").read_text().split("```console\n$ make run\n")[1].split("\nLook at it:")[0]


def test_the_readme_shows_a_line_for_each_step_of_the_dag(dag: DAG) -> None:
    tasks = [
        {"task_id": name, "map_index": -1, "state": "success", "start_date": None, "end_date": None}
        for name in sorted(dag.task_ids)
    ]
    shown = re.findall(r"^ +\d+\.\d s  (\S+)  (.*)$", SHOWN_RUN, re.MULTILINE)
    assert shown == [(step.name, step.outcome) for step in find_steps(tasks)]
    assert re.search(r"^Run success after \d+\.\d s, \d+\.\d s of them between tasks$", SHOWN_RUN, re.MULTILINE)


def test_the_readme_shows_the_accounting_of_the_sample(tmp_path: Path) -> None:
    report = clean_file(ROOT / "data" / "customer_transactions.csv", CUSTOMER_TRANSACTIONS, tmp_path)
    totals = {name: Decimal(value) for name, value in report.totals.items()}
    load: dict[str, Any] = {"load_id": 1, "status": "published", "mode": "replace"}
    load |= {"source_name": report.source, "rule_counts": report.rules, "reason_counts": report.reasons}
    load |= dict.fromkeys(("updated", "outdated", "unchanged", "inserted"))
    load |= {name: getattr(report, name) for name in ("read", "accepted", "quarantined", "duplicates", "encoding")}
    load |= {f"total_{name}": value for name, value in totals.items()}
    cleaned = pl.read_csv(report.cleaned_file, infer_schema=False)
    sums = {"load_id": 1, "rows": report.accepted, **totals}
    marts = sums | {
        "customers": cleaned["customer_id"].drop_nulls().n_unique(),
        "products": cleaned["product_id"].drop_nulls().n_unique(),
        "months": cleaned["transaction_date"].str.head(7).n_unique(),
    }
    printed = io.StringIO()
    seen = {"load_id": 1, **{f"visible_{name}": value for name, value in sums.items()}}
    console = Console(file=printed, width=110, highlight=False, soft_wrap=True)
    print_found(Accounting((load,), seen, marts), console, SHOWN)
    assert printed.getvalue().strip() == SHOWN_RUN.partition("\n\n")[2].strip()
