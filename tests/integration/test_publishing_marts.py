"""Marts become visible all at once, after their tests, from one load."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from audited_load.errors import RefusedError, UnavailableError
from audited_load.marts.mart_sets import PublishedSet, drop_expired_sets, publish_marts, roll_back_marts
from audited_load.warehouse.connection import connect
from customer_pipeline.feed import MARTS
from customer_pipeline.runtime.installation import Runtime
from integration.loading import MARTS_HERE, MODELS, load_file, write_csv
from integration.test_star_schema import PROJECT, dbt

Dsn = Callable[[str], str]
TABLES = {
    "dim_customers": "create table {s}.dim_customers (customer_id bigint not null, value numeric(18, 4) not null,"
    " constraint a_key primary key (customer_id), check (customer_id >= -1))",
    "dim_products": "create table {s}.dim_products (product_id bigint primary key, {extra} name text)",
    "dim_dates": "create table {s}.dim_dates (date_day date primary key)",
    "fact_transactions": "create table {s}.fact_transactions (transaction_id bigint primary key,"
    " customer_id bigint not null, product_id bigint not null, value numeric(18, 4),"
    " transaction_date date not null default '2024-01-02')",
    "agg_monthly_sales": "create table {s}.agg_monthly_sales"
    " (customer_id bigint primary key, value numeric(18, 4))",
}
FILL = (
    "insert into {s}.dim_customers select n, {load} from generate_series(1, 5) as n",
    "insert into {s}.dim_products (product_id, name) select n, 'load {load}' from generate_series(1, 3) as n",
    "insert into {s}.dim_dates values ('2024-01-02')",
    "insert into {s}.fact_transactions select n, n % 5 + 1, n % 3 + 1, {load} from generate_series(1, {rows}) as n",
    "insert into {s}.agg_monthly_sales select customer_id, sum(value) from {s}.fact_transactions group by 1",
)
# One value if fact, dimensions and aggregate are of one load; several, or none, if they are not.
SEEN = """
    select f.facts, f.load, f.loads, f.total = a.total, s.load_id
    from (
        select count(*) as facts, min(f.value) as load, count(distinct (f.value, c.value, p.name)) as loads,
            sum(f.value) as total
        from analytics.fact_transactions as f
        left join analytics.dim_customers as c using (customer_id)
        left join analytics.dim_products as p using (product_id)
    ) as f
    cross join (select sum(value) as total from analytics.agg_monthly_sales) as a
    cross join analytics.published_marts as s
"""
KEYS = """
    select conrelid::regclass::text, confrelid::regclass::text from pg_constraint
    where contype = 'f' and connamespace = 'analytics_sets'::regnamespace and conrelid::regclass::text like '%fact%'
    order by 1, 2
"""
# As dbt makes it and fills it.
MACRO = (PROJECT / "macros" / "builds.sql").read_text()
MAKE_BUILDS = re.findall(r"create table .*?\);", MACRO, re.S)[0].replace("{{ builds() }}", "analytics_sets.builds")
NOTE = """
    insert into analytics_sets.builds
        (mart, relation, load_id, code, built_by, begun_at, built_at, is_tested)
    select c.relname, c.oid, %(load)s, %(code)s, 'test', clock_timestamp(), clock_timestamp(), true
    from pg_class as c
    where c.relname = %(name)s and c.relnamespace = 'analytics_dbt_staging'::regnamespace
    on conflict (mart) do update set (relation, load_id, code, begun_at, built_at)
        = row(excluded.relation, excluded.load_id, excluded.code, excluded.begun_at, excluded.built_at)
"""
PARTITIONS = (
    "select count(*) from pg_inherits where inhparent = any(array("
    "select oid from pg_class where relnamespace = 'analytics_sets'::regnamespace))"
)


def query(dsn: str, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(dsn) as connection:
        return connection.execute(statement).fetchall()  # type: ignore[call-overload,no-any-return]


def say_published(dsn: Dsn, load: int) -> None:
    """Let the ledger say that a load is published."""
    with psycopg.connect(dsn("loader"), autocommit=True) as connection:
        connection.execute("create table if not exists cleaned_data.published_load (load_id bigint)")
        connection.execute("grant usage on schema cleaned_data to transformer")
        connection.execute("grant select on cleaned_data.published_load to transformer")
        connection.execute("delete from cleaned_data.published_load")
        connection.execute("insert into cleaned_data.published_load values (%s)", (load,))


def build(
    dsn: Dsn, load: int, *, rows: int = 100, extra: str = "", code: str = "c", only: tuple[str, ...] = MARTS_HERE
) -> None:
    """Build marts as dbt does: the relation that was there before goes with cascade."""
    with psycopg.connect(dsn("transformer"), autocommit=True) as connection:
        connection.execute(MAKE_BUILDS)
        for name in only:
            kind = connection.execute(
                "select relkind::text from pg_class where oid = to_regclass(%s)", (f"{MARTS.staging}.{name}",)
            ).fetchone()
            if kind:
                connection.execute(f"drop {'view' if kind == ('v',) else 'table'} {MARTS.staging}.{name} cascade")  # type: ignore[call-overload]
            connection.execute(TABLES[name].format(s=MARTS.staging, extra=extra))  # type: ignore[call-overload]
            fill = FILL[MARTS_HERE.index(name)]
            connection.execute(fill.format(s=MARTS.staging, load=load, rows=rows))  # type: ignore[call-overload]
            connection.execute(NOTE, {"name": name, "load": load, "code": code})


def publish(dsn: Dsn) -> PublishedSet:
    with connect(dsn("transformer")) as connection:
        return publish_marts(connection, MARTS, MODELS)


def build_and_publish(dsn: Dsn, load: int, **more: Any) -> PublishedSet:
    say_published(dsn, load)
    build(dsn, load, **more)
    return publish(dsn)


def test_all_marts_are_published_with_their_load_and_keys(dsn: Dsn) -> None:
    for load in (1, 2):
        published = build_and_publish(dsn, load, rows=100 * load)
        assert published == PublishedSet(load, load, changed=True)
        assert query(dsn("reader"), SEEN) == [(100 * load, load, 1, True, load)]
    assert query(dsn("transformer"), KEYS) == [
        (f"analytics_sets.fact_transactions_s{n}", f"analytics_sets.{parent}_s{n}")
        for n in (1, 2)
        for parent in ("dim_customers", "dim_dates", "dim_products")
    ]


def test_where_they_were_built_they_can_still_be_asked_and_built_again(dsn: Dsn) -> None:
    build_and_publish(dsn, 1)
    assert query(dsn("transformer"), "select count(*) from analytics_dbt_staging.fact_transactions") == [(100,)]
    again = publish(dsn)
    assert (again.set_number, again.changed) == (1, False)
    build(dsn, 1)
    assert publish(dsn) == PublishedSet(2, 1, changed=True)


def test_a_mart_that_was_built_alone_is_published_with_the_others_as_they_were(dsn: Dsn) -> None:
    build_and_publish(dsn, 1)
    build(dsn, 1, rows=50, only=("fact_transactions", "agg_monthly_sales"))
    assert publish(dsn).set_number == 2
    assert query(dsn("reader"), SEEN) == [(50, 1, 1, True, 1)]
    keys = [row for row in query(dsn("transformer"), KEYS) if row[0].endswith("_s2")]
    parents = [f"analytics_sets.dim_{name}_s2" for name in ("customers", "dates", "products")]
    assert [parent for _, parent in keys] == parents
    checks = query(
        dsn("transformer"),
        "select count(*) from pg_constraint where conrelid = 'analytics_sets.dim_customers_s2'::regclass"
        " and contype in ('c', 'p')",
    )
    assert checks == [(3,)]


@pytest.mark.parametrize("only", [("dim_customers",), ("fact_transactions", "agg_monthly_sales")])
def test_marts_of_different_loads_are_refused(dsn: Dsn, only: tuple[str, ...]) -> None:
    build_and_publish(dsn, 1)
    before = query(dsn("reader"), SEEN)
    say_published(dsn, 2)
    build(dsn, 2, only=only)
    with pytest.raises(RefusedError, match="load 1"):
        publish(dsn)
    assert query(dsn("reader"), SEEN) == before


def test_marts_of_different_models_are_refused(dsn: Dsn) -> None:
    build_and_publish(dsn, 1)
    before = query(dsn("reader"), SEEN)
    build(dsn, 1, rows=7, code="others", only=("fact_transactions", "agg_monthly_sales"))
    with pytest.raises(
        RefusedError, match=r"The models have changed since .*: dim_customers, dim_dates, dim_products"
    ):
        publish(dsn)
    assert query(dsn("reader"), SEEN) == before
    build(dsn, 1, rows=7, code="others")
    assert publish(dsn).set_number == 2


def test_a_mart_older_than_what_it_is_built_from_is_refused(dsn: Dsn) -> None:
    build_and_publish(dsn, 1)
    build(dsn, 1, only=("dim_customers", "dim_dates", "fact_transactions"))
    with pytest.raises(RefusedError, match="from: agg_monthly_sales is older than fact_transactions"):
        publish(dsn)
    build(dsn, 1, only=("agg_monthly_sales",))
    assert publish(dsn).set_number == 2


def test_a_relation_that_took_the_place_of_a_built_one_has_no_record(dsn: Dsn) -> None:
    say_published(dsn, 1)
    build(dsn, 1)
    with psycopg.connect(dsn("transformer"), autocommit=True) as connection:
        connection.execute(
            "create table analytics_dbt_staging.other (like analytics_dbt_staging.agg_monthly_sales)"
        )
        connection.execute("drop table analytics_dbt_staging.agg_monthly_sales")
        connection.execute("alter table analytics_dbt_staging.other rename to agg_monthly_sales")
    with pytest.raises(RefusedError, match="agg_monthly_sales: no record of its build"):
        publish(dsn)


def test_a_warehouse_of_before_the_table_of_builds_goes_on(dsn: Dsn) -> None:
    for load in (1, 2):
        build_and_publish(dsn, load, rows=10 * load)
    with psycopg.connect(dsn("transformer"), autocommit=True) as connection:
        connection.execute("drop table analytics_sets.builds")
        for name in MARTS_HERE:  # as it was noted then
            note = '{"load": "2", "is_tested": true}'
            connection.execute(f"comment on view analytics_dbt_staging.{name} is '{note}'")  # type: ignore[call-overload]
    assert publish(dsn) == PublishedSet(2, 2, changed=False)
    say_published(dsn, 1)
    with connect(dsn("transformer")) as connection:
        assert roll_back_marts(connection, MARTS, 1) == PublishedSet(1, 1, changed=True)
    assert publish(dsn) == PublishedSet(1, 1, changed=False)
    assert query(dsn("reader"), SEEN) == [(10, 1, 1, True, 1)]
    build(dsn, 1, rows=5, only=("fact_transactions", "agg_monthly_sales"))
    with pytest.raises(RefusedError, match="dim_customers: no record of its build"):
        publish(dsn)
    assert build_and_publish(dsn, 3, rows=30).changed
    assert query(dsn("reader"), SEEN) == [(30, 3, 1, True, 3)]


def test_a_new_mart_gives_earlier_sets_up_and_one_that_is_gone_goes(dsn: Dsn) -> None:
    for load in (1, 2):
        say_published(dsn, load)
        build(dsn, load, only=MARTS_HERE[: 3 + load])
        with connect(dsn("transformer")) as connection:
            publish_marts(connection, MARTS, MODELS[: 3 + load])
    with connect(dsn("transformer")) as connection:
        assert roll_back_marts(connection, MARTS, 1) is None
    assert query(dsn("reader"), SEEN) == [(100, 2, 1, True, 2)]
    say_published(dsn, 3)
    build(dsn, 3, only=MARTS_HERE[:4])
    with connect(dsn("transformer")) as connection:
        assert publish_marts(connection, MARTS, MODELS[:4]).set_number == 3
    assert query(dsn("reader"), "select to_regclass('analytics.agg_monthly_sales')") == [(None,)]


def test_absent_marts_and_an_empty_ledger_are_refused_with_a_clear_word(dsn: Dsn) -> None:
    say_published(dsn, 1)
    with pytest.raises(RefusedError, match="dim_customers: absent"):
        publish(dsn)
    with psycopg.connect(dsn("loader"), autocommit=True) as connection:
        connection.execute("delete from cleaned_data.published_load")
    with pytest.raises(RefusedError, match="not all marts"):
        publish(dsn)


def test_a_reader_never_sees_two_loads_mixed_nor_none(dsn: Dsn) -> None:
    build_and_publish(dsn, 1)
    seen: set[tuple[Any, ...]] = set()
    errors: list[BaseException] = []
    done = threading.Event()

    def look() -> None:
        try:
            with psycopg.connect(dsn("reader")) as connection:
                while not done.is_set():
                    # Two statements of one transaction, as a report has them.
                    with connection.transaction():
                        (facts,) = connection.execute(
                            "select count(*) from analytics.fact_transactions"
                        ).fetchone() or (0,)
                        row = connection.execute(SEEN).fetchone() or ()
                    seen.add((facts, *row))
        except BaseException as error:
            errors.append(error)

    readers = [threading.Thread(target=look) for _ in range(2)]
    for reader in readers:
        reader.start()
    for load in range(2, 8):
        say_published(dsn, load)
        build(dsn, load, rows=100 * load)
        publish(dsn)
    done.set()
    for reader in readers:
        reader.join()
    assert not errors
    assert seen <= {(100 * n, 100 * n, n, 1, True, n) for n in range(1, 8)}
    assert len(seen) > 1


def test_a_report_that_began_before_two_publishes_ends_with_what_it_began_with(dsn: Dsn) -> None:
    build_and_publish(dsn, 1)
    with psycopg.connect(dsn("reader")) as connection:
        connection.execute("select count(*) from analytics.dim_products").fetchone()
        for load in (2, 3, 4):
            say_published(dsn, load)
            build(dsn, load)
            publish(dsn)
        assert connection.execute(SEEN).fetchone() == (100, 1, 1, True, 1)


def test_a_transaction_that_has_looked_at_no_mart_yet_may_still_look_at_what_it_began_with(dsn: Dsn) -> None:
    build_and_publish(dsn, 1)
    with psycopg.connect(dsn("reader")) as connection:
        connection.execute("select 1")
        for load in (2, 3, 4):
            build_and_publish(dsn, load)
        assert connection.execute(SEEN).fetchone() == (100, 1, 1, True, 1)


def test_old_sets_go_when_nobody_can_need_them(dsn: Dsn) -> None:
    for load in (1, 2, 3):
        build_and_publish(dsn, load)
    assert query(dsn("transformer"), PARTITIONS) == [(10,)]
    left = query(dsn("transformer"), "select set_number, is_dropped from analytics_sets.published_sets order by 1")
    assert left == [(2, False), (3, False)]


def test_a_set_that_is_being_read_stays_and_goes_later(dsn: Dsn) -> None:
    build_and_publish(dsn, 1)
    with psycopg.connect(dsn("reader")) as connection:
        connection.execute(SEEN).fetchone()
        build_and_publish(dsn, 2)
        build_and_publish(dsn, 3)
        assert connection.execute(SEEN).fetchone() == (100, 1, 1, True, 1)
    build_and_publish(dsn, 4)
    assert query(dsn("transformer"), PARTITIONS) == [(10,)]


def test_a_rollback_shows_the_marts_of_a_load_again(dsn: Dsn) -> None:
    build_and_publish(dsn, 1, rows=10)
    build_and_publish(dsn, 2, rows=20)
    say_published(dsn, 1)
    with connect(dsn("transformer")) as connection:
        assert roll_back_marts(connection, MARTS, 1) == PublishedSet(1, 1, changed=True)
        assert roll_back_marts(connection, MARTS, 1) == PublishedSet(1, 1, changed=False)
        assert roll_back_marts(connection, MARTS, 99) is None
    assert query(dsn("reader"), SEEN) == [(10, 1, 1, True, 1)]
    assert publish(dsn) == PublishedSet(1, 1, changed=False)
    assert build_and_publish(dsn, 3, rows=30).changed
    assert query(dsn("reader"), SEEN) == [(30, 3, 1, True, 3)]


def test_what_was_rolled_back_takes_no_place_of_what_a_rollback_needs(dsn: Dsn) -> None:
    build_and_publish(dsn, 1, rows=10)
    build_and_publish(dsn, 2, rows=20)
    say_published(dsn, 1)
    with connect(dsn("transformer")) as connection:
        assert roll_back_marts(connection, MARTS, 1)
        build_and_publish(dsn, 3, rows=30)
        drop_expired_sets(connection, MARTS)
        assert roll_back_marts(connection, MARTS, 2) is None
        assert roll_back_marts(connection, MARTS, 1) == PublishedSet(1, 1, changed=True)


def test_a_model_with_other_columns_replaces_what_readers_see(dsn: Dsn) -> None:
    build_and_publish(dsn, 1)
    build_and_publish(dsn, 2, extra="price numeric(18, 4),")
    assert query(dsn("reader"), "select count(price), count(*) from analytics.dim_products") == [(0, 3)]
    assert query(dsn("reader"), SEEN) == [(100, 2, 1, True, 2)]
    with connect(dsn("transformer")) as connection:
        assert roll_back_marts(connection, MARTS, 1) is None
    build_and_publish(dsn, 3, extra="price numeric(18, 4),")
    assert query(dsn("reader"), SEEN) == [(100, 3, 1, True, 3)]


@pytest.mark.parametrize(
    "lock",
    [
        "lock table analytics_dbt_staging.agg_monthly_sales in access exclusive mode",
        "lock table analytics_sets.fact_transactions in share mode",
        "lock table analytics_sets.published_sets in share mode",
        "lock table analytics_sets.published in share mode",
    ],
)
def test_killed_while_it_publishes_it_can_go_on(dsn: Dsn, lock: str) -> None:
    build_and_publish(dsn, 1)
    say_published(dsn, 2)
    build(dsn, 2, rows=200)
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
    assert query(dsn("reader"), SEEN) == [(100, 1, 1, True, 1)]
    assert publish(dsn).load_id == 2
    assert query(dsn("reader"), SEEN) == [(200, 2, 1, True, 2)]
    assert query(dsn("transformer"), PARTITIONS) == [(10,)]


def test_two_publishers_at_once_publish_once(dsn: Dsn) -> None:
    say_published(dsn, 1)
    build(dsn, 1)
    results: list[PublishedSet] = []
    threads = [threading.Thread(target=lambda: results.append(publish(dsn))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted((result.set_number, result.changed) for result in results) == [(1, False), (1, False), (1, True)]


def test_with_real_dbt_and_a_failing_test(runtime: Runtime, dsn: Dsn, tmp_path: Path) -> None:
    facts = "select count(*), min(load_id) from analytics.fact_transactions"
    for run in (1, 2):
        load_file(dsn("loader"), write_csv(tmp_path / f"{run}.csv", range(100 * run)), f"run-{run}", day=run)
        built = dbt(runtime, tmp_path / "target", "build")
        assert built.returncode == 0, built.stdout
        assert publish(dsn).changed
        assert query(dsn("reader"), facts) == [(100 * run, run)]
    tested = dbt(runtime, tmp_path / "target", "test")  # on the views that publishing leaves
    assert tested.returncode == 0, tested.stdout
    alone = dbt(runtime, tmp_path / "target", "run", "--select", "fact_transactions+")
    assert alone.returncode == 0, alone.stdout
    assert dbt(runtime, tmp_path / "target", "test").returncode == 0
    assert publish(dsn).changed
    assert len(query(dsn("transformer"), KEYS)) == 6
    load_file(dsn("loader"), write_csv(tmp_path / "3.csv", range(250)), "run-3", day=3)
    with pytest.raises(RefusedError, match="load 2"):
        publish(dsn)
    assert query(dsn("reader"), facts) == [(200, 2)]
