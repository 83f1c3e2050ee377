"""One customer erased: no table of any schema and no file of the data folder holds the id, and totals stay."""

from __future__ import annotations

import csv
import gzip
import io
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
import zstandard
from psycopg import sql
from rich.console import Console

from audited_load.clean import clean_file
from audited_load.errors import BadDataError, RefusedError, UnavailableError
from audited_load.scrub_files import hash_file
from audited_load.warehouse.copy import copy_cleaned
from audited_load.warehouse.erased import hash_subject, read_erased
from audited_load.warehouse.incoming import empty_incoming
from audited_load.warehouse.lease import acquire_lease, release_lease
from audited_load.warehouse.load import Delivery, connect, register_batch
from audited_load.warehouse.marts import publish_marts
from audited_load.warehouse.rollback import roll_back
from customer_pipeline import erase
from customer_pipeline.settings import Runtime
from integration.loading import TABLES, load_file, prepare, publish
from integration.test_star_schema import dbt
from steps.data_cleaners import CUSTOMER_TRANSACTIONS
from steps.erased import leave_out_erased
from steps.files import attempt_folder, show_latest
from steps.tables import MARTS

Dsn = Callable[[str], str]
ID = 730519642
HEADER = "transaction_id,customer_id,e_mail,transaction_date,product_id,product_name,quantity,price,tax\n"
MAIL = "jane@example.org"
SPELLINGS = (f"{ID}", f"C{ID}", f"c{ID}", f"{ID}.0", f" {ID} ", f"00{ID}", f'"{ID}"')
TOTALS = "select count(*), sum(quantity), sum(quantity * price), sum(tax) from cleaned_data.customer_transactions"
COLUMNS = """
    select n.nspname, c.relname, a.attname from pg_class as c
    inner join pg_namespace as n on c.relnamespace = n.oid
    inner join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    where c.relkind in ('r', 'm', 'p', 'v', 't') and n.nspname not in ('pg_catalog', 'information_schema')
"""


def dirty(day: int) -> str:
    """Make a delivery with the customer in every spelling, in good, refused, superseded and broken records."""
    lines = [f"{100 + n},{text},{MAIL},2024-01-02,1,Thing,2,1.10,0.05" for n, text in enumerate(SPELLINGS)]
    lines += [
        f"{n},{n % 5 or ''},x@example.org,2024-01-{n % 28 + 1:02},{n % 3},Other,1,{day}.10,0.05"
        for n in range(300, 400)
    ]
    lines += [
        f"200,C{ID},{MAIL},31-02-2023,1,Thing,2,1.10,0.05",  # refused for another column
        f"201,{ID},{MAIL},2024-01-02,1,Thing,2,1.10,0.05",  # superseded by the next
        f"201,{ID},{MAIL},2024-01-03,1,Thing,3,1.10,0.05",
        f'202,{ID},"stray" quote,2024-01-02,1,Thing,2,1.10,0.05',  # can't be split
        f"203,{ID},{MAIL},2024-01-02",
        f'204,{ID},"{MAIL}\nsecond line",2024-01-02,1,Thing,2,{day}.10,bad',
        f"205,{ID},{MAIL},2024-01-02,1,Thing,{day},1.10,0.05",
        "206,1,x@example.org,2024-01-02,1,Thing,many,1.10,0.05",
    ]
    return HEADER + "\n".join(lines) + "\n"


@pytest.fixture
def pipeline(
    runtime: Runtime,
    dsn: Dsn,  # noqa: ARG001 - it empties the warehouse
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Runtime:
    """A data folder beside the warehouse, and dbt's project as the command finds it."""
    data = tmp_path / "data"
    (data / "incoming").mkdir(parents=True)
    mine = replace(runtime, data=data)
    project = tmp_path / "dbt"
    shutil.copytree(Path(__file__).parents[2] / "dbt", project, ignore=shutil.ignore_patterns("target", "logs"))
    environment = erase.process_environment
    monkeypatch.setattr(erase, "process_environment", lambda _: environment(mine) | {"PIPELINE_DBT": str(project)})
    for name, value in environment(mine).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv(
        "AIRFLOW_CONN_POSTGRES_DEFAULT",
        f"postgresql://loader:{mine.secrets['loader']}@127.0.0.1:{mine.postgres_port}/ebury",
    )
    return mine


def build_marts(runtime: Runtime, tmp_path: Path) -> None:
    built = dbt(runtime, tmp_path / "target", "build")
    assert built.returncode == 0, built.stdout
    with connect(runtime.dsn("transformer")) as connection:
        publish_marts(connection, MARTS, grace_seconds=3600)
    kept = dbt(runtime, tmp_path / "target", "snapshot")
    assert kept.returncode == 0, kept.stdout


def erase_it(runtime: Runtime, number: int = ID) -> dict[str, int]:
    return erase.erase_customer(runtime, TABLES, MARTS, number, Console(file=io.StringIO()))


def find_in_tables(runtime: Runtime, *needles: str) -> list[str]:
    """Search every column of every table and view of every schema, and the planner's statistics."""
    found = []
    with psycopg.connect(runtime.dsn("postgres"), autocommit=True) as connection:
        columns = connection.execute(COLUMNS).fetchall()
        columns.append(("pg_catalog", "pg_stats", "most_common_vals"))
        columns.append(("pg_catalog", "pg_stats", "histogram_bounds"))
        for schema, table, column in columns:
            statement = sql.SQL("select exists (select 1 from {} where {}::text ~ %s)").format(
                sql.Identifier(schema, table), sql.Identifier(column)
            )
            if connection.execute(statement, ("|".join(needles),)).fetchone() == (True,):
                found.append(f"{schema}.{table}.{column}")
    return found


def find_in_files(folder: Path, *needles: str) -> list[Path]:
    found = []
    for path in folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            if path.suffix == ".gz":
                content = gzip.decompress(content)
            elif path.suffix == ".zst":
                content = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(content)).read()
            if any(needle.encode(code) in content for needle in needles for code in ("utf-8", "utf-16-le")):
                found.append(path)
    return found


def totals(runtime: Runtime) -> tuple[Any, ...]:
    with psycopg.connect(runtime.dsn("reader")) as connection:
        seen = connection.execute(TOTALS).fetchone()  # type: ignore[arg-type]
        marts = connection.execute(
            "select count(*), sum(units_sold), sum(gross_amount), sum(tax_amount) from analytics.fact_transactions"
        ).fetchone()
    assert seen == marts
    return tuple(seen or ())


def load_three_days(pipeline: Runtime, dsn: Dsn, tmp_path: Path) -> None:
    """Two generations, a merge with corrections and late values, an incoming table, two sets of marts."""
    data = pipeline.data
    for day, (mode, name) in enumerate((("replace", "one"), ("replace", "two"), ("merge", "three")), 1):
        file = data / "incoming" / f"{name}.csv"
        file.write_text(dirty(day))
        load_file(dsn("loader"), file, f"run-{day}", mode=mode, day=day)
        if day == 2:
            build_marts(pipeline, tmp_path)
    late = data / "incoming" / "late.csv"
    late.write_text(dirty(9))
    load_file(dsn("loader"), late, "run-4", mode="merge", day=2)  # outdated: kept as JSON
    build_marts(pipeline, tmp_path)
    half = prepare(dsn("loader"), data / "incoming" / "two.csv", "run-5", mode="replace", day=9)
    with connect(dsn("loader")) as connection:
        empty_incoming(connection, TABLES, half)
        copy_cleaned(connection, dsn("loader"), TABLES, half)
        # The holders' leases of these runs are theirs no more.
        connection.execute("delete from cleaned_data.lease")


def test_nothing_holds_the_customer_afterwards_and_totals_stay(pipeline: Runtime, dsn: Dsn, tmp_path: Path) -> None:
    load_three_days(pipeline, dsn, tmp_path)
    data, before = pipeline.data, totals(pipeline)
    for name, content in (
        ("again.csv.gz", gzip.compress(dirty(1).encode())),
        ("again.csv.zst", zstandard.compress(dirty(1).encode())),
        ("wide.csv", dirty(1).encode("utf-16")),
        ("latin.csv", dirty(1).replace("Other", "Café").encode("cp1252")),
        ("semicolon.txt", dirty(1).replace(",", ";").encode()),
        (".hidden/half.csv", dirty(1).encode()[:-20]),
    ):
        (data / "incoming" / name).parent.mkdir(exist_ok=True)
        (data / "incoming" / name).write_bytes(content)
    out = attempt_folder(data, "run-x", 1)
    clean_file(data / "incoming" / "one.csv", CUSTOMER_TRANSACTIONS, out)
    show_latest(out, data, ["customer_transactions_cleaned.csv", "customer_transactions_rejected.csv"])
    (data / "runs" / ".cleaning-left").mkdir()
    (data / "runs" / ".cleaning-left" / "0.csv").write_text(f"1,{ID}\n")
    assert find_in_tables(pipeline, str(ID))
    untouched = data / "incoming" / "others.csv"
    untouched.write_text(HEADER + "1,2,x@example.org,2024-01-02,1,Thing,2,1.10,0.05\n")
    stamp = untouched.stat()

    counts = erase_it(pipeline)

    assert find_in_tables(pipeline, str(ID), MAIL) == []
    assert find_in_files(data, str(ID), MAIL) == []
    assert totals(pipeline) == before
    assert untouched.stat().st_mtime_ns == stamp.st_mtime_ns
    well_known = data / "customer_transactions_cleaned.csv"
    assert well_known.samefile(out / "customer_transactions_cleaned.csv")
    assert counts["kept sets of marts dropped"] >= 1
    assert counts["analytics_history.customer_history"] >= 1
    assert counts["cleaned_data.customer_transactions_rejected_by_load"] > 10
    assert all(counts.values())
    with psycopg.connect(dsn("loader")) as connection:
        row = connection.execute("select subject, finished_at is not null from cleaned_data.erasures").fetchone()
        lease = connection.execute("select count(*) from cleaned_data.lease").fetchone()
    assert row == (hash_subject(ID, pipeline.secrets["erasure"]), True)
    assert lease == (0,)
    # Other people's records are as they were, in the files as in the quarantine.
    assert (data / "incoming" / "one.csv").read_text().count("x@example.org") == 101
    assert find_in_tables(pipeline, "206,1,x@example.org")


def test_the_rows_go_to_the_unknown_member(pipeline: Runtime, dsn: Dsn, tmp_path: Path) -> None:
    file = pipeline.data / "incoming" / "one.csv"
    file.write_text(dirty(1))
    load_file(dsn("loader"), file, "run-1")
    build_marts(pipeline, tmp_path)
    counted = "select count(*) from analytics.fact_transactions where customer_id = %s"
    with psycopg.connect(dsn("reader"), autocommit=True) as reader:
        (own,) = reader.execute(counted, (ID,)).fetchone() or (0,)
        (unknown,) = reader.execute(counted, (-1,)).fetchone() or (0,)
        erase_it(pipeline)
        assert own > 0
        assert reader.execute(counted, (-1,)).fetchone() == (own + unknown,)
        assert (
            reader.execute("select 1 from analytics.dim_customers where customer_id = %s", (ID,)).fetchone() is None
        )


def test_a_rollback_after_it_still_ties_out_and_brings_nobody_back(pipeline: Runtime, dsn: Dsn) -> None:
    for day, mode in ((1, "replace"), (2, "merge")):
        file = pipeline.data / "incoming" / f"{day}.csv"
        file.write_text(dirty(day))
        load_file(dsn("loader"), file, f"run-{day}", mode=mode, day=day)
    erase_it(pipeline)
    with connect(dsn("loader")) as connection:
        roll_back(connection, TABLES)
    assert find_in_tables(pipeline, str(ID), MAIL) == []


def test_a_later_delivery_does_not_bring_the_customer_back(pipeline: Runtime, dsn: Dsn, tmp_path: Path) -> None:
    file = pipeline.data / "incoming" / "one.csv"
    file.write_text(dirty(1))
    load_file(dsn("loader"), file, "run-1")
    erase_it(pipeline)
    file.write_text(dirty(2))
    report = leave_out_erased("test", clean_file(file, CUSTOMER_TRANSACTIONS, tmp_path / "out"))
    assert report.rules["customer_id:erased"] > 10
    for path in (report.cleaned_file, report.rejected_file):
        assert find_in_files(Path(path).parent, str(ID), MAIL) == []
    with connect(dsn("loader")) as connection:
        delivery = Delivery("run-2", datetime(2025, 12, 2, tzinfo=UTC), "replace", "v1")
        acquire_lease(connection, TABLES, "run-2", 1)
        batch = register_batch(connection, TABLES, [report], delivery)
        empty_incoming(connection, TABLES, batch)
        copy_cleaned(connection, dsn("loader"), TABLES, batch)
    publish(dsn("loader"), batch)  # the audit holds
    assert find_in_tables(pipeline, str(ID), MAIL) == []


def test_without_its_key_a_load_is_refused_rather_than_bring_somebody_back(
    pipeline: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = pipeline.data / "incoming" / "one.csv"
    file.write_text(dirty(1))
    report = clean_file(file, CUSTOMER_TRANSACTIONS, tmp_path / "out")
    assert leave_out_erased("test", report) == report  # nobody was erased: nothing to do, and no key needed
    erase_it(pipeline)
    monkeypatch.setenv("ERASURE_KEY", "")
    with pytest.raises(RefusedError, match="ERASURE_KEY is not set"):
        leave_out_erased("test", report)
    monkeypatch.setenv("ERASURE_KEY", "another")
    with pytest.raises(RefusedError, match="1 customers were erased with another ERASURE_KEY"):
        leave_out_erased("test", report)
    before = file.read_bytes()
    with pytest.raises(RefusedError, match="another ERASURE_KEY"):
        erase_it(replace(pipeline, secrets={**pipeline.secrets, "erasure": "another"}))
    assert file.read_bytes() == before


def test_a_scrubbed_file_is_no_new_delivery(pipeline: Runtime, dsn: Dsn) -> None:
    """Merged again under a later day, an old file would win over its corrections."""
    file = pipeline.data / "incoming" / "one.csv"
    file.write_text(dirty(1))
    load_file(dsn("loader"), file, "run-1", mode="merge")
    before = hash_file(file)
    for number in (ID, 3):  # scrubbed twice
        erase_it(pipeline, number)
    assert hash_file(file) != before
    assert not load_file(dsn("loader"), file, "run-2", mode="merge", day=5).changed
    assert not load_file(dsn("loader"), file, "run-3", mode="replace", day=5).changed


class Killed(BaseException):
    """What a kill is to the program: nothing runs after it."""


@pytest.mark.parametrize(
    ("step", "when", "has_marts"),
    [
        ("enter_scrubbed", "after", False),
        ("erase_from_tables", "before", False),
        ("erase_from_tables", "after", False),
        ("clean_up", "before", False),
        ("drop_expired_sets", "before", True),
    ],
)
def test_killed_anywhere_it_is_finished_by_the_same_command(
    pipeline: Runtime,
    dsn: Dsn,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    when: str,
    has_marts: bool,
) -> None:
    load_file(dsn("loader"), _delivery(pipeline), "run-1")
    if has_marts:
        build_marts(pipeline, tmp_path)
    original = getattr(erase, step)

    def dies(*arguments: Any, **more: Any) -> Any:
        if when == "after":
            original(*arguments, **more)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(erase, step, dies)
        with pytest.raises(Killed):
            erase_it(pipeline)
    erase_it(pipeline)
    assert find_in_tables(pipeline, str(ID), MAIL) == []
    assert find_in_files(pipeline.data, str(ID), MAIL) == []
    with psycopg.connect(dsn("loader")) as connection:
        assert connection.execute("select count(*) from cleaned_data.erasures").fetchone() == (1,)


def _delivery(pipeline: Runtime) -> Path:
    file = pipeline.data / "incoming" / "one.csv"
    file.write_text(dirty(1))
    return file


def test_it_does_not_begin_while_a_run_holds_the_lease(pipeline: Runtime, dsn: Dsn) -> None:
    file = _delivery(pipeline)
    load_file(dsn("loader"), file, "run-1")
    with connect(dsn("loader")) as connection:
        acquire_lease(connection, TABLES, "run-2", 0)
        with pytest.raises(UnavailableError, match="run-2"):
            erase_it(pipeline)
        assert str(ID) in file.read_text()
        release_lease(connection, TABLES, "run-2")
        assert read_erased(connection, TABLES) == frozenset()


def test_a_table_of_somebody_elses_that_still_holds_the_customer_is_named(pipeline: Runtime, dsn: Dsn) -> None:
    load_file(dsn("loader"), _delivery(pipeline), "run-1")
    with psycopg.connect(dsn("transformer"), autocommit=True) as connection:
        connection.execute(
            "create materialized view analytics.mine as select customer_id from cleaned_data.customer_transactions"
        )
    with pytest.raises((BadDataError, UnavailableError), match=r"analytics\.mine|could not be built"):
        erase_it(pipeline)
    with psycopg.connect(dsn("transformer"), autocommit=True) as connection:
        connection.execute("drop materialized view analytics.mine")


def test_the_quarantine_knows_a_scrubbed_record_again(pipeline: Runtime, dsn: Dsn) -> None:
    file = _delivery(pipeline)
    load_file(dsn("loader"), file, "run-1")
    with psycopg.connect(dsn("loader"), autocommit=True) as connection:
        connection.execute(
            "insert into cleaned_data.customer_transactions_rejected_closed (reject_id, closed_by, seen_by)"
            " select reject_id, load_id, load_id from cleaned_data.customer_transactions_rejected_by_load"
        )
        erase_it(pipeline)
        rows = connection.execute(
            "select status, raw_record from cleaned_data.customer_transactions_rejected"
        ).fetchall()
    assert {status for status, _ in rows} == {"closed"}
    assert "200,,,31-02-2023,1,Thing,2,1.10,0.05" in {raw for _, raw in rows}
    refused = next(csv.reader([next(raw for _, raw in rows if raw.startswith("206"))]))
    assert refused[2] == "x@example.org"
