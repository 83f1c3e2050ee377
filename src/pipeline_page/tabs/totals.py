"""Control totals at several places → a table of them: money in cents, the exact values beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from customer_pipeline.feed import FEED
from pipeline_page.tabs.loads import Totals
from pipeline_page.texts import fit_class, is_rounded, show_change, show_money, show_number, show_quantity

_UNIT = f", {FEED.currency}" if FEED.currency else ""
LABELS = {"rows": "Rows", "quantity": "Quantity", "gross": f"Revenue{_UNIT}", "tax": f"Tax{_UNIT}"}
"""What people call the totals, and the currency of those that are money."""
MONEY = ("gross", "tax")


@dataclass(frozen=True)
class Amount:
    """A total in a cell.

    Attributes:
        value: It.
        is_money: Whether it is shown in cents.
        off: By how much it differs from what it is compared with; None if it is compared with nothing.
        is_change: Whether it is a difference, and shown with its sign.
    """

    value: Decimal | int
    is_money: bool
    off: Decimal | int | None = None
    is_change: bool = False

    @property
    def text(self) -> str:
        """How it is shown."""
        show = show_money if self.is_money else show_quantity
        return show_change(self.value, show) if self.is_change else show(self.value)

    @property
    def exact(self) -> str:
        """The same with all of its digits."""
        return show_change(self.value) if self.is_change else show_number(self.value)

    @property
    def is_rounded(self) -> bool:
        """Whether the text leaves digits out."""
        return self.is_money and is_rounded(self.value)

    @property
    def off_text(self) -> str:
        """By how much it differs, exactly; blank if it doesn't."""
        return f"off by {show_change(self.off)}" if self.off else ""


Cell = Amount | str


@dataclass(frozen=True)
class TotalsTable:
    """A table with one total a row.

    Attributes:
        header: What stands above each column.
        rows: The total's name, and a cell for each column.
    """

    header: tuple[str, ...]
    rows: list[tuple[str, list[Cell]]]

    @property
    def fit(self) -> str:
        """Its classes in the stylesheet."""
        return fit_class(self.header, [(label, *map(_measured, cells)) for label, cells in self.rows])

    @property
    def exact(self) -> list[tuple[str, ...]]:
        """The rows of money with all decimals; none if no decimal is left out."""
        if not any(isinstance(cell, Amount) and cell.is_rounded for _, cells in self.rows for cell in cells):
            return []
        return [
            (label, *(cell.exact if isinstance(cell, Amount) else cell for cell in cells))
            for label, cells in self.rows
            if any(isinstance(cell, Amount) and cell.is_money for cell in cells)
        ]


def table_of_totals(names: Sequence[str], places: Sequence[tuple[Totals, Totals | None]]) -> TotalsTable:
    """Put totals of several places side by side.

    Args:
        names: What the places are called.
        places: The totals of each, and by how much they are off.
    """
    rows: list[tuple[str, list[Cell]]] = [
        (label, [Amount(totals[name], name in MONEY, off[name] if off else None) for totals, off in places])
        for name, label in LABELS.items()
    ]
    return TotalsTable(("Total", *names), rows)


def table_of_change(names: tuple[str, str], before: Totals, after: Totals) -> TotalsTable:
    """Put totals before and after side by side, with the change."""
    change = after.minus(before)
    rows: list[tuple[str, list[Cell]]] = [
        (
            label,
            [
                Amount(before[name], name in MONEY),
                Amount(after[name], name in MONEY),
                Amount(change[name], name in MONEY, is_change=True),
            ],
        )
        for name, label in LABELS.items()
    ]
    return TotalsTable(("Total", *names, "Change"), rows)


def _measured(cell: Cell) -> str:
    return cell if isinstance(cell, str) else f"{cell.text} ✓ {cell.off_text}"
