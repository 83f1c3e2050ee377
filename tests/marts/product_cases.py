"""What the models distinguish of a product, case by case; see `cases`."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from marts.cases import Case, Said


def sold(product: str, day: str = "2020-03-05", name: str = "", quantity: str = "1", price: str = "1") -> Said:
    """Say a line of a product."""
    return Said("701", day, product, name, quantity, price)


EARLY, LATE, LATER = "2020-03-01", "2020-03-02", "2020-03-03"
GONE = sold("899")


def products() -> Iterator[Case]:
    """Prices, revenues, names, days; and products that come and go."""
    keys = map(str, count(200))
    for cases in (_averages, _revenues, _extremes, _names, _days, _several, _new_and_gone):
        yield from cases(keys)


def _averages(keys: Iterator[str]) -> Iterator[Case]:
    # Average prices at the limits; rounded down to one, rounded half up to more.
    for before, after in (
        (("100",), ("100.0001",)),
        (("100.0001",), ("100",)),
        (("1000",), ("1000.0001",)),
        (("1000.0001",), ("1000",)),
        (("100.0001", "100", "100"), ("100.0001", "100.0001", "100")),
        (("100.0001", "100"), ("99.9999", "100")),
        (("0.0001", "0.0002"), ("0.0001", "0.0004")),
        (("-0.0001", "-0.0002"), ("-0.0001", "-0.0004")),
        (("1", "2", "2"), ("1", "1", "2")),
        (("", ""), ("", "5")),
        (("", "5"), ("", "")),
        (("0",), ("",)),
        (("5", "5"), ("5", "6")),
    ):
        key = next(keys)
        yield [
            (sold(key, price=one), sold(key, price=other) if one != other else None)
            for one, other in zip(before, after, strict=True)
        ]
        yield [(sold(f"{key}0", price=one), None) for one in (*before, "")]


def _revenues(keys: Iterator[str]) -> Iterator[Case]:
    # Revenues at the limits; other units of the same price.
    for before, after in (
        ("10000", "10000.0001"), ("10000.0001", "10000"), ("50000", "50000.0001"), ("50000.0001", "50000"),
    ):  # fmt: skip
        key = next(keys)
        yield [(sold(key, price=before), sold(key, price=after)), (sold(key, quantity=""), None)]
        yield [(sold(f"{key}0", price=before), None)]
    for before, after in (("1", "-1"), ("-1", "0"), ("", "3"), ("3", ""), ("0", ""), ("", "0")):
        key = next(keys)
        yield [(sold(key, quantity=before), sold(key, quantity=after))]
        yield [
            (sold(key := next(keys), quantity=""), None),
            (sold(key, quantity=before), sold(key, quantity=after)),
        ]


def _extremes(keys: Iterator[str]) -> Iterator[Case]:
    # The lowest and the highest price go, or don't since another line has it, or come.
    for before, after in (
        (("1", "2", "3"), ("2", "2", "3")),
        (("1", "2", "3"), ("1", "2", "2")),
        (("1", "1", "3", "3"), ("2", "1", "3", "2")),
        (("1", "1", "3"), ("2", "2", "3")),
        (("2", "2"), ("1", "3")),
        (("1", "2"), ("2", "1")),
        (("1", "2", ""), ("", "2", "1")),
        (("1", "4", "2"), ("3", "4", "2")),
        (("4", "1", "2"), ("3", "1", "2")),
        (("17.23", "18", "19"), ("18.5", "18", "19")),
        (("16", "18", "27.31"), ("16", "18", "17.5")),
        (("8", "9", "7", "5", "6"), ("8", "9", "7", "", "6")),
        (("5", "7", "8", "6", "9"), ("5", "7", "8", "6", "")),
    ):
        key = next(keys)
        yield [
            (sold(key, price=one), sold(key, price=other) if one != other else None)
            for one, other in zip(before, after, strict=True)
        ]


def _names(keys: Iterator[str]) -> Iterator[Case]:
    # Names: by day, then by id; a line without a name has none to give.
    for before, after in (
        ([(LATE, "B"), (EARLY, "A")], [None, None]),
        ([(LATE, "A"), (LATE, "B"), (LATER, "")], [None, None, None]),
        ([(EARLY, ""), (LATE, "")], [None, (LATE, "A")]),
        ([(EARLY, "A"), (LATE, "B")], [None, (LATE, "")]),
        ([(EARLY, "A"), (LATE, "B")], [None, (EARLY, "B")]),
        ([(LATE, "B"), (EARLY, "A")], [(EARLY, "B"), None]),
        ([(EARLY, "A"), (LATE, "B")], [None, (LATE, "C")]),
        ([(EARLY, "A"), (LATE, "B")], [(LATER, "A"), None]),
        ([(EARLY, "A"), (LATE, "B")], [(LATE, "A"), None]),
        ([(LATE, "A"), (EARLY, "B")], [None, (LATE, "B")]),
        ([(EARLY, "A"), (LATE, "B")], [None, (LATE, "B")]),
        ([(EARLY, "A"), (LATE, "B")], [(EARLY, "Z"), None]),
        ([None, (LATE, "B")], [(LATE, "A"), None]),
        ([(LATE, "B"), None], [None, (LATE, "A")]),
        ([(LATE, "B"), None], [None, (EARLY, "A")]),
        ([(LATE, "B"), None], [None, (LATER, "A")]),
        ([(LATE, "B"), None, None], [None, (LATER, "C"), (LATER, "A")]),
        ([(LATE, "B"), None, None], [None, (LATER, "A"), (LATE, "C")]),
        ([(LATE, "B"), None], [None, (LATER, "")]),
        ([(LATE, ""), None], [None, (EARLY, "A")]),
        ([(EARLY, "A"), (LATE, "B")], [(LATER, "A"), (LATE, "")]),
        ([(LATE, "B")], [(LATE, "")]),
        ([(EARLY, "A"), (LATE, "A")], [None, (LATE, "")]),
    ):
        key = next(keys)
        yield [
            (sold(key, *one) if one else None, sold(key, *other) if other else None)
            for one, other in zip(before, after, strict=True)
        ]
    # The same, and the line that gives the name goes to another product, or its units change.
    key = next(keys)
    yield [(sold(key, EARLY, "A"), None), (sold(key, LATE, "B"), sold("899", LATE, "B"))]
    key = next(keys)
    yield [(sold(key, EARLY, "A"), None), (sold(key, LATE, "B"), sold(key, LATE, "B", "5", "9"))]


def _days(keys: Iterator[str]) -> Iterator[Case]:
    # First and last days move in, move out, or stay since another line has them.
    for before, after in (
        ([EARLY, LATE, LATER], [LATE, None, None]),
        ([EARLY, LATE, LATER], [None, None, LATE]),
        ([EARLY, LATE, LATER], [LATER, None, None]),
        ([EARLY, LATE, LATER], [None, None, EARLY]),
        ([EARLY, EARLY, LATER, LATER], [LATE, None, None, LATE]),
        ([LATE, LATE], [EARLY, LATER]),
        ([LATE, None], [None, EARLY]),
        ([LATE, None], [None, LATER]),
        ([EARLY, LATER], [LATER, EARLY]),
    ):
        key = next(keys)
        yield [
            (sold(key, one) if one else None, sold(key, other) if other else None)
            for one, other in zip(before, after, strict=True)
        ]
    yield [(sold(key := next(keys)), None), (None, sold(key, quantity="", price=""))]


def _several(keys: Iterator[str]) -> Iterator[Case]:
    # One of two that are lowest, highest, first or last goes; the other one is corrected, too, and stays so.
    for first, last in (("1", "3"), ("3", "1")):
        key = next(keys)
        yield [
            (sold(key, price=first), sold(key, price="2")),
            (sold(key, price=first), sold(key, price=first, quantity="2")),
            (sold(key, price=last), None),
        ]
    for first, last in ((EARLY, LATER), (LATER, EARLY), ("2019-12-24", LATE), ("2021-04-23", LATE)):
        key = next(keys)
        yield [
            (sold(key, first), sold(key, LATE)),
            (sold(key, first), sold(key, first, quantity="2")),
            (sold(key, last), None),
        ]
        key = next(keys)
        yield [(sold(key, first), sold(key, LATE)), (sold(key, last), None)]
    # Several new names of one day.
    for names in ("AB", "BA", "ABC", "CBA", "BAC", "BCA"):
        key = next(keys)
        yield [(sold(key, EARLY, "Z"), None), *((None, sold(key, LATE, name)) for name in names)]


def _new_and_gone(keys: Iterator[str]) -> Iterator[Case]:
    # One goes, one comes.
    key = next(keys)
    yield [(sold(key, name="Gone"), GONE), (sold(key), GONE)]
    yield [(sold(key := next(keys)), GONE), (sold(key), GONE)]
    yield [(None, sold(next(keys), name="New", price="1000.0001")), (None, sold(next(keys), quantity="", price=""))]
