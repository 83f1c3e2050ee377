"""What the page says of a reason or a rule: all that are counted are explained, and no example is made up."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from audited_load.cleaning.clean_file import clean_file
from audited_load.reading.odd_records import QUOTE_IN_FIELD, SPACE_BESIDE_QUOTE
from audited_load.reading.records import END_MARK, HEADER_AGAIN
from customer_pipeline.feed import FEED
from pipeline_page.tabs.explained import RECORD_REFUSALS, explain, explain_all
from pipeline_page.views import rules_context

SAMPLE = Path(__file__).parents[2] / "data" / "customer_transactions.csv"
NOTES = (HEADER_AGAIN, END_MARK, f"record:{QUOTE_IN_FIELD}", f"record:{SPACE_BESIDE_QUOTE}")


def counted(folder: Path) -> Iterator[tuple[bool, str]]:
    """Give all names that a file of the sample's kind is counted by."""
    report = clean_file(SAMPLE, FEED, folder)
    yield from ((True, name) for name in report.reasons)
    yield from ((False, name) for name in report.rules)
    yield from ((False, name) for name in NOTES)
    for column in FEED.columns:
        yield from ((True, f"{column.name}:{refusal.name}") for refusal in column.refusals)
        yield from ((False, f"{column.name}:{rule.name}") for rule in (*column.wrappers, *column.rules))


def test_all_that_is_counted_is_explained(tmp_path: Path) -> None:
    names = list(counted(tmp_path / "out"))
    assert len(names) > 200
    unexplained = [name for is_refusal, name in names if explain(name, is_refusal=is_refusal) is None]
    assert unexplained == []
    of_records = {name.partition(":")[2] for is_refusal, name in names if is_refusal and name.startswith("record:")}
    assert of_records <= RECORD_REFUSALS.keys()


def test_an_explanation_is_that_of_the_rules_with_their_examples() -> None:
    (price,) = [column for column in FEED.columns if column.name == "price"]
    (exponent,) = [refusal for refusal in price.refusals if refusal.name == "exponent"]
    found = explain("price:exponent", is_refusal=True)
    assert found is not None
    assert found.texts == [exponent.why]
    assert found.examples == list(exponent.examples)
    assert found.sentence == f"Refused because the value {exponent.why}. Such as: {', '.join(exponent.examples)}"
    whole = explain("quantity:whole_float", is_refusal=False)
    assert whole is not None
    assert "501.0 → 501" in whole.examples


@pytest.mark.parametrize("name", ["net_price:exponent", "net_price:missing", "line_2:null_token"])
def test_a_column_of_another_contract_is_explained_by_a_rule_of_the_same_name(name: str) -> None:
    is_refusal = "token" not in name
    assert explain(name, is_refusal=is_refusal) is not None
    assert explain("net_price:nobody_knows", is_refusal=is_refusal) is None


def test_what_shows_nothing_is_seen_in_an_example_and_each_place_is_there_once() -> None:
    everything = [
        one for each in rules_context(explain_all())["columns"].values() for kind in each.values() for one in kind
    ]
    assert all(example.replace("→", "").isascii() for one in everything for example in one.examples)
    anchors = [one.anchor for one in everything]
    assert len(set(anchors)) == len(anchors) > 200
