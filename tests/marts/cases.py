"""Lines as they are delivered first, and as they are corrected: what the models distinguish, case by case.

Each case has customers or products of its own, so that a sum lies at a limit or just above it, whatever else there
is.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import NamedTuple


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
    for customer, number in (("0", 5), ("108", 5), ("109", 10)):
        yield [*stays(_on(customer, *range(2, 2 + number))), (None, Said(customer, "2020-03-31", price="1"))]
    yield [*stays(_on("136", *[5] * 10)), (None, _on("136", 5)[0])]
    yield stays([*_on("137", 1, 2, 3, 4), *(line._replace(quantity="-1") for line in _on("137", 5, 6, 7))])
    yield stays(_on("106", 1, 2, 3, 4, 5, 5, 5, 6))
    yield stays(_on("107", *range(1, 10), 20, 20, 20, 21))
    # Of Gold ones, which a merge does not count anew: late ones, one on the very day, ends that move or stay.
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
    for customer, quantity in (("133", ""), ("134", "-1"), ("135", "1")):
        come, go = (Said(customer, day, price="2", quantity=quantity) for day in ("2020-03-28", "2020-03-27"))
        yield [*stays(_on(customer, *gold, 30)), (None, come), (None, come), (None, come)]
        yield [(go, gone), (go, gone), (go, None), (come, None)]
    yield [*stays(_on("130", *gold[:10], 12, 13, 14)), (_on("130", 11)[0], gone)]
    yield [*stays(_on("131", *[5] * 10)), (_on("131", 5)[0], gone)]
    yield [*stays(_on("132", *gold[:4], *gold[5:])), (_on("132", 5)[0], gone)]
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
    # Eleven prices whose mean would be another one if it were rounded twice; the sum of few taxes.
    key = next(keys)
    yield [(bought(key, one, "0.0001" if number < 5 else "0", tax="0.0001"), None) for number in range(11)]
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
        {"quantity": "0"}, {"quantity": "-2"}, {"price": ""}, {"price": "-2"}, {"price": "0"},
        {"quantity": "", "price": "", "tax": ""},
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
    yield [(Said("680", "2019-11-02", price="1"), None), (Said("681", "2021-05-31", price="1"), None)]
    yield [
        (Said("682", f"2020-{month:02}-{28 + month % 3 * (month != 2):02}", price="3"), None)
        for month in range(1, 13)
    ]
    yield [(Said("683", f"2020-{month:02}-01", price="3"), None) for month in range(1, 13)]
    yield [(Said("684", day, price="3"), None) for day in ("2020-02-29", "2021-02-28", "2020-12-27", "2021-01-03")]
