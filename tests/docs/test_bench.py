"""Benches are run by hand: nothing else would notice that what they measure has another name by now."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BENCHES = sorted(set(re.findall(r"bench/\w+\.py", (ROOT / "Makefile").read_text())))


@pytest.mark.parametrize("bench", BENCHES)
def test_a_bench_starts_and_says_what_it_takes(bench: str) -> None:
    line = [sys.executable, bench, "--help"]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "usage" in done.stdout
