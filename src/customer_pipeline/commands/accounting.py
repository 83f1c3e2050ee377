"""What became of every record of a run, from the ledger and the marts, for people."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import Any

import psycopg
from psycopg.rows import dict_row
from rich.console import Console
from rich.table import Table

from audited_load.command import command
from audited_load.reading.encoding import is_guessed
from audited_load.shown import DECLARE_ENCODING, most_frequent, show_text
from customer_pipeline.feed import FEED
from customer_pipeline.runtime.installation import Runtime

_LOADS = "select * from cleaned_data.loads where run_id = %s order by source_name, load_id"
_MARTS = """
    select
        count(*) as rows,
        coalesce(sum(units_sold), 0)::numeric as quantity,
        coalesce(sum(gross_amount), 0) as gross,
        coalesce(sum(tax_amount), 0) as tax,
        (select count(*) - 1 from analytics.dim_customers) as customers,
        (select count(*) - 1 from analytics.dim_products) as products,
        (select count(distinct transaction_month) from analytics.agg_monthly_sales) as months
    from analytics.fact_transactions
"""


def print_accounting(runtime: Runtime, run_id: str, console: Console) -> None:
    """Print the accounting of a run's files, and whether the marts tie out to what was published.

    Prints nothing if the run published nothing and met no file that was published before.
    """
    with psycopg.connect(runtime.dsn("reader"), row_factory=dict_row) as connection:
        try:
            loads = connection.execute(_LOADS, (run_id,)).fetchall()
            seen = connection.execute("select * from cleaned_data.published_load").fetchone()
            marts = connection.execute(_MARTS).fetchone()
        except (
            psycopg.errors.UndefinedTable,
            psycopg.errors.InvalidSchemaName,
            psycopg.errors.InsufficientPrivilege,
        ):
            return
    loads = [load for load in loads if load["status"] in {"published", "unchanged"}]
    if not loads or seen is None or marts is None:
        return
    console.print()
    for load in loads:
        _print_file(load, console)
    _print_counts(console, "Refused, by reason", loads, "reason_counts")
    _print_counts(console, "Changed, by rule", loads, "rule_counts")
    if any(load["mode"] == "merge" or load["updated"] or load["outdated"] or load["unchanged"] for load in loads):
        names = ("inserted", "updated", "unchanged", "outdated")
        counts = ", ".join(f"{sum(load[name] or 0 for load in loads)} {name}" for name in names)
        console.print(f"Merged: {counts}")
    if any(load["outdated"] for load in loads):
        console.print(
            "Outdated records are older than what readers see, and were not let in: "
            f"{command('quarantine list')}. The param `force` adds those that a later `replace` did not hold.",
            markup=False,
        )
    _print_tie_out(loads, seen, marts, console)


def _print_file(load: dict[str, Any], console: Console) -> None:
    again = "; readers see it already, so it was not loaded again" if load["status"] == "unchanged" else ""
    named = load.get("contract_id") or FEED.contract.id
    contract = f", contract {show_text(named)}" if named != FEED.contract.id else ""
    console.print(
        f"{show_text(load['source_name'], 4096)}: read {load['read']} = accepted {load['accepted']}"
        f" + quarantined {load['quarantined']} + duplicates {load['duplicates']}"
        f" ({load['encoding']}{contract}){again}",
        markup=False,
    )
    drift = load.get("drift") or {}
    for what, names in (
        ("not kept, unknown to the contract", "unknown"),
        ("gone since the load before", "vanished"),
    ):
        if drift.get(names):
            console.print(f"  Columns {what}: {', '.join(map(show_text, drift[names]))}", markup=False)
    if is_guessed(load["encoding"]):
        console.print(f"  If names look wrong, declare the encoding: {DECLARE_ENCODING}", markup=False)


def _print_tie_out(
    loads: list[dict[str, Any]], seen: dict[str, Any], marts: dict[str, Any], console: Console
) -> None:
    table = Table("", "rows", "quantity", "gross", "tax", title="Tie-out", title_justify="left")
    names = ("accepted", "total_quantity", "total_gross", "total_tax")
    files = tuple(sum((load[name] for load in loads), Decimal(0)) for name in names)
    visible = tuple(seen[f"visible_{name}"] for name in ("rows", "quantity", "gross", "tax"))
    fact = (marts["rows"], marts["quantity"], marts["gross"], marts["tax"])
    table.add_row("cleaned file" if len(loads) == 1 else "cleaned files", *map(_number, files))
    table.add_row("cleaned table", *map(_number, visible))
    table.add_row("fact_transactions", *map(_number, fact))
    console.print(table)
    ties = "ties out to the last decimal" if visible == fact else "[red]DOES NOT TIE OUT[/]"
    console.print(
        f"The star schema {ties}: {marts['customers']} customers, {marts['products']} products,"
        f" {marts['months']} months, revenue {_number(marts['gross'])}."
    )


def _print_counts(console: Console, title: str, loads: list[dict[str, Any]], column: str) -> None:
    counts: Counter[str] = Counter()
    for load in loads:
        counts.update(load[column])
    if counts:
        named = ", ".join(f"{name} {count}" for name, count in most_frequent(counts))
        console.print(f"{title}: {named}", markup=False)


def _number(value: Decimal | int) -> str:
    return f"{value:,.2f}" if isinstance(value, Decimal) and value % 1 else f"{value:,.0f}"
