"""How days are written, with or without a time; and why a text is none."""

from __future__ import annotations

import re
from datetime import date

from audited_load.columns import Refusal, Rule

DAY_FIRST, MONTH_FIRST = ("date_order=auto", "date_order=day_first"), ("date_order=month_first",)
_NAMES = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
_MONTHS = {"sept": 9} | {word: number for number, name in enumerate(_NAMES, 1) for word in (name, name[:3])}
_WORD = "[A-Za-z]{3,9}"
_DAY, _YEAR = "[0-9]{1,2}(?i-u:st|nd|rd|th)?", "[0-9]{4}"
_MINUTES = r"(?::[0-5][0-9](?:[.,][0-9]{1,9})?)?"
_TIME = (
    rf"(?:(?:[01]?[0-9]|2[0-3]):[0-5][0-9]{_MINUTES}"
    rf"|(?:0?[0-9]|1[0-2]):[0-5][0-9]{_MINUTES}\s?(?i-u:[ap]\.?m\.?))"
    r"(?:\s?(?:[Zz]|UTC|GMT|[+-](?:0[0-9]|1[0-4])(?::?[0-5][0-9])?))?"
)
_DAY_OF_CALENDAR = (
    "^[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    "|02-(?:0[1-9]|1[0-9]|2[0-8]))$"
    "|^(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)-02-29$"
)
_TWO_MARKS = r"[0-9]{1,2}[-/.][0-9]{1,2}[-/.][0-9]{4}"


def put_year_first(text: str) -> str | None:
    """Turn day-month-year, with one separator throughout, into year-month-day: "7/11/2023" is 2023-11-07."""
    day, month, *year = text.split(text[-5])
    return f"{year[0]}-{month:0>2}-{day:0>2}" if year else None


def turn_month_first(text: str) -> str | None:
    """Turn month-day-year, with one separator throughout, into year-month-day: "7/11/2023" is 2023-07-11."""
    month, day, *year = text.split(text[-5])
    return f"{year[0]}-{month:0>2}-{day:0>2}" if year else None


def separate_by_hyphens(text: str) -> str | None:
    """Put hyphens into a year-month-day that has another separator, one and the same throughout."""
    return text.replace(text[4], "-") if text.count(text[4]) == 2 else None  # noqa: PLR2004 - between three parts


def pad_with_zeros(text: str) -> str:
    """Write month and day of a year-month-day with two digits."""
    return "-".join(f"{part:0>2}" for part in text.split("-"))


def read_month_name(text: str) -> str | None:
    """Turn a day whose month is an English word into year-month-day: "July 11, 2023" is 2023-07-11."""
    name = max(re.findall("[a-z]+", text.lower()), key=len)
    day, year = sorted(re.findall("[0-9]+", text), key=len)
    return f"{year}-{_MONTHS[name]:02}-{day:0>2}" if name in _MONTHS else None


DATE_RULES = (
    Rule(
        "timestamp",
        rf"^(.*[0-9])(?:[Tt]|,?\s+){_TIME}$",
        "${1}",
        (
            ("2023-07-11T08:30:00Z", "2023-07-11"),
            ("2023-07-11 8:30", "2023-07-11"),
            ("2023-07-11 8:30:00 PM", "2023-07-11"),
        ),
        needs=":",
    ),
    Rule(
        "day_first",
        rf"^{_TWO_MARKS}$",
        put_year_first,
        (
            ("11-07-2023", "2023-07-11"),
            ("11/07/2023 20:30", "2023-07-11"),
            ("11.07.2023", "2023-07-11"),
            ("7/11/2023", "2023-11-07"),
        ),
        DAY_FIRST,
    ),
    Rule(
        "month_first",
        rf"^{_TWO_MARKS}$",
        turn_month_first,
        (("07/11/2023", "2023-07-11"), ("7/11/2023 8:30 PM", "2023-07-11")),
        MONTH_FIRST,
    ),
    Rule(
        "separator",
        r"^[0-9]{4}(?:/[0-9]{1,2}/|\.[0-9]{1,2}\.)[0-9]{1,2}$",
        separate_by_hyphens,
        (("2023/07/11", "2023-07-11"), ("2023.07.11", "2023-07-11")),
    ),
    Rule(
        "padding",
        r"^[0-9]{4}-(?:[0-9]-[0-9]{1,2}|[0-9]{2}-[0-9])$",
        pad_with_zeros,
        (("2023-7-1", "2023-07-01"), ("2023/7/11", "2023-07-11")),
    ),
    # In these centuries no text can also be a day-month-year or a month-day-year.
    Rule(
        "eight_digits",
        r"^((?:19|20)[0-9]{2})(0[1-9]|1[0-2])(0[1-9]|[12][0-9]|3[01])$",
        "${1}-${2}-${3}",
        (("20230711", "2023-07-11"),),
    ),
    Rule(
        "month_name",
        rf"^(?:{_DAY}[-/.\s]?\s?{_WORD}\.?[-/,\s]?\s?{_YEAR}|{_WORD}\.?[-/\s]?{_DAY}[-/,\s]\s?{_YEAR}"
        rf"|{_YEAR}[-/.\s]?{_WORD}[-/.\s]?[0-9]{{1,2}})$",
        read_month_name,
        (
            ("11-Jul-2023", "2023-07-11"),
            ("11 July 2023", "2023-07-11"),
            ("Jul 11, 2023", "2023-07-11"),
            ("11JUL2023", "2023-07-11"),
        ),
        needs="aeouAEOU",
    ),
)


def outside(first: date, last: date) -> Refusal:
    """Build the refusal of days before the first or after the last that a column takes.

    Most of them are an empty date of some system, 0001-01-01 or 9999-12-31, or a slip of the pen. It comes before
    `not_in_calendar`: what is a day of the calendar, and still refused, can only be outside.
    """
    return Refusal(
        "out_of_range",
        _DAY_OF_CALENDAR,
        f"is not from {first} to {last}",
        ("0001-01-01", "9999/12/31"),
    )


DATE_REFUSALS = (
    Refusal(
        "not_a_time",
        r"[0-9](?:[Tt]|,?\s+)(?:(?:2[4-9]|[3-9][0-9]):[0-9]{2}|[0-9]{1,2}:[6-9][0-9]|[0-9]{1,2}:[0-9]{2}:[6-9][0-9])",
        "has a time that is not from 0:00:00 to 23:59:59, so its day is not certain",
        ("2023-07-11 24:00", "2023-07-11T25:61:00Z"),
        needs=":",
    ),
    Refusal(
        "two_digit_year",
        rf"^[0-9]{{1,2}}[-/.][0-9]{{1,2}}[-/.][0-9]{{2}}$|^{_DAY}[-/.\s]?{_WORD}[-/.,\s]?\s?'?[0-9]{{2}}$"
        rf"|^{_WORD}\.?[-/\s]?{_DAY}[-/,\s]\s?'?[0-9]{{2}}$",
        "has a year of two digits",
        ("11-07-23", "23/07/11", "11-Jul-23"),
    ),
    Refusal(
        "mixed_separators",
        rf"^{_TWO_MARKS}$|^[0-9]{{4}}(?:-[0-9]{{1,2}}[/.]|/[0-9]{{1,2}}[-.]|\.[0-9]{{1,2}}[-/])[0-9]{{1,2}}$",
        "has two different separators",
        ("11-07/2023", "2023-07/11"),
    ),
    Refusal(
        "not_in_calendar",
        r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$",
        "is not a day of the calendar, read as day-month-year or year-month-day",
        ("31-02-2023", "07-25-2023", "2023-13-01"),
        DAY_FIRST,
    ),
    Refusal(
        "not_in_calendar",
        r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$",
        "is not a day of the calendar, read as month-day-year or year-month-day",
        ("02/31/2023", "25/07/2023", "2023-13-01"),
        MONTH_FIRST,
    ),
    Refusal(
        "digits_only",
        "^[0-9]+$",
        "is digits only; a day in digits has eight: year from 1900 to 2099, month, day",
        ("45118", "11072023", "19122010"),
    ),
    Refusal("not_a_date", "", "is in no form of date that is read", ("yesterday", "11 Juli 2023", "2023-W28-2")),
)
