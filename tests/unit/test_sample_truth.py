"""The truth of a sample against a reader in plain Python that shares no code with the pipeline."""

import csv
import datetime
import re
import unicodedata
from collections import Counter
from decimal import Decimal
from io import BytesIO
from pathlib import Path

import pytest

from customer_pipeline.sample import generator, true_values
from customer_pipeline.sample.generator import describe, write_sample

COMMITTED = Path(__file__).parents[2] / "data" / "customer_transactions.csv"
RECORD = re.compile(rb'(?:"(?:[^"]|"")*"|[^",\n]*)(?:,(?:"(?:[^"]|"")*"|[^",\n]*))*\n')
NULLS = {"", "na", "n/a", "null", "none", "nan", "-"}
SMALL = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen"
)
TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
WORDS = {word: number for number, word in enumerate(SMALL.split())}
WORDS |= {word: 10 * number for number, word in enumerate(TENS.split(), start=2)}


class RefusedError(ValueError):
    pass


def split_records(data):
    """Cut whole records; a line that no record starts with is one broken record."""
    position = data.index(b"\n") + 1
    while position < len(data):
        match = RECORD.match(data, position)
        end = data.index(b"\n", position) + 1
        if match and len(next(csv.reader([match[0].decode(errors="replace")]))) == 8:
            end = match.end()
        yield data[position:end]
        position = end


def split_fields(record):
    if b"\0" in record:
        raise RefusedError
    try:
        text = record.decode()
    except UnicodeDecodeError as error:
        raise RefusedError from error
    if not RECORD.fullmatch(record):
        raise RefusedError
    fields = next(csv.reader([text[:-1]], strict=True)) if "\n" not in text[:-1] else ["\n"] * 8
    if len(fields) != 8:
        raise RefusedError
    return fields


def read_words(text):
    sign, total, group = 1, 0, 0
    whole, _, decimals = re.sub(r"[\s-]+", " ", text.lower()).partition(" point ")
    words = whole.split()
    if words[0] == "minus":
        sign, words = -1, words[1:]
    for word in words:
        if word == "hundred":
            group *= 100
        elif word == "thousand":
            total, group = total + group * 1000, 0
        elif word in WORDS:
            group += WORDS[word]
        elif word != "and":
            raise RefusedError
    return sign * Decimal(f"{total + group}.{''.join(str(WORDS[word]) for word in decimals.split())}")


def read_number(text, *, money):
    text = text.strip()
    if text.lower() in NULLS:
        return None
    if re.fullmatch(r"-?\d+(\.\d{1,4})?", text):
        number = Decimal(text)
    elif money and (match := re.fullmatch(r"(-?)(?:\$|USD )?(\d+|\d{1,3}(?:,\d{3})*(?=\.))(\.\d{1,4})?", text)):
        number = Decimal(match[1] + match[2].replace(",", "") + (match[3] or ""))
    elif money and (match := re.fullmatch(r"\((\d+\.\d+)\)", text)):
        number = -Decimal(match[1])
    elif re.fullmatch(r"[A-Za-z][A-Za-z -]+", text):
        number = read_words(text)
    else:
        raise RefusedError
    if not money and (number != int(number) or abs(number) >= 2**31):
        raise RefusedError
    return number


def read_id(text, letter):
    text = text.strip()
    if text.lower() in NULLS:
        return None
    match = re.fullmatch(rf"{letter}?(\d{{1,18}})(?:\.0+)?", text, re.IGNORECASE)
    if not match:
        raise RefusedError
    return int(match[1])


def read_date(text):
    match = re.fullmatch(r"(\d{4})([-/.])(\d\d)\2(\d\d)(?:[T ]\d\d:\d\d:\d\dZ?)?", text)
    if match:
        return datetime.date(int(match[1]), int(match[3]), int(match[4]))
    match = re.fullmatch(r"(\d\d)([-/.])(\d\d)\2(\d{4})", text)
    if not match:
        raise RefusedError
    return datetime.date(int(match[4]), int(match[3]), int(match[1]))


def read_name(text):
    text = re.sub(" {2,}", " ", text.strip(" "))
    if len(text) > 255 or any(unicodedata.category(character) == "Cc" for character in text):
        raise RefusedError
    return unicodedata.normalize("NFC", text) or None


def read_record(record):
    number, customer, date, product, name, quantity, price, tax = split_fields(record)
    values = (
        read_id(number, "T"),
        read_id(customer, "C"),
        read_date(date),
        read_id(product, "P"),
        read_name(name),
        read_number(quantity, money=False),
        read_number(price, money=True),
        read_number(tax, money=True),
    )
    if values[0] is None or values[3] is None:
        raise RefusedError
    return values


def read_all(data):
    """Clean a sample: the accepted values by transaction_id, and the counts."""
    winners, counts = {}, Counter(read=0, quarantined=0, duplicates=0, superseded=0)
    for record in split_records(data):
        counts["read"] += 1
        try:
            values = read_record(record)
        except ValueError:
            counts["quarantined"] += 1
            continue
        if (loser := winners.get(values[0])) is not None:
            fate = "duplicates" if loser == values else "superseded"
            counts[fate] += 1
            counts["quarantined"] += fate == "superseded"
        winners[values[0]] = values
    return winners, counts


def sample(rows, seed, dirt=0.025):
    out = BytesIO()
    truth = write_sample(out, rows, seed, dirt)
    return out.getvalue(), truth


@pytest.mark.parametrize(
    ("rows", "seed", "dirt"), [(1000, 42, 0.025), (7_301, 5, 0.025), (2_000, 6, 0.4), (100, 1, 0.0)]
)
def test_the_truth_is_what_a_plain_reader_finds(rows, seed, dirt):
    data, truth = sample(rows, seed, dirt)
    accepted, counts = read_all(data)
    assert dict(counts) == {name: truth[name] for name in ("read", "quarantined", "duplicates", "superseded")}
    assert truth["accepted"] == len(accepted)
    assert truth["read"] == rows == truth["accepted"] + truth["quarantined"] + truth["duplicates"]
    totals = {
        "quantity": sum(values[5] or 0 for values in accepted.values()),
        "gross": sum((values[5] or 0) * (values[6] or 0) for values in accepted.values()),
        "tax": sum(values[7] or 0 for values in accepted.values()),
    }
    assert {name: Decimal(total) for name, total in truth["totals"].items()} == totals


def test_the_truth_holds_across_chunks(monkeypatch):
    for module in (generator, true_values):
        monkeypatch.setattr(module, "CHUNK_ROWS", 1_500)
    test_the_truth_is_what_a_plain_reader_finds(3_700, 8, 0.025)


def test_describe_tells_the_same_truth_as_writing():
    assert describe(1000, 42) == sample(1000, 42)[1]


def test_reasons_add_up_to_the_quarantine_when_no_record_has_two():
    _, truth = sample(20_000, 3)
    twice = truth["reasons"]["price:not_finite"]  # price and tax are broken together, as are the two ids
    pairs = truth["reasons"]["product_id:not_an_id"]
    assert sum(truth["reasons"].values()) - truth["quarantined"] >= twice
    assert sum(truth["reasons"].values()) - truth["quarantined"] <= twice + pairs


@pytest.fixture(scope="module")
def accepted():
    return list(read_all(COMMITTED.read_bytes())[0].values())


def test_the_committed_sample_has_every_tier_of_customers(accepted):
    transactions = Counter(values[1] for values in accepted if values[1] is not None)
    gross = Counter()
    for values in accepted:
        gross[values[1]] += (values[5] or 0) * (values[6] or 0)
    assert len(transactions) > 200
    assert {"Gold" if n > 10 else "Silver" if n > 5 else "Bronze" for n in transactions.values()} == {
        "Gold",
        "Silver",
        "Bronze",
    }
    assert {sum(value > limit for limit in (5_000, 10_000)) for value in gross.values()} == {0, 1, 2}


def test_the_committed_sample_has_every_tier_of_products(accepted):
    prices, revenue = {}, Counter()
    for values in accepted:
        if values[6] is not None:
            prices.setdefault(values[3], []).append(values[6])
        revenue[values[3]] += (values[5] or 0) * (values[6] or 0)
    means = [sum(of_product) / len(of_product) for of_product in prices.values()]
    assert len(prices) > 100
    assert {sum(mean > limit for limit in (100, 1_000)) for mean in means} == {0, 1, 2}
    assert {sum(value > limit for limit in (10_000, 50_000)) for value in revenue.values()} == {0, 1, 2}


def test_the_committed_sample_covers_eighteen_months_with_gaps(accepted):
    assert len({values[2].replace(day=1) for values in accepted}) == 18
    months = {}
    for values in accepted:
        months.setdefault(values[1], set()).add(values[2].year * 12 + values[2].month)
    assert any(len(of) >= 3 and not any(month + 1 in of for month in of) for of in months.values())


def test_the_committed_sample_has_names_that_are_easily_spoilt(accepted):
    names = {values[4] for values in accepted}
    assert {None, "NA"} < names
    for mark in (",", '"', "é", "ü", "東京"):
        assert any(mark in name for name in names if name), mark


def test_a_product_of_the_committed_sample_is_renamed_over_time(accepted):
    names = {}
    for values in sorted(accepted, key=lambda values: values[2]):
        if values[4] and values[4] not in names.setdefault(values[3], []):
            names[values[3]].append(values[4])
    changed = [of for of in names.values() if len(of) > 1]
    assert changed
    assert all(after == f"{before} Mark II" for before, after in changed)


def test_returns_and_blanks_occur_in_the_committed_sample(accepted):
    assert any((values[5] or 0) < 0 for values in accepted)
    for place in (1, 4, 5, 6, 7):
        assert any(values[place] is None for values in accepted), place
