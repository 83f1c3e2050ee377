"""How the pipeline's page writes figures, keeps answers and hands out CSV."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Any

import pytest
import yaml

from audited_load.errors import UnavailableError
from customer_pipeline.settings import reader_dsn
from pipeline_page.download import SALES_TABLES, write_csv
from pipeline_page.render import make_environment, render_view
from pipeline_page.tabs.groups import Group, Product
from pipeline_page.tabs.quality import read_thresholds
from pipeline_page.tabs.sales import Month, Sales, grow
from pipeline_page.texts import (
    NOTHING,
    YearMonth,
    fit_class,
    is_rounded,
    show_age,
    show_change,
    show_money,
    show_month,
    show_number,
    show_percent,
    show_quantity,
    show_share,
)
from pipeline_page.views import sales_context
from pipeline_page.warehouse import Kept, PublishedMarts
from pipeline_page.web_assets import read_asset

MODELS = Path(__file__).parents[2] / "dbt" / "models"
MARTS = PublishedMarts(1, 1, datetime(2025, 1, 1, tzinfo=UTC))


def month(text: str, revenue: object) -> Month:
    known = None if revenue is None else Decimal(str(revenue))
    return Month(YearMonth.read(text), 1, 0, 1, known, Decimal(0), None)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Decimal("1234567.8"), "1,234,567.80"),
        (Decimal("0.0001"), "0.0001"),
        (Decimal("-12.3456"), "-12.3456"),
        (Decimal("1E+3"), "1,000.00"),
        (Decimal("9" * 34 + ".1234"), "9," + ",".join(["999"] * 11) + ".1234"),
        (Decimal("9" * 34 + ".1200"), "9," + ",".join(["999"] * 11) + ".12"),
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


def test_growth_is_what_the_mart_calls_growth() -> None:
    unit_tests = yaml.safe_load((MODELS / "aggregates" / "agg_monthly_sales.yml").read_text())["unit_tests"]
    (example,) = [one for one in unit_tests if one["name"].startswith("growth_is")]
    customers: dict[int, list[dict[str, Any]]] = {}
    for row in example["expect"]["rows"]:
        customers.setdefault(row["customer_id"], []).append(row)
    assert len(customers) > 1
    for rows in customers.values():
        months = grow([month(f"{row['transaction_month']:%Y-%m}", row["revenue"]) for row in rows])
        assert [each.growth for each in months] == [row["revenue_growth_percent"] for row in rows]


def test_growth_and_sums_hold_all_digits_that_the_marts_can() -> None:
    largest = Decimal("99999999999999.9999") * 2147483647
    with localcontext(prec=100):
        months = grow([month("2024-01", "0.0001"), month("2024-02", largest * 10**6)])
        assert months[1].growth == 100 * (largest * 10**6 - Decimal("0.0001")) / Decimal("0.0001")
        expected = largest * 10**6 + Decimal("0.0001")
    assert months[1].growth is not None
    assert show_percent(months[1].growth).removesuffix(" %").replace(",", "") == f"+{months[1].growth}"
    assert show_percent(months[1].growth.copy_negate())[1:] == show_percent(months[1].growth)[1:]
    assert Sales(MARTS, [], months, [], [], [], []).total.revenue == expected


def test_what_is_unknown_is_no_zero_on_the_page_and_in_the_download() -> None:
    months = [replace(month("2025-01", None), without_amount=1, units=None, tax=None)]
    sales = Sales(
        MARTS, [], months, [], [Group("Unknown", 1, 1, None)], [], [Product(1, None, None, None, "Unknown")]
    )
    assert (sales.total.revenue, sales.total.units, sales.total.without_amount) == (None, None, 1)
    context = sales_context(sales)
    assert context["month_rows"] == [("Jan 2025", *[NOTHING] * 3, "1", "1", NOTHING)]
    page = {"root": "", "version": "", "report": False, "docs": False}
    assert "without 1 transaction of unknown amount" in render_view(make_environment(), "sales", context | page)
    (row,) = csv.DictReader(io.StringIO(write_csv(SALES_TABLES["months"](sales))))
    assert (row["transactions_without_amount"], row["units"], row["revenue"], row["tax"]) == ("1", "", "", "")
    known = replace(sales, months=[*months, month("2025-02", "3")])
    assert (known.total.revenue, known.total.units, known.total.without_amount) == (Decimal(3), 1, 1)


@pytest.mark.parametrize("key", ["0001-01", "9999-12", "10000-01", "294276-12", "-0001-12", "2023-07"])
def test_a_month_of_any_year_is_written_and_read_again(key: str) -> None:
    month = YearMonth.read(key)
    assert month.key == key
    assert show_month(month).endswith(str(month.year))
    assert month.before < month
    assert YearMonth.read("0001-01").before == YearMonth.read("-0001-12"), "there is no year 0"


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@A1", "\t=1", "\r=1", "＝1", "'=1"])  # noqa: RUF001
def test_a_spreadsheet_calculates_no_product_name(name: str) -> None:
    sales = Sales(MARTS, [], [], [], [], [], [Product(1, name, -2, Decimal("-3.50"), "Regular")])
    (row,) = csv.DictReader(io.StringIO(write_csv(SALES_TABLES["products"](sales)), newline=""))
    assert row["product_name"] == f"'{name}"
    assert (row["units"], row["revenue"]) == ("-2", "-3.50")


def test_every_table_has_as_many_cells_as_names() -> None:
    group = [Group("Gold", 1, 4, Decimal(2))]
    product = [Product(1, None, 2, Decimal(3), "Top")]
    sales = Sales(MARTS, [], [month("2025-01", "1")], group, group, group, product)
    for table, rows in SALES_TABLES.items():
        header, row = csv.reader(io.StringIO(write_csv(rows(sales))))
        assert len(header) == len(row), table


def test_an_answer_is_kept_until_the_marts_change() -> None:
    asked: list[int] = []

    def find() -> int:
        asked.append(1)
        return len(asked)

    kept = Kept(size=2)
    later = PublishedMarts(1, 2, MARTS.published_at)
    assert [kept.get(marts, "fact", find) for marts in (MARTS, MARTS, later, later)] == [1, 1, 2, 2]
    assert kept.get(MARTS, "fact", find) == 1
    assert kept.get(MARTS, "sales", find) == 3  # takes the place of what nobody has asked for the longest
    assert [kept.get(MARTS, "fact", find), kept.get(later, "fact", find)] == [1, 4]


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


@pytest.mark.parametrize(
    ("value", "text", "rounded"),
    [
        (Decimal("1111842.7633"), "1,111,842.76", True),
        (Decimal("0.125"), "0.13", True),
        (Decimal("-0.125"), "-0.13", True),
        (Decimal("0.0004"), "0.0004", False),
        (Decimal("-12.5"), "-12.50", False),
        (Decimal("0.0000"), "0.00", False),
        (Decimal("9" * 34 + ".9951"), f"{10**34:,}.00", True),
        (0, "0.00", False),
        (None, "–", False),  # noqa: RUF001
    ],
)
def test_money_is_written_in_cents_and_never_as_nothing(
    value: Decimal | int | None, text: str, rounded: bool
) -> None:
    assert show_money(value) == text
    assert is_rounded(value) is rounded


def test_a_table_is_one_from_the_width_on_that_its_figures_need() -> None:
    def width(*cells: str) -> int:
        classes = fit_class(["Name", *["x"] * len(cells)], [("Rows", *cells)]).split()
        assert classes[0] == "stack"
        return int(classes[1].removeprefix("fit-")) if len(classes) > 1 else 1000

    figures = [width(*["9" * digits] * 3) for digits in range(1, 60)]
    assert figures == sorted(figures)
    assert figures[0] == 18
    assert figures[-1] == 1000, "what fits nowhere is never a table"
    rems = re.findall(r"min-width: (\d+)rem\) \{ \.fit-(\d+) ", read_asset("page.css"))
    assert [int(one) for one, _ in rems] == [int(one) for _, one in rems] == list(range(18, 67, 6))
    long_name = fit_class(["Name", "x"], [("a name of a product that may break", "1")])
    assert long_name == fit_class(["Name", "x"], [("n" * 22, "1")])
