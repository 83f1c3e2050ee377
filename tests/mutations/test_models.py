"""All mutants of all models; `-s` shows the score."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from customer_pipeline.runtime.installation import Runtime
from integration.conftest import dsn, runtime  # noqa: F401
from marts.score import Mutation
from marts.states import walk, wrong_cells
from marts.world import make_worlds

Dsn = Callable[[str], str]


@pytest.mark.timeout(1800)
def test_no_mutant_of_a_model_goes_unnoticed(
    dsn: Dsn,  # noqa: F811
    runtime: Runtime,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("POSTGRES_PORT", str(runtime.postgres_port))
    monkeypatch.setenv("TRANSFORMER_PASSWORD", runtime.secrets["transformer"])
    mutation = Mutation(dsn)
    for state in walk(dsn, make_worlds(18), tmp_path):
        assert not wrong_cells(dsn, state), state.name
        mutation.try_in(state)
    print(f"\n{mutation.score}")
    assert not mutation.score.survivors
    assert not mutation.score.stale
