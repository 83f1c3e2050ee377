"""A line that somebody types → what the real parser makes of it, without doing it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import typer
from typer._click.exceptions import UsageError

from customer_pipeline.cli import app

APP = typer.main.get_command(app)
COMMANDS: dict[str, Any] = {}
"""Every command by its words, such as `quarantine list`."""


def _walk(command: Any, words: str = "") -> Iterator[tuple[str, Any]]:
    for name, sub in getattr(command, "commands", {}).items():
        yield f"{words}{name}", sub
        yield from _walk(sub, f"{words}{name} ")


COMMANDS.update(_walk(APP))


def parse(line: Sequence[str]) -> typer.Context:
    """Parse a line; what is handed on to psql is in `args`, all else in `params`.

    Raises:
        UsageError: The line can't be typed so.
    """
    words, rest = "", [*line]
    while rest and f"{words} {rest[0]}".strip() in COMMANDS:
        words = f"{words} {rest.pop(0)}".strip()
    command = COMMANDS.get(words, APP)
    is_group = hasattr(command, "commands")
    if is_group and not (rest and set(rest) <= {option for param in command.params for option in param.opts}):
        raise UsageError(f"No command and no option of {words or 'the program'}: {rest}")
    return command.make_context(words, rest, resilient_parsing=is_group)  # else it would install completion


def call(*line: object) -> int:
    """Do what a line says; gives the exit code. Errors are raised."""
    return int(app([str(word) for word in line], standalone_mode=False) or 0)
