"""True values of sample records → the texts of their eight fields, each in one of the supplier's styles."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache

import polars as pl

from customer_pipeline import sample_texts as texts
from customer_pipeline.sample_dirt import COLUMNS
from customer_pipeline.sample_values import FIRST_CUSTOMER, FIRST_PRODUCT, Catalogue, Draws, look_up

THOUSAND = 1_000 * 10_000
"""In ten-thousandths, as all amounts here."""


def draw_texts(values: pl.DataFrame, catalogue: Catalogue, draws: Draws) -> pl.DataFrame:
    """Write records down.

    Args:
        values: What `draw_values` gave, with the columns `format` (the styles follow from it) and `restyle`
            (1 where the transaction_id must be written in the style after its own).
        catalogue: Customers and products.
        draws: The sample's draws.

    Returns:
        Eight columns of CSV fields, quoted where needed, named as in the header.
    """
    id_style = _style(draws, texts.TRANSACTION_STYLES.values(), "id", "key") + pl.col("restyle")
    customer_style = _style(draws, texts.CUSTOMER_STYLES.values(), "customer")
    product_style = _style(draws, texts.PRODUCT_STYLES.values(), "product")
    customer = _identifier(pl.col("customer") + FIRST_CUSTOMER, texts.CUSTOMER_STYLES, customer_style)
    fields = (
        _identifier(pl.col("id"), texts.TRANSACTION_STYLES, id_style % len(texts.TRANSACTION_STYLES)),
        _nullable(draws, customer, "customer"),
        _date(draws),
        _identifier(pl.col("product") + FIRST_PRODUCT, texts.PRODUCT_STYLES, product_style),
        _name(draws, catalogue),
        _nullable(draws, _quantity(draws), "quantity"),
        _nullable(draws, _money(draws, "price"), "price"),
        _nullable(draws, _money(draws, "tax"), "tax"),
    )
    return values.select(field.alias(column) for field, column in zip(fields, COLUMNS, strict=True))


def _style(draws: Draws, weights: Iterable[int], purpose: str, number: str = "format") -> pl.Expr:
    """Draw the place of a style, by weights per mille."""
    table = pl.Series(texts.spread(list(weights)), dtype=pl.Int64)
    return look_up(table, draws.per_mille(pl.col(number), f"style of {purpose}"))


def _nullable(draws: Draws, text: pl.Expr, purpose: str) -> pl.Expr:
    """Write a null in one of the supplier's ways."""
    place = draws.below(len(texts.NULLS), pl.col("format"), f"null {purpose}")
    return pl.coalesce(text, look_up(pl.Series(texts.NULLS), place))


def _identifier(number: pl.Expr, styles: Mapping[tuple[str, str], int], style: pl.Expr) -> pl.Expr:
    before, after = (pl.Series(affixes) for affixes in zip(*styles, strict=True))
    return pl.concat_str(look_up(before, style), number.cast(pl.String), look_up(after, style))


def _date(draws: Draws) -> pl.Expr:
    days = sum(length for _, length in texts.month_table())
    style = _style(draws, texts.DATE_STYLES.values(), "date")
    return look_up(_tables()["dates"], style * days + pl.col("day"))


def _name(draws: Draws, catalogue: Catalogue) -> pl.Expr:
    """Blank is one more product behind the last; a name of the second half of a style is the renamed one."""
    product = pl.when(pl.col("named")).then(pl.col("product")).otherwise(catalogue.products)
    renamed = (pl.col("month") >= texts.RENAMED_IN_MONTH).cast(pl.Int64)
    style = _style(draws, texts.NAME_STYLES.values(), "name")
    return look_up(catalogue.names, (style * 2 + renamed) * (catalogue.products + 1) + product)


def _quantity(draws: Draws) -> pl.Expr:
    quantities = texts.MAX_QUANTITY - texts.MIN_QUANTITY + 1
    style = _style(draws, texts.QUANTITY_STYLES.values(), "quantity")
    return look_up(_tables()["quantities"], style * quantities + pl.col("quantity") - texts.MIN_QUANTITY)


def _money(draws: Draws, column: str) -> pl.Expr:
    """Put an amount together from its affixes, its whole part and its ten-thousandths."""
    tables, size = _tables(), pl.col(column).abs()
    style = _style(draws, texts.MONEY_STYLES.values(), column)
    place = {name: number for number, name in enumerate(texts.MONEY_STYLES)}
    spelled = style.is_in([place[name] for name in texts.SPELLED])
    # Only whole and quarter amounts are spelled out: thousands of distinct texts, not millions.
    style = pl.when(spelled & (size % 2_500 != 0)).then(place["float"]).otherwise(style)
    # Nothing to separate: without the quotes that a comma needs.
    for separated, plain in (("dollar_thousands", "dollar"), ("thousands", "two")):
        small = (style == place[separated]) & (size < THOUSAND)
        style = pl.when(small).then(place[plain]).otherwise(style)
    affix = style * 2 + (pl.col(column) < 0).cast(pl.Int64)
    return pl.concat_str(
        look_up(tables["before"], affix),
        look_up(tables["wholes"], style * (texts.MAX_WHOLE + 1) + size // 10_000),
        look_up(tables["fractions"], style * 10_000 + size % 10_000),
        look_up(tables["after"], affix),
    )


@cache
def _tables() -> dict[str, pl.Series]:
    before, after = texts.money_affixes()
    tables = {
        "dates": texts.date_texts(),
        "quantities": texts.quantity_texts(),
        "before": before,
        "wholes": texts.whole_texts(),
        "fractions": texts.fraction_texts(),
        "after": after,
    }
    return {name: pl.Series(entries) for name, entries in tables.items()}
