"""One customer erased: no table of any schema and no file of the data folder holds the id, and totals stay."""

from __future__ import annotations

import csv
import gzip
import io
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
import zstandard
from psycopg import sql
from rich.console import Console

from audited_load.cleaning.clean_file import clean_file
from audited_load.content import hash_file
from audited_load.erasing import data_files, everywhere
from audited_load.erasing.everywhere import FILES, Places, look_everywhere
from audited_load.erasing.layout_files import write_layout_beside
from audited_load.erasing.register import list_erasures, read_erased
from audited_load.erasing.subjects import hash_subject
from audited_load.errors import BadDataError, RefusedError, UnavailableError
from audited_load.loading.batch import Delivery
from audited_load.loading.copy import copy_cleaned
from audited_load.loading.incoming import empty_incoming
from audited_load.loading.ledger import register_batch
from audited_load.loading.rollback import roll_back
from audited_load.marts.mart_sets import publish_marts
from audited_load.warehouse.connection import connect
from audited_load.warehouse.lease import acquire_lease, release_lease
from customer_pipeline.commands import erase
from customer_pipeline.feed import MARTS
from customer_pipeline.runtime.installation import Runtime
from customer_pipeline.storing.deliveries import attempt_folder, show_latest
from customer_pipeline.tasks.erased_customers import read_erased_customers
from integration.loading import MODELS, TABLES, load_file, prepare, publish
from integration.test_star_schema import dbt
from steps.data_cleaners import CUSTOMER_TRANSACTIONS
from unit.s3_server import running_server as running_s3

Dsn = Callable[[str], str]
ID = 730519642
HEADER = "transaction_id,customer_id,e_mail,transaction_date,product_id,product_name,quantity,price,tax\n"
MAIL = "jane@example.org"
WIDE = str(ID).translate({ord(str(digit)): 0xFF10 + digit for digit in range(10)})
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
        f'207, "{ID}", "{MAIL}", 2024-01-02, 1, "Thing, {day}", 2, 1.10, 0.05',  # only a csv reader splits it
        f"208,{ID}\0,{MAIL},2024-01-02,1,Thing,2,1.10,0.05",
        f"209,{WIDE},{MAIL},2024-01-02,1,Thing,2,1.10,0.05",  # its reason quotes it
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
        publish_marts(connection, MARTS, MODELS)
    kept = dbt(runtime, tmp_path / "target", "snapshot")
    assert kept.returncode == 0, kept.stdout


def places_of(runtime: Runtime, **other: Any) -> Places:
    console = Console(file=io.StringIO())
    return replace(erase.find_places(runtime, console), settling_seconds=0, **other)


def erase_it(runtime: Runtime, number: int = ID, **other: Any) -> dict[str, int]:
    return everywhere.erase_everywhere(places_of(runtime, **other), number, "somebody").counts


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
    with connect(dsn("transformer")) as connection:
        # What a developer has built, with a key that leads to it.
        connection.execute("create table analytics_sandbox.dim_customers (customer_id bigint primary key)")
        connection.execute(
            "create table analytics_sandbox.fact_transactions"
            " (customer_id bigint references analytics_sandbox.dim_customers)"
        )
        for table in ("dim_customers", "fact_transactions"):
            place = sql.Identifier("analytics_sandbox", table)
            connection.execute(sql.SQL("insert into {} values (%s)").format(place), (ID,))


def test_nothing_holds_the_customer_afterwards_and_totals_stay(pipeline: Runtime, dsn: Dsn, tmp_path: Path) -> None:
    load_three_days(pipeline, dsn, tmp_path)
    data, before = pipeline.data, totals(pipeline)
    for name, content in (
        ("again.csv.gz", gzip.compress(dirty(1).encode())),
        ("again.csv.zst", zstandard.compress(dirty(1).encode())),
        ("wide.csv", dirty(1).encode("utf-16")),
        ("latin.csv", dirty(1).replace("Other", "Café").replace(WIDE, str(ID)).encode("cp1252")),
        ("semicolon.txt", dirty(1).replace(",", ";").encode()),
        (".hidden/half.csv", dirty(1).encode()[:-20]),
    ):
        (data / "incoming" / name).parent.mkdir(exist_ok=True)
        (data / "incoming" / name).write_bytes(content)
    out = attempt_folder(data, "run-x", 1)
    write_layout_beside(clean_file(data / "incoming" / "one.csv", CUSTOMER_TRANSACTIONS, out))
    show_latest(out, data, ["customer_transactions_cleaned.csv", "customer_transactions_rejected.csv"])
    (data / "runs" / ".cleaning-left").mkdir()
    (data / "runs" / ".cleaning-left" / "0.csv").write_text(f"1,{ID}\n")
    assert find_in_tables(pipeline, str(ID))
    untouched = data / "incoming" / "others.csv"
    untouched.write_text(HEADER + "1,2,x@example.org,2024-01-02,1,Thing,2,1.10,0.05\n")
    stamp = untouched.stat()

    counts = erase_it(pipeline)

    assert find_in_tables(pipeline, str(ID), WIDE, MAIL) == []
    assert find_in_files(data, str(ID), WIDE, MAIL) == []
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
    assert find_in_tables(pipeline, str(ID), WIDE, MAIL) == []


def test_a_later_delivery_does_not_bring_the_customer_back(pipeline: Runtime, dsn: Dsn, tmp_path: Path) -> None:
    file = pipeline.data / "incoming" / "one.csv"
    file.write_text(dirty(1))
    load_file(dsn("loader"), file, "run-1")
    erase_it(pipeline)
    file.write_text(dirty(2))
    report = clean_file(file, CUSTOMER_TRANSACTIONS, tmp_path / "out", erased=read_erased_customers())
    assert report.rules["customer_id:erased"] > 10
    for path in (report.cleaned_file, report.rejected_file):
        assert find_in_files(Path(path).parent, str(ID), WIDE, MAIL) == []
    with connect(dsn("loader")) as connection:
        delivery = Delivery("run-2", datetime(2025, 12, 2, tzinfo=UTC), "replace")
        acquire_lease(connection, TABLES, "run-2", 1)
        batch = register_batch(connection, TABLES, [report], delivery)
        empty_incoming(connection, TABLES, batch)
        copy_cleaned(connection, dsn("loader"), TABLES, batch)
    publish(dsn("loader"), batch)  # the audit holds
    assert find_in_tables(pipeline, str(ID), WIDE, MAIL) == []


def test_what_was_cleaned_before_an_erasure_is_not_loaded_after_it(
    pipeline: Runtime, dsn: Dsn, tmp_path: Path
) -> None:
    """Files of a run of several are cleaned without the lease: the load brought the id back."""
    file = pipeline.data / "incoming" / "one.csv"
    file.write_text(dirty(1))
    load_file(dsn("loader"), file, "run-1")
    late = replace(clean_file(file, CUSTOMER_TRANSACTIONS, tmp_path / "out"), erased_known=0)
    erase_it(pipeline)
    with connect(dsn("loader")) as connection:
        delivery = Delivery("run-2", datetime(2025, 12, 2, tzinfo=UTC), "replace")
        with pytest.raises(RefusedError, match="A customer was erased after these files were cleaned"):
            register_batch(connection, TABLES, [late], delivery)
        assert register_batch(connection, TABLES, [replace(late, erased_known=1)], delivery).loads


def test_a_run_that_began_meanwhile_and_a_file_that_cannot_be_dealt_with(
    pipeline: Runtime, dsn: Dsn, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_file(dsn("loader"), _delivery(pipeline), "run-1")

    def refuse() -> None:
        raise UnavailableError("Run late is queued.", "Let it finish.")

    with pytest.raises(UnavailableError, match="Run late is queued"):
        erase_it(pipeline, refuse_beside_runs=refuse)
    with connect(dsn("loader")) as connection:
        assert read_erased(connection, TABLES) == frozenset()
    odd = pipeline.data / "odd.csv"
    odd.write_text(HEADER + f"1,{ID},{MAIL},2024-01-02,1,Thing,2,1.10,0.05\n")
    original = data_files.rewrite

    def rewrite(path: Path, *rest: Any) -> Any:
        if path == odd:
            raise IndexError
        return original(path, *rest)

    with monkeypatch.context() as patched:
        patched.setattr(data_files, "rewrite", rewrite)
        with pytest.raises(
            BadDataError, match=r"odd\.csv: it can't be read: IndexError\. All else is done"
        ) as caught:
            erase_it(pipeline)
    assert f"erase-customer {ID}" in caught.value.remedy
    assert find_in_tables(pipeline, str(ID), WIDE, MAIL) == []
    with connect(dsn("loader")) as connection:
        assert [one.finished_at for one in list_erasures(connection, TABLES)] == [None]
    erase_it(pipeline)
    assert find_in_files(pipeline.data, str(ID), MAIL) == []


def test_without_its_key_a_load_is_refused_rather_than_bring_somebody_back(
    pipeline: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = pipeline.data / "incoming" / "one.csv"
    file.write_text(dirty(1))
    assert read_erased_customers() is None  # nobody was erased: nothing to do, and no key needed
    erase_it(pipeline)
    monkeypatch.setenv("ERASURE_KEY", "")
    with pytest.raises(RefusedError, match="ERASURE_KEY is not set"):
        read_erased_customers()
    monkeypatch.setenv("ERASURE_KEY", "another")
    with pytest.raises(RefusedError, match="1 customers were erased with another ERASURE_KEY"):
        read_erased_customers()
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


@contextmanager
def killed(monkeypatch: pytest.MonkeyPatch, step: str, when: str) -> Iterator[None]:
    """Let an erasure die before or after one of its steps, and require that it does."""
    original = getattr(everywhere, step)

    def dies(*arguments: Any, **more: Any) -> Any:
        if when == "after":
            original(*arguments, **more)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(everywhere, step, dies)
        with pytest.raises(Killed):
            yield


@pytest.mark.parametrize(
    ("step", "when", "has_marts"),
    [
        ("enter_scrubbed", "after", False),
        ("erase_from_tables", "before", False),
        ("erase_from_tables", "after", False),
        ("clean_up", "before", False),
        ("drop_given_up", "before", True),
        ("_look_again", "before", True),
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
    with killed(monkeypatch, step, when):
        erase_it(pipeline)
    erase_it(pipeline)
    assert find_in_tables(pipeline, str(ID), WIDE, MAIL) == []
    assert find_in_files(pipeline.data, str(ID), WIDE, MAIL) == []
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


def test_no_other_machine_erases_in_the_same_store_meanwhile(pipeline: Runtime) -> None:
    with running_s3() as server:
        store = server.store()
        with (
            erase.alone_with(store, pipeline),
            pytest.raises(UnavailableError, match="Another erasure"),
            erase.alone_with(store, pipeline),
        ):
            pass
        with erase.alone_with(store, pipeline):
            pass


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


def test_a_dry_run_counts_what_goes_and_changes_nothing(pipeline: Runtime, dsn: Dsn) -> None:
    file = _delivery(pipeline)
    load_file(dsn("loader"), file, "run-1")
    before = _contents(dsn), _stamps(pipeline.data)
    found = look_everywhere(places_of(pipeline), ID)
    assert (_contents(dsn), _stamps(pipeline.data)) == before
    assert file in found.held
    assert not found.is_registered
    assert erase_it(pipeline) == found.counts, "and it counts just what goes"
    again = look_everywhere(places_of(pipeline), ID)
    assert (again.counts, again.held, again.is_registered) == ({}, [], True)


def _stamps(folder: Path) -> dict[Path, tuple[int, ...]]:
    """Tell all that changes when somebody writes; not when somebody reads."""
    stats = {path: path.stat() for path in folder.rglob("*")}
    return {path: (one.st_ino, one.st_size, one.st_mtime_ns, one.st_ctime_ns) for path, one in stats.items()}


def _contents(dsn: Dsn) -> list[Any]:
    with psycopg.connect(dsn("loader")) as connection:
        names = connection.execute(
            "select relname from pg_class where relnamespace = 'cleaned_data'::regnamespace and relkind = 'r'"
        ).fetchall()
        query = sql.SQL("select t.xmin::text, t::text from cleaned_data.{} as t order by 2")
        return [(name, connection.execute(query.format(sql.Identifier(name))).fetchall()) for (name,) in names]


def test_an_id_that_nothing_holds_is_refused_unless_it_is_meant(pipeline: Runtime, dsn: Dsn) -> None:
    load_file(dsn("loader"), _delivery(pipeline), "run-1")
    places, console, unknown = places_of(pipeline), Console(file=io.StringIO()), 999_888_777
    with pytest.raises(RefusedError, match="No table and no file holds customer 999888777") as caught:
        erase.erase(places, unknown, console)
    assert f"erase-customer {unknown} --even-if-unknown" in caught.value.remedy
    with connect(dsn("loader")) as connection:
        assert read_erased(connection, TABLES) == frozenset()
    erase.erase(places, unknown, console, even_if_unknown=True)
    erase.erase(places, unknown, console)  # it is known now
    erased = read_erased_customers()
    assert erased is not None
    assert erased.choose([unknown, ID]) == {unknown}


def test_the_end_says_what_is_left_or_that_nothing_is(pipeline: Runtime, dsn: Dsn, tmp_path: Path) -> None:
    load_file(dsn("loader"), _delivery(pipeline), "run-1")
    logs = tmp_path / "logs"
    (logs / "attempt").mkdir(parents=True)
    (logs / "attempt" / "1.log").write_text(f"Key (customer_id)=({ID}) is not present\n")
    note = pipeline.data / "note.txt"
    note.write_text(f"ask {ID} about it")
    out = io.StringIO()
    erase.erase(places_of(pipeline, artifacts=(logs,)), ID, Console(file=out, soft_wrap=True))
    assert f"{logs / 'attempt' / '1.log'}: 1 lines with these digits, 1 with the column's name" in out.getvalue()
    assert f"{note}: is no file of records" in out.getvalue()
    note.unlink()
    out = io.StringIO()
    erase.erase(places_of(pipeline, artifacts=(tmp_path / "none",)), ID, Console(file=out, soft_wrap=True))
    assert "Nothing is left" in out.getvalue()


def test_the_register_says_when_and_by_whom_and_no_id(
    pipeline: Runtime, dsn: Dsn, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also of an erasure from before it was kept by whom."""
    load_file(dsn("loader"), _delivery(pipeline), "run-1")
    key = pipeline.secrets["erasure"]
    with psycopg.connect(dsn("loader"), autocommit=True) as connection:
        connection.execute("drop table cleaned_data.migrations, cleaned_data.erasures")
        connection.execute(
            "create table cleaned_data.erasures (erasure_id bigint generated always as identity primary key,"
            " subject text not null, requested_at timestamptz not null default now(),"
            " finished_at timestamptz, counts jsonb not null default '{}')"
        )
        connection.execute("insert into cleaned_data.erasures (subject) values (%s)", (hash_subject(7, key),))
        assert [one.requested_by for one in list_erasures(connection, TABLES)] == [None]
        erase.erase(places_of(pipeline), ID, Console(file=io.StringIO()))
        _, mine = list_erasures(connection, TABLES)
    assert (mine.subject, mine.requested_by) == (hash_subject(ID, key), erase._who())
    assert mine.finished_at
    assert mine.counts[FILES] > 1
    monkeypatch.setattr(erase, "read_runtime", lambda: pipeline)
    assert erase.list_erased() == 0
    said = capsys.readouterr().out
    assert hash_subject(ID, key) in said
    assert f"by {erase._who()}" in said
    assert "not finished  by unknown" in said
    assert str(ID) not in said


def test_a_file_that_is_being_written_is_named_and_the_same_command_finishes_it(
    pipeline: Runtime, dsn: Dsn
) -> None:
    load_file(dsn("loader"), _delivery(pipeline), "run-1")
    upload = pipeline.data / "incoming" / "upload.csv"
    with upload.open("w") as out:
        out.write(dirty(3))
        out.flush()
        with pytest.raises(UnavailableError, match=r"still being written.*upload\.csv") as caught:
            erase_it(pipeline)
    assert f"erase-customer {ID}`" in caught.value.remedy
    assert upload.read_text() == dirty(3)
    assert find_in_tables(pipeline, str(ID), WIDE, MAIL) == [], "all else is done"
    assert erase_it(pipeline)[FILES] == 1
    assert find_in_files(pipeline.data, str(ID), WIDE, MAIL) == []


def test_a_reader_who_holds_a_transaction_open_holds_up_no_load(
    pipeline: Runtime, dsn: Dsn, tmp_path: Path
) -> None:
    load_file(dsn("loader"), _delivery(pipeline), "run-1")
    build_marts(pipeline, tmp_path)
    leases: list[Any] = []

    def say(text: str) -> None:
        if text.startswith("Waiting for transactions"):
            with psycopg.connect(dsn("loader")) as connection:
                leases.extend(connection.execute("select count(*) from cleaned_data.lease").fetchall())

    with psycopg.connect(dsn("reader")) as reader:
        reader.execute("set transaction_timeout = 0")
        reader.execute("select count(*) from analytics.dim_customers")
        erase_it(pipeline, say=say, reader_seconds=1)
        with pytest.raises(psycopg.OperationalError):
            reader.execute("select 1")  # it lasted longer than it may
    assert leases == [(0,)], "no load waits for a reader"
    assert find_in_tables(pipeline, str(ID), WIDE, MAIL) == []
