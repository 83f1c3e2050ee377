"""The common way, as a baseline: read all with pandas, a cleaner per value, write it, COPY it.

It does less than the pipeline: no quarantine, no duplicates, no counts; what it can't read becomes NULL.
"""

from __future__ import annotations

import time
from decimal import Decimal, InvalidOperation
from pathlib import Path

import pandas as pd
import psycopg

from audited_load.rules.number_words import read_number_words

WHOLE = ("transaction_id", "customer_id", "product_id", "quantity")
AMOUNTS = ("price", "tax")
COLUMNS = [*WHOLE[:2], "transaction_date", "product_id", "product_name", "quantity", *AMOUNTS]
TABLE = """
    create temporary table cleaned (
        transaction_id bigint, customer_id bigint, transaction_date date, product_id bigint,
        product_name text, quantity bigint, price numeric(18, 4), tax numeric(18, 4)
    )
"""


def clean_and_copy(dirty: Path, folder: Path, dsn: str) -> float:
    """Clean and load a file.

    Returns:
        Seconds.
    """
    started = time.monotonic()
    frame = pd.read_csv(dirty, dtype=str, on_bad_lines="skip", encoding_errors="replace", keep_default_na=False)
    for column in WHOLE:
        frame[column] = frame[column].apply(to_whole)
    frame["transaction_date"] = frame["transaction_date"].apply(to_date)
    frame["product_name"] = frame["product_name"].apply(lambda text: " ".join(text.replace("\0", "").split()))
    for column in AMOUNTS:
        frame[column] = frame[column].apply(to_amount)
    out = folder / "pandas.csv"
    frame[COLUMNS].to_csv(out, index=False)
    with psycopg.connect(dsn) as connection, connection.cursor() as cursor, out.open("rb") as file:
        cursor.execute(TABLE)
        with cursor.copy("copy cleaned from stdin (format csv, header)") as copy:
            while chunk := file.read(2**16):
                copy.write(chunk)
    return time.monotonic() - started


def to_whole(text: str) -> str | None:
    """Read a whole number, or give up."""
    amount = to_amount(text.strip().lstrip("TtCcPp") if text.strip()[1:2].isdigit() else text)
    if amount is None or amount != amount.to_integral_value() or abs(amount) >= 2**63:
        return None
    return str(int(amount))


def to_amount(text: str) -> Decimal | None:
    """Read an amount, or give up."""
    tidy = text.strip().replace("$", "").replace("USD", "").replace(",", "").strip()
    if tidy.startswith("(") and tidy.endswith(")"):
        tidy = "-" + tidy[1:-1]
    try:
        amount = Decimal(tidy)
    except InvalidOperation:
        words = read_number_words(tidy) if tidy.replace(" ", "").replace("-", "").isalpha() else None
        return Decimal(words) if words else None
    return amount if amount.is_finite() and abs(amount) < 10**14 else None


def to_date(text: str) -> str | None:
    """Read a date, or give up."""
    tidy = text.strip()[:10].replace("/", "-").replace(".", "-")
    for layout in ("%Y-%m-%d", "%d-%m-%Y"):
        try:
            return time.strftime("%Y-%m-%d", time.strptime(tidy, layout))
        except ValueError:
            continue
    return None
