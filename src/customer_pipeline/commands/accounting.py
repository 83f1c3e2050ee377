"""What became of every record of a run, from the ledger and the marts: in short after a run, or all of it."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from textwrap import wrap
from typing import Any

import psycopg
from psycopg.rows import dict_row
from rich.console import Console
from rich.table import Table

from audited_load.command import command
from audited_load.errors import RefusedError
from audited_load.reading.encoding import is_guessed
from audited_load.shown import DECLARE_ENCODING, most_frequent, show_json, show_text
from customer_pipeline.feed import FEED
from customer_pipeline.runtime.installation import Runtime, read_runtime
from pipeline_page.texts import EXACT

Row = dict[str, Any]
SHOWN = 10
"""Reasons, and rules, that are named after a run."""
_MISSING = (
    psycopg.errors.UndefinedTable,
    psycopg.errors.InvalidSchemaName,
    psycopg.errors.InsufficientPrivilege,
)
FILE_KEYS = (
    "load_id", "source_name", "status", "mode", "read", "accepted", "quarantined", "duplicates", "superseded",
    "inserted", "updated", "unchanged", "outdated", "encoding", "failure", "remedy",
)  # fmt: skip
"""Of each file, what `--json` gives, as the ledger names it."""
_NEWEST = "select run_id from cleaned_data.loads order by load_id desc limit 1"
_RUN_OF = "select run_id from cleaned_data.loads where load_id = %s"
_LOADS = "select * from cleaned_data.loads where run_id = %s order by source_name, load_id"
_MARTS = """
    select
        count(*) as rows,
        coalesce(sum(units_sold), 0)::numeric as quantity,
        coalesce(sum(gross_amount), 0) as gross,
        coalesce(sum(tax_amount), 0) as tax,
        (select count(*) - 1 from analytics.dim_customers) as customers,
        (select count(*) - 1 from analytics.dim_products) as products,
        (select count(distinct transaction_month) from analytics.agg_monthly_sales) as months,
        (select load_id from analytics.published_marts) as load_id
    from analytics.fact_transactions
"""


@dataclass(frozen=True)
class Accounting:
    """What became of a run's records.

    Attributes:
        loads: The ledger's row of each file.
        seen: What readers see of the cleaned table; None before the first load.
        marts: Totals of the published fact; None before they were published.
    """

    loads: tuple[Row, ...]
    seen: Row | None
    marts: Row | None

    @property
    def visible(self) -> list[Row]:
        """The files of which readers see, or saw, what the run brought."""
        return [load for load in self.loads if load["status"] in {"published", "unchanged"}]

    def counts(self, column: str) -> Counter[str]:
        """Add up counts of the ledger over the files.

        Args:
            column: `reason_counts` or `rule_counts`.
        """
        counts: Counter[str] = Counter()
        for load in self.loads:
            counts.update(load[column])
        return counts


def find_accounting(connection: psycopg.Connection[Row], run_id: str) -> Accounting:
    """Read what became of a run's records.

    Args:
        connection: To the warehouse, as a role that reads the ledger.
        run_id: The run.

    Returns:
        It; without loads, if the run read no file or there is no ledger yet.
    """
    # All of one moment: another run may publish between two statements.
    with connection.transaction():
        connection.execute("set transaction isolation level repeatable read")
        try:
            with connection.transaction():
                loads = connection.execute(_LOADS, (run_id,)).fetchall()
                seen = connection.execute("select * from cleaned_data.published_load").fetchone()
        except _MISSING:
            return Accounting((), None, None)
        try:
            with connection.transaction():
                marts = connection.execute(_MARTS).fetchone()
        except _MISSING:
            marts = None
    return Accounting(tuple(loads), seen, marts)


def show_accounting(run_id: str | None, load_id: int | None, *, as_json: bool) -> int:
    """Print all of a run's accounting.

    Args:
        run_id: The run; None for that of the load, or the newest that read a file.
        load_id: A load of the run.
        as_json: For programs.

    Returns:
        0.

    Raises:
        RefusedError: There is no such run, or nothing was loaded yet.
    """
    with _connect(read_runtime()) as connection:
        try:
            asked = (_RUN_OF, (load_id,)) if load_id is not None else (_NEWEST, ())
            row = {"run_id": run_id} if run_id else connection.execute(*asked).fetchone()
        except _MISSING:
            row = None
        if row is None and load_id is None:
            raise RefusedError("No run has read a file yet.", f"Load one with {command('run FILE')}.")
        found = find_accounting(connection, row["run_id"]) if row else Accounting((), None, None)
    if not found.loads:
        what = f"Run {run_id} has read no file." if run_id else f"There is no load {load_id}."
        raise RefusedError(what, f"{command('accounting')} is of the newest run; `make status` names runs.")
    if as_json:
        sys.stdout.write(show_json(_as_json(found), indent=2) + "\n")
        return 0
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"Run {found.loads[0]['run_id']}", markup=False)
    print_found(found, console, None)
    return 0


def print_accounting(runtime: Runtime, run_id: str, console: Console) -> None:
    """Print a run's accounting in short: its files, the most frequent reasons and rules, whether the marts tie out.

    Prints nothing if the run read no file.
    """
    with _connect(runtime) as connection:
        found = find_accounting(connection, run_id)
    if found.loads:
        console.print()
        print_found(found, console, SHOWN)


def _connect(runtime: Runtime) -> psycopg.Connection[Row]:
    return psycopg.connect(runtime.dsn("reader"), row_factory=dict_row, autocommit=True, connect_timeout=10)


def print_found(found: Accounting, console: Console, shown: int | None) -> None:
    """Print an accounting.

    Args:
        found: It.
        console: Where to.
        shown: How many reasons and rules are named; None for all, a line each.
    """
    for load in found.loads:
        _print_file(load, console)
    for title, column in (("Refused, by reason", "reason_counts"), ("Changed, by rule", "rule_counts")):
        lines = describe_counts(title, found.counts(column), found.loads[0]["load_id"], shown, console.width)
        for line in lines:
            console.print(line, markup=False)
    loads = found.visible
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
    if loads and found.seen and found.marts:
        _print_tie_out(loads, found.seen, found.marts, console)


def describe_counts(
    title: str, counts: Mapping[str, int], load_id: int, shown: int | None = SHOWN, width: int = 80
) -> list[str]:
    """Put counts into lines, the most frequent first.

    Args:
        title: What is counted.
        counts: By name.
        load_id: By which the command is told that shows all of them.
        shown: How many are named, one after another; None for all, a line each.
        width: Of the terminal.
    """
    ordered = most_frequent(counts)
    if not ordered:
        return []
    if shown is None:
        return [title, *(f"{count:>8}  {name}" for name, count in ordered)]
    named = ", ".join(f"{name} {count}" for name, count in ordered[:shown])
    lines = wrap(f"{title}: {named}", width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
    more = len(ordered) - shown
    # On a line of its own, so that the command can be copied whole.
    return [*lines, f"  and {more} more: see {command(f'accounting --load {load_id}')}"] if more > 0 else lines


def _as_json(found: Accounting) -> Row:
    """Return what programs get; its keys are documented."""
    return {
        "run_id": found.loads[0]["run_id"],
        "files": [{name: load.get(name) for name in FILE_KEYS} for load in found.loads],
        "reasons": dict(most_frequent(found.counts("reason_counts"))),
        "rules": dict(most_frequent(found.counts("rule_counts"))),
        "readers_see": _totals(found.seen, "visible_") if found.seen else None,
        "fact_transactions": _totals(found.marts) if found.marts else None,
    }


def _totals(row: Row, prefix: str = "") -> Row:
    return {"load_id": row["load_id"]} | {
        name: row[f"{prefix}{name}"] for name in ("rows", "quantity", "gross", "tax")
    }


def _print_file(load: Row, console: Console) -> None:
    fates = {
        "unchanged": "; readers see it already, so it was not loaded again",
        "loading": "; not published yet",
        "refused": "; refused: nothing of it was loaded",
        "failed": "; not published, since the run failed",
        "rolled_back": "; taken back since",
    }
    named = load.get("contract_id") or FEED.contract.id
    contract = f", contract {show_text(named)}" if named != FEED.contract.id else ""
    form = f" ({load['encoding']}{contract})" if load["encoding"] else ""
    console.print(
        f"{show_text(load['source_name'], 4096)}: read {load['read']} = accepted {load['accepted']}"
        f" + quarantined {load['quarantined']} + duplicates {load['duplicates']}"
        f"{form}{fates.get(load['status'], '')}",
        markup=False,
    )
    drift = load.get("drift") or {}
    for what, names in (
        ("not kept, unknown to the contract", "unknown"),
        ("gone since the load before", "vanished"),
    ):
        if drift.get(names):
            console.print(f"  Columns {what}: {', '.join(map(show_text, drift[names]))}", markup=False)
    if load["encoding"] and is_guessed(load["encoding"]):
        console.print(f"  If names look wrong, declare the encoding: {DECLARE_ENCODING}", markup=False)


def _is_seen(load: Row, seen: Row) -> bool:
    """Return whether what readers see is what a load brought, or found there already."""
    was_there = load["status"] == "unchanged" and seen["published_at"] <= load["started_at"]
    return bool(load["load_id"] == seen["load_id"] or was_there)


def _print_tie_out(loads: Sequence[Row], seen: Row, marts: Row, console: Console) -> None:
    table = Table("", "rows", "quantity", "gross", "tax", title="Tie-out", title_justify="left")
    names = ("accepted", "total_quantity", "total_gross", "total_tax")
    with localcontext(EXACT):
        files = tuple(sum((load[name] for load in loads), Decimal(0)) for name in names)
    visible = tuple(seen[f"visible_{name}"] for name in ("rows", "quantity", "gross", "tax"))
    fact = (marts["rows"], marts["quantity"], marts["gross"], marts["tax"])
    if any(_is_seen(load, seen) for load in loads):
        table.add_row("cleaned file" if len(loads) == 1 else "cleaned files", *map(_number, files))
    else:
        console.print(f"Readers see load {seen['load_id']} now, of another run:")
    table.add_row("cleaned table", *map(_number, visible))
    table.add_row("fact_transactions", *map(_number, fact))
    console.print(table)
    if marts["load_id"] != seen["load_id"]:
        console.print(
            f"The star schema is of load {marts['load_id']}, and readers of the cleaned table see load"
            f" {seen['load_id']}: there is nothing to compare until the marts of that one are published.",
            markup=False,
        )
        return
    ties = "ties out to the last decimal" if visible == fact else "[red]DOES NOT TIE OUT[/]"
    console.print(
        f"The star schema {ties}: {marts['customers']} customers, {marts['products']} products,"
        f" {marts['months']} months, revenue {_number(marts['gross'])}."
    )


def _number(value: Decimal | int) -> str:
    with localcontext(EXACT):
        return f"{value:,.2f}" if isinstance(value, Decimal) and value % 1 else f"{value:,.0f}"
