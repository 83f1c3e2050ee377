"""Every cell of every mart is what the definitions say: after a replace, after a merge of corrections, after its rollback."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from customer_pipeline.runtime.installation import Runtime
from marts.score import Mutation
from marts.states import walk, wrong_cells
from marts.world import make_worlds

Dsn = Callable[[str], str]


def test_every_cell_is_what_the_oracle_says(
    dsn: Dsn, runtime: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSTGRES_PORT", str(runtime.postgres_port))
    monkeypatch.setenv("TRANSFORMER_PASSWORD", runtime.secrets["transformer"])
    mutation = Mutation(dsn, 1)
    for state in walk(dsn, make_worlds(18), tmp_path):
        t = time.time()
        if os.environ.get("X") is None:
            assert not wrong_cells(dsn, state), state.name
        print(state.name, time.time() - t)
        t = time.time()
        mutation.try_in(state)
        print(state.name, time.time() - t)
    Path("/tmp/oracle/score.txt").write_text(str(mutation.score))
    print(str(mutation.score)[:3000])
