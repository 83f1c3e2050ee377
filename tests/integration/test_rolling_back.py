"""The command `rollback`: the cleaned table, then the marts; killed between them, it is run again."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from audited_load.errors import RefusedError
from customer_pipeline.commands.take_back import take_back
from customer_pipeline.feed import MARTS
from integration.loading import TABLES, load_file, write_csv
from integration.test_merging_marts import Dbt, Dsn, build_and_publish, dbt, query

__all__ = ["dbt"]

SEEN = """
    select
        (select count(*) from cleaned_data.customer_transactions),
        (select load_id from analytics.published_marts),
        (select count(*) from analytics.fact_transactions)
"""


@pytest.mark.parametrize("mode", ["replace", "merge"])
def test_a_rollback_killed_before_the_marts_is_finished_by_another(
    dsn: Dsn, dbt: Dbt, tmp_path: Path, mode: str
) -> None:
    load_file(dsn("loader"), write_csv(tmp_path / "a.csv", range(20)), "run-1", day=1)
    build_and_publish(dbt, dsn)
    load_file(dsn("loader"), write_csv(tmp_path / "b.csv", range(30)), "run-2", mode=mode, day=2)
    build_and_publish(dbt, dsn)
    assert query(dsn("reader"), SEEN) == [(30, 2, 30)]

    if not (child := os.fork()):

        def die_at_the_marts(role: str) -> str:
            if role == "transformer":
                os.kill(os.getpid(), signal.SIGKILL)
            return dsn(role)

        try:
            take_back(die_at_the_marts, TABLES, MARTS)
        finally:
            os._exit(1)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    assert query(dsn("reader"), SEEN) == [(20, 2, 30)]

    done, shown = take_back(dsn, TABLES, MARTS)
    assert (done.load_ids, done.visible_load_id, done.rows) == ([2], 1, 20)
    assert shown
    assert shown.load_id == 1
    assert query(dsn("reader"), SEEN) == [(20, 1, 20)]
    with pytest.raises(RefusedError, match="no load to go back to"):
        take_back(dsn, TABLES, MARTS)
    assert query(dsn("reader"), SEEN) == [(20, 1, 20)]
