"""Values → the words and figures that people read. Exact: no digit is rounded away from money."""

from __future__ import annotations

from calendar import month_abbr
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal, localcontext
from typing import NamedTuple

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


def show_quantity(value: Decimal | int | None) -> str:
    """Write a number that is whole, mostly: without decimals if it has none."""
    if isinstance(value, Decimal) and value == value.to_integral_value():
        return f"{int(value):,}"
    return show_number(value)


def show_change(value: Decimal | int) -> str:
    """Write a difference with its sign."""
    with localcontext(EXACT):
        text = show_quantity(value if value > 0 else -value)
    return f"+{text}" if value > 0 else f"\N{MINUS SIGN}{text}" if value < 0 else "no change"


def show_percent(value: Decimal | None) -> str:
    """Write percents with their sign."""
    if value is None:
        return NOTHING
    return f"+{value:,} %" if value > 0 else f"\N{MINUS SIGN}{value.copy_abs():,} %"


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


def show_bytes(value: int) -> str:
    """Write a size."""
    size = float(value)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":  # noqa: PLR2004 - what a KiB is
            break
        size /= 1024
    return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"


FILTERS: dict[str, Callable[..., str]] = {
    "number": show_number,
    "quantity": show_quantity,
    "change": show_change,
    "percent": show_percent,
    "share": show_share,
    "moment": show_moment,
    "month": show_month,
    "age": show_age,
    "bytes": show_bytes,
}
"""How templates write figures."""
