"""Seeded random numbers → the true values of records, a chunk at once, before they are written down."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

Numbers: TypeAlias = NDArray[np.int64]

CHUNK_ROWS = 100_000
"""Records that are drawn at once; part of what a seed means."""
SHOWCASE = 1000
"""In the first records of a chunk, shares per mille are exact, so that all that is drawn by them occurs."""
FIRST_CUSTOMER, FIRST_PRODUCT = 501, 100
MONTHS = np.arange("2022-07", "2024-02", dtype="datetime64[M]").astype("datetime64[D]")
"""The first days of the months, and of that after the last."""
MIN_QUANTITY, MAX_QUANTITY, MAX_CENTS, DOLLAR = -3, 60, 999_900, 100
SOLD_BY_WEIGHT = 7
"""Every 25th product from this one has prices of four decimals."""


class Chunk:
    """Draws for the records of one chunk: the same for the same seed and place.

    Args:
        seed: Another seed gives another sample.
        place: Of the chunk in the sample; -1 for what all of them share.
    """

    def __init__(self, seed: int, place: int) -> None:
        self._random = np.random.default_rng([seed % 2**128, place + 1])

    def between(self, low: int | Numbers, high: int | Numbers) -> Numbers:
        """Draw integers from `low` up to but not including `high`."""
        return self._random.integers(low, high, size=CHUNK_ROWS)

    def chance(self) -> NDArray[np.float64]:
        """Draw numbers from 0 to 1."""
        return self._random.random(CHUNK_ROWS)

    def pick(self, *weights: int) -> Numbers:
        """Draw places by their weights, which are per mille."""
        drawn = self.between(0, 1000)
        drawn[:SHOWCASE] = self._random.permutation(1000)
        return np.repeat(np.arange(len(weights)), weights)[drawn]

    def blank(self, values: Numbers, per_mille: int) -> pl.Series:
        """Leave some of the values out."""
        return pl.Series(values).scatter(np.flatnonzero(self.pick(per_mille, 1000 - per_mille) == 0), None)


class Catalogue:
    """Who buys what: the numbers of customers and products, and the products' prices in cents."""

    def __init__(self, rows: int, seed: int) -> None:
        self.customers, self.products = min(200_000, 280 + rows // 50), min(5_000, 200 + rows // 2_000)
        # One product in ten is dear, three are in between: all price tiers at every size.
        tier = np.array([2, 1, 1, 1, 0, 0, 0, 0, 0, 0])[np.arange(self.products) % 10]
        low, high = np.array([[300, 9_000], [11_000, 91_000], [120_000, 300_000]])[tier].T
        self.cents = low + (Chunk(seed, -1).chance()[: self.products] * (high - low)).astype(np.int64)


def draw_values(chunk: Chunk, catalogue: Catalogue) -> pl.DataFrame:
    """Draw the true values of a chunk's records: of all columns but the `transaction_id`.

    Returns:
        `month` and `day` count from the first; `named` is false where the name is left out; `price` and `tax` are
        in ten-thousandths; null stands for no value.
    """
    # Small numbers far more often: a few customers and products have most of the records.
    customer, product = (
        (chunk.chance() * chunk.chance() * limit).astype(np.int64)
        for limit in (catalogue.customers, catalogue.products)
    )
    month = chunk.between(0, len(MONTHS) - 1)
    month -= month % 3 * (customer % 4 == 1)  # one customer in four buys in every third month only
    starts = (MONTHS - MONTHS[0]).astype(np.int64)
    few, returned = 1 + chunk.between(0, 9) * chunk.between(0, 9) // 9, chunk.between(MIN_QUANTITY, 0)
    quantity = np.choose(chunk.pick(950, 35, 15), [few, returned, chunk.between(10, MAX_QUANTITY + 1)])
    cents = _round_some(chunk, catalogue.cents[product] * chunk.between(9_000, 11_001) // 10_000)
    finer = chunk.between(0, 100) * (product % 25 == SOLD_BY_WEIGHT)
    tax = np.minimum(np.abs(quantity) * cents * chunk.between(5, 26) // 100, MAX_CENTS)
    return pl.DataFrame(
        {
            "customer_id": chunk.blank(FIRST_CUSTOMER + customer, 30),
            "month": month,
            "day": chunk.between(starts[month], starts[month + 1]),
            "product_id": FIRST_PRODUCT + product,
            "named": chunk.pick(10, 990) == 1,
            "quantity": chunk.blank(quantity, 40),
            "price": chunk.blank(cents * 100 + finer, 20),
            "tax": chunk.blank(np.sign(quantity) * _round_some(chunk, tax) * 100, 20),
        }
    )


def _round_some(chunk: Chunk, cents: Numbers) -> Numbers:
    """Round some amounts down to whole ones, some to quarters."""
    step = np.array([1, 100, 25])[chunk.pick(820, 120, 60)]
    return np.where(cents > DOLLAR, cents - cents % step, cents)
