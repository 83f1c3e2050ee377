"""Which loads a command about refused records is of: those that it names, or those that readers see."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psycopg

from audited_load.command import command
from audited_load.errors import RefusedError
from audited_load.loading.quarantine import RefusingLoad, find_loads, is_made
from audited_load.shown import show_text
from audited_load.warehouse.connection import connect
from audited_load.warehouse.create import create_tables, is_current
from audited_load.warehouse.tables import Tables
from customer_pipeline.runtime.installation import Runtime

READERS = ("transformer", "reader")
SHOWN_LOADS = 5


@contextmanager
def opened_quarantine(runtime: Runtime, tables: Tables) -> Iterator[psycopg.Connection]:
    """Connect to the quarantine; one that an earlier commit made is brought up to date.

    Raises:
        RefusedError: Nothing was loaded yet.
    """
    with connect(runtime.dsn("loader")) as connection:
        if not is_made(connection, tables):
            raise RefusedError("Nothing was loaded yet.", f"Load a file with {command('run FILE')}.")
        if not is_current(connection, tables):
            create_tables(connection, tables, READERS)
        yield connection


def choose_loads(connection: psycopg.Connection, tables: Tables, wanted: Sequence[int]) -> list[RefusingLoad]:
    """Choose loads by number, or those that readers see.

    Args:
        connection: To the quarantine.
        tables: Their names.
        wanted: Numbers of loads; none: those that readers see.

    Returns:
        Those of them of which refused records are kept.

    Raises:
        RefusedError: Of one that was named, none are.
    """
    loads = find_loads(connection, tables)
    if unknown := set(wanted) - {load.load_id for load in loads}:
        known = ", ".join(str(load.load_id) for load in loads[-SHOWN_LOADS:]) or "of no load"
        raise RefusedError(
            f"Of load {min(unknown)} no refused record is kept. The newest of which some are: {known}.",
            f"See {command('quarantine list --all')}.",
        )
    return [load for load in loads if (load.load_id in wanted if wanted else load.is_visible)]


def describe_loads(loads: Sequence[RefusingLoad]) -> str:
    """Name loads in a few words."""
    if not loads:
        return "what readers see"
    return ", ".join(f"load {load.load_id} ({load.fate})" for load in loads)


def describe_load(load: RefusingLoad) -> str:
    """Say what a load refused, in the words and figures of its run."""
    return (
        f"Load {load.load_id}, {show_text(load.source_name, 200)}, {load.mode} for {load.run_date:%Y-%m-%d %H:%M},"
        f" {load.fate}: {load.refused} refused, {load.superseded} superseded, {load.outdated} outdated"
    )
