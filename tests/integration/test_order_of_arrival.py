"""What readers see depends on the days of the deliveries, and not on the order in which they come (ADR 7).

The model sorts what was let in by its day: a `replace` is all that there is, a `merge` is laid over it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from audited_load.errors import RefusedError
from integration.loading import fill, prepare, publish
from integration.test_merging import prices, query, totals_tie, undo, write

Dsn = Callable[[str], str]
Rows = dict[int, int]
FEED: Rows = {1: 5, 2: 7}
FIX: Rows = {1: 99}


@dataclass(frozen=True)
class Delivery:
    mode: str
    day: int
    rows: Rows


@dataclass
class Model:
    """What readers must see.

    Attributes:
        deliveries: All that were let in, as they came.
        seen: Contents of which readers' table was made.
    """

    deliveries: list[Delivery] = field(default_factory=list)
    seen: list[Rows] = field(default_factory=list)

    def rows(self) -> Rows:
        table: Rows = {}
        for one in sorted(self.deliveries, key=lambda one: one.day):  # of one day, as they came
            table = one.rows if one.mode == "replace" else table | one.rows
        return table

    def refuses(self, new: Delivery) -> bool:
        """An older whole truth can't take a newer one's place."""
        latest = max((one.day for one in self.deliveries), default=0)
        return new.mode == "replace" and self.seen != [new.rows] and new.day < latest

    def take(self, new: Delivery) -> Model:
        """A file that was merged before is no new delivery."""
        if new.mode == "merge" and new.rows in self.seen:
            return self
        seen = [new.rows] if new.mode == "replace" else [*self.seen, new.rows]
        return Model([*self.deliveries, new], seen)


def deliver(dsn: str, folder: Path, number: int, new: Delivery, *, force: bool = False) -> bool:
    name = {"replace": "day.csv", "merge": "fix.csv"}[new.mode]  # in the order in which those of one day count
    file = write(folder / name, {key: f"{price}.00" for key, price in new.rows.items()})
    batch = prepare(dsn, file, f"run-{number}", mode=new.mode, day=new.day)
    fill(dsn, batch)
    return publish(dsn, batch, force=force, min_row_ratio=0).changed


def start_anew(dsn: Dsn) -> str:
    with psycopg.connect(dsn("postgres"), autocommit=True) as connection:
        connection.execute("drop schema if exists cleaned_data cascade")
        connection.execute("create schema cleaned_data authorization loader")
    return dsn("loader")


DELIVERIES = st.builds(
    Delivery,
    st.sampled_from(["replace", "merge"]),
    st.integers(1, 6),
    st.one_of(
        st.sampled_from([FEED, FIX]),  # so that the same bytes come again
        st.dictionaries(st.integers(1, 4), st.integers(1, 3), min_size=1, max_size=4),
    ),
)


@settings(
    max_examples=12,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@example([Delivery("replace", 4, FEED), Delivery("replace", 6, FEED), Delivery("merge", 5, FIX)])
@example([Delivery("replace", 4, FEED), Delivery("merge", 5, FIX), Delivery("replace", 6, FEED)])
@example([Delivery("replace", 4, FEED), Delivery("replace", 6, FEED), Delivery("replace", 5, FIX)])
@example([Delivery("replace", 6, FIX), Delivery("merge", 5, FEED), Delivery("merge", 4, {2: 1, 3: 1})])
@example([Delivery("merge", 4, FEED), Delivery("replace", 6, FEED), Delivery("merge", 5, {1: 1, 3: 1})])
@example([Delivery("replace", 2, FEED), Delivery("merge", 6, FIX), Delivery("merge", 3, {3: 1}),
          Delivery("replace", 5, {1: 2})])  # fmt: skip
@example([Delivery("replace", 4, FEED), Delivery("replace", 5, FIX), "rollback", Delivery("replace", 6, FEED),
          Delivery("merge", 5, {1: 1})])  # fmt: skip
@given(st.lists(st.one_of(DELIVERIES, DELIVERIES, DELIVERIES, st.just("rollback")), min_size=2, max_size=6))
def test_any_order_of_arrival_gives_what_the_order_of_days_gives(
    dsn: Dsn, tmp_path: Path, steps: list[Delivery | str]
) -> None:
    loader, now, before = start_anew(dsn), Model(), Model()
    for number, step in enumerate(steps):
        if not isinstance(step, Delivery):
            if before.deliveries:
                undo(loader)
                now, before = before, Model()
            continue
        if now.refuses(step):
            with pytest.raises(RefusedError, match="newer"):
                deliver(loader, tmp_path, number, step)
        else:
            earlier, now = now, now.take(step)
            if deliver(loader, tmp_path, number, step):
                before = earlier
        if now.deliveries:
            assert prices(loader) == {key: Decimal(price) for key, price in now.rows().items()}
            assert totals_tie(dsn("reader"))


def test_what_a_later_replace_did_not_hold_is_kept_in_the_quarantine_or_forced(dsn: Dsn, tmp_path: Path) -> None:
    loader, late = dsn("loader"), Delivery("merge", 5, {1: 99, 3: 3})
    deliver(loader, tmp_path, 1, Delivery("replace", 6, FEED))
    deliver(loader, tmp_path, 2, late)
    assert prices(loader) == FEED
    reasons = "select reasons from cleaned_data.customer_transactions_rejected_by_load where load_id = 2 order by 1"
    assert [reason.rpartition("load 1 ")[2] for (reason,) in query(loader, reasons)] == [
        "is for a later day and does not hold it",
        "is for a later day and has another value",
    ]
    assert query(loader, "select inserted, outdated from cleaned_data.loads where load_id = 2") == [(0, 2)]
    undo(loader)
    deliver(loader, tmp_path, 3, late, force=True)
    assert prices(loader) == FEED | {3: 3}
    assert totals_tie(dsn("reader"))


def test_tables_from_before_know_for_which_day_they_were_confirmed(dsn: Dsn, tmp_path: Path) -> None:
    loader = dsn("loader")
    for number, day in enumerate((4, 6)):
        deliver(loader, tmp_path, number, Delivery("replace", day, FEED))
    with psycopg.connect(loader, autocommit=True) as connection:
        connection.execute("drop view cleaned_data.published_load, cleaned_data.customer_transactions_changed")
        connection.execute("alter table cleaned_data.loads drop column confirmed_for")
        connection.execute("drop table cleaned_data.migrations")
    deliver(loader, tmp_path, 3, Delivery("merge", 5, FIX))
    assert prices(loader) == FEED
