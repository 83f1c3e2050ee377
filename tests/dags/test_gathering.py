"""`clean_and_transform_csv` gathers the pieces of this cut, and nothing that Airflow has kept of one before."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from audited_load.errors import BadDataError, RefusedError
from steps import clean_transactions_pipeline as steps

MANIFEST = {
    "source": "a.csv", "sha256": "1", "bytes": 1, "encoding": "utf-8", "delimiter": ",", "header": [], "read": 0,
    "accepted": 0, "quarantined": 0, "duplicates": 0, "superseded": 0, "blank_lines": 0, "reasons": {}, "rules": {},
    "totals": {}, "ignored_columns": [], "cleaned_file": "", "rejected_file": "",
}  # fmt: skip


def piece(source: str, file: int, found: str = "new", **more: int) -> dict[str, Any]:
    return {"source": source, "file": file, "found": found, **more}


def shards(source: str, of: int, found: str = "new") -> list[dict[str, Any]]:
    return [piece(source, 0, found, shard=shard, of=of) for shard in range(of)]


def came_to(pieces: list[dict[str, Any]]) -> list[dict[str, Any]]:
    whole = {"file": MANIFEST | {"source": pieces[0]["found"]}} if pieces else {}
    return [{"piece": one} | ({"shard": one} if "shard" in one else whole) for one in pieces]


@pytest.fixture
def context(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A run whose large file `a.csv` was cut; the gathering of shards gives these back."""
    cut = {"plan": {"sha256": "1", "source": {"bytes": 9}}}
    noted: list[Any] = []
    monkeypatch.setattr(steps, "gather_file", lambda _group, _file, _cut, results: {"shards": results})
    monkeypatch.setattr(steps, "_cuts", lambda _group, _context: {"a.csv": cut})
    monkeypatch.setattr(steps, "feed_of", lambda _context, source: source)
    monkeypatch.setattr(steps, "unread_report", lambda source, sha256, size, _feed: (source, sha256, size))
    monkeypatch.setattr(steps, "note_refused", lambda _context, reports, _error: noted.extend(reports))
    return {"params": {"mode": "replace"}, "noted": noted, "ti": SimpleNamespace()}


@pytest.mark.parametrize("before", [2, 3, 5])
def test_shards_of_an_earlier_cut_are_not_gathered(context: Any, before: int) -> None:
    pieces, stale = shards("a.csv", 3), came_to(shards("a.csv", before, "old"))
    (gathered,) = steps._gather("group", pieces, [*came_to(pieces), *stale, None], context)
    assert gathered["shards"] == pieces
    with pytest.raises(BadDataError, match=r"1 of 1 files can't be used: a\.csv"):
        steps._gather("group", pieces, [*came_to(pieces[:2]), *stale], context)
    assert context["noted"] == [("a.csv", "1", 9)]


def test_a_file_of_before_does_not_take_the_place_of_the_fresh_one(context: Any) -> None:
    pieces = [piece("b.csv", 0), piece("c.csv", 1)]
    stale = came_to([piece("b.csv", 0, "old"), piece("c.csv", 1, "old")])
    gathered = steps._gather("group", pieces, [*came_to(pieces), *stale], context)
    assert [one["source"] for one in gathered] == ["new", "new"]
    with pytest.raises(BadDataError, match=r"1 of 2 files can't be used: c\.csv"):
        steps._gather("group", pieces, [*came_to(pieces[:1]), *stale], context)


def test_what_an_earlier_release_listed_is_refused_with_a_word(context: Any) -> None:
    with pytest.raises(RefusedError, match="An earlier release"):
        steps._gather("group", ["b.csv", "c.csv"], [MANIFEST, MANIFEST], context)  # type: ignore[list-item]
