"""True values of sample records → the texts of their fields, each in one of the supplier's styles."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable
from functools import cache

import numpy as np
import polars as pl
from num2words import num2words

from customer_pipeline.sample import true_values as true
from customer_pipeline.sample.dirt import quote_field
from customer_pipeline.sample.true_values import Numbers


@cache
def spell(number: int) -> str:
    """Spell a whole number in English."""
    return str(num2words(number)).replace(",", "")


NULLS = ("", "", "", "", "", "", "", " ", "NA", "N/A", "NULL", "None", "NaN", "-", "null", "nan")
QUARTERS = ("", " point two five", " point five", " point seven five")
THOUSAND, RENAMED_IN_MONTH, NAMINGS = 1_000, 9, 12
# fmt: off
NOUNS = (
    "Kettle", "Lamp", "Desk", "Chair", "Monitor", "Notebook", "Teapot", "Blanket", "Backpack", "Bottle",
    "Headset", "Charger", "Basket", "Mirror", "Clock", "Pillow", "Toaster", "Grinder", "Scarf", "Umbrella",
)
KINDS = (
    "Blue", "Green", "Oak", "Compact", "Large", "Classic", "Travel", "Studio", "Garden", "Copper", "Cotton",
    "Silent", "Folding",
)
# All weights are per mille.
DATE_STYLES = {
    "%Y-%m-%d": 780, "%d-%m-%Y": 100, "%d/%m/%Y": 30, "%d.%m.%Y": 20, "%Y/%m/%d": 20, "%Y.%m.%d": 15,
    "%Y-%m-%dT08:15:00": 15, "%Y-%m-%d 17:30:05": 10, "%Y-%m-%dT23:59:59Z": 10,
}
# fmt: on
ID_STYLES = {
    "transaction_id": {"{}": 820, "T{}": 80, "t{}": 40, "{}.0": 40, " {} ": 20},
    "customer_id": {"{}": 600, "{}.0": 300, "C{}": 70, " {} ": 30},
    "product_id": {"{}": 850, "P{}": 80, "p{}": 30, "{}.0": 30, "{} ": 10},
}
NAME_STYLES: dict[Callable[[str], str], int] = {
    quote_field: 860,
    lambda name: quote_field(f" {name}  "): 40,
    lambda name: quote_field(name.replace(" ", "  ", 1)): 40,
    lambda name: '"' + name.replace('"', '""') + '"': 20,
    lambda name: quote_field(unicodedata.normalize("NFD", name)): 40,
}
QUANTITY_STYLES: dict[Callable[[int], str], int] = {
    str: 600,
    "{}.0".format: 350,
    lambda number: spell(number).title(): 25,
    lambda number: spell(number).replace("-", " "): 5,
    " {} ".format: 20,
}
MONEY_STYLES = {  # amount, negative amount, thousands separated (less is as the style before), least decimals
    ("{}", "-{}", False, 1): 460,
    ("{}", "({})", False, 2): 355,
    ('"{}"', '"-{}"', True, 2): 35,
    ("${}", "-${}", False, 2): 15,
    ('"${}"', '"-${}"', True, 2): 40,
    ("USD {}", "-${}", False, 0): 15,
    (" {}  ", " -{} ", False, 2): 10,
}
SPELLED = {"Nineteen Point Five": 45, "nineteen point five": 25}
"""Of amounts, behind the styles in digits; only whole and quarter ones: thousands of texts, not millions."""
WEIGHTS = {column: tuple(weights.values()) for column, weights in ID_STYLES.items()}
WEIGHTS |= {"transaction_date": tuple(DATE_STYLES.values()), "product_name": tuple(NAME_STYLES.values())}
WEIGHTS |= {"quantity": tuple(QUANTITY_STYLES.values())}
WEIGHTS |= dict.fromkeys(("price", "tax"), (*MONEY_STYLES.values(), *SPELLED.values()))


def draw_styles(chunk: true.Chunk) -> pl.DataFrame:
    """Draw for a chunk's records the place of a style for each column, and of a `null` for what has no value."""
    styles = {column: chunk.pick(*weights) for column, weights in WEIGHTS.items()}
    return pl.DataFrame(styles | {"null": chunk.between(0, len(NULLS))})


class Writer:
    """Writes the records of one sample down, by tables of all texts that there may be."""

    def __init__(self, products: int) -> None:
        days = pl.Series(np.arange(true.MONTHS[0], true.MONTHS[-1]))
        names = [
            [*(name_product(number, renamed=late) for number in range(products)), ""] for late in (False, True)
        ]
        quantities, wholes = range(true.MIN_QUANTITY, true.MAX_QUANTITY + 1), range(10_000)
        digits = [f"{number:04}".rstrip("0") for number in wholes]
        self._days, self._products, self._quantity_count = len(days), products, len(quantities)
        self._dates = pl.concat([days.dt.strftime(style) for style in DATE_STYLES])
        self._names = pl.Series([style(name) for style in NAME_STYLES for of_time in names for name in of_time])
        self._quantities = pl.Series([style(number) for style in QUANTITY_STYLES for number in quantities])
        self._wholes = pl.Series([*map(str, wholes), *map("{:,}".format, wholes)])
        self._fractions = pl.Series([f".{text:0<{least}}".rstrip(".") for least in range(3) for text in digits])

    def write(self, values: pl.DataFrame, styles: pl.DataFrame) -> pl.DataFrame:
        """Write values as CSV fields, quoted where needed, in a column each."""
        of_names = styles["product_name"] * 2 + (values["month"] >= RENAMED_IN_MONTH)
        named = values.select(
            pl.when("named").then(pl.col("product_id") - true.FIRST_PRODUCT).otherwise(self._products)
        )
        of_quantities = values["quantity"] - true.MIN_QUANTITY + styles["quantity"] * self._quantity_count
        fields = {
            "transaction_date": self._dates.gather(styles["transaction_date"] * self._days + values["day"]),
            "product_name": self._names.gather(of_names * (self._products + 1) + named.to_series()),
            "quantity": self._quantities.gather(of_quantities),
        }
        for column, of_ids in ID_STYLES.items():
            fields[column] = _frame(values[column].cast(pl.String), of_ids, styles[column])
        for column in ("price", "tax"):
            fields[column] = self._write_money(values[column], styles[column].to_numpy())
        return pl.DataFrame(fields).select(pl.all().fill_null(pl.Series(NULLS).gather(styles["null"])))

    def _write_money(self, amounts: pl.Series, style: Numbers) -> pl.Series:
        known = amounts.fill_null(0).to_numpy()
        whole, fraction = np.divmod(np.abs(known), 10_000)
        plain, negative, separated, decimals = (np.array(part) for part in zip(*MONEY_STYLES, strict=True))
        spelled = np.flatnonzero((style >= len(plain)) & (fraction % 2_500 == 0))
        in_digits = np.where(style < len(plain), style, 0)
        in_digits -= separated[in_digits] & (whole < THOUSAND)
        wholes = self._wholes.gather(whole + 10_000 * separated[in_digits])
        fractions = self._fractions.gather(fraction + 10_000 * decimals[in_digits])
        texts = _frame(wholes + fractions, [*plain, *negative], in_digits + len(plain) * (known < 0))
        drawn = zip(known[spelled].tolist(), style[spelled] == len(plain), strict=True)
        texts = texts.scatter(spelled, [_spell_money(amount, titled=titled) for amount, titled in drawn])
        return pl.select(pl.when(amounts.is_not_null()).then(texts)).to_series()


def _frame(texts: pl.Series, styles: Iterable[str], style: pl.Series | Numbers) -> pl.Series:
    """Put before and after a text what its style has there."""
    before, after = (pl.Series(part) for part in zip(*(of_style.split("{}") for of_style in styles), strict=True))
    return before.gather(style) + texts + after.gather(style)


def name_product(product: int, *, renamed: bool) -> str:
    """Name a product, by its place in the catalogue."""
    series, place = divmod(product, len(NOUNS) * len(KINDS))
    noun, kind = NOUNS[place % len(NOUNS)], KINDS[place // len(NOUNS)]
    suffix = f" {series + 1}" if series else ""
    plain = f"{kind} {noun}{suffix}"
    names = {
        1: f"{noun}, {kind.lower()}{suffix}",
        2: "NA" if product < NAMINGS else plain,  # a popular one, so that it occurs in every sample
        3: f'{plain} 12" "Pro"',
        4: f"{plain} Mark II" if renamed else plain,
        5: f"Café {plain}",
        7: f"{plain} für Küche",
        9: f"東京 {plain}",
    }
    return names.get(product % NAMINGS, plain)


def _spell_money(amount: int, *, titled: bool) -> str:
    whole, fraction = divmod(abs(amount), 10_000)
    text = ("minus " if amount < 0 else "") + spell(whole) + QUARTERS[fraction // 2_500]
    return text.replace(" and ", " ").title() if titled else text
