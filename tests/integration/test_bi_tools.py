"""What an analyst's tool finds: comments of all that readers see, keys, bare names, temporary tables."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import URL, MetaData, Table, create_engine, func, inspect, select

from audited_load.marts.mart_manifest import Mart, read_marts
from audited_load.marts.mart_sets import publish_marts
from audited_load.warehouse.connection import connect
from customer_pipeline.feed import MARTS
from customer_pipeline.runtime.postgres_server import package_folder
from integration.loading import load_file, write_csv
from integration.test_merging_marts import BUILD, Dbt, Dsn, dbt, query, undo

__all__ = ["dbt"]

COMMENTS = """
    select n.nspname || '.' || c.relname as view, coalesce(a.attname, '') as column,
        case when a.attname is null then obj_description(c.oid) else col_description(c.oid, a.attnum) end
    from pg_class as c inner join pg_namespace as n on c.relnamespace = n.oid
    left join lateral (
        select null::name as attname, 0 as attnum union all
        select attname, attnum from pg_attribute where attrelid = c.oid and attnum > 0 and not attisdropped
    ) as a on true
    where n.nspname in ('analytics', 'analytics_history') and c.relkind in ('r', 'v')
"""


def publish(dsn: Dsn, models: tuple[Mart, ...]) -> None:
    with connect(dsn("transformer")) as connection:
        publish_marts(connection, MARTS, models)


def comments(dsn: Dsn) -> dict[tuple[str, str], str]:
    return {(view, column): text for view, column, text in query(dsn("reader"), COMMENTS)}


def test_all_that_readers_see_says_what_it_is_whatever_happens_to_it(dsn: Dsn, dbt: Dbt, tmp_path: Path) -> None:
    load_file(dsn("loader"), write_csv(tmp_path / "1.csv", range(60)), "run-1", day=1)
    assert dbt(*BUILD)
    models = read_marts(tmp_path / "target" / "manifest.json")
    publish(dsn, models)
    assert dbt("snapshot")
    first = comments(dsn)
    assert {name for name, text in first.items() if not text} == set()
    assert {view for view, _ in first} == {
        "analytics.published_marts",
        "analytics_history.customer_history",
        "analytics_history.product_history",
        *(f"analytics.{shown.name}" for shown in (*models, *MARTS.sums)),
    }
    assert first["analytics.dim_customers", "customer_id"] == "The customer; -1 is the unknown member."

    load_file(dsn("loader"), write_csv(tmp_path / "2.csv", range(58, 63), "7"), "run-2", mode="merge", day=2)
    assert dbt(*BUILD)
    publish(dsn, models)
    assert comments(dsn) == first
    assert undo(dsn)
    assert comments(dsn) == first

    with psycopg.connect(dsn("reader"), autocommit=True) as reader:
        # What an analyst builds on a view, in a session that stays open, holds up no publication.
        reader.execute("create temporary view mine as select customer_id from dim_customers")
        reader.execute("create temporary table kept as select * from dim_customers")
        assert dbt(*BUILD, "--full-refresh")
        changed = [
            replace(mart, description="Otherwise.") if mart.name == "dim_customers" else mart for mart in models
        ]
        publish(dsn, tuple(changed))
        assert reader.execute("select count(*) from mine").fetchone() == (8,)
        reader.execute("insert into kept select * from kept")
        assert reader.execute("select count(*) from kept").fetchone() == (16,)
    again = comments(dsn)
    assert again.pop(("analytics.dim_customers", "")) == "Otherwise.\nprimary key (customer_id)"
    assert again == {name: text for name, text in first.items() if name != ("analytics.dim_customers", "")}

    reflect_with_sqlalchemy(dsn)
    ask_with_psql(dsn)


def reflect_with_sqlalchemy(dsn: Dsn) -> None:
    """Find tables, columns, comments and keys as tools on SQLAlchemy do, and join by them."""
    place = conninfo_to_dict(dsn("reader"))
    engine = create_engine(
        URL.create(
            "postgresql+psycopg",
            username=str(place["user"]),
            password=str(place["password"]),
            host=str(place["host"]),
            port=int(place["port"] or 0),
            database=str(place["dbname"]),
        )
    )
    try:
        found = inspect(engine)
        assert found.default_schema_name == "analytics"
        assert {"dim_customers", "fact_transactions", "published_marts"} <= set(found.get_view_names())
        comment = found.get_table_comment("fact_transactions")["text"] or ""
        assert "primary key (transaction_id)" in comment
        keys = re.findall(r"^foreign key \((\w+)\) references (\w+)\.(\w+) \((\w+)\)$", comment, re.MULTILINE)
        assert ("customer_id", "analytics", "dim_customers", "customer_id") in keys
        metadata = MetaData()
        fact = Table("fact_transactions", metadata, autoload_with=engine)
        assert [column.name for column in fact.columns if not column.comment] == []
        joined, counted = fact, select(func.count())
        for column, schema, parent, parent_column in keys:
            other = Table(parent, metadata, schema=schema, autoload_with=engine)
            joined = joined.join(other, fact.c[column] == other.c[parent_column])  # type: ignore[assignment]
        with engine.connect() as connection:
            facts = connection.execute(select(func.count()).select_from(fact)).scalar_one()
            assert connection.execute(counted.select_from(joined)).scalar_one() == facts > 0
    finally:
        engine.dispose()


def ask_with_psql(dsn: Dsn) -> None:
    """Ask as the page on connecting says."""
    psql = package_folder() / "pginstall" / "bin" / "psql"
    commands = ["-c", r"\d+ dim_products", "-c", r"\dv+", "-c", "select * from dim_customers limit 1"]
    done = subprocess.run([psql, dsn("reader"), *commands], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "The product; -1 is the unknown member." in done.stdout
    assert "fact_transactions" in done.stdout
