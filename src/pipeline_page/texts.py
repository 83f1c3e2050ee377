"""Values → the words and figures that people read. Exact, but for `show_money`, which writes cents."""

from __future__ import annotations

from calendar import month_abbr
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal, localcontext
from typing import NamedTuple

from markupsafe import Markup

NOTHING = "–"  # noqa: RUF001 - a dash for an absent figure
_CENT = Decimal("0.01")
EXACT = Context(prec=100, rounding=ROUND_HALF_UP)
"""For sums and shares of money: PostgreSQL's may have more digits than Python's default of 28."""


class YearMonth(NamedTuple):
    """A month of any year that PostgreSQL knows; before Christ the year is negative, and there is no year 0."""

    year: int
    number: int

    @property
    def key(self) -> str:
        """The month in an address or a file: 2023-07."""
        return f"{'-' if self.year < 0 else ''}{abs(self.year):04}-{self.number:02}"

    @property
    def before(self) -> YearMonth:
        """The month before."""
        return YearMonth(self.year, self.number - 1) if self.number > 1 else YearMonth(self.year - 1 or -1, 12)

    @classmethod
    def read(cls, key: str) -> YearMonth:
        """Read a month as `key` writes it."""
        year, _, number = key.rpartition("-")
        return cls(int(year), int(number))


def show_number(value: Decimal | int | None) -> str:
    """Write a number with thousands separated; money with two decimals, or more if it has more."""
    if value is None:
        return NOTHING
    if isinstance(value, int):
        return f"{value:,}"
    cents = value.quantize(_CENT, context=EXACT)
    if cents != value:
        return f"{value.normalize(EXACT):,f}"
    return f"{cents:,f}"


def show_money(value: Decimal | int | None) -> str:
    """Write an amount with two decimals; one that would round to nothing, with all of its own."""
    if value is None:
        return NOTHING
    cents = Decimal(value).quantize(_CENT, context=EXACT)
    return show_number(Decimal(value)) if value and not cents else f"{cents:,f}"


def is_rounded(value: Decimal | int | None) -> bool:
    """Return whether `show_money` leaves digits out."""
    return isinstance(value, Decimal) and show_money(value) != show_number(value)


def show_quantity(value: Decimal | int | None) -> str:
    """Write a number that is whole, mostly: without decimals if it has none."""
    if isinstance(value, Decimal) and value == value.to_integral_value():
        return f"{int(value):,}"
    return show_number(value)


def show_change(value: Decimal | int, show: Callable[[Decimal | int], str] = show_quantity) -> str:
    """Write a difference with its sign.

    Args:
        value: The difference.
        show: How its amount is written.
    """
    with localcontext(EXACT):
        text = show(value if value > 0 else -value)
    return f"+{text}" if value > 0 else f"\N{MINUS SIGN}{text}" if value < 0 else "no change"


def show_percent(value: Decimal | None) -> str:
    """Write percents with their sign."""
    if value is None:
        return NOTHING
    sign = "+" if value > 0 else "\N{MINUS SIGN}" if value < 0 else ""
    return f"{sign}{value.copy_abs():,} %"


def show_share(part: float, whole: float = 1) -> str:
    """Write a share as percents."""
    return f"{100 * part / whole:.1f} %" if whole else NOTHING


def show_moment(value: datetime | None) -> str:
    """Write a moment in UTC, to the minute."""
    return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC") if value else NOTHING


def show_month(value: YearMonth) -> str:
    """Write a month."""
    return f"{month_abbr[value.number]} {value.year}"


def show_age(age: timedelta) -> str:
    """Write how long ago something was, in its two largest units."""
    minutes = max(0, int(age.total_seconds() // 60))
    days, hours = minutes // 1440, minutes // 60 % 24
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes % 60} min" if hours else f"{minutes} min"


def show_duration(length: timedelta) -> str:
    """Write how long something took: to the second below an hour."""
    seconds = max(0, round(length.total_seconds()))
    if seconds >= 3600:  # noqa: PLR2004 - seconds of an hour
        return show_age(length)
    return f"{seconds // 60} min {seconds % 60} s" if seconds >= 60 else f"{seconds} s"  # noqa: PLR2004


def show_bytes(value: int) -> str:
    """Write a size."""
    size = float(value)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":  # noqa: PLR2004 - what a KiB is
            break
        size /= 1024
    return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"


_FITS = range(18, 67, 6)
"""Widths in rem that the stylesheet knows, as `fit-18`."""
_CHARACTER, _GAP = 0.6, 0.7
"""A digit's width in a table, and the gap after a cell, in rem."""
_TEXT = 22
"""Characters of a text that stay on one line; a longer one may break."""


def fit_class(header: Sequence[str], rows: Iterable[Sequence[str]], of_texts: bool = False) -> str:
    """Return the classes of a table whose rows become blocks where their figures would not fit side by side.

    Args:
        header: Its header; the first column is of names.
        rows: Its cells, as they are shown.
        of_texts: Whether all columns are of texts, which may break.
    """
    widths = [max(map(_length, cells)) for cells in zip(header, *rows, strict=True)]
    needed = [min(width, _TEXT) if of_texts or not column else width for column, width in enumerate(widths)]
    needs = sum(needed) * _CHARACTER + len(widths) * _GAP
    return " ".join(["stack", *(f"fit-{width}" for width in _FITS if width >= needs)][:2])


def _length(cell: str) -> int:
    """Count the characters that a cell shows: one that is HTML has tags, too."""
    return len(cell.striptags() if isinstance(cell, Markup) else cell)


FILTERS: dict[str, Callable[..., object]] = {
    "number": show_number,
    "money": show_money,
    "is_rounded": is_rounded,
    "quantity": show_quantity,
    "change": show_change,
    "percent": show_percent,
    "share": show_share,
    "moment": show_moment,
    "day": lambda value: f"{value.astimezone(UTC):%Y-%m-%d}",
    "clock": lambda value: f"{value.astimezone(UTC):%H:%M} UTC",
    "month": show_month,
    "fit": fit_class,
    "age": show_age,
    "duration": show_duration,
    "bytes": show_bytes,
}
"""How templates write figures."""
