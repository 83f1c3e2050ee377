"""The data of a warehouse that an earlier commit made survives, and its tables become those of a new one."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from audited_load.columns import Column, Text
from audited_load.erasing.register import list_erasures
from audited_load.errors import PipelineError, RefusedError, UnavailableError
from audited_load.loading.rollback import roll_back
from audited_load.warehouse.connection import connect
from audited_load.warehouse.create import create_tables, is_current
from audited_load.warehouse.operations import create_operations
from audited_load.warehouse.tables import Tables
from integration.loading import HEADER, TABLES, load_file, write_csv
from steps.data_cleaners import CUSTOMER_TRANSACTIONS

Dsn = Callable[[str], str]
WAREHOUSES = Path(__file__).with_name("warehouses")
COMMITS = ("c4123c5", "733cdaf")
MIGRATIONS = {
    "cleaned/0001_ledger_and_generations.sql": "27d67f705c8f4b8e",
    "cleaned/0002_days_confirmed.sql": "e281d17f64bf4047",
    "cleaned/0003_quarantine.sql": "bfadee4fea879dff",
    "cleaned/0004_erasures.sql": "31227d37de85b9a7",
    "cleaned/0005_published_loads_stay.sql": "b8b7ba1408fb92ed",
    "cleaned/0006_each_generation_has_its_key.sql": "5ad249f27e0c89d8",
    "cleaned/0007_contract_of_a_load.sql": "c15fc03a15bdfe83",
    "cleaned/0008_what_became_of_a_load.sql": "ef7f4a2caeac34cd",
    "cleaned/0009_copied_pieces.sql": "013ea973a4a4d1cd",
    "operations/0001_shapes_and_test_results.sql": "3c81537025f0a343",
    "operations/0002_refused_records.sql": "db695c18cce9d4cc",
}
DATA = """
    insert into cleaned_data.loads (
        run_id, run_date, generation, mode, source_name, sha256, bytes, read, accepted, quarantined, duplicates,
        superseded, inserted, updated, unchanged, outdated, visible_rows,
        total_quantity, total_gross, total_tax, visible_quantity, visible_gross, visible_tax,
        rule_counts, reason_counts, encoding, delimiter, header, started_at, published_at, status, code_version
    )
    select 'run-' || n, timestamptz '2025-12-01 00:00+00' + n * interval '1 day', case n when 1 then 1 end,
        'replace', 'a.csv', 'abc', 1, 3, 2, 1, 0, 0, case n when 1 then 2 end, case n when 1 then 0 end,
        case n when 1 then 0 end, case n when 1 then 0 end, 2, 4, 4.4, 0.1, 4, 4.4, 0.1,
        '{}', '{"quantity:not_a_number": 1}', 'utf-8', ',', '[]', now(), case n when 1 then now() end,
        case n when 1 then 'published' else 'unchanged' end, 'old'
    from generate_series(1, 2) as n;
    create table cleaned_data.customer_transactions_g1
    partition of cleaned_data.customer_transactions_generations for values in (1);
    insert into cleaned_data.customer_transactions_g1
    select n, 5, '2024-01-02', 7, 'Thing', 2, 1.10, 0.05, now(), 1, n, 1, 1 from generate_series(1, 2) as n;
    insert into cleaned_data.published (generation, load_id) values (1, 1);
    select nextval('cleaned_data.generation_numbers');
    insert into cleaned_data.customer_transactions_rejected_by_load (load_id, source_record, reasons, raw_record)
    values (1, 3, 'quantity:not_a_number: ''x'' is no number', '3,5,2024-01-02,7,Thing,x,1.10,0.05');
    insert into cleaned_data.erasures (subject) values ('hash');
    insert into operations.dbt_test_results (invocation_id, test_name, status, seconds)
    values ('i', 't', 'pass', 1);
"""
SHAPE = """
    select c.relname, c.relkind::text, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull
    from pg_class as c inner join pg_attribute as a on a.attrelid = c.oid
    where c.relnamespace in ('cleaned_data'::regnamespace, 'operations'::regnamespace)
        and c.relkind in ('r', 'p', 'v', 'i', 'S') and a.attnum > 0 and not a.attisdropped
        and c.relname !~ '_g[0-9]+|_incoming|schema_version'
        and (c.relname, a.attname) <> ('published_load', 'confirmed_for')
    order by 1, 3
"""

KEYS = """
    select conrelid::regclass::text, pg_get_constraintdef(oid) from pg_constraint
    where contype = 'p' and conrelid::regclass::text ~ 'cleaned_data.customer_transactions_g' order by 1
"""
OLD_KEY, NEW_KEY = "PRIMARY KEY (generation, transaction_id)", "PRIMARY KEY (transaction_id, generation)"


def query(dsn: str, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        return connection.execute(statement).fetchall()  # type: ignore[call-overload,no-any-return]


def make_warehouse(dsn: Dsn, commit: str) -> None:
    with psycopg.connect(dsn("loader"), autocommit=True) as connection:
        connection.execute("drop table if exists operations.dbt_test_results")
        connection.execute((WAREHOUSES / f"{commit}.sql").read_text())  # type: ignore[call-overload]
        connection.execute(DATA)  # type: ignore[call-overload]


def create_all(dsn: Dsn, tables: Tables = TABLES) -> None:
    with connect(dsn("loader")) as connection:
        create_tables(connection, tables, ("transformer", "reader"))
        create_operations(connection, tables, ("transformer", "reader"), ("transformer",))


def shape(dsn: Dsn) -> list[tuple[object, ...]]:
    return query(dsn("loader"), SHAPE)


@pytest.mark.parametrize("commit", COMMITS)
def test_a_warehouse_of_an_earlier_commit_keeps_its_data_and_becomes_a_new_one(
    dsn: Dsn, tmp_path: Path, commit: str
) -> None:
    create_all(dsn)
    fresh = shape(dsn)
    with psycopg.connect(dsn("postgres"), autocommit=True) as admin:
        admin.execute("drop schema cleaned_data cascade; create schema cleaned_data authorization loader")
        admin.execute("grant usage on schema cleaned_data to transformer, reader")
    make_warehouse(dsn, commit)
    create_all(dsn)
    create_all(dsn)
    assert shape(dsn) == fresh
    reader, loader = dsn("reader"), dsn("loader")
    rows = "select transaction_id, price::text from cleaned_data.customer_transactions order by 1"
    assert query(reader, rows) == [(1, "1.1000"), (2, "1.1000")]
    assert query(reader, "select status, records from cleaned_data.quarantine_counts") == [("open", 1)]
    assert query(reader, "select test_name from operations.dbt_test_results") == [("t",)]
    assert query(reader, "select records from operations.rejected_shapes") == [(1,)]
    confirmed = "select confirmed_for = run_date + interval '1 day' from cleaned_data.loads where load_id = 1"
    assert query(loader, confirmed) == [(True,)]
    with connect(loader) as connection:
        assert [erasure.subject for erasure in list_erasures(connection, TABLES)] == ["hash"]

    late = tmp_path / "late.csv"
    late.write_text(HEADER + "2,5,2024-01-02,7,Thing,2,3.00,0.05\n4,5,2024-01-02,7,Thing,2,1.10,0.05\n")
    load_file(loader, late, "run-3", mode="merge", day=9)
    assert query(reader, rows) == [(1, "1.1000"), (2, "3.0000"), (4, "1.1000")]
    with connect(loader) as connection:
        roll_back(connection, TABLES)
    assert query(reader, rows) == [(1, "1.1000"), (2, "1.1000")]
    load_file(loader, write_csv(tmp_path / "b.csv", range(5)), "run-4", day=10, force=True)
    assert len(query(reader, rows)) == 5
    names = [f"cleaned_data.customer_transactions_g{number}" for number in (1, 2)]
    assert query(loader, KEYS) == [(names[0], OLD_KEY), (names[1], NEW_KEY)]


def test_generations_keep_their_rows_and_their_index_when_they_get_a_key_of_their_own(dsn: Dsn) -> None:
    make_warehouse(dsn, COMMITS[0])
    loader = dsn("loader")
    index = "select oid, relfilenode from pg_class where relname = 'customer_transactions_g1_pkey'"
    before = query(loader, index)
    with psycopg.connect(loader, autocommit=True) as connection:
        parent = "cleaned_data.customer_transactions_generations"
        connection.execute(f"create table {parent[:-11]}g2 partition of {parent} for values in (2)")  # type: ignore[call-overload]
    with psycopg.connect(loader) as reader, psycopg.connect(loader, autocommit=True) as leaving:
        # Whoever has read it lets it be on its way out for as long as this transaction lasts.
        reader.execute(f"select from {parent}")  # type: ignore[call-overload]
        leaving.execute("set statement_timeout = '200ms'")
        with pytest.raises(psycopg.errors.QueryCanceled):
            leaving.execute(f"alter table {parent} detach partition {parent[:-11]}g2 concurrently")  # type: ignore[call-overload]
    create_all(dsn)
    attached = "select inhrelid::regclass::text, inhdetachpending from pg_inherits where inhparent = '{}'::regclass"
    assert query(loader, attached.format(parent)) == [("cleaned_data.customer_transactions_g1", False)]
    assert query(loader, index) == before
    assert len(query(dsn("reader"), "select from cleaned_data.customer_transactions")) == 2
    with pytest.raises(psycopg.errors.UniqueViolation):
        query(loader, f"insert into {parent} select * from {parent} limit 1 returning 1")  # noqa: S608


def test_two_at_once_make_one_warehouse(dsn: Dsn) -> None:
    failed: list[BaseException] = []

    def create() -> None:
        try:
            create_all(dsn)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=create) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    parts = "select part, count(*)::int, max(number) from cleaned_data.migrations group by 1 order by 1"
    assert query(dsn("loader"), parts) == [("engine", 9, 9), ("operations", 2, 2)]


def test_tables_that_are_newer_than_the_code_are_refused(dsn: Dsn) -> None:
    create_all(dsn)
    query(
        dsn("loader"),
        "insert into cleaned_data.migrations (part, number, name) values ('engine', 10, 'x') returning 1",
    )
    with connect(dsn("loader")) as connection:
        for function in (lambda: create_tables(connection, TABLES, ()), lambda: is_current(connection, TABLES)):
            with pytest.raises(RefusedError, match="newer than the code"):
                function()


def feed_with(column: Column, tmp_path: Path, *statements: str) -> Tables:
    """Return tables with a column more and migrations of their own."""
    for number, statement in enumerate(statements, 1):
        (tmp_path / f"{number:04}_it.sql").write_text(statement)
    columns = (*(one for one in CUSTOMER_TRANSACTIONS.columns if one.name != column.name), column)
    return Tables(replace(CUSTOMER_TRANSACTIONS, columns=columns), "cleaned_data", tmp_path)


REGION = Column("region", Text(50), required=False, null_tokens=frozenset(), rules=(), refusals=())
ADD = (
    "alter table {generations} add column if not exists region text;"
    " alter table {changes} add column if not exists region text"
)


def test_a_required_column_that_the_table_lacks_is_refused_with_a_remedy_and_before_anything_is_written(
    dsn: Dsn, tmp_path: Path
) -> None:
    load_file(dsn("loader"), write_csv(tmp_path / "a.csv", range(5)), "run-1")
    before = shape(dsn)
    folder = tmp_path / "migrations"
    folder.mkdir()
    with pytest.raises(RefusedError, match="region is absent in the table and text not null in the feed") as caught:
        create_all(dsn, feed_with(replace(REGION, required=True), folder))
    assert f"{tmp_path.name}/migrations/0001_WHAT.sql" in caught.value.remedy
    assert shape(dsn) == before


def test_a_column_of_another_type_is_refused(dsn: Dsn, tmp_path: Path) -> None:
    create_all(dsn)
    tables = feed_with(replace(REGION, name="quantity"), tmp_path)
    with pytest.raises(RefusedError, match="quantity is integer null in the table and text null in the feed"):
        create_all(dsn, tables)


def test_a_required_column_that_the_feed_lacks_is_refused(dsn: Dsn, tmp_path: Path) -> None:
    create_all(dsn, feed_with(replace(REGION, required=True), tmp_path, ADD.replace("text", "text not null")))
    with pytest.raises(RefusedError, match="region is text not null in the table and absent in the feed"):
        create_all(dsn)


def test_another_column_is_added_to_rows_that_are_there_and_stays_when_the_feed_lacks_it(
    dsn: Dsn, tmp_path: Path
) -> None:
    load_file(dsn("loader"), write_csv(tmp_path / "a.csv", range(2)), "run-1")
    create_all(dsn, feed_with(REGION, tmp_path))
    create_all(dsn)
    shown = "select transaction_id, region from cleaned_data.customer_transactions order by 1"
    assert query(dsn("reader"), shown) == [(0, None), (1, None)]
    load_file(dsn("loader"), write_csv(tmp_path / "b.csv", range(3)), "run-2")
    assert len(query(dsn("reader"), shown)) == 3


def test_a_migration_adds_a_column_to_rows_that_are_there_and_to_a_new_warehouse(dsn: Dsn, tmp_path: Path) -> None:
    create_all(dsn, feed_with(REGION, tmp_path, ADD))
    assert query(dsn("reader"), "select region from cleaned_data.customer_transactions") == []


def test_a_migration_that_fails_is_refused_and_leaves_nothing(dsn: Dsn, tmp_path: Path) -> None:
    create_all(dsn)
    before = shape(dsn)
    tables = feed_with(REGION, tmp_path, f"{ADD}; drop table nowhere")
    with pytest.raises(RefusedError, match=r"0001_it\.sql can't be applied.*nowhere"):
        create_all(dsn, tables)
    assert shape(dsn) == before
    (tmp_path / "0001_it.sql").write_text(ADD)
    create_all(dsn, tables)
    assert query(dsn("reader"), "select region from cleaned_data.customer_transactions") == []


def test_migrations_are_numbered_without_gaps(dsn: Dsn, tmp_path: Path) -> None:
    tables = feed_with(REGION, tmp_path, ADD)
    (tmp_path / "0003_more.sql").write_text("select 1")
    with pytest.raises(RefusedError, match="without gaps"):
        create_all(dsn, tables)


def test_a_migration_of_an_unknown_table_is_refused(dsn: Dsn, tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="names a table"):
        create_all(dsn, feed_with(REGION, tmp_path, "alter table {nothing} add column region text"))


def test_migrations_that_were_released_are_as_they_were() -> None:
    folder = Path(create_tables.__code__.co_filename).with_name("migrations")
    found = {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        for path in sorted(folder.rglob("*.sql"))
    }
    assert MIGRATIONS.items() <= found.items(), "add a migration instead of changing one"
    assert found.keys() == MIGRATIONS.keys(), "enter the new one here"


@pytest.mark.parametrize(
    ("statement", "kind", "words"),
    [
        ("select region from cleaned_data.loads", RefusedError, 'column "region" does not exist'),
        ("select 1 from cleaned_data.nowhere", RefusedError, "nowhere"),
        ("create schema mine", RefusedError, "permission denied"),
        ("selekt 'secret'", RefusedError, "syntax error"),
        ("do $$ begin raise 'secret'; end $$", RefusedError, "raise exception"),
        ("select pg_terminate_backend(pg_backend_pid())", UnavailableError, "terminating connection"),
    ],
)
def test_every_error_of_the_database_is_one_of_the_pipelines(
    dsn: Dsn, statement: str, kind: type[PipelineError], words: str
) -> None:
    create_all(dsn)
    with pytest.raises(kind, match=words) as caught, connect(dsn("loader")) as connection:
        connection.execute(statement)  # type: ignore[call-overload]
    assert "secret" not in str(caught.value)
    assert caught.value.remedy


def test_a_connection_that_is_closed_is_one_that_may_be_there_next_time(dsn: Dsn) -> None:
    def lose() -> None:
        with connect(dsn("loader")) as connection:
            connection.close()
            connection.execute("select 1")

    with pytest.raises(UnavailableError):
        lose()
