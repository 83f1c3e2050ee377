"""Values of the sample → every way in which the supplier writes them, as tables to look up by number."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from datetime import date, timedelta
from itertools import pairwise

from customer_pipeline.sample_dirt import quote_field

FIRST_DAY = date(2022, 7, 1)
MONTHS = 18
MAX_WHOLE = 9_999
"""Largest whole part of an amount."""
MIN_QUANTITY, MAX_QUANTITY = -3, 60
RENAMED_IN_MONTH = 9
PRODUCT_NAMED_NA, NAMED_NA = 2, "NA"
"""A popular product, so that its name occurs in every sample."""
NULLS = ("", "", "", "", "", "", "", " ", "NA", "N/A", "NULL", "None", "NaN", "-", "null", "nan")

TRANSACTION_STYLES = {("", ""): 820, ("T", ""): 80, ("t", ""): 40, ("", ".0"): 40, (" ", " "): 20}
CUSTOMER_STYLES = {("", ""): 600, ("", ".0"): 300, ("C", ""): 70, (" ", " "): 30}
PRODUCT_STYLES = {("", ""): 850, ("P", ""): 80, ("p", ""): 30, ("", ".0"): 30, ("", " "): 10}
DATE_STYLES = {
    "%Y-%m-%d": 780,
    "%d-%m-%Y": 100,
    "%d/%m/%Y": 30,
    "%d.%m.%Y": 20,
    "%Y/%m/%d": 20,
    "%Y.%m.%d": 15,
    "%Y-%m-%dT08:15:00": 15,
    "%Y-%m-%d 17:30:05": 10,
    "%Y-%m-%dT23:59:59Z": 10,
}
NAME_STYLES = {"plain": 860, "padded": 40, "double": 40, "quoted": 20, "decomposed": 40}
QUANTITY_STYLES = {"plain": 600, "float": 350, "title": 25, "lower": 5, "padded": 20}
MONEY_STYLES = {
    "float": 460,
    "two": 355,
    "dollar": 15,
    "dollar_thousands": 40,
    "thousands": 35,
    "code": 15,
    "title": 45,
    "lower": 25,
    "padded": 10,
}
SPELLED = ("title", "lower")
_MONEY_AFFIXES = {  # before and after an amount, then before and after a negative one
    "float": ("", "", "-", ""),
    "two": ("", "", "(", ")"),
    "dollar": ("$", "", "-$", ""),
    "dollar_thousands": ('"$', '"', '"-$', '"'),
    "thousands": ('"', '"', '"-', '"'),
    "code": ("USD ", "", "-$", ""),
    "title": ("", "", "Minus ", ""),
    "lower": ("", "", "minus ", ""),
    "padded": (" ", "  ", " -", " "),
}
# fmt: off
_SMALL = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)
_TENS = ("zero", "ten", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_NOUNS = (
    "Kettle", "Lamp", "Desk", "Chair", "Monitor", "Notebook", "Teapot", "Blanket", "Backpack", "Bottle",
    "Headset", "Charger", "Basket", "Mirror", "Clock", "Pillow", "Toaster", "Grinder", "Scarf", "Umbrella",
)
_KINDS = (
    "Blue", "Green", "Oak", "Compact", "Large", "Classic", "Travel", "Studio", "Garden", "Copper", "Cotton",
    "Silent", "Folding",
)
# fmt: on


def month_table() -> list[tuple[int, int]]:
    """List the months: number of the first day from `FIRST_DAY`, and days in it."""
    starts = [
        date(FIRST_DAY.year + (FIRST_DAY.month - 1 + n) // 12, (FIRST_DAY.month - 1 + n) % 12 + 1, 1)
        for n in range(MONTHS + 1)
    ]
    return [((first - FIRST_DAY).days, (after - first).days) for first, after in pairwise(starts)]


def date_texts() -> list[str]:
    """List every day in every style: the number of days apart by style."""
    days = sum(length for _, length in month_table())
    return [(FIRST_DAY + timedelta(days=day)).strftime(style) for style in DATE_STYLES for day in range(days)]


def product_name(product: int, *, renamed: bool) -> str:
    """Name a product, by its place in the range of products from 0."""
    noun, kind = _NOUNS[product % len(_NOUNS)], _KINDS[product // len(_NOUNS) % len(_KINDS)]
    series = product // (len(_NOUNS) * len(_KINDS))
    suffix = f" {series + 1}" if series else ""
    plain = f"{kind} {noun}{suffix}"
    names = {
        1: f"{noun}, {kind.lower()}{suffix}",
        3: f'{plain} 12" "Pro"',
        4: f"{plain} Mark II" if renamed else plain,
        5: f"Café {plain}",
        7: f"{plain} für Küche",
        9: f"東京 {plain}",
    }
    return NAMED_NA if product == PRODUCT_NAMED_NA else names.get(product % 12, plain)


def name_texts(products: int) -> list[str]:
    """List the fields of the names: by style, before and after a renaming, by product; the last is blank."""
    texts: list[str] = []
    for style in NAME_STYLES:
        for renamed in (False, True):
            names = (product_name(product, renamed=renamed) for product in range(products))
            texts.extend(_style_name(name, style) for name in names)
            texts.append("  " if style == "padded" else "")
    return texts


def _style_name(name: str, style: str) -> str:
    match style:
        case "padded":
            return quote_field(f" {name}  ")
        case "double":
            return quote_field(name.replace(" ", "  ", 1))
        case "quoted":
            return '"' + name.replace('"', '""') + '"'
        case "decomposed":
            return quote_field(unicodedata.normalize("NFD", name))
    return quote_field(name)


def quantity_texts() -> list[str]:
    """List every quantity in every style."""
    return [
        _style_quantity(number, style)
        for style in QUANTITY_STYLES
        for number in range(MIN_QUANTITY, MAX_QUANTITY + 1)
    ]


def _style_quantity(number: int, style: str) -> str:
    words = ("minus " if number < 0 else "") + spell(abs(number))
    texts = {
        "float": f"{number}.0",
        "title": words.title(),
        "lower": words.replace("-", " "),
        "padded": f" {number} ",
    }
    return texts.get(style, str(number))


def money_affixes() -> tuple[list[str], list[str]]:
    """List what stands before and after an amount: by style, positive then negative."""
    before = [affix for affixes in _MONEY_AFFIXES.values() for affix in affixes[::2]]
    after = [affix for affixes in _MONEY_AFFIXES.values() for affix in affixes[1::2]]
    return before, after


def whole_texts() -> list[str]:
    """List the whole parts of amounts: by style, then by value."""
    return [_style_whole(whole, style) for style in MONEY_STYLES for whole in range(MAX_WHOLE + 1)]


def _style_whole(whole: int, style: str) -> str:
    match style:
        case "title":
            return spell(whole, link="").title()
        case "lower":
            return spell(whole)
        case "thousands" | "dollar_thousands":
            return f"{whole:,}"
    return str(whole)


def fraction_texts() -> list[str]:
    """List the fractions of amounts: by style, then by ten-thousandths."""
    return [_style_fraction(fraction, style) for style in MONEY_STYLES for fraction in range(10_000)]


def _style_fraction(fraction: int, style: str) -> str:
    digits = f"{fraction:04}".rstrip("0")
    if style in SPELLED:
        words = " ".join(_SMALL[int(digit)] for digit in digits)
        text = f" point {words}" if words else ""
        return text.title() if style == "title" else text
    if style == "code":
        return f".{digits}" if digits else ""
    return "." + digits.ljust(1 if style == "float" else 2, "0")


def spell(number: int, link: str = "and ") -> str:
    """Spell a number from 0 to 9999 in English, with `link` between hundreds and the rest."""
    thousands, below = divmod(number, 1000)
    hundreds, rest = divmod(below, 100)
    parts = [f"{_SMALL[thousands]} thousand"] if thousands else []
    if hundreds:
        parts.append(f"{_SMALL[hundreds]} hundred")
    if rest or not parts:
        tens, ones = divmod(rest, 10)
        small = _SMALL[rest] if rest < len(_SMALL) else _TENS[tens] + (f"-{_SMALL[ones]}" if ones else "")
        parts.append(link + small if parts else small)
    return " ".join(parts)


def spread(weights: Sequence[int]) -> list[int]:
    """Turn weights per mille into a table from a number below 1000 to the place of a weight."""
    return [place for place, weight in enumerate(weights) for _ in range(weight)]
