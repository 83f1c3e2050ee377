"""The most of something that a process has while it runs: memory, or disk."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import psutil


class Peak:
    """Measures again and again, until it is told to stop; what can't be measured at a moment is left out.

    Args:
        measure: Gives a number of bytes.
        pause: Seconds between two looks.
    """

    def __init__(self, measure: Callable[[], int], pause: float = 0.2) -> None:
        self._measure, self._pause, self._peak, self._done = measure, pause, 0, threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def stop(self) -> int:
        """Stop watching, and give the peak in bytes."""
        self._done.set()
        self._thread.join()
        return self._peak

    def _watch(self) -> None:
        while not self._done.wait(self._pause):
            try:
                self._peak = max(self._peak, self._measure())
            except psutil.Error:
                continue


def memory_of(pid: int) -> Callable[[], int]:
    """Measure the memory of a process and its children, shared pages counted once."""
    process = psutil.Process(pid)

    def measure() -> int:
        return sum(one.memory_full_info().pss for one in (process, *process.children(recursive=True)))

    return measure


def disk_of(folder: Path) -> Callable[[], int]:
    """Measure how much a folder holds."""

    def measure() -> int:
        held = 0
        for place, _, names in os.walk(folder):
            for name in names:
                try:
                    held += (Path(place) / name).stat().st_blocks * 512
                except OSError:
                    continue
        return held

    return measure
