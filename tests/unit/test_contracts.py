"""The contract of the feed is the feed; what can't be obeyed is refused, by path, line and nearest word."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from audited_load.columns import Amount, CalendarDate, ControlTotal, Feed, Text, WholeNumber
from audited_load.contracts.build import build_feed
from audited_load.contracts.contract import read_contract
from audited_load.contracts.standard import check_standard
from audited_load.errors import RefusedError
from audited_load.warehouse.tables import CONFIRMED_BY, PROVENANCE
from command_line import call
from steps.data_cleaners import CONTRACT, CUSTOMER_TRANSACTIONS, RULES, TAKEN

ROOT = Path(__file__).parents[2]
TEXT = CONTRACT.read_text(encoding="utf-8")


def build(folder: Path, text: str) -> Feed:
    path = folder / "contract.yaml"
    path.write_text(text, encoding="utf-8")
    contract = read_contract(path)
    check_standard(contract)
    return build_feed(contract, RULES)


def line_of(text: str, word: str) -> int:
    return text[: text.index(word)].count("\n") + 1


def test_the_feed_is_what_it_was_before_the_contract() -> None:
    feed = CUSTOMER_TRANSACTIONS
    bigint, money = WholeNumber(0, 2**63 - 1), Amount(18, 4)
    assert [(column.name, column.required) for column in feed.columns] == [
        ("transaction_id", True), ("customer_id", False), ("transaction_date", True), ("product_id", True),
        ("product_name", False), ("quantity", False), ("price", False), ("tax", False),
    ]  # fmt: skip
    assert [column.kind for column in feed.columns if not isinstance(column.kind, CalendarDate)] == [
        bigint, bigint, bigint, Text(255), WholeNumber(-(2**31), 2**31 - 1), money, money,
    ]  # fmt: skip
    assert (feed.name, feed.key, feed.subject) == ("customer_transactions", "transaction_id", "customer_id")
    gross = ControlTotal("gross", ("quantity", "price"))
    assert feed.totals == (ControlTotal("quantity", ("quantity",)), gross, ControlTotal("tax", ("tax",)))
    tokens = {column.name: column.null_tokens for column in feed.columns}
    assert tokens.pop("product_name") == frozenset()
    assert {len(found) for found in tokens.values()} == {45}
    assert {r"\n", "\u2013", "n/a", "-nan(ind)"} <= tokens["price"]


def test_the_contract_keeps_the_standard(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("contract", "check", CONTRACT) == 0
    assert capsys.readouterr().out.startswith("customer-transactions 1.0.0: 8 columns of customer_transactions,")


def test_staging_says_of_each_column_what_the_contract_says() -> None:
    model = yaml.safe_load((ROOT / "dbt/models/staging/stg_customer_transactions.yml").read_text())["models"][0]
    currency = yaml.safe_load((ROOT / "dbt/dbt_project.yml").read_text())["vars"]["currency"]
    staged = {
        column["name"]: (column["data_type"], column["description"].replace("{{ var('currency') }}", currency))
        for column in model["columns"]
    }
    declared = yaml.safe_load(TEXT)["schema"][0]["properties"]
    assert declared
    for column in declared:
        assert staged[column["name"]] == (column["physicalType"], column["description"])


def test_no_column_of_a_contract_may_be_called_as_what_tables_and_staging_add() -> None:
    model = yaml.safe_load((ROOT / "dbt/models/staging/stg_customer_transactions.yml").read_text())["models"][0]
    added = {column["name"] for column in model["columns"]} - set(CUSTOMER_TRANSACTIONS.names)
    assert len(added) > 10
    assert added | {*PROVENANCE, CONFIRMED_BY, "generation", "sign"} <= TAKEN


def test_dbt_warns_when_the_load_is_older_than_the_contract_allows() -> None:
    sources = yaml.safe_load((ROOT / "dbt/models/staging/_sources.yml").read_text())["sources"]
    tables = {table["name"]: table for source in sources for table in source["tables"]}
    freshness = tables["published_load"]["config"]["freshness"]["warn_after"]
    (latency,) = [sla for sla in yaml.safe_load(TEXT)["slaProperties"] if sla["property"] == "latency"]
    assert (latency["value"], latency["unit"]) == (freshness["count"], freshness["period"][0])


@pytest.mark.parametrize(
    ("word", "wrong", "said"),
    [
        ("required: true", "requird: true", "properties[0].requird isn't supported: did you mean 'required'?"),
        ("required: true", "required: yes please", "properties[0].required must be true or false"),
        ("primaryKey: true", "partitioned: true", "properties[0].partitioned isn't supported"),
        ("logicalType: date", "logicalType: dat", "logicalType can't be 'dat': did you mean 'date'?"),
        ("v3.2.0", "v2.2.2", "apiVersion can't be 'v2.2.2'"),
        ("status: active\n", "", "status is missing"),
        ("property: idPrefix", "property: idPrefx", "property can't be 'idPrefx': did you mean 'idPrefix'?"),
        ("{property: rules, value: count}", "{property: rules, value: cont}", "is 'cont': did you mean 'count'?"),
        ("{property: rules, value: count}", "{property: rules, value: id}", "rules is 'id', whose rules read"),
        ("factors: [tax]", "factors: [taks]", "factors[0] is no column of numbers: did you mean 'tax'?"),
        ("value: customer_id", "value: custmer_id", "subject is no column: did you mean 'customer_id'?"),
        ("maxLength: 255", "maxLength: 0", "logicalTypeOptions can't hold for 'text'"),
        ("maxLength: 255", "minLength: 1", "minLength isn't supported: did you mean 'maxLength'?"),
        ('minimum: "1900-01-01"', 'minimum: "1900-13-01"', "logicalTypeOptions can't hold for 'date'"),
        ("physicalType: date", "physicalType: text", "physicalType can't be 'text' for the logicalType 'date'"),
        ("primaryKey: true", "primaryKey: false", "must hold one column with `primaryKey: true`, not 0"),
        ("name: tax\n", "name: price\n", "name is 'price' for a second time"),
        ("value: T}", "value: 7}", "idPrefix must be text"),
        ("version: 1.0.0", "version: 1.0", "version must be text"),
        ("status: active", "status: active\nstatus: draft", "status is there twice"),
    ],
)  # fmt: skip
def test_a_wrong_word_is_named_with_path_line_and_the_nearest_right_one(
    tmp_path: Path, word: str, wrong: str, said: str
) -> None:
    assert word in TEXT
    with pytest.raises(RefusedError) as refused:
        build(tmp_path, TEXT.replace(word, wrong, 1))
    (line,) = [line for line in refused.value.message.splitlines() if said in line]
    number = int(line.split(":")[0].removeprefix("  line "))
    if wrong and "primaryKey" not in said and "idPrefix must" not in said and "twice" not in said:
        assert abs(number - line_of(TEXT, word)) <= 8
    assert "contract check FILE" in refused.value.remedy


def test_a_fault_stands_on_its_very_line(tmp_path: Path) -> None:
    text = TEXT.replace("physicalType: bigint", "physicalTyp: bigint", 1)
    with pytest.raises(RefusedError, match=rf"line {line_of(text, 'physicalTyp: ')}: schema"):
        build(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("a: [", "this is no YAML"),
        ("a: &x 1\nb: *x\n", "an alias of YAML isn't supported"),
        ("- 1\n", "must be a mapping"),
        ("\x00", "characters that YAML doesn't know"),
        (f"a: {'x' * 2**20}", "more than 1024 KiB"),
    ],
)
def test_what_is_no_contract_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(RefusedError, match=said):
        build(tmp_path, text)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="can't be read: No such file"):
        read_contract(tmp_path / "none.yaml")


def test_only_what_is_obeyed_gives_the_contract_another_name(tmp_path: Path) -> None:
    feeds = [
        build(tmp_path, text)
        for text in (
            TEXT,
            f"# a comment\n{TEXT}",
            TEXT.replace("domain: sales", "domain: finance"),
            TEXT.replace('"n/a", ', ""),
        )
    ]
    assert [feed.contract == feeds[0].contract for feed in feeds] == [True, True, True, False]
