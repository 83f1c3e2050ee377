"""How much of a file may be lost, what a ratio may look like, and what is said when it is too much."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from cleaning import HEADER, ROW, clean

from audited_load.cleaning.limits import Limits, check_limits, read_limits
from audited_load.errors import BadDataError, RefusedError
from customer_pipeline.settings import read_alert_settings, read_run_settings, read_settings
from steps.data_cleaners import CUSTOMER_TRANSACTIONS

CLI = Path(sys.executable).parent / "customer-pipeline"
KEY = CUSTOMER_TRANSACTIONS.key
RATIOS = ("MAX_REJECTED_RATIO", "MAX_SUPERSEDED_RATIO")
NO_RATIOS = ["50%", "40", "nan", "inf", "-0.1", "1e-2", "0,05", "1.01", "x", "0x1", "\u0660.\u0665", "1_0"]


@pytest.mark.parametrize("name", RATIOS)
@pytest.mark.parametrize(
    ("text", "ratio"), [("", 0.05), ("0", 0), ("1", 1), ("1.0", 1), (".5", 0.5), (" 0.2 ", 0.2)]
)
def test_a_ratio_is_a_number_from_0_to_1(name: str, text: str, ratio: float) -> None:
    limits = read_limits({name: text})
    assert getattr(limits, name.lower()) == ratio


@pytest.mark.parametrize("name", [*RATIOS, "MIN_ROW_RATIO"])
@pytest.mark.parametrize("text", NO_RATIOS)
def test_what_is_no_ratio_is_refused_wherever_it_is_read(name: str, text: str) -> None:
    with pytest.raises(RefusedError, match=f"{name} is .*not a share") as caught:
        read_settings({"PIPELINE_DATA": "data", name: text})
    assert "from 0 to 1" in caught.value.remedy


@pytest.mark.parametrize("text", NO_RATIOS)
def test_the_ratio_to_be_warned_at_is_read_alike(text: str) -> None:
    with pytest.raises(RefusedError, match="WARN_REJECTED_RATIO"):
        read_alert_settings({"WARN_REJECTED_RATIO": text})


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "1e2", "soon", "6h", "999999"])
def test_hours_and_seconds_are_plain_numbers_above_0(text: str) -> None:
    with pytest.raises(RefusedError, match="DEADLINE_HOURS"):
        read_alert_settings({"DEADLINE_HOURS": text})
    with pytest.raises(RefusedError, match="RETRY_DELAY_SECONDS"):
        read_run_settings({"RETRY_DELAY_SECONDS": text})


@pytest.mark.parametrize("text", ["0", "two", "1.5"])
def test_shards_side_by_side_are_a_whole_number(text: str) -> None:
    assert read_run_settings({"PARALLEL_SHARDS": "8"}).parallel_shards == 8
    with pytest.raises(RefusedError, match="PARALLEL_SHARDS"):
        read_run_settings({"PARALLEL_SHARDS": text})


@pytest.mark.parametrize("text", ["-1", "1.5", "nan", "1e2", "a year", "999999"])
def test_days_are_whole(text: str) -> None:
    with pytest.raises(RefusedError, match="QUARANTINE_DAYS"):
        read_settings({"PIPELINE_DATA": "data", "QUARANTINE_DAYS": text})


@pytest.mark.parametrize("name", RATIOS)
@pytest.mark.parametrize("text", ["50%", "40", "nan"])
def test_clean_refuses_a_mistyped_ratio_before_it_writes_anything(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / "file.csv").write_text(HEADER + ROW.format(1))
    done = subprocess.run(
        [CLI, "clean", tmp_path / "file.csv", "--out", tmp_path / "out"],
        capture_output=True,
        text=True,
        env={**os.environ, name: text},
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    assert "Traceback" not in done.stderr
    assert name in done.stderr
    assert not (tmp_path / "out").exists()


def order_lines(orders: int, lines: int) -> str:
    """A file with several rows an order, no two of them equal."""
    rows = (ROW.format(order).replace("Thing", f"Thing {line}") for line in range(lines) for order in range(orders))
    return HEADER + "".join(rows)


def test_order_lines_are_refused_with_the_words_that_tell_the_cause(tmp_path: Path) -> None:
    report = clean(tmp_path / "file.csv", order_lines(27, 6))
    with pytest.raises(BadDataError) as caught:
        check_limits(report, Limits(), KEY)
    words = (
        "135 of 162 records share a transaction_id with a later one: does the file hold order lines, or ids that"
    )
    assert words in caught.value.message
    assert "MAX_SUPERSEDED_RATIO" in caught.value.message + caught.value.remedy
    assert "MAX_REJECTED_RATIO" not in str(caught.value)
    check_limits(report, Limits(max_superseded_ratio=0.9), KEY)


def test_a_few_corrections_are_no_reason_to_refuse(tmp_path: Path) -> None:
    rows = "".join(ROW.format(n) for n in range(40)) + ROW.format(1).replace("Thing", "Better thing")
    report = clean(tmp_path / "file.csv", HEADER + rows)
    assert report.superseded == 1
    check_limits(report, Limits(), KEY)


def test_superseded_records_do_not_count_as_refused(tmp_path: Path) -> None:
    report = clean(tmp_path / "file.csv", order_lines(2, 10))
    check_limits(report, Limits(max_rejected_ratio=0, max_superseded_ratio=1), KEY)


def test_too_many_refused_name_the_share_and_the_setting(tmp_path: Path) -> None:
    rows = "".join(ROW.format(n) for n in range(18)) + ROW.format("x") + ROW.format("y")
    report = clean(tmp_path / "file.csv", HEADER + rows)
    with pytest.raises(
        BadDataError, match=r"2 of 20 records were refused \(10\.0%, more than MAX_REJECTED_RATIO"
    ) as caught:
        check_limits(report, Limits(), KEY)
    assert "raise MAX_REJECTED_RATIO" in caught.value.remedy
    check_limits(report, Limits(max_rejected_ratio=0.10), KEY)


def test_a_header_alone_is_told_as_that(tmp_path: Path) -> None:
    with pytest.raises(BadDataError, match="holds no record under its header") as caught:
        check_limits(clean(tmp_path / "file.csv", HEADER), Limits(1, 1), KEY)
    assert "RATIO" not in str(caught.value)


def test_none_accepted_suggests_no_ratio_as_none_could_help(tmp_path: Path) -> None:
    with pytest.raises(BadDataError, match="none of 2 records") as caught:
        check_limits(clean(tmp_path / "file.csv", HEADER + ROW.format("x") + ROW.format("y")), Limits(1, 1), KEY)
    assert "RATIO" not in str(caught.value)


def test_a_message_names_a_handful_of_reasons(tmp_path: Path) -> None:
    bad = "x,x,x,x,Thing,x,x,x\n"
    report = clean(tmp_path / "file.csv", HEADER + ROW.format(1) + bad * 3)
    assert len(report.reasons) > 5
    with pytest.raises(BadDataError) as caught:
        check_limits(report, Limits(), KEY)
    assert " and " in caught.value.message
    assert sum(reason in caught.value.message for reason in report.reasons) <= 5
    assert len(str(caught.value)) < 800
