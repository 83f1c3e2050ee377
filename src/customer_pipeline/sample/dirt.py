"""The ways in which a sample record is broken beyond repair, and the reasons of its refusal.

Reasons are named as the cleaning report names them. They are written down here and not asked of the rules, so that
the truth of a sample doesn't depend on what it is meant to test.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import polars as pl

from customer_pipeline.sample.true_values import Numbers

BAD_BYTE, _STAND_IN = b"\xe9", "\ue000"
"""A byte of Windows-1252 in a file of UTF-8, and what a text has in its place."""
# fmt: off
COLUMNS = (
    "transaction_id", "customer_id", "transaction_date", "product_id", "product_name", "quantity", "price", "tax",
)
# fmt: on
FAULTS: tuple[tuple[str, ...], ...] = (  # reasons, then texts for the columns, or a whole line with its ids
    ("transaction_id:missing", "", "NA", "NULL"),
    ("transaction_id:not_an_id", "abc", "10 01", "TX-1001", "-1001"),
    ("transaction_id:fraction", "1001.5", "1002.25"),
    ("transaction_id:out_of_range", "99999999999999999999"),
    ("customer_id:fraction", "501.7", "502.5"),
    ("customer_id:not_an_id", "abc", "guest", "X501"),
    ("transaction_date:not_in_calendar", "31-02-2023", "2023-02-30", "31/04/2023"),
    ("transaction_date:not_in_calendar", "07-25-2023", "12/31/2023", "2023-13-01"),
    ("transaction_date:two_digit_year", "11-07-23", "23/07/11", "1.7.23"),
    ("transaction_date:missing", "", "N/A", "None"),
    ("transaction_date:not_a_date", "yesterday", "2023-W28-2", "11 Juli 2023"),
    ("product_id:missing", "", "-", "null"),
    ("product_id:not_an_id", "abc", "Q100", "1OO"),
    ("product_name:control_characters", "Blue\x07Kettle", "Green\x02Lamp", "Oak\x1bDesk"),
    ("product_name:control_characters", "Blue\nKettle", "Oak\nDesk"),
    ("product_name:too_long", "Kettle " * 37 + "Kettle", "東京" * 128),
    ("quantity:fraction", "1.5", "0.25"),
    ("quantity:not_finite", "inf", "-inf", "Infinity"),
    ("quantity:not_a_number", "two or three", "abc", "5 pcs"),
    ("quantity:out_of_range", "2147483648", "-99999999999"),
    ("price:decimal_comma", "1.234,50", "2.000,00"),
    ("tax:decimal_comma", "12,34", "1,5", "0,234"),
    ("price:exponent", "1e999", "1.5E3"),
    ("price:not_finite tax:not_finite", "inf", "-Infinity"),
    ("tax:too_many_decimals", "8.23001", "1.23456"),
    ("price:not_an_amount", "abc", "12.3.4", "5 each", "free"),
    ("customer_id:not_an_id product_id:not_an_id", "???", "none yet"),
    ("record:too_few_fields", "{},501,2023-07-11,{}"),
    ("record:too_many_fields", "{},501,2023-07-11,{},Kettle, blue,2,76.27,8.23"),
    # Its quotes are never before a delimiter, where they would close the quote of an unclosed record.
    ("record:stray_quote", '{},502,2023-07-12,{},"Tall" Lamp,1,119.16,17.06'),
    # In the column of the dates, which are never quoted: no later quote can give eight fields.
    ("record:unclosed_quote", '{},503,"2023-07-13,{},Desk,1,287.25,26.36'),
    ("record:nul_byte", "{},504,2023-07-13,{},Ket\0tle,2,115.46,25.39"),
    # It holds valid UTF-8 too, so that not even a file of this one record is Windows-1252.
    ("record:undecodable_bytes", f"{{}},505,2023-07-12,{{}},Müsli Caf{_STAND_IN},4,255.05,16.03"),
)


def write_lines(fields: pl.DataFrame, values: pl.DataFrame, faults: Numbers) -> tuple[bytes, Counter[str]]:
    """Write records as lines, some of them broken.

    Args:
        fields: Good records as they stand in the file, quoted where needed.
        values: Their true values.
        faults: For each the place of its fault in `FAULTS`, or -1.

    Returns:
        The lines, and how often which reason to refuse one is among them.
    """
    reasons: Counter[str] = Counter()
    broken: dict[int, str] = {}
    for place, (named, *texts) in enumerate(FAULTS):
        rows = np.flatnonzero(faults == place)
        for reason in named.split():
            reasons[reason] += len(rows)
            column = reason.partition(":")[0]
            if column in COLUMNS:
                wrong = np.resize([quote_field(text) for text in texts], len(rows))
                fields = fields.with_columns(fields[column].scatter(rows, pl.Series(wrong, dtype=pl.String)))
            else:
                known = values[rows].select("transaction_id", "product_id").iter_rows()
                broken.update(zip(rows.tolist(), (texts[0].format(*ids) for ids in known), strict=True))
    lines = fields.select(pl.concat_str(COLUMNS, separator=",")).to_series().scatter([*broken], [*broken.values()])
    return (lines.str.join("\n").item() + "\n").encode().replace(_STAND_IN.encode(), BAD_BYTE), +reasons


def quote_field(text: str) -> str:
    """Write a value as a CSV field: quoted where it must be, quotes doubled."""
    return '"' + text.replace('"', '""') + '"' if any(mark in text for mark in ',"\n') else text
