"""What each cell of staging and of the marts has to be, a second time: plain Python, from the cleaned file.

It is written from the definitions of the columns and not from the models, and is slow and simple: every mart is
made anew from all lines. Amounts are decimals with as many places as the column has, so `1.1` is not `1.1000`.
"""

from __future__ import annotations

import calendar
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from marts.lines import EXACT, Line, money, rounded

Row = dict[str, Any]
Rows = dict[tuple[Any, ...], Row]

MONTHS = [
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
]  # fmt: skip
DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
KEYS = {
    "stg_customer_transactions": ("transaction_id",),
    "fact_transactions": ("transaction_id",),
    "dim_customers": ("customer_id",),
    "dim_products": ("product_id",),
    "dim_dates": ("date_day",),
    "agg_monthly_sales": ("customer_id", "transaction_month"),
}


def expected_marts(lines: Iterable[Line]) -> dict[str, Rows]:
    """Say what staging and every mart hold, by name and key."""
    lines = list(lines)
    customers = _customers(lines)
    found = {
        "stg_customer_transactions": [_staged(line) for line in lines],
        "fact_transactions": [_fact(line, customers[line.customer]) for line in lines],
        "dim_customers": list(customers.values()),
        "dim_products": _products(lines),
        "dim_dates": _dates(lines),
        "agg_monthly_sales": _months(lines),
    }
    return {mart: {tuple(row[key] for key in KEYS[mart]): row for row in rows} for mart, rows in found.items()}


def _amounts(line: Line) -> Row:
    gross, tax = line.gross, line.tax
    is_known = gross is not None or tax is not None
    return {
        "gross_amount": gross,
        "total_amount": money((gross or 0) + (tax or 0)) if is_known else None,
        "net_amount": money((gross or 0) - (tax or 0)) if is_known else None,
    }


def _date_parts(day: date) -> Row:
    return {
        "transaction_date": day,
        "transaction_month": date(day.year, day.month, 1),
        "transaction_year": day.year,
        "transaction_quarter": (1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4)[day.month - 1],
        "month_number": day.month,
    }


def _staged(line: Line) -> Row:
    return {
        "transaction_id": line.transaction_id,
        "customer_id": line.customer_id,
        "product_id": line.product_id,
        "product_name": line.product_name,
        **_date_parts(line.transaction_date),
        "quantity": line.quantity,
        "price": line.price,
        "tax": line.tax,
        **_amounts(line),
        "is_valid_quantity": line.quantity is not None and line.quantity != 0,
        "is_valid_price": line.price is not None and line.price > 0,
        "is_valid_transaction": line.is_valid,
        "load_id": line.load_id,
        "source_record": line.source_record,
    }


def _fact(line: Line, customer: Row) -> Row:
    silver, gold = customer["silver_since"], customer["gold_since"]
    if line.customer_id is None:
        tier = "Unknown"
    elif gold is not None and line.transaction_date >= gold:
        tier = "Gold"
    elif silver is not None and line.transaction_date >= silver:
        tier = "Silver"
    else:
        tier = "Bronze"
    return {
        "transaction_id": line.transaction_id,
        "customer_id": line.customer,
        "product_id": line.product_id,
        **_date_parts(line.transaction_date),
        "units_sold": line.quantity,
        "unit_price": line.price,
        "tax_amount": line.tax,
        **_amounts(line),
        "is_valid_transaction": line.is_valid,
        "customer_tier_at_transaction": tier,
        "load_id": line.load_id,
    }


def _sum(values: list[Any], zero: Any) -> Any:
    """Sum the known ones. Nothing at all is zero; that none is known is not."""
    known = [value for value in values if value is not None]
    return sum(known, zero) if known or not values else None


def _units_and_amounts(lines: list[Line]) -> Row:
    return {
        "purchases": sum(line.quantity is not None and line.quantity > 0 for line in lines),
        "returns": sum(line.quantity is not None and line.quantity < 0 for line in lines),
        "units_sold": _sum([line.quantity for line in lines], 0),
        "transactions_without_units": sum(line.quantity is None for line in lines),
        "revenue": _sum([line.gross for line in lines], money(0)),
        "transactions_without_amount": sum(line.gross is None for line in lines),
    }


def _prices(lines: list[Line]) -> Row:
    prices = [line.price for line in lines if line.price is not None]
    total = sum(prices, money(0))
    return {
        "price_total": total,
        "priced_transactions": len(prices),
        "average_price": rounded(EXACT.divide(total, Decimal(len(prices))), 4) if prices else None,
        "minimum_price": min(prices, default=None),
        "maximum_price": max(prices, default=None),
    }


def _customers(lines: list[Line]) -> dict[int, Row]:
    theirs = _grouped(lines, lambda line: line.customer)
    theirs.setdefault(-1, [])
    return {customer: _customer(customer, own) for customer, own in theirs.items()}


def _customer(customer: int, lines: list[Line]) -> Row:
    days = sorted(line.transaction_date for line in lines)
    sums = _units_and_amounts(lines)
    revenue, is_known = sums["revenue"], customer != -1
    tier = "Unknown" if not is_known else "Gold" if len(lines) > 10 else "Silver" if len(lines) > 5 else "Bronze"
    if not is_known or revenue is None:
        segment = "Unknown"
    else:
        segment = "High" if revenue > 10_000 else "Medium" if revenue > 5_000 else "Low"
    return {
        "customer_id": customer,
        "lifetime_transactions": len(lines),
        "purchases": sums["purchases"],
        "returns": sums["returns"],
        "lifetime_revenue": revenue,
        "transactions_without_amount": sums["transactions_without_amount"],
        "first_transaction_date": days[0] if days else None,
        "last_transaction_date": days[-1] if days else None,
        "silver_since": days[5] if is_known and len(days) > 5 else None,
        "gold_since": days[10] if is_known and len(days) > 10 else None,
        "customer_tier": tier,
        "value_segment": segment,
    }


def _products(lines: list[Line]) -> list[Row]:
    return [
        _product(product, own)
        for product, own in [*_grouped(lines, lambda line: line.product_id).items(), (-1, [])]
    ]


def _product(product: int, lines: list[Line]) -> Row:
    days = sorted(line.transaction_date for line in lines)
    named = [line for line in lines if line.product_name is not None]
    latest = max(named, key=lambda line: (line.transaction_date, line.transaction_id), default=None)
    sums, prices = _units_and_amounts(lines), _prices(lines)
    average, revenue = prices["average_price"], sums["revenue"]
    if average is None:
        tier = "Unknown"
    else:
        tier = "Premium" if average > 1_000 else "Mid-Range" if average > 100 else "Budget"
    if product == -1 or revenue is None:
        segment = "Unknown"
    else:
        segment = "Top" if revenue > 50_000 else "Good" if revenue > 10_000 else "Regular"
    return {
        "product_id": product,
        "product_name": latest and latest.product_name,
        "named_on": latest and latest.transaction_date,
        "named_by": latest and latest.transaction_id,
        "times_sold": len(lines),
        **sums,
        **prices,
        "first_transaction_date": days[0] if days else None,
        "last_transaction_date": days[-1] if days else None,
        "price_tier": tier,
        "revenue_segment": segment,
    }


def _months(lines: list[Line]) -> list[Row]:
    found = {}
    for (customer, month), own in _grouped(lines, lambda line: (line.customer, line.month)).items():
        found[customer, month] = {
            "customer_id": customer,
            "transaction_month": month,
            "transactions": len(own),
            "distinct_products": len({line.product_id for line in own}),
            **_units_and_amounts(own),
            "tax_amount": _sum([line.tax for line in own], money(0)),
            "transactions_without_tax": sum(line.tax is None for line in own),
            "valid_revenue": sum((line.gross or money(0) for line in own if line.is_valid), money(0)),
            **_prices(own),
        }
    for (customer, month), row in found.items():
        before = found.get((customer, (month - timedelta(days=1)).replace(day=1)))
        previous = before["revenue"] if before else None
        growth = None
        if previous is not None and previous > 0 and row["revenue"] is not None:
            growth = rounded(EXACT.divide(100 * (row["revenue"] - previous), previous), 2)
        row["previous_month_revenue"], row["revenue_growth_percent"] = previous, growth
    return list(found.values())


def _dates(lines: list[Line]) -> list[Row]:
    if not lines:
        return []
    first, last = min(line.month for line in lines), max(line.transaction_date for line in lines)
    number_of_days = (_last_of_month(last) - first).days + 1
    return [_day(first + timedelta(days=number)) for number in range(number_of_days)]


def _last_of_month(day: date) -> date:
    return day.replace(day=calendar.monthrange(day.year, day.month)[1])


def _day(day: date) -> Row:
    iso_year, iso_week, weekday = day.isocalendar()
    quarter = _date_parts(day)["transaction_quarter"]
    return {
        "date_day": day,
        "day_of_month": day.day,
        "day_of_week": weekday,
        "day_name": DAYS[weekday - 1],
        "is_weekend": weekday in (6, 7),
        "iso_year": iso_year,
        "iso_week": iso_week,
        "month_number": day.month,
        "month_name": MONTHS[day.month - 1],
        "month_start": day.replace(day=1),
        "month_end": _last_of_month(day),
        "quarter_number": quarter,
        "quarter_start": date(day.year, 3 * quarter - 2, 1),
        "quarter_end": _last_of_month(date(day.year, 3 * quarter, 1)),
        "year_number": day.year,
    }


def _grouped(lines: Iterable[Line], key: Callable[[Line], Any]) -> dict[Any, list[Line]]:
    groups = defaultdict(list)
    for line in lines:
        groups[key(line)].append(line)
    return groups


def differences(found: list[Row], expected: Rows, mart: str) -> list[str]:
    """Compare a mart with what it has to be, cell by cell.

    Args:
        found: Its rows, each by column.
        expected: The rows it has to hold, by key.
        mart: Its name.

    Returns:
        One text a row that is too many or missing, and a cell or column that differs; none if they are the same.
    """
    rows = {tuple(row[key] for key in KEYS[mart]): row for row in found}
    texts = [f"{mart}: {len(found)} rows, of {len(rows)} keys"] if len(rows) != len(found) else []
    texts += [
        f"{mart} {key}: {'is there' if key in rows else 'is missing'}" for key in rows.keys() ^ expected.keys()
    ]
    for key in rows.keys() & expected.keys():
        row, other = rows[key], expected[key]
        if row.keys() != other.keys():
            return [*texts, f"{mart} has other columns: {sorted(row.keys() ^ other.keys())}"]
        texts += [
            f"{mart} {key} {name}: {row[name]!r} instead of {value!r}"
            for name, value in other.items()
            if repr(row[name]) != repr(value)
        ]
    return texts
