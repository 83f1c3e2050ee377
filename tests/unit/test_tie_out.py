"""What `run` says of the marts: they tie out, they don't, or they are of another load."""

from __future__ import annotations

from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from customer_pipeline.commands.accounting import Accounting, print_found

LOAD: dict[str, Any] = {
    "load_id": 4,
    "source_name": "a.csv",
    "status": "published",
    "mode": "replace",
    "read": 2,
    "accepted": 2,
    "quarantined": 0,
    "duplicates": 0,
    "encoding": "utf-8",
    "reason_counts": {},
    "rule_counts": {},
    "total_quantity": Decimal(3),
    "total_gross": Decimal("4.50"),
    "total_tax": Decimal(0),
    **dict.fromkeys(("updated", "outdated", "unchanged", "inserted", "drift", "contract_id")),
}
SEEN = {
    "load_id": 4,
    "visible_rows": 2,
    "visible_quantity": Decimal(3),
    "visible_gross": Decimal("4.50"),
    "visible_tax": Decimal(0),
}
MARTS = {"rows": 2, "quantity": Decimal(3), "gross": Decimal("4.50"), "tax": Decimal(0), "load_id": 4}
NAMES = {"customers": 1, "products": 1, "months": 1}


def said(**marts: object) -> str:
    text = StringIO()
    print_found(Accounting((LOAD,), SEEN, MARTS | NAMES | marts), Console(file=text, width=200), 10)
    return text.getvalue()


def test_marts_of_the_load_that_readers_see_tie_out_or_not() -> None:
    assert "ties out to the last decimal" in said()
    assert "DOES NOT TIE OUT" in said(gross=Decimal("4.5001"))
    assert "DOES NOT TIE OUT" in said(rows=1)


def test_what_an_earlier_run_brought_stands_in_no_row_beside_what_readers_see_now() -> None:
    text = StringIO()
    seen, marts = SEEN | {"load_id": 7}, MARTS | NAMES | {"load_id": 7}
    print_found(Accounting((LOAD,), seen, marts), Console(file=text, width=200), 10)
    assert "Readers see load 7 now, of another run" in text.getvalue()
    assert "cleaned file" not in text.getvalue()


@pytest.mark.parametrize("rows", [1, 2])
def test_marts_of_another_load_are_not_compared(rows: int) -> None:
    told = said(load_id=3, rows=rows)
    assert "tie" not in told.lower().replace("tie-out", "")
    assert "is of load 3, and readers of the cleaned table see load 4" in " ".join(told.split())
