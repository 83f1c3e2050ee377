"""Every cell of every mart is what the oracle says: after a replace, a merge of corrections, and its rollback."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from customer_pipeline.runtime.installation import Runtime
from marts.score import Mutation
from marts.states import walk, wrong_cells
from marts.world import make_worlds

Dsn = Callable[[str], str]


def test_every_cell_is_what_the_oracle_says_and_a_wrong_model_is_noticed(
    dsn: Dsn, runtime: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSTGRES_PORT", str(runtime.postgres_port))
    monkeypatch.setenv("TRANSFORMER_PASSWORD", runtime.secrets["transformer"])
    sample = Mutation(dsn, share=0.05)
    for state in walk(dsn, make_worlds(18), tmp_path):
        assert not wrong_cells(dsn, state), state.name
        sample.try_in(state)
    assert sample.score.outcomes
    assert not sample.score.survivors, str(sample.score)
