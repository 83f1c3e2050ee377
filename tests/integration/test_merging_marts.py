"""After a merge only the rows of the marts that change are computed, and they are what a full build gives."""

from __future__ import annotations

import random
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import date
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg
import pytest
import yaml
from dbt.cli.main import dbtRunner

from audited_load.errors import BadDataError, RefusedError, UnavailableError
from audited_load.loading.rollback import roll_back
from audited_load.marts.mart_sets import PublishedSet, publish_marts, roll_back_marts
from audited_load.warehouse.connection import connect
from audited_load.warehouse.lease import held_lease, release_lease
from customer_pipeline.feed import MARTS
from customer_pipeline.runtime.installation import Runtime
from integration.loading import HEADER, MARTS_HERE, MODELS, TABLES, load_file
from integration.test_star_schema import PROJECT

Dsn = Callable[[str], str]
Dbt = Callable[..., bool]
KEPT = (
    "select relname from pg_class where relnamespace = 'analytics_sets'::regnamespace and relkind = 'r' order by 1"
)
BUILD = ("build", "--exclude", "test_type:unit", "resource_type:snapshot")
SPAN = "select min(date_day), max(date_day) from analytics.dim_dates"
KEYS_OF_FACT = """
    select count(*) from pg_constraint
    where contype = 'f' and conrelid = 'analytics_sets.fact_transactions_s1'::regclass
"""
ORIGINS = """
    select distinct relkind::text from pg_class
    where relnamespace = 'analytics_dbt_staging'::regnamespace and relname = any(%s)
"""


@pytest.fixture
def dbt(runtime: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dbt:
    monkeypatch.setenv("POSTGRES_PORT", str(runtime.postgres_port))
    monkeypatch.setenv("TRANSFORMER_PASSWORD", runtime.secrets["transformer"])
    monkeypatch.setenv("DBT_SEND_ANONYMOUS_USAGE_STATS", "false")
    return parsed(PROJECT, tmp_path)


def parsed(project: Path, folder: Path, callbacks: Sequence[Callable[[Any], None]] = ()) -> Dbt:
    """Run dbt in this process; the callbacks get its events."""
    manifest, foreign_keys = _parse(project)

    def run(*arguments: str) -> bool:
        # dbt writes relations there, and doesn't read them again.
        for key, ref in foreign_keys:
            key.to = ref
        runner = dbtRunner(manifest=manifest, callbacks=list(callbacks))
        return runner.invoke(["--quiet", *arguments, *_places(project, folder)]).success

    return run


@cache
def _parse(project: Path) -> tuple[Any, list[tuple[Any, str]]]:
    """Parse a project, once for all tests."""
    with TemporaryDirectory() as folder:
        manifest = dbtRunner().invoke(["--quiet", "parse", *_places(project, Path(folder))]).result
    constraints = [key for node in manifest.nodes.values() for key in getattr(node, "all_constraints", ())]
    return manifest, [(key, key.to) for key in constraints if key.to]


def _places(project: Path, folder: Path) -> list[str]:
    places = {
        "project-dir": project,
        "profiles-dir": project,
        "target-path": folder / "target",
        "log-path": folder,
    }
    return [f"--{name}={path}" for name, path in places.items()]


def query(dsn: str, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    with psycopg.connect(dsn) as connection:
        return connection.execute(statement, values).fetchall()  # type: ignore[arg-type]


def publish(dsn: Dsn) -> PublishedSet:
    with connect(dsn("transformer")) as connection:
        return publish_marts(connection, MARTS, MODELS)


def build_and_publish(dbt: Dbt, dsn: Dsn, *arguments: str) -> PublishedSet:
    assert dbt(*BUILD, *arguments)
    return publish(dsn)


def undo(dsn: Dsn) -> PublishedSet | None:
    """What `customer-pipeline rollback` does."""
    with connect(dsn("loader")) as connection, held_lease(connection, TABLES, "rollback", 1):
        load_id = roll_back(connection, TABLES).visible_load_id
        release_lease(connection, TABLES, "rollback")
    with connect(dsn("transformer")) as connection:
        return roll_back_marts(connection, MARTS, load_id)


def any_record(chance: random.Random, key: int) -> str:
    """Write a record of a small world, in which every edge is met: ties, nulls, few names and prices."""
    customer = chance.choice(["", *range(12)])
    # Some customers have few transactions, some many; a few of them leave again.
    customer = chance.choice([customer, 1, 2]) if customer != "" else ""
    day = f"2024-{chance.randint(1, 5):02}-{chance.choice([1, 2, 28]):02}"
    name = chance.choice(["", "Thing", "Other thing", "Third"])
    quantity, price = chance.choice(["", "1", "2", "-3"]), chance.choice(["", "1.10", "2.20", "500.00", "4000"])
    return (
        f"{key},{customer},{day},{chance.randint(1, 6)},{name},{quantity},{price},{chance.choice(['', '0.05'])}\n"
    )


def write(path: Path, records: dict[int, str]) -> Path:
    path.write_text(HEADER + "".join(records.values()))
    return path


def contents(dsn: str, schema: str) -> dict[str, list[tuple[Any, ...]]]:
    # `loaded_at` is in no mart: two builds of one load are the same.
    return {mart: sorted(query(dsn, f"table {schema}.{mart}"), key=repr) for mart in MARTS_HERE}


EDGES = {  # of customer 70, product 60; the rest of the world is far from it
    901: "901,70,2020-02-29,60,First,1,0.50,0.01\n",  # the only day of its month, the lowest price
    902: "902,70,2024-06-02,60,,2,9.00,0.01\n",
    903: "903,70,2024-06-02,60,,-1,9.00,0.01\n",
    904: "904,70,2027-11-30,60,Last,1,90.00,0.01\n",  # the latest day, the highest price
    905: "905,71,2024-06-03,61,,1,2.00,0.01\n",  # all that is known of customer 71 and product 61
    906: "906,71,2024-06-03,61,,,2.00,\n",
    907: "907,,2024-06-04,62,,1,2.00,0.02\n",
    908: "908,72,2024-06-05,63,,1,,\n",
}
GONE = [
    {901: "901,70,2024-06-02,60,First,1,9.00,0.01\n"},  # the earliest day and the lowest price
    {904: "904,70,2024-06-02,60,Last,1,9.00,0.01\n"},  # the latest day and the highest price
    {905: "905,71,2024-06-03,61,,,2.00,\n"},  # the last known units, amount and tax
    {
        905: "905,71,2024-06-03,61,,1,,0.05\n",
        908: "908,72,2024-06-05,63,,1,4.00,\n",
    },  # tax alone comes back; an amount comes
    {
        902: "902,70,2024-06-02,60,,-2,9.00,0.01\n",
        907: "907,73,2024-06-04,62,,0,-2.00,0.02\n",
        909: "909,70,2023-12-31,60,First,1,9.00,0.01\n",
        910: "910,70,2024-07-01,60,First,1,9.00,0.01\n",
    },  # a purchase becomes a return; an earlier and a later month come
]


def test_merged_marts_are_those_of_a_full_build(dsn: Dsn, dbt: Dbt, tmp_path: Path) -> None:
    chance = random.Random(1)
    records = {key: any_record(chance, key) for key in range(240)} | EDGES
    load_file(dsn("loader"), write(tmp_path / "0.csv", records), "run-0", day=1)
    assert build_and_publish(dbt, dsn) == PublishedSet(1, 1, changed=True)
    for day in range(1, 6):
        corrected = chance.sample(sorted(records), chance.choice([0, 1, 12]))
        new = range(1000 * day, 1000 * day + chance.choice([0, 1, 12]))
        if day == 5:  # a customer and a product go, and others come
            corrected = [key for key in records if records[key].split(",")[1] == "7"][:20]
            records |= {key: records[key].replace(",7,", ",77,", 1) for key in corrected}
            changes = {key: records[key] for key in corrected}
        else:
            changes = {key: any_record(chance, key) for key in [*corrected, *new]}
        changes |= GONE[day - 1]
        records |= changes
        load_file(dsn("loader"), write(tmp_path / f"{day}.csv", changes), f"run-{day}", mode="merge", day=1 + day)
        before = contents(dsn("transformer"), MARTS.views)
        assert dbt(*BUILD)
        assert query(dsn("transformer"), ORIGINS, list(MARTS_HERE)) == [("v",)]  # changes, and not tables
        assert contents(dsn("transformer"), MARTS.views) == before
        shown = contents(dsn("transformer"), MARTS.staging)
        assert publish(dsn) == PublishedSet(1, day + 1, changed=True)
        merged = contents(dsn("transformer"), MARTS.views)
        assert merged == shown
        assert contents(dsn("transformer"), MARTS.staging) == merged
        assert publish(dsn) == PublishedSet(1, day + 1, changed=False)
        assert dbt("run", "--full-refresh")
        assert query(dsn("transformer"), ORIGINS, list(MARTS_HERE)) == [("r",)]
        assert contents(dsn("transformer"), MARTS.staging) == merged
    assert query(dsn("transformer"), KEYS_OF_FACT) == [(3,)]
    assert query(dsn("reader"), SPAN) == [(date(2023, 12, 1), date(2024, 7, 31))]
    unknown = "select lifetime_revenue, value_segment from analytics.dim_customers where customer_id = 71"
    assert query(dsn("reader"), unknown) == [(None, "Unknown")]


def test_a_merge_is_taken_back_from_table_and_marts(dsn: Dsn, dbt: Dbt, tmp_path: Path) -> None:
    chance = random.Random(7)
    records = {key: any_record(chance, key) for key in range(240)}
    load_file(dsn("loader"), write(tmp_path / "0.csv", records), "run-0", day=1)
    assert build_and_publish(dbt, dsn).changed
    before = contents(dsn("transformer"), MARTS.views)
    changes = {key: any_record(chance, key) for key in [*range(10), *range(900, 910)]}
    for run in (1, 2):  # after a rollback the same day can be merged again
        load_file(dsn("loader"), write(tmp_path / f"{run}.csv", changes), f"run-{run}", mode="merge", day=2)
        assert build_and_publish(dbt, dsn).set_number == 1
        assert contents(dsn("transformer"), MARTS.views) != before
        assert undo(dsn) == PublishedSet(1, 1, changed=True)
        assert contents(dsn("transformer"), MARTS.views) == before
        assert contents(dsn("transformer"), MARTS.staging) == before
        assert [name for (name,) in query(dsn("transformer"), KEPT) if not name.endswith("_s1")] == [
            "builds",
            "published",
            "published_sets",
        ]
        assert publish(dsn) == PublishedSet(1, 1, changed=False)


def test_what_cant_be_merged_is_built_in_full(dsn: Dsn, dbt: Dbt, tmp_path: Path) -> None:
    chance = random.Random(3)
    records = {key: any_record(chance, key) for key in range(100)}
    load_file(dsn("loader"), write(tmp_path / "0.csv", records), "run-0", day=1)
    assert build_and_publish(dbt, dsn).set_number == 1

    def merge(day: int, keys: range) -> None:
        changes = write(tmp_path / f"{day}.csv", {key: any_record(chance, key) for key in keys})
        load_file(dsn("loader"), changes, f"run-{day}", mode="merge", day=day)

    merge(2, range(50))  # half of the rows
    assert build_and_publish(dbt, dsn) == PublishedSet(2, 2, changed=True)
    merge(3, range(200, 202))
    merge(4, range(202, 204))  # the marts are two loads behind
    assert build_and_publish(dbt, dsn) == PublishedSet(3, 4, changed=True)
    merge(5, range(204, 206))
    undo(dsn)  # the marts are of that load already
    assert build_and_publish(dbt, dsn) == PublishedSet(4, 4, changed=True)
    merge(6, range(206, 208))
    query_ = "update analytics_sets.published_sets set code = 'other models' returning 1"
    assert query(dsn("transformer"), query_)
    assert build_and_publish(dbt, dsn) == PublishedSet(5, 6, changed=True)
    merge(7, range(208, 210))
    assert build_and_publish(dbt, dsn, "--full-refresh") == PublishedSet(6, 7, changed=True)
    merge(8, range(210, 212))
    assert build_and_publish(dbt, dsn) == PublishedSet(6, 8, changed=True)
    assert not [name for (name,) in query(dsn("transformer"), KEPT) if "_s1" in name or "_s2" in name]


def test_changes_that_no_longer_fit_are_refused(dsn: Dsn, dbt: Dbt, tmp_path: Path) -> None:
    chance = random.Random(3)
    records = {key: any_record(chance, key) for key in range(100)}
    load_file(dsn("loader"), write(tmp_path / "0.csv", records), "run-0", day=1)
    assert build_and_publish(dbt, dsn).set_number == 1
    load_file(
        dsn("loader"), write(tmp_path / "1.csv", {500: any_record(chance, 500)}), "run-1", mode="merge", day=2
    )
    assert dbt("run")
    before = contents(dsn("transformer"), MARTS.views)
    assert dbt("run", "--full-refresh", "--select", "dim_products")
    with pytest.raises(RefusedError, match="some are changes to a set"):
        publish(dsn)
    assert dbt("run")
    load_file(
        dsn("loader"), write(tmp_path / "2.csv", {501: any_record(chance, 501)}), "run-2", mode="merge", day=3
    )
    with pytest.raises(RefusedError, match="of load 2"):
        publish(dsn)
    assert contents(dsn("transformer"), MARTS.views) == before
    assert build_and_publish(dbt, dsn) == PublishedSet(2, 3, changed=True)


def test_changes_that_break_a_key_are_not_published(dsn: Dsn, dbt: Dbt, tmp_path: Path) -> None:
    chance = random.Random(3)
    records = {key: any_record(chance, key) for key in range(100)}
    load_file(dsn("loader"), write(tmp_path / "0.csv", records), "run-0", day=1)
    assert build_and_publish(dbt, dsn).set_number == 1
    load_file(
        dsn("loader"), write(tmp_path / "1.csv", {500: any_record(chance, 500)}), "run-1", mode="merge", day=2
    )
    assert dbt(*BUILD)
    wrong = "update analytics_dbt_staging.fact_transactions_delta set product_id = 99 returning 1"
    assert query(dsn("transformer"), wrong)
    before = contents(dsn("transformer"), MARTS.views)
    with pytest.raises(BadDataError, match="23503"):
        publish(dsn)
    assert not dbt("test", "--select", "fact_transactions")
    with pytest.raises(RefusedError, match="passed since these marts were built: fact_transactions"):
        publish(dsn)
    assert contents(dsn("transformer"), MARTS.views) == before


@pytest.mark.parametrize(
    "lock",
    [
        "lock table analytics_sets.dim_customers_s1 in share mode",
        "lock table analytics_sets.agg_monthly_sales_s1 in share mode",
        "lock table analytics_sets.published_sets in exclusive mode",
        "lock table analytics_dbt_staging.dim_customers_delta in access share mode",
    ],
)
def test_killed_while_changes_are_published_it_can_go_on(dsn: Dsn, dbt: Dbt, tmp_path: Path, lock: str) -> None:
    chance = random.Random(5)
    records = {key: any_record(chance, key) for key in range(100)}
    load_file(dsn("loader"), write(tmp_path / "0.csv", records), "run-0", day=1)
    build_and_publish(dbt, dsn)
    before = contents(dsn("transformer"), MARTS.views)
    changes = {key: any_record(chance, key) for key in (1, 2, 500)}
    load_file(dsn("loader"), write(tmp_path / "1.csv", changes), "run-1", mode="merge", day=2)
    assert dbt(*BUILD)
    shown = contents(dsn("transformer"), MARTS.staging)
    failed: list[BaseException] = []

    def try_to_publish() -> None:
        try:
            publish(dsn)
        except BaseException as error:
            failed.append(error)

    with psycopg.connect(dsn("postgres")) as blocker, psycopg.connect(dsn("postgres"), autocommit=True) as admin:
        blocker.execute(lock)  # type: ignore[call-overload]
        thread = threading.Thread(target=try_to_publish)
        thread.start()
        kill = (
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where usename = 'transformer' and wait_event_type = 'Lock'"
        )
        while thread.is_alive() and not admin.execute(kill).fetchall():
            thread.join(0.05)
        thread.join()
    assert [type(error) for error in failed] == [UnavailableError]
    assert contents(dsn("transformer"), MARTS.views) == before
    assert publish(dsn) == PublishedSet(1, 2, changed=True)
    assert contents(dsn("transformer"), MARTS.views) == shown


def test_readers_see_the_day_before_or_the_day_after(dsn: Dsn, dbt: Dbt, tmp_path: Path) -> None:
    chance = random.Random(9)
    records = {key: any_record(chance, key) for key in range(200)}
    load_file(dsn("loader"), write(tmp_path / "0.csv", records), "run-0", day=1)
    build_and_publish(dbt, dsn)
    expected, seen, done = {}, set[tuple[Any, ...]](), threading.Event()
    look = """
        select load_id, (select count(*) from analytics.fact_transactions),
            (select sum(gross_amount) from analytics.fact_transactions),
            (select sum(lifetime_transactions) from analytics.dim_customers),
            (select sum(times_sold) from analytics.dim_products),
            (select sum(revenue) from analytics.agg_monthly_sales)
        from analytics.published_marts
    """

    def look_all_along() -> None:
        with psycopg.connect(dsn("reader"), autocommit=True) as connection:
            while not done.is_set():
                seen.add(connection.execute(look).fetchone() or ())

    reader = threading.Thread(target=look_all_along)
    reader.start()
    for day in range(1, 4):
        expected[day] = query(dsn("reader"), look)[0]
        changes = {key: any_record(chance, key) for key in (*range(8), 1000 + day)}
        load_file(dsn("loader"), write(tmp_path / f"{day}.csv", changes), f"run-{day}", mode="merge", day=1 + day)
        assert build_and_publish(dbt, dsn).set_number == 1
    expected[4] = query(dsn("reader"), look)[0]
    done.set()
    reader.join()
    assert seen == set(expected.values())
    assert all(row[1] == row[3] == row[4] and row[2] == row[5] for row in seen)


def test_tests_that_read_changes_only_find_what_is_wrong_with_them(dsn: Dsn, dbt: Dbt, tmp_path: Path) -> None:
    chance = random.Random(8)
    records = {key: any_record(chance, key) for key in range(100)} | EDGES
    load_file(dsn("loader"), write(tmp_path / "0.csv", records), "run-0", day=1)
    build_and_publish(dbt, dsn)
    moved = {908: "908,80,2024-06-05,63,,1,4.00,\n"}  # customer 72 goes, and 80 comes
    load_file(dsn("loader"), write(tmp_path / "1.csv", moved), "run-1", mode="merge", day=2)
    assert dbt("run")

    def passes(test: str, *statements: str) -> bool:
        with psycopg.connect(dsn("transformer")) as connection:
            for statement in statements:
                connection.execute(statement)  # type: ignore[call-overload]
        return dbt("test", "--select", test)

    known, unique = "every_customer_is_known", "unique_stg_customer_transactions_transaction_id"
    assert passes(known)
    # Customer 1 has transactions that the merge left alone.
    assert not passes(known, "insert into analytics_dbt_staging.dim_customers_gone (customer_id) values (1)")
    assert passes(known, "delete from analytics_dbt_staging.dim_customers_gone where customer_id = 1")
    assert not passes(known, "delete from analytics_dbt_staging.dim_customers_delta where customer_id = 80")
    ((staged,),) = query(
        dsn("transformer"), "select pg_get_viewdef('analytics_dbt_staging.stg_customer_transactions')"
    )
    staged = staged.rstrip(";")
    once = f"create or replace view analytics_dbt_staging.stg_customer_transactions as ({staged})"
    again = f"select * from ({staged}) as again where transaction_id = 908"  # noqa: S608 - of this test
    assert passes(unique)
    assert not passes(unique, f"{once} union all {again}")
    assert passes(unique, once)
    assert dbt("run", "--full-refresh", "--exclude", "stg_customer_transactions")
    assert passes("every_customer_is_known")


def test_a_corrected_price_leaves_the_indexes_of_the_fact_alone(dsn: Dsn, dbt: Dbt, tmp_path: Path) -> None:
    chance = random.Random(10)
    records = {key: any_record(chance, key) for key in range(400)}
    load_file(dsn("loader"), write(tmp_path / "0.csv", records), "run-0", day=1)
    build_and_publish(dbt, dsn)
    customer, when, product, name, quantity = records[7].split(",")[1:6]
    corrected = {7: f"7,{customer},{when},{product},{name},{quantity},77.00,0.01\n"}
    load_file(dsn("loader"), write(tmp_path / "1.csv", corrected), "run-1", mode="merge", day=2)
    build_and_publish(dbt, dsn)
    updated = """
        select n_tup_upd, n_tup_hot_upd from pg_stat_user_tables
        where schemaname = 'analytics_sets' and relname = 'fact_transactions_s1'
    """
    deadline = time.monotonic() + 30
    while (found := query(dsn("postgres"), updated)) == [(0, 0)] and time.monotonic() < deadline:
        time.sleep(0.1)
    assert found == [(1, 1)]


def test_published_marts_hold_what_their_contracts_say(dsn: Dsn, dbt: Dbt, tmp_path: Path) -> None:
    chance = random.Random(11)
    records = {key: any_record(chance, key) for key in range(50)}
    load_file(dsn("loader"), write(tmp_path / "0.csv", records), "run-0", day=1)
    build_and_publish(dbt, dsn)
    for path in PROJECT.glob("models/*/*_*.yml"):
        for model in yaml.safe_load(path.read_text()).get("models", []):
            if model["name"] not in MARTS_HERE:
                continue
            table = f"analytics_sets.{model['name']}_s1"
            promised = {
                (
                    column["name"],
                    column["data_type"].replace(", ", ","),
                    any(one["type"] in ("not_null", "primary_key") for one in column.get("constraints", []))
                    or any(column["name"] in one.get("columns", []) for one in model["constraints"]),
                )
                for column in model["columns"]
            }
            columns = """
                select attname, format_type(atttypid, atttypmod), attnotnull from pg_attribute
                where attrelid = %s::regclass and attnum > 0 and attname <> 'set_number'
            """
            assert set(query(dsn("postgres"), columns, table)) == promised
            kinds = Counter(
                one["type"]
                for holder in (model, *model["columns"])
                for one in holder.get("constraints", [])
                if one["type"] != "not_null"
            )
            found = """
                select contype::text, count(*) from pg_constraint
                where conrelid = %s::regclass and contype <> 'n' and conname <> 'is_of_its_set' and convalidated
                group by 1
            """
            kept = dict(query(dsn("postgres"), found, table))
            assert kept == {kind[0]: number for kind, number in kinds.items()}, table


def test_only_marts_that_passed_all_their_tests_since_they_were_built_are_published(
    dsn: Dsn, dbt: Dbt, tmp_path: Path
) -> None:
    chance = random.Random(5)
    records = {key: any_record(chance, key) for key in range(100)}
    load_file(dsn("loader"), write(tmp_path / "0.csv", records), "run-0", day=1)
    assert dbt("run")
    with pytest.raises(
        RefusedError, match=r"passed .*: dim_customers, dim_products, dim_dates, fact_transactions, agg"
    ):
        publish(dsn)
    assert dbt("test", "--exclude", "test_type:unit", "fact_ties_to_ledger")
    with pytest.raises(RefusedError, match="passed since these marts were built: fact_transactions"):
        publish(dsn)
    assert dbt("test", "--exclude", "test_type:unit")
    assert publish(dsn) == PublishedSet(1, 1, changed=True)
    assert publish(dsn) == PublishedSet(1, 1, changed=False)
    for day, arguments in enumerate(([], ["--full-refresh"]), 2):
        changes = write(tmp_path / f"{day}.csv", {day * 1000: any_record(chance, day * 1000)})
        load_file(dsn("loader"), changes, f"run-{day}", mode="merge", day=day)
        assert dbt(*BUILD, *arguments)
        assert dbt("run", "--select", "dim_products", *arguments)
        with pytest.raises(RefusedError, match="fact_transactions is older than dim_products"):
            publish(dsn)
        assert dbt("run", "--select", "dim_products+", *arguments)
        with pytest.raises(RefusedError, match="built: dim_products, fact_transactions, agg_monthly_sales"):
            publish(dsn)
        assert dbt("test", "--select", "dim_products+", "--exclude", "test_type:unit")
        assert publish(dsn).load_id == day


def test_a_mart_that_fails_a_test_after_it_passed_is_not_published(dsn: Dsn, dbt: Dbt, tmp_path: Path) -> None:
    chance = random.Random(6)
    records = {key: any_record(chance, key) for key in range(100)}
    load_file(dsn("loader"), write(tmp_path / "0.csv", records), "run-0", day=1)
    assert dbt(*BUILD)
    with psycopg.connect(dsn("transformer")) as connection:
        connection.execute(
            "update analytics_dbt_staging.dim_customers"
            " set lifetime_transactions = lifetime_transactions + 1 where customer_id > 0"
        )
    assert not dbt("test", "--select", "customers_tie_to_staging")
    with pytest.raises(RefusedError, match="passed since these marts were built: dim_customers"):
        publish(dsn)


def test_other_models_and_failed_unit_tests_are_refused_and_then_everything_is_built(
    dsn: Dsn, dbt: Dbt, tmp_path: Path
) -> None:
    chance = random.Random(7)
    records = {key: any_record(chance, key) for key in range(100)}
    load_file(dsn("loader"), write(tmp_path / "0.csv", records), "run-0", day=1)
    assert build_and_publish(dbt, dsn).set_number == 1
    project = tmp_path / "dbt"
    shutil.copytree(PROJECT, project, ignore=shutil.ignore_patterns("target", "logs"))
    macro = project / "macros" / "staged_columns.sql"
    macro.write_text(macro.read_text().replace("coalesce(price > 0, false) as", "coalesce(price >= 0, false) as"))
    test = project / "models" / "aggregates" / "agg_monthly_sales.yml"
    test.write_text(test.read_text().replace("revenue_growth_percent: 200}", "revenue_growth_percent: 201}"))
    changed = parsed(project, tmp_path)
    assert changed(*BUILD, "--select", "agg_monthly_sales")
    with pytest.raises(RefusedError, match=r"models have changed .*: dim_customers, dim_dates, dim_products, fact"):
        publish(dsn)
    changes = write(tmp_path / "1.csv", {500: any_record(chance, 500)})
    load_file(dsn("loader"), changes, "run-1", mode="merge", day=2)
    assert changed(*BUILD)
    assert not changed("test", "--select", "test_type:unit")
    assert changed("test", "--exclude", "test_type:unit")  # it failed, whatever passes after it
    with pytest.raises(RefusedError, match=r"agg_monthly_sales \(failed: growth_is_against_the_previous"):
        publish(dsn)
    assert build_and_publish(changed, dsn) == PublishedSet(2, 2, changed=True)
