"""A run loads the content that it was asked for, and no other of that name."""

from __future__ import annotations

from pathlib import Path

import pytest

from audited_load.cleaning.clean_file import clean_file
from audited_load.erasing.register import enter_erasure, enter_scrubbed
from audited_load.errors import RefusedError
from audited_load.warehouse.connection import connect
from customer_pipeline.tasks import clean_one_file as pipeline
from integration.loading import TABLES, load_file, write_csv
from integration.test_merging import Dsn


def test_another_content_than_was_asked_for_is_refused(
    dsn: Dsn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "warehouse_dsn", lambda: dsn("loader"))
    file = write_csv(tmp_path / "day.csv", range(9))
    load_file(dsn("loader"), file, "run-1")
    asked = clean_file(file, TABLES.feed, tmp_path / "first").sha256
    other = clean_file(write_csv(file, range(8)), TABLES.feed, tmp_path / "second")
    pipeline._require_content(other, "")
    pipeline._require_content(other, other.sha256)
    with pytest.raises(RefusedError, match="another content"):
        pipeline._require_content(other, asked)
    # The same delivery without somebody who was erased is what was asked for.
    with connect(dsn("loader")) as connection:
        enter_erasure(connection, TABLES, "somebody", "a test")
        enter_scrubbed(connection, TABLES, "day.csv", 1, before=asked, after=other.sha256)
    pipeline._require_content(other, asked)
