# ruff: noqa: RUF001 - look-alikes are the point
"""Hypothesis strategies: cells such as a supplier's worst export holds them, column by column.

A lone carriage return is left out: it breaks the rejected file, which has a test of its own in
`test_clean_rejected.py`.
"""

from __future__ import annotations

import csv
import io

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from number_words_oracle import spell
from oracle import WHITE_SPACE

NULLS = st.sampled_from(
    [
        "",
        " ",
        "NA",
        "n/a",
        "NULL",
        "None",
        "nan",
        "NaN",
        "-",
        "--",
        "N.A.",
        "nil",
        "\xa0",
        "ＮＡ",
        r"\N",
        "#N/A",
        "(null)",
        "<NA>",
        "NaT",
        "---",
        "—",
        "–",
        "−",
        ".",
        "..",
        "?",
        "??",
        "unknown",
        "ERROR",
        "#DIV/0!",
        "#REF!",
        "tbd",
        "'NA",
        '=""',
        '="N/A"',
        "\ufeff",
        "\ufeffNULL",
        "'",
        "''",
        "[NULL]",
        "-1.#IND",
    ]
)
DIGITS = ("٠١٢٣٤٥٦٧٨٩", "０１２３４５６７８９", "०१२३४५६७८९")
ODD = [*"=+-@'\";|\t,$€£()%_/\\", "\n", "\x07", "\x1b", "\x1c", "\x7f", "\x85", "\u200b", "\u200e", "\u202e",
       "\u2066", "\ufeff", "\u0301", "\u2212", "\u2028", "\u3000", "🧾", "👩‍👩‍👧", "é", "e\u0301",
       "Å", "ﬁ", "ſ", "K"]  # fmt: skip

odd_text = st.one_of(
    st.lists(st.sampled_from([*ODD, *"aZ09 .eE"]), max_size=8).map("".join),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), max_size=12),
)
blanks = st.text(
    st.sampled_from([" ", " ", "\t", "\xa0", "\u2003", "\u3000", *WHITE_SPACE.replace("\r", "")]), max_size=2
)
hidden = st.text(st.sampled_from("\ufeff\u200b\u200e\u202a\u202c\u202e\u00ad \xa0"), max_size=3)
GUARDS = ("'{}", "'{}'", "' {}", '="{}"', '=" {} "', '="{}', '"{}"', "='{}'", "''{}", '\'="{}"', '=" =""{}"" "')
whole = st.one_of(
    st.integers(-20, 3000),
    st.sampled_from([2**31 - 1, 2**31, -(2**31), -(2**31) - 1, 2**63 - 1, 2**63, 10**14 - 1, 10**14, 10**30]),
    st.integers(-(10**15), 10**15),
)


@st.composite
def dressed(draw: st.DrawFn, core: SearchStrategy[str]) -> str:
    """Put a cell between spaces or guards, or spoil it: other digits, a character too many or one lost."""
    text = draw(core)
    how = draw(st.integers(0, 11))
    if how >= 10:
        return draw(st.sampled_from(GUARDS)).format(text) if how == 10 else draw(hidden) + text + draw(hidden)
    if how < 2:
        return draw(blanks) + text + draw(blanks)
    if how == 2:
        digits = draw(st.sampled_from(DIGITS))
        place = draw(st.integers(0, len(text)))
        return text[:place] + text[place:].translate(str.maketrans("0123456789", digits))
    if how == 3:
        place = draw(st.integers(0, len(text)))
        return text[:place] + draw(st.sampled_from([*ODD, *"0123456789. e-+,abcxyz"])) + text[place:]
    if how == 4 and text:
        place = draw(st.integers(0, len(text) - 1))
        return text[:place] + text[place + 1 :]
    return text


THOUSANDS = (".", " ", "\xa0", "\u202f", "\u2009", "'", "’", "  ", "\t", ",")
SIGNS = (
    *[("", "")] * 8,
    ("-", ""),
    ("+", ""),
    ("--", ""),
    ("- ", ""),
    ("+ ", ""),
    ("−", ""),
    ("–", ""),
    ("—", ""),
    ("‐ ", ""),
    ("-\xa0", ""),
    ("", "-"),
    ("", "−"),
    ("", "–"),
    ("", " -"),
    ("-", "-"),
    ("+", "-"),
    ("(", ")"),
    ("( ", " )"),
    ("(-", ")"),
    ("(", ""),
    ("−", "−"),
    ("((", "))"),
    ("", "+"),
)


@st.composite
def number_texts(draw: st.DrawFn) -> str:
    """Write a number as exports do: signs, zeros, decimals, thousands, exponents, infinities."""
    number = abs(draw(whole))
    digits = draw(st.sampled_from(["{}", "{}", "{:,}", "{:_}"])).format(number)
    digits = digits.replace("_", draw(st.sampled_from(THOUSANDS)))
    decimals = draw(
        st.sampled_from(
            [
                "",
                "",
                ".",
                ".0",
                ".00000",
                ".5",
                ".25",
                ".1234",
                ".12345",
                ".250000",
                ".123400001",
                ",50",
                ",5",
                "e5",
                "E-3",
            ]
        )
    )
    zeros = draw(st.sampled_from(["", "", "", "", "0", "000"]))
    before, after = draw(st.sampled_from(SIGNS))
    return before + zeros + digits + decimals + after


@st.composite
def worded(draw: st.DrawFn) -> str:
    """Spell a number, in any case, with and without hyphens and "and", now and then spoilt."""
    text = spell(draw(st.one_of(st.integers(-20, 5000), st.integers(-(10**9), 10**12))))
    if draw(st.booleans()):
        text += " point " + " ".join(spell(draw(st.integers(0, 9))) for _ in range(draw(st.integers(1, 5))))
    change = draw(st.sampled_from([str, str.title, str.upper, lambda t: t.replace("-", " "),
                                   lambda t: t.replace(" and ", " "), lambda t: t.replace(" ", "  ")]))  # fmt: skip
    if draw(st.integers(0, 3)) == 0:
        words = text.split(" ")
        place = draw(st.integers(0, len(words)))
        words.insert(
            place, draw(st.sampled_from(["two", "or", "and", "hundred", "point", "minus", "half", "x", "ten"]))
        )
        text = " ".join(words)
    return change(text)


MONTHS = (
    "Jan",
    "feb",
    "MARCH",
    "April",
    "may",
    "Jun",
    "July",
    "aug",
    "Sept",
    "Sep",
    "October",
    "Nov",
    "Dec",
    "Juli",
    "Mai",
    "Au",
    "Auguſt",
    "Octobre",
)
TIMES = st.builds(
    "{}{}:{:02}{}{}{}".format,
    st.sampled_from(["T", " ", " ", "  ", ", ", "t", "\xa0", "", ","]),
    st.one_of(st.integers(0, 25), st.integers(0, 23).map("{:02}".format)),
    st.one_of(st.integers(0, 61)),
    st.sampled_from(["", "", ":30", ":30.123456", ":30,5", ":30.1234567890", ":60", ":5"]),
    st.sampled_from(["", "", "", " AM", " PM", "pm", "\u202fp.m.", " XM"]),
    st.sampled_from(
        ["", "", "Z", "+02:00", "-0530", "+02", " Z", "z", " UTC", " GMT", "UTC", " CET", "+15:00", "+99:99"]
    ),
)


@st.composite
def date_texts(draw: st.DrawFn) -> str:
    """Write a day in every order, with every mark, in words, with a time, in the calendar or just out of it."""
    year = draw(st.sampled_from(["2023", "2024", "1900", "1023", "0000", "0001", "9999", "23"]))
    style = draw(st.sampled_from(["{:02}", "{:02}", "{}"]))
    month, day = style.format(draw(st.integers(0, 13))), style.format(draw(st.integers(0, 32)))
    first, second = draw(st.sampled_from(["--", "//", "..", "-/", ".-", "  ", "::", ["", ""]]))
    parts = draw(st.sampled_from([(year, month, day), (day, month, year), (month, day, year)]))
    text = f"{parts[0]}{first}{parts[1]}{second}{parts[2]}"
    if draw(st.integers(0, 3)) == 0:
        word = draw(st.sampled_from(MONTHS))
        shape = draw(st.sampled_from(WORDED))
        mark = draw(st.sampled_from([" ", " ", "-", "/", ".", "", ", ", "  ", ". "]))
        text = shape.format(d=day, m=word, y=year, s=mark)
    return text + draw(TIMES) if draw(st.integers(0, 2)) == 0 else text


WORDED = (
    "{d}{s}{m}{s}{y}",
    "{m}{s}{d}{s}{y}",
    "{y}{s}{m}{s}{d}",
    "{m} {d}, {y}",
    "{m}. {d}, {y}",
    "{d}th {m} {y}",
    "{m} {d}nd, {y}",
    "{d}. {m} {y}",
    "{d} {m}, {y}",
    "{d} {m}",
    "{m} {y}",
    "{y} {d} {m}",
    "{d}th of {m} {y}",
)


@st.composite
def amounts(draw: st.DrawFn) -> str:
    """Write an amount: currencies on either side, parentheses, words."""
    core = draw(st.one_of(number_texts(), worded()))
    before = draw(
        st.sampled_from(
            ["", "", "", "", "$", "US$", "USD ", "usd", "-$", "$-", "$ ", "$ - ", "−$", "- $", "€", "EUR "]
        )
    )
    after = draw(st.sampled_from(["", "", "", "", " USD", "$", " EUR", "%"]))
    text = before + core + after
    return f"({text})" if draw(st.integers(0, 4)) == 0 else text


def identifiers(letter: str) -> SearchStrategy[str]:
    return dressed(st.builds("{}{}".format, st.sampled_from(["", "", letter, letter.lower(), "X"]), number_texts()))


names = st.one_of(
    odd_text,
    odd_text.map('="{}"'.format),
    st.builds("{}\t{}".format, odd_text, odd_text),
    st.lists(odd_text, min_size=2, max_size=3).map("  ".join),
    st.sampled_from(
        [
            "NA",
            '="12"" Desk"',
            '=""',
            '=" =""x"" "',
            "'Lamp'",
            "=cmd()",
            "'; DROP TABLE x; --",
            "\u202eabc",
            "e\u0301" * 255,
            "x" * 255,
            "x" * 256,
            "\u0301",
        ]
    ),
)

CELLS: dict[str, SearchStrategy[str]] = {
    "customer_id": st.one_of(identifiers("C"), NULLS, odd_text),
    "transaction_date": st.one_of(dressed(date_texts()), dressed(date_texts()), NULLS, odd_text),
    "product_id": st.one_of(identifiers("P"), NULLS, odd_text),
    "product_name": names,
    "quantity": st.one_of(dressed(number_texts()), dressed(worded()), NULLS, odd_text),
    "price": st.one_of(dressed(amounts()), NULLS, odd_text),
    "tax": st.one_of(dressed(amounts()), NULLS, odd_text),
}
GOOD = {
    "customer_id": "501",
    "transaction_date": "2024-01-02",
    "product_id": "7",
    "product_name": "Thing",
    "quantity": "2",
    "price": "1.10",
    "tax": "0.05",
}


@st.composite
def cells(draw: st.DrawFn, good: dict[str, str] = GOOD) -> dict[str, str]:
    """Draw the cells of one record beside its transaction_id; a few are dirty, so that not all is refused."""
    dirty = draw(st.sets(st.sampled_from(sorted(CELLS)), min_size=1, max_size=3))
    return good | {name: draw(CELLS[name]) for name in sorted(dirty)}


@st.composite
def comma_cells(draw: st.DrawFn) -> dict[str, str]:
    """Draw the cells of one record of a file of decimal commas; some of its numbers have points all the same."""
    drawn = draw(cells(GOOD | {"price": "1,10", "tax": "0,05"}))
    swap = st.sampled_from([True, True, False])
    return {name: swap_marks(text) if text != GOOD[name] and draw(swap) else text for name, text in drawn.items()}


def swap_marks(text: str) -> str:
    """Let comma and point change places."""
    return text.translate(str.maketrans(".,", ",."))


def write_csv(rows: list[list[str]]) -> str:
    """Write rows as a careful exporter does: every cell in quotes."""
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows(rows)
    return out.getvalue()
