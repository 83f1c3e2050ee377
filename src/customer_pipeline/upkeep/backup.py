"""The warehouse of this clone → a folder from which it can be made again; see `restore`.

```
FOLDER/warehouse.dump   the database: tables, ledger, quarantine, marts, history; as of one moment
FOLDER/erasure.key      the key by which erased and masked ids are known again
FOLDER/contracts/       data contracts that runs were given from elsewhere
FOLDER/backup.json      what the dump holds, to the row and the last decimal, and its sha256; written last
```
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import psycopg
from psycopg import sql

from audited_load.content import hash_file
from audited_load.erasing.register import exists
from audited_load.errors import RefusedError, UnavailableError
from audited_load.shown import show_text
from customer_pipeline.contract_of_run import BROUGHT
from customer_pipeline.feed import TABLES
from customer_pipeline.names import CHECKED, DATABASE, MARTS, SANDBOX, STAGING
from customer_pipeline.runtime.installation import Runtime
from customer_pipeline.runtime.postgres_server import package_folder

DUMP, KEY, NOTE = "warehouse.dump", "erasure.key", "backup.json"
# What runs and developers build for a while: dumping it would keep them waiting, and they build it again.
_SCHEMAS_LEFT_OUT, _TABLE_LEFT_OUT = (STAGING, SANDBOX, CHECKED), (TABLES.schema, f"{TABLES.feed.name}_incoming")
_LEFT_OUT = (
    *(f"--exclude-schema={schema}" for schema in _SCHEMAS_LEFT_OUT),
    f"--exclude-table={'.'.join(_TABLE_LEFT_OUT)}",
)
_DUMPED = """
    select n.nspname, c.relname from pg_class as c inner join pg_namespace as n on c.relnamespace = n.oid
    where c.relkind in ('r', 'p') and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
        and n.nspname <> all(%s) and (n.nspname, c.relname) <> (%s, %s)
    order by 1, 2
"""
_VISIBLE = "select load_id, visible_rows, {names} from {published_load}"
_MARTS = """
    select c.relname from pg_class as c
    where c.relnamespace = to_regnamespace({schema}) and c.relkind in ('v', 'r') order by 1
"""


@dataclass(frozen=True)
class Holding:
    """What readers see, as figures that can be compared.

    Attributes:
        load_id: The load; None if nothing is published.
        rows: Rows of the cleaned view.
        totals: Its control totals, by name, as exact decimal text.
        ledger: The rows and control totals that the ledger says readers see.
        marts: Rows of each published mart.
    """

    load_id: int | None
    rows: int
    totals: dict[str, str]
    ledger: dict[str, str]
    marts: dict[str, int]

    @property
    def ties_out(self) -> bool:
        """Whether the ledger says the same of the cleaned view, to the row and the last decimal."""
        return self.load_id is None or {"rows": str(self.rows), **self.totals} == self.ledger


@dataclass(frozen=True)
class Backup:
    """What `backup.json` says.

    Attributes:
        made_at: When, in UTC, as ISO 8601.
        sha256: Of the dump.
        holding: What readers saw then.
    """

    made_at: str
    sha256: str
    holding: Holding


def write_backup(runtime: Runtime, folder: Path) -> Backup:
    """Write a backup. Runs, readers and commands may go on meanwhile: it is of one moment.

    Args:
        runtime: Whose warehouse; PostgreSQL must be up.
        folder: Where to; it must not be there yet. It holds a secret, so only its owner may look into it.

    Returns:
        What was written.

    Raises:
        RefusedError: The folder is there already.
        UnavailableError: The database can't be dumped.
    """
    if folder.exists():
        raise RefusedError(f"{show_text(str(folder), 4096)} is there already.", "Name a folder that is not.")
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)  # of one that was cut short
    part.mkdir(parents=True, mode=0o700)
    with psycopg.connect(runtime.dsn("postgres"), options="-c search_path=pg_catalog,pg_temp") as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        _hold_tables(connection)
        snapshot = connection.execute("select pg_export_snapshot()").fetchone() or ("",)
        holding = find_holding(connection)
        options = ["--format=custom", f"--snapshot={snapshot[0]}", f"--file={part / DUMP}", *_LEFT_OUT]
        run_client(runtime, "pg_dump", [*options, "--dbname", DATABASE])
    (part / KEY).write_text(runtime.secrets["erasure"])
    contracts = runtime.data / BROUGHT
    if contracts.is_dir():
        shutil.copytree(contracts, part / "contracts")
    backup = Backup(datetime.now(UTC).isoformat(timespec="seconds"), hash_file(part / DUMP), holding)
    for path in (part / KEY, part / DUMP):
        path.chmod(0o600)
    (part / NOTE).write_text(json.dumps(asdict(backup), indent=2) + "\n")
    part.rename(folder)
    return backup


def describe(backup: Backup) -> str:
    """Say in a line what a backup holds."""
    holding = backup.holding
    if holding.load_id is None:
        return f"Backup of {backup.made_at}: nothing is published in it."
    marts = ", ".join(f"{name} {rows:,}" for name, rows in holding.marts.items())
    return (
        f"Backup of {backup.made_at}: load {holding.load_id}, {holding.rows:,} rows, as the ledger says; {marts}."
    )


def find_holding(connection: psycopg.Connection) -> Holding:
    """Count and add up what readers see.

    Args:
        connection: To a warehouse, as the administrator.
    """
    if not exists(connection, TABLES, "published_load"):
        return Holding(None, 0, {}, {}, {})
    names = [total.name for total in TABLES.feed.totals]
    columns = sql.SQL(", ").join(sql.Identifier(f"visible_{name}") for name in names)
    visible = connection.execute(TABLES.fill(_VISIBLE, names=columns)).fetchone()
    counted = connection.execute(TABLES.fill("select count(*), {sums} from {view}", sums=TABLES.sums())).fetchone()
    found = counted or (0, *[0] * len(names))
    marts = connection.execute(sql.SQL(_MARTS).format(schema=sql.Literal(MARTS))).fetchall()
    return Holding(
        load_id=int(visible[0]) if visible else None,
        rows=int(found[0]),
        totals={name: str(value) for name, value in zip(names, found[1:], strict=True)},
        ledger=dict(zip(("rows", *names), map(str, visible[1:]), strict=True)) if visible else {},
        marts={name: _count(connection, name) for (name,) in marts},
    )


def run_client(runtime: Runtime, program: str, arguments: Sequence[str]) -> None:
    """Run one of PostgreSQL's own programs on the server of this clone, as the administrator.

    Args:
        runtime: Whose server.
        program: Such as `pg_dump`.
        arguments: For it.

    Raises:
        UnavailableError: It failed.
    """
    path = package_folder() / "pginstall" / "bin" / program
    place = ["--host", runtime.postgres_host, "--port", str(runtime.postgres_port), "--username", "postgres"]
    environment = os.environ | {"PGPASSWORD": runtime.secrets["postgres"]}
    command = [str(path), *place, "--no-password", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UnavailableError(
            f"{program} failed: {' '.join(done.stderr.split())[:1000]}",
            "Look at `make status`, and whether the disk is full; then try again. Nothing was changed.",
        )


def _hold_tables(connection: psycopg.Connection) -> None:
    """Lock all that is dumped against being dropped, before the transaction's snapshot is taken.

    `pg_dump` first looks at what there is and then locks it: it fails if a load drops an old generation in
    between.

    Args:
        connection: As the administrator, in REPEATABLE READ: looking and locking again begins a transaction anew.
    """
    while True:
        there = _find_dumped(connection)
        connection.rollback()
        try:
            if there:
                names = sql.SQL(", ").join(sql.Identifier(*name) for name in there)
                connection.execute(sql.SQL("lock table {} in access share mode").format(names))
            if _find_dumped(connection) == there:
                return
        except psycopg.errors.UndefinedTable:
            pass
        connection.rollback()


def _find_dumped(connection: psycopg.Connection) -> list[tuple[str, str]]:
    return connection.execute(_DUMPED, (list(_SCHEMAS_LEFT_OUT), *_TABLE_LEFT_OUT)).fetchall()


def _count(connection: psycopg.Connection, mart: str) -> int:
    statement = sql.SQL("select count(*) from {}").format(sql.Identifier(MARTS, mart))
    row = connection.execute(statement).fetchone()
    return int(row[0]) if row else 0
