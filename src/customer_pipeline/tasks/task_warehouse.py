"""The warehouse and the store as the tasks see them: connections, tables, the lease of a run from task to task."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import psycopg
from airflow.sdk import BaseHook, Context
from airflow.sdk.exceptions import AirflowNotFoundException
from psycopg.conninfo import make_conninfo

from audited_load import code_version as sources
from audited_load.columns import Feed
from audited_load.errors import RefusedError
from audited_load.form import form_of_all
from audited_load.loading.batch import Delivery
from audited_load.storage import Store
from audited_load.warehouse.connection import connect
from audited_load.warehouse.create import create_tables
from audited_load.warehouse.lease import (
    LONGEST_WAIT_SECONDS,
    WAIT_SECONDS,
    acquire_lease,
    held_lease,
    kept_lease,
    release_lease,
    start_renewing,
)
from audited_load.warehouse.operations import create_operations
from audited_load.warehouse.readers import end_old_readers
from customer_pipeline.contract_of_run import choose_feed
from customer_pipeline.feed import READER_TRANSACTION_SECONDS, TABLES
from customer_pipeline.names import CONNECTION_ID, DAG_ID, STORAGE_CONNECTION_ID, TRANSFORM_GROUP
from customer_pipeline.settings import read_settings
from customer_pipeline.storing.folder_files import FolderFiles
from customer_pipeline.storing.object_files import ObjectFiles
from customer_pipeline.storing.run_files import RunFiles
from customer_pipeline.storing.store_access import access_of
from customer_pipeline.tasks.task_errors import reported_errors
from steps import data_cleaners

log = logging.getLogger(__name__)


def code_version(feed: Feed) -> str:
    """Name the code, rules and contract, in the form of the run's files: under others, a file is another load."""
    name = feed.contract
    return sources.code_version(feed.form, Path(data_cleaners.__file__), name.sha256 + name.base)


def feed_of(context: Context, source: str) -> Feed:
    """Return the feed by which a file of the run is read: its contract, in the form that it was declared to have.

    Raises:
        RefusedError: There is no such contract, or it can't be obeyed.
    """
    usual, given = form_of_all(os.environ).words(), dict(context["dag_run"].conf or {})
    if usual.keys() <= given.keys():  # the form in Airflow's UI gives all of them, as they stand there
        given = {name: word for name, word in given.items() if word != usual.get(name)}
    given["contract"] = context["params"]["contract"]
    return choose_feed(read_settings().data, source, given, usual)


def run_date(context: Context) -> datetime:
    """Return the moment that a run is for, in UTC: its logical date, or when it fired if it has none."""
    moment = context["dag_run"].logical_date or context["dag_run"].run_after
    return moment.astimezone(UTC)


def delivery_of(context: Context) -> Delivery:
    """Return what the run is: its day, its mode, who started it and with which params."""
    run = context["dag_run"]
    asked_for = dict(context["params"])
    started_by = run.triggering_user_name or str(getattr(run.run_type, "value", run.run_type))
    return Delivery(context["run_id"], run_date(context), asked_for["mode"], started_by, asked_for, run.start_date)


def warehouse_dsn() -> str:
    """Return the connection string of the Airflow connection `postgres_default`."""
    found = BaseHook.get_connection(CONNECTION_ID)
    return make_conninfo(
        host=found.host or "",
        port=found.port or 5432,
        dbname=found.schema or "",
        user=found.login or "",
        password=found.password or "",
        application_name=DAG_ID,
    )


def files_of_runs() -> RunFiles:
    """Return the place of deliveries and of the files of runs: the data folder, or the store of `STORAGE_ROOT`.

    Raises:
        RefusedError: There is a store, but no Airflow connection `storage`.
    """
    settings = read_settings()
    if not settings.storage:
        return FolderFiles(settings.data)
    try:
        found = BaseHook.get_connection(STORAGE_CONNECTION_ID)
    except AirflowNotFoundException as error:
        raise RefusedError(
            f"STORAGE_ROOT is set, but there is no Airflow connection {STORAGE_CONNECTION_ID}.",
            "Make one of the type aws (docs/scale-out.md). Nothing was loaded.",
        ) from error
    return ObjectFiles(
        Store(settings.storage, access_of(found.login, found.password, found.extra_dejson)), settings.data
    )


@contextmanager
def leased_connection(
    parent_group: str, run_id: str, *, gives_back: bool = True
) -> Iterator[tuple[psycopg.Connection, str]]:
    """Connect for a step of a run, with the run's lease held and renewed; gives the connection and its string.

    Args:
        parent_group: The task group, for the log.
        run_id: The run.
        gives_back: Whether a step that fails gives the lease back: not if others of the run write beside it.
    """
    dsn = warehouse_dsn()
    with (
        reported_errors(parent_group),
        connect(dsn) as connection,
        held_lease(connection, TABLES, run_id, WAIT_SECONDS, LONGEST_WAIT_SECONDS, gives_back=gives_back),
        kept_lease(dsn, TABLES, run_id),
    ):
        yield connection, dsn


def hold_lease(context: Context) -> None:
    """Hold the run's lease until the task's process ends: two runs must not build the same marts at once.

    Args:
        context: Of the task, as Airflow gives it before it runs one.
    """
    dsn, run_id = warehouse_dsn(), context["run_id"]
    with reported_errors(TRANSFORM_GROUP), connect(dsn) as connection:
        acquire_lease(connection, TABLES, run_id, WAIT_SECONDS, LONGEST_WAIT_SECONDS)
    start_renewing(dsn, TABLES, run_id)


def let_lease_go(context: Context, _result: object = None) -> None:
    """Release the run's lease: its last task has succeeded. That of one that failed is given back by a callback."""
    with reported_errors(TRANSFORM_GROUP), connect(warehouse_dsn()) as connection:
        release_lease(connection, TABLES, context["run_id"])


def make_tables(parent_group: str, brought: Mapping[str, str] | None = None) -> None:
    """Bring tables and views to where the code is; what the code doesn't fit is refused.

    No lease is held yet: what waits here for a reader keeps no other run waiting.

    Args:
        parent_group: The task group, for the log.
        brought: Columns that the files of the run bring, each with its type.
    """
    with reported_errors(parent_group), connect(warehouse_dsn()) as connection:
        end_old_readers(connection, READER_TRANSACTION_SECONDS)
        settings = read_settings()
        create_tables(connection, TABLES, settings.readers, brought)
        create_operations(connection, TABLES, settings.readers, settings.readers[:1])
