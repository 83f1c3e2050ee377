"""Cleaned files → lines, and what a merge makes of them."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Context, Decimal
from pathlib import Path
from typing import Any

EXACT = Context(prec=100, rounding=ROUND_HALF_UP)


@dataclass(frozen=True)
class Line:
    """A record of a cleaned file, and the load that last changed it."""

    transaction_id: int
    customer_id: int | None
    product_id: int
    product_name: str | None
    transaction_date: date
    quantity: int | None
    price: Decimal | None
    tax: Decimal | None
    source_record: int
    load_id: int

    @property
    def customer(self) -> int:
        return -1 if self.customer_id is None else self.customer_id

    @property
    def month(self) -> date:
        return date(self.transaction_date.year, self.transaction_date.month, 1)

    @property
    def gross(self) -> Decimal | None:
        if self.quantity is None or self.price is None:
            return None
        return money(EXACT.multiply(Decimal(self.quantity), self.price))

    @property
    def is_valid(self) -> bool:
        return self.quantity not in (None, 0) and self.price is not None and self.price > 0

    @property
    def values(self) -> tuple[Any, ...]:
        """All that the supplier says of it."""
        return (
            self.customer_id, self.product_id, self.product_name, self.transaction_date,
            self.quantity, self.price, self.tax,
        )  # fmt: skip


def money(value: Decimal | int) -> Decimal:
    return rounded(Decimal(value), 4)


def rounded(value: Decimal, places: int) -> Decimal:
    """Round as PostgreSQL does: half away from zero, and no zero is negative."""
    return EXACT.add(EXACT.quantize(value, Decimal(1).scaleb(-places)), Decimal(0).scaleb(-places))


def read_lines(cleaned: Path, load_id: int) -> dict[int, Line]:
    """Read a cleaned file.

    Args:
        cleaned: The file, as the cleaning step wrote it.
        load_id: The load that brought it.

    Returns:
        Its lines by transaction_id.
    """
    with cleaned.open(newline="", encoding="utf-8") as file:
        lines = [
            Line(
                int(record["transaction_id"]),
                int(record["customer_id"]) if record["customer_id"] else None,
                int(record["product_id"]),
                record["product_name"] or None,
                date.fromisoformat(record["transaction_date"]),
                int(record["quantity"]) if record["quantity"] else None,
                money(Decimal(record["price"])) if record["price"] else None,
                money(Decimal(record["tax"])) if record["tax"] else None,
                int(record["source_record"]),
                load_id,
            )
            for record in csv.DictReader(file)
        ]
    return {line.transaction_id: line for line in lines}


def merged(before: Mapping[int, Line], arriving: Mapping[int, Line]) -> dict[int, Line]:
    """Merge the lines of a later file: a line that says nothing new stays of the load that it is of."""
    changed = {
        key: line for key, line in arriving.items() if key not in before or before[key].values != line.values
    }
    return {**before, **changed}
