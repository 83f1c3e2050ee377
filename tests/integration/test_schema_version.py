"""Tables that the code doesn't fit are not written to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from audited_load.errors import RefusedError
from audited_load.warehouse.load import connect
from audited_load.warehouse.schema_version import VERSION, require_schema_version
from integration.loading import TABLES, load_file, write_csv

Dsn = Callable[[str], str]


def test_new_tables_and_those_from_before_there_were_versions_are_of_this_one(dsn: Dsn, tmp_path: Path) -> None:
    with connect(dsn("loader")) as connection:
        require_schema_version(connection, TABLES)
        require_schema_version(connection, TABLES)
        load_file(dsn("loader"), write_csv(tmp_path / "a.csv", range(5)), "run-1")
        connection.execute("drop table cleaned_data.schema_version")
        require_schema_version(connection, TABLES)
        assert connection.execute("select version from cleaned_data.schema_version").fetchall() == [(VERSION,)]


@pytest.mark.parametrize(("version", "word"), [(VERSION + 1, "older"), (VERSION - 1, "newer")])
def test_another_version_is_refused_and_named(dsn: Dsn, version: int, word: str) -> None:
    with connect(dsn("loader")) as connection:
        require_schema_version(connection, TABLES)
        with pytest.raises(RefusedError, match=word):
            require_schema_version(connection, TABLES, version)
    with psycopg.connect(dsn("loader")) as connection:
        assert connection.execute("select version from cleaned_data.schema_version").fetchall() == [(VERSION,)]
