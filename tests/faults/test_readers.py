"""Many readers beside many publishes: a moment of the wrong kind is rare, so that there must be many."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest

from faults.conftest import Server
from faults.driver import STEPS, run_step

SECONDS = 20
LOOK = """
    select count(*), (select visible_rows from cleaned_data.published_load)
    from cleaned_data.customer_transactions
"""


@pytest.mark.parametrize("isolation", ["read committed", "repeatable read"])
def test_a_reader_never_meets_an_empty_table(server: Server, tmp_path: Path, isolation: str) -> None:
    header = "transaction_id,customer_id,transaction_date,product_id,product_name,quantity,price,tax\n"
    with server.admin() as admin:
        admin.execute("drop schema if exists cleaned_data cascade")
        admin.execute("create schema cleaned_data authorization loader")
    seen: set[tuple[Any, ...]] = set()
    errors: list[BaseException] = []
    stop = threading.Event()

    def read() -> None:
        try:
            with psycopg.connect(server.runtime.dsn("reader"), autocommit=True) as connection:
                connection.execute(f"set default_transaction_isolation = '{isolation}'")  # type: ignore[call-overload]
                while not stop.is_set():
                    seen.add(tuple(connection.execute(LOOK).fetchone() or ()))
        except BaseException as error:
            errors.append(error)

    readers = [threading.Thread(target=read) for _ in range(6)]
    deadline, number = time.monotonic() + SECONDS, 0
    while time.monotonic() < deadline:
        rows = "".join(f"{n},1,2024-01-02,1,Thing,1,1,0\n" for n in range(50 + number % 7))
        (tmp_path / f"{number}.csv").write_text(header + rows)
        for step in STEPS:
            run_step(step, tmp_path, str(number), server.runtime.dsn("loader"))
        if number == 0:
            for reader in readers:
                reader.start()
        number += 1
    stop.set()
    for reader in readers:
        reader.join()
    assert not errors
    assert number > 5
    # In `read committed`, too, one statement has one state.
    assert seen <= {(rows, rows) for rows in range(50, 57)}
