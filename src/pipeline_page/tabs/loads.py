"""The ledger `cleaned_data.loads` → loads, newest first, and the totals that readers see after each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal, localcontext
from typing import Any

from audited_load.reading.encoding import is_guessed
from audited_load.shown import most_frequent
from pipeline_page.texts import EXACT
from pipeline_page.warehouse import Connection, ask

_COLUMNS = """
    load_id, run_id, run_date, generation, mode, source_name, bytes, encoding, delimiter, code_version, read,
    accepted, quarantined, duplicates, superseded, inserted, updated, unchanged, outdated, visible_rows,
    visible_quantity, visible_gross, visible_tax, total_quantity, total_gross, total_tax, rule_counts,
    reason_counts, started_at, published_at, status, previous_load,
    entry ->> 'contract_id' as contract, entry ->> 'contract_version' as contract_version,
    entry -> 'drift' as drift, entry ->> 'failure' as failure, entry ->> 'remedy' as remedy,
    (entry ->> 'run_started_at')::timestamptz as run_started_at,
    (entry ->> 'ended_at')::timestamptz as ended_at, entry ->> 'started_by' as started_by,
    coalesce(entry -> 'params', '{}') as params
"""
# Those of `entry` are there from the first load on that this code brings.
_LEDGER = "cleaned_data.loads as l cross join lateral to_jsonb(l) as entry"
_WANTED = f"""
    select {_COLUMNS} from {_LEDGER}
    where (%(first)s::date is null or (run_date at time zone 'UTC')::date >= %(first)s::date)
        and (%(last)s::date is null or (run_date at time zone 'UTC')::date <= %(last)s::date)
        and position(lower(%(file)s) in lower(source_name)) > 0
        and (%(status)s = '' or status = %(status)s)
        and (%(before)s::bigint is null or load_id < %(before)s::bigint)
    order by load_id desc limit %(limit)s
"""  # noqa: S608
_OF_RUN = f"select {_COLUMNS} from {_LEDGER} where run_id = %(run_id)s order by load_id desc"  # noqa: S608
_ONE = f"select {_COLUMNS} from {_LEDGER} where load_id = %(load_id)s"  # noqa: S608
_VISIBLE = "select load_id from cleaned_data.published_load"
KEY = "transaction_id"
"""By which a later record replaces an earlier one."""
TOTALS = ("quantity", "gross", "tax")
STATUSES = ("published", "unchanged", "loading", "refused", "failed", "rolled_back")
"""What the ledger may say of a load."""


@dataclass(frozen=True)
class Totals:
    """Control totals: rows, and exact sums of quantity, quantity x price and tax."""

    rows: int
    quantity: Decimal
    gross: Decimal
    tax: Decimal

    def __getitem__(self, name: str) -> Decimal | int:
        """Return one of them by its name."""
        value: Decimal | int = getattr(self, name)
        return value

    def minus(self, other: Totals) -> Totals:
        """Return the difference, to the last digit."""
        with localcontext(EXACT):
            return Totals(
                self.rows - other.rows,
                self.quantity - other.quantity,
                self.gross - other.gross,
                self.tax - other.tax,
            )


@dataclass(frozen=True)
class Wanted:
    """Which loads are looked for.

    Attributes:
        first: The first day of their runs, in UTC, if not any.
        last: The last one.
        file: What the name of the file has in it, in either case.
        status: One of `STATUSES`, or blank.
        before: Only loads of a smaller number than this: the next ones of a list.
    """

    first: date | None = None
    last: date | None = None
    file: str = ""
    status: str = ""
    before: int | None = None

    @property
    def is_all(self) -> bool:
        """Whether it leaves nothing out."""
        return self == Wanted()


EVERYTHING = Wanted()


@dataclass(frozen=True)
class Load:
    """A row of the ledger: one file of one run. The attributes are its columns."""

    load_id: int
    run_id: str
    run_date: datetime
    generation: int | None
    mode: str
    source_name: str
    bytes: int
    encoding: str
    delimiter: str
    code_version: str
    read: int
    accepted: int
    quarantined: int
    duplicates: int
    superseded: int
    inserted: int | None
    updated: int | None
    unchanged: int | None
    outdated: int | None
    visible_rows: int | None
    visible_quantity: Decimal | None
    visible_gross: Decimal | None
    visible_tax: Decimal | None
    total_quantity: Decimal
    total_gross: Decimal
    total_tax: Decimal
    rule_counts: dict[str, int]
    reason_counts: dict[str, int]
    started_at: datetime
    published_at: datetime | None
    status: str
    previous_load: int | None
    contract: str | None = None
    contract_version: str | None = None
    drift: dict[str, list[str]] | None = None
    failure: str | None = None
    remedy: str | None = None
    run_started_at: datetime | None = None
    ended_at: datetime | None = None
    started_by: str | None = None
    params: dict[str, Any] = field(default_factory=dict)

    @property
    def unknown_columns(self) -> list[str]:
        """Columns of the file that its contract neither has nor leaves out; they were not kept."""
        return (self.drift or {}).get("unknown", [])

    @property
    def vanished_columns(self) -> list[str]:
        """Optional columns that the load before had, and the file lacks."""
        return (self.drift or {}).get("vanished", [])

    @property
    def took(self) -> timedelta | None:
        """How long it took from the start of the run until it was visible, refused or failed; None if nobody knows.

        Of loads of before the ledger knew when a run starts, from their entry in the ledger.
        """
        ended = self.ended_at or self.published_at
        return ended - (self.run_started_at or self.started_at) if ended else None

    @property
    def file_totals(self) -> Totals:
        """What the cleaned file holds."""
        return Totals(self.accepted, self.total_quantity, self.total_gross, self.total_tax)

    @property
    def visible_totals(self) -> Totals | None:
        """What readers see after the load; None if it was not published."""
        if self.visible_rows is None:
            return None
        nothing = Decimal(0)
        return Totals(
            self.visible_rows,
            self.visible_quantity or nothing,
            self.visible_gross or nothing,
            self.visible_tax or nothing,
        )

    @property
    def encoding_is_guessed(self) -> bool:
        """Whether nothing said how the file's text is encoded, and it was not UTF-8."""
        return is_guessed(self.encoding)

    @property
    def superseded_ratio(self) -> float:
        """The share that counts towards MAX_SUPERSEDED_RATIO."""
        return self.superseded / self.read if self.read else 0.0

    @property
    def rejected_ratio(self) -> float:
        """The share that counts towards MAX_REJECTED_RATIO: superseded records don't."""
        return (self.quarantined - self.superseded) / self.read if self.read else 0.0


def find_loads(connection: Connection, limit: int, wanted: Wanted = EVERYTHING) -> list[Load]:
    """Return the newest loads of those that are wanted, newest first."""
    return [Load(**row) for row in ask(connection, _WANTED, asdict(wanted) | {"limit": limit})]


def find_loads_of_run(connection: Connection, run_id: str) -> list[Load]:
    """Return all loads of a run, newest first: it may have very many files."""
    return [Load(**row) for row in ask(connection, _OF_RUN, {"run_id": run_id})]


def find_load(connection: Connection, load_id: int | None) -> Load | None:
    """Return a load by its id."""
    rows = ask(connection, _ONE, {"load_id": load_id})
    return Load(**rows[0]) if rows else None


def find_visible_load(connection: Connection) -> int | None:
    """Return the id of the load that readers see."""
    rows = ask(connection, _VISIBLE)
    return int(rows[0]["load_id"]) if rows else None


def add_totals(loads: Iterable[Load]) -> Totals:
    """Add up what the cleaned files of loads hold."""
    each = [load.file_totals for load in loads]
    with localcontext(EXACT):
        return Totals(
            sum(total.rows for total in each),
            sum((total.quantity for total in each), Decimal(0)),
            sum((total.gross for total in each), Decimal(0)),
            sum((total.tax for total in each), Decimal(0)),
        )


def add_reasons(loads: Iterable[Load]) -> list[tuple[str, int]]:
    """Add up the reasons of refusals, the most frequent first."""
    counts: Counter[str] = Counter()
    for load in loads:
        counts.update(load.reason_counts)
    return most_frequent(counts)
