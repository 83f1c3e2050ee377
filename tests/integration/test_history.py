"""The histories hold what readers saw of customers and products, and when."""

from __future__ import annotations

from pathlib import Path

from integration.loading import HEADER, load_file
from integration.test_merging_marts import Dbt, Dsn, build_and_publish, dbt, query, undo

__all__ = ["dbt"]

HISTORY = """
    select customer_id, customer_tier, load_id, dbt_valid_to is null, dbt_valid_from = published_at
    from analytics_history.customer_history where customer_id > 0 order by customer_id, dbt_valid_from
"""
NAMES = """
    select product_id, product_name, dbt_valid_to is null from analytics_history.product_history
    where product_id > 0 order by product_id, dbt_valid_from
"""
JOINS = """
    select count(*) from analytics_history.customer_history as earlier
    inner join analytics_history.customer_history as later
        on earlier.customer_id = later.customer_id and earlier.dbt_valid_from < later.dbt_valid_from
    where earlier.dbt_valid_to > later.dbt_valid_from
"""


def write(path: Path, keys: range, customer: int, name: str) -> Path:
    rows = (f"{key},{customer},2024-01-0{key % 9 + 1},{customer},{name},1,1.00,0\n" for key in keys)
    path.write_text(HEADER + "".join(rows))
    return path


def test_a_period_ends_when_readers_see_another_tier_or_name(dsn: Dsn, dbt: Dbt, tmp_path: Path) -> None:
    first = write(tmp_path / "1.csv", range(1, 60), 1, "Thing")
    first.write_text(first.read_text() + "100,2,2024-01-01,2,Other,1,1.00,0\n")
    load_file(dsn("loader"), first, "run-1", day=1)
    build_and_publish(dbt, dsn)
    for _ in range(2):  # killed and run again, nothing is there twice
        assert dbt("snapshot")
    assert query(dsn("reader"), HISTORY) == [(1, "Gold", 1, True, True), (2, "Bronze", 1, True, True)]

    load_file(dsn("loader"), write(tmp_path / "2.csv", range(200, 205), 2, "New"), "run-2", mode="merge", day=2)
    assert dbt("run")
    assert dbt("snapshot")  # what was not published has no history
    assert len(query(dsn("reader"), HISTORY)) == 2
    build_and_publish(dbt, dsn)
    assert dbt("snapshot")
    silver = [(1, "Gold", 1, True, True), (2, "Bronze", 1, False, True), (2, "Silver", 2, True, True)]
    assert query(dsn("reader"), HISTORY) == silver
    assert query(dsn("reader"), NAMES) == [(1, "Thing", True), (2, "Other", False), (2, "New", True)]

    assert undo(dsn)
    assert dbt("snapshot")
    assert query(dsn("reader"), HISTORY) == [
        *silver[:2],
        (2, "Silver", 2, False, True),
        (2, "Bronze", 1, True, True),
    ]
    assert query(dsn("reader"), JOINS) == [(0,)]


def test_a_customer_who_is_gone_has_no_open_period(dsn: Dsn, dbt: Dbt, tmp_path: Path) -> None:
    for run, customer in enumerate((1, 2), start=1):
        load_file(dsn("loader"), write(tmp_path / f"{run}.csv", range(9), customer, "Thing"), f"run-{run}", day=run)
        build_and_publish(dbt, dsn)
        assert dbt("snapshot")
    assert [(row[0], row[3]) for row in query(dsn("reader"), HISTORY)] == [(1, False), (2, True)]
