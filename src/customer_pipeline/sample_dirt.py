"""The ways in which a sample record is broken beyond repair → its line and the reasons of its refusal.

Reasons are named as the cleaning report names them: `column:refusal` or `record:fault`. They are written down
here and not asked of the rules, so that the truth of a sample doesn't depend on what it is meant to test.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

COLUMNS = (
    "transaction_id",
    "customer_id",
    "transaction_date",
    "product_id",
    "product_name",
    "quantity",
    "price",
    "tax",
)


@dataclass(frozen=True)
class CellFault:
    """Values that can't be read, all for one reason.

    Attributes:
        refusal: Name of the reason.
        columns: Columns of the record that get such a value.
        texts: Values to choose from.
    """

    refusal: str
    columns: tuple[str, ...]
    texts: tuple[str, ...]


@dataclass(frozen=True)
class RecordFault:
    """A line that can't be split into eight fields, or not into text.

    Attributes:
        fault: Name of the reason.
        line: The line, with `{id}` and `{product}` for the record's own numbers.
    """

    fault: str
    line: str


BAD_BYTE = b"\xe9".decode(errors="surrogateescape")
"""A byte of Windows-1252 in a file of UTF-8."""

FAULTS: tuple[CellFault | RecordFault, ...] = (
    CellFault("missing", ("transaction_id",), ("", "NA", "NULL")),
    CellFault("not_an_id", ("transaction_id",), ("abc", "10 01", "TX-1001", "-1001")),
    CellFault("fraction", ("transaction_id",), ("1001.5", "1002.25")),
    CellFault("out_of_range", ("transaction_id",), ("99999999999999999999",)),
    CellFault("fraction", ("customer_id",), ("501.7", "502.5")),
    CellFault("not_an_id", ("customer_id",), ("abc", "guest", "X501")),
    CellFault("not_in_calendar", ("transaction_date",), ("31-02-2023", "2023-02-30", "31/04/2023")),
    CellFault("not_in_calendar", ("transaction_date",), ("07-25-2023", "12/31/2023", "2023-13-01")),
    CellFault("two_digit_year", ("transaction_date",), ("11-07-23", "23/07/11", "1.7.23")),
    CellFault("missing", ("transaction_date",), ("", "N/A", "None")),
    CellFault("not_a_date", ("transaction_date",), ("yesterday", "2023-W28-2", "11 Juli 2023")),
    CellFault("missing", ("product_id",), ("", "-", "null")),
    CellFault("not_an_id", ("product_id",), ("abc", "Q100", "1OO")),
    CellFault("control_characters", ("product_name",), ("Blue\x07Kettle", "Green\x02Lamp", "Oak\x1bDesk")),
    CellFault("control_characters", ("product_name",), ("Blue\nKettle", "Oak\nDesk")),
    CellFault("too_long", ("product_name",), ("Kettle " * 37 + "Kettle", "東京" * 128)),
    CellFault("fraction", ("quantity",), ("1.5", "0.25")),
    CellFault("not_finite", ("quantity",), ("inf", "-inf", "Infinity")),
    CellFault("not_a_number", ("quantity",), ("two or three", "abc", "5 pcs")),
    CellFault("out_of_range", ("quantity",), ("2147483648", "-99999999999")),
    CellFault("decimal_comma", ("price",), ("1.234,50", "2.000,00")),
    CellFault("decimal_comma", ("tax",), ("12,34", "1,5", "0,234")),
    CellFault("exponent", ("price",), ("1e999", "1.5E3")),
    CellFault("not_finite", ("price", "tax"), ("inf", "-Infinity")),
    CellFault("too_many_decimals", ("tax",), ("8.23001", "1.23456")),
    CellFault("not_an_amount", ("price",), ("abc", "12.3.4", "5 each", "free")),
    CellFault("not_an_id", ("customer_id", "product_id"), ("???", "none yet")),
    RecordFault("too_few_fields", "{id},501,2023-07-11,{product}"),
    RecordFault("too_many_fields", "{id},501,2023-07-11,{product},Kettle, blue,2,76.27,8.23"),
    # Its quotes are never before a delimiter, where they would close the quote of an unclosed record.
    RecordFault("stray_quote", '{id},502,2023-07-12,{product},"Tall" Lamp,1,119.16,17.06'),
    # In the column of the dates, which are never quoted: no later quote can give eight fields.
    RecordFault("unclosed_quote", '{id},503,"2023-07-13,{product},Desk,1,287.25,26.36'),
    RecordFault("nul_byte", "{id},504,2023-07-13,{product},Ket\0tle,2,115.46,25.39"),
    # It holds valid UTF-8 too, so that not even a file of this one record is Windows-1252.
    RecordFault("undecodable_bytes", f"{{id}},505,2023-07-12,{{product}},Müsli Caf{BAD_BYTE},4,255.05,16.03"),
)


def break_record(
    fault: CellFault | RecordFault, fields: Sequence[str], number: int, product: int, draw: int
) -> tuple[str, list[str]]:
    """Break a good record.

    Args:
        fault: How.
        fields: The record's eight fields as they stand in the file, quoted where needed.
        number: Its transaction_id.
        product: Its product_id.
        draw: Chooses among the values of the fault.

    Returns:
        The line without its end (bytes that are not UTF-8 as surrogates), and every reason to refuse it.
    """
    if isinstance(fault, RecordFault):
        return fault.line.format(id=number, product=product), [f"record:{fault.fault}"]
    text = quote_field(fault.texts[draw % len(fault.texts)])
    line = ",".join(
        text if column in fault.columns else field for column, field in zip(COLUMNS, fields, strict=True)
    )
    return line, [f"{column}:{fault.refusal}" for column in fault.columns]


def quote_field(text: str) -> str:
    """Write a value as a CSV field: quoted where it must be, quotes doubled."""
    if any(mark in text for mark in ',"\n\r'):
        return '"' + text.replace('"', '""') + '"'
    return text
