"""`customer-pipeline inspect FILE`: what a file holds, what it probably means, which contract would read it."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from audited_load.cleaning.outputs import refuse_existing, write_whole
from audited_load.columns import Feed
from audited_load.command import command
from audited_load.contracts.contract import read_contract
from audited_load.errors import BadDataError, UnavailableError, UnusableFileError
from audited_load.form import read_form
from audited_load.inspecting.column_facts import gather_facts
from audited_load.inspecting.first_look import look_at
from audited_load.inspecting.likely_columns import header_is_a_record, looks_personal, match_columns
from audited_load.inspecting.likely_form import find_form
from audited_load.inspecting.proposal import propose
from audited_load.inspecting.trial import try_feed
from audited_load.shown import escape_text, show_json, show_text
from customer_pipeline.contract_of_run import feed_by_contract
from customer_pipeline.feed import FEED
from customer_pipeline.inspection.known_names import KNOWN_NAMES, NO_VALUE, PERSONAL_WORDS
from customer_pipeline.inspection.shown_inspection import (
    KEY_REMEDY,
    Inspection,
    describe,
    find_key_problem,
    to_json,
)
from steps.data_cleaners import CONTRACT


def inspect_source(
    file: Path,
    contract: Path | None,
    rows: int | None,
    encoding: str | None,
    *,
    force: bool = False,
    as_json: bool = False,
) -> int:
    """Say what a file holds, and write a contract that would read it if that is asked for.

    Args:
        file: Any CSV.
        contract: Where to write a contract; None to write none.
        rows: How many records are looked at; None for all.
        encoding: The file's, if it is known.
        force: Replace the contract that is there.
        as_json: Print what was found as JSON.

    Returns:
        0 if the file could be read.

    Raises:
        UnusableFileError: The file can't be read as records with a header.
        BadDataError: A contract was asked for, and none can make the table's rows of this file.
        RefusedError: The contract is there already.
        UnavailableError: It can't be written.
    """
    if contract is not None:
        refuse_existing([contract], force=force)
    found = inspect(file, rows, encoding)
    sys.stdout.write(show_json(to_json(found), indent=2) + "\n" if as_json else describe(found))
    sys.stdout.flush()
    if contract is None:
        return 0
    _require_workable(found)
    try:
        write_whole(contract, found.proposal.encode(), force=force, mode=0o644)
    except OSError as error:
        raise UnavailableError(
            f"{show_text(str(contract), 4096)}: can't be written: {error.strerror}.",
            "Check its folder and its rights.",
        ) from error
    try_it = command(f"clean {show_text(str(file), 4096)} --contract {show_text(str(contract), 4096)} --out DIR")
    sys.stderr.write(escape_text(f"Written: {contract}. Look at it, then try it: {try_it}.\n"))
    return 0


def inspect(file: Path, rows: int | None, encoding: str | None) -> Inspection:
    """Find out what a file holds and what it probably means.

    Args:
        file: Any CSV.
        rows: How many records are looked at; None for all.
        encoding: The file's, if it is known.

    Raises:
        UnusableFileError: The file can't be read as records with a header.
    """
    look = look_at(file, read_form({"encoding": encoding}))
    facts = gather_facts(look.source, FEED, rows, NO_VALUE)
    form = find_form(facts.columns)
    matches = match_columns(facts.columns, FEED, KNOWN_NAMES)
    if header_is_a_record(facts.columns, matches):
        line = look.source.body_line - 1
        raise UnusableFileError(
            f"{show_text(file.name)}: no header found: line {line} looks like the records below it, and none of its"
            " words is a name that is known.",
            "Ask the supplier for a header, or put one on the first line.",
        )
    places = {name: match.place for name, match in matches.items()}
    personal = frozenset(
        place
        for place, one in enumerate(facts.columns)
        if place == places.get(FEED.subject)
        or (place not in places.values() and looks_personal(one, PERSONAL_WORDS))
    )
    proposal = propose(look, facts, form, matches, read_contract(CONTRACT), FEED, personal)
    return Inspection(
        look, facts, form, matches, frozenset(personal), proposal,
        try_feed(look.source, _feed_of(proposal), places, facts, rows),
    )  # fmt: skip


def _feed_of(proposal: str) -> Feed:
    """Build the feed that a proposed contract describes, as it would be built from its file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "proposed.odcs.yaml"
        path.write_text(proposal, encoding="utf-8")
        return feed_by_contract(path)


def _require_workable(found: Inspection) -> None:
    """Refuse to propose what can't work.

    Raises:
        BadDataError: No contract can make the table's rows of this file.
    """
    name = show_text(found.look.source.path.name)
    if problem := find_key_problem(found):
        raise BadDataError(f"{name}: {problem}", f"{KEY_REMEDY} No contract was written.")
    if found.impossible:
        raise BadDataError(
            f"{name}: nothing in it can be the table's {', '.join(found.impossible)}, which no row may lack.",
            "Ask the supplier for a file that has them. No contract was written.",
        )
