"""What an operator may type to do with data: run, clean, report, take back, repair, erase, make a sample.

As in `customer_pipeline.cli`, a command imports what it needs when it runs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer import Argument, Option
from typer._click.exceptions import BadParameter, UsageError

from audited_load.command import COMMAND

Decimal = Annotated[
    Literal["auto", "point", "comma"] | None, Option(help="What stands before decimals.", show_default=False)
]
DateOrder = Annotated[
    Literal["auto", "day_first", "month_first"] | None,
    Option(help="What comes first in 03/04/2023.", show_default=False),
]
Encoding = Annotated[
    str | None, Option(metavar="NAME", help="Such as utf-8 or windows-1251; auto: found out.", show_default=False)
]
Contract = Annotated[
    str | None,
    Option(
        metavar="FILE|ID",
        help="The data contract of another supplier's file; default: the one whose pattern its path fits.",
        show_default=False,
    ),
]
Loads = Annotated[
    list[int] | None,
    Option(
        metavar="N",
        show_default=False,
        help="What load N refused, in place of the loads that readers see; may be said several times.",
    ),
]


def _read_path(text: str) -> Path:
    """Read a path; an empty one, such as of a variable that is not set, would be the working directory."""
    if not text:
        raise BadParameter("It is empty. Is a variable not set?")
    return Path(text)


UNCHECKED: dict[str, Any] = {"parser": _read_path}
"""Files are looked at by what reads them, which says what to do."""
Reason = Annotated[str, Option(metavar="PREFIX", help="Only reasons that begin so: price:", show_default=False)]
Force = Annotated[bool, Option("--force", help="Replace what is there.")]

PLAIN: dict[str, Any] = {
    "no_args_is_help": True,
    "rich_markup_mode": None,
    "pretty_exceptions_enable": False,
    "context_settings": {"help_option_names": ["-h", "--help"]},
}

data = typer.Typer(**PLAIN)
quarantine = typer.Typer(help="Look at refused records, repair them, bring them in again.", **PLAIN)
data.add_typer(quarantine, name="quarantine")
contracts = typer.Typer(help="Look at data contracts.", **PLAIN)
data.add_typer(contracts, name="contract")


def examples(*lines: str) -> str:
    """Return the end of a command's help: lines that can be typed."""
    return "\b\nExamples:\n" + "\n".join(f"  {COMMAND} {line}" for line in lines)


@data.command(
    "run",
    epilog=examples(
        "run",
        "run FILE",
        "run FILE --mode merge --decimal comma",
        "run FILE --mode merge --contract supplier.odcs.yaml",
        "run --source 'incoming/*.csv' --mode merge",
    ),
)
def _run(
    file: Annotated[
        Path | None, Argument(metavar="FILE", **UNCHECKED, help="Default: the sample.", show_default=False)
    ] = None,
    *,
    source: Annotated[
        str | None,
        Option(help="Several files in the data folder: a folder, or a pattern like 'incoming/*.csv'."),
    ] = None,
    mode: Annotated[Literal["replace", "merge"], Option(help="The whole truth, or new and corrected records.")] = (
        "replace"
    ),
    contract: Contract = None,
    decimal: Decimal = None,
    date_order: DateOrder = None,
    encoding: Encoding = None,
    full_refresh: Annotated[
        bool, Option("--full-refresh", help="Build all marts anew, also after a merge.")
    ] = False,
    force: Annotated[bool, Option("--force", help="Publish even if far fewer records, or older ones.")] = False,
) -> int:
    """Run the pipeline on a file, and account for every record."""
    from customer_pipeline.commands.run import run_pipeline

    if file and source:
        raise UsageError("Give FILE or --source, not both.")
    if source == "":
        raise UsageError("--source is empty. Is a variable not set?")
    return run_pipeline(
        file,
        source=source,
        mode=mode,
        contract=contract,
        force=force,
        full_refresh=full_refresh,
        form=_words(decimal, date_order, encoding),
    )


@data.command("accounting", epilog=examples("accounting", "accounting --load 7", "accounting --json"))
def _accounting(
    *,
    load: Annotated[
        int | None, Option(metavar="N", help="Of the run that brought load N.", show_default=False)
    ] = None,
    run: Annotated[
        str | None,
        Option(metavar="RUN", help="Of this run; default: the newest that has read a file.", show_default=False),
    ] = None,
    as_json: Annotated[bool, Option("--json", help="All of it, for programs.")] = False,
) -> int:
    """Show what became of every record of a run: all reasons and rules with their counts, and the tie-out."""
    from customer_pipeline.commands.accounting import show_accounting

    if run and load is not None:
        raise UsageError("Give --load or --run, not both.")
    return show_accounting(run, load, as_json=as_json)


@data.command("report", epilog=examples("report --out report.html"))
def _report(
    *,
    out: Annotated[Path, Option(metavar="FILE.html", **UNCHECKED, help="The file to write.")],
    force: Force = False,
) -> int:
    """Write the pipeline's page as one file to mail."""
    from customer_pipeline.commands.mailed_report import write_report

    return write_report(out, force=force)


@data.command("rollback", epilog=examples("rollback"))
def _rollback() -> int:
    """Let readers see the load before the last one again."""
    from customer_pipeline.commands.take_back import take_last_load_back

    return take_last_load_back()


@quarantine.command(
    "list",
    epilog=examples("quarantine list", "quarantine list --load 7 --reason price: --raw", "quarantine list --json"),
)
def _list(
    *,
    load: Loads = None,
    reason: Reason = "",
    of_all: Annotated[bool, Option("--all", help="Of all loads.")] = False,
    raw: Annotated[bool, Option("--raw", help="Show the raw text, too: it may be personal data.")] = False,
    as_json: Annotated[bool, Option("--json", help="All of it, for programs.")] = False,
) -> int:
    """Show what was refused in what readers see, by reason."""
    from customer_pipeline.commands.refused_records import list_refused

    return list_refused(load or [], reason, of_all=of_all, raw=raw, as_json=as_json)


@quarantine.command(
    "export", epilog=examples("quarantine export --out repair.csv", "quarantine export --all --out all.csv --force")
)
def _export(
    *,
    out: Annotated[Path, Option(metavar="FILE", **UNCHECKED, help="The file to write.")],
    load: Loads = None,
    reason: Reason = "",
    of_all: Annotated[bool, Option("--all", help="Of all loads, and those that need no repair, too.")] = False,
    force: Force = False,
) -> int:
    """Write what is to be repaired to a CSV, for a spreadsheet."""
    from customer_pipeline.commands.refused_records import export_refused

    return export_refused(load or [], reason, out, of_all=of_all, force=force)


@quarantine.command(
    "replay", epilog=examples("quarantine replay repair.csv", "quarantine replay repair.csv --load 7")
)
def _replay(
    file: Annotated[Path, Argument(metavar="FILE", **UNCHECKED, help="The repaired export.", show_default=False)],
    *,
    load: Loads = None,
    decimal: Decimal = None,
    date_order: DateOrder = None,
    encoding: Encoding = None,
) -> int:
    """Load the repaired records of an export, and close them."""
    from customer_pipeline.commands.replay import replay

    return replay(file, _words(decimal, date_order, encoding), load or [])


@data.command(
    "erase-customer",
    epilog=examples("erase-customer C501 --dry-run", "erase-customer C501", "erase-customer --list"),
)
def _erase_customer(
    number: Annotated[
        str | None, Argument(metavar="ID", help="The customer's id, as 501 or C501.", show_default=False)
    ] = None,
    *,
    who: Annotated[
        bool, Option("--list", help="When somebody was erased, by whom; no ids, but keyed hashes.")
    ] = False,
    dry_run: Annotated[bool, Option("--dry-run", help="Show what would go, and change nothing.")] = False,
    even_if_unknown: Annotated[
        bool,
        Option(
            "--even-if-unknown",
            help="Also if no table and no file holds the id: deliveries to come are loaded without it.",
        ),
    ] = False,
) -> int:
    """Take one customer out everywhere; totals stay.

    That is: out of files, quarantine, cleaned tables and marts.
    """
    from customer_pipeline.commands.erase import erase_customer, list_erased

    if (number is None) != who:
        raise UsageError("Give ID or --list, one of them.")
    return erase_customer(number, dry_run=dry_run, even_if_unknown=even_if_unknown) if number else list_erased()


@data.command(
    "clean", epilog=examples("clean FILE --out cleaned", "clean FILE --out cleaned --encoding windows-1251 --json")
)
def _clean(
    file: Annotated[Path, Argument(metavar="FILE", **UNCHECKED, help="The dirty CSV.", show_default=False)],
    *,
    out: Annotated[Path, Option(metavar="DIR", **UNCHECKED, help="Folder for what it writes.")],
    contract: Annotated[
        Path | None,
        Option(
            metavar="FILE", **UNCHECKED, help="The data contract of another supplier's file.", show_default=False
        ),
    ] = None,
    decimal: Decimal = None,
    date_order: DateOrder = None,
    encoding: Encoding = None,
    force: Force = False,
    as_json: Annotated[
        bool, Option("--json", help="Print the report as JSON, every reason and rule in it.")
    ] = False,
) -> int:
    """Clean a file, without a database."""
    from customer_pipeline.commands.clean import clean

    return clean(file, out, _words(decimal, date_order, encoding), contract, force=force, as_json=as_json)


@data.command(
    "inspect",
    epilog=examples("inspect FILE", "inspect FILE --contract contracts/supplier.odcs.yaml", "inspect FILE --json"),
)
def _inspect(
    file: Annotated[Path, Argument(metavar="FILE", **UNCHECKED, help="Any CSV.", show_default=False)],
    *,
    contract: Annotated[
        Path | None,
        Option(metavar="OUT.yaml", **UNCHECKED, help="Write a contract that would read it.", show_default=False),
    ] = None,
    rows: Annotated[int, Option(metavar="N", min=0, help="Records to look at; 0 for all.")] = 100_000,
    encoding: Encoding = None,
    force: Force = False,
    as_json: Annotated[bool, Option("--json", help="All of it, for programs.")] = False,
) -> int:
    """Say what a file holds, what it probably means, and which contract would read it.

    Values are never shown, but how they look: 9 for a digit, x for a letter.
    """
    from customer_pipeline.inspection.inspect_source import inspect_source

    return inspect_source(file, contract, rows or None, encoding, force=force, as_json=as_json)


@contracts.command("check", epilog=examples("contract check contracts/customer_transactions.odcs.yaml"))
def _check(
    file: Annotated[Path, Argument(metavar="FILE", **UNCHECKED, help="The contract.", show_default=False)],
) -> int:
    """Check a contract: against the standard, and whether all of it is obeyed here."""
    from customer_pipeline.contract_of_run import check_contract

    return check_contract(file)


@data.command(
    "sample",
    epilog=examples("sample --rows 1000000 --seed 1 --out big.csv", "sample --rows 1000 --seed 42 --out -"),
)
def _sample(
    *,
    rows: Annotated[int, Option(min=0, help="Records to write.")],
    seed: Annotated[int, Option(help="Another seed gives another file.")],
    out: Annotated[Path, Option(metavar="FILE", **UNCHECKED, help="File to write, - for standard output.")],
    dirt: Annotated[float, Option(help="Share of records that can't be repaired, from 0 to 1.")] = 0.025,
    truth: Annotated[
        Path | None, Option(metavar="FILE", **UNCHECKED, help="Write what a cleaner must find to this JSON file.")
    ] = None,
    force: Force = False,
) -> int:
    """Make a seeded file of dirty transactions."""
    from customer_pipeline.commands.make_sample import make_sample

    if not 0 <= dirt <= 1:  # not of a range that typer checks: it takes NaN
        raise UsageError(f"--dirt {dirt} is not a share from 0 to 1.")
    return make_sample(out, rows, seed, dirt, truth_file=truth, force=force)


def _words(decimal: str | None, date_order: str | None, encoding: str | None) -> dict[str, str]:
    """Return what is declared of a file, as params of a run."""
    words = {"decimal": decimal, "date_order": date_order, "encoding": encoding}
    return {name: word for name, word in words.items() if word}
