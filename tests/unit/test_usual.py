"""What is usual of a file, and what is not: over made-up histories."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from customer_pipeline.usual import AT_LEAST, LOOKED_AT, RECORDS, REFUSED, REVENUE, Figure, compare, find_band

counts = st.integers(1, 10**9)
lengths = st.integers(AT_LEAST, LOOKED_AT)
gross = st.decimals(-(10**12), 10**12, places=4)


@st.composite
def histories(draw: st.DrawFn) -> list[Decimal]:
    """Draw figures that differ by a tenth at most, of as many loads as it takes."""
    middle = draw(st.integers(1_000, 10**9))
    shares = draw(st.lists(st.integers(900, 1_100), min_size=AT_LEAST, max_size=LOOKED_AT))
    return [Decimal(middle * share) / 1000 for share in shares]


def unusual(figures: tuple[Figure, ...]) -> list[str]:
    return [figure.name for figure in figures if figure.is_unusual]


@given(counts, gross, lengths, st.floats(0, 1))
def test_a_load_that_is_like_all_others_is_usual(read: int, total: Decimal, loads: int, share: float) -> None:
    load = (Decimal(read), total, Decimal(int(read * share)))
    assert unusual(compare(load, [load] * loads)) == []


@given(histories())
def test_ten_times_as_much_is_unusual_and_so_is_a_tenth(history: list[Decimal]) -> None:
    band = find_band(history)
    assert band is not None
    for value, expected in [(each, False) for each in history] + [(10 * history[0], True), (history[0] / 10, True)]:
        assert Figure(RECORDS, value, band).is_unusual is expected


@given(st.lists(st.tuples(counts.map(Decimal), gross, counts.map(Decimal)), max_size=AT_LEAST - 1), counts)
def test_of_too_few_loads_nothing_is_unusual(history: list[tuple[Decimal, ...]], factor: int) -> None:
    figures = compare((Decimal(10**12 * factor), Decimal(-(10**15)), Decimal(10**12)), history)
    assert unusual(figures) == []
    assert [figure.usually for figure in figures] == ["", "", ""]


@given(histories(), st.decimals(-(10**15), 10**15, places=2))
def test_one_odd_load_of_before_hides_nothing_and_raises_no_alarm(history: list[Decimal], odd: Decimal) -> None:
    band = find_band([*history, odd])
    assert band is not None
    assert Figure(RECORDS, 10 * history[0], band).is_unusual
    assert Figure(RECORDS, history[0] / 10, band).is_unusual
    assert not [each for each in history if Figure(RECORDS, each, band).is_unusual]


def test_days_that_are_always_low_are_usual() -> None:
    week = [Decimal(read) for read in (100_000, 101_000, 99_000, 100_500, 98_000, 20_000, 15_000)]
    band = find_band((week * 5)[:LOOKED_AT])
    assert band is not None
    assert not [read for read in week if Figure(RECORDS, read, band).is_unusual]
    assert Figure(RECORDS, Decimal(300_000), band).is_unusual


def test_each_figure_is_compared_with_its_own_kind_and_less_refused_is_no_warning() -> None:
    earlier = [(Decimal(1000), Decimal("500.10"), Decimal(100))] * AT_LEAST
    assert unusual(compare((Decimal(1000), Decimal(-400), Decimal(0)), earlier)) == [REVENUE]
    assert unusual(compare((Decimal(1000), Decimal("500.10"), Decimal(300)), earlier)) == [REFUSED]
    assert unusual(compare((Decimal(9), Decimal("500.10"), Decimal(0)), earlier)) == [RECORDS]
    clean = [(Decimal(1000), Decimal(1), Decimal(0))] * AT_LEAST
    assert unusual(compare((Decimal(1000), Decimal(1), Decimal(10)), clean)) == [], (
        "a hundredth is within the margin"
    )
    assert unusual(compare((Decimal(1000), Decimal(1), Decimal(11)), clean)) == [REFUSED]
