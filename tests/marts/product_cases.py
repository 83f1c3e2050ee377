"""What the models distinguish of a product, case by case; see `cases`."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from marts.cases import Case, Said


def products() -> Iterator[Case]:
    """Names, prices and revenues at their limits, first and last days."""

    def sold(product: str, day: str = "2020-03-05", name: str = "", quantity: str = "1", price: str = "1") -> Said:
        return Said("701", day, product, name, quantity, price)

    keys = map(str, count(200))
    gone = sold("899")
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
    # Names: by day, then by id; a line without a name has none to give.
    early, late, later = "2020-03-01", "2020-03-02", "2020-03-03"
    for before, after in (
        ([(late, "B"), (early, "A")], [None, None]),
        ([(late, "A"), (late, "B"), (later, "")], [None, None, None]),
        ([(early, ""), (late, "")], [None, (late, "A")]),
        ([(early, "A"), (late, "B")], [None, (late, "")]),
        ([(early, "A"), (late, "B")], [None, (early, "B")]),
        ([(late, "B"), (early, "A")], [(early, "B"), None]),
        ([(early, "A"), (late, "B")], [None, (late, "C")]),
        ([(early, "A"), (late, "B")], [(later, "A"), None]),
        ([(early, "A"), (late, "B")], [(late, "A"), None]),
        ([(late, "A"), (early, "B")], [None, (late, "B")]),
        ([(early, "A"), (late, "B")], [None, (late, "B")]),
        ([(early, "A"), (late, "B")], [(early, "Z"), None]),
        ([None, (late, "B")], [(late, "A"), None]),
        ([(late, "B"), None], [None, (late, "A")]),
        ([(late, "B"), None], [None, (early, "A")]),
        ([(late, "B"), None], [None, (later, "A")]),
        ([(late, "B"), None, None], [None, (later, "C"), (later, "A")]),
        ([(late, "B"), None, None], [None, (later, "A"), (late, "C")]),
        ([(late, "B"), None], [None, (later, "")]),
        ([(late, ""), None], [None, (early, "A")]),
        ([(early, "A"), (late, "B")], [(later, "A"), (late, "")]),
        ([(late, "B")], [(late, "")]),
        ([(early, "A"), (late, "A")], [None, (late, "")]),
    ):
        key = next(keys)
        yield [
            (sold(key, *one) if one else None, sold(key, *other) if other else None)
            for one, other in zip(before, after, strict=True)
        ]
        # The same, and the line that gives the name goes to another product, or its units change.
    key = next(keys)
    yield [(sold(key, early, "A"), None), (sold(key, late, "B"), sold("899", late, "B"))]
    key = next(keys)
    yield [(sold(key, early, "A"), None), (sold(key, late, "B"), sold(key, late, "B", "5", "9"))]
    # First and last days move in, move out, or stay since another line has them.
    for before, after in (
        ([early, late, later], [late, None, None]),
        ([early, late, later], [None, None, late]),
        ([early, early, later, later], [late, None, None, late]),
        ([late, late], [early, later]),
        ([late, None], [None, early]),
        ([late, None], [None, later]),
        ([early, later], [later, early]),
    ):
        key = next(keys)
        yield [
            (sold(key, one) if one else None, sold(key, other) if other else None)
            for one, other in zip(before, after, strict=True)
        ]
    yield [(sold(key := next(keys)), None), (None, sold(key, quantity="", price=""))]
    # One of two that are lowest, highest, first or last goes; the other one is corrected, too, and stays so.
    for first, last in (("1", "3"), ("3", "1")):
        key = next(keys)
        yield [
            (sold(key, price=first), sold(key, price="2")),
            (sold(key, price=first), sold(key, price=first, quantity="2")),
            (sold(key, price=last), None),
        ]
    for first, last in ((early, later), (later, early), ("2019-12-24", late), ("2021-04-23", late)):
        key = next(keys)
        yield [
            (sold(key, first), sold(key, late)),
            (sold(key, first), sold(key, first, quantity="2")),
            (sold(key, last), None),
        ]
        key = next(keys)
        yield [(sold(key, first), sold(key, late)), (sold(key, last), None)]
    # Several new names of one day.
    for names in ("AB", "BA", "ABC", "CBA", "BAC", "BCA"):
        key = next(keys)
        yield [(sold(key, early, "Z"), None), *((None, sold(key, late, name)) for name in names)]
    # One goes, one comes.
    key = next(keys)
    yield [(sold(key, name="Gone"), gone), (sold(key), gone)]
    yield [(sold(key := next(keys)), gone), (sold(key), gone)]
    yield [(None, sold(next(keys), name="New", price="1000.0001")), (None, sold(next(keys), quantity="", price=""))]
