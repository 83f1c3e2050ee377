"""A small world of transactions in which every branch of every model is met, before and after a day of corrections.

Most of it is random, from a seed. The rest are cases: lines as they are delivered first, and as they are corrected. Each
has customers or products of its own, so that a sum lies at a limit or just above it, whatever else there is.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import date, timedelta
from itertools import count
from pathlib import Path
from typing import NamedTuple

from integration.loading import HEADER


class Said(NamedTuple):
    """What the supplier says of a transaction, as text; an empty one is unknown."""

    customer: str = "700"
    day: str = "2020-06-15"
    product: str = "900"
    name: str = ""
    quantity: str = "1"
    price: str = ""
    tax: str = "0.05"


Case = list[tuple[Said | None, Said | None]]
"""Lines before and after the corrections: None before is a new one, None after one that isn't delivered again."""


class World(NamedTuple):
    """Deliveries, each the lines by transaction_id."""

    without_unknown: dict[int, Said]
    whole: dict[int, Said]
    corrections: dict[int, Said]
    others: dict[int, Said]


def make_world(seed: int) -> World:
    """Make the deliveries: a first one that names every customer, the whole, and two days of corrections of the whole."""
    chance = random.Random(seed)
    ids = count(1000)
    whole, corrections, others = {}, {}, {}
    for number, case in enumerate([*customers(), *products(), *months(), *edges()]):
        for before, after in case:
            key = next(ids)
            if before is not None:
                whole[key] = before
            if after is not None:
                corrections[key] = after
            # Its other half some cases hold for another day.
            if after is not None and before is not None and number % 3 == 0:
                others[key] = after
    filler = {next(ids): any_line(chance) for _ in range(1900)}
    whole |= filler
    for day in (corrections, others):
        corrected = chance.sample(sorted(filler), 50)
        day |= {key: any_line(chance) for key in corrected[:40]} | {key: whole[key] for key in corrected[40:]}
        day |= {next(ids): any_line(chance) for _ in range(10)}
    corrections |= {next(ids): Said("", day, "14", price="5") for day in ("2019-10-31", "2021-08-01")}
    # On the other day whoever had no name gets one.
    others |= {key: line._replace(customer="650") for key, line in whole.items() if line.customer == ""}
    others = {key: line._replace(customer=line.customer or "651") for key, line in others.items()}
    without_unknown = {key: line for key, line in list(whole.items())[::2] if line.customer}
    return World(without_unknown, whole, corrections, others)


def any_line(chance: random.Random) -> Said:
    """Make a line of which few values are possible, so that there are ties and months without anything."""
    customer = "" if chance.random() < 0.02 else str(chance.randint(0, 40))
    day = chance.choice(["2020-01-31", "2020-02-29", "2020-03-01", "2020-05-10", "2020-12-31", "2021-01-01"])
    if chance.random() < 0.3:
        day = str(date(2020, 1, 1) + timedelta(days=chance.randrange(420)))
    return Said(
        customer,
        day,
        str(chance.randint(0, 25)),
        chance.choice(["", "Thing", "Other thing", "Third"]),
        chance.choice(["", "0", "1", "2", "-3", "70"]),
        chance.choice(["", "0", "-1.5", "1.1", "2.2", "33.3333", "500", "4000.0001"]),
        chance.choice(["", "0", "0.05", "-1", "7.25"]),
    )


def write(path: Path, lines: dict[int, Said]) -> Path:
    """Write a delivery; its records don't lie in the order of their ids."""
    path.parent.mkdir(parents=True, exist_ok=True)
    keys = sorted(lines, key=lambda key: (key * 7919) % 10007)
    path.write_text(HEADER + "".join(_record(key, lines[key]) for key in keys))
    return path


def _record(key: int, said: Said) -> str:
    return (
        ",".join((str(key), said.customer, said.day, said.product, said.name, said.quantity, said.price, said.tax))
        + "\n"
    )


def _on(customer: str, *days: int, price: str = "1", month: str = "2020-03") -> list[Said]:
    return [Said(customer, f"{month}-{day:02}", price=price) for day in days]


def customers() -> Iterator[Case]:
    """Tiers and the days on which they are reached, values at their limits, first and last days."""
    gone = Said("699")

    def stays(lines: list[Said]) -> Case:
        return [(line, None) for line in lines]

    # Tiers: one more, one less, another day.
    for customer, number in (("100", 5), ("101", 10)):
        lines = _on(customer, *range(2, 2 + number))
        yield [*stays(lines), (None, lines[0]._replace(day="2020-03-01"))]
    for customer, number in (("102", 6), ("103", 11)):
        lines = _on(customer, *range(2, 2 + number))
        yield [(lines[0], gone), *stays(lines[1:])]
    for customer, number in (("104", 6), ("105", 11)):
        lines = _on(customer, *range(2, 2 + number))
        yield [*stays(lines[:-1]), (lines[-1], lines[-1]._replace(day="2020-04-30"))]
    yield stays(_on("106", 1, 2, 3, 4, 5, 5, 5, 6))
    yield stays(_on("107", *range(1, 10), 20, 20, 20, 21))
    # Of Gold ones, which a merge does not count anew: late ones, one on the very day of Gold, ends that move or stay.
    gold = tuple(range(1, 15))
    yield [*stays(_on("110", *gold)), (None, Said("110", "2020-03-14", price="9"))]
    yield [*stays(_on("111", *gold)), (None, Said("111", "2020-03-11", price="9"))]
    yield [*stays(_on("112", *gold)), (None, Said("112", "2020-05-01", price="9"))]
    yield [*stays(_on("113", *gold)), (None, Said("113", "2020-02-01", price="9"))]
    yield [*stays(_on("114", *gold[:-1])), (_on("114", 14)[0], gone)]
    yield [*stays(_on("115", *gold)), (_on("115", 14)[0], gone)]
    yield [*stays(_on("116", *gold[:-2], 14)), (_on("116", 13)[0], gone)]
    yield [*stays(_on("117", *gold[1:])), (_on("117", 1)[0], gone)]
    yield [*stays(_on("118", *gold[:-1])), (_on("118", 14)[0], Said("118", "2020-03-13"))]
    yield [
        *stays(_on("119", *gold[:-1])),
        (_on("119", 14)[0], Said("119", "2020-03-14", price="2.5", quantity="-4")),
    ]
    yield [*stays(_on("120", *gold[:10])), (_on("120", 11)[0], Said("120", "2020-03-12", price="1"))]
    yield [*stays(_on("121", *gold, 20)), (_on("121", 15)[0], Said("121", "2020-03-16"))]
    # A Gold one at a limit of value, and some whose only known amount goes or comes.
    yield [
        *stays(_on("122", *gold, price="0")),
        (Said("122", "2020-03-20", price="10000"), Said("122", "2020-03-20", price="10000.0001")),
    ]
    yield [
        *stays(_on("123", *gold, price="0")),
        (Said("123", "2020-03-20", price="5000.0001"), Said("123", "2020-03-20", price="5000")),
    ]
    yield [*stays(_on("124", *gold, price="")), (Said("124", "2020-03-20", price="7"), Said("124", "2020-03-20"))]
    yield [*stays(_on("125", *gold, price="")), (Said("125", "2020-03-20"), Said("125", "2020-03-20", price="7"))]
    yield [*stays(_on("126", *gold, price="")), (None, Said("126", "2020-03-20"))]
    yield [*stays(_on("127", *gold, price="")), (Said("127", "2020-03-20", price="7"), gone)]
    yield [*stays(_on("128", *gold, price="")), (None, Said("128", "2020-03-20", price="0"))]
    yield [
        *stays(_on("129", *gold, price="")),
        (Said("129", "2020-03-12", quantity="-1", price="3"), Said("129", "2020-03-12", quantity="0", price="3")),
    ]
    # Values at their limits.
    limits = ("5000", "5000.0001"), ("5000.0001", "5000"), ("10000", "10000.0001"), ("10000.0001", "10000")
    for customer, (before, after) in enumerate((*limits, ("", "3"), ("3", ""), ("0", "-3"), ("-3", "0")), 140):
        yield [(Said(str(customer), price=before), Said(str(customer), price=after))]
        yield stays([Said(str(customer + 20), price=before, quantity="2"), Said(str(customer + 20))])
    # One leaves, one comes, one comes with the number 0's neighbours.
    yield [(Said("180", price="4"), Said("181", price="4"))]
    yield [(line, line._replace(customer="184")) for line in _on("183", *range(1, 13))]
    # Among those without a customer are enough for Gold, and for a high value.
    yield stays([Said("", f"2020-03-{day:02}", price="2000") for day in range(1, 13)])
    yield [(Said("", "2020-03-10", price="2000"), Said("185", "2020-03-10", price="2000"))]
    yield [(Said("186", "2020-03-10", price="2000"), Said("", "2020-03-10", price="2000"))]


def products() -> Iterator[Case]:
    """Names, prices and revenues at their limits, first and last days."""

    def sold(product: str, day: str = "2020-03-05", name: str = "", quantity: str = "1", price: str = "1") -> Said:
        return Said("701", day, product, name, quantity, price)

    keys = map(str, count(200))
    gone = sold("899")
    # Average prices at the limits; rounded down to one, rounded half up to more.
    for before, after in (
        (("100",), ("100.0001",)),
        (("100.0001",), ("100",)),
        (("1000",), ("1000.0001",)),
        (("1000.0001",), ("1000",)),
        (("100.0001", "100", "100"), ("100.0001", "100.0001", "100")),
        (("100.0001", "100"), ("99.9999", "100")),
        (("0.0001", "0.0002"), ("0.0001", "0.0004")),
        (("-0.0001", "-0.0002"), ("-0.0001", "-0.0004")),
        (("1", "2", "2"), ("1", "1", "2")),
        (("", ""), ("", "5")),
        (("", "5"), ("", "")),
        (("0",), ("",)),
        (("5", "5"), ("5", "6")),
    ):
        key = next(keys)
        yield [
            (sold(key, price=one), sold(key, price=other) if one != other else None)
            for one, other in zip(before, after, strict=True)
        ]
        yield [(sold(f"{key}0", price=one), None) for one in (*before, "")]
    # Revenues at the limits; other units of the same price.
    for before, after in (
        ("10000", "10000.0001"), ("10000.0001", "10000"), ("50000", "50000.0001"), ("50000.0001", "50000"),
    ):  # fmt: skip
        key = next(keys)
        yield [(sold(key, price=before), sold(key, price=after)), (sold(key, quantity=""), None)]
        yield [(sold(f"{key}0", price=before), None)]
    for before, after in (("1", "-1"), ("-1", "0"), ("", "3"), ("3", ""), ("0", ""), ("", "0")):
        key = next(keys)
        yield [(sold(key, quantity=before), sold(key, quantity=after))]
        yield [
            (sold(key := next(keys), quantity=""), None),
            (sold(key, quantity=before), sold(key, quantity=after)),
        ]
    # The lowest and the highest price go, or don't since another line has it, or come.
    for before, after in (
        (("1", "2", "3"), ("2", "2", "3")),
        (("1", "2", "3"), ("1", "2", "2")),
        (("1", "1", "3", "3"), ("2", "1", "3", "2")),
        (("1", "1", "3"), ("2", "2", "3")),
        (("2", "2"), ("1", "3")),
        (("1", "2"), ("2", "1")),
        (("1", "2", ""), ("", "2", "1")),
        (("1", "4", "2"), ("3", "4", "2")),
        (("4", "1", "2"), ("3", "1", "2")),
    ):
        key = next(keys)
        yield [
            (sold(key, price=one), sold(key, price=other) if one != other else None)
            for one, other in zip(before, after, strict=True)
        ]
    # Names: by day, then by id; a line without a name has none to give.
    early, late, later = "2020-03-01", "2020-03-02", "2020-03-03"
    for before, after in (
        ([(late, "B"), (early, "A")], [None, None]),
        ([(late, "A"), (late, "B"), (later, "")], [None, None, None]),
        ([(early, ""), (late, "")], [None, (late, "A")]),
        ([(early, "A"), (late, "B")], [None, (late, "")]),
        ([(early, "A"), (late, "B")], [None, (early, "B")]),
        ([(late, "B"), (early, "A")], [(early, "B"), None]),
        ([(early, "A"), (late, "B")], [None, (late, "C")]),
        ([(early, "A"), (late, "B")], [(later, "A"), None]),
        ([(early, "A"), (late, "B")], [(late, "A"), None]),
        ([(late, "A"), (early, "B")], [None, (late, "B")]),
        ([(early, "A"), (late, "B")], [None, (late, "B")]),
        ([(early, "A"), (late, "B")], [(early, "Z"), None]),
        ([None, (late, "B")], [(late, "A"), None]),
        ([(late, "B"), None], [None, (late, "A")]),
        ([(late, "B"), None], [None, (early, "A")]),
        ([(late, "B"), None], [None, (later, "A")]),
        ([(late, "B"), None, None], [None, (later, "C"), (later, "A")]),
        ([(late, "B"), None, None], [None, (later, "A"), (late, "C")]),
        ([(late, "B"), None], [None, (later, "")]),
        ([(late, ""), None], [None, (early, "A")]),
        ([(early, "A"), (late, "B")], [(later, "A"), (late, "")]),
        ([(late, "B")], [(late, "")]),
        ([(early, "A"), (late, "A")], [None, (late, "")]),
    ):
        key = next(keys)
        yield [
            (sold(key, *one) if one else None, sold(key, *other) if other else None)
            for one, other in zip(before, after, strict=True)
        ]
        # The same, and the line that gives the name goes to another product, or its units change.
    key = next(keys)
    yield [(sold(key, early, "A"), None), (sold(key, late, "B"), sold("899", late, "B"))]
    key = next(keys)
    yield [(sold(key, early, "A"), None), (sold(key, late, "B"), sold(key, late, "B", "5", "9"))]
    # First and last days move in, move out, or stay since another line has them.
    for before, after in (
        ([early, late, later], [late, None, None]),
        ([early, late, later], [None, None, late]),
        ([early, early, later, later], [late, None, None, late]),
        ([late, late], [early, later]),
        ([late, None], [None, early]),
        ([late, None], [None, later]),
        ([early, later], [later, early]),
    ):
        key = next(keys)
        yield [
            (sold(key, one) if one else None, sold(key, other) if other else None)
            for one, other in zip(before, after, strict=True)
        ]
    # One goes, one comes.
    key = next(keys)
    yield [(sold(key, name="Gone"), gone), (sold(key), gone)]
    yield [(sold(key := next(keys)), gone), (sold(key), gone)]
    yield [(None, sold(next(keys), name="New", price="1000.0001")), (None, sold(next(keys), quantity="", price=""))]


def months() -> Iterator[Case]:
    """Growth against the month before, gaps, the turn of a year, and what is unknown in a month."""
    keys = map(str, count(300))

    def bought(customer: str, month: str, price: str, **other: str) -> Said:
        return Said(customer, f"{month}-15", price=price, **other)

    one, two, three, four = "2020-11", "2020-12", "2021-01", "2021-02"
    for before, after in (
        ([(one, "100"), (two, "150"), (three, "300")], [None, None, None]),
        ([(one, "100"), (two, "150"), (three, "300")], [None, (two, "50"), None]),
        ([(one, "100"), (two, "150"), (three, "300")], [(one, "50"), None, None]),
        ([(one, "100"), (two, "150"), (three, "300")], [None, None, (three, "50")]),
        ([(one, "100"), (two, "150"), (three, "300")], [(one, "10"), (two, "20"), None]),
        ([(one, "100"), (two, "150"), (three, "300")], [None, (four, "150"), None]),
        ([(one, "100"), (three, "300"), None], [None, None, (two, "7")]),
        ([(one, "100"), (four, "300")], [None, (three, "300")]),
        ([(one, "100"), (two, ""), (three, "300")], [None, (two, "1"), None]),
        ([(one, "100"), (two, "1"), (three, "300")], [None, (two, ""), None]),
        ([(one, ""), (two, "5")], [None, (two, "6")]),
        ([(one, "0"), (two, "5")], [None, (two, "6")]),
        ([(one, "-50"), (two, "50")], [None, (two, "60")]),
        ([(one, "50"), (two, "-50")], [(one, "-50"), None]),
        ([(one, "0.0001"), (two, "50")], [(one, "0"), None]),
        ([(one, "800"), (two, "801")], [None, (two, "799")]),
        ([(one, "800"), (two, "799")], [None, (two, "801")]),
        ([(one, "3"), (two, "4")], [None, (two, "5")]),
        ([(two, "3"), None], [None, (three, "4")]),
        ([(three, "3"), None], [None, (two, "4")]),
        ([(one, "3"), (two, "5")], [None, (two, "5")]),
        ([("2019-12", "3"), (two, "5")], [None, (two, "6")]),
    ):
        key = next(keys)
        yield [
            (bought(key, *line) if line else None, bought(key, *other) if other else None)
            for line, other in zip(before, after, strict=True)
        ]
    # A line changes its customer, with the month that follows.
    key, other = next(keys), next(keys)
    yield [
        (bought(key, one, "10"), bought(other, one, "10")),
        (bought(key, two, "20"), None),
        (bought(other, two, "30"), None),
    ]
    # Several lines a month: products, prices, what is unknown of each and what is not valid.
    kinds = (
        {"product": "910"}, {"product": "911"}, {"product": "910", "price": "7"}, {"tax": ""}, {"quantity": ""},
        {"quantity": "0"}, {"quantity": "-2"}, {"price": ""}, {"price": "-2"}, {"price": "0"}, {"quantity": "", "price": "", "tax": ""},
        {"price": "2.0001"}, {"price": "0.0001"},
    )  # fmt: skip
    for before in kinds:
        key = next(keys)
        yield [(bought(key, two, "3")._replace(**before), None)]
        for after in kinds:
            if after != before and len(before) + len(after) < 5:
                key = next(keys)
                yield [
                    (bought(key, two, "3")._replace(**before), None),
                    (bought(key, two, "2")._replace(**after), None),
                ]
        key, after = next(keys), kinds[(kinds.index(before) + 4) % len(kinds)]
        yield [
            (bought(key, two, "3"), None),
            (bought(key, two, "2")._replace(**before), bought(key, two, "2")._replace(**after)),
            (bought(key, three, "3"), None),
        ]
        key = next(keys)
        yield [(bought(key, two, "3")._replace(**before), bought(key, two, "3")._replace(**after))]


def edges() -> Iterator[Case]:
    """The days at which the calendar begins and ends; a day of every month."""
    yield [(Said("680", "2019-11-02", price="1"), Said("680", "2020-02-02", price="1"))]
    yield [(Said("681", "2021-05-31", price="1"), None)]
    yield [
        (Said("682", f"2020-{month:02}-{28 + month % 3 * (month != 2):02}", price="3"), None)
        for month in range(1, 13)
    ]
    yield [(Said("683", f"2020-{month:02}-01", price="3"), None) for month in range(1, 13)]
    yield [(Said("684", day, price="3"), None) for day in ("2020-02-29", "2021-02-28", "2020-12-27", "2021-01-03")]
