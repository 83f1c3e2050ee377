"""Ctrl+C ends a command at any moment without a trace of its code, and says what goes on or is left.

Imports next to nothing: it is there before all the rest. `python -m customer_pipeline.interrupts MODULE …` runs a
module so.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
from types import FrameType

INTERRUPTED = 130
_AGAIN = "Give the same command again: it finishes what is left, and does nothing twice."
_NOTHING = "Nothing was changed."
_WHOLE = "Files appear under their names only when they are whole: give the same command again."
_NOTES = {
    "up": "What was started goes on: `make status` shows it, `make up` starts the rest, `make down` stops it.",
    "restart": "What was started goes on: `make status` shows it, `make up` starts the rest.",
    "down": "What was not stopped goes on: `make down` again stops it.",
    "run": "No run was asked for. Services that were started go on: `make status` shows them.",
    "clean": f"{_WHOLE} What is there may need --force.",
    "sample": _WHOLE,
    "report": _WHOLE,
    "inspect": _WHOLE,
    "quarantine": _AGAIN,
    "rollback": _AGAIN,
    "erase-customer": _AGAIN,
    "backup": "The folder may hold half a backup: remove it, or give another one.",
    "restore": _AGAIN,
    "customer_pipeline.tasks.drift_check": "Readers see what they saw. What was built goes with the next check.",
    "customer_pipeline.upkeep.tidy": _AGAIN,
    "logs": "",
    "status": "",
}
_told: list[str] = []


def leave(note: str) -> None:
    """Say what an interrupt leaves from here on.

    Args:
        note: A sentence for an operator.
    """
    _told[:] = [note]


def note_of(words: list[str]) -> str:
    """Return what is said when a command is interrupted.

    Args:
        words: As they were typed.
    """
    name = next((word for word in words if not word.startswith("-")), "")
    return _told[0] if _told else _NOTES.get(name, _NOTHING)


def tell(words: list[str]) -> None:
    """Say what an interrupt left, on standard error."""
    if note := note_of(words):
        os.write(2, f"\nInterrupted. {note}\n".encode(errors="backslashreplace"))


def end_at_once(words: list[str] | None = None) -> None:
    """Let an interrupt end the process from here on, whatever it does: while it starts, and while it ends.

    Where interrupts are ignored, as of a command that a script runs in the background, they stay so.

    Args:
        words: By which is told what an interrupt leaves; None if all was told.
    """

    def end(_number: int, _frame: FrameType | None) -> None:
        if words is not None:
            tell(words)
        os._exit(INTERRUPTED)

    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, end)


def raise_again() -> None:
    """Let an interrupt be an exception again, so that what is open is closed."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def main() -> None:
    """Run the command line; the first thing that is imported, and the last that is left."""
    end_at_once(sys.argv[1:])
    from customer_pipeline.cli import main as run  # noqa: PLC0415 - it takes a while, in which one may be interrupted

    run()


if __name__ == "__main__":
    sys.argv = sys.argv[1:]
    end_at_once(sys.argv)
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
