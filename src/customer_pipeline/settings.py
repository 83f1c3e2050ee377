"""The settings that tasks, page and commands share: each is read here, once, from the environment.

The runtime's own (ports, folders, secrets) are in `customer_pipeline.runtime.installation`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from croniter import croniter  # type: ignore[import-untyped]
from psycopg.conninfo import make_conninfo

from audited_load.cleaning.limits import Limits, read_limits, read_plain_number, read_ratio
from audited_load.command import command
from audited_load.errors import RefusedError, UnavailableError
from audited_load.loading.batch import MODES
from customer_pipeline.names import DAG_ID, DATABASE, READER, STORAGE_ROOT, TRANSFORMER

MAX_NUMBER = 36_500
MAX_SHARD_MIB = 512
"""What a cleaned shard comes to has to be counted in 32 bits."""
PRESETS = ("@hourly", "@daily", "@weekly", "@monthly", "@yearly")


@dataclass(frozen=True)
class Settings:
    """What an operator may set.

    Attributes:
        data: Folder of the input files (`PIPELINE_DATA`).
        storage: Root of the store that has the input files instead (`STORAGE_ROOT`); blank if there is none.
        shard_bytes: How large about the shards are in which a file of the store is cleaned; 0: one (`SHARD_MIB`).
        limits: How much of a file may be lost (`MAX_REJECTED_RATIO`, `MAX_SUPERSEDED_RATIO`).
        min_row_ratio: Smallest share of the visible rows that a new file may have, from 0 (`MIN_ROW_RATIO`).
        quarantine_days: For how long refused records are kept; 0 for ever (`QUARANTINE_DAYS`).
        test_results_days: For how long results of dbt's tests are kept; 0 for ever (`TEST_RESULTS_DAYS`).
        kept_runs: Of how many runs the files are kept (`KEPT_RUNS`).
        erasure_key: Tells whether an id is one that was erased (`ERASURE_KEY`); empty if it is not set. Secret.
        readers: Roles that may read the cleaned view (`TRANSFORMER_USER`, `READER_USER`).
        max_files: How many files a run may have: as many tasks as Airflow maps (`AIRFLOW__CORE__MAX_MAP_LENGTH`).
    """

    data: Path
    limits: Limits
    min_row_ratio: float
    quarantine_days: int
    test_results_days: int
    kept_runs: int
    erasure_key: str = field(repr=False)
    readers: tuple[str, ...]
    max_files: int = 1024
    storage: str = ""
    shard_bytes: int = 0


def read_settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings.

    Raises:
        RefusedError: A variable is missing or has an unusable value.
    """
    if not environment.get("PIPELINE_DATA"):
        raise RefusedError(
            "The environment variable PIPELINE_DATA is not set.",
            f"Set it to the folder of the input files; {command('exec -- CMD')} sets all of them.",
        )
    return Settings(
        data=Path(environment["PIPELINE_DATA"]).resolve(),
        limits=read_limits(environment),
        min_row_ratio=read_ratio(environment, "MIN_ROW_RATIO", 0.5),
        quarantine_days=_days(environment, "QUARANTINE_DAYS", 365),
        test_results_days=_days(environment, "TEST_RESULTS_DAYS", 365),
        kept_runs=_whole_number(environment, "KEPT_RUNS", 5, "runs", least=1),
        erasure_key=environment.get("ERASURE_KEY", ""),
        readers=(
            environment.get("TRANSFORMER_USER", TRANSFORMER),
            environment.get("READER_USER", READER),
        ),
        max_files=int(environment.get("AIRFLOW__CORE__MAX_MAP_LENGTH") or Settings.max_files),
        storage=environment.get(STORAGE_ROOT, "").strip(),
        shard_bytes=2**20 * _whole_number(environment, "SHARD_MIB", 256, "mebibytes", most=MAX_SHARD_MIB),
    )


@dataclass(frozen=True)
class Server:
    """Where the warehouse is (`POSTGRES_HOST`, `POSTGRES_PORT`, `POSTGRES_DB`)."""

    host: str
    port: str
    database: str


def read_server(environment: Mapping[str, str] = os.environ) -> Server:
    """Read where the warehouse is.

    Raises:
        UnavailableError: A variable is missing.
    """
    return Server(
        host=environment.get("POSTGRES_HOST", "127.0.0.1"),
        port=_variable(environment, "POSTGRES_PORT"),
        database=environment.get("POSTGRES_DB", DATABASE),
    )


def transformer_dsn(environment: Mapping[str, str] = os.environ) -> str:
    """Return the connection string of the role that dbt builds as.

    Raises:
        UnavailableError: A variable is missing.
    """
    user = environment.get("TRANSFORMER_USER", TRANSFORMER)
    return _dsn(environment, user, _variable(environment, "TRANSFORMER_PASSWORD"), application_name=DAG_ID)


def reader_dsn(environment: Mapping[str, str] = os.environ) -> str:
    """Return the connection string of the role that reads what is published.

    Raises:
        UnavailableError: A variable is missing.
    """
    user = environment.get("READER_USER", READER)
    return _dsn(environment, user, _variable(environment, "READER_PASSWORD"))


def _dsn(environment: Mapping[str, str], user: str, password: str, **more: str) -> str:
    server = read_server(environment)
    place = {"host": server.host, "port": server.port, "dbname": server.database}
    return make_conninfo(user=user, password=password, **place, **more)


def _variable(environment: Mapping[str, str], name: str) -> str:
    try:
        return environment[name]
    except KeyError:
        raise UnavailableError(
            f"The environment variable {name} is not set.", f"Start the services with {command('up')}."
        ) from None


def dbt_project(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the folder of `dbt_project.yml` (`PIPELINE_DBT`; otherwise that of this clone)."""
    return Path(environment.get("PIPELINE_DBT") or Path(__file__).resolve().parents[2] / "dbt")


@dataclass(frozen=True)
class AlertSettings:
    """Who is told what.

    Attributes:
        slack: Whether there is a webhook (`SLACK_WEBHOOK_URL`).
        email: Addresses (`ALERT_EMAIL`, separated by commas).
        warn_rejected_ratio: Share of refused records above which somebody is told (`WARN_REJECTED_RATIO`).
        deadline_hours: How long after it was queued a run must be done (`DEADLINE_HOURS`).
    """

    slack: bool
    email: tuple[str, ...]
    warn_rejected_ratio: float
    deadline_hours: float

    @property
    def is_silent(self) -> bool:
        """Return whether nobody is to be told anything."""
        return not (self.slack or self.email)


def read_alert_settings(environment: Mapping[str, str] = os.environ) -> AlertSettings:
    """Read the settings of alerts.

    Raises:
        RefusedError: A variable has an unusable value.
    """
    addresses = (address.strip() for address in environment.get("ALERT_EMAIL", "").split(","))
    return AlertSettings(
        slack=bool(environment.get("SLACK_WEBHOOK_URL")),
        email=tuple(address for address in addresses if address),
        warn_rejected_ratio=read_ratio(environment, "WARN_REJECTED_RATIO", 0.04),
        deadline_hours=_positive(environment, "DEADLINE_HOURS", 6, "hours"),
    )


@dataclass(frozen=True)
class RunSettings:
    """When the DAG runs, when a task is tried again, and how many of a kind run side by side.

    Attributes:
        schedule: A preset of Airflow's or a cron expression, in UTC; None: only by hand (`PIPELINE_SCHEDULE`).
        retry_delay: Between the two tries of a task (`RETRY_DELAY_SECONDS`).
        check_schedule: The same for the check of the published marts (`MARTS_CHECK_SCHEDULE`).
        arrivals: In which mode what arrives in `incoming/` is loaded; blank: it is not (`WATCH_INCOMING`).
        parallel_shards: How many files or shards of a run one step works on at once, on all workers
            (`PARALLEL_SHARDS`).
    """

    schedule: str | None
    retry_delay: timedelta
    check_schedule: str | None
    arrivals: str = ""
    parallel_shards: int = 2


def read_run_settings(environment: Mapping[str, str] = os.environ) -> RunSettings:
    """Read the settings of runs.

    Raises:
        RefusedError: A variable has an unusable value.
    """
    return RunSettings(
        schedule=_schedule(environment, "PIPELINE_SCHEDULE", "@daily"),
        retry_delay=timedelta(seconds=_positive(environment, "RETRY_DELAY_SECONDS", 120, "seconds")),
        # On Sundays, some hours after the run of the day.
        check_schedule=_schedule(environment, "MARTS_CHECK_SCHEDULE", "0 6 * * 0"),
        arrivals=_arrivals(environment),
        parallel_shards=_whole_number(
            environment, "PARALLEL_SHARDS", RunSettings.parallel_shards, "tasks", least=1
        ),
    )


def _arrivals(environment: Mapping[str, str]) -> str:
    word = environment.get("WATCH_INCOMING", "").strip()
    if word not in {"", "off", *MODES}:
        raise RefusedError(
            f"WATCH_INCOMING is {word[:40]!r}, which is no mode.",
            f"Set it to {' or '.join(MODES)}, or to off.",
        )
    if word not in {"", "off"} and environment.get(STORAGE_ROOT):
        raise RefusedError(
            "WATCH_INCOMING watches a folder, and STORAGE_ROOT says that deliveries lie in a store.",
            "Set WATCH_INCOMING to off. What the store tells of new objects may start runs through Airflow's API.",
        )
    return "" if word == "off" else word


def _schedule(environment: Mapping[str, str], name: str, default: str) -> str | None:
    schedule = environment.get(name) or default
    if schedule not in {*PRESETS, "none"} and not croniter.is_valid(schedule):
        raise RefusedError(
            f"{name} is {schedule!r}, which is not a schedule.",
            f"Set it to a cron expression, such as '0 8 * * *', to {', '.join(PRESETS)}, or to none.",
        )
    return None if schedule == "none" else schedule


def _positive(environment: Mapping[str, str], name: str, default: float, unit: str) -> float:
    text = environment.get(name, "").strip()
    number = read_plain_number(text) if text else default
    if number is None or not 0 < number < MAX_NUMBER:
        raise RefusedError(
            f"{name} is {text[:40]!r}, which is not a number of {unit}.",
            f"Set {name} to a number above 0 and below {MAX_NUMBER}, such as {default:g}, or leave it out.",
        )
    return number


def read_run_history_days(environment: Mapping[str, str] = os.environ) -> int:
    """Return for how many days Airflow's runs and their logs are kept; 0 for ever (`RUN_HISTORY_DAYS`).

    Raises:
        RefusedError: It is no number of days.
    """
    return _days(environment, "RUN_HISTORY_DAYS", 90)


def _days(environment: Mapping[str, str], name: str, default: int) -> int:
    return _whole_number(environment, name, default, "days")


def _whole_number(
    environment: Mapping[str, str], name: str, default: int, unit: str, least: int = 0, most: int = MAX_NUMBER
) -> int:
    text = environment.get(name, "").strip()
    number = read_plain_number(text) if text else default
    if number is None or not least <= number <= most or number != int(number):
        raise RefusedError(
            f"{name} is {text[:40]!r}, which is not a number of {unit}.",
            f"Set {name} to a whole number from {least} to {most}, or leave it out.",
        )
    return int(number)
