"""What the page asks for at every look is published with the marts, and is what adding up all rows gives."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest

from audited_load.marts.mart_erasure import drop_given_up, erase_from_marts
from audited_load.marts.mart_sets import PublishedSet, publish_marts, roll_back_marts
from audited_load.warehouse.connection import connect
from customer_pipeline.feed import CUSTOMERS, DAYS, MARTS
from integration.loading import MODELS, load_file
from integration.test_merging_marts import (
    BUILD,
    EDGES,
    GONE,
    Dbt,
    any_record,
    build_and_publish,
    dbt,
    publish,
    query,
    undo,
    write,
)
from pipeline_page.tabs.one_month import OneMonth, find_one_month
from pipeline_page.tabs.sales import Sales, find_sales
from pipeline_page.tabs.today import Totals, find_today
from pipeline_page.texts import YearMonth
from pipeline_page.warehouse import Kept, reading

__all__ = ["dbt"]

Dsn = Callable[[str], str]
AMOUNTS = (
    "count(*), sum(units_sold), count(units_sold), sum(gross_amount), count(gross_amount), sum(tax_amount),"
    " count(tax_amount)"
)
# In words of their own, not in those of the declarations.
ADDED_UP = {
    "page_days": f"select transaction_date, {AMOUNTS} from analytics.fact_transactions group by 1",  # noqa: S608
    "page_products": f"""
        select date_trunc('month', transaction_date)::date, product_id, {AMOUNTS} from analytics.fact_transactions
        group by 1, 2
    """,  # noqa: S608
    "page_customers": """
        select customer_tier, value_segment, count(*), sum(lifetime_transactions), count(lifetime_transactions),
            sum(lifetime_revenue), count(lifetime_revenue)
        from analytics.dim_customers group by 1, 2
    """,
    "page_months": """
        select m.transaction_month, c.customer_tier, c.value_segment, count(*), sum(m.transactions), count(*),
            sum(m.transactions_without_amount), count(*), sum(m.units_sold), count(m.units_sold), sum(m.revenue),
            count(m.revenue), sum(m.tax_amount), count(m.tax_amount)
        from analytics.agg_monthly_sales as m left join analytics.dim_customers as c using (customer_id)
        group by 1, 2, 3
    """,
}
IN_STAGING = """
    select relname from pg_class where relnamespace = 'analytics_dbt_staging'::regnamespace and relname ~ '^page_'
"""
MONTH = YearMonth(2024, 3)


def require_sums(dsn: Dsn) -> dict[str, list[tuple[Any, ...]]]:
    """Compare the sums that readers see with all rows, added up; gives them."""
    seen = {}
    for view, statement in ADDED_UP.items():
        seen[view] = sorted(query(dsn("reader"), f"table analytics.{view}"), key=repr)
        assert seen[view] == sorted(query(dsn("reader"), statement), key=repr), view
        assert seen[view], view
    assert query(dsn("transformer"), IN_STAGING) == []
    return seen


def look(dsn: Dsn) -> tuple[Totals | None, Sales | None, Sales | None, OneMonth | None]:
    """What the page shows of the marts, of all months and of some."""
    with reading(dsn("reader")) as connection:
        return (
            find_today(connection, Kept(), None).fact,
            find_sales(connection, Kept()),
            find_sales(connection, Kept(), MONTH, YearMonth(2024, 4)),
            find_one_month(connection, Kept(), MONTH),
        )


def test_sums_follow_every_merge_and_every_rollback(dsn: Dsn, dbt: Dbt, tmp_path: Path) -> None:
    chance = random.Random(31)
    records = {key: any_record(chance, key) for key in range(240)} | EDGES
    load_file(dsn("loader"), write(tmp_path / "0.csv", records), "run-0", day=1)
    build_and_publish(dbt, dsn)
    seen = [require_sums(dsn)]
    for day in range(1, 6):
        changes = {key: any_record(chance, key) for key in chance.sample(range(300), 14)} | GONE[day - 1]
        load_file(dsn("loader"), write(tmp_path / f"{day}.csv", changes), f"run-{day}", mode="merge", day=1 + day)
        assert build_and_publish(dbt, dsn) == PublishedSet(1, day + 1, changed=True)
        seen.append(require_sums(dsn))
        assert seen[-1]["page_days"] != seen[-2]["page_days"]
    assert undo(dsn)
    assert require_sums(dsn) == seen[-2]
    changes = {key: any_record(chance, key) for key in (1, 2, 3, 600)}
    load_file(dsn("loader"), write(tmp_path / "6.csv", changes), "run-6", mode="merge", day=7)
    assert build_and_publish(dbt, dsn).set_number == 1
    require_sums(dsn)


def test_a_set_that_is_shown_again_brings_its_own_sums(dsn: Dsn, dbt: Dbt, tmp_path: Path) -> None:
    chance = random.Random(32)
    for run in (1, 2):
        records = {key: any_record(chance, key) for key in range(80 * run)}
        load_file(dsn("loader"), write(tmp_path / f"{run}.csv", records), f"run-{run}", day=run)
        assert build_and_publish(dbt, dsn).set_number == run
        if run == 1:
            first = require_sums(dsn)
    assert require_sums(dsn) != first
    assert undo(dsn) == PublishedSet(1, 1, changed=True)
    assert require_sums(dsn) == first
    for run in (3, 4):
        records = {key: any_record(chance, key) for key in range(90 + run)}
        load_file(dsn("loader"), write(tmp_path / f"{run}.csv", records), f"run-{run}", day=run)
        build_and_publish(dbt, dsn)
    require_sums(dsn)
    left = "select count(*) from pg_class where relname ~ '^page_days_s[0-9]+$' and relkind = 'r'"
    assert query(dsn("transformer"), left) == [(2,)], "sums go with their set"


def test_of_an_erased_customer_no_sum_is_left(dsn: Dsn, dbt: Dbt, tmp_path: Path) -> None:
    chance = random.Random(33)
    records = {key: any_record(chance, key) for key in range(80)}
    records |= {900 + n: f"{900 + n},4711,2024-03-{n + 1:02},9,Thing,1,7000.00,\n" for n in range(12)}
    load_file(dsn("loader"), write(tmp_path / "1.csv", records), "run-1")
    build_and_publish(dbt, dsn)
    require_sums(dsn)
    gold = (
        "select number_of_rows from analytics.page_customers"
        " where customer_tier = 'Gold' and value_segment = 'High'"
    )
    ((before,),) = query(dsn("reader"), gold)
    with psycopg.connect(dsn("loader")) as connection:
        connection.execute(
            "update cleaned_data.customer_transactions_generations set customer_id = null where customer_id = 4711"
        )

    def build() -> Any:
        assert dbt(*BUILD, "--full-refresh")
        return MODELS

    with connect(dsn("transformer")) as connection:
        number = erase_from_marts(connection, MARTS, "customer_id", [4711], build)
        assert number == 2
        drop_given_up(connection, MARTS, number)
    require_sums(dsn)
    after = query(dsn("reader"), gold)
    assert after == ([(before - 1,)] if before > 1 else [])
    old = "select count(*) from pg_class where relname ~ '^page_.*_s1'"
    assert query(dsn("transformer"), old) == [(0,)]


def test_the_page_shows_the_sums_of_the_marts_and_adds_up_where_there_are_none(
    dsn: Dsn, dbt: Dbt, tmp_path: Path
) -> None:
    chance = random.Random(34)
    records = {key: any_record(chance, key) for key in range(300)}
    load_file(dsn("loader"), write(tmp_path / "1.csv", records), "run-1")
    assert dbt(*BUILD)
    with connect(dsn("transformer")) as connection:  # as an earlier release did
        assert publish_marts(connection, replace(MARTS, sums=()), MODELS).set_number == 1
    added_up = look(dsn)
    changes = {key: any_record(chance, key) for key in (1, 2, 3, 600)}
    load_file(dsn("loader"), write(tmp_path / "2.csv", changes), "run-2", mode="merge", day=2)
    assert build_and_publish(dbt, dsn) == PublishedSet(1, 2, changed=True)
    merged = look(dsn)
    assert merged != added_up
    assert query(dsn("reader"), "select to_regclass('analytics.page_days')") == [(None,)]
    assert build_and_publish(dbt, dsn, "--full-refresh") == PublishedSet(2, 2, changed=True)
    require_sums(dsn)
    assert with_their_set(look(dsn), merged) == merged
    for view, column, read in (
        ("page_days", "gross_amount", lambda: look(dsn)[0].gross),  # type: ignore[union-attr]
        ("page_months", "revenue", lambda: look(dsn)[1].total.revenue),  # type: ignore[union-attr]
        ("page_customers", "lifetime_revenue", lambda: sum(each.revenue or 0 for each in look(dsn)[1].tiers)),  # type: ignore[union-attr]
        ("page_products", "gross_amount", lambda: sum(each.revenue or 0 for each in look(dsn)[2].products)),  # type: ignore[union-attr]
    ):
        before = read()
        with psycopg.connect(dsn("transformer")) as connection:
            connection.execute(f"update analytics_sets.{view} set {column} = {column} + 1")  # type: ignore[call-overload]  # noqa: S608
        assert read() > before, f"{view} is not what the page reads"
    load_file(dsn("loader"), write(tmp_path / "3.csv", records), "run-3", day=3)
    build_and_publish(dbt, dsn)
    with connect(dsn("transformer")) as connection:
        # The sets of before have no sums, and stay.
        assert roll_back_marts(connection, MARTS, 2)


def with_their_set(seen: tuple[Any, ...], of: tuple[Any, ...]) -> tuple[Any, ...]:
    """What was seen, as if of another set: which one it is of is the one thing that differs."""
    return (seen[0], *(replace(one, marts=other.marts) for one, other in zip(seen[1:], of[1:], strict=True)))


def test_sums_that_are_declared_otherwise_are_made_anew_and_never_stale(dsn: Dsn, dbt: Dbt, tmp_path: Path) -> None:
    chance = random.Random(35)
    records = {key: any_record(chance, key) for key in range(120)}
    load_file(dsn("loader"), write(tmp_path / "1.csv", records), "run-1")
    assert dbt(*BUILD)
    before = replace(
        MARTS, sums=(replace(DAYS, measures=("units_sold",)), CUSTOMERS, replace(CUSTOMERS, name="gone"))
    )
    with connect(dsn("transformer")) as connection:
        publish_marts(connection, before, MODELS)
    changes = {key: any_record(chance, key) for key in (1, 2, 3, 600)}
    load_file(dsn("loader"), write(tmp_path / "2.csv", changes), "run-2", mode="merge", day=2)
    assert build_and_publish(dbt, dsn) == PublishedSet(1, 2, changed=True)
    views = "select to_regclass('analytics.page_days'), to_regclass('analytics.gone')"
    assert query(dsn("reader"), views) == [(None, None)]
    assert sum(rows for *_, rows in query(dsn("reader"), "select number_of_rows from analytics.page_customers")) > 1
    build_and_publish(dbt, dsn, "--full-refresh")
    require_sums(dsn)
    with connect(dsn("transformer")) as connection:
        assert roll_back_marts(connection, MARTS, 1) is None, "it was changed by a merge, and built anew"


@pytest.mark.parametrize("lock", ["page_days_s1", "page_months_s1"])
def test_killed_while_sums_are_changed_readers_see_the_day_before(
    dsn: Dsn, dbt: Dbt, tmp_path: Path, lock: str
) -> None:
    chance = random.Random(36)
    records = {key: any_record(chance, key) for key in range(120)}
    load_file(dsn("loader"), write(tmp_path / "1.csv", records), "run-1")
    build_and_publish(dbt, dsn)
    before = require_sums(dsn)
    changes = {1: "1,1,2024-03-01,1,Thing,3,2.20,0.05\n"}
    load_file(dsn("loader"), write(tmp_path / "2.csv", changes), "run-2", mode="merge", day=2)
    assert dbt(*BUILD)
    with psycopg.connect(dsn("postgres")) as blocker:
        blocker.execute(f"lock table analytics_sets.{lock} in share mode")  # type: ignore[call-overload]
        with connect(dsn("transformer")) as connection:
            connection.execute("set statement_timeout = '2s'")
            with pytest.raises(Exception, match=r"57014|statement timeout"):
                publish_marts(connection, MARTS, MODELS)
    assert require_sums(dsn) == before
    assert publish(dsn) == PublishedSet(1, 2, changed=True)
    after = require_sums(dsn)
    assert after != before
    total = [sum((row[4] or Decimal(0) for row in seen["page_days"]), Decimal(0)) for seen in (before, after)]
    assert total[0] != total[1]
