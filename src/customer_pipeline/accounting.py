"""What became of every record of a run, from the ledger and the marts, for people."""

from __future__ import annotations

from decimal import Decimal

import psycopg
from psycopg.rows import dict_row
from rich.console import Console
from rich.table import Table

from customer_pipeline.settings import Runtime

_LOAD = """
    select * from cleaned_data.loads where run_id = %s order by load_id desc limit 1
"""
_MARTS = """
    select
        count(*) as rows,
        coalesce(sum(units_sold), 0)::numeric as quantity,
        coalesce(sum(gross_amount), 0) as gross,
        coalesce(sum(tax_amount), 0) as tax,
        (select count(*) - 1 from analytics_dbt_staging.dim_customers) as customers,
        (select count(*) - 1 from analytics_dbt_staging.dim_products) as products,
        (select count(distinct transaction_month) from analytics_dbt_staging.agg_monthly_sales) as months
    from analytics_dbt_staging.fact_transactions
"""


def print_accounting(runtime: Runtime, run_id: str, console: Console) -> None:
    """Print the accounting of a run that succeeded, and whether the marts tie out to it."""
    with psycopg.connect(runtime.dsn("reader"), row_factory=dict_row) as connection:
        load = connection.execute(_LOAD, (run_id,)).fetchone()
        seen = connection.execute("select * from cleaned_data.published_load").fetchone()
        marts = connection.execute(_MARTS).fetchone()
    if load is None or seen is None or marts is None:
        console.print("The ledger has no load of this run.")
        return
    console.print()
    if load["status"] == "unchanged":
        console.print("Readers see this very file already: nothing was published anew.")
    console.print(
        f"{load['source_name']}: read {load['read']} = accepted {load['accepted']}"
        f" + quarantined {load['quarantined']} + duplicates {load['duplicates']} ({load['encoding']})"
    )
    _print_counts(console, "Refused, by reason", load["reason_counts"])
    _print_counts(console, "Changed, by rule", load["rule_counts"])
    table = Table("", "rows", "quantity", "gross", "tax", title="Tie-out", title_justify="left")
    file = (load["accepted"], load["total_quantity"], load["total_gross"], load["total_tax"])
    visible = tuple(seen[f"visible_{name}"] for name in ("rows", "quantity", "gross", "tax"))
    fact = (marts["rows"], marts["quantity"], marts["gross"], marts["tax"])
    table.add_row("cleaned file", *map(_number, file))
    table.add_row("cleaned table", *map(_number, visible))
    table.add_row("fact_transactions", *map(_number, fact))
    if load["mode"] == "merge":
        counts = ", ".join(f"{load[name] or 0} {name}" for name in ("inserted", "updated", "unchanged", "outdated"))
        console.print(f"Merged: {counts}")
    console.print(table)
    ties = "ties out to the last decimal" if visible == fact else "[red]DOES NOT TIE OUT[/]"
    console.print(
        f"The star schema {ties}: {marts['customers']} customers, {marts['products']} products,"
        f" {marts['months']} months, revenue {_number(marts['gross'])}."
    )


def _print_counts(console: Console, title: str, counts: dict[str, int]) -> None:
    if counts:
        ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        console.print(f"{title}: " + ", ".join(f"{name} {count}" for name, count in ordered))


def _number(value: Decimal | int) -> str:
    return f"{value:,.2f}" if isinstance(value, Decimal) and value % 1 else f"{value:,.0f}"
