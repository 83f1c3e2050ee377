"""Numbers of records → their values and their texts, drawn by a hash of the number alone.

Nothing depends on the order of the records, on the chunks, on the number of cores or on a library's random
numbers: every draw is splitmix64 of the record's number, in integers that wrap around.
"""

from __future__ import annotations

from zlib import crc32

import polars as pl

from customer_pipeline import sample_texts as texts

MASK = 2**64 - 1
SHOWCASE = 1000
"""In the first records draws per mille go through every number once, so that every style occurs."""

FIRST_TRANSACTION, FIRST_CUSTOMER, FIRST_PRODUCT = 1001, 501, 100
NO_CUSTOMER, NO_NAME, NO_QUANTITY, NO_PRICE, NO_TAX = 30, 10, 40, 20, 20
RETURNED, BULK, ROUND, QUARTERS = 35, 15, 120, 60
"""Shares per mille; a price or tax that is round is a whole number, or one of quarters."""
_GOLDEN = 0x9E3779B97F4A7C15
_STEPS = (371, 433, 277, 589, 147, 653, 719, 831, 939, 563, 207, 481, 319, 767, 891, 123)


def mix(number: int) -> int:
    """Scramble 64 bits (splitmix64's finaliser)."""
    number = ((number ^ (number >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    number = ((number ^ (number >> 27)) * 0x94D049BB133111EB) & MASK
    return number ^ (number >> 31)


def _mix_all(numbers: pl.Series, start: int) -> pl.Series:
    state = numbers.cast(pl.UInt64) * _GOLDEN + start  # as in `mix`: integers wrap around
    state = (state ^ (state // 2**30)) * 0xBF58476D1CE4E5B9
    state = (state ^ (state // 2**27)) * 0x94D049BB133111EB
    return state ^ (state // 2**31)


class Draws:
    """Draws for the records of one sample.

    Args:
        seed: Another seed gives another sample.
    """

    def __init__(self, seed: int) -> None:
        self._seed = mix((seed * _GOLDEN + 1) & MASK)

    def bits(self, number: pl.Expr, purpose: str) -> pl.Expr:
        """Draw 64 bits for each record number, another lot for each purpose."""
        start = self._start(purpose)
        # On columns, not expressions: a nested expression would compute each step twice.
        return number.map_batches(lambda numbers: _mix_all(numbers, start), return_dtype=pl.UInt64)

    def below(self, limit: int, number: pl.Expr, purpose: str) -> pl.Expr:
        """Draw integers from 0 up to but not including `limit`."""
        return (self.bits(number, purpose) % _u64(limit)).cast(pl.Int64)

    def skewed(self, limit: int, number: pl.Expr, purpose: str) -> pl.Expr:
        """Draw integers below `limit`, small ones far more often."""
        bits = self.bits(number, purpose)
        product = (bits // _u64(2**33)) * (bits % _u64(2**31))  # of two numbers of 31 bits
        return (product // _u64(2**31) * _u64(limit) // _u64(2**31)).cast(pl.Int64)

    def per_mille(self, number: pl.Expr, purpose: str) -> pl.Expr:
        """Draw integers below 1000; in the showcase each occurs exactly once."""
        start = self._start(purpose)
        step = _STEPS[start % len(_STEPS)]  # shares no factor with 1000
        fixed = (number * step + start % SHOWCASE) % SHOWCASE
        return pl.when(number < SHOWCASE).then(fixed).otherwise(self.below(1000, number, purpose))

    def _start(self, purpose: str) -> int:
        return mix(self._seed ^ crc32(purpose.encode()))


class Catalogue:
    """Who buys what: the ranges of customers and products of one sample.

    Args:
        rows: Records of the sample; more of them have more customers and products.
        draws: The sample's draws.
    """

    def __init__(self, rows: int, draws: Draws) -> None:
        self.customers = min(200_000, 280 + rows // 50)
        self.products = min(5_000, 200 + rows // 2_000)
        numbers = pl.DataFrame({"product": pl.int_range(self.products, eager=True)})
        number = pl.col("product")
        # One product in ten is dear, three are in between: all price tiers at every size.
        low = (
            pl.when(number % 10 == 0).then(120_000).when((number % 10).is_between(1, 3)).then(11_000).otherwise(300)
        )
        width = (
            pl.when(number % 10 == 0)
            .then(180_000)
            .when((number % 10).is_between(1, 3))
            .then(80_000)
            .otherwise(8_700)
        )
        base = low + (draws.bits(number, "base") % _u64(2**20)).cast(pl.Int64) * width // 2**20
        self.base_cents = numbers.select(base.alias("base"))["base"]
        self.names = pl.Series(texts.name_texts(self.products))


def draw_values(records: pl.DataFrame, catalogue: Catalogue, draws: Draws) -> pl.DataFrame:
    """Draw the true values of records.

    Args:
        records: With the columns `key` (its transaction_id follows from it) and `value` (all else does).
        catalogue: Customers and products.
        draws: The sample's draws.

    Returns:
        The same, with `id`, `customer`, `product`, `month`, `day`, `named`, `quantity`, `price` and `tax`
        (the last two in ten-thousandths); null where the record has no value, `named` false without a name.
    """
    value = pl.col("value")
    start, length = zip(*texts.month_table(), strict=True)
    month_draw = draws.below(texts.MONTHS, value, "month")
    frame = records.with_columns(
        (pl.col("key") + FIRST_TRANSACTION).alias("id"),
        draws.skewed(catalogue.customers, value, "customer").alias("customer"),
        draws.skewed(catalogue.products, value, "product").alias("product"),
        (draws.per_mille(value, "no name") >= NO_NAME).alias("named"),
        _draw_quantity(draws).alias("quantity"),
    )
    # One customer in four buys in every third month only.
    rare = pl.col("customer") % 4 == 1
    rate = 9_000 + draws.below(2_001, value, "price")
    frame = frame.with_columns(
        pl.when(rare).then(month_draw - month_draw % 3).otherwise(month_draw).alias("month"),
        _round_some(
            look_up(catalogue.base_cents, pl.col("product")) * rate // 10_000,
            draws.per_mille(value, "round price"),
        ).alias("cents"),
    )
    # Some products, sold by weight, have prices of four decimals.
    by_weight = pl.col("product") % 25 == 7  # noqa: PLR2004
    finer = pl.when(by_weight).then(draws.below(100, value, "finer")).otherwise(0)
    day = look_up(pl.Series(start), pl.col("month"))
    days = look_up(pl.Series(length), pl.col("month"))
    return frame.with_columns(
        (day + draws.below(2**32, value, "day") % days).alias("day"),
        _unless(draws.per_mille(value, "no customer") < NO_CUSTOMER, pl.col("customer")).alias("customer"),
        _unless(draws.per_mille(value, "no price") < NO_PRICE, pl.col("cents") * 100 + finer).alias("price"),
        _unless(draws.per_mille(value, "no tax") < NO_TAX, _draw_tax(draws, pl.col("cents")) * 100).alias("tax"),
    )


def look_up(table: pl.Series, place: pl.Expr) -> pl.Expr:
    """Take from a table the entry at each place."""
    return pl.lit(table).gather(place)


def _draw_quantity(draws: Draws) -> pl.Expr:
    """Mostly a few, some returns, some bulk orders, some blank."""
    value, kind = pl.col("value"), draws.per_mille(pl.col("value"), "quantity")
    few = 1 + draws.below(9, value, "few") * draws.below(9, value, "few of few") // 9
    return (
        pl.when(kind < NO_QUANTITY)
        .then(None)
        .when(kind < NO_QUANTITY + RETURNED)
        .then(-1 - draws.below(-texts.MIN_QUANTITY, value, "returned"))
        .when(kind < NO_QUANTITY + RETURNED + BULK)
        .then(10 + draws.below(texts.MAX_QUANTITY - 9, value, "bulk"))
        .otherwise(few)
    )


def _draw_tax(draws: Draws, cents: pl.Expr) -> pl.Expr:
    """Cents: 5 to 25 % of the line, negative for returns, capped where the table of texts ends."""
    quantity, value = pl.col("quantity").fill_null(1), pl.col("value")
    exact = quantity.abs() * cents * (5 + draws.below(21, value, "tax rate")) // 100
    capped = pl.when(exact > texts.MAX_WHOLE * 100).then(texts.MAX_WHOLE * 100).otherwise(exact)
    tax = _round_some(capped, draws.per_mille(value, "round tax"))
    return pl.when(quantity < 0).then(-tax).otherwise(tax)


def _round_some(cents: pl.Expr, kind: pl.Expr) -> pl.Expr:
    step = pl.when(kind < ROUND).then(100).when(kind < ROUND + QUARTERS).then(25).otherwise(1)
    return pl.when(cents > 100).then(cents - cents % step).otherwise(cents)  # noqa: PLR2004 - cents


def _unless(condition: pl.Expr, value: pl.Expr) -> pl.Expr:
    return pl.when(~condition).then(value)


def _u64(number: int) -> pl.Expr:
    return pl.lit(number, dtype=pl.UInt64)
