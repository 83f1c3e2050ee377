"""Marts that were published when the models had other columns: readers see them or the new ones."""

from __future__ import annotations

import random
import threading
from pathlib import Path
from typing import Any

import psycopg

from audited_load.marts.mart_sets import PublishedSet
from customer_pipeline.commands.take_back import take_back
from customer_pipeline.feed import MARTS
from integration.loading import TABLES, load_file
from integration.test_merging_marts import (
    KEPT,
    Dbt,
    Dsn,
    any_record,
    build_and_publish,
    contents,
    dbt,
    query,
    write,
)

__all__ = ["dbt"]

MARTS_OF_BEFORE = {
    "dim_customers": {
        "lifetime_revenue": "lifetime_value",
        "purchases": None,
        "returns": None,
        "transactions_without_amount": None,
    },
    "dim_products": {
        "purchases": None,
        "returns": None,
        "transactions_without_units": None,
        "transactions_without_amount": None,
        "first_transaction_date": None,
        "last_transaction_date": None,
    },
    "fact_transactions": {"total_amount": None},
    "agg_monthly_sales": {
        "purchases": None,
        "returns": None,
        "transactions_without_units": None,
        "transactions_without_amount": None,
        "transactions_without_tax": None,
        "valid_revenue": None,
        "priced_transactions": None,
        "price_total": None,
    },
}
AGE = """
    drop view analytics.{mart};
    drop view analytics_dbt_staging.{mart} cascade;
    {changes};
    create view analytics.{mart} as select * from analytics_sets.{mart}
    where set_number = (select set_number from analytics_sets.published);
    create view analytics_dbt_staging.{mart} as select * from analytics_sets.{mart}_s1;
"""
FORGET_DAYS = """
    drop table analytics_sets.dim_dates cascade;
    drop table analytics_sets.dim_dates_s1_before, analytics_sets.dim_dates_s1_inserted;
    delete from analytics_sets.builds where mart = 'dim_dates';
    update analytics_sets.builds set code = 'before', relation = ('analytics_dbt_staging.' || mart)::regclass;
    update analytics_sets.published_sets set code = 'before';
"""
LOOK = """
    select to_jsonb(customers) ->> 'lifetime_value', to_jsonb(customers) ->> 'lifetime_revenue',
        (select count(*) from analytics.fact_transactions),
        (select sum(transactions) from analytics.agg_monthly_sales),
        (select load_id from analytics.published_marts)
    from analytics.dim_customers as customers where customer_id = 1
"""


def make_older(dsn: Dsn) -> None:
    """Give the published marts the columns that they had before."""
    with psycopg.connect(dsn("transformer")) as connection:
        for mart, columns in MARTS_OF_BEFORE.items():
            changes = ";".join(
                f"alter table analytics_sets.{mart}{suffix} "
                + (f"rename column {now} to {before}" if before else f"drop column {now} cascade")
                for suffix in ("", "_s1_before")
                for now, before in columns.items()
            )
            connection.execute(AGE.format(mart=mart, changes=changes))  # type: ignore[call-overload]
        connection.execute(FORGET_DAYS)


def test_marts_with_other_columns_are_seen_until_new_ones_are_and_then_given_up(
    dsn: Dsn, dbt: Dbt, tmp_path: Path
) -> None:
    chance = random.Random(21)
    records = {key: any_record(chance, key) for key in range(60)}
    load_file(dsn("loader"), write(tmp_path / "0.csv", records), "run-0", day=1)
    build_and_publish(dbt, dsn)
    for day in (1, 2):
        changes = write(tmp_path / f"{day}.csv", {500 + day: any_record(chance, 500 + day)})
        load_file(dsn("loader"), changes, f"run-{day}", mode="merge", day=1 + day)
        if day == 1:
            assert build_and_publish(dbt, dsn) == PublishedSet(1, 2, changed=True)
            make_older(dsn)
            (before,) = query(dsn("reader"), LOOK)
            assert before[1:] == (None, 61, 61, 2)

    seen, done, failed = set[tuple[Any, ...]](), threading.Event(), list[BaseException]()

    def look_all_along() -> None:
        # A prepared statement of before would refuse the new columns.
        with psycopg.connect(dsn("reader"), autocommit=True, prepare_threshold=None) as connection:
            while not done.is_set():
                try:
                    seen.update(connection.execute(LOOK))
                except BaseException as error:
                    failed.append(error)
                    return

    reader = threading.Thread(target=look_all_along)
    reader.start()
    try:
        assert build_and_publish(dbt, dsn) == PublishedSet(2, 3, changed=True)
    finally:
        done.set()
        reader.join()
    assert failed == []
    (after,) = query(dsn("reader"), LOOK)
    assert after[0] is None
    assert after[2:] == (62, 62, 3)
    assert seen <= {before, after}
    assert not [name for (name,) in query(dsn("transformer"), KEPT) if "_s1" in name]

    marts = contents(dsn("transformer"), MARTS.views)
    done_, shown = take_back(dsn, TABLES, MARTS)
    assert (done_.visible_load_id, shown) == (2, None)
    assert contents(dsn("transformer"), MARTS.views) == marts
    assert build_and_publish(dbt, dsn) == PublishedSet(3, 2, changed=True)
