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
    """Everybody is known and Gold; and each day corrects a single line."""
    whole = {
        100 * customer + number: Said(str(customer), f"2020-03-{number:02}", "7", f"Name {number}", price="2")
        for customer in (1, 2)
        for number in range(1, 15)
    }
    leaves = whole[214]._replace(customer="3", day="2020-04-01", name="")
    return World(whole, ({214: leaves}, {113: whole[113]._replace(price="3")}))


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
