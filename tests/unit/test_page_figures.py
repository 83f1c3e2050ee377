"""How the pipeline's page writes figures, keeps answers and hands out CSV."""

from __future__ import annotations

import csv
import io
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from audited_load.errors import UnavailableError
from customer_pipeline.settings import reader_dsn
from pipeline_page.download import TABLES, write_csv
from pipeline_page.tabs.quality import read_thresholds
from pipeline_page.tabs.sales import Group, Month, Product, Sales, grow
from pipeline_page.texts import show_age, show_change, show_number, show_percent, show_quantity, show_share
from pipeline_page.warehouse import Kept, PublishedMarts

MARTS = PublishedMarts(1, 1, datetime(2025, 1, 1, tzinfo=UTC))


def month(text: str, revenue: str) -> Month:
    return Month(date.fromisoformat(f"{text}-01"), 1, 1, Decimal(revenue), Decimal(0), None)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Decimal("1234567.8"), "1,234,567.80"),
        (Decimal("0.0001"), "0.0001"),
        (Decimal("-12.3456"), "-12.3456"),
        (Decimal("1E+3"), "1,000.00"),
        (0, "0"),
        (None, "–"),  # noqa: RUF001
    ],
)
def test_no_digit_of_money_is_rounded_away(value: Decimal | int | None, text: str) -> None:
    assert show_number(value) == text


def test_figures_are_written_for_people() -> None:
    assert show_quantity(Decimal("2410")) == "2,410"
    assert (show_change(-3), show_change(Decimal("0.5")), show_change(0)) == (
        "\N{MINUS SIGN}3",
        "+0.50",
        "no change",
    )
    assert (show_percent(Decimal("1.50")), show_percent(None)) == ("+1.50 %", "–")  # noqa: RUF001
    assert (show_share(33, 1000), show_share(1, 0)) == ("3.3 %", "–")  # noqa: RUF001
    ages = [timedelta(seconds=59), timedelta(minutes=61), timedelta(days=2, hours=3), timedelta(seconds=-5)]
    assert list(map(show_age, ages)) == ["0 min", "1 h 1 min", "2 d 3 h", "0 min"]


def test_growth_is_against_the_month_before_in_the_calendar_only() -> None:
    months = [month("2024-12", "50"), month("2025-01", "-25"), month("2025-03", "10"), month("2025-04", "0")]
    months.append(month("2025-05", "7"))
    growth = [each.growth for each in grow(months)]
    assert growth == [None, Decimal("-150.00"), None, Decimal("-100.00"), None]


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@A1", "\t=1", "\r=1", "＝1", "'=1"])  # noqa: RUF001
def test_a_spreadsheet_calculates_no_product_name(name: str) -> None:
    sales = Sales(MARTS, [], [], [], [], [], [Product(1, name, -2, Decimal("-3.50"), "Regular")])
    (row,) = csv.DictReader(io.StringIO(write_csv(sales, "products"), newline=""))
    assert row["product_name"] == f"'{name}"
    assert (row["units"], row["revenue"]) == ("-2", "-3.50")


def test_every_table_has_as_many_cells_as_names() -> None:
    group = [Group("Gold", 1, Decimal(2))]
    product = [Product(1, None, 2, Decimal(3), "Top")]
    sales = Sales(MARTS, [], [month("2025-01", "1")], group, group, group, product)
    for table in TABLES:
        header, row = csv.reader(io.StringIO(write_csv(sales, table)))
        assert len(header) == len(row), table


def test_an_answer_is_kept_until_the_marts_change() -> None:
    asked: list[int] = []

    def find() -> int:
        asked.append(1)
        return len(asked)

    kept = Kept(size=2)
    later = PublishedMarts(1, 2, MARTS.published_at)
    assert [kept.get(marts, "fact", find) for marts in (MARTS, MARTS, later, later)] == [1, 1, 2, 2]
    assert kept.get(MARTS, "sales", find) == 3  # takes the place of the oldest
    assert kept.get(MARTS, "fact", find) == 4


def test_settings_are_read_as_the_steps_read_them() -> None:
    for name, place in (
        ("MAX_REJECTED_RATIO", "max_rejected_ratio"),
        ("MAX_SUPERSEDED_RATIO", "max_superseded_ratio"),
    ):
        read = [getattr(read_thresholds({name: text}), place) for text in ("", "0.2", "7", "x")]
        assert read == [0.05, 0.2, 0.05, 0.05]
    with pytest.raises(UnavailableError, match="READER_PASSWORD"):
        reader_dsn({"POSTGRES_PORT": "1"})
    assert "user=reader" in reader_dsn({"POSTGRES_PORT": "1", "READER_PASSWORD": "x"})
