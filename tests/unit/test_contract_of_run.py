"""Which contract a file is read by, and in which form."""

from __future__ import annotations

from pathlib import Path

import pytest

from audited_load.errors import RefusedError
from audited_load.form import UNDECLARED, Form
from customer_pipeline import contract_of_run
from customer_pipeline.contract_of_run import bring_contract, choose_feed, known_contracts, word_of
from steps.data_cleaners import CONTRACT, CUSTOMER_TRANSACTIONS
from unit.shop import CONTRACT as SHOP

USUAL = UNDECLARED.words()
COMMA = SHOP.replace(
    "    properties:\n", "    customProperties: [{property: decimal, value: comma}]\n    properties:\n", 1
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of contracts beside the default one, and a data folder."""
    (tmp_path / "contracts").mkdir()
    default = tmp_path / "contracts" / CONTRACT.name
    default.write_bytes(CONTRACT.read_bytes())
    monkeypatch.setattr(contract_of_run, "CONTRACT", default)
    (tmp_path / "data" / "incoming" / "shop").mkdir(parents=True)
    (tmp_path / "data" / "incoming" / "shop" / "a.csv").touch()
    return tmp_path


def put(folder: Path, text: str = SHOP, name: str = "shop") -> Path:
    path = folder / "contracts" / f"{name}.odcs.yaml"
    path.write_text(text)
    return path


def chosen(folder: Path, source: str = "incoming/shop/a.csv", **words: str) -> str:
    return choose_feed(folder / "data", source, words, USUAL).contract.id


def test_a_file_is_read_by_the_contract_that_is_named_or_that_its_path_fits(folder: Path) -> None:
    put(folder)
    assert chosen(folder) == "shop"
    assert chosen(folder, "incoming/b.csv") == "customer-transactions"
    assert chosen(folder, "incoming/b.csv", contract="shop") == "shop"
    assert chosen(folder, contract="customer-transactions") == "customer-transactions"


def test_a_contract_that_is_not_there_is_refused_with_the_nearest(folder: Path) -> None:
    put(folder)
    with pytest.raises(RefusedError, match=r"There is no contract 'shp': did you mean 'shop'\?"):
        chosen(folder, contract="shp")


def test_a_file_that_fits_two_contracts_is_refused(folder: Path) -> None:
    put(folder)
    put(folder, SHOP.replace("id: shop", "id: other"), "other")
    with pytest.raises(RefusedError, match="fits the patterns of 2 contracts: other, shop"):
        chosen(folder)
    assert chosen(folder, contract="other") == "other"


def test_two_contracts_of_one_id_are_refused(folder: Path) -> None:
    put(folder)
    put(folder, name="again")
    with pytest.raises(RefusedError, match="has the id 'shop', which another contract"):
        chosen(folder)


def test_a_broken_contract_stops_a_run_that_names_none(folder: Path) -> None:
    put(folder, SHOP.replace("logicalType", "logicaltype"))
    with pytest.raises(RefusedError, match="is no contract that can be obeyed"):
        chosen(folder)


def test_the_contract_goes_before_the_settings_and_a_param_before_the_contract(folder: Path) -> None:
    put(folder, COMMA)
    settings = UNDECLARED.words() | {"decimal": "point"}

    def decimal(source: str, **words: str) -> str:
        return choose_feed(folder / "data", source, words, settings).form.decimal

    assert decimal("incoming/shop/a.csv") == "comma"
    assert decimal("incoming/b.csv") == "point"
    assert decimal("incoming/b.csv", decimal="auto") == "auto"
    settings["decimal"] = "auto"
    assert decimal("incoming/shop/a.csv", decimal="point") == "point"


def test_a_word_that_somebody_gave_goes_before_the_contract_even_if_it_is_the_settings(folder: Path) -> None:
    put(folder, COMMA)
    settings = UNDECLARED.words() | {"decimal": "point"}
    feed = choose_feed(folder / "data", "incoming/shop/a.csv", {"decimal": "point"}, settings)
    assert feed.form.decimal == "point"


@pytest.mark.parametrize("name", ["a.csv.gz", "JAN.CSV", "Jan.csv.ZST", "b.csv"])
def test_a_pattern_fits_in_any_case_and_compressed(folder: Path, name: str) -> None:
    put(folder)
    assert chosen(folder, f"incoming/shop/{name}") == "shop"
    assert chosen(folder, f"incoming/shop/deeper/{name}") == "customer-transactions"
    put(folder, SHOP.replace("incoming/shop/*.csv", '"**/*.csv"'))
    assert chosen(folder, f"incoming/shop/deeper/{name}") == chosen(folder, name) == "shop"


@pytest.mark.parametrize("path", ['""', ".", "incoming/b**.csv", "incoming/b/", "/x/*.csv", "../*.csv", "a/**"])
def test_a_pattern_that_fits_no_file_is_refused(folder: Path, path: str) -> None:
    with pytest.raises(RefusedError, match="must be a pattern of files in the data folder"):
        contract_of_run.feed_by_contract(put(folder, SHOP.replace("incoming/shop/*.csv", path)))


def test_a_contract_that_is_not_active_is_read_by_name_only(folder: Path) -> None:
    put(folder, SHOP.replace("status: active", "status: draft"))
    assert chosen(folder) == "customer-transactions"
    assert chosen(folder, contract="shop") == "shop"


def test_what_one_contract_masks_no_other_may_show(folder: Path) -> None:
    put(folder)
    shown = SHOP.replace("id: shop", "id: other").replace("incoming/shop", "incoming/other")
    shown = shown.replace(
        "classification: personal\n        synonyms", "classification: internal\n        synonyms"
    )
    put(folder, shown.replace("        customProperties: [{property: masking, value: hash}]\n", ""), "other")
    with pytest.raises(RefusedError, match="The column email is masked by one of the contracts"):
        chosen(folder)
    assert chosen(folder, "b.csv") == "customer-transactions"


def test_records_of_two_versions_that_read_otherwise_are_not_repaired_together(folder: Path) -> None:
    data, elsewhere = folder / "data", folder / "mine.yaml"
    names = []
    for text in (SHOP, COMMA):
        elsewhere.write_text(text)
        bring_contract(str(elsewhere), data)
        names.append(("shop", contract_of_run.feed_by_contract(elsewhere).contract.sha256))
    feeds = [contract_of_run.feed_of_contracts([name], data) for name in names]
    assert [feed.form.decimal for feed in feeds] == ["auto", "comma"]
    with pytest.raises(RefusedError, match="The records are of several contracts"):
        contract_of_run.feed_of_contracts(names, data)
    assert contract_of_run.feed_of_contracts([(None, None)], data) == CUSTOMER_TRANSACTIONS


def test_a_replay_of_before_runs_named_contracts_goes_on(folder: Path) -> None:
    feed = choose_feed(folder / "data", "replayed/replay-1.csv", {}, USUAL)
    assert feed.contract == CUSTOMER_TRANSACTIONS.contract


def test_repaired_records_are_read_as_they_were_written(folder: Path) -> None:
    put(folder, COMMA)
    words = {"contract": "shop"}
    feed = choose_feed(folder / "data", "replayed/replay-1.csv", words, USUAL)
    assert (feed.contract.id, feed.form) == ("shop", Form("utf-8", "point", "day_first", ","))


def test_a_contract_from_elsewhere_is_brought_in_and_stays_known(folder: Path) -> None:
    data, elsewhere = folder / "data", folder / "mine.yaml"
    elsewhere.write_text(SHOP)
    word = bring_contract(str(elsewhere), data)
    assert word.startswith("shop@")
    assert chosen(folder, "incoming/b.csv", contract=word) == "shop"
    assert chosen(folder) == "customer-transactions"  # its pattern is not asked
    assert bring_contract(str(elsewhere), data) == word
    elsewhere.write_text(COMMA)
    assert bring_contract(str(elsewhere), data) != word
    assert [known.word.partition("@")[0] for known in known_contracts(data)] == [
        "customer-transactions",
        "shop",
        "shop",
    ]
    feed = choose_feed(data, "incoming/b.csv", {"contract": word}, USUAL)
    assert word_of(feed, data) == word


def test_a_contract_that_is_known_is_not_copied_and_another_of_its_id_is_refused(folder: Path) -> None:
    data, path = folder / "data", put(folder)
    assert bring_contract(str(path), data) == "shop"
    assert bring_contract("shop", data) == "shop"
    assert not (data / "contracts").exists()
    (folder / "mine.yaml").write_text(COMMA)
    with pytest.raises(RefusedError, match="has the id 'shop', which another contract"):
        bring_contract(str(folder / "mine.yaml"), data)


def test_what_a_contract_says_is_part_of_what_names_a_load(folder: Path) -> None:
    put(folder)
    before = choose_feed(folder / "data", "incoming/shop/a.csv", {}, USUAL).contract
    default = folder / "contracts" / CONTRACT.name
    default.write_text(default.read_text().replace('"missing", ', ""))
    after = choose_feed(folder / "data", "incoming/shop/a.csv", {}, USUAL).contract
    assert before.sha256 == after.sha256
    assert before.base != after.base
    assert before.base == CUSTOMER_TRANSACTIONS.contract.sha256
