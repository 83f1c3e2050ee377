"""A small world of transactions in which every branch of every model is met, before and after a day of corrections.

Half of it is random, from a seed. The rest are cases.
"""

from __future__ import annotations

import random
from datetime import date, timedelta
from itertools import count
from pathlib import Path
from typing import NamedTuple

from integration.loading import HEADER
from marts.cases import Said, customers, edges, months
from marts.product_cases import products


class World(NamedTuple):
    """A delivery of everything, and days of corrections of it; each the lines by transaction_id."""

    whole: dict[int, Said]
    corrections: tuple[dict[int, Said], ...]


def make_worlds(seed: int) -> tuple[World, World]:
    """Make the deliveries: of a small world of regular customers, and of a large one in which everything is met."""
    return _regulars(), _everybody(seed)


def _regulars() -> World:
    """Everybody is known and Gold; and each day corrects a line or a few."""
    whole = {
        100 * customer + number: Said(str(customer), f"2020-03-{number:02}", "7", f"Name {number}", price="2")
        for customer in (1, 2)
        for number in range(1, 15)
    }
    leaves = whole[214]._replace(customer="3", day="2020-04-01", name="")
    corrections = [{214: leaves}, {113: whole[113]._replace(price="3")}]
    # The only line of the first month, or of the last, goes into the month beside it, as near as can be.
    whole |= {130: Said("1", "2020-01-20", "7", price="2"), 131: Said("1", "2020-06-01", "7", price="2")}
    corrections += [{130: whole[130]._replace(day="2020-02-01")}, {131: whole[131]._replace(day="2020-05-31")}]
    for case in (_prices_like_ids(), _days_like_ids(), _fewest_units()):
        whole |= {key: before for key, (before, _) in case.items()}
        corrections.append({key: after for key, (_, after) in case.items() if after})
    return World(whole, tuple(corrections))


def _sold(product: int, day: str = "2020-03-05", price: int = 2, quantity: int = 1) -> Said:
    return Said("1", day, str(product), price=str(price), quantity=str(quantity))


def _prices_like_ids() -> dict[int, tuple[Said, Said | None]]:
    """Lowest and highest prices that go, where transactions, products and prices have the same numbers."""
    return {
        301: (_sold(302, price=5), _sold(302, price=9)),
        5: (_sold(302, price=6), None),
        302: (_sold(7, price=5), None),
        304: (_sold(302, price=302), None),
        305: (_sold(402, price=500), _sold(402, price=1)),
        500: (_sold(402, price=6), None),
        402: (_sold(7, price=500), None),
        404: (_sold(402, price=402), None),
        306: (_sold(602, price=602), _sold(602, price=1)),
        307: (_sold(602, price=600), None),
        308: (_sold(7, price=602), None),
        309: (_sold(702, price=702), _sold(702, price=800)),
        310: (_sold(702, price=750), None),
        311: (_sold(7, price=702), None),
    }


def _days_like_ids() -> dict[int, tuple[Said, Said | None]]:
    """First and last days that go, where a transaction of that day has the product's number."""
    first, last = "2020-03-01", "2020-03-28"
    return {
        320: (_sold(802, first), _sold(802, "2020-03-09")),
        321: (_sold(802), None),
        802: (_sold(7, first), None),
        330: (_sold(902, last), _sold(902, "2020-03-02")),
        331: (_sold(902), None),
        902: (_sold(7, last), None),
    }


def _fewest_units() -> dict[int, tuple[Said, Said | None]]:
    """The least number of units that a line can have."""
    return {340: (_sold(8, quantity=-(2**31)), _sold(8, quantity=-(2**31), price=3)), 341: (_sold(8), None)}


def _everybody(seed: int) -> World:
    chance, ids = random.Random(seed), count(1000)
    whole, corrections, others, ends = {}, {}, {}, {}
    for number, case in enumerate([*customers(), *products(), *months(), *edges()]):
        for before, after in case:
            key = next(ids)
            if before is not None:
                whole[key] = before
            if after is not None:
                corrections[key] = after
            # Of some cases the other day knows only a part.
            if after is not None and before is not None and number % 3 == 0:
                others[key] = after
    filler = {next(ids): any_line(chance) for _ in range(1900)}
    whole |= filler
    for changes in (corrections, others):
        corrected = chance.sample(sorted(filler), 50)
        changes.update({key: any_line(chance) for key in corrected[:40]})
        changes.update({key: whole[key] for key in corrected[40:]})
        changes.update({next(ids): any_line(chance) for _ in range(10)})
    # Those without a customer get a first and a last day, lose their first, and all get a customer.
    nameless = sorted((key for key in whole if not whole[key].customer), key=lambda key: whole[key].day)
    corrections |= {next(ids): Said("", day, "14", "", "-1", "5") for day in ("2019-10-31", "2021-08-01")}
    first = [key for key in nameless if whole[key].day == whole[nameless[0]].day]
    calendar = [key for key in whole if whole[key].customer in {"680", "681"}]
    ends |= {key: whole[key]._replace(day="2020-06-07") for key in (*first, *calendar)}
    others |= {key: whole[key]._replace(customer="650") for key in nameless}
    others = {key: line._replace(customer=line.customer or "651") for key, line in others.items()}
    return World(whole, (corrections, others, ends))


def any_line(chance: random.Random) -> Said:
    """Make a line of which few values are possible, so that there are ties and months without anything."""
    customer = "" if chance.random() < 0.02 else str(chance.randint(1, 40))
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
